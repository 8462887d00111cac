//! Every operator, once with a word in none of its fields and once in each.

use std::time::Duration;

use serde_json::json;

use super::*;

const WORD: &str = "{{ conf.x }}";

/// What is written into one field after another.
struct Pen {
    at: usize,
    next: usize,
}

impl Pen {
    /// The word if it is this field's turn.
    fn text(&mut self) -> String {
        self.next += 1;
        match self.next - 1 == self.at {
            true => WORD.to_owned(),
            false => "plain".to_owned(),
        }
    }

    fn some(&mut self) -> Option<String> {
        Some(self.text())
    }

    fn map(&mut self) -> Map<String, Value> {
        [("key".to_owned(), json!([self.text()]))]
            .into_iter()
            .collect()
    }

    fn pairs(&mut self) -> Vec<(String, String)> {
        vec![
            ("first".to_owned(), "plain".to_owned()),
            ("second".to_owned(), self.text()),
        ]
    }

    fn checks(&mut self) -> Vec<Check> {
        vec![
            Check {
                sql: "select 1".to_owned(),
                bounds: Bounds::default(),
            },
            Check {
                sql: self.text(),
                bounds: Bounds::default(),
            },
        ]
    }

    fn target(&mut self) -> Target {
        Target {
            conn_id: "dw".to_owned(),
            schema: self.text(),
            table: self.text(),
            primary_key: vec![],
            input_check: self.checks(),
            output_check: self.checks(),
            allow_empty: false,
            swap: Swap::Rename,
            keep_versions: 0,
        }
    }

    fn http(&mut self) -> Http {
        Http {
            conn_id: Some("dw".to_owned()),
            endpoint: self.text(),
            method: "GET".to_owned(),
            headers: self.pairs(),
            data: Some(json!({"key": self.text()})),
            response_check: self.some(),
            response_filter: self.some(),
            output_file: self.some(),
            paging: Some(Paging {
                next: self.text(),
                max_pages: 1,
            }),
        }
    }
}

