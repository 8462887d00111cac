//! Whom a DAG or a task tells when it settles.

/// One entry of `on_failure_callback` or `on_success_callback`.
#[derive(Debug, Clone, PartialEq)]
pub enum Callback {
    /// A message to a Slack incoming webhook.
    Slack(SlackNotifier),
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
