//! What happens to those who ask for a run.

use std::collections::BTreeSet;

use dagctl_core::outcome::Outcome;
use dagctl_core::state::RunState;
use dagctl_engine::{TriggerError, TriggerRequest};
use dagctl_store::dags::Paused;
use futures::future::join_all;
use serde_json::{Map, json};

use crate::support::{Bench, request};

const DAG: &str = "
dag_id: orders_daily
params:
  day: {type: string}
  count: {type: integer, default: 3}
tasks:
  only: {operator: empty}
";

fn with_day(dag_id: &str) -> TriggerRequest {
    TriggerRequest {
        params: Map::from_iter([("day".to_owned(), json!("2026-01-01"))]),
        ..request(dag_id)
    }
}

fn keyed(dag_id: &str, key: &str) -> TriggerRequest {
    TriggerRequest {
        idempotency_key: Some(key.to_owned()),
        ..with_day(dag_id)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_requests_at_once_with_one_key_make_one_run() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    let other = bench.another(|_| ()).await;
    let sends = (0..50).map(|at| {
        let engine = if at % 2 == 0 {
            bench.engine.clone()
        } else {
            other.clone()
        };
        tokio::spawn(async move { engine.trigger(keyed("orders_daily", "k1")).await })
    });
    let made: Vec<_> = join_all(sends)
        .await
        .into_iter()
        .map(|it| it.unwrap().unwrap())
        .collect();
    assert_eq!(made.iter().filter(|it| it.created).count(), 1);
    assert!(
        made.iter()
            .all(|it| it.dag_run_id == made[0].dag_run_id && it.run_id == made[0].run_id)
    );
    assert_eq!(bench.count("select count(*) from dag_run").await, 1);
    assert_eq!(bench.count("select count(*) from run_key").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_for_two_dags_at_once_makes_one_run_and_refuses_the_other() {
    let bench = Bench::new().await;
    let (one, two) = (
        DAG.replace("orders_daily", "one"),
        DAG.replace("orders_daily", "two"),
    );
    bench.dag(&one).await;
    bench.dag(&two).await;
    for round in 0..10 {
        let sends = (0..10).map(|at| {
            let engine = bench.engine.clone();
            let dag = if at % 2 == 0 { "one" } else { "two" };
            tokio::spawn(async move { engine.trigger(keyed(dag, &format!("k{round}"))).await })
        });
        let (mut created, mut same, mut refused) = (0, 0, 0);
        for answer in join_all(sends).await {
            match answer.unwrap() {
                Ok(it) if it.created => created += 1,
                Ok(_) => same += 1,
                Err(TriggerError::KeyTaken) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!((created, same, refused), (1, 4, 5));
    }
    assert_eq!(bench.count("select count(*) from dag_run").await, 10);
}

#[tokio::test]
async fn a_key_means_one_request_of_one_person() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    let first = bench.ask(keyed("orders_daily", "k")).await;
    let mut other_body = keyed("orders_daily", "k");
    other_body.params.insert("count".into(), json!(4));
    let refused = bench.engine.trigger(other_body).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "this Idempotency-Key was used for another request; send a new one"
    );
    let lee = TriggerRequest {
        principal: "lee".into(),
        ..keyed("orders_daily", "k")
    };
    assert_ne!(bench.ask(lee).await.dag_run_id, first.dag_run_id);
    // It stands for that run also when the run has ended.
    let worker = bench.worker().await;
    for claim in bench.store.claim(worker, 10).await.unwrap().claims {
        bench.flush(worker, claim.key, Outcome::success()).await;
    }
    let again = bench.ask(keyed("orders_daily", "k")).await;
    assert_eq!((again.dag_run_id, again.created), (first.dag_run_id, false));
}

#[tokio::test]
async fn a_request_that_makes_no_run_does_not_use_up_its_key() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    let named = |key: &str| TriggerRequest {
        run_id: Some("mine".into()),
        ..keyed("orders_daily", key)
    };
    bench.ask(named("a")).await;
    let refused = bench.engine.trigger(named("b")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "DAG `orders_daily` has a run `mine` already"
    );
    assert!(bench.ask(keyed("orders_daily", "b")).await.created);
    assert_eq!(bench.count("select count(*) from trigger_key").await, 2);
}

#[tokio::test]
async fn a_bad_request_says_what_is_wrong_and_makes_nothing() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    let unknown = bench
        .engine
        .trigger(with_day("order_daily"))
        .await
        .unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "no DAG is called `order_daily`; did you mean `orders_daily`?"
    );
    let far = bench.engine.trigger(with_day("x")).await.unwrap_err();
    assert_eq!(far.to_string(), "no DAG is called `x`");
    let mut bad = request("orders_daily");
    bad.params.insert("count".into(), json!("many"));
    bad.params.insert("cuont".into(), json!(1));
    let bad = bench.engine.trigger(bad).await.unwrap_err();
    let TriggerError::BadParams(problems) = &bad else {
        panic!("{bad:?}")
    };
    assert_eq!(problems.len(), 3, "{bad}");
    for name in ["day", "count", "cuont"] {
        assert!(bad.to_string().contains(name), "{bad}");
    }
    let slash = TriggerRequest {
        run_id: Some("a/b".into()),
        ..with_day("orders_daily")
    };
    assert!(matches!(
        bench.engine.trigger(slash).await,
        Err(TriggerError::BadRunId(_))
    ));
    assert_eq!(bench.count("select count(*) from dag_run").await, 0);
    assert_eq!(bench.count("select count(*) from ready").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_who_ask_at_the_same_moment_all_get_a_run() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    let at = "2026-05-01T00:00:00Z".parse().unwrap();
    let sends = (0..20).map(|_| {
        let engine = bench.engine.clone();
        let asked = TriggerRequest {
            logical_date: Some(at),
            ..with_day("orders_daily")
        };
        tokio::spawn(async move { engine.trigger(asked).await })
    });
    for made in join_all(sends).await {
        assert!(made.unwrap().unwrap().created);
    }
    assert_eq!(
        bench
            .count("select count(distinct run_id) from dag_run")
            .await,
        20
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_at_once_each_gets_a_run_of_its_own_and_a_bad_one_fails_alone() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    let sends = (0..102).map(|at| {
        let engine = bench.engine.clone();
        let asked = match at {
            50 => with_day("no_such_dag"),
            // Postgres keeps no such text: the database refuses this one after it was checked.
            51 => TriggerRequest {
                note: Some("a\u{0}b".into()),
                ..with_day("orders_daily")
            },
            _ => with_day("orders_daily"),
        };
        tokio::spawn(async move { engine.trigger(asked).await })
    });
    let mut runs = BTreeSet::new();
    for (at, made) in join_all(sends).await.into_iter().enumerate() {
        match (at, made.unwrap()) {
            (50, Err(TriggerError::UnknownDag { .. })) => (),
            (51, Err(TriggerError::Store { .. })) => (),
            (_, Ok(made)) if made.created => {
                assert_eq!(made.row.run_id, made.run_id);
                assert!(runs.insert(made.dag_run_id), "twice: {made:?}");
            }
            (at, other) => panic!("request {at}: {other:?}"),
        }
    }
    assert_eq!(runs.len(), 100);
    assert_eq!(
        bench
            .count("select count(distinct run_id) from dag_run")
            .await,
        100
    );
    let started = "select count(*) from dag_run where state = 'r'";
    assert_eq!(bench.count(started).await, 16);
}

#[tokio::test]
async fn a_triggered_run_is_shown_as_it_is_stored() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    let asked = TriggerRequest {
        note: Some("again".into()),
        ..keyed("orders_daily", "k")
    };
    let made = bench.ask(asked.clone()).await;
    let stored = bench.store.run_row(made.dag_run_id).await.unwrap();
    assert_eq!(Some(&made.row), stored.as_ref());
    assert_eq!(Some(bench.ask(asked).await.row), stored);
}

#[tokio::test]
async fn a_paused_dag_runs_when_somebody_asks() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    bench
        .engine
        .set_paused(&"orders_daily".parse().unwrap(), Paused::Yes)
        .await
        .unwrap();
    let run = bench.ask(with_day("orders_daily")).await.dag_run_id;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, Outcome::success()).await;
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Success)
    );
}
