use proptest::prelude::*;

use super::*;

fn texts(sql: &str) -> Vec<&str> {
    split(sql).into_iter().map(|it| it.text).collect()
}

fn bound(sql: &str) -> (String, Vec<String>) {
    let bound = binds(sql);
    (bound.sql, bound.names)
}

#[test]
fn statements_end_at_semicolons_and_empty_ones_vanish() {
    assert_eq!(texts("select 1; ;\n select 2 ;"), ["select 1", "select 2"]);
    assert_eq!(texts("; -- nothing\n /* ; */ ;"), [""; 0]);
}

#[test]
fn a_semicolon_in_quotes_dollar_quotes_or_comments_does_not_split() {
    for sql in [
        "select 'a;b''; c'",
        r"select E'it\'s; fine'",
        "select \"odd;name\"",
        "do $$ begin; end; $$",
        "do $body$ select $$;$$; $body$",
        "select 1 -- a; b\n + 2",
        "select 1 /* a; /* b; */ c; */ + 2",
    ] {
        assert_eq!(texts(sql), [sql]);
    }
}

#[test]
fn a_backslash_does_not_escape_in_a_standard_string() {
    assert_eq!(texts(r"select '\'; select 2"), [r"select '\'", "select 2"]);
}

#[test]
fn a_text_with_escapes_ends_at_its_own_quote() {
    assert_eq!(
        texts(r"select E'a'; select E'ab'; select E'\\'; select E'\''; select e''; select 6"),
        [
            "select E'a'",
            "select E'ab'",
            r"select E'\\'",
            r"select E'\''",
            "select e''",
            "select 6"
        ]
    );
}

#[test]
fn a_lone_minus_or_slash_begins_no_comment() {
    assert_eq!(
        texts("select 4 - 2; select 4 / 2; select -1"),
        ["select 4 - 2", "select 4 / 2", "select -1"]
    );
}

#[test]
fn a_backslash_anywhere_in_a_text_with_escapes_takes_one_character_along() {
    assert_eq!(
        texts(r"select E'abc\\'; select E'ab\'; d'; select 3"),
        [r"select E'abc\\'", r"select E'ab\'; d'", "select 3"]
    );
}

#[test]
fn a_statement_knows_where_it_starts() {
    let sql = "select 1;\n  select 2";
    assert_eq!(split(sql)[1].offset, 12);
}

#[test]
fn names_become_numbers_and_each_is_bound_once() {
    assert_eq!(
        bound("select :day, :shop where d = :day"),
        (
            "select $1, $2 where d = $1".to_owned(),
            vec!["day".to_owned(), "shop".to_owned()]
        )
    );
}

#[test]
fn casts_slices_strings_and_comments_hold_no_binds() {
    for sql in [
        "select a::int, ':x', \":y\", $$:z$$",
        "select a[1:n], a[i:n], f(x)[b:c], a[:2], a[f(i):n]",
        "select 1 -- :x\n /* :y */",
        "select f(a := 1)",
        "select '12:30'::time, 5 : 3",
    ] {
        assert_eq!(bound(sql), (sql.to_owned(), vec![]));
    }
}

#[test]
fn a_bind_may_be_cast_stand_in_brackets_or_follow_an_array() {
    assert_eq!(bound("select :a::int").0, "select $1::int");
    assert_eq!(bound("select array[:a, :b]").0, "select array[$1, $2]");
    assert_eq!(bound("select a[(:a):(:b)]").0, "select a[($1):($2)]");
    assert_eq!(bound("select x[1], :a").0, "select x[1], $1");
    assert_eq!(bound("select x[1] limit :a").0, "select x[1] limit $1");
    assert_eq!(
        bound("select x[f(1)] limit :a").0,
        "select x[f(1)] limit $1"
    );
}

#[test]
fn a_name_is_quoted_part_by_part_and_quotes_in_it_cannot_end_it() {
    assert_eq!(ident("mau"), r#""mau""#);
    assert_eq!(ident("analytics.mau"), r#""analytics"."mau""#);
    assert_eq!(ident(r#"a"b; drop"#), r#""a""b; drop""#);
    assert_eq!(ident(r#""odd.one".t"#), r#""odd.one"."t""#);
    assert_eq!(ident(r#"a."odd""one".t"#), r#""a"."odd""one"."t""#);
    assert_eq!(ident(r#""a""b""""c".t"#), r#""a""b""""c"."t""#);
    assert_eq!(ident(r#""".t"#), r#"""""""."t""#);
    assert_eq!(ident(r#""open"#), r#""""open""#);
    assert_eq!(ident(r#""a" b"#), r#""""a"" b""#);
}

#[test]
fn a_literal_survives_quotes_and_backslashes() {
    assert_eq!(literal("it's"), "'it''s'");
    assert_eq!(literal(r"a\'b"), r"E'a\\''b'");
}

#[test]
fn words_are_those_outside_quotes_and_comments() {
    assert_eq!(words("Select 'from' /* x */ a -- y"), ["SELECT", "A"]);
    assert_eq!(first_word("-- note\n (with x as (select 1)"), "WITH");
    assert_eq!(first_word("'text'"), "");
}

#[test]
fn a_word_holds_letters_of_any_language_signs_beyond_ascii_digits_and_dollars() {
    assert_eq!(
        words("select preço€ from t2 as a$b"),
        ["SELECT", "PREÇO€", "FROM", "T2", "AS", "A$B"]
    );
    assert_eq!(bound("select :€2").1, ["€2"]);
}

#[test]
fn a_trailing_semicolon_goes_with_what_follows_it() {
    assert_eq!(
        strip_trailing_semicolon("select ';' ; -- done\n;"),
        "select ';'"
    );
}

fn sql() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("select :a"),
        Just(";"),
        Just("'x;''y'"),
        Just("$t$ ;$t$"),
        Just("/* ; "),
        Just("*/"),
        Just("-- ;\n"),
        Just("\""),
        Just("é한"),
        Just("e'\\"),
        Just("$"),
        Just(" "),
        Just("[1:2]::int"),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn the_pieces_side_by_side_are_the_text(text in prop_oneof![sql(), any::<String>()]) {
        let joined: String = pieces(&text).into_iter().map(|(_, range)| &text[range]).collect();
        prop_assert_eq!(joined, text);
    }

    #[test]
    fn what_lies_between_the_statements_is_empty(text in prop_oneof![sql(), any::<String>()]) {
        let mut end = 0;
        for statement in split(&text) {
            prop_assert_eq!(&text[statement.offset..][..statement.text.len()], statement.text);
            prop_assert!(words(&text[end..statement.offset]).is_empty());
            end = statement.offset + statement.text.len();
        }
        prop_assert!(words(&text[end..]).is_empty());
    }

    #[test]
    fn a_literal_is_one_quoted_piece(text in any::<String>()) {
        let literal = literal(&text);
        prop_assert_eq!(pieces(&literal), vec![(Piece::Quoted, 0..literal.len())]);
    }

    #[test]
    fn a_quoted_name_never_holds_a_statement(name in any::<String>()) {
        let sql = format!("select * from {}; select 2", ident(&name));
        prop_assert_eq!(split(&sql).len(), 2);
    }
}
