//! Notifiers as JSON: the core's types carry no serialised form of their own.

use dagctl_core::callback::{EmailNotifier, HttpNotifier, Notifier, SlackNotifier};
use serde_json::{Value, json};

/// A notifier as its message keeps it.
pub(super) fn write(notifier: &Notifier) -> Value {
    match notifier {
        Notifier::Slack(it) => json!({
            "slack_webhook_conn_id": it.slack_webhook_conn_id,
            "text": it.text,
            "channel": it.channel,
            "username": it.username,
            "icon_emoji": it.icon_emoji,
        }),
        Notifier::Http(it) => json!({
            "conn_id": it.conn_id,
            "endpoint": it.endpoint,
            "method": it.method,
            "headers": it.headers,
            "data": it.data,
        }),
        Notifier::Email(it) => json!({
            "conn_id": it.conn_id,
            "to": it.to,
            "from_email": it.from_email,
            "subject": it.subject,
            "text": it.text,
        }),
    }
}

/// Reads back the notifier of a message's payload.
pub(crate) fn read(payload: &Value) -> Notifier {
    let kept = &payload["notifier"];
    let text = |key: &str| kept[key].as_str().map(str::to_owned);
    match payload["type"].as_str() {
        Some("http") => {
            let default = HttpNotifier::default();
            Notifier::Http(HttpNotifier {
                conn_id: text("conn_id"),
                endpoint: text("endpoint").unwrap_or_default(),
                method: text("method").unwrap_or(default.method),
                headers: serde_json::from_value(kept["headers"].clone()).unwrap_or_default(),
                data: Some(kept["data"].clone()).filter(|it| !it.is_null()),
            })
        }
        Some("email") => {
            let default = EmailNotifier::default();
            Notifier::Email(EmailNotifier {
                conn_id: text("conn_id").unwrap_or(default.conn_id),
                to: serde_json::from_value(kept["to"].clone()).unwrap_or_default(),
                from_email: text("from_email"),
                subject: text("subject"),
                text: text("text"),
            })
        }
        Some(_) | None => {
            let default = SlackNotifier::default();
            Notifier::Slack(SlackNotifier {
                slack_webhook_conn_id: text("slack_webhook_conn_id"),
                text: text("text"),
                channel: text("channel"),
                username: text("username").unwrap_or(default.username),
                icon_emoji: text("icon_emoji").unwrap_or(default.icon_emoji),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notifier_is_read_back_as_it_was_kept() {
        let some = |text: &str| Some(text.to_owned());
        let all = [
            Notifier::Slack(SlackNotifier {
                channel: some("#data"),
                text: some("{{ error.summary }}"),
                ..SlackNotifier::default()
            }),
            Notifier::Http(HttpNotifier {
                conn_id: some("pager"),
                headers: vec![("X-Team".to_owned(), "data".to_owned())],
                data: Some(json!({"error": "{{ error.message }}"})),
                ..HttpNotifier::default()
            }),
            Notifier::Email(EmailNotifier {
                to: vec!["kim@example.com".to_owned()],
                subject: some("no"),
                ..EmailNotifier::default()
            }),
        ];
        for it in all {
            let payload = json!({"type": it.kind(), "notifier": write(&it)});
            assert_eq!(read(&payload), it);
        }
    }
}
