//! Runs that are asked for at about the same time are made together.
//!
//! Whatever is asked while one creation is under way waits for its end, and is then made in one transaction: a lone
//! request waits for nobody, a thousand at once share their commits, and no timer is involved.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dagctl_core::ids::{DagId, check_name};
use dagctl_core::nearest::nearest;
use dagctl_core::params;
use dagctl_core::state::RunState;
use dagctl_core::timetable::Timetable;
use dagctl_store::StoreError;
use dagctl_store::database::Topic;
use dagctl_store::runs::{Created, DagToRun, Idempotency, NewRun, RunType};
use dagctl_store::views::runs::{RunKind, RunRow};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{TriggerError, TriggerRequest, Triggered};
use crate::Engine;
use crate::grouped::Grouped;

/// Runs made in one transaction at most.
const MOST: usize = 500;
/// Names that are tried for a run that nobody gave one.
const MOST_NAMES: usize = 100;

/// Requests that wait for the creation under way, and their answers.
pub(crate) type Triggers = Grouped<TriggerRequest, Answer>;

/// What becomes of a request.
pub(crate) type Answer = Result<Triggered, TriggerError>;

/// No requests yet.
pub(crate) fn triggers() -> Triggers {
    Grouped::new(MOST)
}

/// A run to be made.
#[derive(Debug)]
struct Planned {
    /// Its place in the batch.
    at: usize,
    new: NewRun,
    /// Whether its name was asked for; another one is not tried then.
    is_named: bool,
    names_tried: usize,
    /// Whether the clock will call for something in it.
    is_timed: bool,
    timezone: String,
    git_commit: Option<String>,
}

impl Engine {
    /// Asks for a run; no answer where its maker broke off.
    pub(super) async fn ask_for_run(&self, request: TriggerRequest) -> Option<Answer> {
        let engine = self.clone();
        let answer = move |requests: Vec<TriggerRequest>| {
            let engine = engine.clone();
            async move { engine.make_runs(&requests).await }
        };
        self.inner.triggers.ask(request, answer).await
    }

