//! Mapped tasks: instances made while a run is under way, and what others see of them.

use std::time::{Duration, Instant};

use dagctl_core::outcome::Outcome;

use crate::support::{Bench, Working, refused};

/// Where every instance stands, as `map_index=state`, a task after the other.
const INSTANCES: &str = "
    select string_agg(t.map_index || '=' || t.state::text || case when t.attempt > 1 then t.attempt::text else '' end,
        ' ' order by t.map_index)
    from task_instance t group by t.task_index order by t.task_index";

const SHOPS: &str = r#"
dag_id: shops
max_active_tasks: 100
params:
  shops: {type: array, default: [north, south, it's "mine"]}
tasks:
  import:
    operator: shell
    expand: {shop: "{{ params.shops }}"}
    command: |
      printf '{"rows": %d, "name": "%s"}' {{ shop | length }} {{ ti.map_index }} > "$DAGCTL_OUTPUTS"
      echo {{ shop }}
  check:
    operator: shell
    depends_on: import
    expand: {rows: "{{ outputs.import.rows }}", factor: [1, 10]}
    command: [echo, "{{ rows * factor }}"]
  report:
    operator: shell
    depends_on: [import, check]
    command: [echo, "{{ outputs.import.name | join('+') }} {{ outputs.import.succeeded }} {{ outputs.check.failed }}"]
"#;

#[tokio::test]
async fn a_list_becomes_instances_and_their_outputs_a_list_that_the_next_goes_through() {
    let bench = Bench::new().await;
    bench.dag(SHOPS).await;
    bench.trigger("shops").await;
    let worker = Working::on(&bench.engine);
    bench.until_all_ended().await;
    worker.drain().await;
    assert_eq!(
        bench.texts(INSTANCES).await,
        ["-1=s 0=s 1=s 2=s", "-1=s 0=s 1=s 2=s 3=s 4=s 5=s", "-1=s"]
    );
    let said = bench
        .texts(
            "select line->>2 from log_chunk, jsonb_array_elements(lines) line where line->>1 = 'o'
            order by task_index, map_index, first_line",
        )
        .await;
    assert_eq!(
        said,
        [
            "north",
            "south",
            "it's \"mine\"",
            "5",
            "50",
            "5",
            "50",
            "11",
            "110",
            "0+1+2 3 0"
        ]
    );
    let left =
        "select remaining::bigint + (select count(*) from ready) + (select count(*) from parked)
        + (select count(*) from live_run) from dag_run";
    assert_eq!(bench.count(left).await, 0);
}

#[tokio::test]
async fn each_instance_has_tries_of_its_own_and_the_task_fails_with_any_of_them() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: tries
tasks:
  each:
    operator: shell
    expand: {code: [0, 75, 3, 99]}
    retries: 1
    retry_delay: 0s
    retry_on: exit_75
    skip_on_exit_code: 99
    command: [sh, -c, 'exit {{ code }}']
  after: {operator: empty, depends_on: each}
  anyway: {operator: empty, depends_on: each, trigger_rule: all_done}
",
        )
        .await;
    bench.trigger("tries").await;
    let loops = bench.keep_time();
    let worker = Working::on(&bench.engine);
    bench.until_all_ended().await;
    worker.drain().await;
    drop(loops);
    let instances = bench.texts(INSTANCES).await;
    assert_eq!(instances[0], "-1=f 0=s 1=f2 2=f 3=k");
    assert_eq!(instances[1..].join(" "), "-1=u -1=s");
    let why = bench
        .texts("select reason || ': ' || message from attempt where map_index = -1")
        .await;
    assert_eq!(
        why,
        ["instances_failed: 2 of 4 instances failed, the first is number 1"]
    );
}

#[tokio::test]
async fn an_empty_list_skips_its_task_and_what_is_too_long_or_no_list_fails_it() {
    let bench = Bench::with(|config| config.max_map_length = 3).await;
    bench
        .dag(
            r#"
dag_id: lengths
params: {none: {type: array, default: []}, name: north}
tasks:
  none: {operator: empty, expand: {it: "{{ params.none }}"}}
  after: {operator: empty, depends_on: none}
  long: {operator: empty, expand: {it: [1, 2, 3, 4]}}
  text: {operator: empty, expand: {it: "{{ params.name }}"}}
"#,
        )
        .await;
    bench.trigger("lengths").await;
    let worker = Working::on(&bench.engine);
    bench.until_all_ended().await;
    worker.drain().await;
    assert_eq!(bench.states().await, "none=k after=k long=f text=f");
    let why = bench
        .texts("select message from attempt where state = 'f' order by task_index")
        .await;
    assert_eq!(
        why,
        [
            "`expand` makes 4 instances, and `max_map_length` allows 3: shorten the list, or set \
             DAGCTL_MAX_MAP_LENGTH to a larger number",
            "`expand` needs a list for `it`, and `{{ params.name }}` is the text `north`",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_instances_go_through_two_workers_and_never_more_at_once_than_the_run_allows() {
    let bench = Bench::with(|config| config.slots = 64).await;
    bench
        .dag(
            "
dag_id: many
max_active_tasks: 64
tasks:
  each: {operator: empty, expand: {n: '{{ range(1000) | list }}'}, max_active_tis_per_dagrun: 40}
  count: {operator: empty, depends_on: each}
",
        )
        .await;
    let other = bench.another(|config| config.slots = 64).await;
    let workers = [Working::on(&bench.engine), Working::on(&other)];
    let began = Instant::now();
    bench.trigger("many").await;
    let mut most = 0;
    let is_over = "select not exists (select from dag_run where state in ('q', 'r'))";
    while !bench.value::<bool>(is_over).await {
        most = most.max(bench.count("select count(*) from ready").await);
        assert!(began.elapsed() < Duration::from_secs(60), "it never ended");
    }
    for worker in workers {
        worker.drain().await;
    }
    assert!((1..=40).contains(&most), "{most} at once");
    let settled =
        "select count(*) from task_instance where state = 's' and finished_at is not null";
    assert_eq!(bench.count(settled).await, 1002);
}

#[tokio::test]
async fn a_lost_worker_gives_its_instances_to_others_and_holds_no_place_that_is_free() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: lost
tasks:
  each: {operator: empty, expand: {n: [1, 2, 3, 4, 5]}, max_active_tis_per_dagrun: 2}
",
        )
        .await;
    bench.trigger("lost").await;
    let silent = bench.worker().await;
    let whole = bench.claim(silent).await;
    let items = (1..=5)
        .map(|it| serde_json::Map::from_iter([("n".to_owned(), it.into())]))
        .collect();
    bench
        .flush(silent, whole.key, Outcome::Expands { items })
        .await;
    let held = bench.store.claim(silent, 10).await.unwrap().claims;
    assert_eq!(held.len(), 2, "{held:?}");
    bench.silence(silent).await;
    let loops = bench.keep_time();
    let worker = Working::on(&bench.engine);
    bench.until_all_ended().await;
    worker.drain().await;
    drop(loops);
    bench.flush(silent, held[0].key, refused("too late")).await;
    assert_eq!(bench.texts(INSTANCES).await, ["-1=s 0=s2 1=s2 2=s 3=s 4=s"]);
}
