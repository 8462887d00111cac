//! Which fields there are, which do not work yet, and what others call them.

use dagctl_core::nearest::nearest;

use self::foreign::{ADVICE, FOREIGN_DAG, FOREIGN_OPERATORS, FOREIGN_TASK, MEANT};
use self::operators::{TABLES_NOT_YET, makes_tables};

mod foreign;
mod operators;

pub(crate) use self::operators::{OPERATORS, operator};

/// DAG-level fields.
pub(crate) const DAG: &[&str] = &[
    "dag_id",
    "description",
    "doc_md",
    "tags",
    "schedule",
    "timezone",
    "start_date",
    "end_date",
    "catchup",
    "max_active_runs",
    "max_active_tasks",
    "params",
    "default_args",
    "on_failure_callback",
    "on_success_callback",
    "is_paused_upon_creation",
    "dagrun_timeout",
    "dagrun_retries",
    "dagrun_retry_delay",
    "max_consecutive_failed_dag_runs",
    "deadline",
    "tasks",
];

/// Task fields of every operator that work.
pub(crate) const TASK: &[&str] = &[
    "operator",
    "depends_on",
    "trigger_rule",
    "group",
    "teardown",
    "allow_failure",
    "depends_on_past",
    "wait_for_downstream",
    "retries",
    "retry_delay",
    "retry_exponential_backoff",
    "max_retry_delay",
    "retry_on",
    "execution_timeout",
    "pool",
    "queue",
    "priority_weight",
    "pool_slots",
    "weight_rule",
    "max_active_tis_per_dag",
    "expand",
    "max_active_tis_per_dagrun",
    "run_if",
    "on_failure_callback",
    "on_success_callback",
    "reads",
    "writes",
    "on_retry_callback",
    "on_skipped_callback",
    "owner",
    "doc_md",
    "for_each",
];

/// Fields that name or place one task, and therefore are no defaults.
pub(crate) const ONE_TASK_ONLY: &[&str] = &[
    "operator",
    "depends_on",
    "for_each",
    "group",
    "teardown",
    "branches",
    "expand",
    "reads",
    "writes",
];

/// What a `config` file may hold.
pub(crate) const CONFIG: &[&str] = &[
    "schema",
    "table",
    "main_sql",
    "primary_key",
    "input_check",
    "output_check",
    "allow_empty",
    "swap",
    "keep_versions",
];

/// The types of notifiers with their fields.
pub(crate) const NOTIFIERS: &[(&str, &[&str])] = &[
    (
        "slack",
        &[
            "type",
            "slack_webhook_conn_id",
            "text",
            "channel",
            "username",
            "icon_emoji",
            "after_failures",
            "recovered",
        ],
    ),
    (
        "http",
        &[
            "type",
            "conn_id",
            "endpoint",
            "method",
            "headers",
            "data",
            "after_failures",
            "recovered",
        ],
    ),
    (
        "email",
        &[
            "type",
            "conn_id",
            "to",
            "from_email",
            "subject",
            "text",
            "after_failures",
            "recovered",
        ],
    ),
];

/// Where an unknown field was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Dag,
    /// `_defaults.yaml`.
    Defaults,
    /// A task with an operator that works.
    Task(&'static str),
    /// A task whose operator is not known.
    AnyTask,
    /// `default_args`, or the defaults of one operator.
    DefaultArgs,
    /// A `config` file.
    Config,
}

/// What is to be said about a field that is not allowed where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Part of the language, and it does not work yet.
    NotYet,
    /// A field of another place; says which.
    Misplaced(String),
    /// Not in the language; with a hint, and what dagctl calls it.
    Unknown {
        ours: Option<&'static str>,
        hint: Option<String>,
    },
}

impl Level {
    /// Whether a field may stand here.
    pub(crate) fn allows(self, field: &str) -> bool {
        match self {
            Self::Dag => DAG.contains(&field),
            Self::Defaults => {
                (DAG.contains(&field) && !matches!(field, "dag_id" | "tasks"))
                    || matches!(field, "operator_defaults" | "notifiers")
            }
            Self::Task(name) => {
                TASK.contains(&field) || operator(name).is_some_and(|it| it.fields.contains(&field))
            }
            Self::AnyTask => {
                TASK.contains(&field) || OPERATORS.iter().any(|it| it.fields.contains(&field))
            }
            Self::DefaultArgs => Self::AnyTask.allows(field) && !ONE_TASK_ONLY.contains(&field),
            Self::Config => CONFIG.contains(&field),
        }
    }

    fn not_yet(self, field: &str) -> bool {
        let makes_tables = match self {
            Self::Dag | Self::Defaults => false,
            Self::Task(name) => makes_tables(name),
            Self::AnyTask | Self::DefaultArgs | Self::Config => true,
        };
        makes_tables && TABLES_NOT_YET.contains(&field)
    }

