//! Posts a message to a Slack webhook, and tells apart what a sender must know: sent, later, never, or perhaps.

use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use url::Url;

use crate::Delivery;
use crate::http::{chain, check_url, find_refused, retry_after};

/// Where Slack's webhooks are; a setting, so that a stub can stand in.
pub const BASE_URL: &str = "https://hooks.slack.com/services/";

/// How long Slack may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait where Slack asks to be left alone and does not say how long.
const DEFAULT_PAUSE: Duration = Duration::from_secs(30);

/// Posts `payload` to a webhook.
pub async fn post(client: &Client, url: &Url, payload: &Value) -> Delivery {
    if let Err(refused) = check_url(url) {
        return Delivery::Refused(refused.to_string());
    }
    let request = client.post(url.clone()).timeout(TIMEOUT).json(payload);
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(err) => return unanswered(&err.without_url()),
    };
    let status = response.status();
    if response.url() != url {
        // A followed redirect turns a POST into a GET, whose answer says nothing about the message.
        return Delivery::Refused("the webhook's address redirects elsewhere".to_owned());
    }
    match status.as_u16() {
        429 => Delivery::RetryAfter(retry_after(response.headers()).unwrap_or(DEFAULT_PAUSE)),
        408 | 500.. => Delivery::Retry(format!("Slack answered {status}")),
        // Without its body we still know that Slack took it.
        200..300 => match said(&mut response).await {
            Some(text) if !is_consent(&text) => {
                Delivery::Refused(format!("Slack answered {status}: {text}"))
            }
            Some(_) | None => Delivery::Sent,
        },
        _ => {
            let text = said(&mut response).await.unwrap_or_default();
            Delivery::Refused(format!("Slack answered {status}: {text}"))
        }
    }
}

fn unanswered(err: &reqwest::Error) -> Delivery {
    if let Some(refused) = find_refused(err) {
        return Delivery::Refused(refused.to_string());
    }
    let reason = chain(err);
    if err.is_connect() {
        Delivery::Retry(format!("cannot connect to Slack: {reason}"))
    } else if err.is_builder() {
        Delivery::Refused(format!("cannot make the request: {reason}"))
    } else {
        Delivery::Doubtful(format!("no answer from Slack: {reason}"))
    }
}

/// The beginning of the answer's text; `None` where it did not arrive.
async fn said(response: &mut reqwest::Response) -> Option<String> {
    const ENOUGH: usize = 200;
    let mut bytes = Vec::new();
    while bytes.len() < ENOUGH
        && let Some(chunk) = response.chunk().await.ok()?
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(ENOUGH);
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// Slack says `ok`; services that understand its webhooks say nothing, or the same in JSON.
fn is_consent(text: &str) -> bool {
    let said_so = |field: &str| {
        serde_json::from_str::<Value>(text)
            .ok()
            .and_then(|it| it.get(field)?.as_bool())
            == Some(true)
    };
    text.is_empty() || text.eq_ignore_ascii_case("ok") || said_so("ok") || said_so("success")
}

/// Why the value of `slack_url` is no webhook. Never holds the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the Variable `slack_url` is not a webhook ({0}): set it to the whole URL, or to the part after `/services/`, \
     such as T000/B000/XXXX"
)]
pub struct WebhookError(String);

/// The webhook's address from the Variable `slack_url`: a whole URL, or the part after `/services/`.
pub fn webhook_url(base: &str, slack_url: &str) -> Result<Url, WebhookError> {
    let wrong = |problem: &str| WebhookError(problem.to_owned());
    let value = slack_url.trim();
    if value.is_empty() {
        return Err(wrong("it is empty"));
    }
    if value.contains(|char: char| char.is_whitespace() || char.is_control()) {
        return Err(wrong("it holds a blank"));
    }
    let whole = match value.contains("://") {
        true => value.to_owned(),
        false => {
            let part = value.trim_start_matches('/');
            let part = part.strip_prefix("services/").unwrap_or(part);
            format!("{}/{part}", base.trim_end_matches('/'))
        }
    };
    let url = Url::parse(&whole).map_err(|err| wrong(&err.to_string()))?;
    check_url(&url).map_err(|refused| wrong(&refused.to_string()))?;
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_a_whole_url_or_the_part_after_services() {
        let expected = "https://hooks.slack.com/services/T0/B0/x";
        for value in [
            expected,
            "T0/B0/x",
            "/T0/B0/x",
            "services/T0/B0/x",
            " T0/B0/x\n",
        ] {
            assert_eq!(webhook_url(BASE_URL, value).unwrap().as_str(), expected);
        }
        let stub = webhook_url("http://127.0.0.1:9/hooks", "T0/B0/x").unwrap();
        assert_eq!(stub.as_str(), "http://127.0.0.1:9/hooks/T0/B0/x");
        for wrong in ["", "  ", "T0 B0", "ftp://x/y", "http://169.254.169.254/"] {
            let err = webhook_url(BASE_URL, wrong).unwrap_err().to_string();
            assert!(err.contains("slack_url"), "{err}");
        }
    }
}
