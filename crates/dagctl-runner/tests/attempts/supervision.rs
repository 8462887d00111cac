//! What holds for every operator: `run_if`, panics, stops, masking and limits.

use dagctl_core::operator::Operator;
use dagctl_core::outcome::{FailureKind, Outcome};
use dagctl_runner::StopReason;
use serde_json::json;

use super::support::{Run, run_quietly, script};

#[tokio::test]
async fn an_empty_task_succeeds_and_writes_nothing() {
    let run = Run::new();
    let ended = run.run(Operator::Empty).await;
    assert_eq!(ended.outcome, Outcome::success());
    assert_eq!(ended.lines, []);
    assert!(!run.run_dir().exists());
}

#[tokio::test]
async fn an_empty_task_needs_nobody_who_reads_its_log() {
    let attempt = Run::new().attempt(Operator::Empty);
    assert_eq!(run_quietly(attempt).await, Outcome::success());
}

#[tokio::test]
async fn a_false_run_if_skips_and_a_broken_one_fails() {
    let mut run = Run::new();
    run.params.insert("full".to_owned(), json!(false));
    run.run_if = Some("params.full".to_owned());
    let ended = run.run(script("exit 1")).await;
    let Outcome::Skipped { reason } = &ended.outcome else {
        panic!("{ended:?}");
    };
    assert_eq!(reason, "`run_if: params.full` is false");

    run.run_if = Some("not params.full".to_owned());
    assert_eq!(run.run(Operator::Empty).await.outcome, Outcome::success());

    run.run_if = Some("params.ful".to_owned());
    let ended = run.run(Operator::Empty).await;
    assert_eq!(ended.failure().kind, FailureKind::Definition);
}

#[tokio::test]
async fn a_secret_is_masked_in_log_message_and_outputs() {
    let mut run = Run::new();
    run.secrets.push("correct-horse-battery".to_owned());
    let ended = run
        .run(script(
            "printf corr; printf ect-horse; printf -- '-battery\\n'; \
             echo '{\"token\": {\"a\": [\"correct-horse-battery\"]}}' > $DAGCTL_OUTPUTS",
        ))
        .await;
    assert_eq!(ended.outputs()["token"], json!({"a": ["***"]}));
    assert!(ended.text().contains("***"), "{}", ended.text());
    assert!(!ended.text().contains("horse"), "{}", ended.text());

    let ended = run
        .run(script("echo correct-horse-battery >&2; exit 3"))
        .await;
    assert!(!ended.failure().message.contains("horse"));
    assert!(ended.failure().message.contains("***"));
}

#[tokio::test]
async fn an_output_that_is_too_large_fails_with_the_way_out() {
    let run = Run::new();
    let ended = run
        .run(script(
            "printf '{\"rows\": \"' > $DAGCTL_OUTPUTS; head -c 70000 /dev/zero | tr '\\0' x >> $DAGCTL_OUTPUTS; \
             echo '\"}' >> $DAGCTL_OUTPUTS",
        ))
        .await;
    let message = &ended.failure().message;
    assert!(
        message.contains("output `rows` takes 70002 bytes"),
        "{message}"
    );
}

#[tokio::test]
async fn every_reason_to_stop_has_its_outcome() {
    let cases = [
        (
            StopReason::Cancelled {
                by: "kim".to_owned(),
            },
            Some(FailureKind::Cancelled),
        ),
        (StopReason::Fenced, Some(FailureKind::Fenced)),
        (StopReason::Drain, None),
    ];
    for (reason, kind) in cases {
        let run = Run::new();
        let mut started = run.start(script("echo up; exec sleep 1000"));
        started.line("up").await;
        started.stop(reason.clone());
        let ended = started.ended().await;
        match kind {
            Some(kind) => assert_eq!(ended.failure().kind, kind),
            None => assert_eq!(ended.outcome, Outcome::HandedBack),
        }
        if let StopReason::Cancelled { .. } = reason {
            assert_eq!(ended.failure().message, "cancelled by kim");
        }
    }
}

#[tokio::test]
async fn a_stop_before_the_start_runs_nothing() {
    let run = Run::new();
    let started = run.start(script("touch \"$DAGCTL_RUN_DIR/ran\""));
    // The attempt's task has not been polled yet: this runtime has one thread.
    started.stop(StopReason::Drain);
    assert_eq!(started.ended().await.outcome, Outcome::HandedBack);
    assert!(!run.run_dir().join("ran").exists());
}
