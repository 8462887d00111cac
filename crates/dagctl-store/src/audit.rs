//! Who did what, and when. Rows are only ever added, and hold no secret.

use jiff::Timestamp;
use serde_json::Value;

use crate::{Store, StoreError};

/// Something worth remembering.
#[derive(Debug, Clone, Default)]
pub struct AuditEntry<'a> {
    /// The account, or what stands for one.
    pub who: &'a str,
    /// What was done, such as `login` or `variable.set`.
    pub action: &'a str,
    /// To what.
    pub object: &'a str,
    /// More about it.
    pub detail: Value,
    /// The request it came with.
    pub request_id: Option<&'a str>,
    /// Where the request came from.
    pub address: Option<&'a str>,
}

/// Something remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRow {
    /// Its number; larger is later.
    pub audit_id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: String,
    /// More about it.
    pub detail: Value,
    /// Where the request came from.
    pub address: Option<String>,
}

impl Store {
    /// Remembers what somebody did.
    pub async fn audit(&self, entry: AuditEntry<'_>) -> Result<(), StoreError> {
        let detail = match entry.detail {
            Value::Null => Value::Object(serde_json::Map::new()),
            other => other,
        };
        sqlx::query!(
            "insert into audit (who, action, object, detail, request_id, address) values ($1, $2, $3, $4, $5, $6)",
            entry.who,
            entry.action,
            entry.object,
            detail,
            entry.request_id,
            entry.address
        )
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// What was remembered before `before`, newest first.
    pub async fn audit_rows(
        &self,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let rows = sqlx::query!(
            "select audit_id, at, who, action, object, detail, address from audit
             where $1::bigint is null or audit_id < $1 order by audit_id desc limit $2",
            before,
            limit
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| AuditRow {
                audit_id: row.audit_id,
                at: row.at.to_jiff(),
                who: row.who,
                action: row.action,
                object: row.object,
                detail: row.detail,
                address: row.address,
            })
            .collect())
    }
}
