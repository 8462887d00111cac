//! What an HTTP task asks for: where, how, with what, and as whom.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dagctl_core::connection::Connection;
use dagctl_core::operator::Http;
use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::template::{self, Context, Quoting};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::{Origin, Url};

use crate::Attempt;

/// A request that can be sent again, for redirects and further pages.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    /// What the task sets.
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Vec<u8>>,
    pub(super) login: Login,
}

/// What the connection adds, for its own server alone.
#[derive(Debug, Clone)]
pub(super) struct Login {
    headers: HeaderMap,
    origin: Option<Origin>,
}

impl Login {
    /// The headers for `url`: none where it is another server's, for it must not learn our passwords.
    pub(super) fn headers_for(&self, url: &Url) -> Option<&HeaderMap> {
        (self.origin.as_ref() == Some(&url.origin())).then_some(&self.headers)
    }
}

/// Who asks: what templates may see, and which connections there are.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) context: &'a Context,
    pub(super) connections: &'a BTreeMap<String, Connection>,
    pub(super) idempotency_key: &'a str,
}

impl<'a> Asker<'a> {
    /// A task.
    pub(super) fn of(attempt: &'a Attempt) -> Self {
        Self {
            context: &attempt.context,
            connections: &attempt.connections,
            idempotency_key: &attempt.idempotency_key,
        }
    }
}

impl Request {
    /// The request of a task.
    pub(super) fn new(asker: &Asker<'_>, spec: &Http) -> Result<Self, Failure> {
        let data = spec
            .data
            .as_ref()
            .map(|data| template::render_value(data, asker.context))
            .transpose()
            .map_err(|err| definition(format!("cannot render `data`: {err}")))?;
        Self::with(asker, spec, data)
    }

    /// A request with data that has been rendered.
    pub(super) fn with(
        asker: &Asker<'_>,
        spec: &Http,
        data: Option<Value>,
    ) -> Result<Self, Failure> {
        let connection = spec
            .conn_id
            .as_deref()
            .map(|conn_id| crate::connection(asker.connections, conn_id))
            .transpose()?;
        let method = method(&spec.method)?;
        let base = connection.and_then(Connection::base_url);
        let mut url = url(asker, spec, base.as_deref())?;
        let mut headers = HeaderMap::new();
        for (name, source) in &spec.headers {
            let value = render(asker, source, &format!("headers: {name}"))?;
            insert(&mut headers, name, &value)?;
        }
        let mut body = None;
        if let Some(data) = data {
            if method == Method::GET || method == Method::HEAD {
                add_query(&mut url, &data)?;
            } else {
                body = Some(body_of(data, &mut headers));
            }
        }
        let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&method);
        if !is_safe && !headers.contains_key("idempotency-key") {
            insert(&mut headers, "Idempotency-Key", asker.idempotency_key)?;
        }
        let login = Login {
            headers: connection
                .map(login_headers)
                .transpose()?
                .unwrap_or_default(),
            // A connection that holds only a token names no server: it is for the one that the task names.
            origin: match &base {
                Some(base) => Url::parse(base).ok().map(|it| it.origin()),
                None => Some(url.origin()),
            },
        };
        Ok(Self {
            method,
            url,
            headers,
            body,
            login,
        })
    }

    /// The same request to another place. The query of the first is part of its URL, so the body alone is kept.
    pub(super) fn to(&self, url: Url) -> Self {
        Self {
            url,
            ..self.clone()
        }
    }

    /// The request that a redirect asks for.
    pub(super) fn redirected(&self, status: u16, url: Url) -> Self {
        let mut next = self.to(url);
        let becomes_get = match status {
            303 => self.method != Method::HEAD,
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            next.method = Method::GET;
            next.body = None;
            next.headers.remove(CONTENT_TYPE);
        }
        if self.url.origin() != next.url.origin() {
            // What the task's author wrote may be as secret as what the connection adds.
            next.headers.remove(AUTHORIZATION);
            next.headers.remove("cookie");
        }
        next
    }
}

