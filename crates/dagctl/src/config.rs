//! Every flag and environment variable that configures dagctl; the only file that reads the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use dagctl_core::connection::Secret;
use dagctl_core::duration;
use dagctl_core::ids::QueueName;

/// Where the DAG files are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DagsConfig {
    /// The folder that holds the DAG files
    #[arg(
        long,
        env = "DAGCTL_DAGS_FOLDER",
        default_value = "dags",
        value_name = "DIR"
    )]
    pub(crate) dags_folder: PathBuf,
}

/// Where dagctl keeps what it must remember outside the database.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct HomeConfig {
    // The variable is read by `Environment`: clap would show the flag as required wherever it is set.
    /// The folder of a standalone's data, to start it or to speak to it [env: DAGCTL_HOME]
    /// [default: ~/.local/share/dagctl, of root /var/lib/dagctl]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Which Postgres holds everything.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DatabaseConfig {
    /// The Postgres to work on, such as postgres://user:password@host/dagctl [also: DATABASE_URL]
    #[arg(
        long,
        env = "DAGCTL_DATABASE_URL",
        hide_env_values = true,
        value_parser = secret,
        value_name = "URL",
        global = true
    )]
    database_url: Option<Secret>,
}

impl DatabaseConfig {
    /// What the flag or one of the two variables says, in this order.
    pub(crate) fn url(&self, environment: &Environment) -> Option<Secret> {
        self.database_url
            .clone()
            .or_else(|| environment.text("DATABASE_URL").map(Secret::new))
            .filter(|it| !it.is_empty())
    }
}

/// The key that seals variables and connections in the database.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SecretKeyConfig {
    /// The key that seals secrets: 32 bytes as 64 hexadecimal digits
    #[arg(long, env = "DAGCTL_SECRET_KEY", hide_env_values = true, value_parser = secret, value_name = "KEY", conflicts_with = "secret_key_file")]
    pub(crate) secret_key: Option<Secret>,
    /// A file that holds that key
    #[arg(long, env = "DAGCTL_SECRET_KEY_FILE", value_name = "FILE")]
    pub(crate) secret_key_file: Option<PathBuf>,
}

/// Where the pages and the REST interface are served.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WebConfig {
    /// The address to serve the web pages and the REST interface on
    #[arg(
        long,
        env = "DAGCTL_WEB_ADDR",
        default_value = "127.0.0.1:8080",
        value_parser = address,
        value_name = "ADDR"
    )]
    web_addr: SocketAddr,
    /// Another port of that address
    #[arg(long, short = 'P', value_name = "N")]
    port: Option<u16>,
}

impl WebConfig {
    /// What the flags say together.
    pub(crate) fn address(&self) -> SocketAddr {
        let mut address = self.web_addr;
        if let Some(port) = self.port {
            address.set_port(port);
        }
        address
    }
}

/// How people reach the web pages from outside.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LinksConfig {
    /// How people reach the web pages, for links in messages [default: http:// and the web address]
    #[arg(long, env = "DAGCTL_BASE_URL", value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// Where Slack's webhooks live, for a `slack_url` that is only their last part
    #[arg(
        long,
        env = "DAGCTL_SLACK_BASE_URL",
        default_value = "https://hooks.slack.com/services/",
        value_name = "URL"
    )]
    pub(crate) slack_base_url: String,
}

/// How much a worker does at once.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WorkerConfig {
    /// Tasks under way at the same time
    #[arg(long, env = "DAGCTL_SLOTS", default_value_t = 32, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) slots: u16,
    /// Instances that `expand` may make of one task; at most 32767
    #[arg(long, env = "DAGCTL_MAX_MAP_LENGTH", default_value_t = 1024, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=32767))]
    pub(crate) max_map_length: u16,
    /// Take only tasks of these queues; a task names its one with `queue`
    #[arg(
        long,
        env = "DAGCTL_QUEUES",
        default_value = "default",
        value_name = "QUEUE",
        value_delimiter = ','
    )]
    pub(crate) queues: Vec<QueueName>,
    /// The folder for files that tasks of one run hand each other [default: runs/ in the data folder]
    #[arg(long, env = "DAGCTL_RUN_DIR", value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
    /// How long running tasks may take to end when dagctl stops [default: 10s in standalone, else 5m]
    #[arg(long, env = "DAGCTL_GRACE", value_parser = period, value_name = "TIME")]
    pub(crate) grace: Option<Duration>,
}

/// How soon dagctl notices things; the defaults suit everybody but tests.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PeriodsConfig {
    /// How long a worker keeps its tasks without a sign of life
    #[arg(long, env = "DAGCTL_LEASE", default_value = "30s", value_parser = period, value_name = "TIME", hide = true)]
    pub(crate) lease: Duration,
    /// How often a worker gives a sign of life
    #[arg(long, env = "DAGCTL_HEARTBEAT", default_value = "5s", value_parser = period, value_name = "TIME", hide = true)]
    pub(crate) heartbeat: Duration,
    /// The longest a worker sleeps between two looks at the queue
    #[arg(long, env = "DAGCTL_POLL", default_value = "10s", value_parser = period, value_name = "TIME", hide = true)]
    pub(crate) poll: Duration,
}

