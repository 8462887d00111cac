//! The flush is a shortcut for one row of the core's truth table: random DAGs with random outcomes go through the hot
//! path, through the flush, through looks alone, and through two workers at once, and must end alike.

#![expect(clippy::unwrap_used, reason = "what a test cannot set up ends it")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dagctl_core::dag::{Dag, TriggerRule};
use dagctl_core::ids::{DagKey, DagRunId, DagVersionId, WorkerId};
use dagctl_core::operator::Operator;
use dagctl_core::outcome::{Failure, FailureKind, Outcome};
use dagctl_engine::flush::{OnSuccess, Report};
use dagctl_engine::{Engine, EngineConfig};
use dagctl_store::Store;
use dagctl_store::attempts::{Claim, Lane, PlainSuccess, Wish};
use dagctl_store::dags::NewVersion;
use dagctl_store::runs::{Created, NewRun, RunType};
use dagctl_store::workers::NewWorker;
use dagctl_testkit::TestDatabase;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Map;
use sqlx::Row as _;

/// What a task is and does: which earlier tasks it waits for, its rule, its retries, and what each attempt reports.
#[derive(Debug, Clone)]
struct Node {
    upstream: u16,
    rule: usize,
    kind: Kind,
    retries: u8,
    reports: Vec<u8>,
}

/// What else a task is. A branch follows those of its downstream tasks whose bit is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Branch(u16),
    Teardown,
    MayFail,
}

#[derive(Debug, Clone)]
struct Case {
    nodes: Vec<Node>,
    max_active_tasks: u8,
    cancel_after: Option<u8>,
}

fn cases() -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        7 => Just(Kind::Plain),
        1 => any::<u16>().prop_map(Kind::Branch),
        1 => Just(Kind::Teardown),
        1 => Just(Kind::MayFail),
    ];
    let rule = prop_oneof![1 => Just(0), 1 => 0..TriggerRule::ALL.len()];
    let node = (any::<u16>(), rule, kind, 0..3_u8, vec(0..10_u8, 6)).prop_map(
        |(upstream, rule, kind, retries, reports)| Node {
            upstream: upstream & (upstream >> 1),
            rule,
            kind,
            retries,
            reports,
        },
    );
    (
        vec(node, 1..12),
        1..14_u8,
        proptest::option::weighted(0.15, 0..6_u8),
    )
        .prop_map(|(nodes, max_active_tasks, cancel_after)| Case {
            // Of two equally urgent tasks a look may decide on one later, and the other takes the last place below a
            // limit. In the end that is all the same; a cancel in between would show it.
            max_active_tasks: match cancel_after {
                Some(_) => 12,
                None => max_active_tasks,
            },
            nodes,
            cancel_after,
        })
}

impl Case {
    fn yaml(&self, dag_id: &str) -> String {
        let mut text = format!(
            "dag_id: {dag_id}\nmax_active_tasks: {}\nmax_active_runs: 16\ntasks:\n",
            self.max_active_tasks
        );
        // A retry that falls due beside a cancel happens before or after it, and either is right.
        let retry_delay = if self.cancel_after.is_some() {
            "1h"
        } else {
            "0s"
        };
        for at in 0..self.nodes.len() {
            self.write_task(&mut text, at, retry_delay);
        }
        text
    }

    fn waits_for(&self, at: usize, other: usize) -> bool {
        other < at && self.nodes[at].upstream >> (other % 16) & 1 == 1
    }

    fn write_task(&self, text: &mut String, at: usize, retry_delay: &str) {
        let node = &self.nodes[at];
        let upstream: Vec<String> = (0..at)
            .filter(|it| self.waits_for(at, *it))
            .map(|it| format!("t{it}"))
            .collect();
        let follows: Vec<String> = match node.kind {
            Kind::Branch(bits) => (at + 1..self.nodes.len())
                .filter(|it| self.waits_for(*it, at) && bits >> (it % 16) & 1 == 1)
                .map(|it| format!("t{it}"))
                .collect(),
            Kind::Plain | Kind::Teardown | Kind::MayFail => vec![],
        };
        let is_teardown = node.kind == Kind::Teardown && !upstream.is_empty();
        // A teardown is tried again in a run that was cancelled, too.
        let retries = match self.cancel_after {
            Some(_) if is_teardown => 0,
            _ => node.retries,
        };
        let rule = TriggerRule::ALL[node.rule].name();
        text.push_str(&format!(
            "  t{at}:\n    retries: {retries}\n    retry_delay: {retry_delay}\n"
        ));
        if follows.is_empty() {
            text.push_str("    operator: empty\n");
        } else {
            text.push_str(&format!(
                "    operator: branch\n    branches: [{{follow: [{}]}}]\n",
                follows.join(", ")
            ));
        }
        if is_teardown {
            text.push_str(&format!("    teardown: {{setups: [{}]}}\n", upstream[0]));
        } else {
            text.push_str(&format!("    trigger_rule: {rule}\n"));
        }
        if node.kind == Kind::MayFail {
            text.push_str("    allow_failure: true\n");
        }
        if !upstream.is_empty() {
            text.push_str(&format!("    depends_on: [{}]\n", upstream.join(", ")));
        }
    }