fn method(name: &str) -> Result<Method, Failure> {
    let name = name.to_ascii_uppercase();
    Method::from_bytes(name.as_bytes())
        .map_err(|_| definition(format!("`method: {name}` is not an HTTP method")))
}

fn url(asker: &Asker<'_>, spec: &Http, base: Option<&str>) -> Result<Url, Failure> {
    let endpoint = render(asker, &spec.endpoint, "endpoint")?;
    let lower = endpoint.to_ascii_lowercase();
    let whole = if lower.starts_with("http://") || lower.starts_with("https://") {
        endpoint
    } else if let Some(base) = base {
        let base = base.trim_end_matches('/');
        match endpoint.trim_start_matches('/') {
            "" => base.to_owned(),
            path if path.starts_with('?') => format!("{base}{path}"),
            path => format!("{base}/{path}"),
        }
    } else {
        return Err(definition(format!(
            "`endpoint: {endpoint}` is not a whole URL, and no connection says where it is: set `conn_id` to a \
             connection with a host, or write the endpoint with http:// or https://"
        )));
    };
    Url::parse(&whole).map_err(|err| definition(format!("`{whole}` is not a URL: {err}")))
}

fn add_query(url: &mut Url, data: &Value) -> Result<(), Failure> {
    match data {
        Value::Null => (),
        Value::String(text) => {
            let query = match url.query() {
                Some(before) => format!("{before}&{text}"),
                None => text.clone(),
            };
            url.set_query(Some(&query));
        }
        Value::Object(map) => {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in map {
                match value {
                    Value::Null => (),
                    Value::Array(items) => {
                        for item in items {
                            pairs.append_pair(name, &text_of(item));
                        }
                    }
                    one => {
                        pairs.append_pair(name, &text_of(one));
                    }
                }
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            return Err(definition(
                "`data` of a GET is its query: give names and values, or the query as a text"
                    .to_owned(),
            ));
        }
    }
    Ok(())
}

fn body_of(data: Value, headers: &mut HeaderMap) -> Vec<u8> {
    let (body, kind) = match data {
        Value::String(text) => (text.into_bytes(), "text/plain; charset=utf-8"),
        json => (json.to_string().into_bytes(), "application/json"),
    };
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static(kind));
    body
}

/// `Authorization` and whatever `extra.headers` holds.
fn login_headers(connection: &Connection) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    let password = connection.password.as_ref().map(|it| it.expose());
    let token = connection.extra.get("token").and_then(Value::as_str);
    let authorization = match (token, connection.login.as_deref(), password) {
        (Some(token), _, _) | (None, None, Some(token)) => Some(format!("Bearer {token}")),
        (None, Some(login), password) => {
            let both = format!("{login}:{}", password.unwrap_or_default());
            Some(format!("Basic {}", STANDARD.encode(both)))
        }
        (None, None, None) => None,
    };
    if let Some(value) = authorization {
        insert(&mut headers, "Authorization", &value)?;
    }
    match connection.extra.get("headers") {
        None | Some(Value::Null) => (),
        Some(Value::Object(map)) => {
            for (name, value) in map {
                insert(&mut headers, name, &text_of(value))?;
            }
        }
        Some(_) => {
            return Err(definition(format!(
                "`headers` in the extra of connection `{}` must be an object of names and values",
                connection.conn_id
            )));
        }
    }
    for value in headers.values_mut() {
        value.set_sensitive(true);
    }
    Ok(headers)
}

// The value stays out of the message: it may be a secret that the masker does not know in this form.
fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Failure> {
    let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        definition(format!(
            "`{}` is not a header's name",
            name.escape_default()
        ))
    })?;
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        definition(format!(
            "the value of header `{name}` holds a line break or another control character"
        ))
    })?;
    headers.insert(key, value);
    Ok(())
}

fn render(asker: &Asker<'_>, source: &str, field: &str) -> Result<String, Failure> {
    template::render(source, asker.context, Quoting::Plain)
        .map_err(|err| definition(format!("cannot render `{field}`: {err}")))
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn definition(message: String) -> Failure {
    Failure::new(FailureKind::Definition, message)
}
