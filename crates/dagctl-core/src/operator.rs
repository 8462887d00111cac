//! What a task does: the operators and their fields.
//!
//! A text documented as *template* is Jinja, checked when the file loads and rendered when the task runs;
//! an *expression* is the inside of a `{{ }}`. A JSON value documented as template has templates in its texts.

use serde_json::{Map, Value};

use crate::check::{Bounds, Check};
use crate::ids::TaskId;
use crate::poke::Poking;

mod waiting;

pub use waiting::{
    Answer, Approval, ExternalTaskSensor, FileSensor, HttpSensor, Judgement, SqlSensor, TimeSensor,
    TriggerDagrun,
};

/// A task's operator with its fields.
#[derive(Debug, Clone, PartialEq)]
pub enum Operator {
    /// Does nothing; a joint in the graph.
    Empty,
    /// Runs statements.
    Sql(Sql),
    /// Fails where a query's first row does not say yes.
    SqlCheck(SqlCheck),
    /// Builds a table beside the live one, checks it and puts it in its place.
    BuildTable(BuildTable),
    /// Loads a file into a table.
    LoadFile(LoadFile),
    /// Makes an HTTP request.
    Http(Http),
    /// Runs a process.
    Shell(Shell),
    /// Chooses which of the tasks directly below it run.
    Branch(Branch),
    /// Lets the tasks directly below it run in the newest run alone.
    LatestOnly,
    /// Waits for a query to say yes.
    SqlSensor(SqlSensor),
    /// Waits for an answer over HTTP.
    HttpSensor(HttpSensor),
    /// Waits for a file.
    FileSensor(FileSensor),
    /// Waits for tasks of another DAG.
    ExternalTaskSensor(ExternalTaskSensor),
    /// Waits for a moment.
    TimeSensor(TimeSensor),
    /// Starts a run of another DAG.
    TriggerDagrun(TriggerDagrun),
    /// Asks a person.
    Approval(Approval),
}

impl Operator {
    /// The name in `operator:`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Sql(_) => "sql",
            Self::SqlCheck(_) => "sql_check",
            Self::BuildTable(_) => "build_table",
            Self::LoadFile(_) => "load_file",
            Self::Http(_) => "http",
            Self::Shell(_) => "shell",
            Self::Branch(_) => "branch",
            Self::LatestOnly => "latest_only",
            Self::SqlSensor(_) => "sql_sensor",
            Self::HttpSensor(_) => "http_sensor",
            Self::FileSensor(_) => "file_sensor",
            Self::ExternalTaskSensor(_) => "external_task_sensor",
            Self::TimeSensor(_) => "time_sensor",
            Self::TriggerDagrun(_) => "trigger_dagrun",
            Self::Approval(_) => "approval",
        }
    }

    /// Whether it chooses which of the tasks directly below it run.
    pub fn is_branch(&self) -> bool {
        matches!(self, Self::Branch(_) | Self::LatestOnly)
    }

    /// The connection the task works on.
    pub fn conn_id(&self) -> Option<&str> {
        match self {
            Self::Empty
            | Self::Shell(_)
            | Self::Branch(_)
            | Self::LatestOnly
            | Self::FileSensor(_)
            | Self::ExternalTaskSensor(_)
            | Self::TimeSensor(_)
            | Self::TriggerDagrun(_)
            | Self::Approval(_) => None,
            Self::SqlSensor(it) => Some(&it.conn_id),
            Self::HttpSensor(it) => it.request.conn_id.as_deref(),
            Self::Sql(it) => Some(&it.conn_id),
            Self::SqlCheck(it) => Some(&it.conn_id),
            Self::BuildTable(it) => Some(&it.target.conn_id),
            Self::LoadFile(it) => Some(&it.target.conn_id),
            Self::Http(it) => it.conn_id.as_deref(),
        }
    }

    /// How a sensor looks again; `None`: it is none.
    pub fn poking(&self) -> Option<&Poking> {
        match self {
            Self::SqlSensor(it) => Some(&it.poking),
            Self::HttpSensor(it) => Some(&it.poking),
            Self::FileSensor(it) => Some(&it.poking),
            Self::ExternalTaskSensor(it) => Some(&it.poking),
            Self::TimeSensor(it) => Some(&it.poking),
            Self::Empty
            | Self::Sql(_)
            | Self::SqlCheck(_)
            | Self::BuildTable(_)
            | Self::LoadFile(_)
            | Self::Http(_)
            | Self::Shell(_)
            | Self::Branch(_)
            | Self::LatestOnly
            | Self::TriggerDagrun(_)
            | Self::Approval(_) => None,
        }
    }
}

