//! Tasks: the fields of every operator, and expansions unfolded.

use std::borrow::Cow;
use std::collections::HashMap;

use dagctl_core::dag::{Task, TriggerRule, WeightRule};
use dagctl_core::ids::{DEFAULT_POOL, DEFAULT_QUEUE, NameError, PoolName, QueueName, TaskId};
use dagctl_core::operator::Operator;
use dagctl_core::retry::{RetryOn, RetryPolicy};

use super::defaults::Defaults;
use super::expansion::{self, Member, Replacements};
use super::graph::{Directory, Draft, Upstream};
use super::indentation::{self, Beside};
use super::{assets, branch, callback, expand, group, operator, teardown};
use crate::diagnostic::Code;
use crate::layers::Layers;
use crate::lint::Names;
use crate::reader::Choice;
use crate::sources::{FileId, Place, Session};
use crate::text::Text;
use crate::yaml::{Node, Yaml};

/// The most tasks of a DAG. The database counts the upstream tasks of each in 15 bits.
pub(super) const MAX_TASKS: usize = 20_000;

const TRIGGER_RULES: Choice<'_, TriggerRule> = Choice {
    works: &[
        ("all_success", TriggerRule::AllSuccess),
        ("all_failed", TriggerRule::AllFailed),
        ("all_done", TriggerRule::AllDone),
        (
            "all_done_min_one_success",
            TriggerRule::AllDoneMinOneSuccess,
        ),
        ("all_skipped", TriggerRule::AllSkipped),
        ("one_success", TriggerRule::OneSuccess),
        ("one_failed", TriggerRule::OneFailed),
        ("one_done", TriggerRule::OneDone),
        ("none_failed", TriggerRule::NoneFailed),
        (
            "none_failed_min_one_success",
            TriggerRule::NoneFailedMinOneSuccess,
        ),
        ("none_skipped", TriggerRule::NoneSkipped),
        ("always", TriggerRule::Always),
        ("all_done_setup_success", TriggerRule::AllDoneSetupSuccess),
    ],
    not_yet: &[],
};

const WEIGHT_RULES: Choice<'_, WeightRule> = Choice {
    works: &[
        ("downstream", WeightRule::Downstream),
        ("upstream", WeightRule::Upstream),
        ("absolute", WeightRule::Absolute),
    ],
    not_yet: &[],
};

/// A task of the file, or one member of its expansion.
pub(super) struct Site<'n> {
    pub(super) file: FileId,
    /// The key under `tasks`.
    pub(super) place: Place,
    pub(super) task_id: String,
    /// The task's own fields, references replaced.
    pub(super) node: &'n Node,
    pub(super) replacements: &'n Replacements,
    /// The DAG's `default_args`.
    pub(super) default_args: Option<&'n Node>,
    pub(super) folders: &'n [Defaults],
}

impl<'n> Site<'n> {
    /// The fields that apply to an operator, the task's own first.
    pub(super) fn layers(&self, operator: &str) -> Layers<'n> {
        let mut layers = Layers::default();
        layers.push(self.node);
        if let Some(it) = self.default_args {
            layers.push(it);
        }
        for folder in self.folders {
            let defaults = [folder.of_operator(operator), folder.of_tasks()];
            for it in defaults.into_iter().flatten() {
                layers.push(it);
            }
        }
        layers
    }

    /// For "… needs the field …".
    pub(super) fn what(&self) -> String {
        format!("task `{}`", self.task_id)
    }
}

/// A task of the file before it is read.
struct Planned<'n> {
    task_id: String,
    place: Place,
    node: Cow<'n, Node>,
    replacements: Replacements,
}

