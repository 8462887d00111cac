//! `operator: load_file`: a CSV file is streamed into a staging table, which is checked and published like any other.

mod records;
mod source;

use std::time::Instant;

use bytes::BytesMut;
use dagctl_core::operator::{LoadFile, LoadMode};
use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::sql_text::literal;
use serde_json::{Map, Value};
use tokio::io::AsyncReadExt;

use self::records::{Record, Records};
use self::source::Source;
use crate::build_table::{self, Build, Fill, Joining, quoted};
use crate::sql::error::{Sent, failure};
use crate::sql::rendered;
use crate::sql::session::{Session, took};
use crate::{Attempt, Log};

/// How much is handed to the database at a time.
const CHUNK: usize = 64 * 1024;

pub(crate) async fn run(
    attempt: &Attempt,
    spec: &LoadFile,
    log: &Log,
) -> Result<Map<String, Value>, Failure> {
    let file = rendered(&spec.file, &attempt.context, "file")?;
    let delimiter = u8::try_from(spec.delimiter)
        .ok()
        .filter(|it| it.is_ascii() && !matches!(it, b'"' | b'\n' | b'\r' | 0))
        .ok_or_else(|| {
            let message = format!(
                "`delimiter` is {:?}; it may be any one ASCII character but a quote or a line's end",
                spec.delimiter
            );
            Failure::new(FailureKind::Definition, message)
        })?;
    let csv = Csv {
        attempt,
        spec,
        file,
        delimiter,
    };
    build_table::publish(attempt, &spec.target, log, csv).await
}

struct Csv<'a> {
    attempt: &'a Attempt,
    spec: &'a LoadFile,
    file: String,
    delimiter: u8,
}

/// A column of the staging table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    definition: String,
    /// Whether the file may lack it.
    has_default: bool,
    /// Whether it is there only where the file has it.
    is_optional: bool,
}

impl Fill for Csv<'_> {
    async fn fill(&mut self, session: &mut Session, build: &Build) -> Result<u64, Failure> {
        if session.is_redshift() {
            let message = "`load_file` streams with COPY FROM STDIN, which Redshift does not have: \
                           put the file on S3 and use an `sql` task with COPY";
            return Err(Failure::new(FailureKind::Definition, message));
        }
        let known = self.columns(session, build).await?;
        let since = Instant::now();
        let mut source = Source::open(self.attempt, &self.file).await?;
        session.log.line(format!("loading {}", source.words)).await;
        let mut records = Records::new(self.delimiter, source.words.clone());
        let mut chunk = BytesMut::with_capacity(CHUNK);

        // The first record: it says which columns there are, or at least how many fields.
        let first = loop {
            if let Some(first) = records.next()? {
                break Some(first);
            }
            chunk.clear();
            if source
                .reader
                .read_buf(&mut chunk)
                .await
                .map_err(|err| source.broke(&err))?
                == 0
            {
                break records.finish()?;
            }
            records.push(&chunk);
        };
        let in_file = match (&first, self.spec.header) {
            (Some(record), true) => self.header(record, &known)?,
            (None, true) => {
                let message = format!("{} is empty: it has no header", source.words);
                return Err(Failure::new(FailureKind::Check, message));
            }
            (_, false) => known.iter().filter(|it| !it.is_optional).cloned().collect(),
        };
        records.expect(in_file.len(), self.spec.header);
        self.create(session, build, &known, &in_file).await?;

        let names: Vec<_> = in_file.iter().map(|it| quoted(&it.name)).collect();
        let sql = format!(
            "copy {} ({}) from stdin with (format csv, header {}, delimiter {})",
            build.staging(),
            names.join(", "),
            self.spec.header,
            literal(&char::from(self.delimiter).to_string())
        );
        session.announce(&sql).await;
        let endpoint = session.endpoint.clone();
        let broken = |err: &sqlx::Error| {
            let failed = failure(err, Sent::whole(&sql), &endpoint);
            Failure {
                message: format!("cannot load {}: {}", source.words, failed.message),
                ..failed
            }
        };
        session.is_ready = false;
        let mut copy = session
            .raw()?
            .copy_in_raw(&sql)
            .await
            .map_err(|err| broken(&err))?;
        let mut outgoing = Vec::with_capacity(2 * CHUNK);
        let mut total = 0_u64;
        let mut next = Ok(first);
        let ended = loop {
            match next {
                Ok(Some(record)) => {
                    if let Err(problem) = records.check(&record) {
                        break Err(problem);
                    }
                    record.write(&mut outgoing);
                    if outgoing.len() >= CHUNK {
                        total += outgoing.len() as u64;
                        if let Err(err) = copy.send(outgoing.as_slice()).await {
                            return Err(broken(&err));
                        }
                        outgoing.clear();
                    }
                    next = records.next();
                }
                Ok(None) if records.is_finished() => break Ok(()),
                Ok(None) => {
                    chunk.clear();
                    match source.reader.read_buf(&mut chunk).await {
                        Ok(0) => next = records.finish(),
                        Ok(_) => {
                            records.push(&chunk);
                            next = records.next();
                        }
                        Err(err) => break Err(source.broke(&err)),
                    }
                }
                Err(problem) => break Err(problem),
            }
        };
        if let Err(problem) = ended {
            // The server's own complaint about an earlier record comes first.
            return match copy.abort("the file cannot be read on").await {
                Err(err @ sqlx::Error::Database(_)) => Err(broken(&err)),
                Ok(()) | Err(_) => Err(problem),
            };
        }
        total += outgoing.len() as u64;
        if let Err(err) = copy.send(outgoing.as_slice()).await {
            return Err(broken(&err));
        }
        let rows = copy.finish().await.map_err(|err| broken(&err))?;
        let text = format!("→ {rows} rows, {total} bytes in {}", took(since.elapsed()));
        session.is_ready = true;
        session.log.line(text).await;
        Ok(rows)
    }

    fn joining(&self) -> Joining {
        match self.spec.mode {
            LoadMode::Replace => Joining::Replace,
            LoadMode::Append => Joining::Append,
        }
    }
}

