//! What is due now, and how long until something is: one statement a service, so that an idle one asks once and sleeps.

use std::time::Duration;

use dagctl_core::ids::{DagKey, DagRunId};
use dagctl_core::run::MAX_LOST;
use dagctl_core::schedule::Schedule;
use jiff::Timestamp;

use crate::{Store, StoreError};

/// What the scheduler finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDags {
    /// The database's clock at that look.
    pub now: Timestamp,
    /// DAGs whose schedule calls for a look.
    pub dags: Vec<DagKey>,
    /// Whether tables were written that nobody was told of.
    pub has_news: bool,
    /// DAGs that have queued runs and a place for one.
    pub waiting: Vec<DagKey>,
    /// Runs for which the clock calls: for their end, for another try, or for a message. Not all, if there are many.
    pub runs: Vec<DagRunId>,
    /// Backfills that can go on, or that nothing is left of.
    pub backfills: Vec<i32>,
    /// Cancelled backfills with runs in the queue.
    pub cancelled_backfills: Vec<i32>,
    /// How long until the next DAG or run is due, if one will be.
    pub next: Option<Duration>,
}

/// What the timekeeper finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimersDue {
    /// Whether a task that waits may go on: a retry, or a sensor.
    pub any: bool,
    /// Runs with a question that nobody answered in time.
    pub unanswered: Vec<DagRunId>,
    /// How long until the next one is, if one will be.
    pub next: Option<Duration>,
}

/// What the reaper finds: whatever nobody else takes care of any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neglected {
    /// Whether the lease of a worker ran out.
    pub silent: bool,
    /// Whether workers without a lease hold tasks.
    pub held: bool,
    /// Whether a run that was set aside is asked to stop.
    pub set_aside: bool,
    /// Runs in which something is left to decide: marked so, asked to stop, all settled, or with a task that keeps
    /// losing its worker.
    pub runs: Vec<DagRunId>,
    /// DAGs in which something happened that later runs may wait for.
    pub news: Vec<DagKey>,
    /// How long until the next lease runs out, unless it is renewed.
    pub next: Option<Duration>,
}

impl Store {
    /// What the scheduler should do now.
    ///
    /// A DAG that runs again and again is due as soon as its last run has ended, whatever its time says.
    pub async fn due_dags(&self) -> Result<DueDags, StoreError> {
        let row = sqlx::query_file!("src/due/dags.sql", Schedule::Continuous.describe())
            .fetch_one(self.pool())
            .await?;
        Ok(DueDags {
            now: row.now.to_jiff(),
            dags: row.dags.into_iter().map(DagKey).collect(),
            has_news: row.has_news,
            waiting: row.waiting.into_iter().map(DagKey).collect(),
            runs: row.runs.into_iter().map(DagRunId).collect(),
            backfills: row.backfills,
            cancelled_backfills: row.cancelled_backfills,
            next: seconds(row.next),
        })
    }

    /// Whether tasks that wait are due.
    pub async fn timers_due(&self) -> Result<TimersDue, StoreError> {
        let row = sqlx::query!(
            r#"select exists (select from timer where due_at <= now() and kind <> 'a') as "any!",
                array(
                    select distinct dag_run_id from timer where due_at <= now() and kind = 'a' order by 1 limit 100
                ) as "unanswered!",
                extract(epoch from (select min(due_at) from timer where due_at > now()) - now())::float8 as next"#
        )
        .fetch_one(self.pool())
        .await?;
        Ok(TimersDue {
            any: row.any,
            unanswered: row.unanswered.into_iter().map(DagRunId).collect(),
            next: seconds(row.next),
        })
    }

    /// How long until a message is due, if one waits; zero, if one is due.
    pub async fn next_notice(&self) -> Result<Option<Duration>, StoreError> {
        let next = sqlx::query_scalar!(
            "select extract(epoch from min(greatest(due_at, coalesce(lease_until, due_at))) - now())::float8
            from notice where state = 'p'"
        )
        .fetch_one(self.pool())
        .await?;
        Ok(seconds(next))
    }

    /// What the reaper should do now. No worker counts as silent in the first `lease` after the database started: its
    /// own outage must not look like everybody's silence.
    pub async fn neglected(&self, lease: Duration) -> Result<Neglected, StoreError> {
        let row = sqlx::query_file!("src/due/neglected.sql", lease.as_secs_f64(), MAX_LOST)
            .fetch_one(self.pool())
            .await?;
        Ok(Neglected {
            silent: row.silent,
            held: row.held,
            set_aside: row.set_aside,
            runs: row.runs.into_iter().map(DagRunId).collect(),
            news: row.news.into_iter().map(DagKey).collect(),
            next: seconds(row.next),
        })
    }
}

fn seconds(it: Option<f64>) -> Option<Duration> {
    it.map(|it| Duration::try_from_secs_f64(it.max(0.0)).unwrap_or_default())
}
