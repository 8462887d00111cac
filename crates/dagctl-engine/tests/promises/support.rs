//! A database with engines on it: each engine stands for a process of dagctl, with short leases.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use dagctl_core::ids::{AttemptKey, DagKey, DagRunId, DagVersionId, WorkerId};
use dagctl_core::outcome::{Failure, FailureKind, Outcome};
use dagctl_engine::flush::{OnSuccess, Report};
use dagctl_engine::reaper::{Reaper, Timekeeper};
use dagctl_engine::reconcile::{Service, reconcile};
use dagctl_engine::{Engine, EngineConfig, TriggerRequest, Triggered};
use dagctl_store::attempts::Claim;
use dagctl_store::dags::NewVersion;
use dagctl_store::notices::Gathering;
use dagctl_store::workers::NewWorker;
use dagctl_store::{Store, database::MIGRATIONS};
use dagctl_testkit::TestDatabase;
use serde_json::Map;
use sqlx::Connection as _;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing here may take longer; it is reached only where something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody waits for a lock.
pub(crate) const BLOCKED: &str = "select exists (select from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock')";

/// A database of the test's own, and one engine on it.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
    pub(crate) database: TestDatabase,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// A bench whose engine is set up in another way.
    pub(crate) async fn with(configure: impl FnOnce(&mut EngineConfig)) -> Self {
        let database = TestDatabase::migrated(&MIGRATIONS).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dags")).unwrap();
        let store = Store::from_pool(database.pool.clone());
        let engine = engine(&store, folder.path(), configure);
        Self {
            engine,
            store,
            folder,
            database,
        }
    }

    /// An engine as another process has it: with connections of its own.
    pub(crate) async fn another(&self, configure: impl FnOnce(&mut EngineConfig)) -> Engine {
        let store = Store::from_pool(self.database.connect().await);
        engine(&store, self.folder.path(), configure)
    }

    /// Stores a DAG's text as its active version.
    pub(crate) async fn dag(&self, yaml: &str) -> (DagKey, DagVersionId) {
        let file = "dag.yaml".to_owned();
        let files = BTreeMap::from([(file.clone(), yaml.to_owned())]);
        let (dag, problems) = dagctl_dagfile::parse_version(&files, &file);
        let dag = dag.unwrap_or_else(|| panic!("{problems:?}"));
        let new = NewVersion {
            dag: &dag,
            hash: yaml.as_bytes(),
            commit: None,
            files: &files,
        };
        self.store.activate_version(&new).await.unwrap()
    }

    pub(crate) async fn trigger(&self, dag_id: &str) -> DagRunId {
        self.ask(request(dag_id)).await.dag_run_id
    }

    pub(crate) async fn ask(&self, request: TriggerRequest) -> Triggered {
        self.engine.trigger(request).await.unwrap()
    }

    /// A worker that the test plays itself; its lease outlasts the test.
    pub(crate) async fn worker(&self) -> WorkerId {
        let new = NewWorker {
            name: "played".into(),
            version: "0".into(),
            slots: 4,
            lease: Duration::from_secs(600),
            queues: vec!["default".into()],
        };
        self.store.register_worker(&new).await.unwrap()
    }

    /// Locks what a statement locks, until the connection is told to end its transaction.
    pub(crate) async fn lock(&self, statement: &'static str) -> sqlx::PgConnection {
        let mut connection = sqlx::PgConnection::connect(&self.database.url)
            .await
            .unwrap();
        for it in ["begin", statement] {
            sqlx::raw_sql(it).execute(&mut connection).await.unwrap();
        }
        connection
    }

    /// Ends a worker's lease, as its silence would.
    pub(crate) async fn silence(&self, worker: WorkerId) {
        sqlx::query(
            "update worker set lease_until = now() - interval '1 second' where worker_id = $1",
        )
        .bind(worker.get())
        .execute(&self.database.pool)
        .await
        .unwrap();
    }

    /// The one task that can be claimed.
    pub(crate) async fn claim(&self, worker: WorkerId) -> Claim {
        let mut claims = self.store.claim(worker, 10).await.unwrap().claims;
        assert_eq!(claims.len(), 1, "{claims:?}");
        claims.remove(0)
    }

    pub(crate) async fn flush(&self, worker: WorkerId, key: AttemptKey, outcome: Outcome) {
        self.engine
            .flush(worker, vec![report(key, outcome)])
            .await
            .unwrap();
    }

    /// The one value of a statement.
    pub(crate) async fn value<T>(&self, sql: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(sql)
            .fetch_one(&self.database.pool)
            .await
            .unwrap_or_else(|err| panic!("{sql}: {err}"))
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        self.value(sql).await
    }

    /// Every row's first column, as text.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql)
            .fetch_all(&self.database.pool)
            .await
            .unwrap_or_else(|err| panic!("{sql}: {err}"))
    }

    pub(crate) async fn execute(&self, sql: &'static str) -> u64 {
        sqlx::query(sql)
            .execute(&self.database.pool)
            .await
            .unwrap_or_else(|err| panic!("{sql}: {err}"))
            .rows_affected()
    }

    /// Waits until a condition on the database holds.
    pub(crate) async fn until(&self, condition: &'static str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.value::<bool>(condition).await {
            assert!(
                Instant::now() < deadline,
                "never true: {condition}\n{}",
                self.picture().await
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for the end of every run.
    pub(crate) async fn until_all_ended(&self) {
        self.until("select not exists (select from dag_run where state in ('q', 'r'))")
            .await;
    }

    /// Tasks as `task_id=state`, in order; an attempt number where it is not the first.
    pub(crate) async fn states(&self) -> String {
        self.texts(
            "select k.task_id || '=' || t.state::text || case when t.attempt > 1 then t.attempt::text else '' end
            from task_instance t join dag_run r using (dag_run_id) join dag_task k using (dag_version_id, task_index)
            order by t.dag_run_id, t.task_index",
        )
        .await
        .join(" ")
    }

    /// The history of attempts as `attempt state reason: message`.
    pub(crate) async fn history(&self) -> Vec<String> {
        self.texts(
            "select attempt || ' ' || state::text || ' ' || reason || ': ' || message from attempt
            order by dag_run_id, task_index, attempt",
        )
        .await
    }

    async fn picture(&self) -> String {
        let ready = self
            .texts("select to_jsonb(ready)::text from ready order by dag_run_id, task_index")
            .await;
        let runs = self
            .texts("select to_jsonb(dag_run)::text from dag_run order by dag_run_id limit 5")
            .await;
        let states = self.states().await;
        format!(
            "runs {runs:#?}\ntasks {states}\nready {ready:#?}\nattempts {:#?}",
            self.history().await
        )
    }

    /// Everything but workers: reaper and timekeeper, every few milliseconds.
    pub(crate) fn keep_time(&self) -> Loops {
        let loops = Loops::default();
        loops.run(
            Timekeeper::new(self.engine.clone()),
            Duration::from_millis(20),
        );
        loops.run(Reaper::new(self.engine.clone()), Duration::from_millis(50));
        loops
    }

    /// Where a test's scripts leave signs.
    pub(crate) fn sign(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

fn engine(store: &Store, folder: &Path, configure: impl FnOnce(&mut EngineConfig)) -> Engine {
    let mut config = EngineConfig::new(folder.join("dags"), folder.join("runs"), [7; 32]);
    config.lease = Duration::from_secs(3);
    config.heartbeat = Duration::from_millis(100);
    config.poll = Duration::from_millis(50);
    config.slots = 4;
    // Messages wait for nothing, unless a test is about that.
    config.gathering = Gathering {
        first: Duration::ZERO,
        later: Duration::ZERO,
    };
    configure(&mut config);
    Engine::new(store.clone(), store.clone(), config)
}

/// A request as somebody's without wishes.
pub(crate) fn request(dag_id: &str) -> TriggerRequest {
    TriggerRequest {
        dag_id: dag_id.parse().unwrap(),
        params: Map::new(),
        logical_date: None,
        run_id: None,
        note: None,
        idempotency_key: None,
        principal: "kim".into(),
    }
}

pub(crate) fn report(key: AttemptKey, outcome: Outcome) -> Report {
    Report {
        key,
        outcome,
        on_success: OnSuccess::Plain,
    }
}

pub(crate) fn refused(message: &str) -> Outcome {
    Failure::new(FailureKind::Connect, message).into()
}

/// Loops under way; they end when this is dropped.
#[derive(Default)]
pub(crate) struct Loops {
    stop: CancellationToken,
}

impl Loops {
    pub(crate) fn run(&self, service: impl Service, period: Duration) {
        let stop = self.stop.clone();
        tokio::spawn(async move { reconcile(service, &Notify::new(), period, stop).await });
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A worker process at work.
pub(crate) struct Working {
    pub(crate) stop: CancellationToken,
    pub(crate) hurry: CancellationToken,
    running: JoinHandle<()>,
}

impl Working {
    pub(crate) fn on(engine: &Engine) -> Self {
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let running = tokio::spawn(dagctl_engine::worker::work(
            engine.clone(),
            stop.clone(),
            hurry.clone(),
        ));
        Self {
            stop,
            hurry,
            running,
        }
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn drain(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .expect("the worker never stopped")
            .unwrap();
    }
}

/// Waits until a file is there and has a line, and reads it.
pub(crate) async fn read_sign(path: &Path) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => assert!(Instant::now() < deadline, "no {}", path.display()),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until no process of that number is left.
pub(crate) async fn until_gone(pid: &str) {
    let deadline = Instant::now() + PATIENCE;
    let is_alive = || {
        // A zombie has no command line any more.
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|it| !it.is_empty())
    };
    while is_alive() {
        assert!(Instant::now() < deadline, "process {pid} still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
