//! Facts in, plan out, as text.

use std::time::Duration;

use super::decide;
use crate::callback::Callback;
use crate::dag::{Dag, DagSpec, Task, TriggerRule};
use crate::ids::{DagId, TaskId, TaskIndex};
use crate::operator::Operator;
use crate::outcome::{Failure, FailureKind, Outcome, Wait};
use crate::retry::RetryPolicy;
use crate::run::{Action, AskedFor, Plan, RunFacts, Standing, TaskFacts};
use crate::state::Verdict;

mod random;
mod rules;
mod truth;

mod waiting;

const NOW: jiff::Timestamp = jiff::Timestamp::constant(1_700_000_000, 0);

fn task(name: &str, rule: TriggerRule, upstream: &[&str]) -> Task {
    Task {
        depends_on: upstream
            .iter()
            .map(|it| TaskId::new(*it).unwrap())
            .collect(),
        trigger_rule: rule,
        retry: RetryPolicy {
            retries: 2,
            retry_delay: Duration::from_secs(60),
            ..RetryPolicy::default()
        },
        on_failure_callback: vec![Callback::slack()],
        ..Task::new(TaskId::new(name).unwrap(), Operator::Empty)
    }
}

fn dag(tasks: Vec<Task>, max_active_tasks: u32) -> Dag {
    let spec = DagSpec {
        max_active_tasks,
        on_failure_callback: vec![Callback::slack()],
        ..DagSpec::new(DagId::new("orders").unwrap(), "orders.yaml")
    };
    Dag::new(spec, tasks).unwrap()
}

/// `extract: running; load after extract, all_done: waiting`, tasks in the order of the DAG.
fn run(text: &str) -> (Dag, RunFacts) {
    let mut tasks = vec![];
    let mut facts = vec![];
    for line in text.split(';') {
        let (head, standing) = line.trim().split_once(": ").unwrap();
        let (head, rule) = match head.split_once(", ") {
            Some((head, rule)) => (
                head,
                TriggerRule::ALL
                    .into_iter()
                    .find(|it| it.name() == rule)
                    .unwrap(),
            ),
            None => (head, TriggerRule::AllSuccess),
        };
        let (name, upstream) = head.split_once(" after ").unwrap_or((head, ""));
        let upstream: Vec<&str> = upstream
            .split(" and ")
            .filter(|it| !it.is_empty())
            .collect();
        tasks.push(task(name, rule, &upstream));
        facts.push(standing_of(standing));
    }
    (
        dag(tasks, 16),
        RunFacts {
            now: NOW,
            tasks: facts,
            ..RunFacts::default()
        },
    )
}

fn standing_of(text: &str) -> TaskFacts {
    let (words, tries) = text.split_once(" after tries ").unwrap_or((text, "0"));
    let standing = match words {
        "waiting" => Standing::Waiting,
        "queued" => Standing::Queued,
        "running" => Standing::Running,
        "up for retry" => Standing::UpForRetry,
        "parked" => Standing::Parked,
        "lost too often" => Standing::LostTooOften,
        "just succeeded" => Standing::Ended(Outcome::success()),
        "just skipped" => Standing::Ended(Outcome::Skipped {
            reason: "asked to".into(),
        }),
        "just handed back" => Standing::Ended(Outcome::HandedBack),
        "just failed" => Standing::Ended(Failure::new(FailureKind::Connect, "refused").into()),
        "just failed a check" => {
            Standing::Ended(Failure::new(FailureKind::Check, "too few").into())
        }
        "success" => Standing::Settled(Verdict::Success),
        "failed" => Standing::Settled(Verdict::Failed),
        "upstream_failed" => Standing::Settled(Verdict::UpstreamFailed),
        "skipped" => Standing::Settled(Verdict::Skipped),
        other => panic!("no standing is called {other}"),
    };
    TaskFacts::new(standing, 1, tries.parse().unwrap())
}