/// What dagctl says about itself on stderr.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LogConfig {
    /// What to log: a level, or directives as in RUST_LOG [also: RUST_LOG]
    #[arg(long, env = "DAGCTL_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How log lines look [default: text on a terminal, json elsewhere]
    #[arg(long, env = "DAGCTL_LOG_FORMAT", value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Which dagctl a command speaks to, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ClientConfig {
    /// Where dagctl runs [default: the standalone of this machine and user]
    #[arg(
        long,
        env = "DAGCTL_URL",
        value_name = "URL",
        global = true,
        help_heading = "Where dagctl runs"
    )]
    pub(crate) url: Option<String>,
    /// A token of `dagctl tokens create`
    #[arg(long, env = "DAGCTL_TOKEN", hide_env_values = true, value_parser = secret, value_name = "TOKEN", global = true, help_heading = "Where dagctl runs")]
    pub(crate) token: Option<Secret>,
}

/// What dagctl takes from its environment besides the variables that stand for flags.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, OsString>,
    data_dir: Option<PathBuf>,
}

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn read() -> Self {
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
            data_dir: None,
        }
    }

    /// The same, with what the command line says of the data folder.
    #[must_use]
    pub(crate) fn with(mut self, home: HomeConfig) -> Self {
        self.data_dir = home.data_dir;
        self
    }

    /// The data folder that the user names, by flag or variable.
    pub(crate) fn data_dir(&self) -> Option<PathBuf> {
        self.data_dir.clone().or_else(|| self.path("DAGCTL_HOME"))
    }

    /// Variables and connections that tasks may use, by their whole names: `DAGCTL_VAR_…`, `AIRFLOW_CONN_…`.
    pub(crate) fn task_settings(&self) -> BTreeMap<String, String> {
        const PREFIXES: [&str; 4] = [
            "DAGCTL_VAR_",
            "DAGCTL_CONN_",
            "AIRFLOW_VAR_",
            "AIRFLOW_CONN_",
        ];
        self.variables
            .iter()
            .filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
            .filter_map(|(name, value)| Some((name.clone(), value.to_str()?.to_owned())))
            .collect()
    }

    /// The environment for a dagctl that is to know nothing of this one, nor of the user's Postgres.
    pub(crate) fn for_a_fresh_dagctl(&self) -> Vec<(String, OsString)> {
        const OURS: [&str; 7] = [
            "AIRFLOW_",
            "CARGO_",
            "DAGCTL_",
            "DATABASE_URL",
            "PG",
            "RUST_LOG",
            "XDG_",
        ];
        self.variables
            .iter()
            .filter(|(name, _)| !OURS.iter().any(|ours| name.starts_with(ours)))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// The user's home folder (`HOME`).
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.path("HOME")
    }

    /// Where the user keeps programs' data (`XDG_DATA_HOME`).
    pub(crate) fn data_home(&self) -> Option<PathBuf> {
        self.path("XDG_DATA_HOME")
    }

    /// Where the user keeps programs' state (`XDG_STATE_HOME`).
    pub(crate) fn state_home(&self) -> Option<PathBuf> {
        self.path("XDG_STATE_HOME")
    }

    /// Whether the user wants no colours anywhere (`NO_COLOR`, see no-color.org).
    pub(crate) fn refuses_colour(&self) -> bool {
        self.text("NO_COLOR").is_some_and(|it| !it.is_empty())
            || self.text("TERM").is_some_and(|it| it == "dumb")
    }

    /// What to type to run this program: through cargo, if that is how it was started.
    pub(crate) fn program(&self) -> &'static str {
        if self.variables.contains_key("CARGO_MANIFEST_DIR") {
            "cargo run --release --"
        } else {
            "dagctl"
        }
    }

    /// The log filter that Rust programs share (`RUST_LOG`).
    pub(crate) fn rust_log(&self) -> Option<String> {
        self.text("RUST_LOG").filter(|it| !it.is_empty())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.variables
            .get(name)
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.variables.get(name)?.to_str().map(str::to_owned)
    }
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse::<u16>() {
        return Ok((std::net::Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| {
        "expected an address and a port such as 127.0.0.1:8181, or a port alone".to_owned()
    })
}

fn period(text: &str) -> Result<Duration, String> {
    // DAG files have no use for less than a second; a heartbeat may.
    if let Some(Ok(millis)) = text.strip_suffix("ms").map(str::parse) {
        return Ok(Duration::from_millis(millis));
    }
    duration::parse(text).map_err(|err| format!("{err}: expected one such as 30s or 5m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_shows_no_secret_when_it_is_printed() {
        let database = DatabaseConfig {
            database_url: Some(Secret::new("postgres://dagctl:hunter2@db/dagctl")),
        };
        assert!(!format!("{database:?}").contains("hunter2"));
    }

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        for text in ["8181", ":8181", "127.0.0.1:8181"] {
            assert_eq!(address(text).unwrap().to_string(), "127.0.0.1:8181");
        }
        assert!(address("localhost").unwrap_err().contains("127.0.0.1:8181"));
    }

    #[test]
    fn only_variables_with_a_known_prefix_reach_tasks() {
        let environment = Environment {
            variables: [("DAGCTL_VAR_DATA_DIR", "/data"), ("PATH", "/bin")]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
            data_dir: None,
        };
        assert_eq!(
            environment.task_settings().into_iter().collect::<Vec<_>>(),
            [("DAGCTL_VAR_DATA_DIR".to_owned(), "/data".to_owned())]
        );
    }
}
