//! Slows down the guessing of passwords, for all web nodes together.

use std::time::Duration;

use crate::{Store, StoreError};

/// Failures that cost nothing.
const FREE: u32 = 5;
/// The longest pause between two tries; there is no lockout beyond it.
const LONGEST: Duration = Duration::from_secs(300);

/// Whose failures count together with this try: the account's, and the address's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginPlace {
    /// The account's name, as it was typed in.
    pub account: String,
    /// Where the request comes from.
    pub address: String,
}

/// Whether a password may be tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginSlot {
    /// Yes; it counts as a failure until [`Store::login_succeeded`].
    Go,
    /// Not before that.
    Wait(Duration),
}

impl LoginPlace {
    fn keys(&self) -> [String; 2] {
        [
            format!("account:{}", self.account),
            format!("address:{}", self.address),
        ]
    }
}

impl Store {
    /// Asks whether a password may be tried, and counts the try before its password is looked at: of many sent at
    /// once, no more get through than of those sent one by one.
    pub async fn reserve_login(&self, place: &LoginPlace) -> Result<LoginSlot, StoreError> {
        let keys = place.keys();
        let mut tx = self.begin().await?;
        // Tries for the same account or address come one after another; keys are locked in one order.
        for key in &keys {
            sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", key)
                .execute(&mut *tx)
                .await?;
        }
        sqlx::query!("delete from login_failure where at < now() - interval '15 minutes'")
            .execute(&mut *tx)
            .await?;
        let rows = sqlx::query!(
            r#"select count(*) as "count!",
                 extract(epoch from clock_timestamp() - max(at))::double precision as "since!"
             from login_failure where who = any($1) group by who"#,
            &keys[..]
        )
        .fetch_all(&mut *tx)
        .await?;
        let wait = rows
            .into_iter()
            .map(|row| {
                let failures = u32::try_from(row.count).unwrap_or(u32::MAX);
                pause(failures).saturating_sub(Duration::from_secs_f64(row.since.max(0.0)))
            })
            .max()
            .unwrap_or_default();
        if !wait.is_zero() {
            return Ok(LoginSlot::Wait(wait));
        }
        sqlx::query!(
            "insert into login_failure (who, at) select who, clock_timestamp() from unnest($1::text[]) who",
            &keys[..]
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(LoginSlot::Go)
    }

    /// Forgets the failures of an account whose password was right, and the last try of its address.
    pub async fn login_succeeded(&self, place: &LoginPlace) -> Result<(), StoreError> {
        let [account, address] = place.keys();
        sqlx::query!(
            "delete from login_failure where who = $1
                 or ctid = (select ctid from login_failure where who = $2 order by at desc limit 1)",
            account,
            address
        )
        .execute(self.pool())
        .await?;
        Ok(())
    }
}

/// How long after the last failure the next try must wait.
fn pause(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(12 << more.min(8)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_and_has_an_end() {
        assert_eq!(pause(4), Duration::ZERO);
        assert_eq!(pause(5), Duration::from_secs(12));
        assert_eq!(pause(6), Duration::from_secs(24));
        assert_eq!(pause(u32::MAX), LONGEST);
    }
}
