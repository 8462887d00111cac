//! `dagctl db`: brings the database up to this version, and says where it stands.

use crate::config::{DatabaseConfig, Environment};
use crate::database;
use crate::printer::Printer;
use crate::stop::Ended;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    database: DatabaseConfig,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Command {
    /// Bring the database up to this version of dagctl; safe to repeat
    #[command(alias = "upgrade", alias = "init")]
    Migrate,
    /// Say whether the database fits this version of dagctl
    #[command(alias = "check")]
    Status,
}

/// Carries out `dagctl db …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let url = database::url_or_local(&args.database, environment)?;
    let store = database::connect(&url, 2)?;
    let version = async || {
        store
            .schema_version()
            .await
            .map_err(|err| database::failed(&url, err))
    };
    match args.command {
        Command::Migrate => {
            let before = version().await?;
            store
                .migrate()
                .await
                .map_err(|err| database::failed(&url, err))?;
            let after = version().await?;
            printer.data(if before == after {
                format!("The database is at schema version {after}, as it should be")
            } else {
                format!("Migrated the database from schema version {before} to {after}")
            });
        }
        Command::Status => {
            store
                .check_schema()
                .await
                .map_err(|err| database::failed(&url, err))?;
            printer.data(format_args!(
                "The database is at schema version {}, as it should be",
                version().await?
            ));
        }
    }
    store.close().await;
    Ok(())
}
