//! A valid DAG: what [`Dag::new`] accepts, and nothing else.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::asset::Asset;
use crate::callback::Callback;
use crate::graph::{self, Cycle};
use crate::ids::{DEFAULT_POOL, DEFAULT_QUEUE, DagId, PoolName, QueueName, TaskId, TaskIndex};
use crate::limits::RunLimits;
use crate::mapping::Expand;
use crate::operator::Operator;
use crate::params::Param;
use crate::retry::RetryPolicy;
use crate::schedule::Schedule;

mod conditions;
mod rule;
mod weight;
mod width;

use conditions::Conditions;
pub use conditions::Scope;
pub use rule::TriggerRule;
pub use weight::WeightRule;

/// A workflow: when it runs, and its tasks in an order in which upstream tasks come first.
#[derive(Debug, Clone, PartialEq)]
pub struct Dag {
    /// Everything that is not its tasks.
    pub spec: DagSpec,
    tasks: Vec<Task>,
    upstream: Vec<Vec<TaskIndex>>,
    downstream: Vec<Vec<TaskIndex>>,
    conditions: Conditions,
}

/// The DAG-level fields.
#[derive(Debug, Clone, PartialEq)]
pub struct DagSpec {
    /// Its name, unique in the repository.
    pub dag_id: DagId,
    /// The file that defines it, relative to the dags folder, with `/`.
    pub file: String,
    /// One line for lists.
    pub description: Option<String>,
    /// Longer text for its page.
    pub doc_md: Option<String>,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// When it runs.
    pub schedule: Schedule,
    /// The zone of `schedule`, `start_date`, `end_date` and the templates' local forms.
    pub timezone: TimeZone,
    /// The first moment an interval may begin, in `timezone`.
    pub start_date: Option<DateTime>,
    /// The last moment an interval may begin, in `timezone`.
    pub end_date: Option<DateTime>,
    /// What happens to intervals that nobody ran.
    pub catchup: Catchup,
    /// Runs under way at once.
    pub max_active_runs: u32,
    /// Tasks of one run queued or running at once.
    pub max_active_tasks: u32,
    /// What a run can be told when it is triggered.
    pub params: Vec<Param>,
    /// Told once per failed run.
    pub on_failure_callback: Vec<Callback>,
    /// Told once per successful run.
    pub on_success_callback: Vec<Callback>,
    /// Whether a DAG seen for the first time is paused.
    pub is_paused_upon_creation: bool,
    /// What limits its runs.
    pub limits: RunLimits,
}

/// What happens to intervals that ended before the DAG was first seen or while it was paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Catchup {
    /// None of them is run; after an outage of dagctl, the newest.
    #[default]
    No,
    /// All of them are run.
    Yes,
    /// The newest of them is run.
    Latest,
}

/// A task, before its upstream tasks are looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its name.
    pub task_id: TaskId,
    /// What it does.
    pub operator: Operator,
    /// Who must settle first.
    pub depends_on: Vec<TaskId>,
    /// What the upstream tasks' verdicts must be.
    pub trigger_rule: TriggerRule,
    /// Set on a task that cleans up after others. Its rule is [`TriggerRule::AllDoneSetupSuccess`].
    pub teardown: Option<Teardown>,
    /// Whether a failure here leaves the run's state alone.
    pub allow_failure: bool,
    /// Whether the task waits until it succeeded, or was skipped, in the run before.
    pub depends_on_past: bool,
    /// Whether it also waits for the tasks directly downstream of it in the run before.
    pub wait_for_downstream: bool,
    /// Lists that are known while the run is under way: an instance of the task for each item.
    pub expand: Option<Expand>,
    /// Slots of its pool that one instance takes.
    pub pool_slots: u32,
    /// What counts towards its urgency besides its own weight.
    pub weight_rule: WeightRule,
    /// Instances of the task queued or running at once in all runs of the DAG.
    pub max_active_tis_per_dag: Option<u32>,
    /// Instances of the task queued or running at once in one run.
    pub max_active_tis_per_dagrun: Option<u32>,
    /// An expression; the task is skipped where it is false.
    pub run_if: Option<String>,
    /// When a failed attempt is tried again.
    pub retry: RetryPolicy,
    /// How long an attempt may take.
    pub execution_timeout: Option<Duration>,
    /// The pool whose slots it uses.
    pub pool: PoolName,
    /// The queue: only workers that serve it take the task.
    pub queue: QueueName,
    /// The larger, the earlier it is claimed.
    pub priority_weight: i32,
    /// Told of its final failure.
    pub on_failure_callback: Vec<Callback>,
    /// Told of its success.
    pub on_success_callback: Vec<Callback>,
    /// Tables that it reads.
    pub reads: Vec<Asset>,
    /// Tables that there is news of when it succeeds: those named, or those that its operator is seen to write.
    pub writes: Vec<Asset>,
    /// Told of an attempt that failed and will be tried again.
    pub on_retry_callback: Vec<Callback>,
    /// Told of an attempt that asked to be skipped.
    pub on_skipped_callback: Vec<Callback>,
    /// Whose it is.
    pub owner: Option<String>,
    /// Text for its page.
    pub doc_md: Option<String>,
}

