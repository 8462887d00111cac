//! `operator: sql` and `operator: sql_check`, and what every operator on a user's database shares.

pub(crate) mod checks;
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod parameters;
mod relation;
pub(crate) mod session;
pub(crate) mod value;

use std::time::Instant;

use dagctl_core::operator::{Fetch, Sql, SqlCheck, SqlSensor};
use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::sql_text::{self, Statement};
use dagctl_core::template::{self, Context, Quoting};
use serde_json::{Map, Value, json};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use self::error::Sent;
use self::parameters::{Form, Preparing};
use self::session::Session;
use crate::{Attempt, Log};

/// How many rows can become outputs, and how many bytes of JSON.
const MAX_ROWS: usize = 10_000;
const MAX_BYTES: usize = 4 * 1024 * 1024;

pub(crate) async fn run(
    attempt: &Attempt,
    spec: &Sql,
    log: &Log,
) -> Result<Map<String, Value>, Failure> {
    let text = rendered(&spec.sql, &attempt.context, "sql")?;
    let values = rendered_parameters(attempt, &spec.parameters)?;
    let statements = sql_text::split(&text);
    refuse_copy(&statements)?;
    if statements.is_empty() {
        return Err(Failure::new(
            FailureKind::Definition,
            "`sql` holds no statement",
        ));
    }
    let mut session = Session::open(attempt, &spec.conn_id, log).await?;
    let result = run_statements(&mut session, spec, &text, &statements, &values).await;
    match result {
        Ok(outputs) => {
            session.close().await;
            Ok(outputs)
        }
        Err(failure) => Err(session.abandon(failure).await),
    }
}

