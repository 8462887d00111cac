//! Setting and deleting the variables and connections that are in the database.

use dagctl_core::connection::{Connection, Secret};
use dagctl_core::ids::check_name;
use dagctl_core::variable::is_secret_name;
use dagctl_store::connections::ConnectionPut;
use dagctl_store::variables::VariablePut;

use super::{MAX_VALUE_LEN, Settings, SettingsError, Source};

/// What a variable becomes.
#[derive(Debug, Clone, Default)]
pub struct VariableChange {
    /// Its name.
    pub name: String,
    /// Its value; `None` keeps the saved one.
    pub value: Option<Secret>,
    /// Whether its value is shown to nobody; `None`: as before, else as its name says.
    pub is_secret: Option<bool>,
    /// A sentence about it; `None` keeps the saved one.
    pub description: Option<String>,
    /// Who sets it.
    pub by: String,
}

/// What a connection becomes.
#[derive(Debug, Clone)]
pub struct ConnectionChange {
    /// Its name.
    pub conn_id: String,
    /// The connection.
    pub text: ConnectionText,
    /// A sentence about it; `None` keeps the saved one.
    pub description: Option<String>,
    /// Who sets it.
    pub by: String,
}

/// The two ways to write a connection.
#[derive(Debug, Clone)]
pub enum ConnectionText {
    /// Airflow's URI or JSON, whole.
    Whole(Secret),
    /// Its parts; the password and `extra` may be kept.
    Parts {
        /// The parts; their password and `extra` count only where they are not kept.
        connection: Box<Connection>,
        /// Whether the saved password stays.
        keeps_password: bool,
        /// Whether the saved `extra` stays.
        keeps_extra: bool,
    },
}

impl Settings {
    /// Sets a variable in the database; the answer says what to know about it.
    pub async fn set_variable(&self, change: VariableChange) -> Result<Vec<String>, SettingsError> {
        check_name(&change.name)?;
        let saved = self
            .store
            .variables(&self.vault)
            .await?
            .into_iter()
            .find(|it| it.name == change.name);
        let value = match (&change.value, &saved) {
            (Some(value), _) => value.clone(),
            (None, Some(row)) => match &row.value {
                Ok(value) => Secret::new(value.clone()),
                Err(_) => return Err(SettingsError::ValueNeeded(change.name)),
            },
            (None, None) => return Err(SettingsError::ValueNeeded(change.name)),
        };
        check_len(&value)?;
        let was_secret = saved.as_ref().map(|it| it.is_secret);
        let is_secret = change
            .is_secret
            .or(was_secret)
            .unwrap_or_else(|| is_secret_name(&change.name));
        // What nobody may read must not become readable by a change that leaves the value as it is.
        if was_secret == Some(true) && !is_secret && change.value.is_none() {
            return Err(SettingsError::ValueNeeded(change.name));
        }
        let description = change
            .description
            .or_else(|| saved.and_then(|it| it.description));
        self.store
            .put_variable(
                &self.vault,
                VariablePut {
                    name: &change.name,
                    value: value.expose(),
                    is_secret,
                    description: description.as_deref().filter(|it| !it.is_empty()),
                    by: &change.by,
                },
            )
            .await?;
        Ok(overruled(self.variables.variable_of(&change.name)))
    }

    /// Deletes a variable from the database; the answer says what to know about it.
    pub async fn delete_variable(&self, name: &str) -> Result<Vec<String>, SettingsError> {
        let by = self.variables.variable_of(name);
        if self.store.delete_variable(name).await? {
            return Ok(still_set(by));
        }
        Err(match by {
            Some(by) => SettingsError::NotInDatabase {
                name: name.to_owned(),
                by,
            },
            None => SettingsError::Unknown {
                kind: "variable",
                name: name.to_owned(),
            },
        })
    }

    /// Sets a connection in the database; the answer says what to know about it.
    pub async fn set_connection(
        &self,
        change: ConnectionChange,
    ) -> Result<Vec<String>, SettingsError> {
        check_name(&change.conn_id)?;
        let saved = self
            .store
            .connections(&self.vault)
            .await?
            .into_iter()
            .find(|it| it.conn_id == change.conn_id);
        let connection = match change.text {
            ConnectionText::Whole(text) => {
                check_len(&text)?;
                Connection::parse(&change.conn_id, text.expose())?
            }
            ConnectionText::Parts {
                connection,
                keeps_password,
                keeps_extra,
            } => {
                let mut connection = *connection;
                connection.conn_id.clone_from(&change.conn_id);
                let before = saved
                    .as_ref()
                    .and_then(|it| it.uri.as_ref().ok())
                    .and_then(|uri| Connection::parse(&change.conn_id, uri).ok());
                if let Some(before) = before {
                    let keeps_secret = (keeps_password && before.password.is_some())
                        || (keeps_extra && !before.extra.is_empty());
                    if keeps_secret && moves(&before, &connection) {
                        return Err(SettingsError::PasswordNeeded(change.conn_id));
                    }
                    if keeps_password {
                        connection.password = before.password;
                    }
                    if keeps_extra {
                        connection.extra = before.extra;
                    }
                }
                connection
            }
        };
        let uri = connection.uri();
        check_len(&uri)?;
        // What is written must be readable by every later start.
        Connection::parse(&change.conn_id, uri.expose())?;
        let description = change
            .description
            .or_else(|| saved.and_then(|it| it.description));
        self.store
            .put_connection(
                &self.vault,
                ConnectionPut {
                    conn_id: &change.conn_id,
                    uri: uri.expose(),
                    description: description.as_deref().filter(|it| !it.is_empty()),
                    by: &change.by,
                },
            )
            .await?;
        Ok(overruled(self.connections.variable_of(&change.conn_id)))
    }

    /// Deletes a connection from the database; the answer says what to know about it.
    pub async fn delete_connection(&self, conn_id: &str) -> Result<Vec<String>, SettingsError> {
        let by = self.connections.variable_of(conn_id);
        if self.store.delete_connection(conn_id).await? {
            return Ok(still_set(by));
        }
        let built_in = self
            .default_connections
            .contains_key(conn_id)
            .then(|| "dagctl itself".to_owned());
        Err(match by.or(built_in) {
            Some(by) => SettingsError::NotInDatabase {
                name: conn_id.to_owned(),
                by,
            },
            None => SettingsError::Unknown {
                kind: "connection",
                name: conn_id.to_owned(),
            },
        })
    }
}

impl Source {
    /// The name in REST.
    pub fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::AirflowEnvironment => "airflow_environment",
            Self::Database => "database",
            Self::Default => "default",
        }
    }
}

fn moves(before: &Connection, after: &Connection) -> bool {
    (&before.host, before.port, &before.conn_type) != (&after.host, after.port, &after.conn_type)
}

fn check_len(text: &Secret) -> Result<(), SettingsError> {
    match text.expose().len() {
        len if len > MAX_VALUE_LEN => Err(SettingsError::TooLong(len)),
        _ => Ok(()),
    }
}

fn overruled(by: Option<String>) -> Vec<String> {
    by.into_iter()
        .map(|by| format!("saved, but {by} is set and comes first"))
        .collect()
}

fn still_set(by: Option<String>) -> Vec<String> {
    by.into_iter()
        .map(|by| format!("deleted here, but {by} is still set"))
        .collect()
}
