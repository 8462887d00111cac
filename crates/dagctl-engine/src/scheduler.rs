//! The scheduler: makes the runs that timetables owe, and starts queued ones where there is a place.
//!
//! Any number of schedulers may run. None owns a DAG: the watermark and the run's key let one of them win.

mod assets;

use std::time::Duration;

use anyhow::Context as _;
use dagctl_core::dag::Dag;
use dagctl_core::ids::DagKey;
use dagctl_core::params;
use dagctl_core::schedule::Schedule;
use dagctl_core::timetable::{Due, DueRun, SkippedCount, Timetable, Watermark};
use dagctl_store::dags::{KnownDag, ScheduleStep, SkippedIntervals, WatermarkReset};
use dagctl_store::runs::{NewRun, RunType};
use jiff::Timestamp;
use serde_json::Map;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::Engine;
use crate::reconcile::Service;

/// Runs made in one look at one DAG at most; the rest follow in the next.
const RUNS_A_LOOK: usize = 100;

/// How often the partitions of the coming weeks are made sure of.
const PREPARE: Duration = Duration::from_secs(12 * 3600);

/// How often a DAG that runs again and again is looked at while nothing happens.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// How long a DAG that could not be scheduled is left alone.
const AFTER_A_FAILURE: Duration = Duration::from_secs(10);

/// Makes the runs that timetables owe.
pub struct Scheduler {
    engine: Engine,
    /// When the partitions of the coming weeks were last made sure of.
    prepared: Option<Instant>,
}

impl Scheduler {
    /// A scheduler for the engine's database.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            prepared: None,
        }
    }

    async fn look_at(&self, known: &KnownDag, now: Timestamp) -> anyhow::Result<bool> {
        let version = known
            .active_version_id
            .context("a DAG that is due has a version")?;
        let dag = self
            .engine
            .inner
            .dags
            .get(self.engine.store(), version)
            .await?;
        if let Schedule::Assets(expression) = &dag.spec.schedule {
            self.look_at_assets(known, &dag, expression, now).await?;
            return Ok(true);
        }
        let timetable = Timetable::new(&dag.spec);
        let due = due(&timetable, &dag, known, now);
        let made_all = due.next_due_at.is_none_or(|it| it > now);
        let mut runs = vec![];
        for it in &due.runs {
            let mut run = new_run(known, &dag, it)?;
            run.deadline_at = self
                .engine
                .deadline_of(&dag, known.dag_key, now, run.logical_at)
                .await?;
            runs.push(run);
        }
        let step = ScheduleStep {
            dag_key: known.dag_key,
            old_watermark: known.watermark,
            watermark: due.watermark,
            next_due_at: due.next_due_at,
            runs,
            skipped: due.skipped.map(|it| SkippedIntervals {
                first: it.first.start,
                last: it.last.start,
                count: match it.count {
                    SkippedCount::Exactly(count) | SkippedCount::AtLeast(count) => {
                        i32::try_from(count).unwrap_or(i32::MAX)
                    }
                },
                reason: "catchup".to_owned(),
            }),
        };
        let store = self.engine.store().clone();
        // In a task that nobody cancels: a transaction is never dropped half-way.
        let taken = tokio::spawn(async move { store.take_schedule_step(&step).await }).await??;
        if let Some((made, started)) = taken {
            if made > 0 {
                info!(dag.id = %known.dag_id, "Made {made} runs of `{}`", known.dag_id);
            }
            self.engine.follow_started(started).await;
        }
        Ok(made_all)
    }

    async fn start_queued(&self, waiting: Vec<DagKey>) -> anyhow::Result<()> {
        for dag in waiting {
            let store = self.engine.store().clone();
            let started = tokio::spawn(async move { store.start_queued(dag).await }).await??;
            self.engine.follow_started(started).await;
        }
        Ok(())
    }
}

