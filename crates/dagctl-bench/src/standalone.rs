//! A `dagctl standalone` under test: started like a user's, spoken to over REST, looked at through its database.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};

use crate::place::Place;
use crate::process::{PATIENCE, Process};
use crate::report::median;
use crate::rest::Rest;

/// The floors' own database.
const FLOOR_DATABASE: &str = "bench_floor";

/// What a standalone is started with.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Tasks under way at the same time.
    pub(crate) slots: usize,
    /// More flags, such as `--port`.
    pub(crate) flags: Vec<String>,
    /// More variables, such as `AIRFLOW_CONN_…`.
    pub(crate) variables: Vec<(String, String)>,
}

impl Default for Wanted {
    /// As a user starts it who says nothing.
    fn default() -> Self {
        Self {
            slots: 16,
            flags: vec![],
            variables: vec![],
        }
    }
}

impl Wanted {
    /// With so many tasks at the same time.
    pub(crate) fn slots(slots: usize) -> Self {
        Self {
            slots,
            ..Self::default()
        }
    }
}

/// A running standalone. Dropped, it is stopped, and all it wrote is gone.
pub(crate) struct Standalone {
    // First the process, then its folder.
    process: Process,
    program: PathBuf,
    /// Its folders, and commands beside it.
    pub(crate) place: Place,
    /// Its REST interface.
    pub(crate) rest: Rest,
    /// dagctl's own database.
    pub(crate) db: PgPool,
    /// An empty database on the same cluster.
    pub(crate) floor_db: PgPool,
    /// Where that is, for floors that connect by themselves.
    pub(crate) floor_url: String,
    /// Where dagctl's database is, for more processes on it.
    pub(crate) database_url: String,
    /// From the spawn to the line that says that it runs.
    pub(crate) start_time: Duration,
}

/// What standalone leaves for commands of the same user.
#[derive(Deserialize)]
struct LocalAccess {
    url: String,
    token: String,
    database_url: Option<String>,
}

