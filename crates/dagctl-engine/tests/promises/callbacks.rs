//! What is told of tasks and runs, to whom, and in how many messages.

use std::time::Duration;

use dagctl_core::outcome::Outcome;
use dagctl_engine::flush::{OnSuccess, Report};
use dagctl_engine::notifier::Notifier;
use dagctl_engine::reconcile::Service as _;
use dagctl_store::notices::Gathering;

use crate::mail::MailStub;
use crate::slack::SlackStub;
use crate::support::{Bench, refused, report};

/// Gives every task of the one run that can be claimed the outcome that its number has; tasks beyond succeed.
async fn end_all(bench: &Bench, outcomes: &[Outcome]) {
    let worker = bench.worker().await;
    for claim in bench.store.claim(worker, 10).await.unwrap().claims {
        let place = usize::try_from(claim.key.instance.task_index.get()).unwrap();
        let outcome = outcomes.get(place).cloned().unwrap_or(Outcome::success());
        let it = Report {
            on_success: OnSuccess::Look,
            ..report(claim.key, outcome)
        };
        bench.engine.flush(worker, vec![it.clone()]).await.unwrap();
        // Said twice, as after an answer that was lost.
        bench.engine.flush(worker, vec![it]).await.unwrap();
    }
}

async fn pass(bench: &Bench) {
    Notifier::new(bench.engine.clone()).pass().await.unwrap();
}

async fn told(bench: &Bench) -> Vec<String> {
    bench
        .texts(
            "select (n.payload->>'event') || coalesce(' ' || string_agg(i.news->>'task_id', ' ' order by item_id), '')
            from notice n join notice_item i using (notice_id) group by n.notice_id order by n.notice_id",
        )
        .await
}

#[tokio::test]
async fn a_retry_and_a_skip_that_was_asked_for_are_told_and_a_task_that_never_started_is_not() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: told
default_args: {on_retry_callback: [slack], on_skipped_callback: [slack]}
tasks:
  first: {operator: empty, retries: 1, retry_delay: 0s}
  second: {operator: empty, depends_on: first}
",
        )
        .await;
    bench.trigger("told").await;
    end_all(&bench, &[refused("busy")]).await;
    assert_eq!(told(&bench).await, ["retry first"]);
    bench.store.queue_due_timers().await.unwrap();
    let reason = "nothing to do".to_owned();
    end_all(&bench, &[Outcome::Skipped { reason }]).await;
    assert_eq!(told(&bench).await, ["retry first", "skipped first"]);
    let errors = bench
        .texts("select news->>'error' from notice_item order by item_id")
        .await;
    assert_eq!(errors, ["busy", "nothing to do"]);
}

#[tokio::test]
async fn failures_of_one_run_wait_for_each_other_and_the_end_of_the_run_sends_them() {
    let stub = SlackStub::start(vec![]).await;
    let base = stub.base_url();
    let bench = Bench::with(|it| {
        it.environment
            .insert("DAGCTL_VAR_SLACK_URL".into(), "T0/B0/x".into());
        it.slack_base_url = base;
        it.gathering = Gathering {
            first: Duration::from_secs(3600),
            later: Duration::from_secs(3600),
        };
    })
    .await;
    bench
        .dag(
            "
dag_id: told
default_args: {on_failure_callback: [slack]}
tasks:
  one: {operator: empty}
  two: {operator: empty}
  last: {operator: empty, depends_on: [one, two], trigger_rule: all_done}
",
        )
        .await;
    bench.trigger("told").await;
    end_all(&bench, &[refused("no table"), refused("no rows")]).await;
    assert_eq!(told(&bench).await, ["failure one two"]);
    pass(&bench).await;
    assert_eq!(stub.asked(), 0, "more of this run may come");
    end_all(&bench, &[refused(""), refused(""), refused("no end")]).await;
    assert_eq!(told(&bench).await, ["failure one two last"]);
    pass(&bench).await;
    let bodies = stub.bodies();
    assert_eq!(bodies.len(), 1);
    let text = bodies[0]["text"].as_str().unwrap();
    for part in [
        "3 tasks", "`one`", "no table", "`two`", "no rows", "`last`", "no end",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test]
async fn what_comes_while_a_message_is_on_its_way_is_another_message() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: told
default_args: {on_failure_callback: [slack]}
tasks:
  one: {operator: empty}
  two: {operator: empty, depends_on: one, trigger_rule: all_done}
",
        )
        .await;
    bench.trigger("told").await;
    end_all(&bench, &[refused("no")]).await;
    let lease = Duration::from_secs(60);
    let taken = bench.store.take_notices(1, lease).await.unwrap();
    assert_eq!(taken[0].news.len(), 1);
    end_all(&bench, &[refused(""), refused("no")]).await;
    assert_eq!(told(&bench).await, ["failure one", "failure two"]);
}

