//! What a message needs to be sent later: facts as JSON, frozen in the transaction that caused it.

use std::collections::BTreeMap;

use dagctl_core::callback::Callback;
use dagctl_core::dag::{Dag, Task};
use dagctl_core::ids::{DagRunId, InstanceIndex, MapIndex, TaskIndex};
use dagctl_core::notice::{Notice, TaskNews};
use dagctl_core::run::{Action, NoticeEvent, NoticeRequest, Plan, TaskFacts, Why};
use dagctl_store::notices::{DueNotice, NewNotice};
use dagctl_store::plans::Ended;
use serde_json::{Value, json};

mod notifier;

pub(crate) use notifier::read as notifier;

/// Everything that messages of one look draw on.
pub(crate) struct RunFacts<'a> {
    pub(crate) dag: &'a Dag,
    pub(crate) dag_run_id: DagRunId,
    pub(crate) run_id: String,
    /// How often the run went on after it had ended.
    pub(crate) epoch: i16,
    pub(crate) commit: Option<String>,
    pub(crate) base_url: Option<&'a str>,
    pub(crate) plan: &'a Plan,
    pub(crate) ended: &'a BTreeMap<InstanceIndex, Ended>,
    /// Every task as the look found it.
    pub(crate) tasks: &'a [TaskFacts],
    /// Tasks that failed before this look.
    pub(crate) earlier: &'a [(TaskIndex, String)],
}

/// The outbox row of a remark about a run: that it is late, or that its DAG was paused.
pub(crate) fn remark(
    dag: &Dag,
    (run, run_id): (DagRunId, &str),
    (epoch, place): (i16, usize),
    (event, sentence): (NoticeEvent, &str),
    base_url: Option<&str>,
    callback: &Callback,
) -> NewNotice {
    let event = event.name();
    NewNotice {
        identity: format!("{run}/-1/{epoch}/{event}/{place}"),
        thread: None,
        destination: callback.notifier.destination(),
        news: Value::Null,
        payload: json!({
            "type": callback.notifier.kind(),
            "name": callback.name,
            "notifier": notifier::write(&callback.notifier),
            "dag_id": dag.spec.dag_id.as_str(),
            "run_id": run_id,
            "task_index": null,
            "subject": dag.spec.dag_id.as_str(),
            "event": event,
            "owner": dag.tasks().iter().find_map(|it| it.owner.clone()),
            "run_url": base_url.map(|it| run_url(it, dag.spec.dag_id.as_str(), run_id)),
            "remark": sentence,
        }),
    }
}

/// Where a run is shown.
fn run_url(base_url: &str, dag_id: &str, run_id: &str) -> String {
    format!("{base_url}/dags/{dag_id}/runs/{}", encoded(run_id))
}

/// The outbox row that a request becomes, or joins.
pub(crate) fn new_notice(facts: &RunFacts<'_>, request: &NoticeRequest) -> NewNotice {
    let notifier = notifier::write(&request.callback.notifier);
    let event = request.event.name();
    // A run that went on after it had ended tells anew; a task's attempts tell for themselves.
    let at = request.task.map(|task| InstanceIndex {
        task,
        map_index: request.map_index,
    });
    let number = at.map_or(facts.epoch, |it| attempt_of(facts, it));
    let task = match (request.task, request.map_index) {
        (None, _) => "-1".to_owned(),
        (Some(task), MapIndex::UNMAPPED) => task.get().to_string(),
        (Some(task), mapped) => format!("{task}.{mapped}"),
    };
    let run = facts.dag_run_id;
    let failed = match (request.task, request.event) {
        (None, NoticeEvent::Failure) => failed_tasks(facts),
        (None | Some(_), _) => vec![],
    };
    let about = at.and_then(|it| Some((it, facts.dag.task(it.task)?)));
    NewNotice {
        identity: format!("{run}/{task}/{number}/{event}/{}", request.place),
        thread: request.task.map(|_| format!("{event} {notifier}")),
        destination: request.callback.notifier.destination(),
        news: about.map_or(Value::Null, |(index, task)| {
            news_value(&news(facts, request, index, task))
        }),
        payload: json!({
            "type": request.callback.notifier.kind(),
            "name": request.callback.name,
            "notifier": notifier,
            "dag_id": facts.dag.spec.dag_id.as_str(),
            "run_id": facts.run_id,
            "task_index": request.task.map(TaskIndex::get),
            "subject": match about {
                Some((_, task)) => format!("{}.{}", facts.dag.spec.dag_id, task.task_id),
                None => facts.dag.spec.dag_id.to_string(),
            },
            "attempt": at.map(|it| attempt_of(facts, it)),
            "event": event,
            "owner": facts.dag.tasks().iter().find_map(|it| it.owner.clone()),
            "commit": facts.commit,
            "run_url": url_of(facts),
            "tasks": failed.iter().map(news_value).collect::<Vec<_>>(),
        }),
    }
}

