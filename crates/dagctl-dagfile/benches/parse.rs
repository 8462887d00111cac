//! How long a DAG file takes to read. `cargo bench -p dagctl-dagfile`.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dagctl_dagfile::parse_version;

/// So many tasks, each with a template and waiting for the one before.
fn files(tasks: usize) -> BTreeMap<String, String> {
    let mut text = "tasks:\n".to_owned();
    for at in 0..tasks {
        text.push_str(&format!(
            "  t{at}:\n    operator: shell\n    command: echo \"{{{{ ds }}}} {at}\"\n"
        ));
        if at > 0 {
            text.push_str(&format!("    depends_on: t{}\n", at - 1));
        }
    }
    BTreeMap::from([("a.yaml".to_owned(), text)])
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for tasks in [10, 100, 1_000] {
        let files = files(tasks);
        group.bench_with_input(BenchmarkId::from_parameter(tasks), &files, |bencher, it| {
            bencher.iter(|| parse_version(black_box(it), "a.yaml"));
        });
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
