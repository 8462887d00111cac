//! Backfills: made exactly as shown, filled bit by bit, whoever schedules and whatever breaks off.

use dagctl_core::ids::WorkerId;
use dagctl_core::outcome::Outcome;
use dagctl_engine::Engine;
use dagctl_engine::backfill::{BackfillRequest, FillError};
use dagctl_engine::reconcile::Service as _;
use dagctl_engine::scheduler::Scheduler;
use dagctl_store::backfills::{BackfillRow, BackfillState};

use crate::support::{Bench, refused};

/// Ten days in January, long over.
fn january(reprocess: &str, max_active_runs: i32) -> BackfillRequest {
    BackfillRequest {
        dag_id: "daily".parse().unwrap(),
        from: "2026-01-01T00:00:00Z".parse().unwrap(),
        to: "2026-01-10T00:00:00Z".parse().unwrap(),
        reprocess: reprocess.into(),
        max_active_runs,
        is_reversed: false,
    }
}

async fn look(engine: &Engine) {
    Scheduler::new(engine.clone()).pass().await.unwrap();
}

impl Bench {
    async fn daily(&self, more: &str) {
        self.dag(&format!(
            "dag_id: daily\nschedule: '@daily'\n{more}tasks:\n  only: {{operator: empty}}\n"
        ))
        .await;
    }

    async fn fill(&self, request: BackfillRequest) -> i32 {
        let plan = self.engine.plan_backfill(request).await.unwrap();
        self.engine.create_backfill(plan, "kim").await.unwrap()
    }

    async fn backfill(&self, number: i32) -> BackfillRow {
        let found = self.store.backfills(None, Some(number), 1).await.unwrap();
        found.into_iter().next().unwrap()
    }

    /// Ends one task that waits, if there is one.
    async fn end_one(&self, worker: WorkerId, outcome: Outcome) -> bool {
        let mut claims = self.store.claim(worker, 1).await.unwrap().claims;
        let Some(claim) = claims.pop() else {
            return false;
        };
        self.flush(worker, claim.key, outcome).await;
        true
    }