    fn all(self) -> Vec<&'static str> {
        let operators = || OPERATORS.iter().flat_map(|it| it.fields.iter());
        let all: Vec<&'static str> = match self {
            Self::Dag | Self::Defaults => {
                let more = ["operator_defaults", "notifiers"];
                DAG.iter().chain(&more).copied().collect()
            }
            Self::Task(name) => {
                let own = operator(name).map_or(&[][..], |it| it.fields);
                TASK.iter().chain(own).copied().collect()
            }
            Self::AnyTask | Self::DefaultArgs => TASK.iter().chain(operators()).copied().collect(),
            Self::Config => CONFIG.to_vec(),
        };
        all.into_iter()
            .filter(|it| self.allows(it) || self.not_yet(it))
            .collect()
    }

    /// The first of the fields that may stand here, an operator's own before those of every task.
    pub(crate) fn some(self) -> String {
        const SHOWN: usize = 12;
        let mut fields = self.all();
        fields.retain(|it| self.allows(it));
        fields.sort_by_key(|it| matches!(self, Self::Task(_)) && TASK.contains(it));
        let more = fields.len().saturating_sub(SHOWN);
        fields.truncate(SHOWN);
        match more {
            0 => list(&fields),
            _ => format!("{} and {more} more", list(&fields)),
        }
    }

    fn foreign(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Dag | Self::Defaults => FOREIGN_DAG,
            Self::Task(_) | Self::AnyTask | Self::DefaultArgs => FOREIGN_TASK,
            Self::Config => &[
                ("sql", "main_sql"),
                ("query", "main_sql"),
                ("name", "table"),
            ],
        }
    }

    /// Judges a field that [`Level::allows`] refuses.
    pub(crate) fn judge(self, field: &str) -> Verdict {
        if self.not_yet(field) {
            return Verdict::NotYet;
        }
        let meant = MEANT.iter().find(|(it, _)| *it == field);
        if let (Self::Task(_), Some((_, ours))) = (self, meant)
            && self.allows(ours)
        {
            return Verdict::Unknown {
                ours: Some(ours),
                hint: None,
            };
        }
        if let Some(place) = self.elsewhere(field) {
            return Verdict::Misplaced(place);
        }
        if let Some((_, advice)) = ADVICE.iter().find(|(it, _)| *it == field) {
            return Verdict::Unknown {
                ours: None,
                hint: Some((*advice).to_owned()),
            };
        }
        let foreign = self.foreign().iter().find(|(it, _)| *it == field);
        if let Some((_, ours)) = foreign.filter(|(_, ours)| self.allows(ours) || self.not_yet(ours))
        {
            return Verdict::Unknown {
                ours: Some(ours),
                hint: None,
            };
        }
        if matches!(field, "task_id" | "id" | "name") && !matches!(self, Self::Dag | Self::Defaults)
        {
            return Verdict::Unknown {
                ours: None,
                hint: Some("a task's name is its key under `tasks`".to_owned()),
            };
        }
        let all = self.all();
        let hint = match nearest(field, all.iter().copied()) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if all.len() <= 12 => Some(format!("the fields here are {}", list(&all))),
            None => None,
        };
        Verdict::Unknown { ours: None, hint }
    }

    /// Where the field would belong.
    fn elsewhere(self, field: &str) -> Option<String> {
        let knows: Vec<&str> = OPERATORS
            .iter()
            .filter(|it| it.fields.contains(&field))
            .map(|it| it.name)
            .collect();
        match self {
            Self::Dag | Self::Defaults => {
                if self == Self::Defaults && DAG.contains(&field) {
                    return Some("of one DAG, not of a folder".to_owned());
                }
                if matches!(field, "operator_defaults" | "notifiers") {
                    return Some("of `_defaults.yaml`".to_owned());
                }
                let task = TASK.contains(&field);
                (task || !knows.is_empty())
                    .then(|| "of a task; for all tasks it goes under `default_args`".to_owned())
            }
            Self::Task(_) | Self::AnyTask | Self::DefaultArgs | Self::Config => {
                if self == Self::DefaultArgs && ONE_TASK_ONLY.contains(&field) {
                    return Some("of one task, not a default".to_owned());
                }
                if self == Self::Config && (TASK.contains(&field) || field == "conn_id") {
                    return Some("of the task, not of its config file".to_owned());
                }
                if !knows.is_empty() {
                    let names: Vec<_> = knows.iter().map(|it| format!("`{it}`")).collect();
                    return Some(format!("of {}", names.join(", ")));
                }
                DAG.contains(&field)
                    .then(|| "of the DAG; it stands beside `tasks`".to_owned())
            }
        }
    }
}

