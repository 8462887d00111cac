//! Tables that DAGs write and wait for, within a file and across the files of a folder.

#![expect(
    clippy::unwrap_used,
    reason = "a set-up that fails is a test that fails"
)]

use std::collections::BTreeMap;
use std::fs;

use dagctl_core::schedule::Schedule;
use dagctl_dagfile::{FolderLoad, Loader, parse_version};

/// What a look at a folder of these DAG files finds.
fn load(files: &[(&str, &str)]) -> FolderLoad {
    let folder = tempfile::TempDir::new().unwrap();
    let dags = folder.path().join("dags");
    fs::create_dir(&dags).unwrap();
    for (name, text) in files {
        fs::write(dags.join(name), text).unwrap();
    }
    Loader::new(dags).load()
}

fn shown(load: &FolderLoad) -> String {
    let good = load.dags.iter().filter(|it| it.is_good);
    let good: Vec<&str> = good.map(|it| it.dag_id.as_str()).collect();
    let problems: Vec<String> = load.diagnostics.iter().map(ToString::to_string).collect();
    format!("good: {}\n\n{}", good.join(" "), problems.join("\n\n"))
}

const WRITES_X: &str = "schedule: {assets: [a.y]}
tasks:
  clean: {operator: sql, conn_id: dw, sql: 'delete from a.x where old'}
";

#[test]
fn tables_are_seen_where_tasks_write_them() {
    let text = "
schedule: {assets: {any: [a.b, {all: [c.d, 'dw:e.f']}]}}
default_args: {conn_id: dw}
tasks:
  sql: {operator: sql, sql: 'insert into A.B select 1; truncate a.c'}
  build: {operator: build_table, schema: s, table: t, main_sql: select 1}
  dynamic: {operator: build_table, schema: s, table: 't_{{ ds }}', main_sql: select 1}
  load: {operator: load_file, schema: s, table: l, file: x.csv}
  shell: {operator: shell, command: [make], writes: [a.z, 'lake:a.q'], reads: a.b}
  quiet: {operator: sql, sql: insert into a.b select 1, writes: []}
";
    let files = BTreeMap::from([("x.yaml".to_owned(), text.to_owned())]);
    let (dag, problems) = parse_version(&files, "x.yaml");
    let dag = dag.unwrap_or_else(|| panic!("{problems:?}"));
    let writes = |task: &str| {
        let task = dag.tasks().iter().find(|it| it.task_id.as_str() == task);
        let writes = &task.unwrap().writes;
        writes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(writes("sql"), "dw:a.b dw:a.c");
    assert_eq!(writes("build"), "dw:s.t");
    assert_eq!(writes("dynamic"), "");
    assert_eq!(writes("load"), "dw:s.l");
    assert_eq!(writes("shell"), "a.z lake:a.q");
    assert_eq!(writes("quiet"), "");
    let Schedule::Assets(expression) = &dag.spec.schedule else {
        panic!("{:?}", dag.spec.schedule);
    };
    assert_eq!(expression.describe(), "a.b or (c.d and dw:e.f)");
}

#[test]
fn dags_that_wait_for_each_others_tables_are_refused_with_every_step() {
    let files = [
        ("x.yaml", WRITES_X),
        (
            "y.yaml",
            "schedule: {assets: ['dw:a.x']}\ntasks:\n  build: {operator: build_table, conn_id: dw, schema: a, table: y, main_sql: select 1}\n",
        ),
        (
            "z.yaml",
            "schedule: {assets: [a.x, a.y]}\ntasks:\n  a: {operator: empty}\n",
        ),
    ];
    insta::assert_snapshot!(shown(&load(&files)));
    // What a clean-up says is no news closes no circle.
    let quiet = WRITES_X.replace("where old'}", "where old', writes: []}");
    let load = load(&[("x.yaml", &quiet), files[1]]);
    assert!(load.dags.iter().all(|it| it.is_good));
    assert!(!load.diagnostics.iter().any(|it| it.is_error()));
}

#[test]
fn a_dag_that_waits_for_its_own_table_is_refused() {
    let own = WRITES_X.replace("a.y", "a.x");
    insta::assert_snapshot!(shown(&load(&[("own.yaml", &own)])));
}

#[test]
fn a_table_that_no_task_writes_is_a_warning_with_the_name_that_was_meant() {
    let files = [
        (
            "x.yaml",
            "tasks:\n  write: {operator: shell, command: [make], writes: [analytics.mau_summary]}\n",
        ),
        (
            "y.yaml",
            "schedule:\n  assets:\n    - analytics.mau_sumary\n    - other.thing\ntasks:\n  a: {operator: empty}\n",
        ),
    ];
    insta::assert_snapshot!(shown(&load(&files)));
    // Perhaps the file that is broken at the moment writes it.
    let broken = [
        (
            "broken.yaml",
            "tasks:\n  a: {operator: sqll, sql: insert into other.thing select 1}\n",
        ),
        files[1],
    ];
    let load = load(&broken);
    let warned = |name: &str| {
        load.diagnostics
            .iter()
            .any(|it| it.message.contains(name) && !it.is_error())
    };
    assert!(warned("analytics.mau_sumary") && !warned("other.thing"));
}
