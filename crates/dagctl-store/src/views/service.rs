//! Problems, workers, pools and undelivered notices: how the installation is doing.

use jiff::Timestamp;

use crate::{Store, StoreError};

/// Something wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemRow {
    /// Its number.
    pub problem_id: i64,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: i32,
    /// The column, from 1.
    pub col: i32,
    /// `error` or `warning`.
    pub severity: String,
    /// Its stable code.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// The whole message, with the line and a caret.
    pub rendered: String,
    /// The DAG of the file.
    pub dag_id: Option<String>,
    /// Whether that DAG has a version that runs.
    pub has_version: bool,
    /// Whether it keeps the file's newest text from being used.
    pub is_fatal: bool,
    /// When it was first seen.
    pub first_seen_at: Timestamp,
}

/// A worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRow {
    /// Its number.
    pub worker_id: i32,
    /// The machine and process it runs in.
    pub name: String,
    /// The version of dagctl it runs.
    pub version: String,
    /// How it is doing.
    pub state: WorkerState,
    /// Attempts it takes at once.
    pub slots: i32,
    /// Attempts it has.
    pub running: i64,
    /// When it started.
    pub started_at: Timestamp,
    /// Until when its claims are its own.
    pub lease_until: Timestamp,
}

/// How a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// It renews its lease.
    Alive,
    /// Its lease ran out, and nobody has taken its work yet.
    Late,
    /// It fell silent, and its work was given to others.
    Lost,
    /// It left cleanly.
    Stopped,
}

impl WorkerState {
    /// The name in REST.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Late => "late",
            Self::Lost => "lost",
            Self::Stopped => "stopped",
        }
    }
}

/// A pool and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRow {
    /// Its name.
    pub name: String,
    /// How many tasks run in it at once.
    pub slots: Option<i32>,
    /// A sentence about it.
    pub description: Option<String>,
    /// How many run now.
    pub running: i64,
    /// How many wait.
    pub queued: i64,
}

/// A message that has not arrived for certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// Its number.
    pub notice_id: i64,
    /// The run it is about, if that is still known.
    pub run: Option<(String, String)>,
    /// Where it stands.
    pub state: NoticeState,
    /// How often it was sent.
    pub sends: i16,
    /// When it is sent next.
    pub due_at: Timestamp,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: Timestamp,
}

/// Where a notice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeState {
    /// It will be sent.
    Pending,
    /// Nobody can say whether it arrived.
    Unknown,
    /// It will not be sent any more.
    GivenUp,
}

/// Counts for the head of every page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Problems of files.
    pub problems: i64,
    /// Workers that renew their lease.
    pub workers: i64,
}

impl Store {
    /// Every problem, errors first, by file and line.
    pub async fn problem_rows(&self) -> Result<Vec<ProblemRow>, StoreError> {
        let rows = sqlx::query!(
            r#"select problem_id, file, line, col, severity, code, message, rendered, dag_id, first_seen_at,
                 exists (select from dag d where d.dag_id = problem.dag_id and d.active_version_id is not null)
                     as "has_version!",
                 severity = 'error' and code not in ('D021', 'D030') as "is_fatal!"
             from problem order by severity = 'error' desc, file, line, col, problem_id"#
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| ProblemRow {
                problem_id: row.problem_id,
                file: row.file,
                line: row.line,
                col: row.col,
                severity: row.severity,
                code: row.code,
                message: row.message,
                rendered: row.rendered,
                dag_id: row.dag_id,
                has_version: row.has_version,
                is_fatal: row.is_fatal,
                first_seen_at: row.first_seen_at.to_jiff(),
            })
            .collect())
    }

    /// Workers that are alive or were within a day, the living first.
    pub async fn worker_rows(&self) -> Result<Vec<WorkerRow>, StoreError> {
        let rows = sqlx::query!(
            r#"select w.worker_id, w.name, w.version, w.slots, w.started_at, w.lease_until,
                 w.lost_at is not null as "is_lost!", w.stopped_at is not null as "is_stopped!",
                 w.lease_until < now() as "is_late!",
                 coalesce(y.running, 0) as "running!"
             from worker w
             left join (select worker_id, count(*) as running from ready group by worker_id) y using (worker_id)
             where w.lease_until > now() - interval '1 day'
             order by w.lost_at is not null or w.stopped_at is not null, w.worker_id desc
             limit 200"#
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| WorkerRow {
                worker_id: row.worker_id,
                name: row.name,
                version: row.version,
                state: match (row.is_stopped, row.is_lost, row.is_late) {
                    (true, ..) => WorkerState::Stopped,
                    (false, true, _) => WorkerState::Lost,
                    (false, false, true) => WorkerState::Late,
                    (false, false, false) => WorkerState::Alive,
                },
                slots: row.slots,
                running: row.running,
                started_at: row.started_at.to_jiff(),
                lease_until: row.lease_until.to_jiff(),
            })
            .collect())
    }

    /// Every pool, by name.
    pub async fn pool_rows(&self) -> Result<Vec<PoolRow>, StoreError> {
        let rows = sqlx::query!(
            r#"select p.name, p.slots, p.description,
                 count(y.worker_id) as "running!", count(y.dag_run_id) - count(y.worker_id) as "queued!"
             from pool p left join ready y using (pool_key)
             group by p.pool_key order by p.name"#
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| PoolRow {
                name: row.name,
                slots: row.slots,
                description: row.description,
                running: row.running,
                queued: row.queued,
            })
            .collect())
    }

    /// Sets a pool's slots, and its description where one is given; makes the pool if there is none.
    pub async fn put_pool(
        &self,
        name: &str,
        slots: Option<i32>,
        description: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into pool (name, slots, description) values ($1, $2, $3)
             on conflict on constraint pool_name_unique
             do update set slots = excluded.slots, description = coalesce(excluded.description, pool.description)",
            name,
            slots,
            description
        )
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Messages that have not arrived for certain, newest first.
    pub async fn undelivered_notices(&self, limit: i64) -> Result<Vec<NoticeRow>, StoreError> {
        sqlx::query!(
            r#"select n.notice_id, d.dag_id as "dag_id?", r.run_id as "run_id?", n.state, n.sends, n.due_at,
                 n.last_error, n.created_at
             from notice n
             left join dag_run r using (dag_run_id)
             left join dag d using (dag_key)
             where n.state in ('p', 'u', 'd') order by n.notice_id desc limit $1"#,
            limit
        )
        .fetch_all(self.pool())
        .await?
        .into_iter()
        .map(|row| {
            Ok(NoticeRow {
                notice_id: row.notice_id,
                run: row.dag_id.zip(row.run_id),
                state: super::letter("notice", row.state, |letter| match letter {
                    'p' => Some(NoticeState::Pending),
                    'u' => Some(NoticeState::Unknown),
                    'd' => Some(NoticeState::GivenUp),
                    _ => None,
                })?,
                sends: row.sends,
                due_at: row.due_at.to_jiff(),
                last_error: row.last_error,
                created_at: row.created_at.to_jiff(),
            })
        })
        .collect()
    }

    /// The counts for the head of every page.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        let row = sqlx::query!(
            r#"select (select count(*) from problem) as "problems!",
                 (select count(*) from worker
                     where lost_at is null and stopped_at is null and lease_until > now()) as "workers!""#
        )
        .fetch_one(self.pool())
        .await?;
        Ok(Counts {
            problems: row.problems,
            workers: row.workers,
        })
    }
}
