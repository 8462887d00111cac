use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(text: &str) -> Connection {
    Connection::parse("dw", text).unwrap()
}

fn password(connection: &Connection) -> Option<&str> {
    connection.password.as_ref().map(Secret::expose)
}

#[test]
fn a_uri_holds_everything_percent_encoded() {
    let it =
        parse("postgres://us%3Aer:p%40ss%2Fw%25@host:5433/db?sslmode=require&application_name=a+b");
    assert_eq!(
        (it.conn_id.as_str(), it.conn_type.as_str()),
        ("dw", "postgres")
    );
    assert_eq!((it.host.as_deref(), it.port), (Some("host"), Some(5433)));
    assert_eq!(
        (it.login.as_deref(), password(&it)),
        (Some("us:er"), Some("p@ss/w%"))
    );
    assert_eq!(it.schema.as_deref(), Some("db"));
    assert_eq!(
        Value::Object(it.extra),
        json!({"sslmode": "require", "application_name": "a b"})
    );
}

#[test]
fn every_part_but_the_type_may_be_missing() {
    let it = parse("postgres://");
    assert_eq!(
        it,
        Connection {
            conn_id: "dw".to_owned(),
            conn_type: "postgres".to_owned(),
            ..Connection::default()
        }
    );
    assert_eq!(parse("postgres://host").host.as_deref(), Some("host"));
    assert_eq!(password(&parse("slack://:token@")), Some("token"));
}

#[test]
fn an_at_sign_in_a_password_is_understood() {
    let it = parse("postgres://user:p@ss@host/db");
    assert_eq!(
        (it.host.as_deref(), password(&it)),
        (Some("host"), Some("p@ss"))
    );
}

#[test]
fn the_dialect_follows_from_type_and_extra() {
    for (uri, dialect) in [
        ("postgresql://h", Dialect::Postgres),
        ("postgres://h", Dialect::Postgres),
        ("Postgres://h", Dialect::Postgres),
        ("postgres://h?redshift=true", Dialect::Redshift),
        ("redshift://h", Dialect::Redshift),
        ("http://h", Dialect::Http),
        ("https://h", Dialect::Http),
        ("ftp://h", Dialect::Other),
    ] {
        assert_eq!(parse(uri).dialect(), dialect, "{uri}");
    }
}

#[test]
fn a_base_url_is_made_of_all_the_ways_to_say_https() {
    for (uri, url) in [
        ("http://host:8080", "http://host:8080"),
        ("https://host", "https://host"),
        ("https://host/", "https://host"),
        ("https://host/v1/api", "https://host/v1/api"),
        ("http://https%3a%2f%2fhost%3A8443", "https://host:8443"),
        ("http://https%3a%2f%2fhost%2Fv1", "https://host/v1"),
        ("http://https://host", "https://host"),
        ("http://host:8443/https", "https://host:8443"),
        ("http://u:p@[::1]:80/", "http://[::1]:80"),
    ] {
        assert_eq!(parse(uri).base_url().as_deref(), Some(url), "{uri}");
    }
    assert_eq!(parse("http://").base_url(), None);
}

#[test]
fn a_unix_socket_is_a_host_in_the_query_or_percent_encoded() {
    for uri in [
        "postgres://user@/db?host=/run/pg",
        "postgres://user@%2Frun%2Fpg/db",
    ] {
        let it = parse(uri);
        assert_eq!(
            (it.host.as_deref(), it.schema.as_deref()),
            (Some("/run/pg"), Some("db")),
            "{uri}"
        );
        assert!(it.extra.is_empty());
    }
}

