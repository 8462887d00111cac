//! A warehouse, attempts on it, and what they said.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dagctl_core::check::{Bounds, Check};
use dagctl_core::connection::Connection;
use dagctl_core::ids::{AttemptNo, DagId, TaskId};
use dagctl_core::operator::{BuildTable, Operator, Swap, Target};
use dagctl_core::outcome::{Failure, Outcome};
use dagctl_core::template::{Context, ContextFacts};
use dagctl_core::variable::Masker;
use dagctl_runner::{Attempt, CleanUp, Log, LogLimits, LogLine, stop};
use dagctl_testkit::TestDatabase;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgPool};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A database with the schema `analytics`, and a run's folder.
pub(crate) struct Warehouse {
    pub(crate) database: TestDatabase,
    pub(crate) connection: Connection,
    pub(crate) folder: TempDir,
}

/// How an attempt ended, and its log.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) log: String,
}

/// An attempt under way.
pub(crate) struct UnderWay {
    pub(crate) stopper: stop::Stopper,
    ended: JoinHandle<Outcome>,
    lines: mpsc::Receiver<LogLine>,
    log: String,
}

impl Warehouse {
    pub(crate) async fn new() -> Self {
        Self::of(TestDatabase::new().await).await
    }

    pub(crate) async fn of(database: TestDatabase) -> Self {
        let options: PgConnectOptions = database.url.parse().unwrap();
        let host = match options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => options.get_host().to_owned(),
        };
        let connection = Connection {
            conn_id: "dw".to_owned(),
            conn_type: "postgres".to_owned(),
            host: Some(host),
            port: Some(options.get_port()),
            schema: options.get_database().map(str::to_owned),
            login: Some(options.get_username().to_owned()),
            password: None,
            extra: Map::new(),
        };
        let warehouse = Self {
            database,
            connection,
            folder: tempfile::tempdir().unwrap(),
        };
        warehouse
            .execute("create schema if not exists analytics")
            .await;
        warehouse
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(self.pool())
            .await
            .unwrap_or_else(|err| panic!("{err}\n{sql}"));
    }

    /// The first column as text, row by row.
    pub(crate) async fn column(&self, sql: &str) -> Vec<String> {
        let sql = format!("select coalesce(x::text, 'null') from ({sql}) as it(x)");
        sqlx::query_scalar(AssertSqlSafe(sql.clone()))
            .fetch_all(self.pool())
            .await
            .unwrap_or_else(|err| panic!("{err}\n{sql}"))
    }

    pub(crate) async fn text(&self, sql: &str) -> String {
        self.column(sql).await.remove(0)
    }

    /// The first attempt of a new task instance.
    pub(crate) fn attempt(&self, operator: Operator) -> Attempt {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let now: Timestamp = "2026-01-31T00:00:00Z".parse().unwrap();
        let run_dir = self.folder.path().join("run");
        let context = Context::new(ContextFacts {
            dag_id: "Build_Summary".to_owned(),
            dag_owner: String::new(),
            tags: vec![],
            task_id: "build".to_owned(),
            task_owner: String::new(),
            run_id: "manual__1".to_owned(),
            run_type: "manual".to_owned(),
            commit: String::new(),
            logical_date: now,
            data_interval_start: now,
            data_interval_end: now,
            timezone: TimeZone::UTC,
            params: Map::new(),
            outputs: BTreeMap::new(),
            variables: Arc::default(),
            connections: Arc::default(),
            run_dir: run_dir.display().to_string(),
            asset_events: BTreeMap::new(),
            try_number: 1,
            map_index: -1,
            items: Map::new(),
        });
        Attempt {
            dag_id: DagId::new("Build_Summary").unwrap(),
            task_id: TaskId::new("build").unwrap(),
            run_id: "manual__1".to_owned(),
            attempt: AttemptNo(1),
            idempotency_key: format!("Build_Summary/manual__{number}/build"),
            operator,
            run_if: None,
            context,
            connections: BTreeMap::from([("dw".to_owned(), self.connection.clone())]).into(),
            run_dir,
            dag_dir: self.folder.path().join("dags"),
            execution_timeout: None,
            masker: Masker::new(
                self.connection
                    .secrets()
                    .iter()
                    .map(|it| it.expose().to_owned()),
            ),
            clean_up: CleanUp::default(),
        }
    }

    pub(crate) async fn run(&self, operator: Operator) -> Ended {
        run(self.attempt(operator)).await
    }

    pub(crate) async fn build(&self, spec: &BuildTable) -> Ended {
        self.run(Operator::BuildTable(spec.clone())).await
    }

    /// What is left of builders, beside the live tables.
    pub(crate) async fn leftovers(&self) -> Vec<String> {
        self.column("select relname from pg_class where relname like '%\\_\\_stg\\_%' order by 1")
            .await
    }

    /// Statements of tasks that still run.
    pub(crate) async fn running(&self) -> Vec<String> {
        self.column(
            "select query from pg_stat_activity
             where datname = current_database() and application_name like 'dagctl/%'",
        )
        .await
    }

    /// Waits until a session of a task waits for the advisory lock that its SQL asks for.
    pub(crate) async fn wait_until_held_up(&self) {
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event = 'advisory' and application_name like 'dagctl/%'";
        while self.text(waiting).await == "0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.folder.path().join("run").join(Path::new(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

pub(crate) fn start(attempt: Attempt) -> UnderWay {
    let (sender, lines) = mpsc::channel(10_000);
    let log = Log::new(sender, LogLimits::default());
    let (stopper, stop) = stop::channel();
    UnderWay {
        stopper,
        ended: tokio::spawn(dagctl_runner::run(attempt, log, stop)),
        lines,
        log: String::new(),
    }
}

pub(crate) async fn run(attempt: Attempt) -> Ended {
    start(attempt).ended().await
}

impl UnderWay {
    /// Waits for a line that holds `text`.
    pub(crate) async fn until(&mut self, text: &str) {
        while let Some(line) = self.lines.recv().await {
            self.log.push_str(&line.text);
            self.log.push('\n');
            if line.text.contains(text) {
                return;
            }
        }
        panic!("the attempt ended without saying {text:?}:\n{}", self.log);
    }

    pub(crate) async fn ended(mut self) -> Ended {
        let outcome = self.ended.await.unwrap();
        while let Some(line) = self.lines.recv().await {
            self.log.push_str(&line.text);
            self.log.push('\n');
        }
        Ended {
            outcome,
            log: self.log,
        }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn outputs(&self) -> &Map<String, Value> {
        match &self.outcome {
            Outcome::Success { outputs } => outputs,
            other => panic!("{other:?}\n{}", self.log),
        }
    }

    #[track_caller]
    pub(crate) fn failure(&self) -> &Failure {
        match &self.outcome {
            Outcome::Failed(failure) => failure,
            other => panic!("{other:?}\n{}", self.log),
        }
    }

    /// How the table was published.
    #[track_caller]
    pub(crate) fn strategy(&self) -> &str {
        self.outputs()["strategy"].as_str().unwrap()
    }
}

/// `analytics.<table>`, with nothing asked of it.
pub(crate) fn target(table: &str) -> Target {
    Target {
        conn_id: "dw".to_owned(),
        schema: "analytics".to_owned(),
        table: table.to_owned(),
        primary_key: vec![],
        input_check: vec![],
        output_check: vec![],
        allow_empty: false,
        swap: Swap::Rename,
        keep_versions: 0,
    }
}

pub(crate) fn build(table: &str, main_sql: &str) -> BuildTable {
    BuildTable {
        target: target(table),
        main_sql: main_sql.to_owned(),
    }
}

pub(crate) fn at_least(count: f64, sql: &str) -> Check {
    Check {
        sql: sql.to_owned(),
        bounds: Bounds {
            count: Some(count),
            ..Bounds::default()
        },
    }
}