    fn outcome(&self, dag: &Dag, claim: &Claim) -> Outcome {
        let task = dag.task(claim.key.instance.task_index).unwrap();
        let node = &self.nodes[task.task_id.as_str()[1..].parse::<usize>().unwrap()];
        let attempt = usize::try_from(claim.key.attempt.get()).unwrap() - 1;
        match node.reports[attempt % node.reports.len()] {
            0..=5 => Outcome::Success {
                outputs: match &task.operator {
                    Operator::Branch(it) => Dag::following(&it.options[0].follow),
                    _ => Map::from_iter([("n".to_owned(), attempt.into())]),
                },
            },
            6 | 7 => Failure::new(FailureKind::Connect, "refused").into(),
            8 => Outcome::Skipped {
                reason: "asked to".to_owned(),
            },
            // Handed back at most once, or a run would never end.
            _ if attempt == 0 => Outcome::HandedBack,
            _ => Failure::new(FailureKind::Check, "too few rows").into(),
        }
    }
}

struct Bench {
    engine: Engine,
    store: Store,
    other: Engine,
}

impl Bench {
    async fn new(database: &TestDatabase) -> Self {
        let engine = |store: &Store| {
            let config = EngineConfig::new("dags".into(), "runs".into(), [7; 32]);
            Engine::new(store.clone(), store.clone(), config)
        };
        let store = Store::from_pool(database.pool.clone());
        let other = Store::from_pool(database.connect().await);
        Self {
            engine: engine(&store),
            other: engine(&other),
            store,
        }
    }

    async fn worker(&self) -> WorkerId {
        let new = NewWorker {
            name: "test".into(),
            version: "0".into(),
            slots: 4,
            lease: Duration::from_secs(600),
            queues: vec!["default".into()],
        };
        self.store.register_worker(&new).await.unwrap()
    }

    async fn run(&self, dag: DagKey, version: DagVersionId, name: &str) -> DagRunId {
        let now = self.store.now().await.unwrap();
        let new = NewRun {
            dag_key: dag,
            dag_version_id: version,
            run_id: name.to_owned(),
            run_type: RunType::Manual,
            logical_at: now,
            interval_start: now,
            interval_end: now,
            params: Map::new(),
            note: None,
            triggered_by: None,
            deadline_at: None,
            backfill_id: None,
            idempotency: None,
        };
        let (created, started) = self.store.create_runs(&[new]).await;
        // What follows every start.
        for run in started.to_look_at {
            self.engine.advance(run).await.unwrap();
        }
        match created.as_slice() {
            [Ok(Created::New { dag_run_id, .. })] => *dag_run_id,
            other => panic!("{other:?}"),
        }
    }
}

/// How a worker reports a success: what a look has to decide goes by a look.
fn reported(dag: &Dag, claim: &Claim, on_success: OnSuccess) -> OnSuccess {
    if dag.success_needs_look(claim.key.instance.task_index) {
        OnSuccess::Look
    } else {
        on_success
    }
}

