//! Misspelt keywords are found, and SQL that is only unusual is left alone.

use std::collections::BTreeMap;

use dagctl_dagfile::parse_version;

/// What is said of a statement: the words at the carets with their hints, or the code of anything else.
fn said(sql: &str) -> Vec<String> {
    let lines: Vec<_> = sql.lines().map(|it| format!("      {it}\n")).collect();
    let text = format!(
        "tasks:\n  a:\n    operator: sql\n    conn_id: dw\n    sql: |\n{}",
        lines.concat()
    );
    let texts = BTreeMap::from([("a.yaml".to_owned(), text.clone())]);
    let (_, diagnostics) = parse_version(&texts, "a.yaml");
    diagnostics
        .iter()
        .map(|it| match (it.code.as_str(), it.span, &it.hint) {
            ("D021", Some(span), Some(hint)) => {
                format!("{}: {hint}", &text[span.start..span.end])
            }
            (code, _, _) => code.to_owned(),
        })
        .collect()
}

#[test]
fn misspelt_keywords_are_found_wherever_they_stand() {
    for (sql, typos) in [
        ("SELEC 1", &["SELEC: SELECT"][..]),
        ("SELECT a, COUNT(1) FORM t GROUP BY a", &["FORM: FROM"]),
        ("SELECT a FROM t GRUOP BY a", &["GRUOP: GROUP BY"]),
        ("SELECT a FROM t ORDR\n  BY a", &["ORDR: ORDER BY"]),
        ("INSERT INTO t SELEC 1", &["SELEC: SELECT"]),
        (
            "UPDATE t SETT a = 1 WERE b = 2",
            &["SETT: SET", "WERE: WHERE"],
        ),
        (
            "CREATE TABLE x AS SELECT * FROM y WHRE a = '{{ ds }}' ODER BY b",
            &["WHRE: WHERE", "ODER: ORDER BY"],
        ),
        ("SELECT CASE WHEN a THEN 1 ELS 2 END FROM t", &["ELS: ELSE"]),
        (
            "SELECT a FROM t WHERE a BETWEN 1 AND 2",
            &["BETWEN: BETWEEN"],
        ),
        (
            "SELECT 1;\n\nSELECT 2 FORM t WHERE a = :idempotency_key",
            &["FORM: FROM"],
        ),
    ] {
        let expected: Vec<String> = typos
            .iter()
            .filter_map(|it| it.split_once(": "))
            .map(|(word, keyword)| format!("{word}: did you mean `{keyword}`?"))
            .collect();
        assert_eq!(said(sql), expected, "{sql}");
    }
}

#[test]
fn unusual_sql_is_no_error() {
    for sql in [
        "SELECT DISTINCT ON (a) a, b::int, c->>'x', '{{ ds }}'::date FROM t WHERE y ~ '^a'",
        "SELECT a FROM t QUALIFY row_number() OVER (PARTITION BY a ORDER BY b) = 1",
        "WITH form AS (SELECT 1) SELECT * FROM form ORDER BY 1",
        "SELECT LISTAGG(a, ',') WITHIN GROUP (ORDER BY a) FROM orders",
        "SELECT GETDATE(), DATEADD(day, -1, ts), a::super FROM t",
        "COPY t FROM 's3://b/k' IAM_ROLE 'arn' CSV",
        "UNLOAD ('select 1') TO 's3://x' IAM_ROLE 'y'",
        "ALTER TABLE a APPEND FROM b",
        "REFRESH MATERIALIZED VIEW mv",
        "DO $$ BEGIN RAISE NOTICE 'selec'; END $$",
        "-- selec form\nSELECT 'selec form' AS \"selec\"",
        "VACUUM FULL t",
    ] {
        assert_eq!(said(sql), Vec::<String>::new(), "{sql}");
    }
    assert_eq!(said("SELECT approximate count(a) FROM t"), ["D022"]);
}