/// The facts of a message that is to be sent.
pub(crate) fn notice(due: &DueNotice) -> Notice {
    let payload = &due.payload;
    let is_run = payload["task_index"].is_null();
    let tasks = match is_run {
        true => payload["tasks"].as_array().map_or(&[][..], Vec::as_slice),
        false => &due.news,
    };
    Notice {
        event: payload["event"]
            .as_str()
            .and_then(NoticeEvent::from_name)
            .unwrap_or(NoticeEvent::Failure),
        dag_id: text(payload, "dag_id").unwrap_or_default(),
        run_id: text(payload, "run_id").unwrap_or_default(),
        owner: text(payload, "owner").unwrap_or_default(),
        commit: text(payload, "commit"),
        run_url: text(payload, "run_url"),
        is_run,
        tasks: tasks.iter().map(read_news).collect(),
        remark: text(payload, "remark"),
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

fn news_value(it: &TaskNews) -> Value {
    json!({
        "task_id": it.task_id,
        "attempt": it.attempt,
        "max_attempts": it.max_attempts,
        "error": it.error,
        "owner": it.owner,
        "log_url": it.log_url,
    })
}

fn read_news(value: &Value) -> TaskNews {
    let number = |key: &str| value[key].as_i64().and_then(|it| i16::try_from(it).ok());
    TaskNews {
        task_id: text(value, "task_id").unwrap_or_default(),
        attempt: number("attempt").unwrap_or(0),
        max_attempts: number("max_attempts").unwrap_or(0),
        error: text(value, "error").unwrap_or_default(),
        owner: text(value, "owner").unwrap_or_default(),
        log_url: text(value, "log_url"),
    }
}

fn url_of(facts: &RunFacts<'_>) -> Option<String> {
    let dag_id = facts.dag.spec.dag_id.as_str();
    facts.base_url.map(|it| run_url(it, dag_id, &facts.run_id))
}

fn news(facts: &RunFacts<'_>, request: &NoticeRequest, at: InstanceIndex, task: &Task) -> TaskNews {
    TaskNews {
        task_id: match at.map_index {
            MapIndex::UNMAPPED => task.task_id.to_string(),
            mapped => format!("{}[{mapped}]", task.task_id),
        },
        attempt: attempt_of(facts, at),
        max_attempts: i16::try_from(task.retry.retries)
            .unwrap_or(i16::MAX)
            .saturating_add(1),
        error: request.error.clone().unwrap_or_default(),
        owner: task.owner.clone().unwrap_or_default(),
        log_url: url_of(facts).map(|it| format!("{it}/tasks/{}", task.task_id)),
    }
}

/// The tasks that failed, before this look and in it, with what they said.
fn failed_tasks(facts: &RunFacts<'_>) -> Vec<TaskNews> {
    let now = facts.plan.moves.iter().filter_map(|it| match &it.action {
        Action::Settle {
            why: Why::Failure(failure),
            ..
        } => Some((it.task, failure.message.clone())),
        Action::Settle { .. }
        | Action::Queue
        | Action::Requeue
        | Action::Retry { .. }
        | Action::Expand { .. }
        | Action::Reschedule { .. }
        | Action::Ask { .. } => None,
    });
    let all: BTreeMap<TaskIndex, String> = facts.earlier.iter().cloned().chain(now).collect();
    all.into_iter()
        .filter_map(|(index, error)| {
            Some(TaskNews {
                task_id: facts.dag.task(index)?.task_id.to_string(),
                error,
                ..TaskNews::default()
            })
        })
        .collect()
}

/// The attempt that a message is about: the one that ended, or the last one where none did.
fn attempt_of(facts: &RunFacts<'_>, at: InstanceIndex) -> i16 {
    let last = || {
        let place = usize::try_from(at.task.get()).ok()?;
        Some(facts.tasks.get(place)?.attempt)
    };
    match facts.ended.get(&at) {
        Some(it) => it.row.key.attempt.get(),
        None => last().unwrap_or(0),
    }
}

/// A run id as a part of a path: its `:` and `+` must survive.
fn encoded(run_id: &str) -> String {
    run_id
        .bytes()
        .map(|it| {
            if it.is_ascii_alphanumeric() || b"-_.~".contains(&it) {
                char::from(it).to_string()
            } else {
                format!("%{it:02X}")
            }
        })
        .collect()
}
