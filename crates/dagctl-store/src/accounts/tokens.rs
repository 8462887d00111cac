//! What programs log in with instead of a password.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::{Principal, role, secret_hash};
use crate::{Store, StoreError};

/// A token; the token itself is shown once, when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its number.
    pub token_id: i32,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

impl Store {
    /// Keeps a token of an account.
    pub async fn create_token(
        &self,
        token: &str,
        account_id: i32,
        name: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<i32, StoreError> {
        Ok(sqlx::query_scalar!(
            "insert into token (token_hash, account_id, name, expires_at) values ($1, $2, $3, $4) returning token_id",
            secret_hash(token),
            account_id,
            name,
            expires_at.map(|it| it.to_sqlx()) as _
        )
        .fetch_one(self.pool())
        .await?)
    }

    /// Whose token it is, if it works; what it may do is what its account may do now, or could a second ago if another
    /// process changed that.
    pub async fn token(&self, token: &str) -> Result<Option<Principal>, StoreError> {
        let hash = secret_hash(token);
        let look = match self.token_cache().find(&hash) {
            Ok(principal) => return Ok(Some(principal)),
            Err(look) => look,
        };
        let row = sqlx::query!(
            r#"select t.token_id, a.account_id, a.name, a.role,
                 coalesce(t.last_used_at < now() - interval '1 minute', true) as "is_stale!"
             from token t join account a using (account_id)
             where t.token_hash = $1 and (t.expires_at is null or t.expires_at > now()) and a.disabled_at is null"#,
            hash
        )
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        if row.is_stale {
            sqlx::query!(
                "update token set last_used_at = now() where token_id = $1",
                row.token_id
            )
            .execute(self.pool())
            .await?;
        }
        let principal = Principal {
            account_id: row.account_id,
            name: row.name,
            role: role(&row.role)?,
        };
        self.token_cache().keep(look, hash, &principal);
        Ok(Some(principal))
    }

    /// The tokens of an account, newest first.
    pub async fn tokens_of(&self, account_id: i32) -> Result<Vec<TokenRow>, StoreError> {
        let rows = sqlx::query!(
            "select token_id, name, created_at, expires_at, last_used_at from token
             where account_id = $1 order by token_id desc",
            account_id
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| TokenRow {
                token_id: row.token_id,
                name: row.name,
                created_at: row.created_at.to_jiff(),
                expires_at: row.expires_at.map(|it| it.to_jiff()),
                last_used_at: row.last_used_at.map(|it| it.to_jiff()),
            })
            .collect())
    }

    /// Ends a token of an account. Whether there was one.
    pub async fn delete_token(&self, account_id: i32, token_id: i32) -> Result<bool, StoreError> {
        let deleted = sqlx::query!(
            "delete from token where account_id = $1 and token_id = $2",
            account_id,
            token_id
        )
        .execute(self.pool())
        .await;
        self.token_cache().forget();
        Ok(deleted?.rows_affected() > 0)
    }

    /// Ends every token of that account and name, such as one that is about to be replaced.
    pub async fn delete_tokens_called(
        &self,
        account_id: i32,
        name: &str,
    ) -> Result<u64, StoreError> {
        let deleted = sqlx::query!(
            "delete from token where account_id = $1 and name = $2",
            account_id,
            name
        )
        .execute(self.pool())
        .await;
        self.token_cache().forget();
        Ok(deleted?.rows_affected())
    }
}
