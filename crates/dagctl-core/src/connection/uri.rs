//! Airflow's connection URI: `type://login:password@host:port/schema?extra=…`.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{Connection, Secret};

/// Reads a URI. No problem that it names quotes the text, which holds a password.
pub(super) fn read(text: &str) -> Result<Connection, String> {
    let Some((conn_type, rest)) = text.split_once("://") else {
        return Err(
            "this is not a connection URI such as `postgres://user:password@host:5432/database`"
                .to_owned(),
        );
    };
    let is_type = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '+' | '.');
    if conn_type.is_empty() || !conn_type.chars().all(is_type) {
        return Err(
            "what stands before `://` is not a type of connection such as `postgres`".to_owned(),
        );
    }
    if rest.contains('#') {
        return Err("a `#` in a connection URI must be written as `%23`".to_owned());
    }
    // `http://https://host` is one of Airflow's ways to say https.
    let (conn_type, rest) = match rest.split_once("://") {
        Some((inner @ ("http" | "https"), after)) if conn_type.starts_with("http") => {
            (inner, after)
        }
        _ => (conn_type, rest),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, schema) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (user, place),
        None => ("", authority),
    };
    let (login, password) = user.split_once(':').unwrap_or((user, ""));
    let (host, port) = host_and_port(place)?;
    Ok(Connection {
        conn_id: String::new(),
        conn_type: conn_type.to_owned(),
        host: decode(host, "host")?,
        port,
        schema: decode(schema, "schema")?,
        login: decode(login, "login")?,
        password: decode(password, "password")?.map(Secret::new),
        extra: extra(query)?,
    })
}

fn host_and_port(place: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(address) => {
            let Some((host, after)) = address.split_once(']') else {
                return Err("the `[` before the address has no `]` after it".to_owned());
            };
            (host, after.strip_prefix(':'))
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    match port {
        None | Some("") => Ok((host, None)),
        // It may be a part of the password, so it is not shown.
        Some(port) => port.parse().map(|port| (host, Some(port))).map_err(|_| {
            "the port after the host is not a number from 0 to 65535; in a password, `@`, `:`, `/`, `?` and `#` must be percent-encoded (`%40`, `%3A`, `%2F`, `%3F`, `%23`)"
                .to_owned()
        }),
    }
}

fn extra(query: &str) -> Result<Map<String, Value>, String> {
    let mut extra = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "__extra__" {
            extra.insert(name.into_owned(), Value::String(value.into_owned()));
            continue;
        }
        match serde_json::from_str(&value) {
            Ok(Value::Object(fields)) => extra.extend(fields),
            _ => return Err("`__extra__` is not a JSON object".to_owned()),
        }
    }
    Ok(extra)
}

fn decode(text: &str, what: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|it| std::str::from_utf8(it).ok())
            .and_then(|it| u8::from_str_radix(it, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| format!("the {what} is not UTF-8 once its `%` escapes are read"))
}

/// Writes a connection so that [`read`] gives it back.
pub(super) fn write(connection: &Connection) -> String {
    let mut uri = format!("{}://", connection.conn_type.replace('_', "-"));
    if let Some(login) = &connection.login {
        uri.push_str(&encode(login));
    }
    if let Some(password) = &connection.password {
        uri.push(':');
        // The mask reads better as it is.
        match password.expose() {
            "***" => uri.push_str("***"),
            password => uri.push_str(&encode(password)),
        }
    }
    if connection.login.is_some() || connection.password.is_some() {
        uri.push('@');
    }
    match connection.host.as_deref() {
        Some(host) if host.contains(':') && !host.contains('/') => {
            uri.push_str(&format!("[{host}]"));
        }
        Some(host) => uri.push_str(&encode(host)),
        None => {}
    }
    if let Some(port) = connection.port {
        uri.push_str(&format!(":{port}"));
    }
    if let Some(schema) = &connection.schema {
        uri.push('/');
        uri.push_str(&encode(schema));
    }
    if !connection.extra.is_empty() {
        if connection.schema.is_none() {
            uri.push('/');
        }
        uri.push('?');
        uri.push_str(&query(&connection.extra));
    }
    uri
}

fn query(extra: &Map<String, Value>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let is_flat = extra
        .iter()
        .all(|(name, value)| value.is_string() && name != "__extra__");
    if is_flat {
        for (name, value) in extra {
            query.append_pair(name, value.as_str().unwrap_or_default());
        }
    } else {
        query.append_pair("__extra__", &Value::Object(extra.clone()).to_string());
    }
    query.finish()
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
