use super::*;

fn python(source: &str, value: Value) -> Result<String, String> {
    let mut facts = facts();
    facts.params = map(json!({ "x": value }));
    render(source, &Context::new(facts), Quoting::Python).map_err(|it| it.to_string())
}

fn script(source: &str, value: Value) -> String {
    python(source, value).unwrap()
}

#[test]
fn a_value_outside_of_strings_is_a_literal_of_its_type() {
    for (value, literal) in [
        (json!(null), "None"),
        (json!(true), "True"),
        (json!(false), "False"),
        (json!(-3), "-3"),
        (json!(2.5), "2.5"),
        (json!("plain text, 1/2"), r#""plain text, 1/2""#),
        (json!("it's"), r#""it\U00000027s""#),
        (json!("a\"\n\\"), r#""a\U00000022\U0000000a\U0000005c""#),
        (json!("é한"), r#""\U000000e9\U0000d55c""#),
        (json!([1, "a", null]), r#"[1, "a", None, ]"#),
        (json!({"k'": [true]}), r#"{"k\U00000027": [True, ], }"#),
    ] {
        assert_eq!(
            script("x = {{ params.x }}", value),
            format!("x = {literal}")
        );
    }
}

#[test]
fn a_value_inside_a_string_is_its_text_and_cannot_end_it() {
    let evil = || json!("'\"; import os");
    let escaped = r"\U00000027\U00000022\U0000003b import os";
    for (before, after) in [
        ("'", "'"),
        ("\"", "\""),
        ("'''", "'''"),
        ("\"\"\"", "\"\"\""),
        ("'a' + 'b", "'"),
        ("'' '", "'"),
        ("'''it's a \"", "'''"),
        ("'''two''' '", "'"),
        ("f'", "'"),
        ("u\"", "\""),
        ("\"\"\"a\nb", "\"\"\""),
        (r"'it\'s ", "'"),
    ] {
        assert_eq!(
            script(&format!("{before}{{{{ params.x }}}}{after}"), evil()),
            format!("{before}{escaped}{after}")
        );
    }
    assert_eq!(script("'{{ params.x }}'", json!(3)), "'3'");
}

#[test]
fn a_string_ends_where_python_ends_it() {
    for before in [
        "'a' ",
        "\"it's\" ",
        "'''it's''' ",
        "\"\"\"a\"b\"\"\" ",
        "'' ",
        "# it's\n",
        "'unfinished\n",
        "'''a''''b' ",
    ] {
        assert_eq!(
            script(&format!("{before}{{{{ params.x }}}}"), json!("v")),
            format!("{before}\"v\""),
            "{before}"
        );
    }
}

#[test]
fn a_value_in_a_comment_cannot_leave_it() {
    assert_eq!(
        script("# {{ params.x }}", json!("a\nimport os")),
        r"# a\U0000000aimport os"
    );
}

#[test]
fn a_value_is_refused_where_escapes_mean_nothing() {
    for prefix in ["r", "R", "b", "rb", "Br"] {
        let source = format!("{prefix}'{{{{ params.x }}}}'");
        assert_eq!(
            script(&source, json!("plain")),
            format!("{prefix}'plain'"),
            "{prefix}"
        );
        let error = python(&source, json!("it's")).unwrap_err();
        assert!(error.contains("into a raw or bytes string"), "{error}");
    }
    // Not a prefix: a name that ends in one, which Python refuses by itself.
    assert_eq!(
        script("abr'{{ params.x }}'", json!("!")),
        r"abr'\U00000021'"
    );
    let error = python("'\\{{ params.x }}'", json!("n")).unwrap_err();
    assert!(error.contains("after a backslash"), "{error}");
}

#[test]
fn of_several_values_the_one_that_cannot_stand_is_named() {
    let error = python(
        "x = {{ params.x }} + {{ ds }} + r'{{ run_id ~ '!' }}'",
        json!(1),
    )
    .unwrap_err();
    assert!(error.contains("run_id"), "{error}");
}