async fn run_statements(
    session: &mut Session,
    spec: &Sql,
    text: &str,
    statements: &[Statement<'_>],
    values: &Map<String, Value>,
) -> Result<Map<String, Value>, Failure> {
    let in_one = !spec.autocommit;
    if in_one {
        session.execute("begin").await?;
    }
    let mut fetched = Fetched::new(spec.fetch);
    for statement in statements {
        // Outputs are those of the last result.
        fetched = Fetched::new(spec.fetch);
        run_statement(session, text, *statement, values, |row| fetched.take(row)).await?;
    }
    if in_one {
        session.execute("commit").await?;
        if statements.len() > 1 {
            session.log.line("committed").await;
        }
    }
    fetched.outputs()
}

/// Sends one statement of `text` with its values; the first error of the server or of `each` ends it.
async fn run_statement(
    session: &mut Session,
    text: &str,
    statement: Statement<'_>,
    values: &Map<String, Value>,
    mut each: impl FnMut(&PgRow) -> Result<(), Failure> + Send,
) -> Result<(), Failure> {
    let preparing = if session.is_redshift() {
        Preparing::Never
    } else {
        Preparing::Where
    };
    let form = parameters::bind(statement.text, values, preparing)?;
    let lines_before = text[..statement.offset].matches('\n').count();
    session.announce(statement.text).await;
    let since = Instant::now();
    let rows = match &form {
        Form::Text(sql) => {
            let sent = Sent {
                sql,
                prefix: 0,
                lines_before,
            };
            session.stream(sent, |row| each(&row)).await?
        }
        Form::Prepared {
            prepare,
            prefix,
            execute,
            deallocate,
        } => {
            let sent = Sent {
                sql: prepare,
                prefix: *prefix,
                lines_before,
            };
            session.stream(sent, |_| Ok(())).await?;
            // An error's place would be in our own `execute`: nothing of it is the user's text.
            let sent = Sent {
                sql: execute,
                prefix: execute.len(),
                lines_before,
            };
            let rows = session.stream(sent, |row| each(&row)).await?;
            session.execute(deallocate).await?;
            rows
        }
    };
    session.report(rows, since).await;
    Ok(())
}

/// `COPY … FROM STDIN` waits for data that nobody here has.
fn refuse_copy(statements: &[Statement<'_>]) -> Result<(), Failure> {
    for statement in statements {
        let words = sql_text::words(statement.text);
        let is_copy = words.first().is_some_and(|it| it == "COPY");
        if is_copy && words.iter().any(|it| it == "STDIN" || it == "STDOUT") {
            let message = format!(
                "`{}`: COPY cannot use STDIN or STDOUT in an `sql` task; to load a file, use `operator: load_file`",
                statement.text.lines().next().unwrap_or_default()
            );
            return Err(Failure::new(FailureKind::Definition, message));
        }
    }
    Ok(())
}

/// What is kept of a result for the outputs.
#[derive(Debug)]
struct Fetched {
    fetch: Fetch,
    rows: Vec<Value>,
    bytes: usize,
}

impl Fetched {
    fn new(fetch: Fetch) -> Self {
        Self {
            fetch,
            rows: vec![],
            bytes: 0,
        }
    }

    fn take(&mut self, row: &PgRow) -> Result<(), Failure> {
        let value = match self.fetch {
            Fetch::None => return Ok(()),
            Fetch::Value | Fetch::Row if !self.rows.is_empty() => return Ok(()),
            Fetch::Value | Fetch::Column => value::value(row, 0)?,
            Fetch::Row | Fetch::Rows => Value::Object(value::named(row)?),
        };
        if self.rows.len() == MAX_ROWS {
            let message = format!(
                "the query gives more than {MAX_ROWS} rows, too many for outputs: \
                 add a `limit`, or write them to a table for the next task"
            );
            return Err(Failure::new(FailureKind::Definition, message));
        }
        self.bytes += value.to_string().len();
        if self.bytes > MAX_BYTES {
            let message = format!(
                "the query gives more than {MAX_BYTES} bytes, too much for outputs: \
                 fetch fewer columns or rows, or write them to a table for the next task"
            );
            return Err(Failure::new(FailureKind::Definition, message));
        }
        self.rows.push(value);
        Ok(())
    }

    fn outputs(self) -> Result<Map<String, Value>, Failure> {
        let mut rows = self.rows.into_iter();
        let mut first = |key: &str| {
            let problem = format!("`fetch: {key}` found no row: the last statement gave none");
            rows.next()
                .ok_or_else(|| Failure::new(FailureKind::Check, problem))
        };
        let (key, value) = match self.fetch {
            Fetch::None => return Ok(Map::new()),
            Fetch::Value => ("value", first("value")?),
            Fetch::Row => ("row", first("row")?),
            Fetch::Column => ("values", rows.collect()),
            Fetch::Rows => ("rows", rows.collect()),
        };
        Ok(Map::from_iter([(key.to_owned(), value)]))
    }
}

pub(crate) async fn run_check(
    attempt: &Attempt,
    spec: &SqlCheck,
    log: &Log,
) -> Result<Map<String, Value>, Failure> {
    let query = Query {
        conn_id: &spec.conn_id,
        sql: &spec.sql,
        parameters: &spec.parameters,
        of: "a check",
    };
    let rows = query.rows(attempt, log, |rows| rows.judge(spec)).await?;
    Ok(rows.outputs())
}

/// Looks once whether the first value of a query's first row is true; `None`: it is not.
pub(crate) async fn poke(
    attempt: &Attempt,
    spec: &SqlSensor,
    log: &Log,
) -> Result<Option<Map<String, Value>>, Failure> {
    let query = Query {
        conn_id: &spec.conn_id,
        sql: &spec.sql,
        parameters: &spec.parameters,
        of: "a sensor",
    };
    let said = |rows: &Rows| match rows.first.values().next() {
        Some(value) => Ok(format!("the first value is {value}")),
        None => Ok("the query gave no row".to_owned()),
    };
    let rows = query.rows(attempt, log, said).await?;
    let is_there = match rows.first.values().next() {
        // As Airflow has it: a text that says zero says no.
        Some(Value::String(text)) => !text.is_empty() && text != "0",
        Some(value) => is_true(value),
        None => false,
    };
    Ok(is_there.then(|| rows.outputs()))
}

/// One query of a task, and what it is for.
struct Query<'a> {
    conn_id: &'a str,
    sql: &'a str,
    parameters: &'a Map<String, Value>,
    of: &'static str,
}

impl Query<'_> {
    /// Runs it; `judge` says what the log says of its result.
    async fn rows(
        &self,
        attempt: &Attempt,
        log: &Log,
        judge: impl FnOnce(&Rows) -> Result<String, Failure>,
    ) -> Result<Rows, Failure> {
        let text = rendered(self.sql, &attempt.context, "sql")?;
        let values = rendered_parameters(attempt, self.parameters)?;
        let [statement] = sql_text::split(&text)[..] else {
            let message = format!("`sql` of {} must be exactly one query", self.of);
            return Err(Failure::new(FailureKind::Definition, message));
        };
        let mut session = Session::open(attempt, self.conn_id, log).await?;
        let mut rows = Rows::default();
        let result = async {
            session.execute("begin").await?;
            run_statement(&mut session, &text, statement, &values, |row| {
                rows.take(row)
            })
            .await?;
            session.execute("commit").await?;
            judge(&rows)
        }
        .await;
        match result {
            Ok(sentence) => {
                session.log.line(sentence).await;
                session.close().await;
                Ok(rows)
            }
            Err(failure) => Err(session.abandon(failure).await),
        }
    }
}

