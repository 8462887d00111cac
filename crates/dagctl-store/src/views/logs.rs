//! Logs line by line.

use dagctl_core::ids::{AttemptKey, TaskInstanceKey};
use jiff::Timestamp;
use serde_json::Value;

use crate::{Store, StoreError};

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLineRow {
    /// Its number, from 0.
    pub line: i64,
    /// When it was written.
    pub at: Timestamp,
    /// Who wrote it.
    pub stream: LineStream,
    /// Its text.
    pub text: String,
}

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineStream {
    /// dagctl's operator.
    Task,
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
}

impl Store {
    /// The newest attempt of a task instance that has a log.
    pub async fn logged_attempt(
        &self,
        instance: TaskInstanceKey,
    ) -> Result<Option<i16>, StoreError> {
        Ok(sqlx::query_scalar!(
            "select max(attempt) from log_chunk where dag_run_id = $1 and task_index = $2 and map_index = $3",
            instance.dag_run_id.get(),
            instance.task_index.get(),
            instance.map_index.get()
        )
        .fetch_one(self.pool())
        .await?)
    }

    /// The lines of an attempt's log from line `from` on, in whole chunks, about `limit` of them.
    pub async fn log_lines(
        &self,
        key: AttemptKey,
        from: i64,
        limit: i64,
    ) -> Result<Vec<LogLineRow>, StoreError> {
        let rows = sqlx::query_file!(
            "src/views/log_lines.sql",
            key.instance.dag_run_id.get(),
            key.instance.task_index.get(),
            key.instance.map_index.get(),
            key.attempt.get(),
            from,
            limit
        )
        .fetch_all(self.pool())
        .await?;
        let mut lines = vec![];
        for row in rows {
            let Value::Array(chunk) = row.lines else {
                continue;
            };
            for (number, line) in (i64::from(row.first_line)..).zip(chunk) {
                if number >= from {
                    lines.push(line_row(number, &line)?);
                }
            }
        }
        Ok(lines)
    }
}

fn line_row(line: i64, value: &Value) -> Result<LogLineRow, StoreError> {
    let unreadable = || StoreError::Unreadable {
        table: "log_chunk",
        what: format!("line {line} is not [milliseconds, stream, text]"),
    };
    let (Some(at), Some(stream), Some(text)) = (
        value.get(0).and_then(Value::as_i64),
        value.get(1).and_then(Value::as_str),
        value.get(2).and_then(Value::as_str),
    ) else {
        return Err(unreadable());
    };
    Ok(LogLineRow {
        line,
        at: Timestamp::from_millisecond(at).map_err(|_| unreadable())?,
        stream: match stream {
            "t" => LineStream::Task,
            "o" => LineStream::Stdout,
            "e" => LineStream::Stderr,
            _ => return Err(unreadable()),
        },
        text: text.to_owned(),
    })
}
