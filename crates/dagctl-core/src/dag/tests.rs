use serde_json::json;

use super::*;
use crate::callback::Callback;
use crate::ids::DagId;
use crate::mapping::Expand;

pub(super) fn task(name: &str, depends_on: &[&str]) -> Task {
    let id = |it: &str| TaskId::new(it).unwrap();
    Task {
        depends_on: depends_on.iter().map(|it| id(it)).collect(),
        ..Task::new(id(name), Operator::Empty)
    }
}

fn spec() -> DagSpec {
    DagSpec::new(DagId::new("orders").unwrap(), "orders.yaml")
}

pub(super) fn dag(tasks: Vec<Task>) -> Dag {
    Dag::new(spec(), tasks).unwrap()
}

fn diamond() -> Vec<Task> {
    vec![
        task("d", &["b", "c"]),
        task("a", &[]),
        task("b", &["a"]),
        task("c", &["a"]),
    ]
}

fn name(dag: &Dag, at: TaskIndex) -> &str {
    dag.task(at).unwrap().task_id.as_str()
}

fn names(dag: &Dag, all: impl IntoIterator<Item = TaskIndex>) -> Vec<&str> {
    all.into_iter().map(|it| name(dag, it)).collect()
}

#[test]
fn edges_go_from_parent_to_child_and_none_is_missing() {
    let dag = dag(diamond());
    let edges: Vec<_> = dag
        .edges()
        .map(|(parent, child)| format!("{}{}", name(&dag, parent), name(&dag, child)))
        .collect();
    assert_eq!(edges, ["ab", "ac", "bd", "cd"]);
}

#[test]
fn what_is_further_up_and_further_down_is_found_however_far() {
    let dag = dag(diamond());
    let at = |it| dag.index_of(it).unwrap();
    assert_eq!(names(&dag, dag.ancestors(at("d"))), ["a", "b", "c"]);
    assert_eq!(names(&dag, dag.descendants(at("a"))), ["b", "c", "d"]);
    assert_eq!(names(&dag, dag.upstream(at("d")).to_vec()), ["b", "c"]);
    assert_eq!(names(&dag, dag.downstream(at("a")).to_vec()), ["b", "c"]);
    assert_eq!(dag.index_of("e"), None);
    assert_eq!(dag.task(TaskIndex(4)), None);
}

#[test]
fn a_run_is_limited_where_more_may_want_to_be_under_way_than_may() {
    let of = |max_active_tasks, tasks| {
        let spec = DagSpec {
            max_active_tasks,
            ..spec()
        };
        Dag::new(spec, tasks).unwrap()
    };
    assert!(
        !of(2, diamond()).is_limited(),
        "two of the four may be under way at once"
    );
    assert!(of(1, diamond()).is_limited());

    let mut mapped = diamond();
    mapped[0].expand = Some(Expand {
        over: vec![("x".to_owned(), json!([1, 2]))],
    });
    let mapped = of(16, mapped);
    assert!(mapped.is_mapped() && mapped.is_limited() && !mapped.limits_tasks());

    let mut counted = diamond();
    counted[2].max_active_tis_per_dag = Some(1);
    let counted = of(16, counted);
    assert!(counted.limits_tasks() && counted.is_limited() && !counted.is_mapped());
}

#[test]
fn below_a_branch_only_a_task_that_always_runs_is_for_a_look() {
    let mut tasks = diamond();
    tasks[1].operator = Operator::Branch(crate::operator::Branch { options: vec![] });
    tasks[3].trigger_rule = TriggerRule::Always;
    let dag = dag(tasks);
    let letter = |it| dag.rule_letter(dag.index_of(it).unwrap());
    assert_eq!(["a", "b", "c", "d"].map(letter), ['s', 's', 'x', 's']);
}

#[test]
fn a_success_is_news_to_who_asked_for_it_and_to_who_was_told_of_the_failure() {
    let callback = |recovered| Callback {
        recovered,
        ..Callback::slack()
    };
    assert!(!dag(diamond()).tells_success());

    let asked = DagSpec {
        on_success_callback: vec![callback(false)],
        ..spec()
    };
    assert!(Dag::new(asked, diamond()).unwrap().tells_success());

    let told_of_failures = |recovered| {
        let spec = DagSpec {
            on_failure_callback: vec![callback(recovered)],
            ..spec()
        };
        Dag::new(spec, diamond()).unwrap()
    };
    assert!(told_of_failures(true).tells_success());
    assert!(!told_of_failures(false).tells_success());

    let mut tasks = diamond();
    tasks[1].on_failure_callback = vec![callback(true)];
    tasks[2].on_failure_callback = vec![callback(true), callback(false)];
    let dag = dag(tasks);
    assert!(dag.tells_success());
    assert_eq!(
        dag.recovery_callbacks().len(),
        1,
        "one channel, one message"
    );
}

#[test]
fn a_task_is_told_of_by_any_of_its_four_callbacks() {
    assert!(!dag(diamond()).tells_of_tasks());
    let of: [fn(&mut Task) -> &mut Vec<Callback>; 4] = [
        |it| &mut it.on_failure_callback,
        |it| &mut it.on_success_callback,
        |it| &mut it.on_retry_callback,
        |it| &mut it.on_skipped_callback,
    ];
    for list in of {
        let mut tasks = diamond();
        list(&mut tasks[3]).push(Callback::slack());
        assert!(dag(tasks).tells_of_tasks());
    }
}

#[test]
fn what_makes_no_dag_is_named() {
    let failure = |tasks| Dag::new(spec(), tasks).unwrap_err().to_string();
    assert_eq!(failure(vec![]), "a DAG needs at least one task");
    assert_eq!(
        failure(vec![task("a", &[]), task("a", &[])]),
        "two tasks are called `a`"
    );
    assert_eq!(
        failure(vec![task("a", &["b"])]),
        "task `a` waits for `b`, which this DAG does not define"
    );
    assert_eq!(
        failure(vec![task("a", &["b"]), task("b", &["a"])]),
        "tasks wait for each other: b → a"
    );
}

#[test]
fn a_date_is_one_of_the_dags_zone() {
    let spec = DagSpec {
        timezone: TimeZone::get("Asia/Seoul").unwrap(),
        ..spec()
    };
    let date = jiff::civil::date(2026, 3, 2).at(9, 0, 0, 0);
    assert_eq!(
        spec.instant(date),
        Some("2026-03-02T00:00:00Z".parse().unwrap())
    );
}
