//! Sends a mail through a connection's server, and tells apart what a sender must know.

use std::net::IpAddr;
use std::time::Duration;

use dagctl_core::connection::Connection;
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Message, transport::smtp::Error};
use tokio::time::timeout;

use crate::Delivery;

/// How long the server may take to let us in, and again to take the mail.
const TIMEOUT: Duration = Duration::from_secs(25);

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The sender; without it the connection's `from_email`, or its login.
    pub from: Option<String>,
    /// Who gets it.
    pub to: Vec<String>,
    /// One line.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same for every try, so that whoever gets it twice can tell.
    pub message_id: String,
}

/// How the way to the server is kept secret, in the words of Airflow's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    /// From the first byte on.
    Implicit,
    /// After a word in the clear.
    Upgrade,
    /// Not at all: `disable_ssl` and `disable_tls`.
    None,
}

impl Tls {
    fn of(connection: &Connection) -> Self {
        match (
            connection.says("disable_ssl"),
            connection.says("disable_tls"),
        ) {
            (false, _) => Self::Implicit,
            (true, false) => Self::Upgrade,
            (true, true) => Self::None,
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Implicit => 465,
            Self::Upgrade => 587,
            Self::None => 25,
        }
    }
}

/// Sends `letter`. What a changed connection can mend is worth another try.
pub async fn send(connection: &Connection, letter: &Letter) -> Delivery {
    let message = match message(connection, letter) {
        Ok(it) => it,
        Err(problem) => return Delivery::Retry(problem),
    };
    let mut server = match timeout(TIMEOUT, open(connection)).await {
        Ok(Ok(it)) => it,
        Ok(Err(problem)) => return Delivery::Retry(problem),
        Err(_) => return Delivery::Retry("the mail server did not answer in time".to_owned()),
    };
    let text = message.formatted();
    let sending = server.send(message.envelope(), &text);
    let delivery = match sending_result(timeout(TIMEOUT, sending).await) {
        Ok(()) => Delivery::Sent,
        Err(it) => return it,
    };
    // It has the mail; how it says goodbye changes nothing.
    let _ = timeout(Duration::from_secs(1), server.quit()).await;
    delivery
}

fn sending_result<T, E>(ended: Result<Result<T, Error>, E>) -> Result<(), Delivery> {
    match ended {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(err)) if err.is_permanent() || err.is_client() => Err(Delivery::Refused(format!(
            "the mail server refused it: {}",
            chain(&err)
        ))),
        Ok(Err(err)) if err.is_transient() => Err(Delivery::Retry(format!(
            "the mail server asked to try later: {}",
            chain(&err)
        ))),
        Ok(Err(err)) => Err(Delivery::Doubtful(format!(
            "no answer from the mail server: {}",
            chain(&err)
        ))),
        Err(_) => Err(Delivery::Doubtful(
            "the mail server did not answer in time".to_owned(),
        )),
    }
}

async fn open(connection: &Connection) -> Result<AsyncSmtpConnection, String> {
    let conn_id = &connection.conn_id;
    let host = connection
        .host
        .clone()
        .ok_or_else(|| format!("connection `{conn_id}` names no host"))?;
    let tls = Tls::of(connection);
    let port = connection.port.unwrap_or(tls.port());
    let parameters = || {
        TlsParameters::new(host.clone())
            .map_err(|err| format!("cannot speak TLS with {host}: {}", chain(&err)))
    };
    let at_once = match tls {
        Tls::Implicit => Some(parameters()?),
        Tls::Upgrade | Tls::None => None,
    };
    let us = ClientId::default();
    let address = (host.as_str(), port);
    let mut server =
        AsyncSmtpConnection::connect_tokio1(address, Some(TIMEOUT), &us, at_once, None)
            .await
            .map_err(|err| format!("cannot connect to {host}:{port}: {}", chain(&err)))?;
    if tls == Tls::Upgrade {
        server
            .starttls(parameters()?, &us)
            .await
            .map_err(|err| format!("{host}:{port} did not start TLS: {}", chain(&err)))?;
    }
    if let (Some(login), Some(password)) = (&connection.login, &connection.password) {
        if tls == Tls::None && !is_this_machine(&host) {
            return Err(format!(
                "connection `{conn_id}` has a password and `disable_tls`: it is not sent in the clear to {host}"
            ));
        }
        let login = Credentials::new(login.clone(), password.expose().to_owned());
        server
            .auth(DEFAULT_MECHANISMS, &login)
            .await
            .map_err(|err| format!("{host}:{port} did not let us in: {}", chain(&err)))?;
    }
    Ok(server)
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

fn message(connection: &Connection, letter: &Letter) -> Result<Message, String> {
    let conn_id = &connection.conn_id;
    let of_connection = connection
        .extra
        .get("from_email")
        .and_then(|it| it.as_str());
    let login = connection.login.as_deref().filter(|it| it.contains('@'));
    let from = letter.from.as_deref().or(of_connection).or(login).ok_or_else(|| {
        format!("nobody sends this mail: set `from_email` in connection `{conn_id}` or in the notifier")
    })?;
    let mailbox = |text: &str| {
        text.trim()
            .parse::<Mailbox>()
            .map_err(|err| format!("`{text}` is no address: {err}"))
    };
    let mut builder = Message::builder()
        .from(mailbox(from)?)
        .subject(letter.subject.replace(['\r', '\n'], " "))
        .message_id(Some(letter.message_id.clone()))
        .header(ContentType::TEXT_PLAIN);
    for it in &letter.to {
        builder = builder.to(mailbox(it)?);
    }
    builder
        .body(letter.text.clone())
        .map_err(|err| format!("the mail could not be made: {err}"))
}

fn chain(err: &Error) -> String {
    let mut text = err.to_string();
    let mut source = std::error::Error::source(err);
    while let Some(err) = source {
        let cause = err.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = err.source();
    }
    text
}