fn told(dag: &Dag, plan: &Plan) -> String {
    let name = |task: TaskIndex| dag.task(task).unwrap().task_id.to_string();
    let mut parts: Vec<String> = plan
        .moves
        .iter()
        .map(|it| match &it.action {
            Action::Queue => format!("{} → queued", name(it.task)),
            Action::Requeue => format!("{} → queued again", name(it.task)),
            Action::Expand { items } => format!("{} → {} instances", name(it.task), items.len()),
            Action::Retry { delay, .. } => {
                format!("{} → retry in {}s", name(it.task), delay.as_secs())
            }
            Action::Reschedule { at, awaits } => {
                let seconds = at.as_second() - NOW.as_second();
                let run = awaits.map(|it| format!(" or with run {it}"));
                format!(
                    "{} → goes on in {seconds}s{}",
                    name(it.task),
                    run.unwrap_or_default()
                )
            }
            Action::Ask {
                subject, deadline, ..
            } => {
                let seconds = deadline.map(|it| it.as_second() - NOW.as_second());
                format!("{} → asks {subject} for {seconds:?}s", name(it.task))
            }
            Action::Settle { verdict, .. } => {
                format!(
                    "{} → {}",
                    name(it.task),
                    crate::state::TaskState::from(*verdict)
                )
            }
        })
        .collect();
    parts.extend(plan.ends.map(|it| format!("run → {it}")));
    parts.extend(plan.notices.iter().map(|it| match it.task {
        Some(task) => format!("tell of {}", name(task)),
        None => "tell of the run".to_owned(),
    }));
    parts.join("; ")
}

#[track_caller]
fn check(facts: &str, expected: &str) {
    let (dag, facts) = run(facts);
    let plan = decide(&dag, &facts, &mut || 1.0);
    assert_eq!(told(&dag, &plan), expected);
}

#[test]
fn roots_start_whatever_their_rule() {
    check(
        "a: waiting; b, one_failed: waiting; c, all_done: waiting",
        "a → queued; b → queued; c → queued",
    );
}

#[test]
fn a_task_waits_for_its_upstream_tasks() {
    check("a: running; b after a: waiting", "");
    check(
        "a: just succeeded; b after a: waiting",
        "a → success; b → queued",
    );
    check("a: success; b: running; c after a and b: waiting", "");
}

#[test]
fn a_final_failure_fails_the_rest_and_is_told() {
    check(
        "a: just failed after tries 2; b after a: waiting; c after b: waiting",
        "a → failed; b → upstream_failed; c → upstream_failed; run → failed; tell of a; tell of the run",
    );
}

#[test]
fn a_failure_with_tries_left_is_tried_again_and_told_to_nobody() {
    check(
        "a: just failed after tries 1; b after a: waiting",
        "a → retry in 60s",
    );
}

#[test]
fn a_failed_check_is_not_tried_again() {
    check(
        "a: just failed a check",
        "a → failed; run → failed; tell of a; tell of the run",
    );
}

#[test]
fn a_skip_is_passed_on_and_the_run_succeeds() {
    check(
        "a: just skipped; b after a: waiting",
        "a → skipped; b → skipped; run → success",
    );
}

#[test]
fn a_skip_is_not_passed_on_before_the_last_upstream_task_has_settled() {
    check("a: skipped; b: running; c after a and b: waiting", "");
    check(
        "a: skipped; b: success; c after a and b: waiting",
        "c → skipped; run → success",
    );
}

#[test]
fn all_success_fails_as_soon_as_one_upstream_task_failed() {
    check(
        "a: failed; b: running; c after a and b: waiting",
        "c → upstream_failed",
    );
    check(
        "a: skipped; b: failed; c after a and b: waiting",
        "c → upstream_failed; run → failed; tell of the run",
    );
}

#[test]
fn all_done_runs_whatever_happened() {
    check(
        "a: failed; b: skipped; c after a and b, all_done: waiting",
        "c → queued",
    );
    check(
        "a: failed; b: running; c after a and b, all_done: waiting",
        "",
    );
}

#[test]
fn one_failed_does_not_wait_for_the_others_and_is_skipped_without_a_failure() {
    check(
        "a: failed; b: running; c after a and b, one_failed: waiting",
        "c → queued",
    );
    check(
        "a: success; b: running; c after a and b, one_failed: waiting",
        "",
    );
    check(
        "a: success; b: just succeeded; c after a and b, one_failed: waiting",
        "b → success; c → skipped; run → success",
    );
}

#[test]
fn any_failed_task_fails_the_run_even_if_a_later_one_succeeded() {
    check(
        "a: failed; b after a, all_done: just succeeded",
        "b → success; run → failed; tell of the run",
    );
}