impl Operator {
    /// Whether any of its templates and expressions may read `name`: none can where no text holds the word.
    pub fn may_read(&self, name: &str) -> bool {
        let in_text = |text: &str| text.contains(name);
        let in_map = |map: &Map<String, Value>| map.values().any(|it| in_text(&it.to_string()));
        let in_pairs = |pairs: &[(String, String)]| pairs.iter().any(|(_, it)| in_text(it));
        let in_target = |it: &Target| {
            let mut checks = it.input_check.iter().chain(&it.output_check);
            in_text(&it.schema) || in_text(&it.table) || checks.any(|it| in_text(&it.sql))
        };
        match self {
            Self::Empty | Self::LatestOnly => false,
            Self::Branch(it) => it
                .options
                .iter()
                .filter_map(|it| it.when.as_deref())
                .any(in_text),
            Self::Sql(it) => in_text(&it.sql) || in_map(&it.parameters),
            Self::SqlCheck(it) => in_text(&it.sql) || in_map(&it.parameters),
            Self::BuildTable(it) => in_text(&it.main_sql) || in_target(&it.target),
            Self::LoadFile(it) => in_text(&it.file) || in_target(&it.target),
            Self::Http(it) => it.may_read(name),
            Self::HttpSensor(it) => it.request.may_read(name),
            Self::SqlSensor(it) => in_text(&it.sql) || in_map(&it.parameters),
            Self::FileSensor(it) => in_text(&it.filepath),
            Self::ExternalTaskSensor(it) => {
                in_text(&it.external_dag_id) || it.external_task_ids.iter().any(|it| in_text(it))
            }
            Self::TimeSensor(it) => in_text(&it.target_time),
            Self::TriggerDagrun(it) => {
                in_text(&it.trigger_dag_id)
                    || in_map(&it.conf)
                    || it.logical_date.as_deref().is_some_and(in_text)
            }
            Self::Approval(it) => in_text(&it.subject) || it.body.as_deref().is_some_and(in_text),
            Self::Shell(it) => {
                in_pairs(&it.env)
                    || in_pairs(&it.outputs)
                    || it.cwd.as_deref().is_some_and(in_text)
                    || match &it.command {
                        ShellCommand::Argv(words) => words.iter().any(|it| in_text(it)),
                        ShellCommand::Script { text, .. } => in_text(text),
                    }
            }
        }
    }
}

/// `operator: sql`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sql {
    /// Where it runs.
    pub conn_id: String,
    /// One or more statements, a template. Several share one transaction unless `autocommit`.
    pub sql: String,
    /// `:name` in the SQL → its value, a template; bound untyped, never spliced in.
    pub parameters: Map<String, Value>,
    /// Whether each statement commits by itself.
    pub autocommit: bool,
    /// What of the last result becomes outputs.
    pub fetch: Fetch,
}

/// What of a result becomes outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fetch {
    /// Nothing.
    #[default]
    None,
    /// `outputs.<task>.value`: the first column of the first row.
    Value,
    /// `outputs.<task>.row`: the first row, by column.
    Row,
    /// `outputs.<task>.values`: the first column of each row.
    Column,
    /// `outputs.<task>.rows`: every row, by column.
    Rows,
}

/// `operator: sql_check`.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlCheck {
    /// Where it runs.
    pub conn_id: String,
    /// A query, a template.
    pub sql: String,
    /// As in [`Sql::parameters`].
    pub parameters: Map<String, Value>,
    /// What its one number must be; without bounds every value of the first row must be true, as in Airflow.
    pub bounds: Bounds,
}

/// The table that `build_table` and `load_file` publish, and what must hold before they do.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Where the table is.
    pub conn_id: String,
    /// Its schema, a template.
    pub schema: String,
    /// Its name, a template.
    pub table: String,
    /// Columns that must be unique and not null; checked on staging, and a primary key of the published table.
    pub primary_key: Vec<String>,
    /// Checks on what is read, before anything is built.
    pub input_check: Vec<Check>,
    /// Checks on the staging table, before it is published.
    pub output_check: Vec<Check>,
    /// Whether a table without rows may be published.
    pub allow_empty: bool,
    /// How the new rows take the old ones' place.
    pub swap: Swap,
    /// How many replaced tables are kept beside the live one.
    pub keep_versions: u16,
}

