//! Limits on single tasks and the order of claiming.

use std::time::{Duration, Instant};

use dagctl_core::ids::{DagKey, WorkerId};
use dagctl_core::outcome::Outcome;
use dagctl_store::attempts::Claim;

use crate::support::{Bench, Working, refused};

async fn claimed(bench: &Bench, worker: WorkerId) -> Vec<(Claim, String)> {
    let claims = bench.store.claim(worker, 10).await.unwrap().claims;
    let names = bench
        .texts("select task_id from dag_task order by dag_version_id, task_index")
        .await;
    let named = claims.into_iter().map(|it| {
        let place = usize::try_from(it.key.instance.task_index.get()).unwrap();
        (it, names[place].clone())
    });
    named.collect()
}

async fn names(bench: &Bench, worker: WorkerId) -> Vec<String> {
    let claimed = claimed(bench, worker).await;
    let mut names: Vec<String> = claimed.into_iter().map(|(_, name)| name).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_counted_over_all_runs_never_exceeds_its_limit_and_all_runs_end() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: shared
max_active_runs: 6
default_args: {retries: 5, retry_delay: 0s}
tasks:
  root: {operator: shell, command: [sh, -c, 'exit $(( $(date +%N | cut -c9) % 2 * 75 ))'], retry_on: exit_75, retries: 40, max_active_tis_per_dag: 2}
  free: {operator: empty}
  each: {operator: empty, depends_on: root, expand: {n: [1, 2, 3]}, max_active_tis_per_dag: 3}
",
        )
        .await;
    for _ in 0..6 {
        bench.trigger("shared").await;
    }
    let loops = bench.keep_time();
    let other = bench.another(|_| ()).await;
    let workers = [Working::on(&bench.engine), Working::on(&other)];
    let began = Instant::now();
    let mut most = vec![0, 0];
    while !bench
        .value::<bool>("select not exists (select from live_run)")
        .await
    {
        for (at, sql) in [
            "select count(*) from ready where task_index = (select task_index from dag_task where task_id = 'root')",
            "select count(*) from ready where task_index = (select task_index from dag_task where task_id = 'each')",
        ]
        .into_iter()
        .enumerate()
        {
            most[at] = bench.count(sql).await.max(most[at]);
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "they never ended"
        );
    }
    for worker in workers {
        worker.drain().await;
    }
    drop(loops);
    assert!(most[0] <= 2 && most[1] <= 3, "{most:?} at once");
    assert_eq!(
        bench
            .count("select count(*) from dag_run where state = 's'")
            .await,
        6
    );
}

#[tokio::test]
async fn a_place_over_all_runs_that_a_crash_left_empty_is_found_by_the_reaper() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: shared\ntasks: {only: {operator: empty, max_active_tis_per_dag: 1}}\n")
        .await;
    bench.trigger("shared").await;
    bench.trigger("shared").await;
    // What follows a start does the same beside the answer.
    bench.store.fill_dag(DagKey(1)).await.unwrap();
    assert_eq!(bench.count("select count(*) from ready").await, 1);
    // As if the process had ended between the commit and the look at the other runs.
    bench.execute("delete from ready").await;
    bench
        .execute("update task_instance set state = 's', finished_at = now() where dag_run_id = (select min(dag_run_id) from dag_run)")
        .await;
    bench
        .execute("update dag_run set remaining = 0 where dag_run_id = (select min(dag_run_id) from dag_run)")
        .await;
    bench
        .execute("update parked set parked_at = now() - interval '2 minutes'")
        .await;
    let loops = bench.keep_time();
    let worker = Working::on(&bench.engine);
    bench.until_all_ended().await;
    worker.drain().await;
    drop(loops);
}

const SLOTS: &str = "
dag_id: slots
tasks:
  big: {operator: empty, pool: narrow, pool_slots: 2, priority_weight: 5}
  huge: {operator: empty, pool: narrow, pool_slots: 9}
  a: {operator: empty, pool: narrow, priority_weight: 9}
  b: {operator: empty, pool: narrow, priority_weight: 8}
  c: {operator: empty, pool: narrow, priority_weight: 3}
";

#[tokio::test]
async fn a_pool_lends_as_many_slots_as_a_task_takes_and_small_ones_do_not_keep_out_a_large_one() {
    let bench = Bench::new().await;
    bench.dag(SLOTS).await;
    let pool = "narrow".parse().unwrap();
    bench.store.set_pool(&pool, Some(3)).await.unwrap();
    bench.trigger("slots").await;
    let (one, other) = (bench.worker().await, bench.worker().await);
    let first = claimed(&bench, one).await;
    let found: Vec<&str> = first.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(found, ["a", "b"], "`big` needs two of three slots");
    assert!(names(&bench, other).await.is_empty(), "`c` waits behind it");
    bench.flush(one, first[0].0.key, Outcome::success()).await;
    assert_eq!(names(&bench, other).await, ["big"]);
    bench.flush(one, first[1].0.key, Outcome::success()).await;
    assert_eq!(names(&bench, one).await, ["c"]);
    assert!(
        names(&bench, one).await.is_empty(),
        "`huge` takes the whole pool"
    );
}

#[tokio::test]
async fn slots_of_a_lost_worker_are_free_once_and_a_task_larger_than_its_pool_runs_alone() {
    let bench = Bench::new().await;
    bench.dag(SLOTS).await;
    let pool = "narrow".parse().unwrap();
    bench.store.set_pool(&pool, Some(3)).await.unwrap();
    bench.trigger("slots").await;
    let silent = bench.worker().await;
    let held = claimed(&bench, silent).await;
    bench.silence(silent).await;
    let loops = bench.keep_time();
    let worker = Working::on(&bench.engine);
    let taken = "select coalesce(sum(least(q.pool_slots, 3)), 0)::bigint from ready q where q.worker_id is not null";
    while !bench
        .value::<bool>("select not exists (select from live_run)")
        .await
    {
        assert!(bench.count(taken).await <= 3);
    }
    worker.drain().await;
    drop(loops);
    bench
        .flush(silent, held[0].0.key, refused("too late"))
        .await;
    assert_eq!(bench.states().await, "big=s huge=s a=s2 b=s2 c=s");
}

#[tokio::test]
async fn ten_minutes_of_waiting_count_as_one_point_of_weight() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: aged
tasks:
  light: {operator: empty}
  middle: {operator: empty, priority_weight: 3}
  heavy: {operator: empty, priority_weight: 4}
",
        )
        .await;
    bench.trigger("aged").await;
    let worker = bench.worker().await;
    bench
        .execute("update ready set queued_at = now() - interval '25 minutes' where task_index = 0")
        .await;
    let mut order = vec![];
    while let Some(claim) = bench.store.claim(worker, 1).await.unwrap().claims.pop() {
        order.push(claim.key.instance.task_index.get());
    }
    assert_eq!(order, [2, 0, 1], "heavy, light, middle");
}

#[tokio::test]
async fn the_weight_of_what_waits_for_a_task_counts_unless_it_is_told_otherwise() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: weights
tasks:
  alone: {operator: empty, priority_weight: 2}
  first: {operator: empty}
  second: {operator: empty, depends_on: first}
  third: {operator: empty, depends_on: second, weight_rule: upstream, priority_weight: 10}
  own: {operator: empty, depends_on: first, weight_rule: absolute, priority_weight: 7}
",
        )
        .await;
    let weights = bench
        .texts("select task_id || ' ' || -priority from dag_task order by task_id")
        .await;
    assert_eq!(
        weights,
        ["alone 2", "first 19", "own 7", "second 11", "third 12"]
    );
}
