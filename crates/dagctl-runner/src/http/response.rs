//! What came back: its body in memory or on disk, and the `response` that expressions see.

use std::path::PathBuf;
use std::time::Duration;

use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::retry::MAX_BACKOFF;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use serde_json::{Map, Value, json};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;
use url::Url;

use super::client;

/// The largest body that is kept in memory, where expressions can see it.
const MAX_IN_MEMORY: u64 = 10 * 1024 * 1024;

/// How much of a body is shown in a message.
const EXCERPT: usize = 500;

/// An answer that was read to its end.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) url: Url,
    pub(super) size: u64,
    /// The whole body, or its beginning where the rest is on disk.
    body: Vec<u8>,
    is_whole: bool,
}

impl Response {
    /// Reads the body, into `file` where there is one.
    pub(super) async fn read(
        response: reqwest::Response,
        file: Option<&PathBuf>,
    ) -> Result<Self, Failure> {
        let mut read = Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            url: response.url().clone(),
            size: 0,
            body: Vec::new(),
            is_whole: file.is_none(),
        };
        read.take_body(response, file).await?;
        Ok(read)
    }

    async fn take_body(
        &mut self,
        mut response: reqwest::Response,
        path: Option<&PathBuf>,
    ) -> Result<(), Failure> {
        let mut file = match path {
            Some(path) => Some((
                path,
                File::create(path).await.map_err(|err| on_disk(path, err))?,
            )),
            None => None,
        };
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|err| client::failure(&self.url, err))?
        {
            self.size += chunk.len() as u64;
            match &mut file {
                Some((path, file)) => {
                    let room = EXCERPT.saturating_sub(self.body.len()).min(chunk.len());
                    self.body.extend_from_slice(&chunk[..room]);
                    file.write_all(&chunk)
                        .await
                        .map_err(|err| on_disk(path, err))?;
                }
                None if self.size > MAX_IN_MEMORY => {
                    let message = format!(
                        "{} answers with more than {MAX_IN_MEMORY} bytes, which is all that is kept in memory: set \
                         `output_file` to write the answer to a file",
                        client::shown(&self.url)
                    );
                    return Err(Failure::new(FailureKind::Definition, message));
                }
                None => self.body.extend_from_slice(&chunk),
            }
        }
        if let Some((path, file)) = &mut file {
            file.flush().await.map_err(|err| on_disk(path, err))?;
        }
        Ok(())
    }

    /// `response` in an expression. A body on disk shows neither `text` nor `json`.
    pub(super) fn as_value(&self) -> Value {
        let mut headers = Map::new();
        for name in self.headers.keys() {
            let values: Vec<_> = self
                .headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            headers.insert(name.as_str().to_owned(), Value::String(values.join(", ")));
        }
        let (text, json) = match self.is_whole {
            true => (
                Value::String(self.text()),
                serde_json::from_slice(&self.body).unwrap_or(Value::Null),
            ),
            false => (Value::Null, Value::Null),
        };
        json!({
            "status": self.status,
            "headers": headers,
            "text": text,
            "json": json,
            "size": self.size,
            "url": self.url.as_str(),
        })
    }

    fn content_type(&self) -> &str {
        self.headers
            .get(CONTENT_TYPE)
            .and_then(|it| it.to_str().ok())
            .unwrap_or("no content type")
    }

    fn text(&self) -> String {
        let kind = self.content_type().to_ascii_lowercase();
        if kind.contains("charset=iso-8859-1") || kind.contains("charset=latin1") {
            return self.body.iter().map(|byte| char::from(*byte)).collect();
        }
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The beginning of the body, for a message.
    pub(super) fn excerpt(&self) -> String {
        let text = self.text();
        let text = text.trim();
        let end = text.floor_char_boundary(EXCERPT);
        match (text.is_empty(), end < text.len()) {
            (true, _) => format!("an empty body ({})", self.content_type()),
            (false, false) => format!("({}) {text}", self.content_type()),
            (false, true) => format!("({}) {} …", self.content_type(), &text[..end]),
        }
    }

    /// How long the other side asks us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }
}

fn on_disk(path: &std::path::Path, err: std::io::Error) -> Failure {
    let message = format!("cannot write {}: {err}", path.display());
    Failure::new(FailureKind::Definition, message)
}

/// Removes a file that shall not stay; it may not be there.
pub(super) async fn discard(path: &PathBuf) {
    let _ = fs::remove_file(path).await;
}

/// `Retry-After` in seconds or as a date, a day at most.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds).min(MAX_BACKOFF));
    }
    let until = date(text)?;
    // The other side's clock where it is shown: ours may be wrong.
    let now = headers
        .get(DATE)
        .and_then(|it| date(it.to_str().ok()?))
        .unwrap_or_else(now);
    let pause = until.duration_since(now);
    Some(
        Duration::try_from(pause)
            .unwrap_or_default()
            .min(MAX_BACKOFF),
    )
}

fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a pause is counted from the moment the answer arrives"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn pause(retry_after: &'static str, date: &'static str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(retry_after));
        headers.insert(DATE, HeaderValue::from_static(date));
        super::retry_after(&headers).map(|it| it.as_secs())
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let noon = "Sun, 22 Nov 2026 12:00:00 GMT";
        assert_eq!(pause("90", noon), Some(90));
        assert_eq!(pause("Sun, 22 Nov 2026 12:02:00 GMT", noon), Some(120));
        assert_eq!(pause("Sun, 22 Nov 2026 11:00:00 GMT", noon), Some(0));
        assert_eq!(pause("999999999999", noon), Some(24 * 3600));
        assert_eq!(pause("soon", noon), None);
        assert_eq!(pause("-5", noon), None);
    }
}