#[tokio::test]
async fn from_the_second_failure_in_a_row_somebody_is_told_and_of_the_recovery_once() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: told
on_failure_callback: [{type: slack, after_failures: 2, recovered: true}]
default_args: {on_failure_callback: [{type: slack, channel: '#tasks', after_failures: 3}]}
tasks:
  one: {operator: empty}
",
        )
        .await;
    let mut seen = vec![];
    for is_good in [true, false, false, false, true, true, false] {
        bench.trigger("told").await;
        let outcome = if is_good {
            Outcome::success()
        } else {
            refused("no")
        };
        end_all(&bench, &[outcome]).await;
        let now = told(&bench).await;
        seen.push(now[seen.iter().map(Vec::len).sum::<usize>()..].to_vec());
    }
    let expected: [&[&str]; 7] = [
        &[],
        &[],
        &["failure"],
        &["failure one", "failure"],
        &["recovered"],
        &[],
        &[],
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn an_http_notifier_says_what_it_is_told_to_with_the_connections_login() {
    let stub = SlackStub::start(vec![]).await;
    let pager = stub.base_url().replace("http://", "http://kim:hunter22@");
    let bench = Bench::with(|it| {
        it.environment.insert("DAGCTL_CONN_PAGER".into(), pager);
    })
    .await;
    bench
        .dag(
            "
dag_id: told
on_failure_callback:
  - {type: http, conn_id: pager, data: {dag: '{{ dag.dag_id }}', error: '{{ error.summary }}'}}
  - {type: http, conn_id: pager, endpoint: /plain}
  - {type: http, conn_id: nowhere}
tasks:
  one: {operator: empty}
",
        )
        .await;
    bench.trigger("told").await;
    end_all(&bench, &[refused("no table\nline 2")]).await;
    pass(&bench).await;
    let bodies = stub.bodies();
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    assert_eq!(
        bodies[0],
        serde_json::json!({"dag": "told", "error": "no table"})
    );
    assert_eq!(stub.paths(), ["/services", "/services/plain"]);
    assert_eq!(bodies[1]["event"], "failure");
    assert_eq!(bodies[1]["tasks"][0]["error"], "no table\nline 2");
    let waits = bench
        .texts("select state::text || ' ' || last_error from notice where state <> 's'")
        .await;
    assert_eq!(
        waits,
        [
            "p connection `nowhere` is not defined: set DAGCTL_CONN_NOWHERE or run `dagctl connections add nowhere --uri ...`"
        ]
    );
}

#[tokio::test]
async fn a_mail_names_what_failed_and_is_sent_again_when_the_server_asks_to_try_later() {
    let stub = MailStub::start(&["451 later"]).await;
    let server = format!(
        "smtp://kim%40example.com:hunter22@127.0.0.1:{}/?disable_ssl=true&disable_tls=true",
        stub.port
    );
    let bench = Bench::with(|it| {
        it.environment
            .insert("DAGCTL_CONN_SMTP_DEFAULT".into(), server);
    })
    .await;
    bench
        .dag(
            "
dag_id: told
default_args:
  on_failure_callback: [{type: email, to: [data@example.com, lee@example.com], subject: 'Oh: {{ error.summary }}'}]
tasks:
  one: {operator: empty}
",
        )
        .await;
    bench.trigger("told").await;
    end_all(&bench, &[refused("no table for hunter22")]).await;
    let state = "select state::text || sends from notice";
    while bench.texts(state).await != ["s2"] {
        bench.execute("update notice set due_at = now()").await;
        pass(&bench).await;
    }
    let heard = stub.heard();
    for part in [
        "MAIL FROM:<kim@example.com>",
        "RCPT TO:<data@example.com>",
        "RCPT TO:<lee@example.com>",
        "Subject: Oh: no table",
        "Task one of DAG told failed",
    ] {
        assert!(heard.contains(part), "{part} is not in {heard}");
    }
    let ids: Vec<&str> = heard
        .lines()
        .filter(|it| it.starts_with("Message-ID"))
        .collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1], "whoever gets it twice can tell");
}
