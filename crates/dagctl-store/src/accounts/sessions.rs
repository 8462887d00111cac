//! Who is logged in on a browser, on any web node.

use jiff::{SignedDuration, Timestamp};

use super::{Principal, role, secret_hash};
use crate::{Store, StoreError};

/// How long a session lives without a request.
pub const IDLE_SESSION: SignedDuration = SignedDuration::from_mins(30);
/// How long a session lives at most.
pub const ABSOLUTE_SESSION: SignedDuration = SignedDuration::from_hours(12);

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

impl Store {
    /// Begins a session under a fresh random reference.
    pub async fn start_session(&self, reference: &str, account_id: i32) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!("delete from login_session where expires_at < now() or last_seen_at < now() - interval '1 day'")
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "insert into login_session (token_hash, account_id, expires_at)
             values ($1, $2, now() + make_interval(secs => $3))",
            secret_hash(reference),
            account_id,
            ABSOLUTE_SESSION.as_secs_f64()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whose session it is, if it has not ended; keeps it alive.
    pub async fn session(&self, reference: &str) -> Result<Option<Principal>, StoreError> {
        let hash = secret_hash(reference);
        let row = sqlx::query!(
            r#"select a.account_id, a.name, a.role, s.last_seen_at < now() - interval '1 minute' as "is_stale!"
             from login_session s join account a using (account_id)
             where s.token_hash = $1 and s.expires_at > now() and a.disabled_at is null
                 and s.last_seen_at > now() - make_interval(secs => $2)"#,
            hash,
            IDLE_SESSION.as_secs_f64()
        )
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        // Once a minute is often enough, and spares a write with every request.
        if row.is_stale {
            sqlx::query!(
                "update login_session set last_seen_at = now() where token_hash = $1",
                hash
            )
            .execute(self.pool())
            .await?;
        }
        Ok(Some(Principal {
            account_id: row.account_id,
            name: row.name,
            role: role(&row.role)?,
        }))
    }

    /// Whether a session has not ended; does not keep it alive.
    pub async fn session_lives(&self, reference: &str) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"select exists (
                 select from login_session s join account a using (account_id)
                 where s.token_hash = $1 and s.expires_at > now() and a.disabled_at is null
                     and s.last_seen_at > now() - make_interval(secs => $2)
             ) as "lives!""#,
            secret_hash(reference),
            IDLE_SESSION.as_secs_f64()
        )
        .fetch_one(self.pool())
        .await?)
    }

    /// Ends a session.
    pub async fn end_session(&self, reference: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from login_session where token_hash = $1",
            secret_hash(reference)
        )
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Ends every session of an account.
    pub async fn end_sessions(&self, account_id: i32) -> Result<u64, StoreError> {
        Ok(sqlx::query!(
            "delete from login_session where account_id = $1",
            account_id
        )
        .execute(self.pool())
        .await?
        .rows_affected())
    }

    /// The sessions of an account, newest first.
    pub async fn sessions_of(&self, account_id: i32) -> Result<Vec<SessionRow>, StoreError> {
        let rows = sqlx::query!(
            "select created_at, last_seen_at, expires_at from login_session
             where account_id = $1 and expires_at > now() and last_seen_at > now() - make_interval(secs => $2)
             order by created_at desc",
            account_id,
            IDLE_SESSION.as_secs_f64()
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| SessionRow {
                created_at: row.created_at.to_jiff(),
                last_seen_at: row.last_seen_at.to_jiff(),
                expires_at: row.expires_at.to_jiff(),
            })
            .collect())
    }
}
