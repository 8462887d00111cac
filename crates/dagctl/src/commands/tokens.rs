//! `dagctl tokens`: lets programs in. Works on the database itself.

use std::time::Duration;

use dagctl_core::duration;
use dagctl_server::auth;
use dagctl_store::StoreError;
use serde_json::json;

use crate::commands::runs::when;
use crate::config::{DatabaseConfig, Environment};
use crate::database;
use crate::printer::{Format, Printer};
use crate::stop::{Ended, Stop};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    database: DatabaseConfig,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token, and print it for the only time
    Create {
        /// The account that it speaks for
        account: String,
        /// What it is for
        #[arg(long, default_value = "command line")]
        name: String,
        /// How long it is valid, such as 90d [default: until it is deleted]
        #[arg(long, value_parser = valid_for, value_name = "TIME")]
        valid_for: Option<Duration>,
    },
    /// List the tokens of an account
    List {
        account: String,
        /// How to write the list
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// End a token
    Delete {
        account: String,
        /// Its number in the list
        number: i32,
    },
}

/// Carries out `dagctl tokens …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let url = database::url_or_local(&args.database, environment)?;
    let store = database::connect(&url, 2)?;
    let failed = |err: StoreError| database::failed(&url, err);
    store.check_schema().await.map_err(failed)?;
    let name = match &args.command {
        Command::Create { account, .. }
        | Command::List { account, .. }
        | Command::Delete { account, .. } => account,
    };
    let (account, _) = store.account(name).await.map_err(failed)?.ok_or_else(|| {
        Stop::refused(format_args!(
            "there is no account `{name}`: make it with `dagctl users create {name} --no-password`"
        ))
    })?;
    match args.command {
        Command::Create {
            name, valid_for, ..
        } => {
            let expires_at = match valid_for {
                Some(time) => Some(
                    store
                        .now()
                        .await
                        .map_err(failed)?
                        .checked_add(time)
                        .map_err(Stop::broken)?,
                ),
                None => None,
            };
            let token = auth::create_token(&store, account.account_id, &name, expires_at).await;
            printer.data(token.map_err(failed)?);
            printer.say("It is shown only now. Hand it over as DAGCTL_TOKEN");
        }
        Command::List { output, .. } => {
            let tokens = store.tokens_of(account.account_id).await.map_err(failed)?;
            let items: Vec<_> = tokens
                .iter()
                .map(|it| {
                    json!({
                        "number": it.token_id,
                        "name": it.name,
                        "created_at": it.created_at.to_string(),
                        "expires_at": it.expires_at.map(|at| at.to_string()),
                        "last_used_at": it.last_used_at.map(|at| at.to_string()),
                    })
                })
                .collect();
            printer.rows(
                output,
                &items,
                ["NUMBER", "NAME", "MADE", "ENDS", "LAST USED"],
                |it| {
                    let text = |key: &str, absent: &str| match it[key].as_str() {
                        Some(text) => when(text),
                        None => absent.to_owned(),
                    };
                    [
                        it["number"].to_string(),
                        text("name", ""),
                        text("created_at", ""),
                        text("expires_at", "never"),
                        text("last_used_at", "never"),
                    ]
                },
            );
        }
        Command::Delete { number, .. } => {
            let is_there = store.delete_token(account.account_id, number).await;
            if !is_there.map_err(failed)? {
                return Err(Stop::refused(format_args!(
                    "`{}` has no token {number}: see `dagctl tokens list {}`",
                    account.name, account.name
                )));
            }
            printer.say("It is valid no more");
        }
    }
    store.close().await;
    Ok(())
}

fn valid_for(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|err| format!("{err}: expected one such as 12h or 90d"))
}
