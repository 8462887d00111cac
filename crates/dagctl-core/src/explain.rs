//! Why something does not move, in one sentence, and since when: the same for the command line, REST and pages.

use jiff::Timestamp;

use crate::state::{RunState, TaskState};
use crate::timetable::MOST_COUNTED;

/// Why something does not move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// One sentence without a full stop.
    pub sentence: String,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
}

/// What is known of a DAG whose next run somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DagFacts {
    /// Since when its file is gone.
    pub missing_since: Option<Timestamp>,
    /// Whether a text of it was ever good.
    pub has_version: bool,
    /// The error that keeps its newest text from being used, and since when.
    pub broken: Option<(String, Timestamp)>,
    /// Whether its schedule is off, and who switched it off when, where that is known.
    pub paused: Option<Option<(String, Option<Timestamp>)>>,
    /// When it runs, in words; `None`: only when triggered.
    pub schedule: Option<String>,
    /// Whether it runs on news of tables, not by time.
    pub awaits_news: bool,
    /// When its next scheduled run is made.
    pub next_due_at: Option<Timestamp>,
    /// What catch-up left out last: how many intervals, why, and when.
    pub skipped: Option<(i64, String, Timestamp)>,
}

/// What is known of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFacts {
    /// Where it stands.
    pub state: RunState,
    /// When it was made.
    pub queued_at: Timestamp,
    /// When its tasks could start.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Who asked it to stop, and when.
    pub cancel: Option<(String, Timestamp)>,
    /// Why the engine leaves it alone.
    pub look_error: Option<String>,
    /// When `dagrun_retries` has what failed go again.
    pub again_at: Option<Timestamp>,
    /// Whether somebody triggered it: a paused DAG starts it all the same.
    pub is_asked_for: bool,
    /// Runs of its DAG under way.
    pub active_runs: Vec<String>,
    /// How many there may be.
    pub max_active_runs: i64,
    /// The backfill that it belongs to.
    pub backfill: Option<BackfillFacts>,
    /// Task instances by state.
    pub tasks: Vec<(TaskState, i64)>,
}

/// A backfill that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfillFacts {
    /// Its number.
    pub backfill_id: i32,
    /// Runs of it under way.
    pub active_runs: i64,
    /// How many there may be.
    pub max_active_runs: i64,
}

/// What is known of a task instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFacts {
    /// Where it stands.
    pub state: TaskState,
    /// Since when it stands there.
    pub since: Option<Timestamp>,
    /// Upstream tasks that have not settled.
    pub open_upstream: Vec<String>,
    /// The attempt that runs, is queued or is tried next, from 1.
    pub attempt: i16,
    /// When it is tried again.
    pub retry_at: Option<Timestamp>,
    /// What its last attempt said, or why it never ran.
    pub error: Option<String>,
    /// The worker that has it.
    pub worker: Option<String>,
    /// Its queue.
    pub queue: String,
    /// Living workers that serve its queue, and the places they have free.
    pub workers: (i64, i64),
    /// Its pool.
    pub pool: String,
    /// The pool, where it has a limit.
    pub limit: Option<PoolFacts>,
    /// The limits on tasks under way at once.
    pub places: Places,
    /// Instances of it that have not settled, once it is expanded.
    pub open_instances: Option<i64>,
    /// The run before, where it waits for what became of it there.
    pub past_run: Option<String>,
    /// The run that it made and waits for, as `dag/run`.
    pub awaited_run: Option<String>,
    /// What a person is asked.
    pub question: Option<String>,
}

/// A pool with a limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolFacts {
    /// How many slots it has.
    pub slots: i64,
    /// How many of them are taken.
    pub taken: i64,
    /// By whom, as `dag.task`.
    pub holders: Vec<String>,
    /// How many the task takes.
    pub wanted: i64,
    /// Who is to have slots before the task, as `dag.task`, and how many it takes.
    pub ahead: Option<(String, i64)>,
}