/// Reads every task; `depends_on` is looked up when all names are known.
pub(super) fn read_all(
    session: &mut Session<'_>,
    file: FileId,
    root: &Node,
    folders: &[Defaults],
) -> Vec<Draft> {
    let mut directory = Directory::default();
    let planned = plan(session, file, root, &mut directory);
    let default_args = root.get("default_args").map(|it| &it.value);
    let mut drafts = vec![];
    for (at, it) in planned.iter().enumerate() {
        session.task = Some(at);
        let site = Site {
            file,
            place: it.place,
            task_id: it.task_id.clone(),
            node: &it.node,
            replacements: &it.replacements,
            default_args,
            folders,
        };
        drafts.push(read(session, &site, &directory));
    }
    session.task = None;
    group::wait_for_leaves(session, &directory, &mut drafts);
    branch::resolve(session, &directory, &mut drafts);
    let names: Vec<_> = planned.into_iter().map(|it| it.task_id).collect();
    for draft in &mut drafts {
        if let Some(task) = &mut draft.task {
            let ids = |all: &[(usize, Place)]| {
                let ids = all.iter().map(|(at, _)| TaskId::new(names[*at].clone()));
                // A name that is none has been reported, and leaves no DAG.
                ids.filter_map(Result::ok).collect()
            };
            task.depends_on = ids(&draft.upstream);
            if let Some(it) = &mut task.teardown {
                it.setups = ids(&draft.setups);
            }
        }
    }
    drafts
}

fn plan<'n>(
    session: &mut Session<'_>,
    file: FileId,
    root: &'n Node,
    directory: &mut Directory,
) -> Vec<Planned<'n>> {
    let Some(tasks) = root.get("tasks") else {
        return vec![];
    };
    if matches!(tasks.value.value, Yaml::List(_)) {
        session
            .report(
                Code::WrongType,
                tasks.key_place,
                "`tasks` must be a map of names to tasks, not a list",
            )
            .hint("write each task as `name:` with its fields below, without `-`");
        return vec![];
    }
    let none = tasks.value.entries().is_empty() && !matches!(tasks.value.value, Yaml::Broken);
    if none && (matches!(tasks.value.value, Yaml::Null) || session.is_map(&tasks.value, "tasks")) {
        indentation::report_no_tasks(session, root, tasks);
    }
    let beside = indentation::fields_beside_tasks(session, tasks.value.entries());
    let mut planned: Vec<Planned<'_>> = vec![];
    let mut seen: HashMap<String, Place> = HashMap::new();
    for entry in tasks.value.entries() {
        match beside.get(entry.key.as_str()) {
            Some(Beside::Field) => continue,
            Some(Beside::Task) => {
                directory.add_broken(&entry.key);
                continue;
            }
            None => (),
        }
        let members = match entry.value.get("for_each") {
            Some(it) if !matches!(it.value.value, Yaml::Null) => {
                expansion::read(session, file, &it.value)
            }
            Some(_) | None => Some(vec![Member::default()]),
        };
        let Some(members) = members else {
            directory.add_broken(&entry.key);
            continue;
        };
        let body = without_for_each(&entry.value);
        let group = group::of(session, &entry.value);
        let base = match &group {
            Some(it) => format!("{it}.{}", entry.key),
            None => entry.key.clone(),
        };
        for member in members {
            let task_id = match member.name.as_str() {
                "" => base.clone(),
                name => format!("{base}.{name}"),
            };
            if let Err(error) = TaskId::new(task_id.clone()) {
                session.report(Code::BadName, entry.key_place, error.to_string());
            }
            if let Some(first) = seen.insert(task_id.clone(), entry.key_place) {
                let note = format!("the first stands at {}", session.position(first));
                session
                    .report(
                        Code::DuplicateTask,
                        entry.key_place,
                        format!("two tasks are called `{task_id}`"),
                    )
                    .note(note);
                continue;
            }
            if planned.len() == MAX_TASKS {
                let message = format!("more than {MAX_TASKS} tasks");
                session.report(Code::TooMany, entry.key_place, message);
                return planned;
            }
            directory.add(&task_id, planned.len());
            if !member.name.is_empty() {
                directory.add(&base, planned.len());
            }
            if let Some(it) = &group {
                directory.add_to_group(it, &entry.key, planned.len());
            }
            planned.push(Planned {
                task_id,
                place: entry.key_place,
                node: if member.replacements.is_empty() {
                    body.clone()
                } else {
                    Cow::Owned(member.replacements.node(&body))
                },
                replacements: member.replacements,
            });
        }
    }
    planned
}

