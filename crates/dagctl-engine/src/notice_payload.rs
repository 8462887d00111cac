//! What a message needs to be sent later: facts as JSON, frozen in the transaction that caused it.

use std::collections::BTreeMap;

use dagctl_core::callback::{Callback, SlackNotifier};
use dagctl_core::dag::Dag;
use dagctl_core::ids::{DagRunId, InstanceIndex, TaskIndex};
use dagctl_core::notice::{self, FailureNotice, RunEnding, RunNotice, SuccessNotice};
use dagctl_core::run::{Action, NoticeEvent, NoticeRequest, Plan, TaskFacts, Why};
use dagctl_store::plans::{Ended, NewNotice};
use serde_json::{Value, json};

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

/// Something about a run that is not its end: that it is late, or that its DAG was paused.
pub(crate) struct Remark {
    /// A stable word.
    pub(crate) event: &'static str,
    /// What happened, after the DAG's name.
    pub(crate) title: &'static str,
    /// What happened, in a sentence.
    pub(crate) sentence: String,
}

/// The outbox row of a remark about a run.
pub(crate) fn remark(
    dag: &Dag,
    (run, run_id): (DagRunId, &str),
    (epoch, place): (i16, usize),
    remark: &Remark,
    text: &str,
    callback: &Callback,
) -> NewNotice {
    let Callback::Slack(notifier) = callback;
    NewNotice {
        identity: format!("{run}/-1/{epoch}/{}/{place}", remark.event),
        payload: json!({
            "type": "slack",
            "dag_id": dag.spec.dag_id.as_str(),
            "run_id": run_id,
            "task_index": null,
            "attempt": 0,
            "event": remark.event,
            "subject": dag.spec.dag_id.as_str(),
            "text": text,
            "error": remark.sentence,
            "notifier": notifier_value(notifier),
        }),
    }
}

/// Where a run is shown.
pub(crate) fn run_url(base_url: &str, dag_id: &str, run_id: &str) -> String {
    format!("{base_url}/dags/{dag_id}/runs/{}", encoded(run_id))
}

/// The outbox row that a request becomes.
pub(crate) fn new_notice(facts: &RunFacts<'_>, request: &NoticeRequest) -> NewNotice {
    let Callback::Slack(notifier) = &request.callback;
    let (subject, text, error) = match request.task {
        Some(task) => task_text(facts, request, task),
        None => run_text(facts, request.event),
    };
    // A run that went on after it had ended tells anew; a task's attempts tell for themselves.
    let number = request.task.map_or(facts.epoch, |it| attempt_of(facts, it));
    let attempt = request.task.map_or(0, |it| attempt_of(facts, it));
    let task = request.task.map_or(-1, |it| it.get());
    let run = facts.dag_run_id;
    NewNotice {
        identity: format!(
            "{run}/{task}/{number}/{}/{}",
            request.event.name(),
            request.place
        ),
        payload: json!({
            "type": "slack",
            "dag_id": facts.dag.spec.dag_id.as_str(),
            "run_id": facts.run_id,
            "task_index": request.task.map(TaskIndex::get),
            "attempt": attempt,
            "event": request.event.name(),
            "subject": subject,
            "text": text,
            "error": error,
            "notifier": notifier_value(notifier),
        }),
    }
}

/// Reads back the notifier of a payload.
pub(crate) fn notifier(payload: &Value) -> SlackNotifier {
    let text = |key: &str| payload["notifier"][key].as_str().map(str::to_owned);
    let default = SlackNotifier::default();
    SlackNotifier {
        slack_webhook_conn_id: text("slack_webhook_conn_id"),
        text: text("text"),
        channel: text("channel"),
        username: text("username").unwrap_or(default.username),
        icon_emoji: text("icon_emoji").unwrap_or(default.icon_emoji),
    }
}

fn notifier_value(it: &SlackNotifier) -> Value {
    json!({
        "slack_webhook_conn_id": it.slack_webhook_conn_id,
        "text": it.text,
        "channel": it.channel,
        "username": it.username,
        "icon_emoji": it.icon_emoji,
    })
}

fn task_text(
    facts: &RunFacts<'_>,
    request: &NoticeRequest,
    index: TaskIndex,
) -> (String, String, String) {
    let Some(task) = facts.dag.task(index) else {
        return Default::default();
    };
    let dag_id = facts.dag.spec.dag_id.to_string();
    let task_id = task.task_id.to_string();
    let attempt = attempt_of(facts, index);
    let owner = task.owner.clone().unwrap_or_default();
    let log_url = facts.base_url.map(|it| {
        format!(
            "{it}/dags/{dag_id}/runs/{}/tasks/{task_id}",
            encoded(&facts.run_id)
        )
    });
    let error = request
        .failure
        .as_ref()
        .map(|it| it.message.clone())
        .unwrap_or_default();
    let (run_id, commit) = (facts.run_id.clone(), facts.commit.clone());
    let subject = format!("{dag_id}.{task_id}");
    let text = match request.event {
        NoticeEvent::Failure => notice::failure_text(&FailureNotice {
            dag_id,
            task_id,
            run_id,
            attempt,
            max_attempts: i16::try_from(task.retry.retries)
                .unwrap_or(i16::MAX)
                .saturating_add(1),
            error: error.clone(),
            owner,
            commit,
            log_url,
        }),
        NoticeEvent::Success => notice::success_text(&SuccessNotice {
            dag_id,
            task_id,
            run_id,
            attempt,
            owner,
            commit,
            log_url,
        }),
    };
    (subject, text, error)
}

fn run_text(facts: &RunFacts<'_>, event: NoticeEvent) -> (String, String, String) {
    let dag_id = facts.dag.spec.dag_id.to_string();
    let failed = failed_tasks(facts);
    let error = failed
        .first()
        .map(|(_, error)| error.clone())
        .unwrap_or_default();
    let ending = match event {
        NoticeEvent::Failure => RunEnding::Failed {
            failed_tasks: failed.into_iter().map(|(task, _)| task).collect(),
            error: error.clone(),
        },
        NoticeEvent::Success => RunEnding::Success,
    };
    let text = notice::run_text(&RunNotice {
        dag_id: dag_id.clone(),
        run_id: facts.run_id.clone(),
        ending,
        owner: facts
            .dag
            .tasks()
            .iter()
            .find_map(|it| it.owner.clone())
            .unwrap_or_default(),
        commit: facts.commit.clone(),
        run_url: facts.base_url.map(|it| run_url(it, &dag_id, &facts.run_id)),
    });
    (dag_id, text, error)
}

/// The tasks that failed, before this look and in it, with what they said.
fn failed_tasks(facts: &RunFacts<'_>) -> Vec<(String, String)> {
    let now = facts.plan.moves.iter().filter_map(|it| match &it.action {
        Action::Settle {
            why: Why::Failure(failure),
            ..
        } => Some((it.task, failure.message.clone())),
        Action::Settle { .. } | Action::Queue | Action::Requeue | Action::Retry { .. } => None,
    });
    let all: BTreeMap<TaskIndex, String> = facts.earlier.iter().cloned().chain(now).collect();
    all.into_iter()
        .filter_map(|(index, error)| {
            facts
                .dag
                .task(index)
                .map(|it| (it.task_id.to_string(), error))
        })
        .collect()
}

/// The attempt that a message is about: the one that ended, or the last one where none did.
fn attempt_of(facts: &RunFacts<'_>, task: TaskIndex) -> i16 {
    let last = || {
        let place = usize::try_from(task.get()).ok()?;
        Some(facts.tasks.get(place)?.attempt)
    };
    match facts.ended.get(&InstanceIndex::whole(task)) {
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
