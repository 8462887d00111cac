//! Carries attempts' lines into the store while they run: in chunks, and many attempts' chunks at once.

use std::fmt::Write as _;
use std::time::Duration;

use dagctl_core::ids::AttemptKey;
use dagctl_runner::{LogLine, Stream};
use dagctl_store::Store;
use dagctl_store::logs::LogChunk;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use crate::grouped::Grouped;

/// How long lines are gathered before they are written; a reader sees them that late at most.
const GATHER: Duration = Duration::from_millis(200);
/// The most lines of one chunk.
const MOST_LINES: usize = 1000;
/// The most text of one chunk, in bytes.
const MOST_BYTES: usize = 256 * 1024;
/// The most chunks of one statement.
const MOST_CHUNKS: usize = 64;
/// How often a chunk is tried that the database does not take.
const TRIES: usize = 20;

/// Writes the lines of every attempt of this process.
#[derive(Debug)]
pub(crate) struct LogWriter(Grouped<LogChunk, ()>);

impl Default for LogWriter {
    fn default() -> Self {
        Self(Grouped::new(MOST_CHUNKS))
    }
}

impl LogWriter {
    /// Writes lines until the sender is gone. A database that is away is waited for: the attempt then waits with its
    /// output, and nothing of it is lost.
    pub(crate) async fn write(
        &self,
        store: &Store,
        key: AttemptKey,
        mut lines: mpsc::Receiver<LogLine>,
    ) {
        let mut first_line = 0;
        while let Some(line) = lines.recv().await {
            let deadline = Instant::now() + GATHER;
            let (mut count, mut text) = (1, String::from("["));
            add(&mut text, &line);
            while count < MOST_LINES && text.len() < MOST_BYTES {
                let Ok(Some(line)) = timeout_at(deadline, lines.recv()).await else {
                    break;
                };
                text.push(',');
                add(&mut text, &line);
                count += 1;
            }
            text.push(']');
            let line_count = i32::try_from(count).unwrap_or(i32::MAX);
            let chunk = LogChunk {
                key,
                first_line,
                line_count,
                lines: text,
            };
            first_line += line_count;
            let store = store.clone();
            let answer = move |chunks| append(store.clone(), chunks);
            self.0.ask(chunk, answer).await;
        }
    }
}

async fn append(store: Store, mut chunks: Vec<LogChunk>) -> Vec<()> {
    let answers = vec![(); chunks.len()];
    let mut pause = Duration::from_millis(100);
    for _ in 0..TRIES {
        match store.append_log(&chunks).await {
            Ok(()) => return answers,
            Err(error) if error.is_transient() => {
                tracing::warn!("Lines of tasks' logs wait for the database: {error}");
            }
            Err(error) => {
                // One that the database never takes must not hold up the others.
                chunks = one_by_one(&store, chunks).await;
                if chunks.is_empty() {
                    return answers;
                }
                tracing::warn!("Lines of a task's log were not taken, next try soon: {error}");
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
    tracing::error!("Dropped lines of tasks' logs: the database did not take them");
    answers
}

/// The chunks that were not taken.
async fn one_by_one(store: &Store, chunks: Vec<LogChunk>) -> Vec<LogChunk> {
    let mut left = vec![];
    for chunk in chunks {
        if store
            .append_log(std::slice::from_ref(&chunk))
            .await
            .is_err()
        {
            left.push(chunk);
        }
    }
    left
}

/// Adds `[milliseconds since 1970, stream letter, text]`.
fn add(chunk: &mut String, line: &LogLine) {
    let stream = match line.stream {
        Stream::Task => "t",
        Stream::Stdout => "o",
        Stream::Stderr => "e",
    };
    let at = line.at.as_millisecond();
    // Writing to a text cannot fail.
    let _ = write!(
        chunk,
        "[{at},\"{stream}\",{}]",
        Value::from(line.text.as_str())
    );
}

#[cfg(test)]
mod tests {
    use dagctl_core::ids::{AttemptNo, DagRunId, MapIndex, TaskIndex, TaskInstanceKey};
    use dagctl_store::database::MIGRATIONS;
    use dagctl_testkit::TestDatabase;
    use jiff::Timestamp;

    use super::*;

    /// An attempt of a run that was made just now.
    async fn key(database: &TestDatabase, task_index: i32) -> AttemptKey {
        let run: i64 =
            sqlx::query_scalar("select (extract(epoch from now()) * 1000)::bigint << 20")
                .fetch_one(&database.pool)
                .await
                .unwrap();
        AttemptKey {
            instance: TaskInstanceKey {
                dag_run_id: DagRunId(run),
                task_index: TaskIndex(task_index),
                map_index: MapIndex(-1),
            },
            attempt: AttemptNo(1),
        }
    }

    fn line(text: String) -> LogLine {
        LogLine {
            at: Timestamp::UNIX_EPOCH,
            stream: Stream::Task,
            text,
        }
    }

    #[tokio::test]
    async fn lines_wait_for_the_database_and_arrive_whole_and_in_order() {
        let database = TestDatabase::migrated(&MIGRATIONS).await;
        let store = Store::from_pool(database.pool.clone());
        let writer = LogWriter::default();
        let away = "alter table log_chunk rename to away";
        sqlx::raw_sql(away).execute(&database.pool).await.unwrap();
        let back = async {
            // More lines than fit into one chunk are sent before the table is there again.
            sleep(Duration::from_millis(300)).await;
            let back = "alter table away rename to log_chunk";
            sqlx::raw_sql(back).execute(&database.pool).await.unwrap();
        };
        let mut keys = vec![];
        for task in 0..3 {
            keys.push(key(&database, task).await);
        }
        let attempts = futures::future::join_all(keys.iter().map(|key| async {
            let (sender, receiver) = mpsc::channel(5000);
            for number in 0..2500 {
                let text = format!("{} \"{number}\"\u{1}", key.instance.task_index);
                sender.send(line(text)).await.unwrap();
            }
            drop(sender);
            writer.write(&store, *key, receiver).await;
        }));
        tokio::join!(attempts, back);
        for key in keys {
            let found = store.log_lines(key, 0, 10_000).await.unwrap();
            let texts: Vec<_> = found.into_iter().map(|it| it.text).collect();
            let expected: Vec<_> = (0..2500)
                .map(|number| format!("{} \"{number}\"\u{1}", key.instance.task_index))
                .collect();
            assert_eq!(texts, expected);
        }
    }
}
