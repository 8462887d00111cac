//! Users' templates: Jinja, sandboxed and strict, checked when a file loads and rendered when a task runs.

mod check;
mod context;
mod engine;
mod explain;
mod lint;
mod moment;
mod names;
mod python;
mod shell;
mod syntax;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::OutputSpanKind;
use minijinja::machinery::ast::Stmt;
use minijinja::value::Serde;
use serde_json::{Map, Value};

use self::syntax::Seen;
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
    /// The names of the task's `expand`.
    pub items: Vec<String>,
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

/// Whether a name means something to every template already, so that `expand` cannot use it.
pub fn is_taken(name: &str) -> bool {
    names::is_taken(name)
}

/// Every problem that can be seen without rendering.
pub fn check(source: &str, form: Form, scope: &Scope) -> Vec<TemplateProblem> {
    check::check(source, form, scope)
}

/// The variables and connections that a source names; empty where it cannot be read.
pub fn references(source: &str, form: Form) -> References {
    lint::references(source, form)
}

/// The `{{ }}` in an SQL text whose values would be spliced in unquoted and are not known to be harmless.
pub fn raw_sql_values(source: &str) -> Vec<Range<usize>> {
    lint::raw_sql_values(source)
}

/// Everything a template may see of its run.
#[derive(Clone)]
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
    /// `triggering_asset_events`: what the run was made for, by table, oldest first.
    pub asset_events: BTreeMap<String, Vec<Value>>,
    /// `outputs.<task>.<key>`.
    pub outputs: BTreeMap<String, Map<String, Value>>,
    /// `var.value.X`.
    pub variables: Arc<BTreeMap<String, String>>,
    /// `conn.X`.
    pub connections: Arc<BTreeMap<String, Connection>>,
    /// `run_dir`.
    pub run_dir: String,
    /// `ti.try_number`.
    pub try_number: i16,
    /// `ti.map_index`; -1 where the task is not mapped.
    pub map_index: i32,
    /// What `expand` names, in an instance of a mapped task.
    pub items: Map<String, Value>,
}

/// Leaves out everything that may be secret.
impl fmt::Debug for ContextFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextFacts")
            .field("dag_id", &self.dag_id)
            .field("task_id", &self.task_id)
            .field("run_id", &self.run_id)
            .field("try_number", &self.try_number)
            .finish_non_exhaustive()
    }
}

/// What templates are rendered with; cheap to clone.
#[derive(Clone)]
pub struct Context {
    facts: Arc<ContextFacts>,
    names: Arc<BTreeMap<&'static str, minijinja::Value>>,
    items: minijinja::Value,
}

impl Context {
    /// Takes the facts of a task's run.
    pub fn new(facts: ContextFacts) -> Self {
        Self {
            names: Arc::new(context::names(&facts)),
            items: minijinja::Value::from(Serde(&facts.items)),
            facts: Arc::new(facts),
        }
    }

    /// The facts it was made of.
    pub fn facts(&self) -> &ContextFacts {
        &self.facts
    }

    /// Adds `staging`, the quoted name of the table being built.
    #[must_use]
    pub fn with_staging(self, staging: &str) -> Self {
        self.with("staging", minijinja::Value::from(staging))
    }

    /// Adds `response`.
    #[must_use]
    pub fn with_response(self, response: Value) -> Self {
        self.with("response", minijinja::Value::from(Serde(response)))
    }

    /// Adds `error`.
    #[must_use]
    pub fn with_error(self, error: Value) -> Self {
        self.with("error", minijinja::Value::from(Serde(error)))
    }

    fn with(mut self, name: &'static str, value: minijinja::Value) -> Self {
        Arc::make_mut(&mut self.names).insert(name, value);
        self
    }

    /// What stands behind a name.
    fn named(&self, name: &str) -> Option<minijinja::Value> {
        named(&self.names, &self.items, name)
    }

    fn root(&self) -> minijinja::Value {
        minijinja::Value::from_object(context::Names {
            names: self.names.clone(),
            items: self.items.clone(),
        })
    }
}

fn named(
    names: &BTreeMap<&'static str, minijinja::Value>,
    items: &minijinja::Value,
    name: &str,
) -> Option<minijinja::Value> {
    let item = || items.get_attr(name).ok().filter(|it| !it.is_undefined());
    names.get(name).cloned().or_else(item)
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.facts.fmt(f)
    }
}

/// How the value of a `{{ }}` is written into the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// As it is.
    Plain,
    /// As one word of a POSIX shell, also between the author's own quotes.
    Shell,
    /// As a literal of Python, or escaped inside the author's string.
    Python,
    /// With Slack's `&`, `<` and `>` escaped, so that data can neither mention nor link.
    Slack,
}

