//! Reads server-sent events from an answer, piece by piece.

use dagctl_api::runs::RunEvent;
use reqwest::Response;

/// The events of a run, in the order they happen.
pub(crate) struct Events {
    answer: Response,
    held: Vec<u8>,
}

impl Events {
    /// Begins to read.
    pub(crate) fn new(answer: Response) -> Self {
        Self {
            answer,
            held: vec![],
        }
    }

    /// The next event, or nothing when the stream has ended or broken.
    pub(crate) async fn next(&mut self) -> Option<RunEvent> {
        loop {
            while let Some(end) = self.held.iter().position(|it| *it == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                if let Some(event) = event(&line) {
                    return Some(event);
                }
            }
            match self.answer.chunk().await {
                Ok(Some(chunk)) => self.held.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

/// An event's data, where the line holds some. The server writes each in one line.
fn event(line: &[u8]) -> Option<RunEvent> {
    let data = line.strip_prefix(b"data:")?;
    serde_json::from_slice(data.trim_ascii()).ok()
}