#[test]
fn airflows_json_is_read_too() {
    let it = parse(
        r#"{"conn_type": "postgresql", "login": "u", "password": "p\"w", "host": "h", "port": "5432", "schema": "", "extra": "{\"sslmode\": \"require\"}"}"#,
    );
    assert_eq!(
        (
            it.conn_type.as_str(),
            it.port,
            password(&it),
            it.schema.as_deref()
        ),
        ("postgres", Some(5432), Some("p\"w"), None)
    );
    assert_eq!(it.extra["sslmode"], json!("require"));
    assert_eq!(
        parse(r#"{"conn_type": "http", "extra": {"a": 1}, "port": 80}"#).extra["a"],
        json!(1)
    );
}

#[test]
fn no_error_quotes_the_text_that_holds_the_password() {
    for text in [
        "hunter22",
        "user:hunter22@host",
        "hun ter22://x",
        "postgres://user:hunter22/x@host",
        "postgres://user:hunter22#@host",
        "postgres://user:pw@host:hunter22",
        "postgres://user:%ffhunter22@host",
        "postgres://user@[hunter22",
        "postgres://host?__extra__=hunter22",
        r#"{"conn_type": "postgres", "password": hunter22}"#,
        r#"{"conn_type": "postgres", "password": ["hunter22"]}"#,
        r#"{"password": "hunter22"}"#,
        r#"{"conn_type": "x", "password": "hunter22", "prot": 1}"#,
        r#"{"conn_type": "x", "extra": "hunter22"}"#,
        r#"{"conn_type": "x", "port": "hunter22"}"#,
    ] {
        let error = Connection::parse("dw", text).unwrap_err();
        assert!(error.to_string().starts_with("connection `dw`: "), "{text}");
        assert!(!format!("{error} {error:?}").contains("ter22"), "{error}");
    }
}

#[test]
fn neither_debug_nor_display_nor_the_masked_uri_shows_a_secret() {
    let it = parse("postgres://user:hunter22@host/db?sslmode=require&api_key=hunter22");
    let shown = format!(
        "{it:?} {:?} {} {}",
        it.password,
        it.password.as_ref().unwrap(),
        it.masked_uri()
    );
    assert!(!shown.contains("hunter22"), "{shown}");
    assert!(shown.contains("postgres://user:***@host/db"), "{shown}");
    assert!(format!("{it:?}").contains("user:***@host"), "{it:?}");
    assert_eq!(
        it.masked_uri(),
        "postgres://user:***@host/db?sslmode=require&api_key=***"
    );
    assert_eq!(
        it.secrets().iter().map(Secret::expose).collect::<Vec<_>>(),
        ["hunter22", "hunter22"]
    );
}

#[test]
fn a_secret_shows_stars_and_whether_it_is_there() {
    let secret = Secret::new("hunter22");
    assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    assert_eq!(secret.expose(), "hunter22");
    assert!(!secret.is_empty() && Secret::default().is_empty());
}

#[test]
fn an_address_in_brackets_is_written_in_brackets() {
    let uri = "redshift://user@[::1]:5439/db";
    assert_eq!(parse(uri).uri().expose(), uri);
}

#[test]
fn only_http_takes_its_type_from_the_address_behind_it() {
    assert_eq!(parse("http://https://host").conn_type, "https");
    assert_eq!(parse("ftp://https://host").conn_type, "ftp");
}

#[test]
fn a_schema_stands_before_the_path_of_an_address_in_the_host() {
    let of = |schema: Option<&str>, host: &str| {
        let mut it = Connection {
            conn_id: "api".to_owned(),
            conn_type: "http".to_owned(),
            host: Some(host.to_owned()),
            schema: schema.map(str::to_owned),
            ..Connection::default()
        };
        it.normalize();
        (it.conn_type, it.host.unwrap_or_default(), it.schema)
    };
    let of_host = |schema, host| {
        let (kind, host, schema) = of(schema, host);
        format!("{kind} {host} {}", schema.unwrap_or_else(|| "-".to_owned()))
    };
    assert_eq!(
        of_host(None, "https://example.com/v1"),
        "https example.com v1"
    );
    assert_eq!(of_host(None, "https://example.com"), "https example.com -");
    assert_eq!(
        of_host(Some("s"), "https://example.com/v1"),
        "https example.com s"
    );
    assert_eq!(of_host(Some("s"), "example.com"), "http example.com s");
    assert_eq!(of_host(None, "https://example.com/"), "https example.com -");
}

#[test]
fn a_flag_of_extra_is_said_as_json_or_as_text() {
    let of = |value: Value| Connection {
        extra: [("tls".to_owned(), value)].into_iter().collect(),
        ..Connection::default()
    };
    assert!(of(Value::Bool(true)).says("tls"));
    assert!(of("True".into()).says("tls"));
    for no in [Value::Bool(false), "no".into(), 1.into(), Value::Null] {
        assert!(!of(no.clone()).says("tls"), "{no}");
    }
    assert!(!of(Value::Bool(true)).says("other"));
}

#[test]
fn a_secret_in_extra_may_be_a_number_or_a_list() {
    let text = r#"{"conn_type": "http", "port": "", "extra": {"token": 12345678, "api_key": ["abcdef"],
        "retries": 87654321, "headers": ["visible"], "inner": {"secret": 11111111}}}"#;
    let connection = Connection::parse("dw", text).unwrap();
    assert_eq!(connection.port, None);
    let mut secrets = connection.secrets();
    secrets.sort_by_key(|it| it.expose().to_owned());
    assert_eq!(
        secrets.iter().map(Secret::expose).collect::<Vec<_>>(),
        ["11111111", "12345678", "[\"abcdef\"]"]
    );
    let bare = Connection::parse("dw", r#"{"conn_type": "http", "extra": " "}"#).unwrap();
    assert!(bare.extra.is_empty());
}