/// Works as a worker does: successes through the statement that also hands out what comes next, the rest by a flush.
async fn work_hot(engine: Engine, worker: WorkerId, dag: Arc<Dag>, case: Case, slots: usize) {
    let mut hot = engine.store().hot_path();
    let mut lane = Lane {
        pool_key: 0,
        queue_key: 0,
    };
    let (mut held, mut idle): (Vec<Claim>, usize) = (vec![], 0);
    while idle < 3 {
        engine.store().queue_due_timers().await.unwrap();
        let (mut plain, mut others) = (vec![], vec![]);
        for claim in held.drain(..) {
            let on_success = reported(&dag, &claim, OnSuccess::Plain);
            match case.outcome(&dag, &claim) {
                Outcome::Success { outputs } if on_success == OnSuccess::Plain => {
                    plain.push(PlainSuccess {
                        key: claim.key,
                        outputs,
                    });
                }
                outcome => others.push(Report {
                    key: claim.key,
                    outcome,
                    on_success,
                }),
            }
        }
        let wish = Wish {
            slots,
            lane,
            only_children: plain.len() == 1,
        };
        let finished = hot.finish(worker, &plain, wish).await.unwrap();
        assert!(finished.claims.len() <= slots, "more than it has slots for");
        let free = slots - finished.claims.len();
        held.extend(finished.claims);
        engine.flush(worker, others).await.unwrap();
        for run in finished.undecided.into_iter().chain(finished.limited) {
            engine.advance(run).await.unwrap();
        }
        let claimed = engine.store().claim(worker, free).await.unwrap();
        lane = claimed.lane.unwrap_or(lane);
        held.extend(claimed.claims);
        idle = if held.is_empty() { idle + 1 } else { 0 };
    }
    hot.close().await;
}

/// Works through flushes, a batch at a time, until nothing is left to claim.
async fn work(
    engine: Engine,
    worker: WorkerId,
    dag: Arc<Dag>,
    case: Case,
    batch: usize,
    on_success: OnSuccess,
) {
    let mut idle = 0;
    while idle < 3 {
        engine.store().queue_due_timers().await.unwrap();
        let claims = engine.store().claim(worker, batch).await.unwrap().claims;
        if claims.is_empty() {
            idle += 1;
            tokio::task::yield_now().await;
            continue;
        }
        idle = 0;
        let reports = claims
            .iter()
            .map(|it| Report {
                key: it.key,
                outcome: case.outcome(&dag, it),
                on_success: reported(&dag, it, on_success),
            })
            .collect();
        engine.flush(worker, reports).await.unwrap();
    }
}

/// What a run came to: the run's state, and each task's state, attempt, tries and counters.
async fn ending(store: &Store, run: DagRunId) -> (String, Vec<(i32, String, i16, i16, i16, i16)>) {
    let state: String = sqlx::query_scalar(
        "select state::text from dag_run where dag_run_id = $1 and remaining = 0",
    )
    .bind(run.get())
    .fetch_optional(store.pool())
    .await
    .unwrap()
    .unwrap_or_else(|| "not ended".to_owned());
    let rows = sqlx::query(
        "select task_index, state::text, attempt, tries, pending, n_bad from task_instance
        where dag_run_id = $1 order by task_index",
    )
    .bind(run.get())
    .fetch_all(store.pool())
    .await
    .unwrap();
    let rows = rows
        .iter()
        .map(|it| {
            (
                it.get(0),
                it.get(1),
                it.get(2),
                it.get(3),
                it.get(4),
                it.get(5),
            )
        })
        .collect();
    (state, rows)
}

/// What the tables of open work still hold; taken away, so that it is not found again in smaller cases.
async fn left_over(store: &Store) -> String {
    sqlx::query_scalar(
        "with ready as (delete from ready returning 'ready ' || ready::text as it),
            timer as (delete from timer returning 'timer ' || timer::text as it),
            parked as (delete from parked returning 'parked ' || parked::text as it),
            live as (delete from live_run returning 'live_run ' || live_run::text as it)
        select coalesce(string_agg(it, ', '), '') from (
            table ready union all table timer union all table parked union all table live
        ) all_of_it",
    )
    .fetch_one(store.pool())
    .await
    .unwrap()
}