/// What a task cleans up: it runs whatever happened after one of its setups succeeded, and does not decide the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teardown {
    /// The tasks that it undoes; upstream of it, besides `depends_on`.
    pub setups: Vec<TaskId>,
}

/// Why tasks do not make a DAG.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DagError {
    /// No task at all.
    #[error("a DAG needs at least one task")]
    NoTasks,
    /// Two tasks of one name.
    #[error("two tasks are called `{0}`")]
    DuplicateTask(TaskId),
    /// An upstream task that does not exist.
    #[error("task `{task}` waits for `{missing}`, which this DAG does not define")]
    UnknownUpstream {
        /// The task that waits.
        task: TaskId,
        /// The name nobody has.
        missing: TaskId,
    },
    /// Tasks that wait for each other.
    #[error("tasks wait for each other: {}", .0.iter().map(TaskId::as_str).collect::<Vec<_>>().join(" → "))]
    Cycle(Vec<TaskId>),
}

impl Dag {
    /// Puts tasks in order; `tasks` is in the file's order, which is kept among tasks that do not depend on each other.
    pub fn new(spec: DagSpec, tasks: Vec<Task>) -> Result<Self, DagError> {
        if tasks.is_empty() {
            return Err(DagError::NoTasks);
        }
        let mut place = HashMap::new();
        for (at, task) in tasks.iter().enumerate() {
            if place.insert(task.task_id.clone(), at).is_some() {
                return Err(DagError::DuplicateTask(task.task_id.clone()));
            }
        }
        let mut upstream = vec![];
        for task in &tasks {
            let mut own = vec![];
            let setups = task.teardown.iter().flat_map(|it| &it.setups);
            for it in task.depends_on.iter().chain(setups) {
                let at = place.get(it).ok_or_else(|| DagError::UnknownUpstream {
                    task: task.task_id.clone(),
                    missing: it.clone(),
                })?;
                if !own.contains(at) {
                    own.push(*at);
                }
            }
            upstream.push(own);
        }
        let order = graph::topological(&upstream).map_err(|Cycle(at)| {
            DagError::Cycle(at.into_iter().map(|it| tasks[it].task_id.clone()).collect())
        })?;
        Ok(Self::in_order(spec, tasks, &upstream, &order))
    }

    fn in_order(spec: DagSpec, tasks: Vec<Task>, upstream: &[Vec<usize>], order: &[usize]) -> Self {
        let mut new_place = vec![TaskIndex(0); order.len()];
        for (new, old) in order.iter().enumerate() {
            new_place[*old] = index(new);
        }
        let upstream: Vec<Vec<TaskIndex>> = order
            .iter()
            .map(|old| upstream[*old].iter().map(|it| new_place[*it]).collect())
            .collect();
        let mut downstream = vec![vec![]; order.len()];
        for (child, parents) in upstream.iter().enumerate() {
            for parent in parents {
                downstream[place(*parent)].push(index(child));
            }
        }
        let mut slots: Vec<Option<Task>> = tasks.into_iter().map(Some).collect();
        let tasks = order.iter().filter_map(|old| slots[*old].take()).collect();
        let mut dag = Self {
            spec,
            tasks,
            upstream,
            downstream,
            conditions: Conditions::default(),
        };
        dag.conditions = Conditions::of(&dag);
        dag
    }

    /// The tasks, upstream first; a task's place is its [`TaskIndex`].
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// The tasks with their indexes.
    pub fn indexed(&self) -> impl Iterator<Item = (TaskIndex, &Task)> {
        self.tasks
            .iter()
            .enumerate()
            .map(|(at, task)| (index(at), task))
    }

    /// The task at `at`, if the DAG has that many.
    pub fn task(&self, at: TaskIndex) -> Option<&Task> {
        usize::try_from(at.get())
            .ok()
            .and_then(|it| self.tasks.get(it))
    }

    /// Where the task of that name is.
    pub fn index_of(&self, task_id: &str) -> Option<TaskIndex> {
        self.tasks
            .iter()
            .position(|it| it.task_id.as_str() == task_id)
            .map(index)
    }

    /// The tasks that `at` waits for.
    pub fn upstream(&self, at: TaskIndex) -> &[TaskIndex] {
        &self.upstream[place(at)]
    }

    /// The tasks that wait for `at`.
    pub fn downstream(&self, at: TaskIndex) -> &[TaskIndex] {
        &self.downstream[place(at)]
    }

    /// Notifiers of failures that are told of a recovery too, each once.
    pub fn recovery_callbacks(&self) -> Vec<&Callback> {
        let of_tasks = self.tasks.iter().flat_map(|it| &it.on_failure_callback);
        let all = self.spec.on_failure_callback.iter().chain(of_tasks);
        let mut found: Vec<&Callback> = vec![];
        for it in all.filter(|it| it.recovered) {
            let destination = it.notifier.destination();
            if !found
                .iter()
                .any(|it| it.notifier.destination() == destination)
            {
                found.push(it);
            }
        }
        found
    }

