//! Branches, setups and teardowns, failures that are allowed, and the run before.

use super::{dag, standing_of, task, told};
use crate::dag::{Dag, Task, Teardown, TriggerRule};
use crate::decide::{decide, skipped_joins};
use crate::ids::{TaskId, TaskIndex};
use crate::operator::{Branch, BranchOption, Operator};
use crate::outcome::Outcome;
use crate::run::{RunFacts, Standing};

fn id(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

fn branch(name: &str, follows: &[&[&str]]) -> Task {
    let options = follows.iter().map(|it| BranchOption {
        when: None,
        follow: it.iter().map(|it| id(it)).collect(),
    });
    Task {
        operator: Operator::Branch(Branch {
            options: options.collect(),
        }),
        ..task(name, TriggerRule::AllSuccess, &[])
    }
}

fn teardown(name: &str, setups: &[&str], after: &[&str]) -> Task {
    Task {
        teardown: Some(Teardown {
            setups: setups.iter().map(|it| id(it)).collect(),
        }),
        ..task(name, TriggerRule::AllDoneSetupSuccess, after)
    }
}

/// Where the tasks stand, in the order of the DAG.
fn facts(standings: &str) -> RunFacts {
    RunFacts {
        tasks: standings
            .split(", ")
            .map(|it| match it.strip_prefix("just followed ") {
                Some(names) => {
                    let names: Vec<TaskId> = names.split(' ').map(id).collect();
                    let mut facts = standing_of("running");
                    facts.standing = Standing::Ended(Outcome::Success {
                        outputs: Dag::following(&names),
                    });
                    facts
                }
                None => standing_of(it),
            })
            .collect(),
        ..RunFacts::default()
    }
}

#[track_caller]
fn check(dag: &Dag, facts: &RunFacts, expected: &str) {
    let plan = decide(dag, facts, &mut || 1.0);
    assert_eq!(told(dag, &plan), expected);
}

/// `choose` goes one way or the other; `join` comes after both, and after `choose` itself.
fn fork(rule: TriggerRule) -> Dag {
    let after_choose = |name| task(name, TriggerRule::AllSuccess, &["choose"]);
    let tasks = vec![
        branch("choose", &[&["left"], &["right"], &["left", "join"]]),
        after_choose("left"),
        after_choose("right"),
        task("join", rule, &["choose", "left", "right"]),
    ];
    dag(tasks, 16)
}

#[test]
fn what_a_branch_does_not_follow_is_skipped_unless_it_comes_after_what_it_follows() {
    let dag = fork(TriggerRule::NoneFailedMinOneSuccess);
    check(
        &dag,
        &facts("just followed left, waiting, waiting, waiting"),
        "choose → success; left → queued; right → skipped",
    );
    // A later look reads the decision from the outputs that were kept.
    let mut later = facts("success, success, waiting, waiting");
    later.followed.insert(TaskIndex(0), vec![TaskIndex(1)]);
    check(&dag, &later, "right → skipped; join → queued");
}

#[test]
fn a_branch_that_follows_nothing_skips_all_directly_below_it_whatever_their_rules() {
    let dag = dag(
        vec![
            branch("choose", &[]),
            task("a", TriggerRule::AllDone, &["choose"]),
            task("b", TriggerRule::Always, &["choose"]),
            task("c", TriggerRule::AllDone, &["a", "b"]),
        ],
        16,
    );
    let mut none = facts("success, waiting, waiting, waiting");
    none.followed.insert(TaskIndex(0), vec![]);
    check(&dag, &none, "a → skipped; b → skipped; c → queued");
}

#[test]
fn a_task_directly_below_a_branch_waits_for_its_decision_whatever_its_rule() {
    let dag = dag(
        vec![
            branch("choose", &[&["it"]]),
            task("other", TriggerRule::AllSuccess, &[]),
            task("it", TriggerRule::OneSuccess, &["choose", "other"]),
        ],
        16,
    );
    check(&dag, &facts("running, success, waiting"), "");
    check(
        &dag,
        &facts("just followed it, running, waiting"),
        "choose → success; it → queued",
    );
}

#[test]
fn a_branch_that_failed_or_was_marked_a_success_left_no_decision() {
    let dag = fork(TriggerRule::AllDone);
    check(
        &dag,
        &facts("failed, waiting, waiting, waiting"),
        "left → upstream_failed; right → upstream_failed; join → queued",
    );
    check(
        &dag,
        &facts("success, waiting, waiting, waiting"),
        "left → queued; right → queued",
    );
}

/// Each join with its branch and the upstream task that is skipped.
fn joins(dag: &Dag) -> Vec<String> {
    let name = |it: TaskIndex| dag.task(it).unwrap().task_id.to_string();
    skipped_joins(dag)
        .into_iter()
        .map(|(join, branch, skipped)| [name(join), name(branch), name(skipped)].join(" "))
        .collect()
}

#[test]
fn joins_that_would_be_skipped_with_a_path_are_found() {
    for rule in TriggerRule::ALL {
        let expected: &[&str] = match rule.name() {
            "all_success" | "none_skipped" => &["join choose right"],
            _ => &[],
        };
        assert_eq!(joins(&fork(rule)), expected, "{}", rule.name());
    }
    // What comes after one path alone, and after something else, is meant to be skipped with that path.
    let one_path = dag(
        vec![
            branch("choose", &[&["left"], &["right"]]),
            task("left", TriggerRule::AllSuccess, &["choose"]),
            task("right", TriggerRule::AllSuccess, &["choose"]),
            task("other", TriggerRule::AllSuccess, &[]),
            task("after", TriggerRule::AllSuccess, &["left", "other"]),
        ],
        16,
    );
    assert!(skipped_joins(&one_path).is_empty());
}

#[test]
fn a_join_is_found_after_or_among_what_a_branch_follows_and_what_comes_after_it_is_not() {
    let after = |name, upstream: &[&str]| task(name, TriggerRule::AllSuccess, upstream);
    let two_paths = dag(
        vec![
            branch("choose", &[&["left"], &["right"]]),
            after("left", &["choose"]),
            after("right", &["choose"]),
            after("join", &["left", "right"]),
            after("next", &["join"]),
        ],
        16,
    );
    assert_eq!(joins(&two_paths), ["join choose right"]);
    let past_it = dag(
        vec![
            branch("choose", &[&["left"], &["join"]]),
            after("left", &["choose"]),
            after("join", &["choose", "left"]),
        ],
        16,
    );
    assert_eq!(joins(&past_it), ["join choose left"]);
}

/// `make` is set up, `work` and `more` use it, `clean` tears it down.
fn scratch(rule: TriggerRule) -> Dag {
    let tasks = vec![
        task("make", TriggerRule::AllSuccess, &[]),
        task("work", TriggerRule::AllDone, &["make"]),
        task("more", rule, &["work"]),
        teardown("clean", &["make"], &["more"]),
    ];
    dag(tasks, 16)
}

#[test]
fn a_teardown_runs_after_failures_and_does_not_decide_the_run() {
    let dag = scratch(TriggerRule::AllSuccess);
    check(
        &dag,
        &facts("success, failed, upstream_failed, waiting"),
        "clean → queued",
    );
    check(
        &dag,
        &facts("success, success, success, failed"),
        "run → success",
    );
    check(
        &dag,
        &facts("success, failed, upstream_failed, success"),
        "run → failed; tell of the run",
    );
}

#[test]
fn a_teardown_whose_setup_did_not_succeed_does_not_run() {
    let dag = scratch(TriggerRule::AllSuccess);
    check(
        &dag,
        &facts("skipped, skipped, skipped, waiting"),
        "clean → skipped; run → success",
    );
    check(
        &dag,
        &facts("failed, success, upstream_failed, waiting"),
        "clean → upstream_failed; run → failed; tell of the run",
    );
}

#[test]
fn work_between_a_setup_and_its_teardown_rests_on_the_setup_whatever_its_rule() {
    let dag = scratch(TriggerRule::AllDone);
    check(
        &dag,
        &facts("failed, success, waiting, waiting"),
        "more → upstream_failed; clean → upstream_failed; run → failed; tell of the run",
    );
    check(
        &dag,
        &facts("skipped, success, waiting, waiting"),
        "more → skipped; clean → skipped; run → success",
    );
    check(
        &scratch(TriggerRule::Always),
        &facts("running, waiting, waiting, waiting"),
        "",
    );
    assert_eq!(dag.rule_letter(TaskIndex(1)), 'd', "directly below it");
    assert_eq!(dag.rule_letter(TaskIndex(2)), 'x');
    assert_eq!(dag.rule_letter(TaskIndex(3)), 't');
}

#[test]
fn a_cancel_leaves_teardowns_alone() {
    let dag = scratch(TriggerRule::AllSuccess);
    let mut cancelled = facts("success, running, waiting, waiting");
    cancelled.cancelled_by = Some("kim".into());
    check(&dag, &cancelled, "more → skipped");
    for (standing, expected) in [
        ("waiting", "clean → queued"),
        ("queued", ""),
        ("running", ""),
        ("up for retry", ""),
        ("just handed back", "clean → queued again"),
        ("just failed after tries 0", "clean → retry in 60s"),
        ("just succeeded", "clean → success; run → failed"),
    ] {
        let mut cancelled = facts(&format!("success, failed, skipped, {standing}"));
        cancelled.cancelled_by = Some("kim".into());
        check(&dag, &cancelled, expected);
    }
    let mut not_set_up = facts("waiting, waiting, waiting, waiting");
    not_set_up.cancelled_by = Some("kim".into());
    check(
        &dag,
        &not_set_up,
        "make → skipped; work → skipped; more → skipped; clean → skipped; run → failed",
    );
}

#[test]
fn an_allowed_failure_is_seen_downstream_and_does_not_fail_the_run() {
    let allowed = Task {
        allow_failure: true,
        ..task("a", TriggerRule::AllSuccess, &[])
    };
    let dag = dag(
        vec![
            allowed,
            task("b", TriggerRule::AllSuccess, &["a"]),
            task("c", TriggerRule::AllDone, &["b"]),
        ],
        16,
    );
    check(
        &dag,
        &facts("just failed after tries 2, waiting, waiting"),
        "a → failed; b → upstream_failed; c → queued; tell of a",
    );
    check(
        &dag,
        &facts("failed, upstream_failed, success"),
        "run → success",
    );
    check(
        &dag,
        &facts("failed, upstream_failed, failed"),
        "run → failed; tell of the run",
    );
}

#[test]
fn a_task_that_the_run_before_holds_up_waits_and_is_still_failed_by_its_upstream() {
    let past = Task {
        depends_on_past: true,
        ..task("b", TriggerRule::AllSuccess, &["a"])
    };
    let dag = dag(vec![task("a", TriggerRule::AllSuccess, &[]), past], 16);
    let mut held = facts("success, waiting");
    held.held_by_past.insert(TaskIndex(1));
    check(&dag, &held, "");
    check(&dag, &facts("success, waiting"), "b → queued");
    let mut failed = facts("failed, waiting");
    failed.held_by_past.insert(TaskIndex(1));
    check(
        &dag,
        &failed,
        "b → upstream_failed; run → failed; tell of the run",
    );
    assert_eq!(dag.rule_letter(TaskIndex(1)), 'x');
    assert!(dag.success_needs_look(TaskIndex(1)));
    assert!(!dag.success_needs_look(TaskIndex(0)));
}

#[test]
fn a_success_needs_a_look_where_it_may_decide_alone() {
    for rule in TriggerRule::ALL {
        let dag = dag(
            vec![
                task("a", TriggerRule::AllSuccess, &[]),
                task("b", rule, &["a"]),
            ],
            16,
        );
        let decides_alone = ["one_success", "one_done", "all_failed", "all_skipped"];
        assert_eq!(
            dag.success_needs_look(TaskIndex(0)),
            decides_alone.contains(&rule.name()),
            "{}",
            rule.name()
        );
    }
    assert!(fork(TriggerRule::AllDone).success_needs_look(TaskIndex(0)));
    let watched = Task {
        depends_on_past: true,
        wait_for_downstream: true,
        ..task("a", TriggerRule::AllSuccess, &[])
    };
    let dag = dag(
        vec![
            watched,
            task("b", TriggerRule::AllSuccess, &["a"]),
            task("c", TriggerRule::AllSuccess, &["b"]),
        ],
        16,
    );
    let looks = (0..3).map(|it| dag.success_needs_look(TaskIndex(it)));
    assert_eq!(looks.collect::<Vec<_>>(), [true, true, false]);
}
