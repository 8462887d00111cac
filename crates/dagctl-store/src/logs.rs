//! Task output, line by line, in chunks.

use dagctl_core::ids::AttemptKey;

use crate::{Store, StoreError};

/// Some lines of one attempt's log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogChunk {
    /// Whose they are.
    pub key: AttemptKey,
    /// The number of the first one, from 0.
    pub first_line: i32,
    /// How many.
    pub line_count: i32,
    /// JSON: `[[milliseconds since 1970, stream letter, text], …]`.
    pub lines: String,
}

impl Store {
    /// Writes chunks of any attempts. A chunk that is there already is left as it is.
    pub async fn append_log(&self, chunks: &[LogChunk]) -> Result<(), StoreError> {
        let columns = crate::attempts::Columns::of(chunks.iter().map(|it| &it.key));
        sqlx::query!(
            "insert into log_chunk (dag_run_id, task_index, map_index, attempt, first_line, line_count, lines)
            select dag_run_id, task_index, map_index, attempt, first_line, line_count, lines::jsonb
            from unnest($1::bigint[], $2::int[], $3::int[], $4::smallint[], $5::int[], $6::int[], $7::text[])
                as chunk (dag_run_id, task_index, map_index, attempt, first_line, line_count, lines)
            on conflict do nothing",
            &columns.dag_run_ids,
            &columns.task_indexes,
            &columns.map_indexes,
            &columns.attempts,
            &chunks.iter().map(|it| it.first_line).collect::<Vec<_>>(),
            &chunks.iter().map(|it| it.line_count).collect::<Vec<_>>(),
            &chunks.iter().map(|it| it.lines.clone()).collect::<Vec<_>>()
        )
        .execute(self.pool())
        .await?;
        Ok(())
    }
}
