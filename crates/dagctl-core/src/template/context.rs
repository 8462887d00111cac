//! The facts of a run as the engine's values.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{Timestamp, Zoned};
use minijinja::value::{Enumerator, Object, Serde};
use minijinja::{Error, ErrorKind, Value};

use super::moment::{self, Moment};
use super::{ContextFacts, engine};
use crate::connection::Connection;
use crate::variable::is_secret_name;

/// Every name that a template of any field can read.
pub(super) fn names(facts: &ContextFacts) -> BTreeMap<&'static str, Value> {
    let zoned = |at: Timestamp| -> Zoned { at.to_zoned(facts.timezone.clone()) };
    let logical = zoned(facts.logical_date);
    let params = Value::from(Serde(&facts.params));
    let moment = |at: Timestamp| Moment::value(zoned(at));
    BTreeMap::from([
        ("ds", Value::from(moment::ds(&logical))),
        ("ds_nodash", Value::from(moment::ds_nodash(&logical))),
        ("ts", Value::from(moment::ts(&logical))),
        ("ts_nodash", Value::from(moment::ts_nodash(&logical))),
        ("logical_date", moment(facts.logical_date)),
        ("data_interval_start", moment(facts.data_interval_start)),
        ("data_interval_end", moment(facts.data_interval_end)),
        ("run_id", Value::from(&facts.run_id)),
        ("run_dir", Value::from(&facts.run_dir)),
        (
            "dag",
            Value::from_pairs([
                ("dag_id", Value::from(&facts.dag_id)),
                ("owner", Value::from(&facts.dag_owner)),
                ("tags", Value::from(Serde(&facts.tags))),
            ]),
        ),
        (
            "task",
            Value::from_pairs([
                ("task_id", Value::from(&facts.task_id)),
                ("owner", Value::from(&facts.task_owner)),
            ]),
        ),
        (
            "dag_run",
            Value::from_pairs([
                ("run_id", Value::from(&facts.run_id)),
                ("run_type", Value::from(&facts.run_type)),
                ("commit", Value::from(&facts.commit)),
                ("conf", params.clone()),
                ("params", params.clone()),
                ("logical_date", moment(facts.logical_date)),
                ("data_interval_start", moment(facts.data_interval_start)),
                ("data_interval_end", moment(facts.data_interval_end)),
            ]),
        ),
        (
            "ti",
            Value::from_pairs([
                ("try_number", Value::from(facts.try_number)),
                ("map_index", Value::from(facts.map_index)),
                ("task_id", Value::from(&facts.task_id)),
                ("dag_id", Value::from(&facts.dag_id)),
                ("run_id", Value::from(&facts.run_id)),
            ]),
        ),
        ("params", params),
        (
            "var",
            Value::from_pairs([
                ("value", Value::from(Serde(&*facts.variables))),
                (
                    "json",
                    Value::from_pairs(
                        facts
                            .variables
                            .iter()
                            .map(|(name, text)| (name.clone(), json_variable(name, text))),
                    ),
                ),
            ]),
        ),
        (
            "conn",
            Value::from_pairs(
                facts
                    .connections
                    .iter()
                    .map(|(id, it)| (id.clone(), connection(it))),
            ),
        ),
        ("outputs", Value::from_object(Outputs::new(&facts.outputs))),
        (
            "triggering_asset_events",
            Value::from(Serde(&facts.asset_events)),
        ),
        ("macros", engine::macros()),
    ])
}

/// The root that the engine looks names up in.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) names: Arc<BTreeMap<&'static str, Value>>,
    /// What an instance of a mapped task sees besides.
    pub(super) items: Value,
}

impl Object for Names {
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        super::named(&self.names, &self.items, key)
    }
}

/// A connection without its password and without the fields of `extra` that are secret by name.
fn connection(it: &Connection) -> Value {
    let extra: serde_json::Map<_, _> = it
        .extra
        .iter()
        .filter(|(name, _)| !is_secret_name(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let extra = Value::from(Serde(extra));
    let mut fields = vec![
        ("conn_id", Value::from(&it.conn_id)),
        ("conn_type", Value::from(&it.conn_type)),
        ("extra", extra.clone()),
        ("extra_dejson", extra),
    ];
    // What is not set is missing, so that it is an error and not the word "none" in a URL.
    let optional = [
        ("host", it.host.as_ref()),
        ("schema", it.schema.as_ref()),
        ("login", it.login.as_ref()),
    ];
    for (name, value) in optional {
        fields.extend(value.map(|value| (name, Value::from(value))));
    }
    fields.extend(it.port.map(|port| ("port", Value::from(port))));
    Value::from_pairs(fields)
}

/// A variable read as JSON; one that is not JSON is an error for those who read it.
fn json_variable(name: &str, text: &str) -> Value {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => Value::from(Serde(value)),
        // Not the parser's own words, which may quote the value.
        Err(error) => Value::from(Error::new(
            ErrorKind::InvalidOperation,
            format!(
                "variable `{name}` is not JSON (line {}, column {}): use `var.value.{name}` for its text",
                error.line(),
                error.column()
            ),
        )),
    }
}

/// Outputs by task, then by key.
type ByTask = BTreeMap<String, BTreeMap<String, Value>>;

/// The outputs of the task `task`, or of the tasks whose ids begin with it and a dot.
#[derive(Debug)]
struct Outputs {
    all: Arc<ByTask>,
    task: String,
}

impl Outputs {
    fn new(outputs: &BTreeMap<String, serde_json::Map<String, serde_json::Value>>) -> Self {
        let values = |it: &serde_json::Map<String, serde_json::Value>| {
            it.iter()
                .map(|(key, value)| (key.clone(), Value::from(Serde(value))))
                .collect()
        };
        let all = outputs
            .iter()
            .map(|(task, it)| (task.clone(), values(it)))
            .collect();
        Self {
            all: Arc::new(all),
            task: String::new(),
        }
    }

    fn below(&self, name: &str) -> String {
        if self.task.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.task)
        }
    }

    fn keys(&self) -> Vec<String> {
        let own = self.all.get(&self.task).into_iter();
        let mut keys: Vec<String> = own.flat_map(|it| it.keys().cloned()).collect();
        let prefix = self.below("");
        for task in self.all.keys() {
            let Some(rest) = task.strip_prefix(&prefix) else {
                continue;
            };
            // At the top a dotted id is one key; below it, its next part is.
            let key = if self.task.is_empty() {
                rest
            } else {
                rest.split('.').next().unwrap_or(rest)
            };
            if !keys.iter().any(|it| it == key) {
                keys.push(key.to_owned());
            }
        }
        keys
    }
}

impl Object for Outputs {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let own = self.all.get(&self.task);
        if let Some(value) = own.and_then(|it| it.get(name)) {
            return Some(value.clone());
        }
        let task = self.below(name);
        let group = format!("{task}.");
        let exists = self.all.contains_key(&task)
            || self
                .all
                .range(group.clone()..)
                .next()
                .is_some_and(|(next, _)| next.starts_with(&group));
        exists.then(|| {
            Value::from_object(Self {
                all: self.all.clone(),
                task,
            })
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.keys().into_iter().map(Value::from).collect())
    }
}
