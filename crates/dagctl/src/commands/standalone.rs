//! `dagctl standalone`: everything in one process, on a private Postgres.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use dagctl_core::connection::Secret;
use dagctl_dagfile::Color;
use dagctl_engine::syncer::{Change, News, Synced, Syncer};
use dagctl_postgres::ServerUser;
use dagctl_server::auth::{self, Role};
use dagctl_store::Store;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::commands::validate;
use crate::config::{
    DagsConfig, DatabaseConfig, Environment, LinksConfig, LogConfig, PeriodsConfig,
    SecretKeyConfig, WebConfig, WorkerConfig,
};
use crate::daemon::{self, Daemon, Setup, Signals};
use crate::local::LocalAccess;
use crate::printer::{Printer, Tone};
use crate::private_postgres::{self, DATABASE, DEMO_CONNECTION};
use crate::secret_key;
use crate::stop::{Ended, Stop};
use crate::{database, logging};

/// The account of commands that run as the same user on the same machine. It has no password.
const LOCAL_ACCOUNT: &str = "local";
/// What its token of this start is called.
const LOCAL_TOKEN: &str = "standalone";
/// How long Ctrl-C waits for running tasks.
const GRACE: Duration = Duration::from_secs(10);

/// Runs everything in one process, on a private Postgres.
///
/// Starts the private Postgres, brings it up to this version, reads the DAG files, schedules and runs them, and
/// serves the web pages. Ctrl-C stops it all; the next start finds all history.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install PostgreSQL's programs first, if they are missing
    #[arg(long)]
    install_postgres: bool,
    #[command(flatten)]
    dags: DagsConfig,
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    secret_key: SecretKeyConfig,
    #[command(flatten)]
    web: WebConfig,
    #[command(flatten)]
    links: LinksConfig,
    #[command(flatten)]
    worker: WorkerConfig,
    #[command(flatten)]
    periods: PeriodsConfig,
    #[command(flatten)]
    log: LogConfig,
}