/// Limits on tasks under way at once; `None`: there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Places {
    /// Tasks of its run that are queued or run.
    pub taken: i64,
    /// Of its run.
    pub max_active_tasks: i64,
    /// Of its instances in its run.
    pub max_active_tis_per_dagrun: Option<i64>,
    /// Of its instances in all runs.
    pub max_active_tis_per_dag: Option<i64>,
}

/// Why a DAG makes no run now. Every DAG has a reason.
pub fn dag(facts: &DagFacts) -> Explanation {
    let said = |sentence: String, since| Explanation { sentence, since };
    if let Some(since) = facts.missing_since {
        return said(
            "its file is gone, so nothing is scheduled".to_owned(),
            Some(since),
        );
    }
    if let (Some((error, since)), false) = (&facts.broken, facts.has_version) {
        let sentence = format!("its file has never been good: {}", first_line(error));
        return said(sentence, Some(*since));
    }
    let mut sentence = match (&facts.paused, &facts.schedule, facts.next_due_at) {
        (Some(Some((who, at))), Some(_), _) => {
            return said(format!("its schedule was paused by {who}"), *at);
        }
        (Some(None), Some(_), _) => "its schedule is paused".to_owned(),
        (_, None, _) => "it has no schedule and runs only when it is triggered".to_owned(),
        (None, Some(schedule), _) if facts.awaits_news => format!("it runs {schedule}"),
        (None, Some(_), Some(at)) => format!("its next run is due at {}", moment(at)),
        (None, Some(schedule), None) => {
            format!("its schedule `{schedule}` calls for no further run")
        }
    };
    if let Some((count, why, at)) = &facts.skipped {
        let runs = match *count >= i64::from(MOST_COUNTED) {
            true => format!("at least {count} intervals were"),
            false => plural(*count, "interval was", "intervals were"),
        };
        let why = match why.as_str() {
            "catchup" => "since `catchup` is false",
            why => why,
        };
        sentence.push_str(&format!("; {runs} left out at {}, {why}", moment(*at)));
    }
    if let Some((error, _)) = &facts.broken {
        sentence.push_str(&format!(
            "; its newest text is broken, and the last good version goes on: {}",
            first_line(error)
        ));
    }
    said(sentence, None)
}

/// Why a run does not move. Every run has a reason.
pub fn run(facts: &RunFacts, dag: &DagFacts) -> Explanation {
    let said = |sentence: String, since| Explanation { sentence, since };
    let count = |state: TaskState| {
        let of_state = facts.tasks.iter().filter(|(it, _)| *it == state);
        of_state.map(|(_, count)| *count).sum::<i64>()
    };
    if let Some(error) = facts
        .look_error
        .as_ref()
        .filter(|_| !facts.state.is_final())
    {
        let sentence = format!(
            "it is set aside, because it could not be looked at three times: {}",
            first_line(error)
        );
        return said(sentence, facts.started_at);
    }
    match (facts.state, &facts.cancel) {
        (RunState::Queued | RunState::Running, Some((by, at))) => {
            let running = plural(count(TaskState::Running), "task", "tasks");
            let sentence =
                format!("{by} asked it to stop, and {running} under way are being ended");
            said(sentence, Some(*at))
        }
        (RunState::Queued, None) if is_held(facts, dag) => said(
            "it waits while its DAG's schedule is paused".to_owned(),
            Some(facts.queued_at),
        ),
        (RunState::Queued, None) => said(no_place(facts), Some(facts.queued_at)),
        (RunState::Running, None) if facts.again_at.is_some() => {
            let at = facts.again_at.map(moment).unwrap_or_default();
            let failed = plural(count(TaskState::Failed), "task", "tasks");
            said(
                format!("{failed} failed and go again at {at}"),
                facts.started_at,
            )
        }
        (RunState::Running, None) => {
            let open = facts
                .tasks
                .iter()
                .filter(|(state, count)| !state.is_final() && *count > 0);
            let parts: Vec<String> = open
                .map(|(state, count)| format!("{count} {}", spoken(*state)))
                .collect();
            let total: i64 = facts.tasks.iter().map(|(_, count)| count).sum();
            let settled = facts.tasks.iter().filter(|(state, _)| state.is_final());
            let settled: i64 = settled.map(|(_, count)| count).sum();
            let sentence = match parts.is_empty() {
                true => "all its tasks have settled, and its end is being decided".to_owned(),
                false => format!(
                    "{settled} of {total} tasks have settled; of the others, {}",
                    parts.join(", ")
                ),
            };
            said(sentence, facts.started_at)
        }
        (RunState::Success, _) => said("it has succeeded".to_owned(), facts.finished_at),
        (RunState::Failed, Some((by, _))) => {
            said(format!("it was cancelled by {by}"), facts.finished_at)
        }
        (RunState::Failed, None) => {
            let failed = plural(count(TaskState::Failed), "task", "tasks");
            said(format!("it has failed, with {failed}"), facts.finished_at)
        }
    }
}

