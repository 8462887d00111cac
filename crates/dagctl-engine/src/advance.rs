//! The look: lock a run, load its facts, decide, apply. Safe at any time, any number of times.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;

use anyhow::Context as _;
use dagctl_core::asset::Asset;
use dagctl_core::dag::Dag;
use dagctl_core::decide::decide;
use dagctl_core::ids::{DagKey, DagRunId, InstanceIndex, MapIndex, TaskIndex, WorkerId};
use dagctl_core::run::{Action, NoticeEvent, Plan, Standing, Why};
use dagctl_core::state::RunState;
use dagctl_store::StoreError;
use dagctl_store::database::Topic;
use dagctl_store::notices::NewNotice;
use dagctl_store::plans::{Applied, Ended, LockedRun, Look, Orders};
use dagctl_store::runs::StartedRuns;

use crate::Engine;
use crate::notice_payload::{self, RunFacts};
use crate::past;

/// What a look led to, for the hints that follow its commit.
#[derive(Debug, Default)]
pub(crate) struct Led {
    /// Tasks were queued.
    pub(crate) queued: bool,
    /// Messages were written.
    pub(crate) notices: bool,
    /// Tasks were put off, or need not wait any longer.
    pub(crate) timers: bool,
    /// Another try of a run was put off.
    pub(crate) limits: bool,
    /// Tables were written that other DAGs may wait for.
    pub(crate) assets: bool,
    /// DAGs of which a run ended.
    pub(crate) ended: Vec<DagKey>,
    /// DAGs in which something happened that later runs may wait for.
    pub(crate) later: BTreeSet<DagKey>,
    /// DAGs with tasks that are counted over all their runs: others of them may have places.
    pub(crate) counting: BTreeSet<DagKey>,
}

impl Engine {
    /// Looks at a run and does what its facts call for.
    pub async fn advance(&self, run: DagRunId) -> anyhow::Result<()> {
        let engine = self.clone();
        // A task of its own: a look that panics must not end the service that asked for it.
        let led = match tokio::spawn(async move { engine.try_advance(run).await }).await {
            Ok(looked) => looked,
            Err(panic) => Err(anyhow::anyhow!("the look panicked: {panic}")),
        };
        match led {
            Ok(led) => {
                self.follow(led).await;
                Ok(())
            }
            Err(error) => {
                self.note_failed_look(run, &error).await;
                Err(error)
            }
        }
    }

    /// Counts a failed look against its run, unless the database was at fault. `true`: the run is set aside.
    pub(crate) async fn note_failed_look(&self, run: DagRunId, error: &anyhow::Error) -> bool {
        if is_transient(error) {
            return false;
        }
        let noted = self
            .inner
            .store
            .look_failed(run, &format!("{error:#}"))
            .await;
        let is_set_aside = noted.unwrap_or(false);
        if is_set_aside {
            tracing::error!(run.id = %run, "Set run {run} aside, it could not be looked at: {error:#}");
        }
        is_set_aside
    }

    async fn try_advance(&self, run: DagRunId) -> anyhow::Result<Led> {
        let mut led = Led::default();
        let mut look = self.inner.store.look().await?;
        self.look_at(&mut look, run, BTreeMap::new(), None, &mut led)
            .await?;
        look.commit().await?;
        Ok(led)
    }