/// Runs until a signal stops it.
pub(crate) async fn run(args: Args, printer: Printer, environment: Environment) -> Ended {
    logging::start(&args.log, "warn,sqlx::postgres::notice=off", &environment)?;
    let signals = Signals::listen()?;
    validate::existing_folder(&args.dags.dags_folder)?;
    let data_dir = data_dir(&environment)?;
    let data_dir_flag = match environment.data_dir() {
        Some(_) => format!(" --data-dir {}", data_dir.display()),
        None => String::new(),
    };
    let listener = match daemon::bind(args.web.address()) {
        Ok(listener) => listener,
        Err(stop) => return Err(already_running(&data_dir).unwrap_or(stop)),
    };
    let url = daemon::local_url(&listener)?;

    let mut postgres = None;
    let database_url = match args.database.url(&environment) {
        Some(url) => {
            make_private_folder(&data_dir)?;
            url
        }
        None => {
            let server = private_postgres::start(args.install_postgres, &data_dir, printer).await?;
            let database_url = Secret::new(server.connection_url(DATABASE));
            postgres = Some(server);
            database_url
        }
    };
    if signals.drain.is_cancelled() {
        return Ok(());
    }
    let key = secret_key::find_or_make(&args.secret_key, &data_dir)?;
    let runs_folder = match &args.worker.run_dir {
        Some(folder) => folder.clone(),
        None => data_dir.join("runs"),
    };
    let setup = Setup {
        dags_folder: &args.dags.dags_folder,
        runs_folder: &runs_folder,
        secret_key: key.key,
        periods: &args.periods,
        links: &args.links,
        environment: &environment,
    };
    let mut config = setup.engine_config();
    config.slots = args.worker.slots;
    config.max_map_length = args.worker.max_map_length;
    config.queues = args.worker.queues.iter().map(ToString::to_string).collect();
    config.drain_timeout = args.worker.grace.unwrap_or(GRACE);
    config.base_url.get_or_insert_with(|| url.clone());
    if let Some(server) = &postgres {
        config.default_connections.insert(
            DEMO_CONNECTION.to_owned(),
            private_postgres::demo_warehouse(server),
        );
    }
    let daemon = Daemon::new(&database_url, config, signals.clone())?;
    let store = daemon.engine().store().clone();
    store
        .migrate()
        .await
        .map_err(|err| database::failed(&database_url, err))?;
    let token = local_token(&store)
        .await
        .context("could not make the local token")?;
    let private_url = postgres.is_some().then(|| database_url.expose().to_owned());
    LocalAccess {
        url: url.clone(),
        token,
        database_url: private_url,
    }
    .write(&data_dir, &environment)
    .with_context(|| {
        format!(
            "could not leave the local token in `{}`",
            data_dir.display()
        )
    })?;
    let setup_link = setup_link(&store, &url)
        .await
        .context("could not make the setup link")?;
    let mut syncer = Syncer::new(daemon.engine().clone());
    let (sender, mut news) = mpsc::unbounded_channel();
    syncer.tell(sender);
    // Whatever the next lines name can be triggered.
    let synced = syncer
        .sync()
        .await
        .context("could not read the DAG files")?;

    daemon.start_scheduler(syncer);
    daemon.start_worker();
    daemon.start_listening();
    daemon.start_web(listener);
    let keep = CancellationToken::new();
    let postgres = postgres.map(|server| {
        let major = server.major();
        (
            major,
            tokio::spawn(private_postgres::keep_alive(server, keep.clone())),
        )
    });
    while let Ok(it) = news.try_recv() {
        match it {
            News::Problem(problem) if problem.is_error() => tell(&News::Problem(problem), printer),
            // The lines below count them.
            News::Problem(_) | News::Active { .. } => (),
        }
    }
    welcome(
        &Welcome {
            url: &url,
            setup_link: setup_link.as_deref(),
            data_dir: &data_dir,
            data_dir_flag: &data_dir_flag,
            postgres: postgres.as_ref().map(|(major, _)| *major),
            new_key: key.is_new,
            dags_folder: &args.dags.dags_folder,
            synced: &synced,
            program: environment.program(),
        },
        printer,
    );

    tokio::spawn(async move {
        while let Some(it) = news.recv().await {
            tell(&it, printer);
        }
    });

    daemon.until_told_to_stop().await;
    printer.say("\nStopping: running tasks may end, Ctrl-C again stops them at once");
    daemon.finish().await;
    keep.cancel();
    if let Some((_, server)) = postgres {
        let server = server
            .await
            .context("the watch over Postgres ended early")?;
        tokio::task::spawn_blocking(|| server.stop())
            .await
            .context("the stop of Postgres ended early")?
            .context("could not stop the private Postgres")?;
    }
    printer.say("Stopped. Start again to find everything as it was");
    Ok(())
}

/// The folder of the flag, or this user's usual one.
pub(crate) fn data_dir(environment: &Environment) -> Result<PathBuf, Stop> {
    let folder = match environment.data_dir() {
        Some(folder) => folder,
        None => {
            let user = ServerUser::choose().map_err(Stop::broken)?;
            dagctl_postgres::default_data_dir(
                environment.home().as_deref(),
                environment.data_home().as_deref(),
                &user,
            )
        }
    };
    Ok(
        std::path::absolute(&folder)
            .with_context(|| format!("no folder `{}`", folder.display()))?,
    )
}

fn make_private_folder(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("could not make the data folder `{}`", folder.display()))
}

/// Says so when it is another standalone on this folder that has the address.
fn already_running(data_dir: &Path) -> Option<Stop> {
    let running = LocalAccess::read(data_dir)?;
    let is_locked = std::fs::File::open(data_dir.join("lock"))
        .ok()?
        .try_lock()
        .is_err();
    is_locked.then(|| {
        Stop::broken(format_args!(
            "a standalone already runs on `{}`, at {}: use that one, or stop it first (Ctrl-C in its terminal)",
            data_dir.display(),
            running.url
        ))
    })
}

/// A new token for this start; those of earlier starts end.
async fn local_token(store: &Store) -> anyhow::Result<String> {
    let account = match store.account(LOCAL_ACCOUNT).await? {
        Some((account, _)) => account,
        None => auth::create_account(store, LOCAL_ACCOUNT, None, Role::Admin).await?,
    };
    store
        .delete_tokens_called(account.account_id, LOCAL_TOKEN)
        .await?;
    Ok(auth::create_token(store, account.account_id, LOCAL_TOKEN, None).await?)
}