#[test]
fn what_was_handed_back_starts_again() {
    check("a: just handed back", "a → queued again");
}

#[test]
fn a_task_that_keeps_losing_its_worker_fails() {
    check(
        "a: lost too often",
        "a → failed; run → failed; tell of a; tell of the run",
    );
}

#[test]
fn a_cancel_settles_what_does_not_run_and_tells_nobody() {
    let (dag, mut facts) =
        run("a: running; b: queued; c: up for retry; d after a: waiting; e: success");
    facts.cancelled_by = Some("kim".into());
    let plan = decide(&dag, &facts, &mut || 1.0);
    assert_eq!(told(&dag, &plan), "b → failed; c → failed; d → skipped");
    let (dag, mut facts) = run("a: just failed; b after a: skipped");
    facts.cancelled_by = Some("kim".into());
    let plan = decide(&dag, &facts, &mut || 1.0);
    assert_eq!(told(&dag, &plan), "a → failed; run → failed; tell of a");
}

/// A mapped task with its instances, and one that waits for it.
fn mapped(instances: &[&str]) -> (Dag, RunFacts) {
    let (dag, mut facts) = run("a: waiting; b after a: waiting");
    facts.tasks[0].standing = Standing::Expanded;
    facts.tasks[0].instances = instances.iter().map(|it| standing_of(it)).collect();
    (dag, facts)
}

fn told_by_instance(instances: &[&str], cancelled_by: Option<&str>) -> String {
    let (dag, mut facts) = mapped(instances);
    facts.cancelled_by = cancelled_by.map(str::to_owned);
    let plan = decide(&dag, &facts, &mut || 1.0);
    let indexes: Vec<String> = (plan.moves.iter())
        .map(|it| it.map_index.to_string())
        .collect();
    format!("{} [{}]", told(&dag, &plan), indexes.join(" "))
}

#[test]
fn a_task_is_expanded_once_its_items_are_known_unless_its_run_was_stopped() {
    let (dag, mut facts) = run("a: running; b after a: waiting");
    let items = vec![serde_json::Map::new(); 3];
    facts.tasks[0].standing = Standing::Ended(Outcome::Expands { items });
    let plan = decide(&dag, &facts, &mut || 1.0);
    assert_eq!(told(&dag, &plan), "a → 3 instances");
    facts.cancelled_by = Some("kim".into());
    let plan = decide(&dag, &facts, &mut || 1.0);
    assert_eq!(told(&dag, &plan), "a → failed; b → skipped; run → failed");
}

#[test]
fn a_mapped_task_settles_with_its_last_instance_and_callbacks_tell_of_it_once() {
    let open = told_by_instance(
        &["success", "running", "just failed a check", "just failed"],
        None,
    );
    assert_eq!(open, "a → failed; a → retry in 60s [2 3]");
    assert_eq!(
        told_by_instance(&["success", "skipped", "just succeeded"], None),
        "a → success; a → success; b → queued [2 -1 -1]"
    );
    assert_eq!(
        told_by_instance(&["skipped", "just skipped"], None),
        "a → skipped; a → skipped; b → skipped; run → success [1 -1 -1]"
    );
    assert_eq!(
        told_by_instance(&["success", "failed", "just failed a check"], None),
        "a → failed; a → failed; b → upstream_failed; run → failed; tell of a; tell of the run [2 -1 -1]"
    );
}

#[test]
fn a_stop_fails_instances_that_were_asked_for_and_skips_the_others() {
    assert_eq!(
        told_by_instance(&["success", "queued", "waiting", "running"], Some("kim")),
        "a → failed; a → skipped; b → skipped [1 2 -1]"
    );
    assert_eq!(
        told_by_instance(&["waiting", "queued"], None),
        "a → queued [0]",
        "an instance that left the queue goes back to it"
    );
}

#[test]
fn a_parked_task_is_left_to_its_place_and_a_cancel_skips_it_unless_it_was_tried() {
    check("a: running; b: parked", "");
    let (dag, mut facts) = run("a: parked; b: parked");
    facts.tasks[0].attempt = 0;
    facts.cancelled_by = Some("kim".into());
    let plan = decide(&dag, &facts, &mut || 1.0);
    assert_eq!(told(&dag, &plan), "a → skipped; b → failed; run → failed");
}
