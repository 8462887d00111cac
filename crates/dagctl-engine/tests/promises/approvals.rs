//! Questions to people: who answers first, and what becomes of a question that nobody answers.

use dagctl_core::ids::{DagRunId, MapIndex, TaskIndex, TaskInstanceKey};
use dagctl_core::operator::Answer;
use dagctl_core::outcome::{Outcome, Wait};
use dagctl_core::state::{RunState, TaskState};
use dagctl_engine::AnswerError;
use dagctl_engine::reaper::Timekeeper;
use dagctl_engine::reconcile::Service as _;
use dagctl_store::waiting::NewAnswer;

use crate::support::Bench;
use crate::waiting::seen;

pub(crate) const APPROVAL: &str = "
dag_id: one
tasks:
  review: {operator: approval, subject: 'Send {{ ds }}?', timeout: 1h}
  send: {operator: empty, depends_on: review, trigger_rule: all_done}
  after: {operator: empty, depends_on: send}
";

pub(crate) fn asks() -> Outcome {
    Outcome::Waits(Wait::Answer {
        subject: "Send?".into(),
        body: String::new(),
    })
}

pub(crate) fn answer(run: DagRunId, answer: Answer, by: &str) -> NewAnswer {
    NewAnswer {
        instance: TaskInstanceKey {
            dag_run_id: run,
            task_index: TaskIndex(0),
            map_index: MapIndex::UNMAPPED,
        },
        answer,
        by: by.into(),
        reason: Some("fine".into()),
        object: "one/run/review".into(),
    }
}

#[tokio::test]
async fn one_of_two_people_who_answer_at_once_wins_and_the_other_is_told() {
    let bench = Bench::new().await;
    bench.dag(APPROVAL).await;
    let run = bench.trigger("one").await;
    let too_early = bench
        .engine
        .answer(answer(run, Answer::Approve, "kim"))
        .await;
    assert!(
        matches!(too_early, Err(AnswerError::NotAsked(_))),
        "{too_early:?}"
    );
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, asks()).await;
    assert_eq!(seen(&bench, run).await, TaskState::WaitingApproval);
    assert_eq!(bench.store.open_approvals(10).await.unwrap().len(), 1);
    let (kim, lee) = tokio::join!(
        bench.engine.answer(answer(run, Answer::Approve, "kim")),
        bench.engine.answer(answer(run, Answer::Approve, "lee"))
    );
    let told: Vec<_> = [kim, lee].into_iter().filter_map(Result::err).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let told = told[0].to_string();
    assert!(
        told.starts_with("`one/run/review` was approved by "),
        "{told}"
    );
    assert_eq!(bench.states().await, "review=s send=n after=n");
    assert_eq!(bench.count("select count(*) from ready").await, 1);
    assert_eq!(bench.store.open_approvals(10).await.unwrap(), []);
    assert_eq!(
        bench
            .count("select count(*) from audit where action = 'approval.approve'")
            .await,
        1
    );
    let output: serde_json::Value = bench.value("select value from output").await;
    assert_eq!(output["approved"], true);
}

#[tokio::test]
async fn after_a_rejection_the_tasks_right_after_it_are_skipped_and_the_run_succeeds() {
    let bench = Bench::new().await;
    bench.dag(APPROVAL).await;
    let run = bench.trigger("one").await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, asks()).await;
    bench
        .engine
        .answer(answer(run, Answer::Reject, "kim"))
        .await
        .unwrap();
    assert_eq!(bench.states().await, "review=s send=k after=k");
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Success)
    );
}

#[tokio::test]
async fn a_question_that_nobody_answers_in_time_ends_by_its_default_or_fails() {
    for (default, states) in [
        ("", "review=f send=n after=n"),
        (", default: approve", "review=s send=n after=n"),
        (", default: reject", "review=s send=k after=k"),
    ] {
        let bench = Bench::new().await;
        bench
            .dag(&APPROVAL.replace("timeout: 1h", &format!("timeout: 1h{default}")))
            .await;
        let run = bench.trigger("one").await;
        let worker = bench.worker().await;
        let claim = bench.claim(worker).await;
        bench.flush(worker, claim.key, asks()).await;
        let mut timekeeper = Timekeeper::new(bench.engine.clone());
        timekeeper.pass().await.unwrap();
        assert_eq!(seen(&bench, run).await, TaskState::WaitingApproval);
        bench.execute("update timer set due_at = now()").await;
        bench.execute("update approval set deadline = now()").await;
        let late = bench
            .engine
            .answer(answer(run, Answer::Approve, "kim"))
            .await;
        assert!(late.is_err(), "too late");
        timekeeper.pass().await.unwrap();
        assert_eq!(bench.states().await, states);
        assert_eq!(bench.count("select count(*) from timer").await, 0);
    }
}

#[tokio::test]
async fn an_answer_whose_look_was_lost_is_found_by_the_next_look() {
    let bench = Bench::new().await;
    bench.dag(APPROVAL).await;
    let run = bench.trigger("one").await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, asks()).await;
    // As if its process had ended right after the commit.
    assert!(
        bench
            .store
            .answer(&answer(run, Answer::Reject, "kim"))
            .await
            .unwrap()
    );
    assert_eq!(seen(&bench, run).await, TaskState::WaitingApproval);
    let _loops = bench.keep_time();
    bench.until_all_ended().await;
    assert_eq!(bench.states().await, "review=s send=k after=k");
}
