//! Variables and connections in the database are sealed, and bound to their place.

use dagctl_store::Store;
use dagctl_store::connections::ConnectionPut;
use dagctl_store::database::MIGRATIONS;
use dagctl_store::variables::VariablePut;
use dagctl_store::vault::{Vault, VaultError};
use dagctl_testkit::TestDatabase;

fn put<'a>(name: &'a str, value: &'a str) -> VariablePut<'a> {
    VariablePut {
        name,
        value,
        is_secret: true,
        description: None,
        by: "kim",
    }
}

async fn values(store: &Store, vault: &Vault) -> Vec<Result<String, VaultError>> {
    let rows = store
        .variables(vault)
        .await
        .expect("the variables are read");
    rows.into_iter().map(|it| it.value).collect()
}

#[tokio::test]
async fn swapped_and_rolled_back_values_are_refused() {
    let database = TestDatabase::migrated(&MIGRATIONS).await;
    let store = Store::from_pool(database.pool.clone());
    let vault = Vault::new(&[1; 32]);
    store.put_variable(&vault, put("a", "one")).await.unwrap();
    store.put_variable(&vault, put("b", "two")).await.unwrap();
    assert_eq!(
        values(&store, &vault).await,
        [Ok("one".into()), Ok("two".into())]
    );
    sqlx::query("update variable set sealed = (select sealed from variable where name = 'a') where name = 'b'")
        .execute(&database.pool)
        .await
        .unwrap();
    let tampered = Err(VaultError::Tampered("variable `b`".into()));
    assert_eq!(values(&store, &vault).await, [Ok("one".into()), tampered]);

    let old: Vec<u8> = sqlx::query_scalar("select sealed from variable where name = 'a'")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    store.put_variable(&vault, put("a", "new")).await.unwrap();
    sqlx::query("update variable set sealed = $1 where name = 'a'")
        .bind(old)
        .execute(&database.pool)
        .await
        .unwrap();
    assert!(values(&store, &vault).await[0].is_err());
}

#[tokio::test]
async fn a_new_name_set_by_many_at_once_ends_as_one_of_theirs() {
    let database = TestDatabase::migrated(&MIGRATIONS).await;
    let store = Store::from_pool(database.pool.clone());
    let vault = Vault::new(&[1; 32]);
    let texts: Vec<String> = (0..12).map(|it| format!("value {it}")).collect();
    let puts = texts
        .iter()
        .map(|it| store.put_variable(&vault, put("a", it)));
    for done in futures::future::join_all(puts).await {
        done.unwrap();
    }
    let value = values(&store, &vault).await.remove(0).unwrap();
    assert!(texts.contains(&value));
    let version: i32 = sqlx::query_scalar("select version from variable")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(version, 12);
}

#[tokio::test]
async fn another_key_opens_nothing_and_says_so() {
    let database = TestDatabase::migrated(&MIGRATIONS).await;
    let store = Store::from_pool(database.pool.clone());
    let connection = ConnectionPut {
        conn_id: "dw",
        uri: "postgres://me:canary@host/db",
        description: Some("the warehouse"),
        by: "kim",
    };
    store
        .put_connection(&Vault::new(&[1; 32]), connection)
        .await
        .unwrap();
    let rows = store.connections(&Vault::new(&[2; 32])).await.unwrap();
    assert_eq!(
        rows[0].uri,
        Err(VaultError::OtherKey("connection `dw`".into()))
    );
    assert_eq!(rows[0].description.as_deref(), Some("the warehouse"));
    let dump: String = sqlx::query_scalar("select connection::text from connection")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert!(!dump.contains("canary"));
}
