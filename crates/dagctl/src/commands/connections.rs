//! `dagctl connections`: what tasks name in `conn_id`.

use dagctl_api::settings::{Connection, ConnectionWrite, Saved};
use reqwest::Method;
use serde_json::{Map, Value};

use crate::client::Client;
use crate::commands::variables::{labels, or_stdin, warn};
use crate::config::{ClientConfig, Environment};
use crate::printer::{Format, Printer};
use crate::stop::{Ended, Stop};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    client: ClientConfig,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show a connection without its secrets
    Get {
        conn_id: String,
        /// How to write the connection
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Add or replace a connection in the database
    #[command(alias = "set")]
    Add(Box<AddArgs>),
    /// List all connections, where they come from, and what shadows what
    List {
        /// How to write the list
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Delete a connection from the database
    Delete { conn_id: String },
}

/// A connection, as a URI or in parts.
#[derive(Debug, clap::Args)]
struct AddArgs {
    conn_id: String,
    /// Everything in one, such as postgres://user:password@host/database; `-` reads it from stdin
    #[arg(long = "conn-uri", alias = "uri", value_name = "URI")]
    uri: Option<String>,
    /// postgres, redshift, http, …
    #[arg(long = "conn-type", conflicts_with = "uri", value_name = "TYPE")]
    conn_type: Option<String>,
    /// The host's name or address
    #[arg(long = "conn-host", conflicts_with = "uri", value_name = "HOST")]
    host: Option<String>,
    /// The port, where it is not the usual one
    #[arg(long = "conn-port", conflicts_with = "uri", value_name = "PORT")]
    port: Option<u16>,
    /// The database; for HTTP the scheme
    #[arg(long = "conn-schema", conflicts_with = "uri", value_name = "NAME")]
    schema: Option<String>,
    /// Who logs in
    #[arg(long = "conn-login", conflicts_with = "uri", value_name = "LOGIN")]
    login: Option<String>,
    /// With what; `-` reads it from stdin
    #[arg(
        long = "conn-password",
        conflicts_with = "uri",
        value_name = "PASSWORD"
    )]
    password: Option<String>,
    /// Further settings, as a JSON object
    #[arg(long = "conn-extra", conflicts_with = "uri", value_name = "JSON")]
    extra: Option<String>,
    /// A sentence about it
    #[arg(long = "conn-description", alias = "description", value_name = "TEXT")]
    description: Option<String>,
}

/// Carries out `dagctl connections …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let client = Client::find(&args.client, environment)?;
    match args.command {
        Command::Get { conn_id, output } => {
            let connection: Connection = client.get(&["connections", &conn_id]).await?;
            show(&connection, output, printer);
        }
        Command::Add(add) => {
            let conn_id = add.conn_id.clone();
            let write = connection_of(*add)?;
            let saved: Saved = client
                .send(Method::PUT, &["connections", &conn_id], &write)
                .await?;
            printer.say(format_args!("Saved {conn_id}"));
            warn(&saved, printer);
        }
        Command::List { output } => list(&client, output, printer).await?,
        Command::Delete { conn_id } => {
            client.delete(&["connections", &conn_id]).await?;
            printer.say(format_args!("Deleted {conn_id} from the database"));
        }
    }
    Ok(())
}

fn connection_of(add: AddArgs) -> Result<ConnectionWrite, Stop> {
    if add.uri.is_none() && add.conn_type.is_none() {
        return Err(Stop::broken(format_args!(
            "what is `{}`? For example: dagctl connections add {} --conn-uri postgres://user@host/database",
            add.conn_id, add.conn_id
        )));
    }
    let extra = add.extra.as_deref().map(|text| {
        serde_json::from_str::<Map<String, Value>>(text).map_err(|err| {
            Stop::broken(format_args!(
                "--conn-extra is not a JSON object ({err}): expected one such as '{{\"sslmode\": \"require\"}}'"
            ))
        })
    });
    Ok(ConnectionWrite {
        uri: add.uri.map(or_stdin).transpose()?,
        conn_type: add.conn_type,
        host: add.host,
        port: add.port,
        schema: add.schema,
        login: add.login,
        password: add.password.map(or_stdin).transpose()?,
        extra: extra.transpose()?,
        description: add.description,
    })
}

fn show(connection: &Connection, output: Format, printer: Printer) {
    let shadows = labels(&connection.shadows);
    printer.record(
        output,
        connection,
        &[
            ("connection", Some(connection.conn_id.clone())),
            ("type", Some(connection.conn_type.clone())),
            ("uri", Some(connection.uri.clone())),
            ("from", Some(connection.source.label().to_owned())),
            ("shadows", (!shadows.is_empty()).then_some(shadows)),
            ("description", connection.description.clone()),
            ("problem", connection.problem.clone()),
        ],
    );
}

async fn list(client: &Client, output: Format, printer: Printer) -> Ended {
    let connections: Vec<Connection> = client.list(&["connections"], &[], usize::MAX).await?;
    printer.rows(
        output,
        &connections,
        ["CONNECTION", "TYPE", "URI", "FROM", "SHADOWS"],
        |it| {
            [
                it.conn_id.clone(),
                it.conn_type.clone(),
                it.problem.clone().unwrap_or_else(|| it.uri.clone()),
                it.source.label().to_owned(),
                labels(&it.shadows),
            ]
        },
    );
    if connections.is_empty() {
        printer.say(
            "No connections. Add one with: dagctl connections add NAME --conn-uri postgres://user@host/database",
        );
    }
    Ok(())
}
