//! Airflow's connection as a JSON object.

use serde_json::{Map, Value};

use super::{Connection, Secret};

const FIELDS: &str = "conn_type, host, port, schema, login, password, extra, description";

/// Reads a JSON object. No problem that it names quotes a value.
pub(super) fn read(text: &str) -> Result<Connection, String> {
    let fields: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        format!(
            "this is not JSON: see line {}, column {}",
            error.line(),
            error.column()
        )
    })?;
    let mut connection = Connection::default();
    for (name, value) in fields {
        match name.as_str() {
            "conn_type" => connection.conn_type = string(&name, value)?.unwrap_or_default(),
            "host" => connection.host = string(&name, value)?,
            "schema" => connection.schema = string(&name, value)?,
            "login" => connection.login = string(&name, value)?,
            "password" => connection.password = string(&name, value)?.map(Secret::new),
            "port" => connection.port = port(&value)?,
            "extra" => connection.extra = extra(value)?,
            "conn_id" | "description" => {}
            _ => return Err(format!("`{name}` is not a field of a connection: {FIELDS}")),
        }
    }
    if connection.conn_type.is_empty() {
        return Err("`conn_type` is missing, such as `\"conn_type\": \"postgres\"`".to_owned());
    }
    Ok(connection)
}

fn string(name: &str, value: Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok((!text.is_empty()).then_some(text)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("`{name}` must be a text in quotes"))
        }
    }
}

fn port(value: &Value) -> Result<Option<u16>, String> {
    let port = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64().and_then(|it| u16::try_from(it).ok()),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    port.map(Some)
        .ok_or_else(|| "`port` must be a number from 0 to 65535".to_owned())
}

/// Airflow writes `extra` as an object or as a text that holds one.
fn extra(value: Value) -> Result<Map<String, Value>, String> {
    let value = match value {
        Value::String(text) if text.trim().is_empty() => Value::Null,
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    };
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(fields) => Ok(fields),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err("`extra` must be a JSON object".to_owned())
        }
    }
}