/// The first row of a check's result, and how many there are.
#[derive(Debug, Default)]
struct Rows {
    first: Map<String, Value>,
    columns: usize,
    count: u64,
}

impl Rows {
    fn take(&mut self, row: &PgRow) -> Result<(), Failure> {
        if self.count == 0 {
            // Columns may share a name, as in `select count(*), count(*)`.
            for (at, it) in value::all(row)?.into_iter().enumerate() {
                let name = sqlx::Column::name(row.column(at));
                let taken = self.first.contains_key(name);
                let name = if taken {
                    format!("{name}_{}", at + 1)
                } else {
                    name.to_owned()
                };
                self.first.insert(name, it);
            }
            self.columns = row.len();
        }
        self.count += 1;
        Ok(())
    }

    fn judge(&self, spec: &SqlCheck) -> Result<String, Failure> {
        let failed = |message: String| Err(Failure::new(FailureKind::Check, message));
        if self.count == 0 {
            return failed("the check failed: its query gave no row".to_owned());
        }
        if spec.bounds.is_empty() {
            let false_ones: Vec<_> = self
                .first
                .iter()
                .filter(|(_, value)| !is_true(value))
                .map(|(name, value)| format!("`{name}` is {value}"))
                .collect();
            if false_ones.is_empty() {
                return Ok(format!(
                    "check: every value of the first row is true – ok ({})",
                    json!(self.first)
                ));
            }
            return failed(format!(
                "the check failed: expected every value of the first row to be true, but {}",
                false_ones.join(", ")
            ));
        }
        let only = self.first.values().next().map(checks::text_of);
        let number = only.as_deref().and_then(|it| it.parse::<f64>().ok());
        match number {
            Some(actual) if self.count == 1 && self.columns == 1 => {
                if spec.bounds.hold(actual) {
                    Ok(format!(
                        "check: expected {}, got {actual} – ok",
                        spec.bounds
                    ))
                } else {
                    failed(format!(
                        "the check failed: expected {}, got {actual}",
                        spec.bounds
                    ))
                }
            }
            _ => failed(format!(
                "a check with bounds must give one row with one number, but this gave {} row(s) of {} column(s), the first {}",
                self.count,
                self.columns,
                json!(self.first)
            )),
        }
    }

    fn outputs(&self) -> Map<String, Value> {
        let value = self.first.values().next().cloned().unwrap_or_default();
        Map::from_iter([("value".to_owned(), value)])
    }
}

/// Python's idea of truth, which Airflow's check goes by, for the values a query gives.
fn is_true(value: &Value) -> bool {
    match value {
        // A NUMERIC too long for a number.
        Value::String(text) => !text.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            template::is_true(value)
        }
    }
}

/// Renders an operator's field.
pub(crate) fn rendered(source: &str, context: &Context, field: &str) -> Result<String, Failure> {
    template::render(source, context, Quoting::Plain).map_err(|err| {
        let message = format!("cannot render `{field}`: {err}");
        Failure::new(FailureKind::Definition, message)
    })
}

/// Renders `parameters` and adds `idempotency_key`.
fn rendered_parameters(
    attempt: &Attempt,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, Failure> {
    let mut values = Map::from_iter([(
        parameters::IDEMPOTENCY_KEY.to_owned(),
        Value::String(attempt.idempotency_key.clone()),
    )]);
    for (name, value) in given {
        let value = template::render_value(value, &attempt.context).map_err(|err| {
            let message = format!("cannot render parameter `{name}`: {err}");
            Failure::new(FailureKind::Definition, message)
        })?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}