/// What is to be said about an operator that is not there.
pub(crate) fn judge_operator(name: &str) -> Verdict {
    if let Some((_, ours)) = FOREIGN_OPERATORS.iter().find(|(it, _)| *it == name) {
        let python = name.to_ascii_lowercase().contains("python") && *ours == "shell";
        return Verdict::Unknown {
            ours: Some(ours),
            hint: python.then(|| {
                "write `operator: shell` with `interpreter: python3`, or `command: [python3, …]`"
                    .to_owned()
            }),
        };
    }
    let all: Vec<_> = OPERATORS.iter().map(|it| it.name).collect();
    let hint = match nearest(name, all.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let works: Vec<_> = OPERATORS.iter().map(|it| it.name).collect();
            format!("the operators are {}", list(&works))
        }
    };
    Verdict::Unknown {
        ours: None,
        hint: Some(hint),
    }
}

/// Whether a key of a task that nobody knows was meant to be `field`, which then is not missing as well.
pub(crate) fn stands_for(key: &str, field: &str) -> bool {
    key != field
        && !Level::AnyTask.allows(key)
        && (FOREIGN_TASK.contains(&(key, field)) || nearest(key, [field]).is_some())
}

/// Names in backticks with commas.
pub(crate) fn list(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|it| format!("`{it}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/dag-file.md");

    fn section(heading: &str) -> &'static str {
        let start = format!("\n{heading}\n");
        let (_, rest) = PAGE
            .split_once(&start)
            .unwrap_or_else(|| panic!("{heading}"));
        rest.split("\n##").next().unwrap_or_default()
    }

    /// The fields of the tables of fields below a heading; each row has a type, an example and Airflow's name.
    fn fields_of_tables(heading: &str) -> Vec<&'static str> {
        let tables = section(heading).split("\n\n");
        let tables = tables
            .map(str::trim)
            .filter(|it| it.starts_with("| field |"));
        let rows = tables.flat_map(|it| it.lines().skip(2));
        rows.flat_map(|row| {
            let row = row.trim_start_matches("| ").trim_end_matches(" |");
            let cells: Vec<&str> = row.split(" | ").collect();
            assert_eq!(cells.len(), 4, "{row}");
            assert!(cells.iter().all(|it| !it.trim().is_empty()), "{row}");
            cells[0].split(", ").map(|it| it.trim_matches('`'))
        })
        .collect()
    }

    fn sorted(mut names: Vec<&'static str>) -> Vec<&'static str> {
        names.sort_unstable();
        names.dedup();
        names
    }

    #[test]
    fn the_page_on_the_dag_file_has_every_field_and_no_other() {
        assert_eq!(
            sorted(fields_of_tables("## DAG-level fields")),
            sorted(DAG.to_vec())
        );
        assert_eq!(
            sorted(fields_of_tables("## Task fields")),
            sorted(TASK.to_vec())
        );
        let of_notifiers = NOTIFIERS.iter().flat_map(|(_, fields)| *fields).copied();
        let always = ["type", "after_failures", "recovered"];
        assert_eq!(
            sorted(fields_of_tables("## Notifiers")),
            sorted(of_notifiers.chain(always).collect())
        );
    }

    #[test]
    fn the_page_on_the_dag_file_has_every_operator_with_its_fields_and_no_other() {
        let of_sensors = fields_of_tables("### Sensors");
        for operator in OPERATORS {
            let heading = format!("### `{}`", operator.name);
            let own = fields_of_tables(&heading);
            for field in &own {
                let known = operator.fields.contains(field) || TABLES_NOT_YET.contains(field);
                assert!(known, "{}: {field}", operator.name);
            }
            for field in operator.fields {
                let said = own.contains(field)
                    || of_sensors.contains(field)
                    || section(&heading).contains(&format!("`{field}`"));
                assert!(said, "{}: {field}", operator.name);
            }
        }
        let headings = PAGE.lines().filter_map(|it| it.strip_prefix("### `"));
        let headings = headings.map(|it| it.trim_end_matches('`')).collect();
        let operators = OPERATORS.iter().map(|it| it.name).collect();
        assert_eq!(sorted(headings), sorted(operators));
    }

    #[test]
    fn no_field_is_both_known_and_foreign() {
        for (foreign, ours) in FOREIGN_DAG {
            assert!(!Level::Dag.allows(foreign), "{foreign}");
            assert!(
                Level::Dag.allows(ours) || Level::Dag.not_yet(ours),
                "{ours}"
            );
        }
        for (foreign, ours) in FOREIGN_TASK {
            assert!(!Level::AnyTask.allows(foreign), "{foreign}");
            assert!(
                Level::AnyTask.allows(ours) || Level::AnyTask.not_yet(ours),
                "{ours}"
            );
        }
    }
}
