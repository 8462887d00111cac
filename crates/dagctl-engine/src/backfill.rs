//! Backfills: shown first, made exactly as shown, filled bit by bit.

use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use dagctl_core::again::{Wish, changes};
use dagctl_core::backfill::{Action, BackfillError, Range, Reprocess, Step, plan};
use dagctl_core::dag::Dag;
use dagctl_core::ids::{DagId, DagKey, DagRunId, DagVersionId};
use dagctl_core::params;
use dagctl_core::timetable::{Interval, Timetable};
use dagctl_store::StoreError;
use dagctl_store::again::AgainAudit;
use dagctl_store::backfills::{BackfillState, NewBackfill, NextDates};
use dagctl_store::database::Topic;
use dagctl_store::runs::{NewRun, RunType, StartedRuns};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use sha2::{Digest, Sha256};

use crate::Engine;

/// What somebody wants to have filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillRequest {
    /// The DAG.
    pub dag_id: DagId,
    /// The first moment a logical date may be at.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
    /// What happens to dates that have a run: `none`, `failed` or `all`.
    pub reprocess: String,
    /// Runs of it under way at once, from 1.
    pub max_active_runs: i32,
    /// The newest first.
    pub is_reversed: bool,
}

/// What a backfill would do.
#[derive(Debug, Clone, PartialEq)]
pub struct BackfillPlan {
    /// What was asked for.
    pub request: BackfillRequest,
    /// Every date, in the order in which they are filled.
    pub steps: Vec<Step>,
    /// Stands for exactly this; it is refused once anything of it has changed.
    pub token: String,
    dag_key: DagKey,
    version: DagVersionId,
    range: Range,
}

/// Why there is no backfill.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// No such DAG.
    #[error("no DAG is called `{0}`")]
    UnknownDag(DagId),
    /// The DAG's file never had a good version.
    #[error("DAG `{0}` has no version that can run; see its problems")]
    NoVersion(DagId),
    /// The range has nothing to fill.
    #[error(transparent)]
    Range(#[from] BackfillError),
    /// Something in the request cannot be.
    #[error("{0}")]
    Bad(String),
    /// The token is none of ours.
    #[error("this is not the token of a dry run")]
    BadToken,
    /// The dry run showed something else than what would happen now.
    #[error(
        "something has changed since the dry run: the DAG, or the runs of these dates; look at a new dry run"
    )]
    Changed,
    /// Every date has its run.
    #[error(
        "nothing to do: every date in the range has a run that stays; `--reprocess` runs them again"
    )]
    NothingToDo,
    /// Another one is not finished.
    #[error(
        "DAG `{0}` has a backfill that has not ended; wait for it, or cancel it: dagctl backfill list {0}"
    )]
    UnderWay(DagId),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored version cannot be read.
    #[error("could not read the stored version: {0}")]
    Version(String),
}

impl Engine {
    /// Says what a backfill would do, and gives the token that stands for it.
    pub async fn plan_backfill(&self, request: BackfillRequest) -> Result<BackfillPlan, FillError> {
        let Some(reprocess) = Reprocess::from_name(&request.reprocess) else {
            return Err(FillError::Bad(format!(
                "`{}` is no value of `reprocess`: it may be `none`, `failed` or `all`",
                request.reprocess
            )));
        };
        if request.max_active_runs < 1 {
            return Err(FillError::Bad(
                "`max_active_runs` must be at least 1".into(),
            ));
        }
        let found = self.store().find_dag(request.dag_id.as_str()).await?;
        let (dag_key, version) =
            found.ok_or_else(|| FillError::UnknownDag(request.dag_id.clone()))?;
        let version = version.ok_or_else(|| FillError::NoVersion(request.dag_id.clone()))?;
        let dag = self.stored(version).await?;
        let range = Range {
            from: request.from,
            to: request.to,
            reprocess,
            is_reversed: request.is_reversed,
        };
        let existing = self.store().existing_runs(dag_key, &range).await?;
        let now = self.store().now().await?;
        let timetable = Timetable::new(&dag.spec);
        let steps = plan(&timetable, request.dag_id.as_str(), &range, &existing, now)?;
        let token = token(&request, version, &steps);
        Ok(BackfillPlan {
            request,
            steps,
            token,
            dag_key,
            version,
            range,
        })
    }

    /// The plan that a token stands for, if it would come out the same today.
    pub async fn planned_backfill(&self, token: &str) -> Result<BackfillPlan, FillError> {
        let request = read_token(token).ok_or(FillError::BadToken)?;
        let plan = self.plan_backfill(request).await?;
        if plan.token != token {
            return Err(FillError::Changed);
        }
        Ok(plan)
    }

    /// Makes a backfill as planned, and gives back its number; its runs come bit by bit.
    pub async fn create_backfill(&self, plan: BackfillPlan, by: &str) -> Result<i32, FillError> {
        let is_left = |it: &Step| !matches!(it.action, Action::Skip(_));
        if !plan.steps.iter().any(is_left) {
            return Err(FillError::NothingToDo);
        }
        let dag_id = plan.request.dag_id;
        let new = NewBackfill {
            dag_key: plan.dag_key,
            version: plan.version,
            range: plan.range,
            max_active_runs: plan.request.max_active_runs,
            steps: plan.steps,
            by: by.to_owned(),
        };
        let store = self.store().clone();
        // In a task that nobody cancels: a transaction is never dropped half-way.
        let made = tokio::spawn(async move { store.create_backfill(&new).await })
            .await
            .map_err(|it| FillError::Version(it.to_string()))??;
        let made = made.ok_or(FillError::UnderWay(dag_id))?;
        self.tell(Topic::Schedule);
        Ok(made)
    }