impl Standalone {
    /// Starts `program standalone` in a place and waits until it says that it runs.
    pub(crate) async fn start(
        program: &Path,
        place: Place,
        wanted: Wanted,
    ) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let mut command = place.command(program, &["standalone", "--web-addr", "127.0.0.1:0"]);
        command
            .args(["--slots", &wanted.slots.to_string()])
            .args(&wanted.flags)
            .envs(wanted.variables.iter().map(|(name, value)| (name, value)));
        let process = Process::spawn(command, "dagctl is running").await?;
        let start_time = begun.elapsed();
        let text = std::fs::read(place.data().join("local.json"))
            .context("standalone left no local token")?;
        let local: LocalAccess = serde_json::from_slice(&text)?;
        let database_url = local
            .database_url
            .context("standalone has no private Postgres")?;
        let db = connect(&database_url, 8).await?;
        let is_there: bool =
            sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
                .bind(FLOOR_DATABASE)
                .fetch_one(&db)
                .await?;
        if !is_there {
            sqlx::query(AssertSqlSafe(format!("create database {FLOOR_DATABASE}")))
                .execute(&db)
                .await?;
        }
        let floor_url = database_url.replacen("/dagctl?", &format!("/{FLOOR_DATABASE}?"), 1);
        ensure!(
            floor_url != database_url,
            "`{database_url}` is not the address of a database `dagctl`"
        );
        Ok(Self {
            process,
            program: program.to_owned(),
            rest: Rest::new(&local.url, &local.token)?,
            db,
            floor_db: connect(&floor_url, 8).await?,
            place,
            floor_url,
            database_url,
            start_time,
        })
    }

    /// The process's number, to look at its memory and its time.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Writes a DAG file and waits until the DAG is active with that text's number of tasks.
    pub(crate) async fn add_dag(&self, dag_id: &str, text: &str) -> anyhow::Result<()> {
        self.place.write_dag(dag_id, text)?;
        let begun = Instant::now();
        loop {
            let active: Option<i32> = sqlx::query_scalar(
                "select active_version_id from dag where dag_id = $1 and active_version_id is not null",
            )
            .bind(dag_id)
            .fetch_optional(&self.db)
            .await?;
            if active.is_some() {
                return Ok(());
            }
            let problem: Option<String> =
                sqlx::query_scalar("select rendered from problem where severity = 'error' limit 1")
                    .fetch_optional(&self.db)
                    .await?;
            if let Some(problem) = problem {
                bail!("the DAG file of `{dag_id}` is refused: {problem}");
            }
            ensure!(begun.elapsed() < PATIENCE, "`{dag_id}` was never active");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until as many runs of a DAG have ended, all of them with success.
    pub(crate) async fn until_ended(&self, dag_id: &str, runs: usize) -> anyhow::Result<()> {
        self.until_ended_after(0, dag_id, runs).await
    }

    /// The same for runs after the one of that number, so that a long history is not counted again and again.
    pub(crate) async fn until_ended_after(
        &self,
        newest: i64,
        dag_id: &str,
        runs: usize,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let (ended, failed): (i64, i64) = sqlx::query_as(
                "select count(*) filter (where state in ('s', 'f')), count(*) filter (where state = 'f')
                 from dag_run where dag_run_id > $2 and dag_key = (select dag_key from dag where dag_id = $1)",
            )
            .bind(dag_id)
            .bind(newest)
            .fetch_one(&self.db)
            .await?;
            ensure!(failed == 0, "{failed} runs of `{dag_id}` failed");
            if ended >= i64::try_from(runs)? {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "{ended} of {runs} runs of `{dag_id}` ended within {PATIENCE:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts one more worker process on the same database; more flags as given.
    pub(crate) async fn add_worker(&self, flags: &[&str]) -> anyhow::Result<Process> {
        let mut command = self.place.command(&self.program, &["worker"]);
        command
            .args(flags)
            .env("DAGCTL_DATABASE_URL", &self.database_url)
            .env(
                "DAGCTL_SECRET_KEY_FILE",
                self.place.data().join("secret.key"),
            );
        Process::spawn(command, "worker is running").await
    }

    /// How long a run of a DAG takes, by the database's stamps: medians of some, one after the other. The first of them
    /// finds nothing cached, here and in Postgres.
    pub(crate) async fn run_times(&self, dag_id: &str, runs: usize) -> anyhow::Result<RunTimes> {
        let (mut whole, mut work) = (vec![], vec![]);
        for run in 1..=runs {
            let made = self.rest.trigger(dag_id).await?;
            self.until_ended(dag_id, run).await?;
            let (started, first, ended): (f64, f64, f64) = sqlx::query_as(
                "select extract(epoch from r.started_at)::float8, extract(epoch from min(t.started_at))::float8,
                    extract(epoch from r.finished_at)::float8
                 from dag_run r join task_instance t using (dag_run_id) where dag_run_id = $1 group by r.dag_run_id",
            )
            .bind(made.dag_run_id.parse::<i64>()?)
            .fetch_one(&self.db)
            .await?;
            whole.push(ended - started);
            work.push(ended - first);
        }
        Ok(RunTimes {
            whole: median(whole).context("no run was made")?,
            work: median(work).context("no run was made")?,
        })
    }

    /// The most memory that the process had resident so far, in MiB.
    pub(crate) fn peak_memory(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kibibytes: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|it| it.trim().strip_suffix(" kB"))
            .context("this system does not say how much memory a process has")?
            .trim()
            .parse()?;
        Ok(kibibytes / 1024.0)
    }

    /// Stops cleanly, as Ctrl-C does. Dropping does the same, and blocks for it.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop_and_keep().await.map(drop)
    }

    /// Stops cleanly, and keeps the place for another start on the same data.
    pub(crate) async fn stop_and_keep(self) -> anyhow::Result<Place> {
        self.db.close().await;
        self.floor_db.close().await;
        self.process.stop().await?;
        Ok(self.place)
    }
}

/// Seconds of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunTimes {
    /// From its start, with which its task instances are made, to its end.
    pub(crate) whole: f64,
    /// From the start of its first task to its end.
    pub(crate) work: f64,
}

/// Connects to a database of the cluster under test.
pub(crate) async fn connect(url: &str, most: u32) -> anyhow::Result<PgPool> {
    PgPoolOptions::new()
        .max_connections(most)
        .connect(url)
        .await
        .context("could not connect to the private Postgres")
}
