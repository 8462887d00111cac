//! A message as one request: no log, no checks, no pages; and what its sender must know of its end.

use std::collections::BTreeMap;
use std::time::Duration;

use dagctl_core::callback::HttpNotifier;
use dagctl_core::connection::Connection;
use dagctl_core::operator::Http;
use dagctl_core::template::Context;
use reqwest::Client;
use serde_json::Value;

use super::request::{Asker, Request};
use super::{chain, check_url, find_refused, retry_after};
use crate::Delivery;

/// How long the other side may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait where the other side asks to be left alone and does not say how long.
const DEFAULT_PAUSE: Duration = Duration::from_secs(30);

/// Makes a notifier's request with `data` as its body. What a changed connection or Variable can mend is worth another try.
pub async fn tell(
    client: &Client,
    notifier: &HttpNotifier,
    data: Value,
    context: &Context,
    connections: &BTreeMap<String, Connection>,
    idempotency_key: &str,
) -> Delivery {
    let spec = Http {
        conn_id: notifier.conn_id.clone(),
        endpoint: notifier.endpoint.clone(),
        method: notifier.method.clone(),
        headers: notifier.headers.clone(),
        data: None,
        response_check: None,
        response_filter: None,
        output_file: None,
        paging: None,
    };
    let asker = Asker {
        context,
        connections,
        idempotency_key,
    };
    let request = match Request::with(&asker, &spec, Some(data)) {
        Ok(request) => request,
        Err(failure) => return Delivery::Retry(failure.message),
    };
    if let Err(refused) = check_url(&request.url) {
        return Delivery::Refused(refused.to_string());
    }
    let mut headers = request.headers.clone();
    for (name, value) in request
        .login
        .headers_for(&request.url)
        .into_iter()
        .flatten()
    {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    let mut asked = client
        .request(request.method.clone(), request.url.clone())
        .headers(headers)
        .timeout(TIMEOUT);
    if let Some(body) = &request.body {
        asked = asked.body(body.clone());
    }
    match asked.send().await {
        Ok(answer) if answer.url() != &request.url => {
            // A followed redirect turns a POST into a GET, whose answer says nothing about the message.
            Delivery::Refused("its address redirects elsewhere".to_owned())
        }
        Ok(answer) => match answer.status().as_u16() {
            200..300 => Delivery::Sent,
            429 => Delivery::RetryAfter(retry_after(answer.headers()).unwrap_or(DEFAULT_PAUSE)),
            408 | 500.. => Delivery::Retry(format!("it answered {}", answer.status())),
            _ => Delivery::Refused(format!("it answered {}", answer.status())),
        },
        Err(err) => unanswered(&err.without_url()),
    }
}

fn unanswered(err: &reqwest::Error) -> Delivery {
    if let Some(refused) = find_refused(err) {
        return Delivery::Refused(refused.to_string());
    }
    let reason = chain(err);
    if err.is_connect() {
        Delivery::Retry(format!("cannot connect: {reason}"))
    } else if err.is_builder() {
        Delivery::Refused(format!("cannot make the request: {reason}"))
    } else {
        Delivery::Doubtful(format!("no answer: {reason}"))
    }
}