async fn check(bench: &Bench, case: Case, number: usize) -> Result<(), TestCaseError> {
    let dag_id = format!("random_{number}");
    let file = format!("{dag_id}.yaml");
    let files = BTreeMap::from([(file.clone(), case.yaml(&dag_id))]);
    let (dag, problems) = dagctl_dagfile::parse_version(&files, &file);
    let dag = Arc::new(dag.unwrap_or_else(|| panic!("{problems:?}\n{}", case.yaml(&dag_id))));
    let new = NewVersion {
        dag: &dag,
        hash: dag_id.as_bytes(),
        commit: None,
        files: &files,
    };
    let (key, version) = bench.store.activate_version(&new).await.unwrap();
    let mut endings = vec![];
    for (name, on_success) in [
        ("flush", OnSuccess::Plain),
        ("look", OnSuccess::Look),
        ("both", OnSuccess::Plain),
        ("hot", OnSuccess::Plain),
        ("hot and flush", OnSuccess::Plain),
    ] {
        let run = bench.run(key, version, name).await;
        if let Some(after) = case.cancel_after {
            // The same few attempts end before the request in each way.
            let worker = bench.worker().await;
            for _ in 0..after {
                // Who was queued in which second of the clock must not choose them.
                sqlx::query("update ready set queued_at = timestamptz '2026-01-01 00:00:00Z'")
                    .execute(bench.store.pool())
                    .await
                    .unwrap();
                for claim in bench.store.claim(worker, 1).await.unwrap().claims {
                    let report = Report {
                        key: claim.key,
                        outcome: case.outcome(&dag, &claim),
                        on_success: reported(&dag, &claim, on_success),
                    };
                    bench.engine.flush(worker, vec![report]).await.unwrap();
                }
            }
            bench.engine.request_cancel(run, "kim").await.unwrap();
        }
        let (one, two) = (bench.worker().await, bench.worker().await);
        let first = work(
            bench.engine.clone(),
            one,
            dag.clone(),
            case.clone(),
            4,
            on_success,
        );
        if name == "hot" {
            work_hot(bench.engine.clone(), one, dag.clone(), case.clone(), 4).await;
        } else if name == "hot and flush" {
            let hot = work_hot(bench.other.clone(), two, dag.clone(), case.clone(), 3);
            let (first, hot) = (tokio::spawn(first), tokio::spawn(hot));
            first.await.unwrap();
            hot.await.unwrap();
            // Whoever stopped early left work to the other.
            work_hot(bench.engine.clone(), one, dag.clone(), case.clone(), 4).await;
        } else if name == "both" {
            let other = work(
                bench.other.clone(),
                two,
                dag.clone(),
                case.clone(),
                2,
                OnSuccess::Look,
            );
            let (first, other) = (tokio::spawn(first), tokio::spawn(other));
            first.await.unwrap();
            other.await.unwrap();
            // Whoever stopped early left work to the other.
            work(
                bench.engine.clone(),
                one,
                dag.clone(),
                case.clone(),
                4,
                on_success,
            )
            .await;
        } else {
            first.await;
        }
        prop_assert_eq!(
            left_over(&bench.store).await,
            "",
            "{} left work behind",
            name
        );
        endings.push(ending(&bench.store, run).await);
    }
    prop_assert!(
        endings[0].0 != "not ended",
        "the run never ended: {:?}",
        endings[0]
    );
    // Pending tasks that a cancel settled never counted down to zero for nobody; all others did.
    prop_assert!(endings[0].1.iter().all(|it| it.4 >= 0));
    prop_assert_eq!(&endings[0], &endings[1], "the flush and the look differ");
    if case.cancel_after.is_none() {
        prop_assert_eq!(&endings[0], &endings[2], "two workers at once differ");
        prop_assert_eq!(&endings[0], &endings[3], "the hot path differs");
        prop_assert_eq!(
            &endings[0],
            &endings[4],
            "the hot path beside a flush differs"
        );
        prop_assert!(
            endings[0].1.iter().all(|it| it.4 == 0),
            "an upstream task was not counted down"
        );
    }
    Ok(())
}

/// No transaction leaves more of a run queued or under way than its DAG allows.
const PLACES: &str = "
create function keeps_to_max_active_tasks() returns trigger language plpgsql as $$
begin
    if (select count(*) from ready where dag_run_id = new.dag_run_id) > (
        select max_active_tasks from dag_run join dag_version using (dag_version_id) where dag_run_id = new.dag_run_id
    ) then
        raise exception 'more than max_active_tasks';
    end if;
    return null;
end $$;
create constraint trigger keeps_to_max_active_tasks after insert on ready deferrable initially deferred
    for each row execute function keeps_to_max_active_tasks()";

#[test]
fn the_flush_and_the_look_agree_also_from_two_connections_at_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let database = TestDatabase::migrated(&dagctl_store::database::MIGRATIONS).await;
        let bench = Bench::new(&database).await;
        sqlx::raw_sql(PLACES).execute(&database.pool).await.unwrap();
        let mut runner = TestRunner::new(ProptestConfig {
            cases: 40,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let handle = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            runner
                .run(&numbered_cases(), |(case, number)| {
                    handle.block_on(check(&bench, case, number))
                })
                .unwrap();
        });
    });
}

/// Cases with numbers, so that each is a DAG of its own; shrinking makes new numbers, too.
fn numbered_cases() -> impl Strategy<Value = (Case, usize)> {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    cases().prop_map(|case| {
        (
            case,
            NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        )
    })
}
