//! Every final failure is told, once, whatever happens on the way.

use std::time::Duration;

use dagctl_core::outcome::Outcome;
use dagctl_engine::flush::{OnSuccess, Report};
use dagctl_engine::notifier::Notifier;
use dagctl_engine::reconcile::Service as _;
use serde_json::Value;

use crate::slack::{Answer, SlackStub};
use crate::support::{Bench, refused, report};

const DAG: &str = "
dag_id: told
default_args:
  owner: data
  on_failure_callback: [slack]
tasks:
  bad: {operator: empty, retries: 1, retry_delay: 0s}
  after: {operator: empty, depends_on: bad}
";

async fn bench_with(stub: &SlackStub) -> Bench {
    let base = stub.base_url();
    Bench::with(|it| {
        it.environment
            .insert("DAGCTL_VAR_SLACK_URL".into(), "T0/B0/sEcReT".into());
        it.slack_base_url = base;
        it.base_url = Some("https://dagctl.example".into());
    })
    .await
}

/// Fails the only task for good, with this message.
async fn fail(bench: &Bench, dag_id: &str, message: &str) {
    bench.trigger(dag_id).await;
    let worker = bench.worker().await;
    for _ in 0..2 {
        let claim = bench.claim(worker).await;
        bench.flush(worker, claim.key, refused(message)).await;
        bench.store.queue_due_timers().await.unwrap();
    }
}

async fn pass(bench: &Bench) {
    Notifier::new(bench.engine.clone()).pass().await.unwrap();
}

/// As if the pause before the next send were over.
async fn let_time_pass(bench: &Bench) {
    bench
        .execute("update notice set due_at = now() where state = 'p'")
        .await;
}

#[tokio::test]
async fn a_final_failure_writes_one_notice_in_the_failing_transaction_and_a_retried_one_none() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    bench.trigger("told").await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, refused("first")).await;
    assert_eq!(
        bench.count("select count(*) from notice").await,
        0,
        "it will be tried again"
    );
    bench.store.queue_due_timers().await.unwrap();
    let claim = bench.claim(worker).await;
    let failure = report(claim.key, refused("second"));
    bench
        .engine
        .flush(worker, vec![failure.clone()])
        .await
        .unwrap();
    bench.engine.flush(worker, vec![failure]).await.unwrap();
    assert_eq!(
        bench.count("select count(*) from notice").await,
        1,
        "one task failed, the other never ran"
    );
    let is_one_transaction = "select count(*) from notice n join task_instance t using (dag_run_id)
        where t.task_index = 0 and n.xmin::text = t.xmin::text";
    assert_eq!(bench.count(is_one_transaction).await, 1);
}

