//! Pasts in, changes out, by name.

use super::*;
use crate::dag::{DagSpec, Task, Teardown, TriggerRule};
use crate::ids::{DagId, TaskId};
use crate::operator::Operator;

fn task(name: &str, upstream: &[&str]) -> Task {
    let task_id = |it: &str| TaskId::new(it).unwrap();
    Task {
        depends_on: upstream.iter().map(|it| task_id(it)).collect(),
        ..Task::new(task_id(name), Operator::Empty)
    }
}

fn dag(tasks: Vec<Task>) -> Dag {
    let spec = DagSpec::new(DagId::new("orders").unwrap(), "orders.yaml");
    Dag::new(spec, tasks).unwrap()
}

/// `a → b → c → d`, and `e` beside them.
fn chain() -> Dag {
    dag(vec![
        task("a", &[]),
        task("b", &["a"]),
        task("c", &["b"]),
        task("d", &["c"]),
        task("e", &[]),
    ])
}

const WAITING: Past = Past::Waiting;
const QUEUED: Past = Past::Queued;
const RUNNING: Past = Past::Running;

fn ran(verdict: Verdict) -> Past {
    Past::Settled {
        verdict,
        cause: Cause::Itself,
    }
}

fn followed(verdict: Verdict) -> Past {
    Past::Settled {
        verdict,
        cause: Cause::Others,
    }
}

fn stopped(verdict: Verdict) -> Past {
    Past::Settled {
        verdict,
        cause: Cause::Stop,
    }
}

fn clear(names: &[&str], reach: Reach) -> Wish {
    let dag = chain();
    Wish::Clear {
        tasks: names.iter().map(|it| dag.index_of(it).unwrap()).collect(),
        reach,
    }
}

fn at(name: &str) -> TaskIndex {
    chain().index_of(name).unwrap()
}

/// The changes as text: `b; then c d; mark a success`.
fn said(past: [Past; 5], wish: &Wish) -> String {
    let dag = chain();
    let mut placed = vec![WAITING; 5];
    for (name, past) in ["a", "b", "c", "d", "e"].iter().zip(past) {
        placed[usize::try_from(at(name).get()).unwrap()] = past;
    }
    let names = |tasks: &[TaskIndex]| {
        let mut names: Vec<&str> = tasks
            .iter()
            .map(|it| dag.task(*it).unwrap().task_id.as_str())
            .collect();
        names.sort_unstable();
        names.join(" ")
    };
    match changes(&dag, &placed, wish) {
        Ok(it) => {
            let marked = it
                .marked
                .map(|(task, verdict)| format!("mark {} {verdict:?}", names(&[task])));
            format!(
                "{}{}; then {}",
                names(&it.cleared),
                marked.unwrap_or_default(),
                names(&it.reconsidered)
            )
        }
        Err(Refusal::Running(tasks)) => format!("running: {}", names(&tasks)),
        Err(Refusal::Nothing) => "nothing".to_owned(),
    }
}

use Verdict::{Failed, Skipped, Success, UpstreamFailed};

#[test]
fn a_cleared_task_takes_along_what_only_followed_from_it() {
    let past = [
        ran(Success),
        ran(Failed),
        followed(UpstreamFailed),
        followed(UpstreamFailed),
        ran(Success),
    ];
    assert_eq!(said(past, &clear(&["b"], Reach::default())), "b; then c d");
    assert_eq!(said(past, &Wish::Retry), "b c d; then ");
}

#[test]
fn what_ran_downstream_keeps_its_verdict_unless_asked_for() {
    let past = [ran(Success); 5];
    assert_eq!(said(past, &clear(&["b"], Reach::default())), "b; then ");
    let downstream = Reach {
        downstream: true,
        ..Reach::default()
    };
    assert_eq!(said(past, &clear(&["b"], downstream)), "b c d; then ");
    let upstream = Reach {
        upstream: true,
        ..Reach::default()
    };
    assert_eq!(said(past, &clear(&["c"], upstream)), "a b c; then ");
    assert_eq!(said(past, &Wish::Everything), "a b c d e; then ");
}

#[test]
fn a_skip_that_the_task_asked_for_itself_stays_and_stops_what_follows() {
    let past = [
        ran(Success),
        ran(Skipped),
        followed(Skipped),
        WAITING,
        WAITING,
    ];
    assert_eq!(said(past, &clear(&["a"], Reach::default())), "a; then ");
    assert_eq!(said(past, &clear(&["b"], Reach::default())), "b; then c");
}

#[test]
fn only_failed_leaves_out_what_succeeded() {
    let past = [
        ran(Failed),
        followed(UpstreamFailed),
        ran(Success),
        ran(Failed),
        ran(Failed),
    ];
    let reach = Reach {
        upstream: false,
        downstream: true,
        only_failed: true,
    };
    assert_eq!(said(past, &clear(&["a"], reach)), "a b d; then ");
}

