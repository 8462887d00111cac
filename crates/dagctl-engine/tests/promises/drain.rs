//! A worker that is asked to stop lets tasks end, hands back the rest, and leaves nothing behind.

use std::time::Duration;

use crate::support::{Bench, Working, read_sign, until_gone};

#[tokio::test]
async fn a_drain_lets_short_attempts_end_and_hands_back_long_ones_without_using_a_retry() {
    let bench = Bench::with(|it| it.drain_timeout = Duration::from_secs(2)).await;
    let (short, long, go) = (bench.sign("short"), bench.sign("long"), bench.sign("go"));
    bench
        .dag(&format!(
            "dag_id: two\ntasks:
  short: {{operator: shell, command: \"echo $$ > {}; while ! test -e {}; do sleep 0.02; done\"}}
  long: {{operator: shell, retries: 0, command: \"echo $$ > {}; sleep 600\"}}
  later: {{operator: empty, depends_on: short}}\n",
            short.display(),
            go.display(),
            long.display()
        ))
        .await;
    bench.trigger("two").await;
    let worker = Working::on(&bench.engine);
    read_sign(&short).await;
    let pid = read_sign(&long).await;
    worker.stop.cancel();
    std::fs::write(&go, "").unwrap();
    worker.drain().await;
    until_gone(&pid).await;

    assert_eq!(bench.states().await, "short=s long=n later=n");
    assert_eq!(
        bench.history().await,
        ["1 h handed_back: its worker was shutting down"]
    );
    let waiting =
        "select count(*) from ready where worker_id is null and claimed_at is null and lost = 0
        and attempt = case task_index when 1 then 2 else 1 end";
    assert_eq!(
        bench.count(waiting).await,
        2,
        "the handed back task and the one that became ready"
    );
    assert_eq!(bench.count("select count(*) from ready").await, 2);
    assert_eq!(
        bench
            .count("select sum(tries)::bigint from task_instance")
            .await,
        0
    );
    assert_eq!(
        bench
            .count("select count(*) from worker where stopped_at is not null and lost_at is null")
            .await,
        1
    );
    // The next worker goes on from there; a retry was not needed for it.
    std::fs::remove_file(&long).unwrap();
    let next = Working::on(&bench.engine);
    read_sign(&long).await;
    bench
        .until("select exists (select from task_instance where task_index = 2 and state = 's')")
        .await;
    next.hurry.cancel();
    next.drain().await;
}

#[tokio::test]
async fn a_worker_that_drains_takes_nothing_more() {
    let bench = Bench::new().await;
    let (sign, go) = (bench.sign("sign"), bench.sign("go"));
    bench
        .dag(&format!(
            "dag_id: one\ntasks:\n  busy: {{operator: shell, command: \"echo $$ > {}; while ! test -e {}; do sleep 0.02; done\"}}\n",
            sign.display(),
            go.display()
        ))
        .await;
    bench
        .dag("dag_id: other\ntasks:\n  only: {operator: empty}\n")
        .await;
    bench.trigger("one").await;
    let worker = Working::on(&bench.engine);
    read_sign(&sign).await;
    worker.stop.cancel();
    // It has seen the stop when the test's own thread comes back here: both run on one thread.
    tokio::task::yield_now().await;
    bench.trigger("other").await;
    std::fs::write(&go, "").unwrap();
    worker.drain().await;
    assert_eq!(bench.states().await, "busy=s only=n");
    assert_eq!(
        bench
            .count("select count(*) from ready where worker_id is not null")
            .await,
        0
    );
}

#[tokio::test]
async fn a_second_signal_ends_the_drain_at_once() {
    let bench = Bench::with(|it| it.drain_timeout = Duration::from_secs(3600)).await;
    let sign = bench.sign("sign");
    bench
        .dag(&format!(
            "dag_id: one\ntasks:\n  long: {{operator: shell, command: \"echo $$ > {}; sleep 600\"}}\n",
            sign.display()
        ))
        .await;
    bench.trigger("one").await;
    let worker = Working::on(&bench.engine);
    let pid = read_sign(&sign).await;
    worker.hurry.cancel();
    worker.drain().await;
    until_gone(&pid).await;
    assert_eq!(
        bench
            .count("select count(*) from ready where worker_id is null and attempt = 2")
            .await,
        1
    );
}