impl Csv<'_> {
    /// The columns that the task names, or else the live table's.
    async fn columns(&self, session: &mut Session, build: &Build) -> Result<Vec<Column>, Failure> {
        if !self.spec.columns.is_empty() {
            let columns = self.spec.columns.iter();
            return Ok(columns
                .map(|(name, sql_type)| Column {
                    name: name.clone(),
                    definition: format!("{} {sql_type}", quoted(name)),
                    has_default: false,
                    is_optional: false,
                })
                .collect());
        }
        let sql = format!(
            "select a.attname, quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
                 || case when a.attcollation <> t.typcollation then ' collate ' || a.attcollation::regcollation else '' end
                 || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), ''),
                 d.adbin is not null, a.attidentity <> ''
             from pg_catalog.pg_attribute a
             join pg_catalog.pg_type t on t.oid = a.atttypid
             left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
             where a.attrelid = to_regclass({}) and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
             order by a.attnum",
            literal(&build.table())
        );
        let columns: Vec<_> = session
            .query(&sql)
            .await?
            .into_iter()
            .filter_map(|row| match <[Option<String>; 4]>::try_from(row) {
                Ok([Some(name), Some(definition), has_default, is_identity]) => Some(Column {
                    name,
                    definition,
                    has_default: has_default.as_deref() == Some("t"),
                    is_optional: is_identity.as_deref() == Some("t"),
                }),
                _ => None,
            })
            .collect();
        if columns.is_empty() {
            let message = format!(
                "{} does not exist yet, so the task must say which `columns` it has, such as `columns: {{name: text}}`",
                build.table()
            );
            return Err(Failure::new(FailureKind::Definition, message));
        }
        Ok(columns)
    }

    /// The columns in the header's order.
    fn header(&self, record: &Record, known: &[Column]) -> Result<Vec<Column>, Failure> {
        let wrong = |problem: String| {
            let text = record.text();
            let message = format!(
                "line {} of the file, the header, {problem}\n  {text}",
                record.line
            );
            Failure::new(FailureKind::Check, message)
        };
        let mut found: Vec<Column> = vec![];
        let mut unknown = vec![];
        for field in record.fields(self.delimiter) {
            let field = field.trim();
            let same = |it: &&Column| it.name.to_lowercase() == field.to_lowercase();
            match known.iter().find(same) {
                Some(column) if found.contains(column) => {
                    return Err(wrong(format!("names `{field}` twice")));
                }
                Some(column) => found.push(column.clone()),
                None => unknown.push(field.to_owned()),
            }
        }
        let list = |names: &mut dyn Iterator<Item = &str>| {
            let names: Vec<_> = names.map(|it| format!("`{it}`")).collect();
            names.join(", ")
        };
        let all = list(&mut known.iter().map(|it| it.name.as_str()));
        if !unknown.is_empty() {
            let unknown = list(&mut unknown.iter().map(String::as_str));
            return Err(wrong(format!(
                "names {unknown}, which is no column; the columns are {all}"
            )));
        }
        let mut missing = known
            .iter()
            .filter(|it| !it.has_default && !it.is_optional && !found.contains(it))
            .map(|it| it.name.as_str())
            .peekable();
        if missing.peek().is_some() {
            let missing = list(&mut missing);
            return Err(wrong(format!("lacks {missing}; the columns are {all}")));
        }
        Ok(found)
    }

    async fn create(
        &self,
        session: &mut Session,
        build: &Build,
        known: &[Column],
        in_file: &[Column],
    ) -> Result<(), Failure> {
        let columns: Vec<_> = known
            .iter()
            .filter(|it| !it.is_optional || in_file.contains(it))
            .map(|it| it.definition.clone())
            .collect();
        let sql = format!("create table {} ({})", build.staging(), columns.join(", "));
        session.announce(&sql).await;
        session.execute(&sql).await.map_err(|failed| Failure {
            message: format!("cannot create the staging table: {}", failed.message),
            ..failed
        })?;
        Ok(())
    }
}
