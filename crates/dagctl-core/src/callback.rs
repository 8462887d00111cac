//! Whom a DAG or a task tells, how, and from which failure on.

use serde_json::Value;

use crate::run::NoticeEvent;

/// One entry of `on_failure_callback` and its like.
#[derive(Debug, Clone, PartialEq)]
pub struct Callback {
    /// The notifier's name: a built-in one, or one of `_defaults.yaml`.
    pub name: String,
    /// Who is told, and how.
    pub notifier: Notifier,
    /// The failure in a row from which on it is told of failures; 1: of every one.
    pub after_failures: u32,
    /// Whether it is also told when a DAG of whose failure it was told succeeds again.
    pub recovered: bool,
}

/// Who is told, and how.
#[derive(Debug, Clone, PartialEq)]
pub enum Notifier {
    /// A message to a Slack incoming webhook.
    Slack(SlackNotifier),
    /// A request to any service.
    Http(HttpNotifier),
    /// A mail.
    Email(EmailNotifier),
}

/// How a Slack message looks and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlackNotifier {
    /// The connection that holds the webhook; without it the Variable `slack_url`.
    pub slack_webhook_conn_id: Option<String>,
    /// The message, a template over the run's names and `error`; without it the default text.
    pub text: Option<String>,
    /// The channel, where the webhook allows another than its own.
    pub channel: Option<String>,
    /// The name the message is posted under.
    pub username: String,
    /// The picture it is posted with.
    pub icon_emoji: String,
}

/// What a request says and where it goes. Texts are templates over the run's names and `error`.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpNotifier {
    /// Base URL, login and headers.
    pub conn_id: Option<String>,
    /// A path below the connection's base URL, or a whole URL; empty: the base URL itself.
    pub endpoint: String,
    /// `POST`, `PUT`, ….
    pub method: String,
    /// Names and templates.
    pub headers: Vec<(String, String)>,
    /// The body; without it a JSON object with what happened.
    pub data: Option<Value>,
}

/// What a mail says and who gets it. Texts are templates over the run's names and `error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailNotifier {
    /// The connection that names the mail server.
    pub conn_id: String,
    /// Addresses.
    pub to: Vec<String>,
    /// The sender; without it the connection's `from_email`, or its login.
    pub from_email: Option<String>,
    /// Without it the default subject.
    pub subject: Option<String>,
    /// Without it the default text.
    pub text: Option<String>,
}

impl Callback {
    /// The built-in `slack`.
    pub fn slack() -> Self {
        Self::new("slack", Notifier::Slack(SlackNotifier::default()))
    }

    /// A notifier that is told of everything it stands for.
    pub fn new(name: impl Into<String>, notifier: Notifier) -> Self {
        Self {
            name: name.into(),
            notifier,
            after_failures: 1,
            recovered: false,
        }
    }

    /// Whether this is told of `event`; of a failure only if it is the `in_a_row`th at least.
    pub fn is_told(&self, event: NoticeEvent, in_a_row: u32) -> bool {
        event != NoticeEvent::Failure || in_a_row >= self.after_failures
    }
}

impl Notifier {
    /// The word in `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Slack(_) => "slack",
            Self::Http(_) => "http",
            Self::Email(_) => "email",
        }
    }

    /// Who gets it, whatever it says: two notifiers of one destination reach the same people.
    pub fn destination(&self) -> String {
        let or_none = |it: &Option<String>| it.clone().unwrap_or_default();
        match self {
            Self::Slack(it) => format!(
                "slack:{}:{}",
                or_none(&it.slack_webhook_conn_id),
                or_none(&it.channel)
            ),
            Self::Http(it) => {
                format!(
                    "http:{}:{}:{}",
                    or_none(&it.conn_id),
                    it.method,
                    it.endpoint
                )
            }
            Self::Email(it) => format!("email:{}:{}", it.conn_id, it.to.join(",")),
        }
    }
}

impl Default for SlackNotifier {
    fn default() -> Self {
        Self {
            slack_webhook_conn_id: None,
            text: None,
            channel: None,
            username: "dagctl".to_owned(),
            icon_emoji: ":scream:".to_owned(),
        }
    }
}

impl Default for HttpNotifier {
    fn default() -> Self {
        Self {
            conn_id: None,
            endpoint: String::new(),
            method: "POST".to_owned(),
            headers: vec![],
            data: None,
        }
    }
}

impl Default for EmailNotifier {
    fn default() -> Self {
        Self {
            conn_id: "smtp_default".to_owned(),
            to: vec![],
            from_email: None,
            subject: None,
            text: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_from_the_one_that_was_asked_for_and_everything_else_always() {
        let callback = Callback {
            after_failures: 3,
            ..Callback::slack()
        };
        let told = |event, in_a_row| callback.is_told(event, in_a_row);
        assert_eq!(
            [1, 2, 3, 4].map(|it| told(NoticeEvent::Failure, it)),
            [false, false, true, true]
        );
        assert!(told(NoticeEvent::Recovered, 0));
        assert!(Callback::slack().is_told(NoticeEvent::Failure, 1));
    }

    #[test]
    fn a_destination_is_the_channel_whatever_is_said_there() {
        let slack = |channel: &str, text: &str| {
            Notifier::Slack(SlackNotifier {
                channel: Some(channel.to_owned()),
                text: Some(text.to_owned()),
                ..SlackNotifier::default()
            })
            .destination()
        };
        assert_eq!(slack("#data", "red"), slack("#data", "green"));
        assert_ne!(slack("#data", "red"), slack("#ops", "red"));
    }

    #[test]
    fn a_notifier_is_called_what_stands_in_type() {
        let email = EmailNotifier {
            conn_id: "mail".to_owned(),
            to: vec![],
            from_email: None,
            subject: None,
            text: None,
        };
        assert_eq!(Callback::slack().notifier.kind(), "slack");
        assert_eq!(Notifier::Email(email).kind(), "email");
    }
}
