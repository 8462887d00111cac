//! Rows of the store and types of the core, as REST writes them.

use dagctl_api::{dags, pools, problems, runs, settings, state, tasks};
use dagctl_core::dag::Dag;
use dagctl_core::params::{Param, ParamType};
use dagctl_core::state::{RunState, TaskState};
use dagctl_engine::settings::{ShownConnection, Source, Variable};
use dagctl_store::views::dags::DagRow;
use dagctl_store::views::logs::{LineStream, LogLineRow};
use dagctl_store::views::runs::{RunBar, RunKind, RunRow};
use dagctl_store::views::service::{PoolRow, ProblemRow, WorkerRow};
use dagctl_store::views::tasks::{AttemptRow, AttemptState, TaskRow};
use dagctl_store::waiting::TriggeredRun;
use jiff::Timestamp;

use crate::pages::links;

pub(crate) fn time(at: Timestamp) -> String {
    at.to_string()
}

fn maybe(at: Option<Timestamp>) -> Option<String> {
    at.map(time)
}

/// How long something took, or has taken until `now`.
pub(crate) fn duration_ms(
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    now: Timestamp,
) -> Option<i64> {
    let from = from?;
    Some((to.unwrap_or(now).as_millisecond() - from.as_millisecond()).max(0))
}

pub(crate) fn run_state(state: RunState) -> state::RunState {
    match state {
        RunState::Queued => state::RunState::Queued,
        RunState::Running => state::RunState::Running,
        RunState::Success => state::RunState::Success,
        RunState::Failed => state::RunState::Failed,
    }
}

pub(crate) fn task_state(state: TaskState) -> state::TaskState {
    match state {
        TaskState::None => state::TaskState::None,
        TaskState::Scheduled => state::TaskState::Scheduled,
        TaskState::Queued => state::TaskState::Queued,
        TaskState::Running => state::TaskState::Running,
        TaskState::UpForRetry => state::TaskState::UpForRetry,
        TaskState::UpForReschedule => state::TaskState::UpForReschedule,
        TaskState::WaitingApproval => state::TaskState::WaitingApproval,
        TaskState::Success => state::TaskState::Success,
        TaskState::Failed => state::TaskState::Failed,
        TaskState::UpstreamFailed => state::TaskState::UpstreamFailed,
        TaskState::Skipped => state::TaskState::Skipped,
    }
}

pub(crate) fn attempt_state(state: AttemptState) -> state::AttemptState {
    match state {
        AttemptState::Queued => state::AttemptState::Queued,
        AttemptState::Running => state::AttemptState::Running,
        AttemptState::Success => state::AttemptState::Success,
        AttemptState::Failed => state::AttemptState::Failed,
        AttemptState::Skipped => state::AttemptState::Skipped,
        AttemptState::Lost => state::AttemptState::Lost,
        AttemptState::HandedBack => state::AttemptState::HandedBack,
    }
}

pub(crate) fn run_type(kind: RunKind) -> state::RunType {
    match kind {
        RunKind::Scheduled => state::RunType::Scheduled,
        RunKind::Manual => state::RunType::Manual,
        RunKind::Backfill => state::RunType::Backfill,
        RunKind::AssetTriggered => state::RunType::AssetTriggered,
    }
}

pub(crate) fn dag(row: DagRow, last_runs: Vec<RunBar>, now: Timestamp) -> dags::Dag {
    dags::Dag {
        dag_id: row.dag_id,
        description: row.description,
        file: row.file,
        tags: row.tags,
        owner: row.owner,
        schedule: row.schedule,
        timezone: row.timezone,
        is_paused: row.is_paused,
        pause_reason: row.pause_reason.filter(|_| row.is_paused),
        missing_since: maybe(row.missing_since),
        next_due_at: maybe(row.next_due_at.filter(|_| !row.is_paused)),
        task_count: row.task_count,
        problem_count: row.problem_count,
        last_runs: last_runs
            .into_iter()
            .map(|it| dags::RunSummary {
                run_id: it.run_id,
                state: run_state(it.state),
                queued_at: time(it.queued_at),
                started_at: maybe(it.started_at),
                duration_ms: duration_ms(it.started_at, it.finished_at, now),
            })
            .collect(),
    }
}

pub(crate) fn params(params: &[Param]) -> Vec<dags::Param> {
    params
        .iter()
        .map(|it| dags::Param {
            name: it.name.clone(),
            types: it
                .types
                .iter()
                .map(|it| type_name(*it).to_owned())
                .collect(),
            required: it.default.is_none(),
            default: it.default.clone(),
            description: it.description.clone(),
            allowed: it.allowed.clone(),
        })
        .collect()
}

pub(crate) fn type_name(kind: ParamType) -> &'static str {
    match kind {
        ParamType::String => "string",
        ParamType::Integer => "integer",
        ParamType::Number => "number",
        ParamType::Boolean => "boolean",
        ParamType::Array => "array",
        ParamType::Object => "object",
        ParamType::Null => "null",
    }
}

pub(crate) fn dag_tasks(dag: &Dag, operators: &[String]) -> Vec<dags::DagTask> {
    dag.indexed()
        .zip(operators)
        .map(|((at, task), operator)| dags::DagTask {
            task_id: task.task_id.to_string(),
            operator: operator.clone(),
            depends_on: dag
                .upstream(at)
                .iter()
                .filter_map(|it| dag.task(*it))
                .map(|it| it.task_id.to_string())
                .collect(),
            trigger_rule: task.trigger_rule.name().to_owned(),
            pool: task.pool.to_string(),
            owner: task.owner.clone(),
        })
        .collect()
}