    async fn running(&self) -> i64 {
        self.count("select count(*) from live_run where is_running")
            .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_is_filled_by_any_number_of_schedulers_and_never_above_its_limit() {
    let bench = Bench::new().await;
    bench.daily("is_paused_upon_creation: true\n").await;
    let number = bench.fill(january("none", 2)).await;
    let other = bench.another(|_| ()).await;
    let worker = bench.worker().await;
    for round in 0..40 {
        tokio::join!(look(&bench.engine), look(&other));
        assert!(bench.running().await <= 2);
        let live = bench.count("select count(*) from live_run").await;
        assert!(live <= 3, "one run is made ahead, not {live}");
        let outcome = match round {
            3 => refused("no route"),
            _ => Outcome::success(),
        };
        if !bench.end_one(worker, outcome).await {
            break;
        }
    }
    look(&bench.engine).await;
    let row = bench.backfill(number).await;
    assert_eq!(row.state, BackfillState::Done);
    assert_eq!((row.waiting, row.runs), (0, [0, 0, 9, 1]));
    let runs = bench
        .texts("select run_id || ' ' || run_type::text || ' ' || triggered_by from dag_run order by dag_run_id")
        .await;
    assert_eq!(runs.len(), 10);
    assert_eq!(runs[0], "backfill__2026-01-01T00:00:00Z b kim");
    let in_order: bool = bench
        .value("select array_agg(logical_at order by dag_run_id) = array_agg(logical_at order by logical_at) from dag_run")
        .await;
    assert!(in_order);
    let whole: bool = bench
        .value("select bool_and(interval_end - interval_start = interval '1 day' and interval_start = logical_at) from dag_run")
        .await;
    assert!(whole);
}

#[tokio::test]
async fn a_token_makes_exactly_what_was_shown_or_nothing() {
    let bench = Bench::new().await;
    bench.daily("is_paused_upon_creation: true\n").await;
    let shown = bench
        .engine
        .plan_backfill(january("none", 2))
        .await
        .unwrap();
    assert_eq!(shown.steps.len(), 10);
    assert_eq!(bench.count("select count(*) from backfill").await, 0);
    let again = bench.engine.planned_backfill(&shown.token).await.unwrap();
    assert_eq!(again, shown);
    assert!(matches!(
        bench.engine.planned_backfill("bf1.abc.def").await,
        Err(FillError::BadToken)
    ));
    // Another version of the DAG, and it is not what was shown any more.
    bench.daily("description: Changed\n").await;
    assert!(matches!(
        bench.engine.planned_backfill(&shown.token).await,
        Err(FillError::Changed)
    ));
    let shown = bench
        .engine
        .plan_backfill(january("none", 2))
        .await
        .unwrap();
    let token = shown.token.clone();
    bench.engine.create_backfill(shown, "kim").await.unwrap();
    assert!(matches!(
        bench.engine.create_backfill(again, "lee").await,
        Err(FillError::UnderWay(_))
    ));
    look(&bench.engine).await;
    assert!(matches!(
        bench.engine.planned_backfill(&token).await,
        Err(FillError::Changed)
    ));
}

#[tokio::test]
async fn dates_that_failed_go_again_and_the_others_stay() {
    let bench = Bench::new().await;
    bench.daily("is_paused_upon_creation: true\n").await;
    let worker = bench.worker().await;
    let first = BackfillRequest {
        to: "2026-01-03T00:00:00Z".parse().unwrap(),
        ..january("none", 1)
    };
    bench.fill(first.clone()).await;
    for outcome in [Outcome::success(), refused("no"), Outcome::success()] {
        look(&bench.engine).await;
        assert!(bench.end_one(worker, outcome).await);
    }
    look(&bench.engine).await;
    assert!(matches!(
        bench
            .engine
            .create_backfill(
                bench.engine.plan_backfill(first.clone()).await.unwrap(),
                "kim"
            )
            .await,
        Err(FillError::NothingToDo)
    ));
    let failed = BackfillRequest {
        reprocess: "failed".into(),
        ..first.clone()
    };
    let number = bench.fill(failed).await;
    look(&bench.engine).await;
    bench.until("select count(*) = 1 from ready").await;
    assert!(bench.end_one(worker, Outcome::success()).await);
    look(&bench.engine).await;
    let row = bench.backfill(number).await;
    assert_eq!(
        (row.state, row.skipped, row.runs),
        (BackfillState::Done, 2, [0, 0, 1, 0])
    );
    assert_eq!(bench.states().await, "only=s only=s2 only=s");

    let all = BackfillRequest {
        reprocess: "all".into(),
        is_reversed: true,
        ..first
    };
    let number = bench.fill(all).await;
    for _ in 0..3 {
        look(&bench.engine).await;
        bench.until("select count(*) = 1 from ready").await;
        assert!(bench.end_one(worker, Outcome::success()).await);
    }
    look(&bench.engine).await;
    assert_eq!(bench.states().await, "only=s2 only=s3 only=s2");
    assert_eq!(bench.backfill(number).await.runs, [0, 0, 3, 0]);
}

#[tokio::test]
async fn a_backfill_is_paused_resumed_and_cancelled() {
    let bench = Bench::new().await;
    bench.daily("is_paused_upon_creation: true\n").await;
    let number = bench.fill(january("none", 1)).await;
    let worker = bench.worker().await;
    look(&bench.engine).await;
    let set = async |state| {
        bench
            .engine
            .set_backfill(number, state, "lee")
            .await
            .unwrap()
    };
    assert!(set(BackfillState::Paused).await);
    assert!(!set(BackfillState::Paused).await);
    assert!(bench.end_one(worker, Outcome::success()).await);
    look(&bench.engine).await;
    assert_eq!(
        bench.running().await,
        0,
        "what waits in the queue does not start"
    );
    assert!(set(BackfillState::Running).await);
    look(&bench.engine).await;
    assert_eq!(bench.running().await, 1);

    assert!(set(BackfillState::Cancelled).await);
    look(&bench.engine).await;
    assert_eq!(
        bench
            .texts("select state::text from dag_run order by dag_run_id")
            .await,
        ["s", "r", "f"],
        "what runs goes on"
    );
    assert!(bench.end_one(worker, Outcome::success()).await);
    look(&bench.engine).await;
    assert_eq!(bench.count("select count(*) from dag_run").await, 3);
    assert!(!set(BackfillState::Running).await, "it has ended");
    assert_eq!(
        bench
            .texts("select action from audit where action like 'backfill%' order by audit_id")
            .await,
        [
            "backfill.create",
            "backfill.paused",
            "backfill.running",
            "backfill.cancelled"
        ]
    );
}

#[tokio::test]
async fn the_dags_own_limit_holds_for_a_backfill_too() {
    let bench = Bench::new().await;
    bench
        .daily("is_paused_upon_creation: true\nmax_active_runs: 1\n")
        .await;
    bench.fill(january("none", 5)).await;
    bench.trigger("daily").await;
    look(&bench.engine).await;
    assert_eq!(bench.running().await, 1);
}
