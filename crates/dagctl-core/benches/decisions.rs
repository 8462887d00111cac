//! How long a look at a run and the rendering of a template take. `cargo bench -p dagctl-core`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dagctl_core::dag::{Dag, DagSpec, Task};
use dagctl_core::decide::decide;
use dagctl_core::ids::{DagId, TaskId};
use dagctl_core::operator::Operator;
use dagctl_core::outcome::Outcome;
use dagctl_core::run::{RunFacts, Standing, TaskFacts};
use dagctl_core::state::Verdict;
use dagctl_core::template::{Context, ContextFacts, Quoting, render};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Map;

/// A chain of so many tasks.
fn dag(tasks: usize) -> Dag {
    let name = |at: usize| TaskId::new(format!("t{at}")).expect("a name");
    let spec = DagSpec::new(DagId::new("chain").expect("a name"), "chain.yaml");
    let tasks = (0..tasks).map(|at| Task {
        depends_on: at.checked_sub(1).map(name).into_iter().collect(),
        ..Task::new(name(at), Operator::Empty)
    });
    Dag::new(spec, tasks.collect()).expect("a valid DAG")
}

/// Half of the run is over, and the task in the middle has just ended.
fn facts(tasks: usize) -> RunFacts {
    let standing = |at: usize| match at.cmp(&(tasks / 2)) {
        std::cmp::Ordering::Less => Standing::Settled(Verdict::Success),
        std::cmp::Ordering::Equal => Standing::Ended(Outcome::Success {
            outputs: Map::new(),
        }),
        std::cmp::Ordering::Greater => Standing::Waiting,
    };
    RunFacts {
        tasks: (0..tasks)
            .map(|at| TaskFacts::new(standing(at), 1, 0))
            .collect(),
        ..RunFacts::default()
    }
}

fn context() -> Context {
    let at = Timestamp::UNIX_EPOCH + Duration::from_secs(1_770_000_000);
    Context::new(ContextFacts {
        dag_id: "orders".to_owned(),
        dag_owner: "data".to_owned(),
        tags: vec![],
        task_id: "load".to_owned(),
        task_owner: "kim".to_owned(),
        run_id: "manual__1".to_owned(),
        run_type: "manual".to_owned(),
        commit: String::new(),
        logical_date: at,
        data_interval_start: at,
        data_interval_end: at,
        timezone: TimeZone::UTC,
        params: Map::new(),
        outputs: BTreeMap::new(),
        variables: BTreeMap::from([("region".to_owned(), "eu".to_owned())]).into(),
        connections: BTreeMap::new().into(),
        run_dir: "/runs/1".to_owned(),
        asset_events: BTreeMap::new(),
        try_number: 1,
        map_index: -1,
        items: Map::new(),
    })
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    for tasks in [10, 1_000, 10_000] {
        let (dag, facts) = (dag(tasks), facts(tasks));
        group.bench_function(BenchmarkId::from_parameter(tasks), |bencher| {
            bencher.iter(|| decide(black_box(&dag), black_box(&facts), &mut || 0.5));
        });
    }
    group.finish();
}

fn rendering(criterion: &mut Criterion) {
    const TEXT: &str =
        "load {{ ds }} of {{ var.value.region }} into {{ run_dir }}/{{ task.task_id }}.csv";
    let context = context();
    for (name, quoting) in [("plain", Quoting::Plain), ("shell", Quoting::Shell)] {
        criterion.bench_function(&format!("render/{name}"), |bencher| {
            bencher.iter(|| render(black_box(TEXT), &context, quoting));
        });
    }
}

criterion_group!(benches, decisions, rendering);
criterion_main!(benches);