#[test]
fn a_retry_takes_up_what_a_stop_left_out() {
    let past = [
        ran(Failed),
        stopped(Skipped),
        stopped(Skipped),
        stopped(Skipped),
        stopped(Skipped),
    ];
    assert_eq!(said(past, &Wish::Retry), "a b c d e; then ");
    assert_eq!(said([ran(Success); 5], &Wish::Retry), "nothing");
}

#[test]
fn nothing_is_done_to_a_task_that_a_worker_has() {
    let past = [ran(Success), RUNNING, WAITING, WAITING, RUNNING];
    assert_eq!(said(past, &clear(&["b"], Reach::default())), "running: b");
    assert_eq!(said(past, &Wish::Everything), "running: b e");
    let mark = Wish::Mark {
        task: at("b"),
        verdict: Success,
    };
    assert_eq!(said(past, &mark), "running: b");
    // One that runs downstream goes on.
    assert_eq!(said(past, &clear(&["a"], Reach::default())), "a; then ");
}

#[test]
fn a_task_in_the_queue_waits_again_for_what_is_cleared_before_it() {
    let past = [ran(Success), QUEUED, WAITING, WAITING, QUEUED];
    assert_eq!(said(past, &clear(&["a"], Reach::default())), "a; then b");
    assert_eq!(said(past, &clear(&["c"], Reach::default())), "nothing");
}

#[test]
fn a_mark_gives_a_verdict_and_has_the_rest_decided_anew() {
    let past = [
        ran(Failed),
        followed(UpstreamFailed),
        followed(UpstreamFailed),
        followed(UpstreamFailed),
        ran(Failed),
    ];
    let mark = |verdict| Wish::Mark {
        task: at("a"),
        verdict,
    };
    assert_eq!(said(past, &mark(Success)), "mark a Success; then b c d");
    assert_eq!(said(past, &mark(Failed)), "nothing");
}

/// `make → use → drop`, where `drop` cleans up after `make`; `outer … close` around them.
fn with_a_teardown() -> Dag {
    let teardown = |name: &str, setup: &str, upstream: &[&str]| Task {
        trigger_rule: TriggerRule::AllDoneSetupSuccess,
        teardown: Some(Teardown {
            setups: vec![TaskId::new(setup).unwrap()],
        }),
        ..task(name, upstream)
    };
    dag(vec![
        task("outer", &[]),
        task("make", &["outer"]),
        task("use", &["make"]),
        teardown("drop", "make", &["use"]),
        task("report", &["use"]),
        teardown("close", "outer", &["drop", "report"]),
    ])
}

fn cleared(past: [Past; 6], wish: &[&str]) -> Result<Vec<String>, Refusal> {
    let dag = with_a_teardown();
    let wish = Wish::Clear {
        tasks: wish.iter().map(|it| dag.index_of(it).unwrap()).collect(),
        reach: Reach::default(),
    };
    let changes = changes(&dag, &past, &wish)?;
    let name = |it: &TaskIndex| dag.task(*it).unwrap().task_id.to_string();
    Ok(changes.cleared.iter().map(name).collect())
}

#[test]
fn what_was_torn_down_is_set_up_again_for_the_work_that_is_cleared() {
    let done = ran(Verdict::Success);
    let all = [done; 6];
    assert_eq!(
        cleared(all, &["use"]).unwrap(),
        ["outer", "make", "use", "drop", "close"]
    );
    assert_eq!(
        cleared(all, &["report"]).unwrap(),
        ["outer", "report", "close"]
    );
    assert_eq!(
        cleared(all, &["make"]).unwrap(),
        ["outer", "make", "drop", "close"]
    );
}

#[test]
fn cleaning_alone_is_repeated_without_setting_up() {
    let done = ran(Verdict::Success);
    let mut past = [done; 6];
    past[5] = ran(Verdict::Failed);
    assert_eq!(cleared(past, &["close"]).unwrap(), ["close"]);
}

#[test]
fn what_still_stands_is_not_set_up_again() {
    let done = ran(Verdict::Success);
    let failed = ran(Verdict::Failed);
    assert_eq!(
        cleared([done, done, failed, QUEUED, WAITING, WAITING], &["use"]).unwrap(),
        ["use"]
    );
    assert_eq!(
        cleared([done, done, failed, done, WAITING, WAITING], &["use"]).unwrap(),
        ["make", "use", "drop"]
    );
    assert_eq!(
        cleared([done, done, failed, RUNNING, WAITING, WAITING], &["use"]),
        Err(Refusal::Running(vec![
            with_a_teardown().index_of("drop").unwrap()
        ]))
    );
}

#[test]
fn a_retry_sets_up_again_what_its_failed_tasks_rest_on() {
    let dag = with_a_teardown();
    let (done, failed) = (ran(Verdict::Success), ran(Verdict::Failed));
    let past = [
        done,
        done,
        failed,
        done,
        followed(Verdict::UpstreamFailed),
        done,
    ];
    let changes = changes(&dag, &past, &Wish::Retry).unwrap();
    assert_eq!(changes.cleared.len(), 6, "{changes:?}");
}
