//! Variables and connections, merged from the environment, the database and what standalone offers.
//!
//! `DAGCTL_…` comes before `AIRFLOW_…`, that before the database, and built-in ones last. Names in the environment
//! are upper-case there and found in any case, as in Airflow.

mod change;
mod environment;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use dagctl_core::connection::{Connection, ConnectionError, Secret};
use dagctl_core::ids::NameError;
use dagctl_core::variable::is_secret_name;
use dagctl_store::vault::Vault;
use dagctl_store::{Store, StoreError};
use jiff::Timestamp;
use tokio::sync::Mutex;

pub use change::{ConnectionChange, ConnectionText, VariableChange};
use environment::Environment;
pub use snapshot::Snapshot;

use crate::grouped::Grouped;

/// Where a variable or connection comes from, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// A variable as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; `None` where it is secret or cannot be opened.
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
    pub updated_at: Option<Timestamp>,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

/// A connection as it may be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownConnection {
    /// Its name.
    pub conn_id: String,
    /// The connection without its password and the values of `extra`; `None` where it cannot be read.
    pub connection: Option<Connection>,
    /// Whether it has a password.
    pub has_password: bool,
    /// The names in `extra`.
    pub extra_keys: Vec<String>,
    /// The whole with `***` in place of secrets.
    pub masked_uri: String,
    /// Where it comes from.
    pub source: Source,
    /// Where else it is set, without effect.
    pub shadows: Vec<Source>,
    /// A sentence about it.
    pub description: Option<String>,
    /// When it was last set in the database.
    pub updated_at: Option<Timestamp>,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

/// Why settings could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The name cannot be one.
    #[error(transparent)]
    BadName(#[from] NameError),
    /// The text is no connection.
    #[error(transparent)]
    BadConnection(#[from] ConnectionError),
    /// A value is needed and none was given.
    #[error("{0} needs a value")]
    ValueNeeded(String),
    /// A value is longer than [`MAX_VALUE_LEN`].
    #[error("the value has {0} bytes; at most {MAX_VALUE_LEN} are allowed")]
    TooLong(usize),
    /// A kept password would go somewhere new.
    #[error(
        "`{0}` would send its saved password to another place; type the password again to change where it connects to"
    )]
    PasswordNeeded(String),
    /// Nothing of that name.
    #[error("there is no {kind} `{name}`")]
    Unknown {
        /// `variable` or `connection`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// It is not in the database.
    #[error("`{name}` is set by {by}; it can only be taken away there")]
    NotInDatabase {
        /// The name.
        name: String,
        /// The environment variable, or `dagctl itself`.
        by: String,
    },
    /// The database could not do it.
    #[error("could not reach the saved settings")]
    Store(#[from] StoreError),
}

/// The largest value of a variable, and the longest text of a connection, in bytes.
pub const MAX_VALUE_LEN: usize = 64 * 1024;

/// What settings are made of.
#[derive(Debug)]
pub struct SettingsOptions {
    /// Where saved ones are.
    pub store: Store,
    /// The key they are sealed with.
    pub vault: Vault,
    /// The process's environment; only names that begin with the four prefixes are read.
    pub environment: BTreeMap<String, String>,
    /// Connections offered as a last resort, by name.
    pub default_connections: BTreeMap<String, Connection>,
}

/// Every variable and connection of an installation.
#[derive(Debug)]
pub struct Settings {
    store: Store,
    vault: Vault,
    variables: Environment,
    connections: Environment,
    default_connections: BTreeMap<String, Connection>,
    /// The last snapshot and the stamp of what it was made of.
    last: Mutex<Option<(i64, Arc<Snapshot>)>>,
    stamps: Grouped<(), Option<i64>>,
}

/// What one place says about a name.
#[derive(Debug, Clone)]
struct Entry {
    source: Source,
    text: Result<Secret, String>,
    is_secret: bool,
    description: Option<String>,
    updated_at: Option<Timestamp>,
}

/// Everything that is said about a name, the strongest first; never empty.
type Stack = Vec<Entry>;

impl Settings {
    /// Sorts the environment; the database is read whenever it is asked.
    pub fn new(options: SettingsOptions) -> Self {
        Self {
            store: options.store,
            vault: options.vault,
            variables: Environment::new(&options.environment, "VAR"),
            connections: Environment::new(&options.environment, "CONN"),
            default_connections: options.default_connections,
            last: Mutex::default(),
            stamps: Grouped::new(usize::MAX),
        }
    }

    /// Every variable, by name.
    pub async fn list_variables(&self) -> Result<Vec<Variable>, SettingsError> {
        Ok(self
            .variable_stacks()
            .await?
            .into_iter()
            .map(|(name, stack)| shown_variable(name, &stack))
            .collect())
    }

    /// The variable of a name.
    pub async fn get_variable(&self, name: &str) -> Result<Option<Variable>, SettingsError> {
        let stacks = self.variable_stacks().await?;
        Ok(find(&stacks, &self.variables, name)
            .map(|(name, stack)| shown_variable(name.to_owned(), stack)))
    }

    /// Every connection, by name.
    pub async fn list_connections(&self) -> Result<Vec<ShownConnection>, SettingsError> {
        Ok(self
            .connection_stacks()
            .await?
            .into_iter()
            .map(|(name, stack)| shown_connection(name, &stack))
            .collect())
    }

    /// The connection of a name.
    pub async fn get_connection(
        &self,
        conn_id: &str,
    ) -> Result<Option<ShownConnection>, SettingsError> {
        let stacks = self.connection_stacks().await?;
        Ok(find(&stacks, &self.connections, conn_id)
            .map(|(name, stack)| shown_connection(name.to_owned(), stack)))
    }

    /// Everything with its secrets, for a worker. Opened again only where something has changed.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>, SettingsError> {
        let store = self.store.clone();
        let answer = move |asked: Vec<()>| {
            let store = store.clone();
            async move { vec![store.settings_stamp().await.ok(); asked.len()] }
        };
        let stamp = match self.stamps.ask((), answer).await {
            Some(Some(stamp)) => stamp,
            // Alone it learns what was wrong.
            Some(None) | None => self.store.settings_stamp().await?,
        };
        let mut last = self.last.lock().await;
        if let Some((of, snapshot)) = &*last
            && *of == stamp
        {
            return Ok(snapshot.clone());
        }
        let snapshot = Arc::new(Snapshot::new(
            &self.variable_stacks().await?,
            &self.connection_stacks().await?,
        ));
        // What was changed since the stamp is in there already, and is read once more with the next stamp.
        *last = Some((stamp, snapshot.clone()));
        Ok(snapshot)
    }

    async fn variable_stacks(&self) -> Result<BTreeMap<String, Stack>, StoreError> {
        let saved = self.store.variables(&self.vault).await?;
        let mut stacks: BTreeMap<String, Stack> = BTreeMap::new();
        for row in saved {
            let mut stack = self.variables.entries(&row.name);
            stack.push(Entry {
                source: Source::Database,
                text: row.value.map(Secret::new).map_err(|err| err.to_string()),
                is_secret: row.is_secret,
                description: row.description,
                updated_at: Some(row.updated_at),
            });
            stacks.insert(row.name, stack);
        }
        self.variables.add_to(&mut stacks, str::to_owned);
        Ok(stacks)
    }

    async fn connection_stacks(&self) -> Result<BTreeMap<String, Stack>, StoreError> {
        let saved = self.store.connections(&self.vault).await?;
        let mut stacks: BTreeMap<String, Stack> = BTreeMap::new();
        for row in saved {
            let mut stack = self.connections.entries(&row.conn_id);
            stack.push(Entry {
                source: Source::Database,
                text: row.uri.map(Secret::new).map_err(|err| err.to_string()),
                is_secret: true,
                description: row.description,
                updated_at: Some(row.updated_at),
            });
            stacks.insert(row.conn_id, stack);
        }
        for (name, connection) in &self.default_connections {
            let stack = stacks
                .entry(name.clone())
                .or_insert_with(|| self.connections.entries(name));
            stack.push(Entry {
                source: Source::Default,
                text: Ok(connection.uri()),
                is_secret: true,
                description: Some("the demo warehouse in the private Postgres".to_owned()),
                updated_at: None,
            });
        }
        self.connections.add_to(&mut stacks, str::to_lowercase);
        Ok(stacks)
    }
}

