//! Task instances and their attempts as pages show them.

use std::collections::BTreeMap;

use dagctl_core::ids::{DagRunId, TaskInstanceKey};
use dagctl_core::state::{TaskState, Verdict};
use jiff::Timestamp;
use serde_json::Value;

use super::letter;
use crate::waiting::pokes;
use crate::{Store, StoreError};

/// A task instance: what the tables `task_instance`, `ready`, `timer` and `attempt` say together.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRow {
    /// Its place in the DAG, upstream first.
    pub task_index: i32,
    /// Which mapped instance.
    pub map_index: i32,
    /// Its name.
    pub task_id: String,
    /// What does it.
    pub operator: String,
    /// Whose slots it uses.
    pub pool: String,
    /// Where it stands.
    pub state: TaskState,
    /// Its last attempt, 0 before the first.
    pub attempt: i16,
    /// When it could start.
    pub queued_at: Option<Timestamp>,
    /// When its last attempt started.
    pub started_at: Option<Timestamp>,
    /// When it settled.
    pub finished_at: Option<Timestamp>,
    /// When it is tried again, or a sensor looks again.
    pub retry_at: Option<Timestamp>,
    /// When a sensor's first look began.
    pub first_poke_at: Option<Timestamp>,
    /// How often a sensor looked and found nothing.
    pub pokes: u32,
    /// Why it settled without running, or its failure's code.
    pub reason: Option<String>,
    /// What its last failed attempt said, unless it succeeded since.
    pub error: Option<String>,
    /// The worker that has or had it.
    pub worker: Option<String>,
}

/// How many task instances of a run stand where.
#[derive(Debug, Clone, Default)]
pub struct TaskCounts {
    /// Of all of them.
    pub all: Vec<(TaskState, i64)>,
    /// Of those of each mapped task, by its place, without those that are gone since its items changed.
    pub instances: BTreeMap<i32, Vec<(TaskState, i64)>>,
}

/// One try of a task instance.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// Its number, from 1.
    pub attempt: i16,
    /// How it stands or ended.
    pub state: AttemptState,
    /// Its failure's code.
    pub reason: Option<String>,
    /// What went wrong.
    pub message: Option<String>,
    /// The worker that had it.
    pub worker: Option<String>,
    /// When it could start.
    pub queued_at: Option<Timestamp>,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// How an attempt stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptState {
    /// Waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// It did what it was asked.
    Success,
    /// It failed.
    Failed,
    /// It asked to be left out.
    Skipped,
    /// Its worker vanished.
    Lost,
    /// Its worker drained and gave it back.
    HandedBack,
}

impl AttemptState {
    fn from_letter(letter: char) -> Option<Self> {
        match letter {
            'q' => Some(Self::Queued),
            'r' => Some(Self::Running),
            's' => Some(Self::Success),
            'f' => Some(Self::Failed),
            'k' => Some(Self::Skipped),
            'l' => Some(Self::Lost),
            'h' => Some(Self::HandedBack),
            _ => None,
        }
    }
}

/// The letters of the statements: those of the table, and what `ready` and `timer` add to them.
fn seen_letter(state: TaskState) -> char {
    match state {
        TaskState::None => 'n',
        TaskState::Scheduled => 'd',
        TaskState::Queued => 'q',
        TaskState::Running => 'r',
        TaskState::UpForRetry => 't',
        TaskState::UpForReschedule => 'p',
        TaskState::WaitingApproval => 'a',
        TaskState::Success => Verdict::Success.letter(),
        TaskState::Failed => Verdict::Failed.letter(),
        TaskState::UpstreamFailed => Verdict::UpstreamFailed.letter(),
        TaskState::Skipped => Verdict::Skipped.letter(),
    }
}

/// The letter of the table: one for all that have not settled.
fn stored_letter(state: TaskState) -> char {
    match state.is_final() {
        true => seen_letter(state),
        false => 'n',
    }
}

fn task_state(letter: char) -> Option<TaskState> {
    TaskState::ALL
        .into_iter()
        .find(|it| seen_letter(*it) == letter)
}

/// Which task instances of a run a list shows.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Their states; any where there is none.
    pub states: Vec<TaskState>,
    /// Their name.
    pub task_id: Option<String>,
    /// Those that come after this place and mapped instance.
    pub after: Option<(i32, i32)>,
    /// How many at most.
    pub limit: Option<i64>,
    /// Whether mapped tasks are shown without their instances.
    pub whole_only: bool,
}

impl TaskFilter {
    /// The last place that can be among the first `limit`: every task has one row for the whole of it.
    fn last_task(&self, after_task: i32) -> i32 {
        let limit = self
            .limit
            .filter(|_| self.states.is_empty() && self.task_id.is_none())
            .and_then(|it| i32::try_from(it).ok());
        limit.map_or(i32::MAX, |it| after_task.saturating_add(it))
    }
}

