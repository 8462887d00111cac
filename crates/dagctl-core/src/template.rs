//! Users' templates: Jinja, sandboxed and strict, checked when a file loads and rendered when a task runs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::connection::Connection;

/// How a source is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text with `{{ }}` in it.
    Text,
    /// The inside of one `{{ }}`: `run_if`, `response_check`, `response_filter`, `next`.
    Expression,
}

/// What a template may name besides the names of every run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The DAG's parameters; `None` where they are not known.
    pub params: Option<Vec<String>>,
    /// The tasks whose outputs may be read: those upstream.
    pub tasks: Vec<String>,
    /// Whether `staging` is known (checks).
    pub staging: bool,
    /// Whether `response` is known (`http`).
    pub response: bool,
    /// Whether `error` is known (notifiers).
    pub error: bool,
}

/// One thing wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateProblem {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the source.
    pub range: Range<usize>,
    /// What to type instead.
    pub hint: Option<String>,
}

/// What a template reads from the outside of its run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Variables, from `var.value.X` and `var.json.X`.
    pub variables: BTreeSet<String>,
    /// Connections, from `conn.X`.
    pub connections: BTreeSet<String>,
}

/// Every problem that can be seen without rendering.
pub fn check(source: &str, form: Form, scope: &Scope) -> Vec<TemplateProblem> {
    let _ = (source, form, scope);
    Vec::new()
}

/// The variables and connections that a source names; empty where it cannot be read.
pub fn references(source: &str, form: Form) -> References {
    let _ = (source, form);
    References::default()
}

/// The `{{ }}` in an SQL text whose values would be spliced in unquoted and are not known to be harmless.
pub fn raw_sql_values(source: &str) -> Vec<Range<usize>> {
    let _ = source;
    Vec::new()
}

/// Everything a template may see of its run.
#[derive(Debug, Clone)]
pub struct ContextFacts {
    /// `dag.dag_id`.
    pub dag_id: String,
    /// `dag.owner`.
    pub dag_owner: String,
    /// `dag.tags`.
    pub tags: Vec<String>,
    /// `task.task_id`.
    pub task_id: String,
    /// `task.owner`.
    pub task_owner: String,
    /// `run_id`.
    pub run_id: String,
    /// `dag_run.run_type`.
    pub run_type: String,
    /// `dag_run.commit`; empty outside a Git work tree.
    pub commit: String,
    /// `logical_date`, `ds`, `ts`.
    pub logical_date: Timestamp,
    /// `data_interval_start`.
    pub data_interval_start: Timestamp,
    /// `data_interval_end`.
    pub data_interval_end: Timestamp,
    /// The zone that dates are shown in.
    pub timezone: TimeZone,
    /// `params`.
    pub params: Map<String, Value>,
    /// `outputs.<task>.<key>`.
    pub outputs: BTreeMap<String, Map<String, Value>>,
    /// `var.value.X`.
    pub variables: BTreeMap<String, String>,
    /// `conn.X`.
    pub connections: BTreeMap<String, Connection>,
    /// `run_dir`.
    pub run_dir: String,
    /// `ti.try_number`.
    pub try_number: i16,
}

/// What templates are rendered with; cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    facts: Arc<ContextFacts>,
}

impl Context {
    /// Takes the facts of a task's run.
    pub fn new(facts: ContextFacts) -> Self {
        Self {
            facts: Arc::new(facts),
        }
    }

    /// Adds `staging`, the quoted name of the table being built.
    #[must_use]
    pub fn with_staging(self, staging: &str) -> Self {
        let _ = staging;
        self
    }

    /// Adds `response`.
    #[must_use]
    pub fn with_response(self, response: Value) -> Self {
        let _ = response;
        self
    }

    /// Adds `error`.
    #[must_use]
    pub fn with_error(self, error: Value) -> Self {
        let _ = error;
        self
    }
}

/// How the value of a `{{ }}` is written into the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// As it is.
    Plain,
    /// As one word of a POSIX shell.
    Shell,
    /// With Slack's `&`, `<` and `>` escaped, so that data can neither mention nor link.
    Slack,
}

/// Why a template could not be rendered, for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// Renders a text. Values that hold template syntax stay text.
pub fn render(source: &str, context: &Context, quoting: Quoting) -> Result<String, TemplateError> {
    let _ = (source, &context.facts, quoting);
    unimplemented!()
}

/// Renders a text in which `write` says how each value of a `{{ }}` is put.
///
/// The runner needs it where quoting depends on the place of the value, as in a script.
pub fn render_with(
    source: &str,
    context: &Context,
    write: &(dyn Fn(&Value) -> String + Sync),
) -> Result<String, TemplateError> {
    let _ = (source, &context.facts, write(&Value::Null));
    unimplemented!()
}

/// Evaluates the inside of a `{{ }}` to JSON.
pub fn evaluate(expression: &str, context: &Context) -> Result<Value, TemplateError> {
    let _ = (expression, context);
    unimplemented!()
}

/// Jinja's idea of truth: not `false`, `null`, `0`, or empty.
pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(it) => *it,
        Value::Number(it) => it.as_f64() != Some(0.0),
        Value::String(it) => !it.is_empty(),
        Value::Array(it) => !it.is_empty(),
        Value::Object(it) => !it.is_empty(),
    }
}

/// Renders the texts inside a JSON value; a text that is exactly one `{{ }}` keeps its value's type.
pub fn render_value(value: &Value, context: &Context) -> Result<Value, TemplateError> {
    let _ = (value, context);
    unimplemented!()
}
