//! `dagctl scheduler`, `worker` and `web`: the same services as standalone's, each in a process of its own.

use std::path::PathBuf;
use std::time::Duration;

use dagctl_engine::syncer::Syncer;

use crate::commands::{standalone, validate};
use crate::config::{
    DagsConfig, DatabaseConfig, Environment, LinksConfig, LogConfig, PeriodsConfig,
    SecretKeyConfig, WebConfig, WorkerConfig,
};
use crate::daemon::{self, Daemon, Setup, Signals};
use crate::printer::Printer;
use crate::stop::{Ended, Stop};
use crate::{database, logging, secret_key};

/// How long a worker's running tasks may take to end where nobody says otherwise.
const GRACE: Duration = Duration::from_secs(300);

/// What every process of an installation is told.
#[derive(Debug, clap::Args)]
struct CommonArgs {
    #[command(flatten)]
    dags: DagsConfig,
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    secret_key: SecretKeyConfig,
    #[command(flatten)]
    links: LinksConfig,
    #[command(flatten)]
    periods: PeriodsConfig,
    #[command(flatten)]
    log: LogConfig,
}

/// Runs only the scheduler. Any number of them may share one database.
#[derive(Debug, clap::Args)]
pub(crate) struct SchedulerArgs {
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs only a worker. Any number of them may share one database.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    worker: WorkerConfig,
}

/// Runs only the web pages and the REST interface. Any number of them may share one database.
#[derive(Debug, clap::Args)]
pub(crate) struct WebArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    web: WebConfig,
}

/// Runs a scheduler until a signal stops it.
pub(crate) async fn scheduler(
    args: SchedulerArgs,
    printer: Printer,
    environment: Environment,
) -> Ended {
    validate::existing_folder(&args.common.dags.dags_folder)?;
    let daemon = args.common.prepare(None, &environment).await?;
    daemon.start_scheduler(Syncer::new(daemon.engine().clone()));
    daemon.start_listening();
    serve(daemon, "scheduler", printer).await
}

/// Runs a worker until a signal stops it.
pub(crate) async fn worker(args: WorkerArgs, printer: Printer, environment: Environment) -> Ended {
    let daemon = args
        .common
        .prepare(Some(&args.worker), &environment)
        .await?;
    daemon.start_worker();
    daemon.start_listening();
    serve(daemon, "worker", printer).await
}

/// Runs a web service until a signal stops it.
pub(crate) async fn web(args: WebArgs, printer: Printer, environment: Environment) -> Ended {
    let listener = daemon::bind(args.web.address())?;
    let url = daemon::local_url(&listener)?;
    let daemon = args.common.prepare(None, &environment).await?;
    let outside = args.common.links.base_url.as_deref().unwrap_or(&url);
    if let Some(link) = standalone::setup_link(daemon.engine().store(), outside).await? {
        printer.say(format_args!(
            "Nobody can log in yet. Make the first account with {link}"
        ));
    }
    daemon.start_web(listener);
    serve(daemon, &format!("web service on {url}"), printer).await
}

impl CommonArgs {
    /// Checks the database before anything starts.
    async fn prepare(
        &self,
        worker: Option<&WorkerConfig>,
        environment: &Environment,
    ) -> Result<Daemon, Stop> {
        logging::start(&self.log, "info,sqlx::postgres::notice=off", environment)?;
        let signals = Signals::listen()?;
        let url = database::required_url(&self.database, environment)?;
        let key = secret_key::require(&self.secret_key)?;
        let runs_folder = match worker.and_then(|it| it.run_dir.clone()) {
            Some(folder) => folder,
            None => self.runs_folder(environment)?,
        };
        let mut config = Setup {
            dags_folder: &self.dags.dags_folder,
            runs_folder: &runs_folder,
            secret_key: key,
            periods: &self.periods,
            links: &self.links,
            environment,
        }
        .engine_config();
        if let Some(worker) = worker {
            config.slots = worker.slots;
            config.max_map_length = worker.max_map_length;
            config.queues = worker.queues.iter().map(ToString::to_string).collect();
            config.drain_timeout = worker.grace.unwrap_or(GRACE);
        }
        let daemon = Daemon::new(&url, config, signals)?;
        daemon
            .engine()
            .store()
            .check_schema()
            .await
            .map_err(|err| database::failed(&url, err))?;
        Ok(daemon)
    }

    fn runs_folder(&self, environment: &Environment) -> Result<PathBuf, Stop> {
        let data_dir = standalone::data_dir(environment)?;
        Ok(data_dir.join("runs"))
    }
}

async fn serve(daemon: Daemon, what: &str, printer: Printer) -> Ended {
    printer.say(format_args!("The {what} is running; Ctrl-C stops it"));
    daemon.until_told_to_stop().await;
    printer.say("Stopping: running tasks may end, Ctrl-C again stops them at once");
    daemon.finish().await;
    printer.say("Stopped");
    Ok(())
}
