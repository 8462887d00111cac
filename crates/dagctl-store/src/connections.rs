//! Connections that were set on a page or by a command, sealed whole.

use jiff::Timestamp;

use crate::vault::{Kind, Place, Vault, VaultError};
use crate::{Store, StoreError};

/// A connection in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRow {
    /// Its name.
    pub conn_id: String,
    /// Its URI with all secrets, or why it cannot be opened.
    pub uri: Result<String, VaultError>,
    /// A sentence about it.
    pub description: Option<String>,
    /// When it was last set.
    pub updated_at: Timestamp,
    /// Who set it last.
    pub updated_by: Option<String>,
}

/// What a connection becomes.
#[derive(Debug, Clone)]
pub struct ConnectionPut<'a> {
    /// Its name.
    pub conn_id: &'a str,
    /// Its URI with all secrets.
    pub uri: &'a str,
    /// A sentence about it.
    pub description: Option<&'a str>,
    /// Who sets it.
    pub by: &'a str,
}

impl Store {
    /// Every connection, opened, by name.
    pub async fn connections(&self, vault: &Vault) -> Result<Vec<ConnectionRow>, StoreError> {
        let rows = sqlx::query!(
            "select conn_id, sealed, version, description, updated_at, updated_by from connection order by conn_id"
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| ConnectionRow {
                uri: vault.open(place(&row.conn_id, row.version), &row.sealed),
                conn_id: row.conn_id,
                description: row.description,
                updated_at: row.updated_at.to_jiff(),
                updated_by: row.updated_by,
            })
            .collect())
    }

    /// Sets a connection.
    pub async fn put_connection(
        &self,
        vault: &Vault,
        put: ConnectionPut<'_>,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        // The row is made first, so that two who set a new name meet on its lock and the version only grows.
        sqlx::query!(
            "insert into connection (conn_id, sealed, version) values ($1, '', 0) on conflict do nothing",
            put.conn_id
        )
        .execute(&mut *tx)
        .await?;
        let version = 1 + sqlx::query_scalar!(
            "select version from connection where conn_id = $1 for update",
            put.conn_id
        )
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query!(
            "update connection set sealed = $2, version = $3, description = $4, updated_at = now(), updated_by = $5
             where conn_id = $1",
            put.conn_id,
            vault.seal(place(put.conn_id, version), put.uri),
            version,
            put.description,
            put.by
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Deletes a connection. Whether there was one.
    pub async fn delete_connection(&self, conn_id: &str) -> Result<bool, StoreError> {
        Ok(
            sqlx::query!("delete from connection where conn_id = $1", conn_id)
                .execute(self.pool())
                .await?
                .rows_affected()
                > 0,
        )
    }
}

fn place(conn_id: &str, version: i32) -> Place<'_> {
    Place {
        kind: Kind::Connection,
        name: conn_id,
        version,
    }
}
