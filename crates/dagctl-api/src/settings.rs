//! `GET /variables`, `GET`, `PUT` and `DELETE /variables/{name}`, and the same of `/connections/{conn_id}`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where a variable or connection comes from, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `DAGCTL_VAR_…` or `DAGCTL_CONN_…`.
    Environment,
    /// `AIRFLOW_VAR_…` or `AIRFLOW_CONN_…`.
    AirflowEnvironment,
    /// Set on a page or by a command.
    Database,
    /// What standalone offers by itself.
    Default,
}

impl Source {
    /// A word or two for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::AirflowEnvironment => "environment (AIRFLOW_)",
            Self::Database => "database",
            Self::Default => "built in",
        }
    }
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; absent where it is secret.
    pub value: Option<String>,
    /// Whether its value is shown to nobody.
    pub is_secret: bool,
    /// Where its value comes from.
    pub source: Source,
    /// Where else it is set, without effect.
    pub shadows: Vec<Source>,
    /// A sentence about it.
    pub description: Option<String>,
    /// When it was last set in the database.
    pub updated_at: Option<String>,
}

/// What `PUT /variables/{name}` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariableWrite {
    /// Its value; absent: unchanged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
    /// Whether its value is shown to nobody; absent: as its name says (`password`, `secret`, `token`, …).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub is_secret: Option<bool>,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
}

/// A connection, without its secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Its name.
    pub conn_id: String,
    /// `postgres`, `redshift`, `http`, …
    pub conn_type: String,
    /// A host name or an address.
    pub host: Option<String>,
    /// The port, where it is not the usual one.
    pub port: Option<u16>,
    /// The database; for HTTP the scheme.
    pub schema: Option<String>,
    /// Who logs in.
    pub login: Option<String>,
    /// Whether it has a password, which nobody is shown.
    pub has_password: bool,
    /// The names of further settings, whose values nobody is shown.
    pub extra_keys: Vec<String>,
    /// The whole as a URI with `***` in place of secrets.
    pub uri: String,
    /// Where it comes from.
    pub source: Source,
    /// Where else it is set, without effect.
    pub shadows: Vec<Source>,
    /// A sentence about it.
    pub description: Option<String>,
    /// When it was last set in the database.
    pub updated_at: Option<String>,
    /// Why it cannot be used, where its text is no connection.
    pub problem: Option<String>,
}

/// What `PUT /connections/{conn_id}` takes: a `uri`, or the parts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionWrite {
    /// Airflow's URI or JSON; then no part may be given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uri: Option<String>,
    /// `postgres`, `redshift`, `http`, …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub conn_type: Option<String>,
    /// A host name or an address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<String>,
    /// The port, where it is not the usual one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<u16>,
    /// The database; for HTTP the scheme.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<String>,
    /// Who logs in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub login: Option<String>,
    /// With what; absent: unchanged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub password: Option<String>,
    /// Further settings; absent: unchanged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub extra: Option<Map<String, Value>>,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
}

/// What a `PUT` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// What to know about it, such as that the environment overrules it.
    pub warnings: Vec<String>,
}