pub(crate) fn run(row: RunRow, now: Timestamp) -> runs::Run {
    runs::Run {
        reason: row.reason(),
        dag_run_id: row.dag_run_id.to_string(),
        run_type: run_type(row.run_type),
        state: run_state(row.state),
        logical_date: time(row.logical_at),
        data_interval_start: time(row.interval_start),
        data_interval_end: time(row.interval_end),
        params: row.params,
        note: row.note,
        triggered_by: row.triggered_by,
        queued_at: time(row.queued_at),
        started_at: maybe(row.started_at),
        finished_at: maybe(row.finished_at),
        duration_ms: duration_ms(row.started_at, row.finished_at, now),
        cancel_requested_at: maybe(row.cancel_requested_at),
        cancel_requested_by: row.cancel_requested_by,
        quarantined: row.look_error,
        git_commit: row.git_commit,
        path: links::run(&row.dag_id, &row.run_id),
        dag_id: row.dag_id,
        run_id: row.run_id,
    }
}

pub(crate) fn task(row: TaskRow, now: Timestamp) -> tasks::Task {
    tasks::Task {
        duration_ms: duration_ms(
            row.started_at,
            row.finished_at.or(row.retry_at.and(row.started_at)),
            now,
        ),
        task_id: row.task_id,
        map_index: row.map_index,
        task_index: row.task_index,
        operator: row.operator,
        state: task_state(row.state),
        attempt: row.attempt,
        queued_at: maybe(row.queued_at),
        started_at: maybe(row.started_at),
        finished_at: maybe(row.finished_at),
        retry_at: maybe(row.retry_at),
        first_poke_at: maybe(row.first_poke_at),
        pokes: row.pokes,
        reason: row.reason,
        error: row.error,
        worker: row.worker,
    }
}

pub(crate) fn attempt(row: AttemptRow, now: Timestamp) -> tasks::Attempt {
    tasks::Attempt {
        attempt: row.attempt,
        state: attempt_state(row.state),
        reason: row.reason,
        message: row.message,
        worker: row.worker,
        queued_at: maybe(row.queued_at),
        started_at: maybe(row.started_at),
        finished_at: maybe(row.finished_at),
        duration_ms: duration_ms(row.started_at, row.finished_at, now),
    }
}

pub(crate) fn triggered_run(it: TriggeredRun) -> tasks::TriggeredRun {
    tasks::TriggeredRun {
        dag_id: it.dag_id,
        run_id: it.run_id,
        state: run_state(it.state),
    }
}

pub(crate) fn log_line(row: LogLineRow) -> tasks::LogLine {
    tasks::LogLine {
        line: row.line,
        at: time(row.at),
        stream: match row.stream {
            LineStream::Task => tasks::LogStream::Task,
            LineStream::Stdout => tasks::LogStream::Stdout,
            LineStream::Stderr => tasks::LogStream::Stderr,
        },
        text: row.text,
    }
}

pub(crate) fn problem(row: ProblemRow) -> problems::Problem {
    problems::Problem {
        file: row.file,
        line: row.line,
        column: row.col,
        severity: row.severity,
        code: row.code,
        message: row.message,
        rendered: row.rendered,
        dag_id: row.dag_id,
        first_seen_at: time(row.first_seen_at),
    }
}

pub(crate) fn pool(row: PoolRow) -> pools::Pool {
    pools::Pool {
        name: row.name,
        slots: row.slots,
        running: row.running,
        queued: row.queued,
        description: row.description,
    }
}

pub(crate) fn worker(row: WorkerRow) -> pools::Worker {
    pools::Worker {
        worker_id: row.worker_id,
        name: row.name,
        version: row.version,
        state: row.state.name().to_owned(),
        slots: row.slots,
        running: row.running,
        started_at: time(row.started_at),
        lease_until: time(row.lease_until),
    }
}

pub(crate) fn source(source: Source) -> settings::Source {
    match source {
        Source::Environment => settings::Source::Environment,
        Source::AirflowEnvironment => settings::Source::AirflowEnvironment,
        Source::Database => settings::Source::Database,
        Source::Default => settings::Source::Default,
    }
}

pub(crate) fn variable(it: Variable) -> settings::Variable {
    settings::Variable {
        name: it.name,
        value: it.value,
        is_secret: it.is_secret,
        source: source(it.source),
        shadows: it.shadows.into_iter().map(source).collect(),
        description: it.description,
        updated_at: maybe(it.updated_at),
    }
}

pub(crate) fn connection(it: ShownConnection) -> settings::Connection {
    let known = it.connection.unwrap_or_default();
    settings::Connection {
        conn_id: it.conn_id,
        conn_type: known.conn_type,
        host: known.host,
        port: known.port,
        schema: known.schema,
        login: known.login,
        has_password: it.has_password,
        extra_keys: it.extra_keys,
        uri: it.masked_uri,
        source: source(it.source),
        shadows: it.shadows.into_iter().map(source).collect(),
        description: it.description,
        updated_at: maybe(it.updated_at),
        problem: it.problem,
    }
}
