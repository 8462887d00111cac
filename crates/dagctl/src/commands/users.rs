//! `dagctl users`: who may log in. Works on the database itself, so that it can let the first person in.

use std::io::{self, IsTerminal};

use dagctl_server::auth::{self, Role};
use dagctl_store::Store;
use dagctl_store::accounts::AccountRow;
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
    /// Make an account; asks for its password, or reads it from stdin
    #[command(alias = "add")]
    Create {
        name: String,
        /// What it may do
        #[arg(long, default_value = "operator")]
        role: RoleName,
        /// No password: the account can only use tokens
        #[arg(long)]
        no_password: bool,
    },
    /// List all accounts
    List {
        /// How to write the list
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Give an account a new password, and end its sessions
    #[command(alias = "reset-password")]
    SetPassword { name: String },
    /// Let an account in no more
    #[command(alias = "delete")]
    Disable { name: String },
}

/// A role as it is typed.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RoleName {
    /// Looks
    Viewer,
    /// Triggers, cancels, pauses, sets variables and connections
    Operator,
    /// Decides who may do what
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Operator => Self::Operator,
            RoleName::Admin => Self::Admin,
        }
    }
}

/// Carries out `dagctl users …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let url = database::url_or_local(&args.database, environment)?;
    let store = database::connect(&url, 2)?;
    store
        .check_schema()
        .await
        .map_err(|err| database::failed(&url, err))?;
    match args.command {
        Command::Create {
            name,
            role,
            no_password,
        } => {
            let password = match no_password {
                true => None,
                false => Some(ask_password(&name)?),
            };
            let account =
                auth::create_account(&store, &name, password.as_deref(), role.into()).await;
            account.map_err(refused)?;
            printer.say(format_args!("Made the account {name}"));
        }
        Command::List { output } => list(&store, output, printer).await?,
        Command::SetPassword { name } => {
            let password = ask_password(&name)?;
            let is_there = auth::set_password(&store, &name, &password).await;
            found(is_there.map_err(refused)?, &name)?;
            printer.say(format_args!(
                "Changed the password of {name}, and ended its sessions"
            ));
        }
        Command::Disable { name } => {
            let is_there = store.disable_account(&name).await;
            found(is_there.map_err(|err| database::failed(&url, err))?, &name)?;
            printer.say(format_args!("{name} is let in no more"));
        }
    }
    store.close().await;
    Ok(())
}

fn refused(err: auth::NewAccountError) -> Stop {
    Stop::refused(format_args!("{:#}", anyhow::Error::from(err)))
}

fn found(is_there: bool, name: &str) -> Ended {
    match is_there {
        true => Ok(()),
        false => Err(Stop::refused(format_args!(
            "there is no account `{name}`: see `dagctl users list`"
        ))),
    }
}

async fn list(store: &Store, output: Format, printer: Printer) -> Ended {
    let accounts = store
        .accounts()
        .await
        .map_err(|err| Stop::broken(format_args!("{:#}", anyhow::Error::from(err))))?;
    let state = |it: &AccountRow| match it.disabled_at {
        Some(_) => "disabled",
        None => "active",
    };
    let items: Vec<_> = accounts
        .iter()
        .map(|it| {
            json!({
                "name": it.name,
                "role": it.role.name(),
                "state": state(it),
                "created_at": it.created_at.to_string(),
            })
        })
        .collect();
    printer.rows(
        output,
        &items,
        ["ACCOUNT", "ROLE", "STATE", "SINCE"],
        |it| {
            let text = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
            [
                text("name"),
                text("role"),
                text("state"),
                when(&text("created_at")),
            ]
        },
    );
    Ok(())
}

/// Asks at the terminal, twice; elsewhere reads the first line of stdin. Never an argument: others can see those.
fn ask_password(name: &str) -> Result<String, Stop> {
    let read = if io::stdin().is_terminal() {
        dialoguer::Password::new()
            .with_prompt(format!("Password for {name}"))
            .with_confirmation("Again", "These differ")
            .interact()
            .map_err(io::Error::other)
    } else {
        let mut line = String::new();
        io::stdin()
            .read_line(&mut line)
            .map(|_| line.trim_end_matches(['\r', '\n']).to_owned())
    };
    read.map_err(|err| Stop::broken(format_args!("could not read the password: {err}")))
}
