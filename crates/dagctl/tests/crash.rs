//! kill -9 of worker, scheduler and Postgres in the middle of Build_Summary: every run ends, every table is
//! published once a run, nothing is left behind.
#![expect(
    clippy::unwrap_used,
    reason = "what fails here fails a test, in its functions too"
)]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dagctl_postgres::Durability;
use dagctl_testkit::{OwnServer, warehouse};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Row};

use crate::support::services::{Installation, Pauses, Run, Service, processes_of};
use crate::support::{Place, eventually, examples};

/// How many kills must have hit a run between its start and its end.
const KILLS: usize = 20;
/// So many runs are hit one after the other before all are waited for. A task is given up when it has lost five
/// workers, and a later kill may hit an earlier run again.
const AT_ONCE: usize = 3;
/// A build lasts about this long after its first task was claimed.
const A_BUILD: Duration = Duration::from_millis(900);

/// Who is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Worker,
    Scheduler,
    Postgres,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_of_the_worker_loses_or_repeats_a_table() {
    survive(Victim::Worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_of_the_scheduler_loses_or_repeats_a_table() {
    survive(Victim::Scheduler).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_of_postgres_loses_or_repeats_a_table() {
    survive(Victim::Postgres).await;
}

async fn survive(victim: Victim) {
    let mut stage = Stage::set().await;
    let mut pauses = Pauses(victim as u64);
    let mut landed = 0;
    let mut hit = vec![];
    for _ in 0..KILLS {
        if landed >= KILLS {
            break;
        }
        let mut kills = vec![];
        for _ in 0..AT_ONCE.min(KILLS - landed) {
            let run = stage.installation.trigger("Build_Summary", &[]).await;
            stage.wait_until_it_builds(&run).await;
            tokio::time::sleep(pauses.next(A_BUILD)).await;
            kills.push((run, stage.kill(victim).await));
        }
        for (run, killed_at) in kills {
            let ended_at = stage.wait_for_success(&run).await;
            landed += usize::from(ended_at > killed_at);
            hit.push(run);
        }
    }
    // A run in peace clears away what the killed ones could not.
    let run = stage.installation.trigger("Build_Summary", &[]).await;
    stage.wait_for_success(&run).await;
    hit.push(run);
    assert!(landed >= KILLS, "only {landed} kills hit a run under way");
    stage.check(&hit).await;
}

/// An installation on a Postgres of its own, with the warehouse beside it.
struct Stage {
    installation: Installation,
    server: OwnServer,
    dagctl: PgPool,
    warehouse: PgPool,
    scheduler: Option<Service>,
    worker: Option<Service>,
    web: Service,
}

impl Stage {
    async fn set() -> Self {
        let place = Place::new();
        copy_the_example(&place);
        let server = OwnServer::start(Durability::Full).await;
        let (dagctl, warehouse) = (server.database("dagctl"), server.database("warehouse"));
        let mut installation = Installation::new(place, &dagctl);
        installation.offer("redshift_dev_db", &warehouse);
        let (dagctl, warehouse) = (pool(&dagctl), pool(&warehouse));
        warehouse::load(&warehouse).await.unwrap();
        sqlx::raw_sql(WITNESS).execute(&warehouse).await.unwrap();
        let web = installation.open().await;
        let scheduler = installation.start(&["scheduler"]).await;
        let worker = installation.start(&["worker"]).await;
        Self {
            installation,
            server,
            dagctl,
            warehouse,
            scheduler: Some(scheduler),
            worker: Some(worker),
            web,
        }
    }

    async fn wait_until_it_builds(&self, run: &Run) {
        eventually("a task that builds a table", async || {
            let claimed: i64 = sqlx::query_scalar(
                "select count(*) from ready join dag_run using (dag_run_id) join dag_task k on k.dag_version_id = dag_run.dag_version_id and k.task_index = ready.task_index
                 where dag_run_id = $1 and worker_id is not null and task_id like 'build.%'",
            )
            .bind(run.dag_run_id)
            .fetch_one(&self.dagctl)
            .await
            .unwrap();
            // One that is through already was missed; its kill will not count.
            (claimed > 0 || self.state(run).await.0 != "r").then_some(())
        })
        .await;
    }

    /// Kills, starts again, and says when that was.
    async fn kill(&mut self, victim: Victim) -> f64 {
        let at = now();
        match victim {
            Victim::Worker => {
                self.worker.take().unwrap().kill().await;
                self.worker = Some(self.installation.start(&["worker"]).await);
            }
            Victim::Scheduler => {
                self.scheduler.take().unwrap().kill().await;
                self.scheduler = Some(self.installation.start(&["scheduler"]).await);
            }
            Victim::Postgres => {
                self.server.kill().await;
                self.server.start_again().await;
            }
        }
        at
    }

    /// When the run succeeded.
    async fn wait_for_success(&self, run: &Run) -> f64 {
        eventually(&format!("the end of {run:?}"), async || {
            let (state, finished_at) = self.state(run).await;
            assert_ne!(state, "f", "{run:?} failed: {}", self.failures(run).await);
            finished_at
        })
        .await
    }

    async fn state(&self, run: &Run) -> (String, Option<f64>) {
        let row = sqlx::query(
            "select state::text, extract(epoch from finished_at)::float8 from dag_run where dag_run_id = $1",
        )
        .bind(run.dag_run_id)
        .fetch_one(&self.dagctl)
        .await
        .unwrap();
        (row.get(0), row.get(1))
    }

    async fn failures(&self, run: &Run) -> String {
        let messages: Vec<String> = sqlx::query_scalar(
            "select format('%s/%s %s %s: %s', task_index, attempt, state, reason, message)
             from attempt where dag_run_id = $1 order by finished_at",
        )
        .bind(run.dag_run_id)
        .fetch_all(&self.dagctl)
        .await
        .unwrap();
        messages.join("\n")
    }

    /// What must hold when all runs have ended.
    async fn check(mut self, runs: &[Run]) {
        let count = i64::try_from(runs.len()).unwrap();
        assert_eq!(
            numbers(
                &self.dagctl,
                "select count(*) from dag_run where state = 's'"
            )
            .await,
            [count]
        );
        assert_eq!(
            numbers(
                &self.dagctl,
                "select count(*) from task_instance where state <> 's'"
            )
            .await,
            [0]
        );
        assert_eq!(
            numbers(
                &self.dagctl,
                "select (select count(*) from ready) + (select count(*) from timer)"
            )
            .await,
            [0]
        );
        assert_eq!(
            numbers(
                &self.warehouse,
                "select count(*) from analytics.dagctl_build where published_at is not null
                 group by table_name order by table_name",
            )
            .await,
            [count; 3],
            "by dagctl's own book"
        );
        let not_through: Vec<String> = sqlx::query_scalar(
            "select to_jsonb(dagctl_build)::text from analytics.dagctl_build
             where published_at is null or strategy <> 'rename' or staging is not null",
        )
        .fetch_all(&self.warehouse)
        .await
        .unwrap();
        assert_eq!(not_through, [""; 0], "builds that are not through");
        assert_eq!(
            numbers(
                &self.warehouse,
                "select count(*) from public.witness group by identity order by identity"
            )
            .await,
            [count; 3],
            "by the database"
        );
        assert_eq!(
            numbers(
                &self.warehouse,
                "select count(distinct relation) from public.witness"
            )
            .await,
            [3 * count]
        );
        assert_eq!(
            numbers(
                &self.warehouse,
                "select count(*) from pg_class where relname like '%\\_\\_stg\\_%'"
            )
            .await,
            [0],
            "staging tables"
        );
        assert_eq!(
            numbers(
                &self.warehouse,
                "select count(*) from pg_class where relkind = 'r' and relname ~ '_summary__2'"
            )
            .await,
            [9],
            "three tables, three earlier versions of each"
        );
        assert_eq!(
            numbers(
                &self.warehouse,
                "select count(*) from pg_stat_activity where state like 'idle in transaction%'"
            )
            .await,
            [0],
            "open transactions"
        );
        for service in [self.worker.take(), self.scheduler.take(), Some(self.web)] {
            let ended = service.unwrap().terminate().await;
            assert_eq!(ended.code, 0, "{ended:?}");
        }
        assert_eq!(processes_of(&self.installation.place), [""; 0]);
    }
}

/// Writes down each table that takes the name of a summary table, in the transaction in which it does.
const WITNESS: &str = "
create table public.witness (relation oid, identity text);
create function public.bear_witness() returns event_trigger language plpgsql as $$
begin
    insert into public.witness (relation, identity)
    select objid, object_identity from pg_catalog.pg_event_trigger_ddl_commands()
    where object_identity in ('analytics.channel_summary', 'analytics.mau_summary', 'analytics.nps_summary');
end $$;
create event trigger bear_witness on ddl_command_end when tag in ('ALTER TABLE')
    execute function public.bear_witness();
";

/// Build_Summary and its three tables, triggered by hand, with quick retries and builds that take a while.
fn copy_the_example(place: &Place) {
    let read = |path: &str| std::fs::read_to_string(examples().join(path)).unwrap();
    let changed = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in {text}");
        text.replace(from, to)
    };
    let dag = changed(read("Build_Summary.yaml"), "\"@daily\"", "null");
    let dag = changed(dag, "retries: 2\n", "retries: 50\n");
    let dag = changed(dag, "retry_delay: 3m", "retry_delay: 1s");
    place.write("dags/Build_Summary.yaml", &dag);
    for table in ["channel", "mau", "nps"] {
        let path = format!("config/{table}_summary.yaml");
        let config = changed(
            read(&path),
            "FROM {{ staging }}\n",
            "FROM {{ staging }}, pg_sleep(0.3)\n",
        );
        place.write(&format!("dags/{path}"), &config);
    }
}

fn pool(url: &str) -> PgPool {
    PgPoolOptions::new()
        .max_connections(2)
        .connect_lazy(url)
        .unwrap()
}

async fn numbers(pool: &PgPool, sql: &'static str) -> Vec<i64> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}
