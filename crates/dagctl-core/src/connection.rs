//! A connection to the outside: where it is, who logs in, and Airflow's two ways to write it.

use std::fmt;

use serde_json::{Map, Value};

/// A text that is shown to nobody by accident.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself; for the wire, never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no secret at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How the other side is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// Amazon Redshift.
    Redshift,
    /// HTTP or HTTPS.
    Http,
    /// Anything else.
    Other,
}

/// Where something is and how to log in to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Connection {
    /// Its name in `conn_id`.
    pub conn_id: String,
    /// `postgres`, `redshift`, `http`, `https`, …
    pub conn_type: String,
    /// A host name, an address, or the folder of a unix socket.
    pub host: Option<String>,
    /// The port, where it is not the usual one.
    pub port: Option<u16>,
    /// The database; for HTTP the scheme.
    pub schema: Option<String>,
    /// Who logs in.
    pub login: Option<String>,
    /// With what.
    pub password: Option<Secret>,
    /// Everything else, such as `sslmode`.
    pub extra: Map<String, Value>,
}

/// Why a text is not a connection. Never holds the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("connection `{conn_id}`: {problem}")]
pub struct ConnectionError {
    /// Which connection.
    pub conn_id: String,
    /// What is wrong, without the text itself.
    pub problem: String,
}

impl Connection {
    /// Reads Airflow's URI or, where the text starts with `{`, its JSON.
    pub fn parse(conn_id: &str, text: &str) -> Result<Self, ConnectionError> {
        let _ = (conn_id, text);
        unimplemented!()
    }

    /// How the other side is talked to.
    pub fn dialect(&self) -> Dialect {
        unimplemented!()
    }

    /// Airflow's URI with `***` in place of every secret.
    pub fn masked_uri(&self) -> String {
        unimplemented!()
    }

    /// Airflow's URI with its secrets; [`Connection::parse`] reads it back.
    pub fn uri(&self) -> Secret {
        unimplemented!()
    }

    /// Everything in it that must be masked: the password and the secret fields of `extra`.
    pub fn secrets(&self) -> Vec<Secret> {
        unimplemented!()
    }

    /// Where HTTP requests go, such as `https://host:8443`; `None` without a host.
    pub fn base_url(&self) -> Option<String> {
        unimplemented!()
    }
}