impl Store {
    /// Task instances of a run, upstream first.
    pub async fn task_rows(
        &self,
        run: DagRunId,
        filter: &TaskFilter,
    ) -> Result<Vec<TaskRow>, StoreError> {
        let letters = |of: fn(TaskState) -> char| {
            let letters = filter.states.iter().map(|it| of(*it) as i8);
            (!filter.states.is_empty()).then(|| letters.collect::<Vec<i8>>())
        };
        let (after_task, after_mapped) = filter.after.unwrap_or((-1, -1));
        sqlx::query_file!(
            "src/views/task_rows.sql",
            run.get(),
            after_task,
            after_mapped,
            letters(seen_letter) as _,
            filter.task_id,
            filter.limit.unwrap_or(i64::MAX),
            filter.whole_only,
            filter.last_task(after_task),
            letters(stored_letter) as _
        )
        .fetch_all(self.pool())
        .await?
        .into_iter()
        .map(|row| {
            Ok(TaskRow {
                task_index: row.task_index,
                map_index: row.map_index,
                task_id: row.task_id,
                operator: row.operator,
                pool: row.pool,
                state: letter("task_instance", row.state, task_state)?,
                attempt: row.attempt,
                queued_at: row.queued_at.map(|it| it.to_jiff()),
                started_at: row.started_at.map(|it| it.to_jiff()),
                finished_at: row.finished_at.map(|it| it.to_jiff()),
                retry_at: row.retry_at.map(|it| it.to_jiff()),
                first_poke_at: row.first_poke_at.map(|it| it.to_jiff()),
                pokes: pokes(row.pokes),
                reason: row.reason,
                error: row.error,
                worker: row.worker,
            })
        })
        .collect()
    }

    /// How many task instances of a run stand where.
    pub async fn task_counts(&self, run: DagRunId) -> Result<TaskCounts, StoreError> {
        let rows = sqlx::query_file!("src/views/task_counts.sql", run.get())
            .fetch_all(self.pool())
            .await?;
        let mut counts = TaskCounts::default();
        for row in rows {
            let state = letter("task_instance", row.state, task_state)?;
            add(&mut counts.all, state, row.count);
            if let Some(task) = row.of_task {
                add(counts.instances.entry(task).or_default(), state, row.kept);
            }
        }
        for of_some in counts.instances.values_mut() {
            once(of_some);
        }
        counts.instances.retain(|_, of_some| !of_some.is_empty());
        once(&mut counts.all);
        Ok(counts)
    }

    /// The attempts of a task instance, oldest first.
    pub async fn attempt_rows(&self, key: TaskInstanceKey) -> Result<Vec<AttemptRow>, StoreError> {
        sqlx::query_file!(
            "src/views/attempt_rows.sql",
            key.dag_run_id.get(),
            key.task_index.get(),
            key.map_index.get()
        )
        .fetch_all(self.pool())
        .await?
        .into_iter()
        .map(|row| {
            Ok(AttemptRow {
                attempt: row.attempt,
                state: letter("attempt", row.state, AttemptState::from_letter)?,
                reason: row.reason,
                message: row.message,
                worker: row.worker,
                queued_at: row.queued_at.map(|it| it.to_jiff()),
                started_at: row.started_at.map(|it| it.to_jiff()),
                finished_at: row.finished_at.map(|it| it.to_jiff()),
            })
        })
        .collect()
    }

    /// What a task instance handed on.
    pub async fn output_of(&self, key: TaskInstanceKey) -> Result<Option<Value>, StoreError> {
        Ok(sqlx::query_scalar!(
            "select value from output where dag_run_id = $1 and task_index = $2 and map_index = $3",
            key.dag_run_id.get(),
            key.task_index.get(),
            key.map_index.get()
        )
        .fetch_optional(self.pool())
        .await?)
    }
}

fn add(counts: &mut Vec<(TaskState, i64)>, state: TaskState, more: i64) {
    match counts.iter_mut().find(|(it, _)| *it == state) {
        Some((_, count)) => *count += more,
        None => counts.push((state, more)),
    }
}

/// Of what has not settled leaves those that wait for nothing that is known: the others are counted in their own states.
fn once(counts: &mut Vec<(TaskState, i64)>) {
    let open = counts
        .iter()
        .filter(|(it, _)| !it.is_final() && *it != TaskState::None);
    let open: i64 = open.map(|(_, count)| count).sum();
    if let Some((_, count)) = counts.iter_mut().find(|(it, _)| *it == TaskState::None) {
        *count -= open;
    }
    counts.retain(|(_, count)| *count > 0);
}
