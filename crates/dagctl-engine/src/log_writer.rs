//! Carries an attempt's lines into the store while it runs, in chunks.

use std::time::Duration;

use dagctl_core::ids::AttemptKey;
use dagctl_runner::{LogLine, Stream};
use dagctl_store::Store;
use dagctl_store::logs::LogChunk;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

/// How long lines are gathered before they are written; a reader sees them that late at most.
const GATHER: Duration = Duration::from_millis(200);
/// The most lines of one chunk.
const MOST_LINES: usize = 1000;
/// The most text of one chunk, in bytes.
const MOST_BYTES: usize = 256 * 1024;

/// Writes lines until the sender is gone. A database that is away is waited for: the attempt then waits with its
/// output, and nothing of it is lost.
pub(crate) async fn write_log(store: Store, key: AttemptKey, mut lines: mpsc::Receiver<LogLine>) {
    let mut first_line = 0;
    while let Some(line) = lines.recv().await {
        let deadline = Instant::now() + GATHER;
        let mut size = line.text.len();
        let mut chunk = vec![value(&line)];
        while chunk.len() < MOST_LINES && size < MOST_BYTES {
            let Ok(Some(line)) = timeout_at(deadline, lines.recv()).await else {
                break;
            };
            size += line.text.len();
            chunk.push(value(&line));
        }
        let line_count = i32::try_from(chunk.len()).unwrap_or(i32::MAX);
        let chunk = LogChunk {
            key,
            first_line,
            line_count,
            lines: Value::Array(chunk),
        };
        first_line += line_count;
        append(&store, chunk).await;
    }
}

async fn append(store: &Store, chunk: LogChunk) {
    let chunk = [chunk];
    let mut pause = Duration::from_millis(100);
    for _ in 0..20 {
        match store.append_log(&chunk).await {
            Ok(()) => return,
            Err(error) => tracing::warn!("Lines of a task's log wait for the database: {error}"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
    tracing::error!("Dropped lines of a task's log: the database did not take them");
}

fn value(line: &LogLine) -> Value {
    let stream = match line.stream {
        Stream::Task => "t",
        Stream::Stdout => "o",
        Stream::Stderr => "e",
    };
    json!([line.at.as_millisecond(), stream, line.text])
}