/// Why a queued run has not started.
fn no_place(facts: &RunFacts) -> String {
    if let Some(backfill) = &facts.backfill
        && backfill.active_runs >= backfill.max_active_runs
    {
        return format!(
            "it waits for a place in backfill {}: {} of {} runs of that are under way",
            backfill.backfill_id, backfill.active_runs, backfill.max_active_runs
        );
    }
    format!(
        "it waits for a place below `max_active_runs`: {} of {} runs are under way{}",
        facts.active_runs.len(),
        facts.max_active_runs,
        listed(&facts.active_runs)
    )
}

fn is_held(facts: &RunFacts, dag: &DagFacts) -> bool {
    dag.paused.is_some() && !facts.is_asked_for
}

/// Why a task instance does not move. Every state has a reason.
pub fn task(facts: &TaskFacts, run: &RunFacts) -> Explanation {
    let sentence = match facts.state {
        _ if facts.state.is_final() => settled(facts),
        _ if run.look_error.is_some() => {
            "its run is set aside: `dagctl explain` of the run says why".to_owned()
        }
        TaskState::None if run.state == RunState::Queued => "its run has not started".to_owned(),
        TaskState::None if facts.open_upstream.is_empty() && facts.past_run.is_some() => format!(
            "it waits for what becomes of it in the run before, `{}`, until it is cleared or marked there (`depends_on_past`)",
            facts.past_run.as_deref().unwrap_or_default()
        ),
        TaskState::None if facts.open_upstream.is_empty() => {
            "what it waits for has settled, and what becomes of it is being decided".to_owned()
        }
        TaskState::None => format!("it waits for {}", names(&facts.open_upstream)),
        TaskState::Scheduled => parked(&facts.places),
        TaskState::Queued => queued(facts),
        TaskState::Running if facts.open_instances.is_some() => format!(
            "it waits for its instances, of which {} have not settled",
            facts.open_instances.unwrap_or_default()
        ),
        TaskState::Running => match &facts.worker {
            Some(worker) => format!("it runs, attempt {}, on worker {worker}", facts.attempt),
            None => format!("it runs, attempt {}", facts.attempt),
        },
        TaskState::UpForRetry => {
            let at = facts
                .retry_at
                .map_or("soon".to_owned(), |it| format!("at {}", moment(it)));
            let error = facts.error.as_deref().map(first_line).unwrap_or_default();
            format!(
                "attempt {} failed and it is tried again {at}: {error}",
                facts.attempt
            )
        }
        TaskState::UpForReschedule if facts.awaited_run.is_some() => format!(
            "it waits for the end of run `{}`, which it made",
            facts.awaited_run.as_deref().unwrap_or_default()
        ),
        TaskState::UpForReschedule => match facts.retry_at {
            Some(at) => format!(
                "what it waits for is not there yet, and it looks again at {}",
                moment(at)
            ),
            None => "what it waits for is not there yet".to_owned(),
        },
        TaskState::WaitingApproval => format!(
            "it waits for a person to answer “{}”: `dagctl approve`, `dagctl reject` or its page",
            facts
                .question
                .as_deref()
                .map(first_line)
                .unwrap_or_default()
        ),
        TaskState::Success | TaskState::Failed | TaskState::UpstreamFailed | TaskState::Skipped => {
            settled(facts)
        }
    };
    Explanation {
        sentence,
        since: facts.since,
    }
}

