//! `parition by` in a config file: pointed at beforehand, harmless when it runs all the same, announced once.
#![expect(
    clippy::unwrap_used,
    reason = "what fails here fails a test, in its functions too"
)]

mod support;

use dagctl_testkit::{TestDatabase, warehouse};
use serde_json::Value;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::services::{Installation, Service};
use crate::support::{Place, eventually, examples};

const CONFIG: &str = "dags/config/channel_summary.yaml";
/// A task that fails once, and then no more.
const FLAKY: &str = "
schedule: null
default_args:
  on_failure_callback: [slack]
tasks:
  second_try:
    operator: shell
    command: 'test -e ../been_here || { touch ../been_here; exit 75; }'
    retries: 1
    retry_delay: 1s
";

/// Build_Summary on a warehouse of its own, and a stub in Slack's place.
struct Stage {
    // Declared first: the processes end before their databases go.
    installation: Installation,
    scheduler: Option<Service>,
    _worker: Service,
    _web: Service,
    slack: MockServer,
    dagctl: TestDatabase,
    warehouse: TestDatabase,
}

impl Stage {
    async fn set(retries: u16) -> Self {
        let (dagctl, warehouse) = (TestDatabase::new().await, warehouse::database().await);
        let slack = MockServer::start().await;
        let place = Place::with_examples();
        for other in [
            "demo_warehouse",
            "exchange_rates",
            "machine_report",
            "name_gender",
        ] {
            std::fs::remove_file(place.dags().join(format!("{other}.yaml"))).unwrap();
        }
        let dag = std::fs::read_to_string(examples().join("Build_Summary.yaml")).unwrap();
        let quick = format!("retry_on: [sqlstate_42601]\n  retries: {retries}\n  retry_delay: 1s");
        let dag = replaced(&dag, "retries: 2\n  retry_delay: 3m", &quick);
        let dag = replaced(&dag, "\"@daily\"", "null");
        place.write("dags/Build_Summary.yaml", &dag);
        place.write("dags/flaky.yaml", FLAKY);

        let mut installation = Installation::new(place, &dagctl.url);
        installation
            .offer("redshift_dev_db", &warehouse.url)
            .set(
                "DAGCTL_SLACK_BASE_URL",
                &format!("{}/services/", slack.uri()),
            )
            .set("DAGCTL_BASE_URL", "https://dagctl.example");
        let web = installation.open().await;
        installation
            .ok(&["variables", "set", "slack_url", "T000/B000/XXX"])
            .await;
        let scheduler = installation.start(&["scheduler"]).await;
        let worker = installation.start(&["worker"]).await;
        Self {
            installation,
            scheduler: Some(scheduler),
            _worker: worker,
            _web: web,
            slack,
            dagctl,
            warehouse,
        }
    }

    /// How Slack answers from now on.
    async fn slack_answers(&self, status: u16) {
        self.slack.reset().await;
        Mock::given(method("POST"))
            .and(path("/services/T000/B000/XXX"))
            .respond_with(ResponseTemplate::new(status).set_body_string("ok"))
            .mount(&self.slack)
            .await;
    }

    async fn received(&self) -> Vec<Value> {
        let requests = self.slack.received_requests().await.unwrap();
        requests.iter().map(|it| it.body_json().unwrap()).collect()
    }

    /// Misspells a keyword, and waits until the scheduler has read it.
    async fn break_the_sql(&self) {
        let before = eventually("the first version", async || self.version().await).await;
        let text = std::fs::read_to_string(self.installation.place.path(CONFIG)).unwrap();
        let text = replaced(&text, "(PARTITION BY A.userid", "(parition by A.userid");
        self.installation.place.write(CONFIG, &text);
        eventually("the new version", async || {
            (self.version().await != Some(before)).then_some(())
        })
        .await;
    }

    async fn version(&self) -> Option<i32> {
        sqlx::query_scalar("select max(active_version_id) from dag where dag_id = 'Build_Summary'")
            .fetch_one(&self.dagctl.pool)
            .await
            .unwrap()
    }

    /// The messages of the outbox: state and number of sends.
    async fn outbox(&self) -> Vec<(String, i16)> {
        sqlx::query_as("select state::text, sends from notice order by notice_id")
            .fetch_all(&self.dagctl.pool)
            .await
            .unwrap()
    }

    async fn wait_until_sent(&self) {
        eventually("the message is sent", async || {
            let outbox = self.outbox().await;
            (outbox.len() == 1 && outbox[0].0 == "s").then_some(())
        })
        .await;
    }