/// A task's fields for its members, which need not carry a list of each other.
fn without_for_each(task: &Node) -> Cow<'_, Node> {
    if task.get("for_each").is_none() {
        return Cow::Borrowed(task);
    }
    let own = task.entries().iter().filter(|it| it.key != "for_each");
    Cow::Owned(Node {
        value: Yaml::Map(own.cloned().collect()),
        ..*task
    })
}

fn read(session: &mut Session<'_>, site: &Site<'_>, directory: &Directory) -> Draft {
    let operator = operator::read(session, site);
    let layers = site.layers(operator::name(site.node).unwrap_or_default());
    let Upstream {
        tasks: mut upstream,
        groups,
    } = directory.upstream(session, site);
    let (teardown, setups) = teardown::read(session, site, directory);
    for it in &setups {
        if !upstream.iter().any(|(at, _)| *at == it.0) {
            upstream.push(*it);
        }
    }
    let task = common(session, site, &layers, operator);
    Draft {
        task_id: site.task_id.clone(),
        place: site.place,
        upstream,
        groups,
        setups,
        task: task.map(|it| teardown::applied(it, teardown)),
    }
}

fn name<T>(
    session: &mut Session<'_>,
    node: &Node,
    field: &str,
    make: impl Fn(String) -> Result<T, NameError>,
) -> Option<T> {
    let text = session.filled(node, field)?;
    match make(text.value) {
        Ok(it) => Some(it),
        Err(error) => {
            let message = format!("`{field}`: {error}");
            session.report(Code::BadName, text.place, message);
            None
        }
    }
}

fn common(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
    operator: Option<Operator>,
) -> Option<Task> {
    let retry = retry(session, layers, operator.as_ref());
    let trigger_rule = layers.read(session, "trigger_rule", |session, node, field| {
        session.choice(node, field, &TRIGGER_RULES)
    });
    let pool_slots = layers.read(session, "pool_slots", |session, node, field| {
        session.whole(node, field, 1)
    });
    let weight_rule = layers.read(session, "weight_rule", |session, node, field| {
        session.choice(node, field, &WEIGHT_RULES)
    });
    let max_active_tis_per_dag =
        layers.read(session, "max_active_tis_per_dag", |session, node, field| {
            session.whole(node, field, 1)
        });
    let expand = layers.read(session, "expand", expand::read);
    if expand.is_some() && operator.as_ref().is_some_and(Operator::is_branch) {
        expand::refuse_for_a_branch(session, site.node);
    }
    let max_active_tis_per_dagrun = layers.read(
        session,
        "max_active_tis_per_dagrun",
        |session, node, field| session.whole(node, field, 1),
    );
    let run_if = layers.read(session, "run_if", |session, node, field| {
        expression(session, node, field, Names::None)
    });
    let allow_failure = layers.read(session, "allow_failure", Session::boolean);
    let depends_on_past = layers.read(session, "depends_on_past", Session::boolean);
    let wait_for_downstream = layers.read(session, "wait_for_downstream", Session::boolean);
    let execution_timeout = layers.read(session, "execution_timeout", Session::duration);
    let pool = layers
        .read(session, "pool", |session, node, field| {
            name(session, node, field, PoolName::new)
        })
        .or_else(|| PoolName::new(DEFAULT_POOL).ok());
    let queue = layers
        .read(session, "queue", |session, node, field| {
            name(session, node, field, QueueName::new)
        })
        .or_else(|| QueueName::new(DEFAULT_QUEUE).ok());
    let priority_weight = layers.read(session, "priority_weight", |session, node, field| {
        session.whole(node, field, i64::from(i32::MIN))
    });
    let on_failure = layers.read(session, "on_failure_callback", callback::read);
    let on_success = layers.read(session, "on_success_callback", callback::read);
    let reads = assets::named(session, site.node, "reads", operator.as_ref());
    let writes = assets::written(session, site.node, operator.as_ref());
    let on_retry = layers.read(session, "on_retry_callback", callback::read);
    let on_skipped = layers.read(session, "on_skipped_callback", callback::read);
    let owner = layers.read(session, "owner", Session::string);
    let doc_md = layers.read(session, "doc_md", Session::string);
    Some(Task {
        task_id: TaskId::new(site.task_id.clone()).ok()?,
        operator: operator?,
        depends_on: vec![],
        trigger_rule: trigger_rule.unwrap_or_default(),
        teardown: None,
        allow_failure: allow_failure.unwrap_or_default(),
        // Who waits for the tasks after its last run waits for that run as well, as in Airflow.
        depends_on_past: depends_on_past.unwrap_or_default()
            || wait_for_downstream.unwrap_or_default(),
        wait_for_downstream: wait_for_downstream.unwrap_or_default(),
        pool_slots: pool_slots.unwrap_or(1),
        weight_rule: weight_rule.unwrap_or_default(),
        max_active_tis_per_dag,
        expand,
        max_active_tis_per_dagrun,
        run_if,
        retry,
        execution_timeout,
        pool: pool?,
        queue: queue?,
        priority_weight: priority_weight.unwrap_or(1),
        on_failure_callback: on_failure.unwrap_or_default(),
        on_success_callback: on_success.unwrap_or_default(),
        reads,
        writes,
        on_retry_callback: on_retry.unwrap_or_default(),
        on_skipped_callback: on_skipped.unwrap_or_default(),
        owner,
        doc_md,
    })
}