    /// Whether a run that succeeds may be news to somebody: then a look ends it.
    pub fn tells_success(&self) -> bool {
        !self.spec.on_success_callback.is_empty() || !self.recovery_callbacks().is_empty()
    }

    /// Whether anything about a single task is told.
    pub fn tells_of_tasks(&self) -> bool {
        self.tasks.iter().any(|it| {
            let lists = [
                &it.on_failure_callback,
                &it.on_success_callback,
                &it.on_retry_callback,
                &it.on_skipped_callback,
            ];
            lists.iter().any(|it| !it.is_empty())
        })
    }

    /// Whether any of its tasks has as many instances as a list has items.
    pub fn is_mapped(&self) -> bool {
        self.conditions.is_mapped
    }

    /// Whether more tasks of a run may want to be under way at once than `max_active_tasks` allows: then each step of it
    /// is taken below the run's lock, where its places are counted. So is each step of a run of which tasks went again.
    pub fn is_limited(&self) -> bool {
        self.conditions.is_wide || self.is_mapped() || self.limits_tasks()
    }

    /// Whether any of its tasks is counted over all runs.
    pub fn limits_tasks(&self) -> bool {
        self.conditions.limits_tasks
    }

    /// Every edge, parent first.
    pub fn edges(&self) -> impl Iterator<Item = (TaskIndex, TaskIndex)> + '_ {
        self.downstream
            .iter()
            .enumerate()
            .flat_map(|(parent, children)| {
                children.iter().map(move |child| (index(parent), *child))
            })
    }

    /// Everything upstream of `at`, however far, in the DAG's order.
    pub fn ancestors(&self, at: TaskIndex) -> Vec<TaskIndex> {
        reachable(&self.upstream, at)
    }

    /// Everything downstream of `at`, however far, in the DAG's order.
    pub fn descendants(&self, at: TaskIndex) -> Vec<TaskIndex> {
        reachable(&self.downstream, at)
    }
}

impl Task {
    /// A task with the defaults of the language.
    pub fn new(task_id: TaskId, operator: Operator) -> Self {
        Self {
            task_id,
            operator,
            depends_on: vec![],
            trigger_rule: TriggerRule::default(),
            teardown: None,
            allow_failure: false,
            depends_on_past: false,
            wait_for_downstream: false,
            expand: None,
            pool_slots: 1,
            weight_rule: WeightRule::default(),
            max_active_tis_per_dag: None,
            max_active_tis_per_dagrun: None,
            run_if: None,
            retry: RetryPolicy::default(),
            execution_timeout: None,
            pool: PoolName::new(DEFAULT_POOL).expect("the default pool has a name"),
            queue: QueueName::new(DEFAULT_QUEUE).expect("the default queue has a name"),
            priority_weight: 1,
            on_failure_callback: vec![],
            on_success_callback: vec![],
            reads: vec![],
            writes: vec![],
            on_retry_callback: vec![],
            on_skipped_callback: vec![],
            owner: None,
            doc_md: None,
        }
    }

    /// Whether a failure of the task fails its run.
    pub fn fails_run(&self) -> bool {
        !self.allow_failure && self.teardown.is_none()
    }
}

impl DagSpec {
    /// A DAG that runs when it is triggered, with the defaults of the language.
    pub fn new(dag_id: DagId, file: impl Into<String>) -> Self {
        Self {
            dag_id,
            file: file.into(),
            description: None,
            doc_md: None,
            tags: vec![],
            schedule: Schedule::Manual,
            timezone: TimeZone::UTC,
            start_date: None,
            end_date: None,
            catchup: Catchup::No,
            max_active_runs: 16,
            max_active_tasks: 16,
            params: vec![],
            on_failure_callback: vec![],
            on_success_callback: vec![],
            is_paused_upon_creation: false,
            limits: RunLimits::default(),
        }
    }

    /// The instant of a date written in the DAG's zone.
    pub fn instant(&self, date: DateTime) -> Option<Timestamp> {
        self.timezone.to_timestamp(date).ok()
    }
}

/// Where one gets from `start` along `edges`, in order; `start` itself only around a circle.
fn reachable(edges: &[Vec<TaskIndex>], start: TaskIndex) -> Vec<TaskIndex> {
    let mut seen = vec![false; edges.len()];
    let mut open = vec![start];
    while let Some(it) = open.pop() {
        for next in &edges[place(it)] {
            if !std::mem::replace(&mut seen[place(*next)], true) {
                open.push(*next);
            }
        }
    }
    seen.iter()
        .enumerate()
        .filter(|(_, seen)| **seen)
        .map(|(at, _)| index(at))
        .collect()
}

fn index(at: usize) -> TaskIndex {
    TaskIndex(i32::try_from(at).expect("a DAG has at most 20,000 tasks"))
}

fn place(at: TaskIndex) -> usize {
    usize::try_from(at.get()).expect("a task index comes from its DAG")
}

#[cfg(test)]
mod tests;
