//! A connection to the outside: where it is, who logs in, and Airflow's two ways to write it.

mod json;
mod uri;

use std::fmt;

use serde_json::{Map, Value};

use crate::variable::is_secret_name;

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
#[derive(Clone, PartialEq, Default)]
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
        let text = text.trim();
        let parsed = if text.starts_with('{') {
            json::read(text)
        } else {
            uri::read(text)
        };
        let mut connection = parsed.map_err(|problem| ConnectionError {
            conn_id: conn_id.to_owned(),
            problem,
        })?;
        conn_id.clone_into(&mut connection.conn_id);
        connection.normalize();
        Ok(connection)
    }

    /// How the other side is talked to.
    pub fn dialect(&self) -> Dialect {
        match self.conn_type.as_str() {
            "postgres" if self.says("redshift") => Dialect::Redshift,
            "postgres" => Dialect::Postgres,
            "redshift" => Dialect::Redshift,
            "http" | "https" => Dialect::Http,
            _ => Dialect::Other,
        }
    }

    /// Airflow's URI with `***` in place of every secret.
    pub fn masked_uri(&self) -> String {
        let mut masked = self.clone();
        masked.password = self.password.as_ref().map(|_| Secret::new("***"));
        mask_fields(&mut masked.extra);
        uri::write(&masked)
    }

    /// Airflow's URI with its secrets; [`Connection::parse`] reads it back.
    pub fn uri(&self) -> Secret {
        Secret::new(uri::write(self))
    }

    /// Everything in it that must be masked: the password and the secret fields of `extra`.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut secrets: Vec<Secret> = self.password.clone().into_iter().collect();
        collect_secrets(&self.extra, &mut secrets);
        secrets
    }

    /// Where HTTP requests go, such as `https://host:8443/v1`; `None` without a host.
    pub fn base_url(&self) -> Option<String> {
        let host = self.host.as_deref()?;
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let schema = self.schema.as_deref().unwrap_or_default();
        // Airflow keeps the protocol in `schema`; anything else there is where the paths begin.
        let (protocol, path) = match schema {
            "http" | "https" => (schema, String::new()),
            "" => (self.protocol(), String::new()),
            path => (self.protocol(), format!("/{}", path.trim_matches('/'))),
        };
        let port = self.port.map(|it| format!(":{it}")).unwrap_or_default();
        Some(format!("{protocol}://{host}{port}{path}"))
    }

    fn protocol(&self) -> &'static str {
        if self.conn_type == "https" {
            "https"
        } else {
            "http"
        }
    }

    /// Whether `extra` sets a flag.
    pub fn says(&self, flag: &str) -> bool {
        match self.extra.get(flag) {
            Some(Value::Bool(it)) => *it,
            Some(Value::String(it)) => it.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    fn normalize(&mut self) {
        self.conn_type = match self.conn_type.to_lowercase().replace('-', "_").as_str() {
            "postgresql" => "postgres".to_owned(),
            other => other.to_owned(),
        };
        // libpq's way to name the folder of a socket: `postgres:///db?host=/run/postgresql`.
        if self.conn_type == "postgres"
            && self.host.is_none()
            && let Some(Value::String(host)) = self.extra.shift_remove("host")
        {
            self.host = Some(host);
        }
        // Airflow's way to say https: the whole URL as the host.
        if self.dialect() == Dialect::Http
            && let Some(host) = self.host.take()
        {
            let (protocol, rest) = host.split_once("://").unwrap_or(("", &host));
            let (rest, path) = rest.split_once('/').unwrap_or((rest, ""));
            if matches!(protocol, "http" | "https") {
                protocol.clone_into(&mut self.conn_type);
            }
            let (rest, port) = match rest.rsplit_once(':') {
                Some((name, port)) if !name.contains(':') => (name, port.parse().ok()),
                _ => (rest, None),
            };
            self.port = self.port.or(port);
            if self.schema.is_none() && !path.is_empty() {
                self.schema = Some(path.to_owned());
            }
            self.host = (!rest.is_empty()).then(|| rest.to_owned());
        }
    }
}

/// Shows what [`Connection::masked_uri`] shows.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("conn_id", &self.conn_id)
            .field("uri", &self.masked_uri())
            .finish()
    }
}

fn mask_fields(fields: &mut Map<String, Value>) {
    for (name, value) in fields {
        match value {
            Value::Object(inner) => mask_fields(inner),
            _ if is_secret_name(name) => *value = Value::String("***".to_owned()),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => {}
        }
    }
}

fn collect_secrets(fields: &Map<String, Value>, secrets: &mut Vec<Secret>) {
    for (name, value) in fields {
        match value {
            Value::Object(inner) => collect_secrets(inner, secrets),
            Value::String(text) if is_secret_name(name) => secrets.push(Secret::new(text)),
            Value::Null | Value::Bool(_) => {}
            Value::Number(_) | Value::Array(_) if is_secret_name(name) => {
                secrets.push(Secret::new(value.to_string()));
            }
            Value::Number(_) | Value::String(_) | Value::Array(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
