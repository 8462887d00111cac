//! Where a user's database is, and how to log in to it.

use std::path::Path;
use std::time::Duration;

use dagctl_core::connection::{Connection, Dialect};
use dagctl_core::outcome::{Failure, FailureKind};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection as _};
use tokio::time::timeout;

/// How long a log-in may take where the connection sets no `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A database that can be connected to any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    options: PgConnectOptions,
    pub(crate) dialect: Dialect,
    pub(crate) application_name: String,
    connect_timeout: Duration,
    conn_id: String,
    place: String,
}

impl Endpoint {
    /// Reads a connection; what it says of itself to the server is `application_name`.
    pub(crate) fn new(connection: &Connection, application_name: String) -> Result<Self, Failure> {
        let wrong = |problem: String| {
            let message = format!("connection `{}`: {problem}", connection.conn_id);
            Failure::new(FailureKind::Definition, message)
        };
        let dialect = connection.dialect();
        match dialect {
            Dialect::Postgres | Dialect::Redshift => (),
            Dialect::Http | Dialect::Other => {
                return Err(wrong(format!(
                    "it is of type `{}`, and SQL runs on `postgres` and `redshift` only",
                    connection.conn_type
                )));
            }
        }
        let is_redshift = dialect == Dialect::Redshift;
        let default_port = if is_redshift { 5439 } else { 5432 };
        let port = connection.port.unwrap_or(default_port);
        let host = connection.host.as_deref().unwrap_or("localhost");
        let login = connection.login.as_deref().unwrap_or("postgres");
        let database = connection.schema.as_deref().unwrap_or(login);
        // An empty password rather than none, or PGPASSWORD of the worker would be sent to any server.
        let password = connection.password.as_ref().map_or("", |it| it.expose());
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(host)
            .port(port)
            .username(login)
            .database(database)
            .password(password)
            .application_name(&application_name)
            .statement_cache_capacity(0)
            .disable_statement_logging();
        if is_redshift {
            options = options.extra_float_digits(None);
        }
        let text = |key: &str| connection.extra.get(key).and_then(Value::as_str);
        if let Some(mode) = text("sslmode") {
            let mode: PgSslMode = mode.parse().map_err(|_| {
                wrong(format!(
                    "`sslmode` is `{mode}`; it may be disable, allow, prefer, require, verify-ca or verify-full"
                ))
            })?;
            options = options.ssl_mode(mode);
        }
        if let Some(path) = text("sslrootcert") {
            options = options.ssl_root_cert(Path::new(path));
        }
        if let Some(path) = text("sslcert") {
            options = options.ssl_client_cert(Path::new(path));
        }
        if let Some(path) = text("sslkey") {
            options = options.ssl_client_key(Path::new(path));
        }
        let connect_timeout = match connection.extra.get("connect_timeout") {
            None => CONNECT_TIMEOUT,
            Some(value) => seconds(value).ok_or_else(|| {
                wrong(format!(
                    "`connect_timeout` is {value}; it is a number of seconds above 0"
                ))
            })?,
        };
        Ok(Self {
            options,
            dialect,
            application_name,
            connect_timeout,
            conn_id: connection.conn_id.clone(),
            place: format!("{host}:{port}/{database}"),
        })
    }

    /// The connection's name and address, for a message.
    pub(crate) fn words(&self) -> String {
        format!("`{}` ({})", self.conn_id, self.place)
    }

    /// The same database, for work that is not the attempt's own statements.
    pub(crate) fn for_clean_up(&self) -> Self {
        let mut endpoint = self.clone();
        endpoint.options = endpoint.options.application_name("dagctl clean-up");
        endpoint
    }

    /// Logs in.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Failure> {
        let tried = timeout(
            self.connect_timeout,
            PgConnection::connect_with(&self.options),
        );
        let (kind, problem) = match tried.await {
            Ok(Ok(connection)) => return Ok(connection),
            Err(_) => {
                let limit = self.connect_timeout.as_secs_f64();
                (FailureKind::Connect, format!("no answer within {limit} s"))
            }
            Ok(Err(sqlx::Error::Database(err))) => {
                let state = err.code().unwrap_or_default().into_owned();
                let problem = format!("{} (SQLSTATE {state})", err.message());
                (FailureKind::SqlState(state), problem)
            }
            Ok(Err(err)) => (FailureKind::Connect, err.to_string()),
        };
        let advice = match &kind {
            FailureKind::SqlState(_) => "check login, password and database of the connection",
            _ => "check that the server runs and that host and port of the connection are right",
        };
        let message = format!(
            "cannot connect to {}: {problem}\n{advice}: `dagctl connections get {}`",
            self.words(),
            self.conn_id
        );
        Err(Failure::new(kind, message))
    }
}

fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(it) => it.as_f64(),
        Value::String(it) => it.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    seconds
        .filter(|it| *it > 0.0)
        .and_then(|it| Duration::try_from_secs_f64(it).ok())
}