fn retry(
    session: &mut Session<'_>,
    layers: &Layers<'_>,
    operator: Option<&Operator>,
) -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    if let Some(Operator::Shell(_)) = operator {
        policy.retry_on = vec![RetryOn::Any];
    }
    if let Some(it) = layers.read(session, "retries", |session, node, field| {
        session.whole(node, field, 0)
    }) {
        policy.retries = it;
    }
    if let Some(it) = layers.read(session, "retry_delay", Session::duration) {
        policy.retry_delay = it;
    }
    if let Some(it) = layers.read(session, "retry_exponential_backoff", Session::boolean) {
        policy.exponential_backoff = it;
    }
    policy.max_retry_delay = layers.read(session, "max_retry_delay", Session::duration);
    if let Some(entry) = layers.get("retry_on") {
        let words = session.texts(&entry.value, "retry_on");
        policy.retry_on = words
            .iter()
            .filter_map(|it| retry_on(session, it))
            .collect();
    }
    policy
}

fn retry_on(session: &mut Session<'_>, word: &Text) -> Option<RetryOn> {
    let parsed = RetryOn::parse(&word.value);
    if parsed.is_none() {
        let words = ["transient", "any", "timeout", "connect", "check"];
        let hint = match dagctl_core::nearest::nearest(&word.value, words) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "it may be {}, or such as `http_429`, `http_5xx`, `sqlstate_40`, `exit_75`",
                crate::vocabulary::list(&words)
            ),
        };
        session
            .report(
                Code::BadValue,
                word.place,
                format!("`{}` is no kind of failure", word.value),
            )
            .hint(hint);
    }
    parsed
}

/// An expression, which is the inside of a `{{ }}`.
pub(super) fn expression(
    session: &mut Session<'_>,
    node: &Node,
    field: &str,
    names: Names,
) -> Option<String> {
    let text = match &node.value {
        // `run_if: false` is an expression as well.
        Yaml::Scalar(it) => Text::of_scalar(it, node.place),
        Yaml::Broken | Yaml::Null | Yaml::List(_) | Yaml::Map(_) => {
            session.wrong_type(node, field, "an expression");
            return None;
        }
    };
    let trimmed = text.value.trim();
    if let Some(inner) = trimmed
        .strip_prefix("{{")
        .and_then(|it| it.strip_suffix("}}"))
    {
        session
            .report(
                Code::BadTemplate,
                text.place,
                format!("`{field}` is an expression, not a template"),
            )
            .hint(format!("leave out the braces: `{field}: {}`", inner.trim()));
        return None;
    }
    session.lint_expression(&text, names);
    Some(text.value)
}