#[test]
fn an_exported_connection_is_read_with_its_name_and_description() {
    let text = r#"{"conn_id": "old", "conn_type": "http", "description": "the API", "host": "h"}"#;
    let connection = Connection::parse("dw", text).unwrap();
    assert_eq!(
        (connection.conn_id.as_str(), connection.host.as_deref()),
        ("dw", Some("h"))
    );
}

#[test]
fn extra_that_is_not_all_texts_is_written_as_json_and_read_back() {
    for extra in [
        serde_json::json!({"keepalives": 3, "sslmode": "require"}),
        serde_json::json!({"__extra__": "{}"}),
        serde_json::json!({"__extra__": "x", "sslmode": "require"}),
    ] {
        let connection = Connection {
            conn_id: "dw".to_owned(),
            conn_type: "postgres".to_owned(),
            host: Some("db".to_owned()),
            extra: extra.as_object().unwrap().clone(),
            ..Connection::default()
        };
        let uri = connection.uri();
        assert_eq!(
            Connection::parse("dw", uri.expose()).unwrap(),
            connection,
            "{}",
            uri.expose()
        );
    }
}

proptest! {
    #[test]
    fn a_uri_that_is_written_is_read_back(
        login in proptest::option::of("[^\0]{1,12}"),
        secret in proptest::option::of("[^\0*]{1,12}"),
        host in proptest::option::of("[a-z0-9./_-]{1,12}"),
        port in proptest::option::of(any::<u16>()),
        schema in proptest::option::of("[^\0]{1,12}"),
        extra in proptest::collection::hash_map("[a-z&= ]{1,6}", "[^\0]{0,6}", 0..3),
    ) {
        let connection = Connection {
            conn_id: "dw".to_owned(),
            conn_type: "redshift".to_owned(),
            host,
            port,
            schema,
            login,
            password: secret.map(Secret::new),
            extra: extra.into_iter().map(|(name, value)| (name, Value::String(value))).collect(),
        };
        prop_assert_eq!(Connection::parse("dw", connection.uri().expose()).unwrap(), connection);
    }

    #[test]
    fn no_text_panics(text in "[a-z:/@%?&=#\\[\\]{}\"é0-9]{0,40}") {
        if let Ok(connection) = Connection::parse("x", &text) {
            let _ = (connection.base_url(), connection.masked_uri(), connection.dialect());
        }
    }
}