/// How new rows take the old ones' place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Swap {
    /// The staging table takes the live table's name, with everything carried over; rows where that cannot be.
    #[default]
    Rename,
    /// `delete` and `insert … select` in one transaction.
    ReplaceRows,
}

/// `operator: build_table`.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildTable {
    /// The table.
    pub target: Target,
    /// The query that makes its rows, a template.
    pub main_sql: String,
}

/// `operator: load_file`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadFile {
    /// The table.
    pub target: Target,
    /// A path or an `http(s)` URL, a template.
    pub file: String,
    /// Whether the first line names the columns.
    pub header: bool,
    /// The character between fields.
    pub delimiter: char,
    /// Column names and SQL types in the file's order; empty: the live table's columns.
    pub columns: Vec<(String, String)>,
    /// Whether the rows replace those of the table or join them.
    pub mode: LoadMode,
}

/// Whether loaded rows replace those of the table or join them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoadMode {
    /// As `build_table` publishes.
    #[default]
    Replace,
    /// Adds to what is there, in one transaction.
    Append,
}

/// `operator: http`.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// Base URL, login and headers.
    pub conn_id: Option<String>,
    /// A path below the connection's base URL, or a whole URL; a template.
    pub endpoint: String,
    /// `GET`, `POST`, ….
    pub method: String,
    /// Header names and values, templates.
    pub headers: Vec<(String, String)>,
    /// The body, a template: a text as it is, anything else as JSON; the query string of a `GET`.
    pub data: Option<Value>,
    /// An expression over `response` that must be true; without it any status below 400 is accepted.
    pub response_check: Option<String>,
    /// An expression over `response`; its value is `outputs.<task>.value`.
    pub response_filter: Option<String>,
    /// Where the body is written, a template; the path is `outputs.<task>.file`.
    pub output_file: Option<String>,
    /// How further pages are found.
    pub paging: Option<Paging>,
}

impl Http {
    /// As [`Operator::may_read`].
    fn may_read(&self, name: &str) -> bool {
        let in_text = |text: &str| text.contains(name);
        let optional = [
            &self.response_check,
            &self.response_filter,
            &self.output_file,
        ];
        in_text(&self.endpoint)
            || self.headers.iter().any(|(_, it)| in_text(it))
            || self
                .data
                .as_ref()
                .is_some_and(|it| in_text(&it.to_string()))
            || optional.into_iter().flatten().any(|it| in_text(it))
            || self.paging.as_ref().is_some_and(|it| in_text(&it.next))
    }
}

/// How an HTTP task finds further pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// An expression over `response`: the next URL, or nothing.
    pub next: String,
    /// How many pages at most.
    pub max_pages: u32,
}

/// `operator: shell`.
#[derive(Debug, Clone, PartialEq)]
pub struct Shell {
    /// What runs.
    pub command: ShellCommand,
    /// Names and values, templates.
    pub env: Vec<(String, String)>,
    /// The working folder, a template; without it the DAG file's folder.
    pub cwd: Option<String>,
    /// Exit codes that mean "skipped".
    pub skip_on_exit_code: Vec<i32>,
    /// Output names and values, templates rendered after the process ended.
    pub outputs: Vec<(String, String)>,
}

/// What a shell task runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellCommand {
    /// A program and its arguments, each a template.
    Argv(Vec<String>),
    /// A text for an interpreter, a template whose values are quoted.
    Script {
        /// `sh`, `bash`, `python3`, ….
        interpreter: String,
        /// The text.
        text: String,
    },
}

/// `operator: branch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// In order: the first whose condition holds is taken; none, and all tasks directly below are skipped.
    pub options: Vec<BranchOption>,
}

/// One of `branches`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchOption {
    /// An expression; without it the option is taken whenever it is reached.
    pub when: Option<String>,
    /// Which of the tasks directly below run.
    pub follow: Vec<TaskId>,
}

#[cfg(test)]
mod tests;