/// Finds a name as it is, or in any case where the environment defines it.
fn find<'a>(
    stacks: &'a BTreeMap<String, Stack>,
    environment: &Environment,
    name: &str,
) -> Option<(&'a str, &'a Stack)> {
    let exact = stacks.get_key_value(name);
    let any_case = || {
        environment
            .defines(name)
            .then(|| {
                stacks
                    .iter()
                    .find(|(it, _)| it.to_uppercase() == name.to_uppercase())
            })
            .flatten()
    };
    exact
        .or_else(any_case)
        .map(|(name, stack)| (name.as_str(), stack))
}

fn shadows(stack: &Stack) -> Vec<Source> {
    stack.iter().skip(1).map(|it| it.source).collect()
}

/// What lies in the database says more than what overrules it.
fn described(stack: &Stack) -> (Option<String>, Option<Timestamp>) {
    let said = stack
        .iter()
        .find(|it| it.description.is_some() || it.updated_at.is_some());
    match said {
        Some(entry) => (entry.description.clone(), entry.updated_at),
        None => (None, None),
    }
}

/// One place that calls it secret is enough.
fn is_secret(name: &str, stack: &Stack) -> bool {
    is_secret_name(name) || stack.iter().any(|it| it.is_secret)
}

fn shown_variable(name: String, stack: &Stack) -> Variable {
    let top = &stack[0];
    let is_secret = is_secret(&name, stack);
    let (description, updated_at) = described(stack);
    Variable {
        value: match &top.text {
            Ok(text) if !is_secret => Some(text.expose().to_owned()),
            Ok(_) | Err(_) => None,
        },
        is_secret,
        source: top.source,
        shadows: shadows(stack),
        description,
        updated_at,
        problem: top.text.clone().err(),
        name,
    }
}

fn shown_connection(conn_id: String, stack: &Stack) -> ShownConnection {
    let top = &stack[0];
    let (description, updated_at) = described(stack);
    let parsed = top
        .text
        .clone()
        .and_then(|text| Connection::parse(&conn_id, text.expose()).map_err(|err| err.to_string()));
    let (connection, problem) = match parsed {
        Ok(connection) => (Some(connection), None),
        Err(problem) => (None, Some(problem)),
    };
    ShownConnection {
        has_password: connection.as_ref().is_some_and(|it| it.password.is_some()),
        extra_keys: connection
            .iter()
            .flat_map(|it| it.extra.keys().cloned())
            .collect(),
        masked_uri: connection
            .as_ref()
            .map(Connection::masked_uri)
            .unwrap_or_default(),
        connection: connection.map(|it| Connection {
            password: None,
            extra: serde_json::Map::new(),
            ..it
        }),
        source: top.source,
        shadows: shadows(stack),
        description,
        updated_at,
        problem,
        conn_id,
    }
}
