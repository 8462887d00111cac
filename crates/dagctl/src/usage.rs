//! What is said of a command that does not exist: which do, and what to type instead.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};

use crate::cli::Cli;
use crate::printer::Printer;

/// Commands that people type because other programs, or other commands of this one, have them.
const INSTEAD: &[(&str, &str)] = &[
    (
        "config",
        "settings are flags and variables, see `dagctl standalone --help`; what tasks read is in `dagctl variables list`",
    ),
    (
        "dags backfill",
        "use `dagctl backfill create DAG --from-date DAY --to-date DAY`",
    ),
    ("dags list-import-errors", "use `dagctl problems`"),
    (
        "dags reload",
        "not needed: a saved file is active within a second; `dagctl problems` shows what is wrong with one",
    ),
    (
        "dags reserialize",
        "not needed: a saved file is active within a second; `dagctl problems` shows what is wrong with one",
    ),
    (
        "dags test",
        "not there yet: use `dagctl validate` to check files, and `dagctl trigger DAG --wait` to run one",
    ),
    (
        "info",
        "use `dagctl version`, and `dagctl db status` for the database",
    ),
    ("list", "use `dagctl dags list`"),
    ("show", "use `dagctl dags show DAG`"),
    (
        "logs",
        "use `dagctl runs logs DAG`, or `dagctl tasks logs DAG TASK`",
    ),
    ("migrate", "use `dagctl db migrate`"),
    (
        "runs clear",
        "use `dagctl runs retry DAG RUN`, or `dagctl tasks clear DAG RUN TASK`",
    ),
    ("start", "use `dagctl standalone`"),
    (
        "tasks run",
        "not there yet: a whole DAG runs with `dagctl trigger DAG --wait`",
    ),
    (
        "tasks test",
        "not there yet: a whole DAG runs with `dagctl trigger DAG --wait`",
    ),
];

/// Ends the process as wrong usage, `--help` or `--version` should.
pub(crate) fn exit(err: clap::Error, printer: Printer) -> ! {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|it| it.to_string_lossy().into_owned())
        .collect();
    let advice = match (err.kind(), err.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(unknown))) => {
            Some(advice(Cli::command(), &arguments, unknown))
        }
        (_, _) => None,
    };
    let _ = err.print();
    if let Some(advice) = advice {
        printer.say(advice);
    }
    std::process::exit(err.exit_code());
}

/// What is allowed where `unknown` stands, and what to type instead of it.
fn advice(mut command: Command, arguments: &[String], unknown: &str) -> String {
    let mut path = String::new();
    for word in arguments.iter().take_while(|it| *it != unknown) {
        if let Some(next) = command.find_subcommand(word) {
            path = format!("{path}{} ", next.get_name());
            command = next.clone();
        }
    }
    let allowed: Vec<&str> = command
        .get_subcommands()
        .filter(|it| !it.is_hide_set())
        .map(Command::get_name)
        .collect();
    let mut text = format!("\nallowed: {}", allowed.join(", "));
    let typed = format!("{path}{unknown}");
    if let Some((_, hint)) = INSTEAD.iter().find(|(name, _)| *name == typed) {
        text.push_str(&format!("\nhint: `{typed}`: {hint}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_advice_is_given_about_a_command_that_exists() {
        for (name, _) in INSTEAD {
            let arguments = ["dagctl"].into_iter().chain(name.split(' '));
            let err = <Cli as clap::Parser>::try_parse_from(arguments).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::InvalidSubcommand, "{name}");
        }
    }

    #[test]
    fn flags_before_an_unknown_command_do_not_hide_where_it_stands() {
        let arguments = ["--data-dir", "/data", "task", "run", "orders"].map(str::to_owned);
        let advice = advice(Cli::command(), &arguments, "run");
        assert!(advice.contains("list, logs"), "{advice}");
        assert!(
            advice.contains("hint: `tasks run`: not there yet"),
            "{advice}"
        );
    }
}
