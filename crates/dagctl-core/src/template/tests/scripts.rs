use std::process::Command;

use proptest::prelude::*;

use super::*;

fn with_param(value: &str) -> Context {
    let mut facts = facts();
    facts.params = map(json!({ "x": value }));
    Context::new(facts)
}

fn shell(source: &str, value: &str) -> Result<String, TemplateError> {
    render(source, &with_param(value), Quoting::Shell)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the proof is what a real shell makes of the script"
)]
fn run(script: &str) -> Vec<u8> {
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(
        output.stderr.is_empty(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

const NASTY: &[&str] = &[
    "",
    " ",
    "a b",
    "it's",
    "''",
    "'\\''",
    "\"",
    "$(echo pwned)",
    "`echo pwned`",
    "$HOME",
    "${HOME}",
    "a\nb",
    "\n",
    "\\",
    "\\'",
    "!!",
    "*",
    "?",
    "[a-z]",
    "~",
    "#x",
    "; echo pwned",
    "&& echo pwned",
    "| cat",
    "> /dev/null",
    "-n",
    "é한",
    "\t",
    "$'x'",
    "{a,b}",
    "=",
    "==x",
    "\u{7f}",
    "\r",
    "%s%n",
    "'; echo pwned; '",
    "\"; echo pwned; \"",
    "$(",
    "`",
    "))",
    "EOF",
    "\\\n",
];

#[test]
fn a_value_is_one_word_byte_for_byte_wherever_the_author_puts_it() {
    for value in NASTY {
        for (source, before, after) in [
            ("printf '%s' {{ params.x }}", "", ""),
            ("printf '%s' a{{ params.x }}b", "a", "b"),
            ("printf '%s' \"a {{ params.x }} b\"", "a ", " b"),
            ("printf '%s' 'a {{ params.x }} b'", "a ", " b"),
            ("# it's a comment\nprintf '%s' {{ params.x }}", "", ""),
            (
                "y=$(printf '%s.' \"{{ params.x }}\"); printf '%s' \"$y\"",
                "",
                ".",
            ),
            ("printf '%s' \"$(printf '%s.' {{ params.x }})\"", "", "."),
            ("f() { printf '%s' \"$1\"; }; f {{ params.x }}", "", ""),
            ("case x in x) printf '%s' {{ params.x }};; esac", "", ""),
            (
                "cat <<E >/dev/null\nit's\nE\nprintf '%s' {{ params.x }}",
                "",
                "",
            ),
            (
                "a=$((1 << 2)); : \"${a:-}\"; printf '%s' {{ params.x }}",
                "",
                "",
            ),
            ("printf '%s' \\'\"{{ params.x }}\"", "'", ""),
            ("printf '%s' \"\\\"{{ params.x }}\"", "\"", ""),
        ] {
            let script = shell(source, value).unwrap();
            let expected = format!("{before}{value}{after}");
            assert_eq!(run(&script), expected.as_bytes(), "{script}");
        }
    }
}

#[test]
fn a_value_in_a_comment_cannot_leave_it() {
    let script = shell(
        "# for {{ params.x }}\necho ok",
        "a\necho pwned\r\necho pwned",
    )
    .unwrap();
    assert_eq!(run(&script), b"ok\n");
}

#[test]
fn a_value_is_refused_where_quotes_cannot_protect_it() {
    for (source, place) in [
        ("cat <<EOF\n{{ params.x }}\nEOF", "here-document"),
        ("cat <<-'EOF'\n it's {{ params.x }}\nEOF", "here-document"),
        ("echo `echo {{ params.x }}`", "backticks"),
        ("echo \"`echo {{ params.x }}`\"", "backticks"),
        ("cat <<A</dev/null\n{{ params.x }}\nA", "here-document"),
        ("cat <<'E F'\n{{ params.x }}\nE F", "here-document"),
        ("cat <<E\\ F\n{{ params.x }}\nE F", "here-document"),
        (
            "cat <<EOF\na \\\nEOF\n{{ params.x }}\nEOF",
            "ends with a backslash",
        ),
        ("(echo a)# it's\necho {{ params.x }}", "`)#`"),
        ("((y = 1))# it's\necho {{ params.x }}", "`)#`"),
        ("echo $((1 + {{ params.x }}))", "((…))"),
        ("echo $(( (1) + (2) + {{ params.x }} ))", "((…))"),
        (
            "echo $((1 + '2')) {{ params.x }}",
            "`((…))` that holds quotes",
        ),
        (
            "echo $((1 + \"2\")) {{ params.x }}",
            "`((…))` that holds quotes",
        ),
        (
            "echo $((1 + `2`)) {{ params.x }}",
            "`((…))` that holds quotes",
        ),
        ("((y = {{ params.x }}))", "((…))"),
        ("echo ${y:-{{ params.x }}}", "${…}"),
        ("echo \"${y:-\"{{ params.x }}\"}\"", "${…}"),
        (
            "echo ${y:-\"}\"} {{ params.x }}",
            "holds quotes or brackets",
        ),
        ("echo $'{{ params.x }}'", "$'"),
        ("echo ${{ params.x }}", "`$`"),
        ("echo \\{{ params.x }}", "backslash"),
        (
            "echo \"$(case a in a) echo {{ params.x }};; esac)\"",
            "case",
        ),
        (
            "{% set y %}{{ params.x }}{% endset %}echo {{ y }}",
            "catches",
        ),
        ("{% filter upper %}{{ params.x }}{% endfilter %}", "catches"),
    ] {
        let error = shell(source, "v").unwrap_err().to_string();
        assert!(error.contains(place), "{source}: {error}");
    }
    assert_eq!(
        shell("cat <<EOF\n{{ params.x }}\nEOF", "v")
            .unwrap_err()
            .to_string(),
        "`{{ params.x }}`: a value cannot be put into a here-document: pass it through `env` and write \"$NAME\" in the script"
    );
    assert!(shell("echo {{ params.x }}", "a\0b").is_err());
}

#[test]
fn a_value_is_taken_again_where_a_here_document_has_ended_for_sure() {
    for source in [
        "cat <<EOF\nit's\nEOF\nprintf %s {{ params.x }}",
        "cat <<-EOF\n\tit's\nEOF\nprintf %s {{ params.x }}",
        "cat <<A <<'B'\na\nA\nb\nB\nprintf %s {{ params.x }}",
        "cat << E\nit's\nE\nprintf %s {{ params.x }}",
        "cat <<\\E\nit's\nE\nprintf %s {{ params.x }}",
        "cat <<E -\nit's\nE\nprintf %s {{ params.x }}",
        "cat <<A-B\nit's\nA-B\nprintf %s {{ params.x }}",
        "cat << -E\nit's\n-E\nprintf %s {{ params.x }}",
        "cat <<--E\nit's\n-E\nprintf %s {{ params.x }}",
        "cat <<\\<-E\nit's\n<-E\nprintf %s {{ params.x }}",
        "cat <<'E F'\nit's\nE F\nprintf %s {{ params.x }}",
        "cat <<E\\ F\nit's\nE F\nprintf %s {{ params.x }}",
        "cat <<E\na \\\nb\nE\nprintf %s {{ params.x }}",
    ] {
        let script = shell(source, "a  'b").unwrap();
        let shown = String::from_utf8(run(&script)).unwrap();
        assert!(shown.ends_with("a  'b"), "{source}: {shown}");
    }
    let error = shell("cat <<-EOF\na\n\tEOF\necho {{ params.x }}", "v").unwrap_err();
    assert!(error.to_string().contains("indented end"), "{error}");
}

#[test]
fn of_several_values_the_one_that_cannot_stand_is_named() {
    let source = "echo {{ params.x }} {{ ds }} `{{ run_id }}`";
    let error = shell(source, "v").unwrap_err().to_string();
    assert!(error.starts_with("`{{ run_id }}`"), "{error}");
}

#[test]
fn brackets_and_number_signs_are_read_as_a_shell_reads_them() {
    for (source, wanted) in [
        ("echo a#{{ params.x }}", "a#it's;\n"),
        ("(echo {{ params.x }})", "it's;\n"),
        ("(echo a); echo {{ params.x }}", "a\nit's;\n"),
        ("echo \"$(echo {{ params.x }})\"", "it's;\n"),
        ("echo \"$(echo a)\" {{ params.x }}", "a it's;\n"),
        ("echo $(echo a)#{{ params.x }}", "a#it's;\n"),
        ("echo \"$(echo \"{{ params.x }}\")\"", "it's;\n"),
        ("(# it's\necho {{ params.x }})", "it's;\n"),
        ("f() { echo {{ params.x }}; }; f", "it's;\n"),
        ("echo \"a\\\"b {{ params.x }}\"", "a\"b it's;\n"),
        ("echo \"a(b\" {{ params.x }}", "a(b it's;\n"),
        ("echo \"a{b {{ params.x }}\"", "a{b it's;\n"),
        ("echo \"`echo a`\" {{ params.x }}", "a it's;\n"),
        ("echo `echo \\`echo in\\`` {{ params.x }}", "in it's;\n"),
        ("echo ${y:-a} {{ params.x }}", "a it's;\n"),
        ("echo \"${y:-${z:-d}} {{ params.x }}\"", "d it's;\n"),
        ("echo \"${y:-{a} {{ params.x }}\"", "{a it's;\n"),
        ("echo $((1 + (2 * 3))) {{ params.x }}", "7 it's;\n"),
        ("echo $((1))#{{ params.x }}", "1#it's;\n"),
        ("(echo a) # it's\necho {{ params.x }}", "a\nit's;\n"),
        ("echo a \\\n# it's\necho {{ params.x }}", "a\nit's;\n"),
        ("echo a\\\n#b {{ params.x }}", "a#b it's;\n"),
        ("echo \\)#a {{ params.x }}", ")#a it's;\n"),
    ] {
        let script = shell(source, "it's;").unwrap();
        assert_eq!(
            String::from_utf8_lossy(&run(&script)),
            wanted,
            "{source}: {script}"
        );
    }
}

#[test]
fn what_only_bash_reads_is_read_as_bash_reads_it() {
    for (source, wanted) in [
        (r"echo $'it\'s' {{ params.x }}", r"echo $'it\'s' 'v'"),
        ("cat <<<{{ params.x }}", "cat <<<'v'"),
        ("cat <<<a\necho {{ params.x }}", "cat <<<a\necho 'v'"),
        ("echo $${{ params.x }}", "echo $$'v'"),
        ("echo $$'a\\' {{ params.x }}", "echo $$'a\\' 'v'"),
        ("echo \"$$({{ params.x }})\"", "echo \"$$(\"'v'\")\""),
        (
            "((y = (1) + 2)); echo {{ params.x }}",
            "((y = (1) + 2)); echo 'v'",
        ),
    ] {
        assert_eq!(shell(source, "v").unwrap(), wanted);
    }
}

#[test]
fn marking_values_as_safe_changes_nothing() {
    assert_eq!(
        shell("echo {{ params.x | safe }}", "a b").unwrap(),
        "echo 'a b'"
    );
    assert_eq!(
        shell(
            "{% autoescape true %}echo {{ params.x }}{% endautoescape %}",
            "<b>"
        )
        .unwrap(),
        "echo '<b>'"
    );
}

#[test]
fn slack_text_escapes_values_but_not_what_the_author_wrote() {
    assert_eq!(
        render(
            "<!here> {{ params.x }}",
            &with_param("<!channel> & co"),
            Quoting::Slack
        )
        .unwrap(),
        "<!here> &lt;!channel&gt; &amp; co"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_survives_a_shell(value in "[^\0]{0,40}") {
        let script = shell("printf '%s' {{ params.x }} \"{{ params.x }}\" '{{ params.x }}'", &value).unwrap();
        prop_assert_eq!(run(&script), value.repeat(3).into_bytes());
    }

    #[test]
    fn nothing_panics(source in "[{}%#a-z.'\"\\[\\]()|é\n-]{0,40}") {
        let _ = check(&source, Form::Text, &Scope::default());
        let _ = check(&source, Form::Expression, &Scope::default());
        let _ = references(&source, Form::Text);
        let _ = raw_sql_values(&source);
        let _ = render(&source, &context(), Quoting::Plain);
        let _ = render(&source, &context(), Quoting::Shell);
        let _ = evaluate(&source, &context());
    }
}