    /// One run's part of a look; `ended` are its attempts that the look has just given back.
    pub(crate) async fn look_at(
        &self,
        look: &mut Look,
        run: DagRunId,
        ended: BTreeMap<InstanceIndex, Ended>,
        worker: Option<WorkerId>,
        led: &mut Led,
    ) -> anyhow::Result<()> {
        let Some(mut locked) = look.run(run).await? else {
            return Ok(());
        };
        if locked.counts_over_runs {
            led.counting.insert(locked.dag_key);
        }
        if locked.state != RunState::Running {
            return Ok(());
        }
        let dag = self
            .inner
            .dags
            .get_within(look, locked.dag_version_id)
            .await?;
        if locked.look_failures > 0 {
            look.recovered(run).await?;
        }
        if locked.is_wanted {
            look.decided(run).await?;
        }
        for (instance, it) in &ended {
            let facts = locked
                .facts
                .instance_mut(*instance)
                .context("the run lacks a task that ended")?;
            facts.standing = Standing::Ended(it.outcome.clone());
            facts.attempt = it.row.key.attempt.get();
            facts.first_poke_at = facts.first_poke_at.or(it.row.claimed_at);
        }
        past::add_conditions(look, &dag, &mut locked).await?;
        let plan = decide(&dag, &locked.facts, &mut rand::random::<f64>);
        let is_news = locked.is_wanted || !plan.is_empty();
        if is_news && !dag.depend_on_past().is_empty() {
            look.note_for_later_runs(locked.dag_key).await?;
            led.later.insert(locked.dag_key);
        }
        let notices = self.notices(look, &dag, &locked, &plan, &ended).await?;
        let gathering = self.inner.config.gathering;
        look.add_notices(run, &notices, gathering).await?;
        let releases = plan.ends.is_some() && dag.tells_of_tasks();
        if releases {
            look.release_notices(run).await?;
        }
        let orders = Orders {
            moves: &plan.moves,
            ends: plan.ends,
            goes_again_after: plan.goes_again_after,
            ended: &ended,
            worker,
        };
        let Applied {
            queued,
            ended,
            timers,
        } = look.apply(&locked, &orders).await?;
        let written = written(&dag, &plan);
        if !written.is_empty() {
            led.assets |= look.record_asset_events(run, &written).await?;
        }
        led.queued |= queued > 0;
        led.notices |= releases || !notices.is_empty();
        led.timers |= timers;
        led.timers |= plan
            .moves
            .iter()
            .any(|it| matches!(it.action, Action::Retry { .. }));
        if ended {
            tracing::info!(run.id = %run, dag.id = %dag.spec.dag_id, "Run {run} of `{}` ended", dag.spec.dag_id);
            led.ended.push(locked.dag_key);
            if plan.ends == Some(RunState::Failed) {
                led.notices |= self.pause_if_failing(look, &dag, &locked).await?;
            }
        }
        led.limits |= plan.goes_again_after.is_some();
        Ok(())
    }

    async fn notices(
        &self,
        look: &mut Look,
        dag: &Dag,
        locked: &LockedRun,
        plan: &Plan,
        ended: &BTreeMap<InstanceIndex, Ended>,
    ) -> anyhow::Result<Vec<NewNotice>> {
        if plan.notices.is_empty() {
            return Ok(vec![]);
        }
        let earlier = look.failed_tasks(locked.dag_run_id).await?;
        let (run_id, commit) = look.run_name(locked.dag_run_id).await?.unwrap_or_default();
        let base_url = self.inner.config.base_url.as_deref();
        let (dag_key, run) = (locked.dag_key, locked.dag_run_id);
        let facts = RunFacts {
            dag,
            dag_run_id: locked.dag_run_id,
            run_id,
            epoch: locked.epoch,
            commit,
            base_url,
            plan,
            ended,
            tasks: &locked.facts.tasks,
            earlier: &earlier,
        };
        let mut told = None;
        let mut notices = vec![];
        for request in &plan.notices {
            let callback = &request.callback;
            let mut notice = notice_payload::new_notice(&facts, request);
            if request.event == NoticeEvent::Recovered {
                if told.is_none() {
                    told = Some(look.told_of_failure(dag_key, run).await?);
                }
                let of_failure = told
                    .iter()
                    .flatten()
                    .find(|(to, _)| *to == notice.destination);
                let Some((_, failure)) = of_failure else {
                    continue;
                };
                // Once for each failure that was told, whichever run is the first to succeed.
                notice.identity = format!("recovered/{failure}");
            } else if request.event == NoticeEvent::Failure && callback.after_failures > 1 {
                let task = request.task.and_then(|it| dag.task(it));
                let task_id = task.map(|it| it.task_id.as_str());
                let most = callback.after_failures - 1;
                let before = look.failures_before(dag_key, run, task_id, most).await?;
                if !callback.is_told(request.event, before.saturating_add(1)) {
                    continue;
                }
            }
            notices.push(notice);
        }
        Ok(notices)
    }

