//! Connects the commands that run or mend an installation to its database.

use dagctl_core::connection::Secret;
use dagctl_store::{Store, StoreError, StoreOptions};

use crate::config::{DatabaseConfig, Environment};
use crate::local::LocalAccess;
use crate::stop::Stop;

/// The database that the user names; else that of the standalone of this user, where it runs.
pub(crate) fn url_or_local(
    config: &DatabaseConfig,
    environment: &Environment,
) -> Result<Secret, Stop> {
    let local = || LocalAccess::find(environment)?.database_url;
    match config.url(environment).or_else(|| local().map(Secret::new)) {
        Some(url) => Ok(url),
        None => required_url(config, environment),
    }
}

/// The database that the user names, or how to name one.
pub(crate) fn required_url(
    config: &DatabaseConfig,
    environment: &Environment,
) -> Result<Secret, Stop> {
    config.url(environment).ok_or_else(|| {
        Stop::broken(
            "no database: say which with --database-url or DAGCTL_DATABASE_URL, such as \
             postgres://dagctl:password@localhost/dagctl, or use `dagctl standalone`, which brings its own",
        )
    })
}

/// A pool of connections to `url`.
pub(crate) fn connect(url: &Secret, max_connections: u32) -> Result<Store, Stop> {
    Store::connect(&StoreOptions {
        url: url.expose().to_owned(),
        max_connections,
        application_name: "dagctl".to_owned(),
    })
    .map_err(|err| failed(url, err))
}

/// Says what went wrong with the database, and where it is, without its password.
pub(crate) fn failed(url: &Secret, err: StoreError) -> Stop {
    let place = place(url);
    match &err {
        StoreError::Database(_) => Stop::broken(format_args!(
            "could not use the database at {place}: {}",
            cause(&err)
        )),
        StoreError::TooNew { .. }
        | StoreError::TooOld { .. }
        | StoreError::Migrate(_)
        | StoreError::Unreadable { .. } => {
            Stop::broken(format_args!("{place}: {:#}", anyhow::Error::from(err)))
        }
    }
}

fn cause(err: &StoreError) -> String {
    let mut cause: &dyn std::error::Error = err;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn place(url: &Secret) -> String {
    let Ok(url) = url::Url::parse(url.expose()) else {
        return "the address given (which is no postgres:// URL)".to_owned();
    };
    let socket = url
        .query_pairs()
        .find(|(name, _)| name == "host")
        .map(|(_, folder)| folder.into_owned());
    let host = socket
        .or_else(|| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| "localhost".to_owned());
    let port = url.port().map(|it| format!(":{it}")).unwrap_or_default();
    format!("`{host}{port}{}`", url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_without_its_password() {
        assert_eq!(
            place(&Secret::new(
                "postgres://dagctl:hunter2@db.example:5433/dagctl?sslmode=require"
            )),
            "`db.example:5433/dagctl`"
        );
        assert_eq!(
            place(&Secret::new(
                "postgres://dagctl@localhost/dagctl?host=%2Frun%2Fpg"
            )),
            "`/run/pg/dagctl`"
        );
    }
}
