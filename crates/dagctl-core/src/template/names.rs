//! What a template may name: one table for the check, the context and the hints.

use super::{Scope, moment};

/// What stands behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text or a number.
    Plain,
    /// A date.
    Moment,
    /// Something with these attributes and no others.
    Fields(&'static [&'static str]),
    /// Functions.
    Functions(&'static [&'static str]),
    Params,
    Outputs,
    Variables,
    Connections,
    /// What the other side sent.
    Open,
}

/// Functions under `macros`.
pub(super) const MACROS: &[&str] = &["ds_add", "ds_format", "datetime"];

/// What may be read of a connection; never the password.
pub(super) const CONNECTION: &[&str] = &[
    "conn_id",
    "conn_type",
    "host",
    "port",
    "schema",
    "login",
    "extra",
    "extra_dejson",
];

const NAMES: &[(&str, Kind)] = &[
    ("ds", Kind::Plain),
    ("ds_nodash", Kind::Plain),
    ("ts", Kind::Plain),
    ("ts_nodash", Kind::Plain),
    ("logical_date", Kind::Moment),
    ("data_interval_start", Kind::Moment),
    ("data_interval_end", Kind::Moment),
    ("run_id", Kind::Plain),
    ("run_dir", Kind::Plain),
    ("dag", Kind::Fields(&["dag_id", "owner", "tags"])),
    ("task", Kind::Fields(&["task_id", "owner"])),
    (
        "dag_run",
        Kind::Fields(&[
            "run_id",
            "run_type",
            "commit",
            "conf",
            "params",
            "logical_date",
            "data_interval_start",
            "data_interval_end",
        ]),
    ),
    (
        "ti",
        Kind::Fields(&["try_number", "map_index", "task_id", "dag_id", "run_id"]),
    ),
    ("params", Kind::Params),
    ("var", Kind::Variables),
    ("conn", Kind::Connections),
    ("outputs", Kind::Outputs),
    ("triggering_asset_events", Kind::Open),
    ("macros", Kind::Functions(MACROS)),
];

/// Jinja's own functions.
pub(super) const FUNCTIONS: &[&str] = &["range", "dict", "namespace"];

/// Every filter.
pub(super) const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "ds",
    "ds_nodash",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "groupby",
    "ident",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "strftime",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "ts",
    "ts_nodash",
    "unique",
    "upper",
    "urlencode",
    "zip",
];

/// Every test.
pub(super) const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "safe",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
];

/// What stands behind `name` in a scope.
pub(super) fn kind(name: &str, scope: &Scope) -> Option<Kind> {
    let listed = NAMES.iter().find(|(it, _)| *it == name);
    match name {
        _ if listed.is_some() => listed.map(|(_, kind)| *kind),
        _ if scope.items.iter().any(|it| it == name) => Some(Kind::Open),
        "staging" if scope.staging => Some(Kind::Plain),
        "response" if scope.response => Some(Kind::Open),
        "error" if scope.error => Some(Kind::Fields(&["summary", "message"])),
        _ => None,
    }
}

/// Every name of a scope.
pub(super) fn all(scope: &Scope) -> impl Iterator<Item = &str> {
    let extra = [
        ("staging", scope.staging),
        ("response", scope.response),
        ("error", scope.error),
    ];
    let items = scope.items.iter().map(String::as_str);
    let listed = NAMES.iter().map(|(name, _)| *name);
    listed.chain(items).chain(
        extra
            .into_iter()
            .filter(|(_, is_known)| *is_known)
            .map(|(name, _)| name),
    )
}

/// Whether every template knows the name.
pub(super) fn is_taken(name: &str) -> bool {
    NAMES.iter().any(|(it, _)| *it == name)
        || FUNCTIONS.contains(&name)
        || ["staging", "response", "error"].contains(&name)
}

/// What to type instead of a name of Airflow's, or of a name that another field knows.
pub(super) fn instead(name: &str) -> Option<&'static str> {
    Some(match name {
        "execution_date" => "use `logical_date`",
        "next_ds" | "tomorrow_ds" => "use `macros.ds_add(ds, 1)`",
        "prev_ds" | "yesterday_ds" => "use `macros.ds_add(ds, -1)`",
        "task_instance" => "use `ti`",
        "dag_id" => "use `dag.dag_id`",
        "task_id" => "use `task.task_id`",
        "xcom" => "use `outputs.<task>.<key>`",
        "variable" | "variables" => "use `var.value.NAME`",
        "connection" | "connections" => "use `conn.NAME.host`",
        "env" | "environ" | "os" => {
            "the environment is not readable; set a variable and use `var.value.NAME`"
        }
        "staging" => "`staging` is known in checks only",
        "response" => "`response` is known in the expressions of `http` only",
        "error" => "`error` is known in notifiers only",
        _ => return None,
    })
}

/// The attributes and methods of a date.
pub(super) fn of_moment() -> impl Iterator<Item = &'static str> {
    moment::ATTRIBUTES.iter().chain(moment::METHODS).copied()
}
