//! The commands of `dagctl` and which file carries each out.

use clap::{Parser, Subcommand};
use dagctl_api::approvals::Answer;

use crate::commands::{
    approvals, assets, backfill, bench, connections, dags, db, explain, notices, pools, problems,
    runs, services, simulate, standalone, tasks, tokens, trigger, users, validate, variables,
};
use crate::config::{Environment, HomeConfig};
use crate::printer::Printer;
use crate::stop::Ended;

/// Runs workflows written in YAML, on Postgres alone.
///
/// Try it: `dagctl standalone` starts everything on this machine, and says what to type next.
#[derive(Debug, Parser)]
#[command(
    name = "dagctl",
    version,
    propagate_version = false,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    home: HomeConfig,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process, on a private Postgres
    Standalone(standalone::Args),
    /// Run only the scheduler: reads the DAG files, makes runs, sends messages
    Scheduler(services::SchedulerArgs),
    /// Run only a worker: carries out tasks
    Worker(services::WorkerArgs),
    /// Run only the web pages and the REST interface
    #[command(alias = "webserver", alias = "api-server")]
    Web(services::WebArgs),
    /// Look after the database
    Db(db::Args),
    /// Check DAG files without running anything
    Validate(validate::Args),
    /// Trigger a run (short for `dags trigger`)
    Trigger(trigger::Args),
    /// DAGs: list, show, pause, unpause, trigger
    #[command(alias = "dag")]
    Dags(dags::Args),
    /// Runs: list, show, follow, cancel, retry, logs
    #[command(alias = "run")]
    Runs(runs::Args),
    /// Tasks: list, logs, clear, mark
    #[command(alias = "task")]
    Tasks(tasks::Args),
    /// Backfills: fill dates of the past
    #[command(alias = "backfills")]
    Backfill(backfill::Args),
    /// Tables that DAGs write, and that others run on news of
    #[command(alias = "asset", alias = "datasets")]
    Assets(assets::Args),
    /// The coming runs of all DAGs on a virtual clock
    Simulate(simulate::Args),
    /// Questions of tasks to people: list
    #[command(alias = "approval")]
    Approvals(approvals::Args),
    /// Answer a task's question with yes
    Approve(approvals::AnswerArgs),
    /// Answer a task's question with no: what waits for it is skipped
    Reject(approvals::AnswerArgs),
    /// Variables that tasks read
    #[command(alias = "variable")]
    Variables(variables::Args),
    /// Connections that tasks use
    #[command(alias = "connection")]
    Connections(connections::Args),
    /// Pools: how many tasks may share something at once
    #[command(alias = "pool")]
    Pools(pools::Args),
    /// What is wrong with the DAG files
    Problems(problems::Args),
    /// Why a DAG, a run or a task does not move
    #[command(alias = "why")]
    Explain(explain::Args),
    /// Messages that have not arrived for certain: list, send again
    #[command(alias = "notice")]
    Notices(notices::Args),
    /// Accounts of people and programs
    #[command(alias = "user")]
    Users(users::Args),
    /// Tokens that let a program in
    #[command(alias = "token")]
    Tokens(tokens::Args),
    /// Measure how close this machine's dagctl comes to the limit of its Postgres
    #[command(alias = "benchmark")]
    Bench(bench::Args),
    /// Print the version
    Version,
}

impl Cli {
    /// Whether the command only asks a running dagctl, and needs no threads for it.
    pub(crate) fn only_asks(&self) -> bool {
        matches!(
            self.command,
            Command::Trigger(_)
                | Command::Dags(_)
                | Command::Runs(_)
                | Command::Tasks(_)
                | Command::Backfill(_)
                | Command::Approvals(_)
                | Command::Approve(_)
                | Command::Reject(_)
                | Command::Variables(_)
                | Command::Connections(_)
                | Command::Pools(_)
                | Command::Assets(_)
                | Command::Simulate(_)
                | Command::Problems(_)
                | Command::Explain(_)
                | Command::Notices(_)
                | Command::Version
        )
    }

    /// Carries out the command.
    pub(crate) async fn run(self, printer: Printer, environment: Environment) -> Ended {
        let environment = environment.with(self.home);
        match self.command {
            Command::Standalone(args) => standalone::run(args, printer, environment).await,
            Command::Scheduler(args) => services::scheduler(args, printer, environment).await,
            Command::Worker(args) => services::worker(args, printer, environment).await,
            Command::Web(args) => services::web(args, printer, environment).await,
            Command::Db(args) => db::run(args, printer, &environment).await,
            Command::Validate(args) => validate::run(&args, printer),
            Command::Trigger(args) => trigger::run(args, printer, &environment).await,
            Command::Dags(args) => dags::run(args, printer, &environment).await,
            Command::Runs(args) => runs::run(args, printer, &environment).await,
            Command::Tasks(args) => tasks::run(args, printer, &environment).await,
            Command::Backfill(args) => backfill::run(args, printer, &environment).await,
            Command::Approvals(args) => approvals::run(args, printer, &environment).await,
            Command::Approve(args) => {
                approvals::answer(Answer::Approve, args, printer, &environment).await
            }
            Command::Reject(args) => {
                approvals::answer(Answer::Reject, args, printer, &environment).await
            }
            Command::Variables(args) => variables::run(args, printer, &environment).await,
            Command::Connections(args) => connections::run(args, printer, &environment).await,
            Command::Assets(args) => assets::run(args, printer, &environment).await,
            Command::Simulate(args) => simulate::run(args, printer, &environment).await,
            Command::Pools(args) => pools::run(args, printer, &environment).await,
            Command::Problems(args) => problems::run(args, printer, &environment).await,
            Command::Explain(args) => explain::run(args, printer, &environment).await,
            Command::Notices(args) => notices::run(args, printer, &environment).await,
            Command::Users(args) => users::run(args, printer, &environment).await,
            Command::Tokens(args) => tokens::run(args, printer, &environment).await,
            Command::Bench(args) => bench::run(args, printer, &environment).await,
            Command::Version => {
                printer.data(format_args!("dagctl {}", env!("CARGO_PKG_VERSION")));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn no_two_flags_of_a_command_are_in_each_others_way() {
        Cli::command().debug_assert();
    }
}