    /// The live tables, each with its identity and a hash of its rows.
    async fn tables(&self) -> Vec<String> {
        let mut tables = vec![];
        for sql in [
            "select 'analytics.channel_summary'::regclass::oid::text || md5(string_agg(it::text, '' order by it::text)) from analytics.channel_summary as it",
            "select count(*)::text from pg_class where relname like '%\\_\\_stg\\_%'",
        ] {
            let text = sqlx::query_scalar(sql)
                .fetch_one(&self.warehouse.pool)
                .await;
            tables.push(text.unwrap());
        }
        tables
    }

    async fn run_fails(&self) {
        let ended = self
            .installation
            .run(&["trigger", "Build_Summary", "--wait"])
            .await;
        assert_eq!(ended.code, 1, "{ended:?}");
    }
}

#[tokio::test]
async fn a_misspelt_keyword_is_pointed_at_and_does_no_harm_when_it_runs_all_the_same() {
    let stage = Stage::set(1).await;
    stage.slack_answers(200).await;
    let installation = &stage.installation;
    installation.trigger("Build_Summary", &[]).await;
    installation.ok(&["runs", "follow", "Build_Summary"]).await;
    installation.trigger("flaky", &[]).await;
    installation.ok(&["runs", "follow", "flaky"]).await;
    let before = stage.tables().await;

    stage.break_the_sql().await;
    let text = std::fs::read_to_string(installation.place.path(CONFIG)).unwrap();
    let (line, column) = text
        .lines()
        .enumerate()
        .find_map(|(at, it)| Some((at + 1, it.find("parition")? + 1)))
        .unwrap();
    let ended = installation.place.run(&["validate"]).await;
    assert_eq!(ended.code, 1);
    let pointed_at = format!("{CONFIG}:{line}:{column}\n");
    assert!(ended.stdout.contains(&pointed_at), "{pointed_at}{ended:?}");

    stage.run_fails().await;
    assert_eq!(stage.tables().await, before);

    stage.wait_until_sent().await;
    let [message] = &stage.received().await[..] else {
        panic!("{:?}", stage.received().await);
    };
    let run = installation.json(&["runs", "show", "Build_Summary"]).await;
    let run_id = run["run_id"].as_str().unwrap();
    let text = message["text"].as_str().unwrap();
    for part in [
        "`Build_Summary`",
        "`build.channel_summary`",
        &format!("`{run_id}`"),
        "attempt 2 of 2",
        "syntax error at or near",
        "```",
        "<https://dagctl.example/dags/Build_Summary/runs/",
        "/tasks/build.channel_summary|Log>",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(message["username"].is_string() && message["icon_emoji"].is_string());

    // Neither the first attempt nor the one that went well at its second try left a message.
    let failed: i64 = sqlx::query_scalar("select count(*) from attempt where state = 'f'")
        .fetch_one(&stage.dagctl.pool)
        .await
        .unwrap();
    assert_eq!(failed, 3);
    assert_eq!(stage.outbox().await.len(), 1);
}

#[tokio::test]
async fn a_message_survives_the_death_of_its_sender() {
    let mut stage = Stage::set(1).await;
    stage.slack_answers(503).await;
    stage.break_the_sql().await;
    stage.run_fails().await;
    eventually("a send that Slack refuses", async || {
        let tried = stage
            .outbox()
            .await
            .first()
            .is_some_and(|(_, sends)| *sends > 0);
        (tried && !stage.received().await.is_empty()).then_some(())
    })
    .await;
    stage.scheduler.take().unwrap().kill().await;
    stage.slack_answers(200).await;
    assert_eq!(stage.outbox().await[0].0, "p");

    stage.scheduler = Some(stage.installation.start(&["scheduler"]).await);
    stage.wait_until_sent().await;
    assert_eq!(stage.received().await.len(), 1, "since Slack is well again");
}

#[tokio::test]
async fn a_failure_without_any_sender_is_announced_by_the_next_one() {
    let mut stage = Stage::set(0).await;
    stage.slack_answers(200).await;
    stage.break_the_sql().await;
    stage.scheduler.take().unwrap().kill().await;
    stage.run_fails().await;
    assert_eq!(stage.outbox().await, [("p".to_owned(), 0)]);
    assert_eq!(stage.received().await.len(), 0);

    stage.scheduler = Some(stage.installation.start(&["scheduler"]).await);
    stage.wait_until_sent().await;
    assert_eq!(stage.received().await.len(), 1);
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "`{from}` is not in {text}");
    text.replace(from, to)
}
