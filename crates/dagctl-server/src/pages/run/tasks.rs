//! The tasks of a run: all of them where they fit on one page, else by state and page by page. A mapped task is one line
//! with its instances counted; by state they have lines of their own.

use std::collections::BTreeMap;

use dagctl_core::ids::DagRunId;
use dagctl_core::state::TaskState;
use dagctl_store::views::tasks::{TaskCounts, TaskFilter, TaskRow};
use serde::Deserialize;

use crate::App;
use crate::error::Answer;
use crate::pages::badge::Badge;

/// Tasks on one page. More are shown page by page, by state: a browser takes seconds for ten thousand rows.
const MOST_TASKS: usize = 500;

/// Which tasks of a large run are shown.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct TasksQuery {
    /// Those in this state.
    #[serde(default)]
    pub(super) state: String,
    /// Those after this place, `task_index.map_index`.
    #[serde(default)]
    pub(super) after: String,
}

impl TasksQuery {
    fn filter(&self) -> TaskFilter {
        TaskFilter {
            states: TaskState::from_name(&self.state).into_iter().collect(),
            after: self
                .after
                .split_once('.')
                .and_then(|(task, mapped)| Some((task.parse().ok()?, mapped.parse().ok()?))),
            limit: i64::try_from(MOST_TASKS + 1).ok(),
            // Of a state instances are listed one by one.
            whole_only: self.state.is_empty(),
            ..TaskFilter::default()
        }
    }
}

/// What has failed, for good or until its next attempt.
const FAILED: [TaskState; 2] = [TaskState::Failed, TaskState::UpForRetry];
/// Errors that are shown open at the top.
const OPEN_ERRORS: usize = 3;

/// The tasks of one state.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) count: i64,
    pub(super) is_shown: bool,
}

/// The tasks of a run as one page shows them, and what it says of all of them.
pub(super) struct Tasks {
    pub(super) shown: Vec<TaskRow>,
    pub(super) failed: Vec<TaskRow>,
    /// How many instances of each mapped task stand where, by the task's place.
    pub(super) instances: BTreeMap<i32, Vec<(TaskState, i64)>>,
    counts: Vec<(TaskState, i64)>,
    is_whole: bool,
    pub(super) next: Option<String>,
}

impl Tasks {
    pub(super) async fn read(app: &App, run: DagRunId, query: &TasksQuery) -> Answer<Self> {
        let filter = query.filter();
        let (mut shown, TaskCounts { all, instances }) = tokio::try_join!(
            app.store().task_rows(run, &filter),
            app.store().task_counts(run)
        )?;
        let has_more = shown.len() > MOST_TASKS;
        shown.truncate(MOST_TASKS);
        let next = shown
            .last()
            .filter(|_| has_more)
            .map(|it| format!("{}.{}", it.task_index, it.map_index));
        let is_whole =
            !has_more && instances.is_empty() && filter.states.is_empty() && filter.after.is_none();
        let has_failed = all.iter().any(|(it, _)| FAILED.contains(it));
        let failed = if is_whole {
            let failed = shown.iter().filter(|it| FAILED.contains(&it.state));
            failed.take(OPEN_ERRORS).cloned().collect()
        } else if has_failed {
            let filter = TaskFilter {
                states: FAILED.to_vec(),
                limit: i64::try_from(OPEN_ERRORS).ok(),
                ..TaskFilter::default()
            };
            app.store().task_rows(run, &filter).await?
        } else {
            vec![]
        };
        Ok(Self {
            shown,
            failed,
            instances,
            counts: all,
            is_whole,
            next,
        })
    }

    pub(super) fn count(&self, is_counted: impl Fn(TaskState) -> bool) -> i64 {
        let counted = self.counts.iter().filter(|(state, _)| is_counted(*state));
        counted.map(|(_, count)| count).sum()
    }

    /// How many failed tasks are not among those shown open.
    pub(super) fn more_failed(&self) -> usize {
        let failed = self.count(|it| FAILED.contains(&it));
        usize::try_from(failed)
            .unwrap_or(0)
            .saturating_sub(self.failed.len())
    }

    pub(super) fn parts(&self, query: &TasksQuery) -> Vec<Part> {
        if self.is_whole {
            return vec![];
        }
        TaskState::ALL
            .into_iter()
            .map(|state| Part {
                name: state.name(),
                label: Badge::from(state).label,
                count: self.count(|it| it == state),
                is_shown: state.name() == query.state,
            })
            .filter(|it| it.count > 0 || it.is_shown)
            .collect()
    }
}