    /// Pauses, resumes or cancels a backfill; `false`: it has ended, or it stood so already.
    pub async fn set_backfill(
        &self,
        backfill_id: i32,
        state: BackfillState,
        by: &str,
    ) -> Result<bool, StoreError> {
        let changed = self.store().set_backfill(backfill_id, state, by).await?;
        if changed {
            self.tell(Topic::Schedule);
        }
        Ok(changed)
    }

    /// Takes up dates of a backfill as long as it has places.
    pub(crate) async fn fill(&self, backfill_id: i32) -> anyhow::Result<()> {
        loop {
            let engine = self.clone();
            // In a task that nobody cancels: a transaction is never dropped half-way.
            let filled = tokio::spawn(async move { engine.fill_once(backfill_id).await }).await??;
            match filled {
                Some(started) => self.follow_started(started).await,
                None => return Ok(()),
            }
        }
    }

    /// Takes up the next dates of a backfill; `None`: it has no place, or no date.
    async fn fill_once(&self, backfill_id: i32) -> anyhow::Result<Option<StartedRuns>> {
        let mut look = self.store().look().await?;
        let Some(next) = look.next_dates(backfill_id).await? else {
            look.commit().await?;
            return Ok(None);
        };
        let started = match next.again {
            Some((place, run)) => {
                let mut started = StartedRuns::default();
                let past = look.past(run).await?.filter(|it| it.state.is_final());
                if let Some(past) = &past {
                    let dag = self.inner.dags.get_within(&mut look, next.version).await?;
                    let mut past = past.clone();
                    if past.dag_version_id != next.version {
                        // As with the runs that are made: all of a backfill are of the version that was shown.
                        let old = (self.inner.dags)
                            .get_within(&mut look, past.dag_version_id)
                            .await?;
                        self.move_run(&mut look, &past, (&old, &dag), next.version)
                            .await?;
                        past = look.past(run).await?.context("the run is locked")?;
                        self.inner.facts.forget(run);
                    }
                    let changes = changes(&dag, &past.tasks, &Wish::Everything).ok();
                    let audit = AgainAudit {
                        who: &next.by,
                        action: "run.backfill",
                        dag_id: dag.spec.dag_id.as_str(),
                        detail: json!({"backfill": backfill_id, "run": run.to_string()}),
                    };
                    if let Some(changes) = changes {
                        started = look
                            .go_again(&past, &changes, &audit, Some(backfill_id))
                            .await?;
                    }
                }
                look.date_taken(backfill_id, place, past.is_some()).await?;
                started
            }
            None => {
                let dag = self.inner.dags.get_within(&mut look, next.version).await?;
                let runs: Vec<(i32, NewRun)> = next
                    .create
                    .iter()
                    .map(|(place, interval)| {
                        Ok((*place, run(&dag, &next, backfill_id, *interval)?))
                    })
                    .collect::<anyhow::Result<_>>()?;
                look.create_backfilled(backfill_id, &runs).await?
            }
        };
        look.commit().await?;
        Ok(Some(started))
    }

    /// Ends the runs of a cancelled backfill that have not started; those under way go on.
    pub(crate) async fn end_cancelled_backfill(&self, backfill_id: i32) -> anyhow::Result<()> {
        let runs: Vec<DagRunId> = self.store().cancelled_backfill_runs(backfill_id).await?;
        for run in runs {
            self.store()
                .request_cancel(run, &format!("the end of backfill {backfill_id}"))
                .await?;
        }
        Ok(())
    }

    async fn stored(&self, version: DagVersionId) -> Result<Arc<Dag>, FillError> {
        self.dag(version)
            .await
            .map_err(|it| FillError::Version(format!("{it:#}")))
    }
}

fn run(
    dag: &Dag,
    next: &NextDates,
    backfill_id: i32,
    interval: Interval,
) -> anyhow::Result<NewRun> {
    let params = params::fill(&dag.spec.params, &Map::new()).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("its parameters lack defaults: {}", problems.join("; "))
    })?;
    Ok(NewRun {
        dag_key: next.dag_key,
        dag_version_id: next.version,
        run_id: format!("backfill__{}", interval.start),
        run_type: RunType::Backfill,
        logical_at: interval.start,
        interval_start: interval.start,
        interval_end: interval.end,
        params,
        note: None,
        triggered_by: Some(next.by.clone()),
        deadline_at: None,
        backfill_id: Some(backfill_id),
        idempotency: None,
    })
}

/// What the first characters of a token say: how to read the rest.
const TOKEN: &str = "bf1.";

/// The request, which anybody may read, and a hash of what it comes to.
fn token(request: &BackfillRequest, version: DagVersionId, steps: &[Step]) -> String {
    let request = serde_json::to_vec(request).unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(&request);
    hash.update(version.get().to_be_bytes());
    for it in steps {
        let action = match &it.action {
            Action::Create => "create".to_owned(),
            Action::Again(it) => format!("again {} {}", it.run_id, it.state),
            Action::Skip(it) => format!("skip {} {}", it.run_id, it.state),
        };
        hash.update(format!(
            "\n{} {} {action}",
            it.interval.start, it.interval.end
        ));
    }
    let hash = hash.finalize();
    format!(
        "{TOKEN}{}.{}",
        BASE64_URL_SAFE_NO_PAD.encode(&request),
        BASE64_URL_SAFE_NO_PAD.encode(&hash[..12])
    )
}

fn read_token(token: &str) -> Option<BackfillRequest> {
    let (request, _) = token.strip_prefix(TOKEN)?.split_once('.')?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(request).ok()?).ok()
}
