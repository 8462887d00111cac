//! Where a variable or connection comes from, and what a worker is given.

use std::collections::BTreeMap;

use dagctl_core::connection::{Connection, Secret};
use dagctl_engine::settings::{
    ConnectionChange, ConnectionText, Settings, SettingsError, SettingsOptions, Source,
    VariableChange,
};
use dagctl_store::Store;
use dagctl_store::database::MIGRATIONS;
use dagctl_store::vault::Vault;
use dagctl_testkit::TestDatabase;

fn settings(database: &TestDatabase, environment: &[(&str, &str)]) -> Settings {
    let demo = Connection::parse("redshift_dev_db", "postgres://demo@socket/warehouse")
        .expect("this is a URI");
    Settings::new(SettingsOptions {
        store: Store::from_pool(database.pool.clone()),
        vault: Vault::new(&[1; 32]),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        default_connections: BTreeMap::from([("redshift_dev_db".to_owned(), demo)]),
    })
}

fn change(conn_id: &str, uri: &str) -> ConnectionChange {
    ConnectionChange {
        conn_id: conn_id.to_owned(),
        text: ConnectionText::Whole(Secret::new(uri)),
        description: None,
        by: "kim".to_owned(),
    }
}

#[tokio::test]
async fn each_source_yields_to_the_stronger_one() {
    let database = TestDatabase::migrated(&MIGRATIONS).await;
    let host = async |settings: &Settings| {
        let shown = settings
            .get_connection("redshift_dev_db")
            .await
            .unwrap()
            .unwrap();
        let given = settings.snapshot().await.unwrap();
        let given = given.connections()["redshift_dev_db"].host.clone();
        assert_eq!(shown.connection.unwrap().host, given);
        (shown.source, given.unwrap(), shown.shadows.len())
    };
    let bare = settings(&database, &[]);
    assert_eq!(host(&bare).await, (Source::Default, "socket".into(), 0));
    bare.set_connection(change("redshift_dev_db", "postgres://saved/db"))
        .await
        .unwrap();
    assert_eq!(host(&bare).await, (Source::Database, "saved".into(), 1));
    let airflow = ("AIRFLOW_CONN_REDSHIFT_DEV_DB", "postgres://airflow/db");
    let with_airflow = settings(&database, &[airflow]);
    assert_eq!(
        host(&with_airflow).await,
        (Source::AirflowEnvironment, "airflow".into(), 2)
    );
    let both = settings(
        &database,
        &[
            airflow,
            ("DAGCTL_CONN_REDSHIFT_DEV_DB", "postgres://own/db"),
        ],
    );
    assert_eq!(host(&both).await, (Source::Environment, "own".into(), 3));
}

#[tokio::test]
async fn a_worker_finds_environment_names_in_both_cases_and_what_to_mask() {
    let database = TestDatabase::migrated(&MIGRATIONS).await;
    let settings = settings(
        &database,
        &[
            ("DAGCTL_VAR_DATA_DIR", "/data"),
            ("DAGCTL_VAR_API_TOKEN", "t0ken-value"),
            ("DAGCTL_CONN_DW", "postgres://me:pa55word-of-dw@host/db"),
            ("UNRELATED", "x"),
        ],
    );
    let saved = VariableChange {
        name: "plain".to_owned(),
        value: Some(Secret::new("saved-secret")),
        is_secret: Some(true),
        by: "kim".to_owned(),
        ..VariableChange::default()
    };
    settings.set_variable(saved).await.unwrap();
    let given = settings.snapshot().await.unwrap();
    for name in ["DATA_DIR", "data_dir"] {
        assert_eq!(
            given.variables().get(name).map(String::as_str),
            Some("/data")
        );
    }
    assert!(given.connections().contains_key("dw"));
    for secret in ["t0ken-value", "pa55word-of-dw", "saved-secret"] {
        assert!(given.secrets().iter().any(|it| it == secret), "{secret}");
    }
    assert!(!given.secrets().iter().any(|it| it == "/data"));
}

#[tokio::test]
async fn one_value_that_cannot_be_read_spoils_no_other() {
    let database = TestDatabase::migrated(&MIGRATIONS).await;
    let settings = settings(&database, &[("DAGCTL_CONN_BAD", "no connection at all")]);
    for name in ["good", "bad_one"] {
        let change = VariableChange {
            name: name.to_owned(),
            value: Some(Secret::new("value")),
            by: "kim".to_owned(),
            ..VariableChange::default()
        };
        settings.set_variable(change).await.unwrap();
    }
    sqlx::query("update variable set version = 7 where name = 'bad_one'")
        .execute(&database.pool)
        .await
        .unwrap();
    let given = settings.snapshot().await.unwrap();
    assert_eq!(given.variables().keys().collect::<Vec<_>>(), ["good"]);
    assert!(
        given
            .broken("bad_one")
            .is_some_and(|it| it.contains("set it again"))
    );
    assert!(given.broken("bad").is_some());
    let shown = settings.list_variables().await.unwrap();
    assert!(shown[0].problem.is_some() && shown[1].problem.is_none());
}

#[tokio::test]
async fn what_the_environment_sets_can_only_be_taken_away_there() {
    let database = TestDatabase::migrated(&MIGRATIONS).await;
    let settings = settings(&database, &[("AIRFLOW_VAR_X", "1")]);
    let refused = settings.delete_variable("x").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`x` is set by AIRFLOW_VAR_X; it can only be taken away there"
    );
    let built_in = settings
        .delete_connection("redshift_dev_db")
        .await
        .unwrap_err();
    assert!(matches!(built_in, SettingsError::NotInDatabase { .. }));
    let unknown = settings.delete_variable("y").await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no variable `y`");
    let bad = settings
        .set_connection(change("a b", "http://x"))
        .await
        .unwrap_err();
    assert!(matches!(bad, SettingsError::BadName(_)));
}