/// A name, what makes the operator, how many of its texts are templates or expressions, and whether it has a connection
/// and pokes.
type Case = (&'static str, fn(&mut Pen) -> Operator, usize, bool, bool);

const CASES: &[Case] = &[
    ("empty", |_| Operator::Empty, 0, false, false),
    ("latest_only", |_| Operator::LatestOnly, 0, false, false),
    (
        "sql",
        |pen| {
            Operator::Sql(Sql {
                conn_id: "dw".to_owned(),
                sql: pen.text(),
                parameters: pen.map(),
                autocommit: false,
                fetch: Fetch::None,
            })
        },
        2,
        true,
        false,
    ),
    (
        "sql_check",
        |pen| {
            Operator::SqlCheck(SqlCheck {
                conn_id: "dw".to_owned(),
                sql: pen.text(),
                parameters: pen.map(),
                bounds: Bounds::default(),
            })
        },
        2,
        true,
        false,
    ),
    (
        "build_table",
        |pen| {
            Operator::BuildTable(BuildTable {
                main_sql: pen.text(),
                target: pen.target(),
            })
        },
        5,
        true,
        false,
    ),
    (
        "load_file",
        |pen| {
            Operator::LoadFile(LoadFile {
                file: pen.text(),
                target: pen.target(),
                header: true,
                delimiter: ',',
                columns: vec![],
                mode: LoadMode::Replace,
            })
        },
        5,
        true,
        false,
    ),
    ("http", |pen| Operator::Http(pen.http()), 7, true, false),
    (
        "shell",
        |pen| {
            Operator::Shell(Shell {
                command: ShellCommand::Argv(vec!["echo".to_owned(), pen.text()]),
                env: pen.pairs(),
                cwd: pen.some(),
                skip_on_exit_code: vec![],
                outputs: pen.pairs(),
            })
        },
        4,
        false,
        false,
    ),
    (
        "shell",
        |pen| {
            Operator::Shell(Shell {
                command: ShellCommand::Script {
                    interpreter: "sh".to_owned(),
                    text: pen.text(),
                },
                env: vec![],
                cwd: None,
                skip_on_exit_code: vec![],
                outputs: vec![],
            })
        },
        1,
        false,
        false,
    ),
    (
        "branch",
        |pen| {
            let option = |when| BranchOption {
                when,
                follow: vec![],
            };
            Operator::Branch(Branch {
                options: vec![option(pen.some()), option(pen.some()), option(None)],
            })
        },
        2,
        false,
        false,
    ),
    (
        "sql_sensor",
        |pen| {
            Operator::SqlSensor(SqlSensor {
                conn_id: "dw".to_owned(),
                sql: pen.text(),
                parameters: pen.map(),
                poking: Poking::default(),
            })
        },
        2,
        true,
        true,
    ),
    (
        "http_sensor",
        |pen| {
            Operator::HttpSensor(HttpSensor {
                request: pen.http(),
                poking: Poking::default(),
            })
        },
        7,
        true,
        true,
    ),
    (
        "file_sensor",
        |pen| {
            Operator::FileSensor(FileSensor {
                filepath: pen.text(),
                poking: Poking::default(),
            })
        },
        1,
        false,
        true,
    ),
    (
        "external_task_sensor",
        |pen| {
            Operator::ExternalTaskSensor(ExternalTaskSensor {
                external_dag_id: pen.text(),
                external_task_ids: vec!["plain".to_owned(), pen.text()],
                allowed_states: vec![],
                failed_states: vec![],
                execution_delta: Duration::ZERO,
                check_existence: false,
                poking: Poking::default(),
            })
        },
        2,
        false,
        true,
    ),
    (
        "time_sensor",
        |pen| {
            Operator::TimeSensor(TimeSensor {
                target_time: pen.text(),
                poking: Poking::default(),
            })
        },
        1,
        false,
        true,
    ),
    (
        "trigger_dagrun",
        |pen| {
            Operator::TriggerDagrun(TriggerDagrun {
                trigger_dag_id: pen.text(),
                conf: pen.map(),
                logical_date: pen.some(),
                wait_for_completion: false,
                allowed_states: vec![],
                failed_states: vec![],
            })
        },
        3,
        false,
        false,
    ),
    (
        "approval",
        |pen| {
            Operator::Approval(Approval {
                subject: pen.text(),
                body: pen.some(),
                timeout: None,
                default: None,
            })
        },
        2,
        false,
        false,
    ),
];

fn written(make: fn(&mut Pen) -> Operator, at: usize) -> (Operator, usize) {
    let mut pen = Pen { at, next: 0 };
    let operator = make(&mut pen);
    (operator, pen.next)
}

#[test]
fn an_operator_may_read_a_name_that_any_of_its_texts_holds_and_no_other() {
    for (name, make, texts, ..) in CASES {
        let (plain, counted) = written(*make, usize::MAX);
        assert_eq!(counted, *texts, "{name}");
        assert!(!plain.may_read("conf"), "{name} reads nothing");
        for at in 0..*texts {
            let (operator, _) = written(*make, at);
            assert!(operator.may_read("conf"), "text {at} of {name}");
            assert!(!operator.may_read("asset_events"), "text {at} of {name}");
        }
    }
}

#[test]
fn an_operator_has_its_name_its_connection_and_its_pokes() {
    for (name, make, _, has_connection, pokes) in CASES {
        let (operator, _) = written(*make, usize::MAX);
        assert_eq!(operator.name(), *name);
        assert_eq!(operator.conn_id(), has_connection.then_some("dw"), "{name}");
        assert_eq!(
            operator.poking(),
            pokes.then(Poking::default).as_ref(),
            "{name}"
        );
        let is_branch = ["branch", "latest_only"].contains(name);
        assert_eq!(operator.is_branch(), is_branch, "{name}");
    }
}

#[test]
fn an_answer_is_read_as_it_is_written() {
    assert_eq!(Answer::ALL.map(Answer::name), ["approve", "reject"]);
    for it in Answer::ALL {
        assert_eq!(Answer::from_letter(it.letter()), Some(it));
    }
    assert_eq!(Answer::from_letter('x'), None);
}