/// A link that makes the first account, unless somebody can log in already.
pub(crate) async fn setup_link(store: &Store, url: &str) -> anyhow::Result<Option<String>> {
    if store.has_login().await? {
        return Ok(None);
    }
    let path = auth::make_setup_path(store).await?;
    Ok(Some(format!("{url}{path}")))
}

/// Says what became of a DAG file.
fn tell(news: &News, printer: Printer) {
    match news {
        News::Problem(problem) => {
            let color = if printer.colours_asides() {
                Color::Always
            } else {
                Color::Never
            };
            printer.say(format_args!("{}\n", problem.render(color)));
        }
        News::Active { dag_id, change } => {
            let what = match change {
                Change::New => "is new, and active",
                Change::Changed => "changed: its new version is active",
                Change::Mended => "has no error any more",
            };
            printer.say(format_args!(
                "{} {what}",
                printer.paint_aside(Tone::Strong, dag_id)
            ));
        }
    }
}

/// What the calm lines tell.
struct Welcome<'a> {
    url: &'a str,
    setup_link: Option<&'a str>,
    data_dir: &'a Path,
    data_dir_flag: &'a str,
    postgres: Option<u32>,
    new_key: bool,
    dags_folder: &'a Path,
    synced: &'a Synced,
    program: &'static str,
}

fn welcome(it: &Welcome<'_>, printer: Printer) {
    let line = |name: &str, text: &str| {
        printer.data(format_args!(
            "  {} {text}",
            printer.paint(Tone::Quiet, format_args!("{name:7}"))
        ));
    };
    printer.data(format_args!(
        "{}. Ctrl-C stops it.\n",
        printer.paint(Tone::Strong, "dagctl is running")
    ));
    line("Pages", it.url);
    match it.setup_link {
        Some(link) => line(
            "Log in",
            &format!(
                "the first time with {link} (for {} minutes)",
                auth::SETUP_LINK_MINUTES
            ),
        ),
        None => line("Log in", "with your account"),
    }
    let data = it.data_dir.display();
    match it.postgres {
        Some(major) => line("Data", &format!("{data} (private PostgreSQL {major})")),
        None => line("Data", &format!("in the database given, and in {data}")),
    }
    if it.new_key {
        line(
            "",
            &format!("{data}/secret.key seals stored secrets: keep a copy of it"),
        );
    }
    let names: Vec<&str> = it.synced.dags.iter().map(String::as_str).collect();
    line("DAGs", &found(&names, it.dags_folder));
    if let Some(counts) = validate::counts(it.synced.errors, 0) {
        line(
            "",
            &format!(
                "{counts} in the files, shown above and by {} validate",
                it.program
            ),
        );
    }
    match it.synced.stale.as_slice() {
        [] => (),
        [one] => line("", &format!("{one} goes on with its last good version")),
        many => line(
            "",
            &format!("{} go on with their last good versions", many.join(", ")),
        ),
    }
    if let Some(next) = names
        .iter()
        .find(|it| **it == "Build_Summary")
        .or(names.first())
    {
        line(
            "Next",
            &format!(
                "in a second terminal: {} trigger {next} --wait{}",
                it.program, it.data_dir_flag
            ),
        );
    }
}

fn found(names: &[&str], folder: &Path) -> String {
    const SHOWN: usize = 8;
    let folder = folder.display();
    match names.len() {
        0 => format!(
            "none in `{folder}` yet: put a DAG file there, and it is active within a second"
        ),
        many if many > SHOWN => format!(
            "{many} in `{folder}`: {} and {} more",
            names[..SHOWN].join(", "),
            many - SHOWN
        ),
        many => format!("{many} in `{folder}`: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_many_dags_is_told_in_one_line() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        assert_eq!(
            found(&names, Path::new("dags")),
            "10 in `dags`: a, b, c, d, e, f, g, h and 2 more"
        );
        assert!(found(&[], Path::new("dags")).starts_with("none in `dags` yet"));
    }
}