/// Why a template could not be rendered, for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// Renders a text. Values that hold template syntax stay text.
pub fn render(source: &str, context: &Context, quoting: Quoting) -> Result<String, TemplateError> {
    let explain = |error| explain::explain(&error, source, Form::Text, context);
    let text = match quoting {
        Quoting::Plain => engine::environment()
            .render_named_str("<template>", source, context.root())
            .map_err(explain)?,
        Quoting::Slack => engine::slack_environment()
            .render_named_str("<template>", source, context.root())
            .map_err(explain)?,
        Quoting::Shell | Quoting::Python => return render_script(source, context, quoting),
    };
    within_limit(text)
}

fn render_script(
    source: &str,
    context: &Context,
    quoting: Quoting,
) -> Result<String, TemplateError> {
    let explain = |error| explain::explain(&error, source, Form::Text, context);
    let tree = syntax::tree(source, Form::Text).map_err(explain)?;
    let mut capture = None;
    syntax::walk(&tree, &mut |seen| {
        if let Seen::Capture(range) = seen {
            capture.get_or_insert(range);
        }
    });
    if let Some(range) = capture {
        return Err(explain::about(
            &source[check::clamp(source, range)],
            "a block that catches its output cannot be quoted for a script: use a filter on the value",
        ));
    }
    let environment = match quoting {
        Quoting::Python => engine::json_marking_environment(),
        Quoting::Plain | Quoting::Shell | Quoting::Slack => engine::marking_environment(),
    };
    let template = environment.template_from_str(source).map_err(explain)?;
    let (marked, spans) = template
        .render_with_spans(context.root())
        .map_err(explain)?;
    let mut parts = Vec::with_capacity(spans.len());
    let mut values = Vec::new();
    for span in &spans {
        let text = &marked[span.output_range()];
        parts.push(match span.kind() {
            OutputSpanKind::Expression => {
                values.push(span.source_range());
                shell::Part::Value(text.strip_prefix(engine::MARK).unwrap_or(text))
            }
            _ => shell::Part::Script(text),
        });
    }
    let (script, reference) = match quoting {
        Quoting::Python => (python::script(parts), "read os.environ[\"NAME\"]"),
        Quoting::Plain | Quoting::Shell | Quoting::Slack => {
            (shell::script(parts), "write \"$NAME\"")
        }
    };
    let script = script.map_err(|(number, refusal)| {
        explain::about(
            &source[check::clamp(source, values[number].clone())],
            &format!(
                "a value cannot be put {refusal}: pass it through `env` and {reference} in the script"
            ),
        )
    })?;
    within_limit(script)
}

fn within_limit(text: String) -> Result<String, TemplateError> {
    if text.len() > engine::MAX_OUTPUT {
        return Err(TemplateError(format!(
            "the rendered text has {} bytes, and {} are allowed: pass large values in a file",
            text.len(),
            engine::MAX_OUTPUT
        )));
    }
    Ok(text)
}

/// Evaluates the inside of a `{{ }}` to JSON.
///
/// What the other side left out of its `response` is `null`; any other missing value is an error.
pub fn evaluate(expression: &str, context: &Context) -> Result<Value, TemplateError> {
    let explain = |error| explain::explain(&error, expression, Form::Expression, context);
    let environment = engine::environment();
    let compiled = environment
        .compile_expression(expression)
        .map_err(explain)?;
    let value = compiled.eval(context.root()).map_err(explain)?;
    if value.is_undefined() {
        let reads_response = compiled.undeclared_variables(false).contains("response");
        if reads_response && context.names.contains_key("response") {
            return Ok(Value::Null);
        }
        return Err(explain(minijinja::ErrorKind::UndefinedError.into()));
    }
    let json = serde_json::to_value(&value).map_err(|error| {
        explain::about(
            expression,
            &format!("this cannot be written as JSON: {error}"),
        )
    })?;
    Ok(json)
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
    Ok(match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::String(text) => match lone_expression(text) {
            Some(expression) => evaluate(expression, context)?,
            None => Value::String(render(text, context, Quoting::Plain)?),
        },
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|it| render_value(it, context))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, it)| Ok((key.clone(), render_value(it, context)?)))
                .collect::<Result<_, TemplateError>>()?,
        ),
    })
}

/// The inside of a text that is one `{{ }}` and nothing else.
fn lone_expression(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let Ok(Stmt::Template(template)) = syntax::tree(text, Form::Text) else {
        return None;
    };
    let is_alone = matches!(template.children.as_slice(), [Stmt::EmitExpr(_)]);
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    is_alone.then(|| inner.trim())
}

/// Escapes what Slack's markup gives a meaning to.
pub(crate) fn escape_slack(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
pub(crate) mod tests;