impl Service for Scheduler {
    fn name(&self) -> &'static str {
        "scheduler"
    }

    async fn pass(&mut self) -> anyhow::Result<Option<Duration>> {
        let store = self.engine.store();
        if self.prepared.is_none_or(|it| it.elapsed() > PREPARE) {
            store.ensure_partitions().await?;
            self.prepared = Some(Instant::now());
        }
        let begun = Instant::now();
        let mut due = store.due_dags().await?;
        if due.has_news {
            self.tell_news().await?;
            due = store.due_dags().await?;
        }
        let changed = !(due.waiting.is_empty() && due.runs.is_empty() && due.backfills.is_empty());
        self.start_queued(due.waiting).await?;
        for run in &due.runs {
            if let Err(error) = self.engine.do_what_is_due(*run).await {
                // One run leaves the others alone; whatever was not taken is due still.
                warn!(run.id = %run, "Could not do what is due in run {run}: {error:#}");
            }
        }
        for backfill in due.backfills {
            if let Err(error) = self.engine.fill(backfill).await {
                warn!("Backfill {backfill} could not go on: {error:#}");
            }
        }
        for backfill in due.cancelled_backfills {
            self.engine.end_cancelled_backfill(backfill).await?;
        }
        if due.dags.is_empty() && !changed {
            return Ok(due.next);
        }
        let (mut made_all, mut failed) = (true, None);
        for known in store.known_dags(Some(&due.dags)).await? {
            match self.look_at(&known, due.now).await {
                Ok(all) => made_all &= all,
                // One DAG that cannot be scheduled leaves the others alone.
                Err(error) => {
                    warn!(dag.id = %known.dag_id, "Could not schedule `{}`: {error:#}", known.dag_id);
                    store
                        .put_off_schedule(known.dag_key, AFTER_A_FAILURE)
                        .await?;
                    failed = Some(AFTER_A_FAILURE);
                }
            }
        }
        if !made_all {
            return Ok(Some(Duration::ZERO));
        }
        // What became due meanwhile, and what these looks put off.
        let meanwhile = due.next.map(|it| it.saturating_sub(begun.elapsed()));
        let next = store.due_dags().await?.next;
        Ok(meanwhile.into_iter().chain(next).chain(failed).min())
    }
}

fn due(timetable: &Timetable, dag: &Dag, known: &KnownDag, now: Timestamp) -> Due {
    if matches!(dag.spec.schedule, Schedule::Continuous) {
        let run = if known.live_runs == 0 {
            timetable.continuous_due(known.last_ended_at, now)
        } else {
            None
        };
        // The end of a run makes it due at once; the time is for what no run's end tells, such as a first day to come.
        let again = now.checked_add(LOOK_AGAIN).ok();
        return Due {
            // Of two schedulers that saw no run one is refused; a run that ends later makes the DAG due again.
            watermark: now,
            runs: run.into_iter().collect(),
            skipped: None,
            next_due_at: again,
        };
    }
    timetable.due(dag.spec.catchup, &watermark(known, now), now, RUNS_A_LOOK)
}

/// How far a DAG's intervals have been considered; of a paused one, as if it were unpaused now.
pub fn watermark(known: &KnownDag, now: Timestamp) -> Watermark {
    match known.watermark_reset {
        Some(WatermarkReset::FirstSeen) => Watermark::FirstSeen(known.watermark),
        None if !known.is_paused => Watermark::Standing(known.watermark),
        Some(WatermarkReset::Unpaused) | None => Watermark::Unpaused {
            at: now,
            watermark: known.watermark,
        },
    }
}

fn new_run(known: &KnownDag, dag: &Dag, due: &DueRun) -> anyhow::Result<NewRun> {
    run_of(known, dag, due, RunType::Scheduled)
}

/// A run that nobody asked for, named by its type and its logical date.
fn run_of(known: &KnownDag, dag: &Dag, due: &DueRun, run_type: RunType) -> anyhow::Result<NewRun> {
    let params = params::fill(&dag.spec.params, &Map::new()).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("its parameters lack defaults: {}", problems.join("; "))
    })?;
    Ok(NewRun {
        dag_key: known.dag_key,
        dag_version_id: known
            .active_version_id
            .context("a DAG that is due has a version")?,
        run_id: format!("{}__{}", run_type.name(), due.logical_date),
        run_type,
        logical_at: due.logical_date,
        interval_start: due.interval.start,
        interval_end: due.interval.end,
        params,
        note: None,
        triggered_by: None,
        deadline_at: None,
        backfill_id: None,
        idempotency: None,
    })
}