#[tokio::test]
async fn the_message_names_everything_and_shows_the_error_in_a_code_block() {
    let stub = SlackStub::start(vec![]).await;
    let bench = bench_with(&stub).await;
    bench.dag(DAG).await;
    fail(
        &bench,
        "told",
        "syntax error at or near \"parition\"\nLINE 1: <!channel> `x` ``` y",
    )
    .await;
    pass(&bench).await;
    let bodies = stub.bodies();
    assert_eq!(bodies.len(), 1);
    assert_eq!(stub.paths(), ["/services/T0/B0/sEcReT"]);
    let body = &bodies[0];
    assert!(
        body["username"].as_str().is_some_and(|it| !it.is_empty()),
        "{body}"
    );
    assert!(
        body["icon_emoji"]
            .as_str()
            .is_some_and(|it| it.starts_with(':')),
        "{body}"
    );
    let text = body["text"].as_str().unwrap();
    let run_id: String = bench.value("select run_id from dag_run").await;
    for part in [
        "bad",
        "told",
        run_id.as_str(),
        "attempt 2 of 2",
        "data",
        "parition",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(
        !text.contains("<!channel>"),
        "an error cannot call people: {text}"
    );
    let fences: Vec<_> = text.match_indices("```").collect();
    assert_eq!(
        fences.len(),
        2,
        "the error cannot leave its code block: {text}"
    );
    let at = text.find("parition").unwrap();
    assert!(fences[0].0 < at && at < fences[1].0, "{text}");
    let link = format!(
        "https://dagctl.example/dags/told/runs/{}/tasks/bad",
        run_id.replace(':', "%3A")
    );
    assert!(text.contains(&link), "{link} is not in {text}");
    assert_eq!(bench.texts("select state::text from notice").await, ["s"]);
}

#[tokio::test]
async fn errors_of_slack_delay_a_message_and_lose_none() {
    let stub = SlackStub::start(vec![
        Answer::Status(429, "Retry-After: 77\r\n"),
        Answer::Status(500, ""),
        Answer::ResetAtOnce,
    ])
    .await;
    let bench = bench_with(&stub).await;
    bench.dag(DAG).await;
    fail(&bench, "told", "no").await;
    pass(&bench).await;
    let pause: f64 = bench
        .value("select extract(epoch from due_at - now())::float8 from notice")
        .await;
    assert!(pause > 60.0 && pause <= 77.0, "{pause}");
    pass(&bench).await;
    assert_eq!(stub.asked(), 1, "not before the pause is over");
    while bench
        .count("select count(*) from notice where state = 'p'")
        .await
        > 0
    {
        let_time_pass(&bench).await;
        pass(&bench).await;
    }
    assert_eq!(stub.asked(), 4);
    let ending = "select state::text || sends || ' ' || doubtful from notice";
    assert_eq!(
        bench.texts(ending).await,
        ["s4 1"],
        "a reset leaves a doubt"
    );
    pass(&bench).await;
    assert_eq!(stub.asked(), 4, "what arrived is not sent again");
}

#[tokio::test]
async fn an_outage_delays_messages_for_up_to_three_days() {
    let stub = SlackStub::start(vec![]).await;
    let bench = bench_with(&stub).await;
    bench.dag(DAG).await;
    fail(&bench, "told", "first").await;
    stub.close().await;
    for _ in 0..3 {
        let_time_pass(&bench).await;
        pass(&bench).await;
    }
    bench
        .execute("update notice set created_at = now() - interval '71 hours'")
        .await;
    let_time_pass(&bench).await;
    pass(&bench).await;
    assert_eq!(bench.texts("select state::text from notice").await, ["p"]);
    let again = SlackStub::start(vec![]).await;
    let back = again.base_url();
    let engine = bench
        .another(|it| {
            it.environment
                .insert("DAGCTL_VAR_SLACK_URL".into(), "T0/B0/sEcReT".into());
            it.slack_base_url = back;
        })
        .await;
    let_time_pass(&bench).await;
    Notifier::new(engine).pass().await.unwrap();
    assert_eq!(again.bodies().len(), 1);

    fail(&bench, "told", "second").await;
    bench
        .execute("update notice set created_at = now() - interval '73 hours' where state = 'p'")
        .await;
    pass(&bench).await;
    assert_eq!(
        bench
            .texts("select state::text from notice order by notice_id")
            .await,
        ["s", "d"],
        "it is kept as undelivered"
    );
    let errors = bench
        .texts("select last_error from notice where state = 'd'")
        .await;
    assert!(
        errors[0].contains("connect") && !errors[0].contains("sEcReT"),
        "{errors:?}"
    );
}

#[tokio::test]
async fn after_two_sends_that_may_have_arrived_nobody_sends_again() {
    let stub = SlackStub::start(vec![Answer::ResetAfterBody, Answer::ResetAfterBody]).await;
    let bench = bench_with(&stub).await;
    bench.dag(DAG).await;
    fail(&bench, "told", "no").await;
    for _ in 0..4 {
        pass(&bench).await;
        let_time_pass(&bench).await;
    }
    assert_eq!(stub.asked(), 2);
    assert_eq!(bench.texts("select state::text from notice").await, ["u"]);
}

#[tokio::test]
async fn a_message_waits_for_the_variable_that_says_where_to() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    fail(&bench, "told", "no").await;
    pass(&bench).await;
    assert_eq!(
        bench
            .texts("select state::text || ' ' || last_error from notice")
            .await,
        ["p Variable `slack_url` is not set: run `dagctl variables set slack_url URL`"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_notifiers_at_once_send_each_message_once() {
    let stub = SlackStub::start(vec![]).await;
    let bench = bench_with(&stub).await;
    bench.dag(DAG).await;
    for number in 0..3 {
        fail(&bench, "told", &format!("failure {number}")).await;
    }
    let senders: Vec<_> = (0..3)
        .map(|_| {
            let engine = bench.engine.clone();
            tokio::spawn(async move { Notifier::new(engine).pass().await.unwrap() })
        })
        .collect();
    for it in senders {
        it.await.unwrap();
    }
    assert_eq!(stub.bodies().len(), 3);
    let mut texts: Vec<Value> = stub
        .bodies()
        .into_iter()
        .map(|it| it["text"].clone())
        .collect();
    texts.dedup();
    assert_eq!(texts.len(), 3);
}

/// A slow Slack must not let the lease of messages behind run out.
#[tokio::test]
async fn a_message_is_leased_only_when_its_turn_has_come() {
    let stub = SlackStub::start(vec![Answer::Never]).await;
    let bench = bench_with(&stub).await;
    bench.dag(DAG).await;
    fail(&bench, "told", "one").await;
    fail(&bench, "told", "two").await;
    let engine = bench.engine.clone();
    let sending = tokio::spawn(async move { Notifier::new(engine).pass().await });
    bench
        .until("select exists (select from notice where lease_until is not null)")
        .await;
    while stub.asked() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        bench
            .count("select count(*) from notice where lease_until is not null")
            .await,
        1
    );
    sending.abort();
}

#[tokio::test]
async fn callbacks_of_a_success_and_of_a_run_are_told_once() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: run
on_failure_callback: [slack]
on_success_callback: [slack]
tasks:
  good: {operator: empty, on_success_callback: [slack]}
  quiet: {operator: empty}
  last: {operator: empty, depends_on: [good, quiet]}
",
        )
        .await;
    let worker = bench.worker().await;
    for is_good in [true, false] {
        bench.trigger("run").await;
        loop {
            let claims = bench.store.claim(worker, 10).await.unwrap().claims;
            if claims.is_empty() {
                break;
            }
            for claim in claims {
                let is_first = claim.key.instance.task_index.get() == 0;
                let outcome = if is_first && !is_good {
                    refused("no")
                } else {
                    Outcome::success()
                };
                // As the worker says of tasks with a callback for success.
                let on_success = if is_first {
                    OnSuccess::Look
                } else {
                    OnSuccess::Plain
                };
                let it = Report {
                    on_success,
                    ..report(claim.key, outcome)
                };
                bench.engine.flush(worker, vec![it.clone()]).await.unwrap();
                bench.engine.flush(worker, vec![it]).await.unwrap();
            }
        }
    }
    let told =
        "select coalesce(payload->>'task_index', 'run') || ' ' || (payload->>'event') from notice
        order by notice_id";
    assert_eq!(
        bench.texts(told).await,
        ["0 success", "run success", "run failure"]
    );
    let text: String = bench
        .value("select payload->>'tasks' from notice where payload->>'event' = 'failure'")
        .await;
    assert!(text.contains("good") && text.contains("no"), "{text}");
}