fn settled(facts: &TaskFacts) -> String {
    let error = facts
        .error
        .as_deref()
        .map(first_line)
        .filter(|it| !it.is_empty());
    let why = error.map(|it| format!(": {it}")).unwrap_or_default();
    match facts.state {
        TaskState::Success => "it has succeeded".to_owned(),
        TaskState::UpstreamFailed => "it never ran, because a task before it failed".to_owned(),
        TaskState::Skipped => format!("it was skipped{why}"),
        _ => format!("it has failed{why}"),
    }
}

fn queued(facts: &TaskFacts) -> String {
    let (workers, free) = facts.workers;
    if let Some(limit) = &facts.limit
        && let Some(sentence) = no_slots(&facts.pool, limit)
    {
        return sentence;
    }
    if workers == 0 {
        return format!(
            "no worker serves its queue `{0}`: start one with `dagctl worker --queues {0}`",
            facts.queue
        );
    }
    if free <= 0 {
        return format!(
            "every worker of its queue `{}` is busy: {} without a free slot",
            facts.queue,
            plural(workers, "worker", "workers")
        );
    }
    "it may start, and a worker is about to take it".to_owned()
}

/// Why a pool has nothing for a task now, if it has nothing.
fn no_slots(pool: &str, limit: &PoolFacts) -> Option<String> {
    let PoolFacts {
        slots,
        taken,
        holders,
        wanted,
        ahead,
    } = limit;
    let free = slots - taken;
    if free <= 0 {
        return Some(format!(
            "its pool `{pool}` is full: all of its {slots} slots are taken{}",
            listed(holders)
        ));
    }
    if *wanted > free {
        return Some(format!(
            "its pool `{pool}` has {free} of {slots} slots free, and it takes {wanted}{}",
            listed(holders)
        ));
    }
    ahead.as_ref().filter(|(_, slots)| *slots > free).map(|(name, slots)| {
        format!("`{name}` comes first in its pool `{pool}`, and needs {slots} slots, with {free} free")
    })
}

/// Which limit has no place for a task.
fn parked(places: &Places) -> String {
    let is_full = places.taken >= places.max_active_tasks;
    let (limit, name, of) = match (
        places.max_active_tis_per_dagrun,
        places.max_active_tis_per_dag,
    ) {
        (Some(limit), _) if !is_full => (
            limit,
            "max_active_tis_per_dagrun",
            "its instances in this run",
        ),
        (None, Some(limit)) if !is_full => {
            (limit, "max_active_tis_per_dag", "its instances in all runs")
        }
        _ => (
            places.max_active_tasks,
            "max_active_tasks",
            "the tasks of its run",
        ),
    };
    format!("it waits for a place below `{name}`: {limit} of {of} may be under way at once")
}

/// A state as one would say it of some tasks.
fn spoken(state: TaskState) -> String {
    match state {
        TaskState::None => "not started".to_owned(),
        other => other.name().replace('_', " "),
    }
}

/// How many names a sentence holds.
const MOST_NAMES: usize = 5;

fn names(all: &[String]) -> String {
    let shown: Vec<String> = all
        .iter()
        .take(MOST_NAMES)
        .map(|it| format!("`{it}`"))
        .collect();
    match all.len().saturating_sub(MOST_NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn listed(all: &[String]) -> String {
    match all.is_empty() {
        true => String::new(),
        false => format!(" ({})", names(all)),
    }
}

fn plural(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