    async fn make_runs(&self, requests: &[TriggerRequest]) -> Vec<Answer> {
        let names: HashSet<&str> = requests.iter().map(|it| it.dag_id.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let dags = match self.store().dags_to_run(&names).await {
            Ok(dags) => dags,
            Err(error) => {
                let error = Arc::new(error);
                return requests
                    .iter()
                    .map(|it| Err(stored(&it.dag_id, &error)))
                    .collect();
            }
        };
        let dags: HashMap<&str, &DagToRun> =
            dags.iter().map(|it| (it.dag_id.as_str(), it)).collect();
        let mut answers: Vec<Option<Answer>> = requests.iter().map(|_| None).collect();
        let mut left = vec![];
        for (at, answer) in answers.iter_mut().enumerate() {
            match self.plan(&dags, requests, at).await {
                Ok(planned) => left.push(planned),
                Err(error) => *answer = Some(Err(error)),
            }
        }
        let mut names = Names::default();
        while !left.is_empty() {
            for it in left.iter_mut().filter(|it| !it.is_named) {
                names.choose(&mut it.new);
                it.names_tried += 1;
            }
            let new: Vec<NewRun> = left.iter().map(|it| it.new.clone()).collect();
            let (created, started) = self.store().create_runs(&new).await;
            self.follow_started_later(started);
            if left.iter().any(|it| it.is_timed) {
                self.tell(Topic::Schedule);
            }
            let mut again = vec![];
            for (planned, created) in left.into_iter().zip(created) {
                match created {
                    Ok(Created::Exists { .. })
                        if !planned.is_named && planned.names_tried < MOST_NAMES =>
                    {
                        again.push(planned);
                    }
                    created => {
                        let at = planned.at;
                        let dag_id = &requests[at].dag_id;
                        answers[at] = Some(self.conclude(dag_id, planned, created).await);
                    }
                }
            }
            left = again;
        }
        answers
            .into_iter()
            .zip(requests)
            .map(|(answer, it)| answer.unwrap_or(Err(TriggerError::Defect(it.dag_id.clone()))))
            .collect()
    }

    async fn plan(
        &self,
        dags: &HashMap<&str, &DagToRun>,
        requests: &[TriggerRequest],
        at: usize,
    ) -> Result<Planned, TriggerError> {
        let request = &requests[at];
        let dag_id = &request.dag_id;
        let Some(found) = dags.get(dag_id.as_str()) else {
            return Err(self.unknown(dag_id).await);
        };
        let version = found
            .version
            .ok_or_else(|| TriggerError::NoVersion(dag_id.clone()))?;
        let dag = self
            .inner
            .dags
            .get(self.store(), version)
            .await
            .map_err(|it| TriggerError::Version {
                dag_id: dag_id.clone(),
                why: format!("{it:#}"),
            })?;
        let params =
            params::fill(&dag.spec.params, &request.params).map_err(TriggerError::BadParams)?;
        if let Some(run_id) = &request.run_id
            && check_name(&run_id.replace([':', '+', '~'], "_")).is_err()
        {
            return Err(TriggerError::BadRunId(run_id.clone()));
        }
        // Those who come together were here before now, a microsecond apart: so their names differ.
        let moment = || moments_ago(found.now, requests.len() - 1 - at);
        let logical_at = request.logical_date.unwrap_or_else(moment);
        let interval = Timetable::new(&dag.spec).manual_interval(logical_at);
        let new = NewRun {
            dag_key: found.dag_key,
            dag_version_id: version,
            run_id: request.run_id.clone().unwrap_or_default(),
            run_type: RunType::Manual,
            logical_at,
            interval_start: interval.start,
            interval_end: interval.end,
            params,
            note: request.note.clone(),
            triggered_by: Some(request.principal.clone()),
            deadline_at: self
                .deadline_of(&dag, found.dag_key, found.now, logical_at)
                .await
                .map_err(|it| stored(dag_id, &Arc::new(it)))?,
            backfill_id: None,
            idempotency: request.idempotency_key.as_ref().map(|key| Idempotency {
                principal: request.principal.clone(),
                key: key.clone(),
                body_hash: body(request).into_bytes(),
            }),
        };
        Ok(Planned {
            at,
            is_timed: new.deadline_at.is_some() || dag.spec.limits.dagrun_timeout.is_some(),
            new,
            is_named: request.run_id.is_some(),
            names_tried: 0,
            timezone: found.timezone.clone(),
            git_commit: found.git_commit.clone(),
        })
    }

    async fn unknown(&self, dag_id: &DagId) -> TriggerError {
        match self.store().dag_ids().await {
            Ok(names) => TriggerError::UnknownDag {
                dag_id: dag_id.clone(),
                near: nearest(dag_id.as_str(), names.iter().map(String::as_str)).map(str::to_owned),
            },
            Err(error) => stored(dag_id, &Arc::new(error)),
        }
    }

    async fn conclude(
        &self,
        dag_id: &DagId,
        planned: Planned,
        created: Result<Created, Arc<StoreError>>,
    ) -> Answer {
        match created.map_err(|error| stored(dag_id, &error))? {
            Created::New {
                dag_run_id,
                queued_at,
                started_at,
            } => {
                let new = planned.new;
                Ok(Triggered {
                    dag_run_id,
                    run_id: new.run_id.clone(),
                    created: true,
                    row: RunRow {
                        dag_run_id,
                        dag_id: dag_id.to_string(),
                        timezone: planned.timezone,
                        version: new.dag_version_id,
                        git_commit: planned.git_commit,
                        run_id: new.run_id,
                        run_type: RunKind::Manual,
                        state: match started_at {
                            Some(_) => RunState::Running,
                            None => RunState::Queued,
                        },
                        logical_at: new.logical_at,
                        interval_start: new.interval_start,
                        interval_end: new.interval_end,
                        params: new.params,
                        note: new.note,
                        triggered_by: new.triggered_by,
                        cancel_requested_at: None,
                        cancel_requested_by: None,
                        queued_at,
                        started_at,
                        finished_at: None,
                        look_error: None,
                    },
                })
            }
            Created::Same { dag_run_id, run_id } => {
                let row = self.store().run_row(dag_run_id).await;
                let row = row.map_err(|error| stored(dag_id, &Arc::new(error)))?;
                Ok(Triggered {
                    dag_run_id,
                    run_id,
                    created: false,
                    row: row.ok_or_else(|| TriggerError::Defect(dag_id.clone()))?,
                })
            }
            Created::KeyTaken => Err(TriggerError::KeyTaken),
            Created::Exists { run_id, .. } => Err(TriggerError::RunExists {
                dag_id: dag_id.clone(),
                run_id,
            }),
        }
    }
}

/// The names of a batch. Two people may well ask within a microsecond, or for the same logical date.
#[derive(Debug, Default)]
struct Names {
    given: HashMap<(i32, Timestamp), u32>,
}

impl Names {
    /// Names a run by its logical date, with a number from the second try on.
    fn choose(&mut self, new: &mut NewRun) {
        let number = self
            .given
            .entry((new.dag_key.get(), new.logical_at))
            .or_default();
        *number += 1;
        new.run_id = match *number {
            1 => format!("manual__{}", new.logical_at),
            number => format!("manual__{}_{number}", new.logical_at),
        };
    }
}

fn moments_ago(now: Timestamp, microseconds: usize) -> Timestamp {
    let ago = SignedDuration::from_micros(i64::try_from(microseconds).unwrap_or_default());
    now.checked_sub(ago).unwrap_or(now)
}

/// What makes two requests with the same idempotency key the same.
fn body(request: &TriggerRequest) -> String {
    json!([
        request.dag_id.as_str(),
        request.params,
        request.logical_date,
        request.run_id,
        request.note
    ])
    .to_string()
}

fn stored(dag_id: &DagId, error: &Arc<StoreError>) -> TriggerError {
    TriggerError::Store {
        dag_id: dag_id.clone(),
        source: error.clone(),
    }
}