    /// Hints for whoever can go on after a commit.
    pub(crate) async fn follow(&self, led: Led) {
        if led.queued {
            self.hint_ready();
        }
        self.fill_dags(led.counting).await;
        self.start_queued_runs(led.ended).await;
        if led.timers {
            self.tell(Topic::Timer);
        }
        if led.limits {
            self.tell(Topic::Schedule);
        }
        if led.notices {
            self.tell(Topic::Notice);
        }
        if led.assets {
            self.tell(Topic::Schedule);
        }
        for dag in led.later {
            self.tell_later_runs_later(dag);
        }
    }

    /// Starts runs that waited for the end of another one, and lets the scheduler see that it ended.
    pub(crate) async fn start_queued_runs(&self, dags: impl IntoIterator<Item = DagKey>) {
        let mut ended = false;
        for dag in dags {
            ended = true;
            match self.inner.store.start_queued(dag).await {
                Ok(started) => self.follow_started(started).await,
                Err(error) => {
                    tracing::warn!("Queued runs wait for the scheduler's next pass: {error}")
                }
            }
        }
        if ended {
            self.tell(Topic::Schedule);
        }
    }

    /// What can be done once runs have started: workers come, and looks decide how those go on that had ended before.
    pub(crate) async fn follow_started(&self, started: StartedRuns) {
        let counting = self.hint_started(started);
        self.fill_dags(counting).await;
    }

    /// The same, beside whatever the caller does.
    pub(crate) fn follow_started_later(&self, started: StartedRuns) {
        let counting = self.hint_started(started);
        if !counting.is_empty() {
            let engine = self.clone();
            tokio::spawn(async move { engine.fill_dags(counting).await });
        }
    }

    /// Gives back the DAGs of which places are to be filled.
    fn hint_started(&self, started: StartedRuns) -> BTreeSet<DagKey> {
        if started.queued > 0 {
            self.hint_ready();
        }
        for run in started.to_look_at {
            self.advance_later(run);
        }
        started.counting
    }

    /// Queues tasks that are counted over all runs of their DAG, as far as there are places.
    pub(crate) async fn fill_dags(&self, dags: impl IntoIterator<Item = DagKey>) {
        for dag in dags {
            let store = self.inner.store.clone();
            match tokio::spawn(async move { store.fill_dag(dag).await }).await {
                Ok(Ok(0)) => (),
                Ok(Ok(_)) => self.hint_ready(),
                Ok(Err(error)) => {
                    tracing::warn!("Parked tasks wait for the reaper's next pass: {error}");
                }
                Err(panic) => {
                    tracing::warn!("Parked tasks wait for the reaper's next pass: {panic}");
                }
            }
        }
    }

    /// Looks at a run beside whatever the caller does.
    pub(crate) fn advance_later(&self, run: DagRunId) {
        let engine = self.clone();
        let look: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            if let Err(error) = engine.advance(run).await {
                tracing::warn!(run.id = %run, "Look at a run that goes on failed, the next one repeats it: {error:#}");
            }
        });
        tokio::spawn(look);
    }

    fn tell_later_runs_later(&self, dag: DagKey) {
        let engine = self.clone();
        let told: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            engine.tell_later_runs(dag).await;
        });
        tokio::spawn(told);
    }

    /// Tells workers, here and elsewhere, that there are queued tasks.
    pub(crate) fn hint_ready(&self) {
        self.tell(Topic::Ready);
    }
}

/// The tables that tasks wrote whose success a plan settles; of a mapped task, once all its instances have settled.
fn written<'a>(dag: &'a Dag, plan: &Plan) -> Vec<(TaskIndex, &'a Asset)> {
    let succeeded = plan.moves.iter().filter(|it| {
        let succeeded = matches!(
            it.action,
            Action::Settle {
                why: Why::Succeeded,
                ..
            }
        );
        succeeded && it.map_index == MapIndex::UNMAPPED
    });
    succeeded
        .flat_map(|it| {
            let writes = dag.task(it.task).map_or(&[][..], |task| &task.writes);
            writes.iter().map(|asset| (it.task, asset))
        })
        .collect()
}

/// Whether the database was at fault, rather than what it holds.
pub(crate) fn is_transient(error: &anyhow::Error) -> bool {
    error.chain().any(|it| {
        it.downcast_ref::<StoreError>()
            .is_some_and(StoreError::is_transient)
    })
}
