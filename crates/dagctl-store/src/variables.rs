//! Variables that were set on a page or by a command, sealed.

use jiff::Timestamp;

use crate::vault::{Kind, Place, Vault, VaultError};
use crate::{Store, StoreError};

/// A variable in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableRow {
    /// Its name.
    pub name: String,
    /// Its value, or why it cannot be opened.
    pub value: Result<String, VaultError>,
    /// Whether its value is shown to nobody.
    pub is_secret: bool,
    /// A sentence about it.
    pub description: Option<String>,
    /// When it was last set.
    pub updated_at: Timestamp,
    /// Who set it last.
    pub updated_by: Option<String>,
}

/// What a variable becomes.
#[derive(Debug, Clone)]
pub struct VariablePut<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a str,
    /// Whether its value is shown to nobody.
    pub is_secret: bool,
    /// A sentence about it.
    pub description: Option<&'a str>,
    /// Who sets it.
    pub by: &'a str,
}

impl Store {
    /// A number that changes with every change of a variable or connection.
    pub async fn settings_stamp(&self) -> Result<i64, StoreError> {
        // `updated_at` may go back: of two transactions, the one that began later may commit first.
        let stamp = sqlx::query_scalar!(
            r#"select coalesce(sum(hashtextextended(name || ' ' || xmin::text, kind) / 1024), 0)::bigint as "stamp!"
            from (
                select 1 as kind, name, xmin from variable
                union all
                select 2, conn_id, xmin from connection
            ) as settings"#
        )
        .fetch_one(self.pool())
        .await?;
        Ok(stamp)
    }

    /// Every variable, opened, by name.
    pub async fn variables(&self, vault: &Vault) -> Result<Vec<VariableRow>, StoreError> {
        let rows = sqlx::query!(
            "select name, sealed, version, is_secret, description, updated_at, updated_by from variable order by name"
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| VariableRow {
                value: vault.open(place(&row.name, row.version), &row.sealed),
                name: row.name,
                is_secret: row.is_secret,
                description: row.description,
                updated_at: row.updated_at.to_jiff(),
                updated_by: row.updated_by,
            })
            .collect())
    }

    /// Sets a variable.
    pub async fn put_variable(
        &self,
        vault: &Vault,
        put: VariablePut<'_>,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        // The row is made first, so that two who set a new name meet on its lock and the version only grows.
        sqlx::query!(
            "insert into variable (name, sealed, version, is_secret) values ($1, '', 0, true) on conflict do nothing",
            put.name
        )
        .execute(&mut *tx)
        .await?;
        let version = 1 + sqlx::query_scalar!(
            "select version from variable where name = $1 for update",
            put.name
        )
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query!(
            "update variable set sealed = $2, version = $3, is_secret = $4, description = $5, updated_at = now(),
                 updated_by = $6
             where name = $1",
            put.name,
            vault.seal(place(put.name, version), put.value),
            version,
            put.is_secret,
            put.description,
            put.by
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Deletes a variable. Whether there was one.
    pub async fn delete_variable(&self, name: &str) -> Result<bool, StoreError> {
        Ok(sqlx::query!("delete from variable where name = $1", name)
            .execute(self.pool())
            .await?
            .rows_affected()
            > 0)
    }
}

fn place(name: &str, version: i32) -> Place<'_> {
    Place {
        kind: Kind::Variable,
        name,
        version,
    }
}
