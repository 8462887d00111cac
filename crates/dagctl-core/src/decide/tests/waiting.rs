//! Tasks that wait without a worker.

use super::*;
use crate::ids::DagRunId;
use crate::operator::{Answer, Approval, FileSensor, Operator};
use crate::poke::Poking;
use crate::run::Answered;

const MINUTE: Duration = Duration::from_secs(60);

/// A run of one task of that operator and a task after it.
fn two(operator: Operator, standing: Standing) -> (Dag, RunFacts) {
    let first = Task {
        operator,
        ..task("wait", TriggerRule::AllSuccess, &[])
    };
    let dag = dag(
        vec![first, task("then", TriggerRule::AllDone, &["wait"])],
        16,
    );
    let facts = |standing| TaskFacts::new(standing, 1, 0);
    let facts = RunFacts {
        now: NOW,
        cancelled_by: None,
        tasks: vec![facts(standing), facts(Standing::Waiting)],
        ..RunFacts::default()
    };
    (dag, facts)
}

fn sensor(soft_fail: bool) -> Operator {
    Operator::FileSensor(FileSensor {
        filepath: "/data/*.csv".into(),
        poking: Poking {
            timeout: 10 * MINUTE,
            soft_fail,
            ..Poking::default()
        },
    })
}

fn approval(timeout: Option<Duration>, default: Option<Answer>) -> Operator {
    Operator::Approval(Approval {
        subject: "Send?".into(),
        body: None,
        timeout,
        default,
    })
}

fn asked(seconds: Option<i64>, answer: Option<Answer>) -> Standing {
    Standing::WaitingApproval(AskedFor {
        deadline: seconds.map(|it| NOW + jiff::SignedDuration::from_secs(it)),
        answered: answer.map(|answer| Answered {
            answer,
            by: Some("kim".into()),
            reason: None,
        }),
    })
}

fn planned((dag, facts): (Dag, RunFacts)) -> String {
    told(&dag, &decide(&dag, &facts, &mut || 1.0))
}

#[test]
fn a_sensor_that_found_nothing_goes_on_later_and_what_waits_for_it_waits() {
    let poked = || Standing::Ended(Outcome::Waits(Wait::Poke));
    assert_eq!(
        planned(two(sensor(false), poked())),
        "wait → goes on in 60s"
    );
    assert_eq!(planned(two(sensor(false), Standing::UpForReschedule)), "");
}

#[test]
fn a_sensor_whose_time_is_up_fails_without_retry_or_is_skipped() {
    for (soft_fail, expected) in [
        (false, "wait → failed; then → queued; tell of wait"),
        (true, "wait → skipped; then → queued"),
    ] {
        let (dag, mut facts) = two(
            sensor(soft_fail),
            Standing::Ended(Outcome::Waits(Wait::Poke)),
        );
        facts.tasks[0].first_poke_at = Some(NOW - 10 * MINUTE);
        assert_eq!(planned((dag, facts)), expected);
    }
}

#[test]
fn an_error_in_a_poke_is_a_failure_with_retries() {
    let refused = Failure::new(FailureKind::Connect, "refused").into();
    assert_eq!(
        planned(two(sensor(false), Standing::Ended(refused))),
        "wait → retry in 60s"
    );
}

#[test]
fn a_task_that_waits_for_a_run_goes_on_with_its_end() {
    let waits = Standing::Ended(Outcome::Waits(Wait::Run(DagRunId(7))));
    assert_eq!(
        planned(two(Operator::Empty, waits)),
        "wait → goes on in 600s or with run 7"
    );
}

#[test]
fn a_cancel_fails_whatever_waits_and_asks_nobody_any_more() {
    let question = Wait::Answer {
        subject: "Send?".into(),
        body: String::new(),
    };
    for standing in [
        Standing::UpForReschedule,
        Standing::Ended(Outcome::Waits(Wait::Poke)),
        Standing::Ended(Outcome::Waits(question)),
        asked(None, None),
    ] {
        let (dag, mut facts) = two(approval(None, None), standing);
        facts.cancelled_by = Some("kim".into());
        assert_eq!(
            planned((dag, facts)),
            "wait → failed; then → skipped; run → failed"
        );
    }
}

#[test]
fn an_approval_waits_until_somebody_answers() {
    let question = Wait::Answer {
        subject: "Send?".into(),
        body: String::new(),
    };
    let ended = Standing::Ended(Outcome::Waits(question));
    let operator = || approval(Some(MINUTE), None);
    assert_eq!(
        planned(two(operator(), ended)),
        "wait → asks Send? for Some(60)s"
    );
    assert_eq!(planned(two(operator(), asked(Some(1), None))), "");
    assert_eq!(planned(two(operator(), asked(None, None))), "");
    let approved = asked(Some(1), Some(Answer::Approve));
    assert_eq!(
        planned(two(operator(), approved)),
        "wait → success; then → queued"
    );
}

#[test]
fn a_rejection_is_a_success_after_which_everything_that_waits_for_it_is_skipped() {
    let rejected = asked(None, Some(Answer::Reject));
    assert_eq!(
        planned(two(approval(None, None), rejected)),
        "wait → success; then → skipped; run → success"
    );
}

#[test]
fn an_approval_that_nobody_answered_in_time_takes_its_default_or_fails() {
    for (default, expected) in [
        (None, "wait → failed; then → queued; tell of wait"),
        (Some(Answer::Approve), "wait → success; then → queued"),
        (
            Some(Answer::Reject),
            "wait → success; then → skipped; run → success",
        ),
    ] {
        let operator = approval(Some(MINUTE), default);
        assert_eq!(planned(two(operator, asked(Some(0), None))), expected);
    }
    let late = asked(Some(-5), Some(Answer::Reject));
    assert_eq!(
        planned(two(approval(Some(MINUTE), Some(Answer::Approve)), late)),
        "wait → success; then → skipped; run → success",
        "an answer that was recorded counts"
    );
}
