//! The outbox: messages written in the transaction that caused them, sent by whoever holds their lease.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use crate::{Store, StoreError};

mod add;

pub use add::{Gathering, NewNotice};

/// A message to send, under a lease.
#[derive(Debug, Clone, PartialEq)]
pub struct DueNotice {
    /// Its key.
    pub notice_id: i64,
    /// The fence of this lease.
    pub lease_no: i32,
    /// Everything its sender needs, but for the news.
    pub payload: Value,
    /// What it tells of each task, in the order in which it happened.
    pub news: Vec<Value>,
    /// Sends before this one.
    pub sends: i16,
    /// Sends before this one that may have arrived.
    pub doubtful: i16,
    /// How long ago it was written, in seconds.
    pub age_seconds: f64,
}

/// What became of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendResult {
    /// It arrived.
    Sent,
    /// It did not arrive; try again after this.
    Later {
        /// How long to wait.
        delay: Duration,
        /// Why.
        error: String,
        /// Whether it may have arrived all the same.
        doubt: Doubt,
    },
    /// Nobody will ever know whether it arrived.
    Unknown {
        /// Why.
        error: String,
    },
    /// It will never arrive.
    GivenUp {
        /// Why.
        error: String,
    },
}

/// Whether a send that failed may have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It did not.
    None,
    /// It may have.
    Some,
}

impl Store {
    /// Takes up to `limit` due messages under a lease.
    pub async fn take_notices(
        &self,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<DueNotice>, StoreError> {
        let rows = sqlx::query!(
            r#"update notice set lease_until = now() + make_interval(secs => $2), lease_no = lease_no + 1
            where notice_id = any (array(
                select notice_id from notice
                where state = 'p' and due_at <= now() and (lease_until is null or lease_until < now())
                order by due_at, notice_id limit $1
                for update skip locked
            ))
            returning notice_id, lease_no, payload, sends, doubtful,
                extract(epoch from now() - created_at)::float8 as "age!""#,
            limit,
            lease.as_secs_f64()
        )
        .fetch_all(self.pool())
        .await?;
        // In a statement of its own: what has joined before the lease is seen, and nothing joins after it.
        let taken: Vec<i64> = rows.iter().map(|it| it.notice_id).collect();
        let items = sqlx::query!(
            "select notice_id, news from notice_item where notice_id = any($1) order by item_id",
            &taken
        )
        .fetch_all(self.pool())
        .await?;
        let mut news: HashMap<i64, Vec<Value>> = HashMap::new();
        for it in items {
            news.entry(it.notice_id).or_default().push(it.news);
        }
        let mut notices: Vec<DueNotice> = rows
            .into_iter()
            .map(|row| DueNotice {
                news: news.remove(&row.notice_id).unwrap_or_default(),
                notice_id: row.notice_id,
                lease_no: row.lease_no,
                payload: row.payload,
                sends: row.sends,
                doubtful: row.doubtful,
                age_seconds: row.age,
            })
            .collect();
        notices.sort_by_key(|it| it.notice_id);
        Ok(notices)
    }

    /// Records what became of a send; `false`: the lease had gone to somebody else.
    pub async fn settle_notice(
        &self,
        notice: &DueNotice,
        result: &SendResult,
    ) -> Result<bool, StoreError> {
        let (state, delay, error, doubtful) = match result {
            SendResult::Sent => ('s', 0.0, None, 0),
            SendResult::Later {
                delay,
                error,
                doubt: Doubt::None,
            } => ('p', delay.as_secs_f64(), Some(error), 0),
            SendResult::Later {
                delay,
                error,
                doubt: Doubt::Some,
            } => ('p', delay.as_secs_f64(), Some(error), 1),
            SendResult::Unknown { error } => ('u', 0.0, Some(error), 1),
            SendResult::GivenUp { error } => ('d', 0.0, Some(error), 0),
        };
        let done = sqlx::query!(
            "update notice set state = $3, sends = sends + 1, doubtful = doubtful + $4, last_error = $5,
                due_at = now() + make_interval(secs => $6), lease_until = null,
                settled_at = case when $3 = 'p'::\"char\" then null else now() end
            where notice_id = $1 and lease_no = $2 and state = 'p'",
            notice.notice_id,
            notice.lease_no,
            crate::plans::letter(state),
            doubtful,
            error,
            delay
        )
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Sends a message again that was given up or of which nobody knows whether it arrived; `false`: there is none.
    pub async fn resend_notice(&self, notice_id: i64) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update notice set state = 'p', due_at = now(), lease_until = null, doubtful = 0, created_at = now(),
                settled_at = null
            where notice_id = $1 and state in ('u', 'd')",
            notice_id
        )
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() > 0)
    }
}
