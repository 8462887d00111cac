//! Tasks that wait without a worker: pokes settled in batches, questions and answers, and what of other runs a task
//! may wait for.

use dagctl_core::ids::{DagRunId, DagVersionId, TaskInstanceKey, WorkerId};
use dagctl_core::operator::Answer;
use dagctl_core::run::{Answered, AskedFor};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::attempts::{Columns, GivenBack, attempt_key};
use crate::plans::{Look, from_letter, letter};
use crate::{Store, StoreError};

mod external;
mod triggered;

pub use external::{ExternalRun, ExternalTask};
pub use triggered::{Trigger, TriggeredRun};

/// A sensor's attempt that found nothing, given back.
#[derive(Debug, Clone, PartialEq)]
pub struct Poked {
    /// The attempt.
    pub row: GivenBack,
    /// Where its task is defined.
    pub dag_version_id: DagVersionId,
    /// When its first look began; `None`: this was it.
    pub first_poke_at: Option<Timestamp>,
    /// Looks before this one that found nothing.
    pub pokes: u32,
    /// The database's clock.
    pub now: Timestamp,
    /// Whether its run is under way and nobody asked it to stop.
    pub goes_on: bool,
    /// Whether its run has more tasks than may be under way at once.
    pub is_limited: bool,
}

/// A task that waits until its timer is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Rescheduled<'a> {
    /// Its attempt, which was given back.
    pub row: &'a GivenBack,
    /// What it waits for.
    pub kind: TimerKind,
    /// When it goes on; `None`: not by itself.
    pub at: Option<Timestamp>,
}

/// What a timer of a task that waits is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerKind {
    /// A sensor's next look.
    Poke,
    /// The end of that run.
    Run(DagRunId),
    /// A person's answer.
    Approval,
}

impl TimerKind {
    /// The letter in `timer.kind`.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Poke => 'p',
            Self::Run(_) => 'w',
            Self::Approval => 'a',
        }
    }
}

/// A question for the database to remember.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question<'a> {
    pub(crate) instance: TaskInstanceKey,
    pub(crate) subject: &'a str,
    pub(crate) body: &'a str,
    pub(crate) deadline: Option<Timestamp>,
}

/// A person's answer to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAnswer {
    /// The task instance that asks.
    pub instance: TaskInstanceKey,
    /// What they say.
    pub answer: Answer,
    /// Who.
    pub by: String,
    /// Why, in a sentence.
    pub reason: Option<String>,
    /// What it is about, for the audit log: `dag/run/task`.
    pub object: String,
}

impl Look {
    /// Gives back attempts of sensors that found nothing. Those that are no longer the worker's are left out.
    pub async fn poked(
        &mut self,
        worker: WorkerId,
        attempts: &[dagctl_core::ids::AttemptKey],
    ) -> Result<Vec<Poked>, StoreError> {
        let columns = Columns::of(attempts.iter());
        let rows = sqlx::query_file!(
            "src/waiting/poked.sql",
            &columns.dag_run_ids,
            &columns.task_indexes,
            &columns.map_indexes,
            &columns.attempts,
            worker.get()
        )
        .fetch_all(&mut *self.tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Poked {
                row: GivenBack {
                    key: attempt_key(row.dag_run_id, row.task_index, row.map_index, row.attempt),
                    lost: row.lost,
                    queued_at: row.queued_at.to_jiff(),
                    claimed_at: row.claimed_at.map(|it| it.to_jiff()),
                },
                dag_version_id: DagVersionId(row.dag_version_id),
                first_poke_at: row.first_poke_at.map(|it| it.to_jiff()),
                pokes: pokes(row.pokes),
                now: row.now.to_jiff(),
                goes_on: row.goes_on,
                is_limited: row.is_limited,
            })
            .collect())
    }

    /// Puts tasks of locked runs to wait, whose attempts were given back in this look.
    pub async fn reschedule(
        &mut self,
        worker: Option<WorkerId>,
        tasks: &[Rescheduled<'_>],
    ) -> Result<(), StoreError> {
        if tasks.is_empty() {
            return Ok(());
        }
        let columns = Columns::of(tasks.iter().map(|it| &it.row.key));
        let lost: Vec<i16> = tasks.iter().map(|it| it.row.lost).collect();
        // Later than anything: the far end of what a timestamp can say here.
        let due: Vec<_> = tasks
            .iter()
            .map(|it| it.at.unwrap_or(Timestamp::MAX).to_sqlx())
            .collect();
        let kinds: Vec<i8> = tasks.iter().map(|it| letter(it.kind.letter())).collect();
        let awaits: Vec<Option<i64>> = tasks
            .iter()
            .map(|it| match it.kind {
                TimerKind::Run(run) => Some(run.get()),
                TimerKind::Poke | TimerKind::Approval => None,
            })
            .collect();
        let started: Vec<_> = tasks
            .iter()
            .map(|it| it.row.claimed_at.unwrap_or(it.row.queued_at).to_sqlx())
            .collect();
        sqlx::query_file!(
            "src/waiting/reschedule.sql",
            &columns.dag_run_ids,
            &columns.task_indexes,
            &columns.map_indexes,
            &columns.attempts,
            &lost,
            &due as _,
            &kinds as _,
            &awaits as _,
            &started as _,
            worker.map(WorkerId::get)
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Remembers what tasks of a locked run ask a person.
    pub(crate) async fn ask(
        &mut self,
        run: DagRunId,
        questions: &[Question<'_>],
    ) -> Result<(), StoreError> {
        if questions.is_empty() {
            return Ok(());
        }
        let each = || questions.iter();
        sqlx::query_file!(
            "src/waiting/ask.sql",
            run.get(),
            &each()
                .map(|it| it.instance.task_index.get())
                .collect::<Vec<_>>(),
            &each()
                .map(|it| it.instance.map_index.get())
                .collect::<Vec<_>>(),
            &each().map(|it| it.subject).collect::<Vec<_>>() as _,
            &each().map(|it| it.body).collect::<Vec<_>>() as _,
            &each()
                .map(|it| it.deadline.map(|it| it.to_sqlx()))
                .collect::<Vec<_>>() as _
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// The questions that tasks of a run wait with, by task index and map index.
    pub(crate) async fn questions(
        &mut self,
        run: DagRunId,
    ) -> Result<Vec<((i32, i32), AskedFor)>, StoreError> {
        let rows = sqlx::query!(
            "select a.task_index, a.map_index, a.deadline, a.answer, a.answered_by, a.reason
            from approval a join task_instance t using (dag_run_id, task_index, map_index, epoch)
            where a.dag_run_id = $1",
            run.get()
        )
        .fetch_all(&mut *self.tx)
        .await?;
        rows.into_iter()
            .map(|row| {
                let answered = row.answer.map(answer).transpose()?.map(|answer| Answered {
                    answer,
                    by: row.answered_by,
                    reason: row.reason,
                });
                let asked = AskedFor {
                    deadline: row.deadline.map(|it| it.to_jiff()),
                    answered,
                };
                Ok(((row.task_index, row.map_index), asked))
            })
            .collect()
    }

    /// Notes that nobody answered a question in time, and what counts as the answer.
    pub(crate) async fn answer_by_default(
        &mut self,
        instance: TaskInstanceKey,
        answered: &Answered,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update approval set answer = $4, answered_at = clock_timestamp(), reason = $5
            where dag_run_id = $1 and task_index = $2 and map_index = $3 and answer is null",
            instance.dag_run_id.get(),
            instance.task_index.get(),
            instance.map_index.get(),
            letter(answered.answer.letter()),
            answered.reason
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Wakes whatever waits for the end of a run that this look has locked.
    pub(crate) async fn wake_waiting(&mut self, run: DagRunId) -> Result<u64, StoreError> {
        let woken = sqlx::query!(
            "update timer set due_at = clock_timestamp() where awaits = $1 and due_at > clock_timestamp()",
            run.get()
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(woken.rows_affected())
    }
}

impl Store {
    /// Records a person's answer to a question that stands; `false`: it does not, or somebody was faster. A look at the
    /// run then does what the answer calls for.
    pub async fn answer(&self, new: &NewAnswer) -> Result<bool, StoreError> {
        let mut look = self.look().await?;
        look.lock(&[new.instance.dag_run_id]).await?;
        let action = format!("approval.{}", new.answer.name());
        let answered = sqlx::query_file_scalar!(
            "src/waiting/answer.sql",
            new.instance.dag_run_id.get(),
            new.instance.task_index.get(),
            new.instance.map_index.get(),
            letter(new.answer.letter()),
            new.by,
            new.reason.as_deref(),
            action,
            new.object
        )
        .fetch_one(&mut *look.tx)
        .await?;
        look.commit().await?;
        Ok(answered > 0)
    }

    /// Since when a sensor looks, if it has looked before.
    pub async fn first_poke_at(
        &self,
        instance: TaskInstanceKey,
    ) -> Result<Option<Timestamp>, StoreError> {
        let found = sqlx::query_scalar!(
            "select first_poke_at from task_instance
            where dag_run_id = $1 and task_index = $2 and map_index = $3",
            instance.dag_run_id.get(),
            instance.task_index.get(),
            instance.map_index.get()
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(found.flatten().map(|it| it.to_jiff()))
    }
}

/// A count of pokes as the column holds it.
pub(crate) fn pokes(found: Option<i32>) -> u32 {
    found.and_then(|it| u32::try_from(it).ok()).unwrap_or(0)
}

/// Reads the letter of an answer.
pub(crate) fn answer(found: i8) -> Result<Answer, StoreError> {
    let found = from_letter(found);
    Answer::from_letter(found).ok_or_else(|| StoreError::Unreadable {
        table: "approval",
        what: format!("answer `{found}`"),
    })
}
