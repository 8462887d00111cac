//! `on_failure_callback` and `on_success_callback`.

use dagctl_core::callback::{Callback, SlackNotifier};

use crate::diagnostic::Code;
use crate::lint::Names;
use crate::sources::Session;
use crate::yaml::{Entry, Node, Yaml};
use dagctl_core::nearest::nearest;

const SLACK_FIELDS: &[&str] = &[
    "type",
    "slack_webhook_conn_id",
    "text",
    "channel",
    "username",
    "icon_emoji",
];

/// A notifier or a list of them.
pub(super) fn read(session: &mut Session<'_>, node: &Node, field: &str) -> Option<Vec<Callback>> {
    let items = session.items(node);
    let read: Vec<_> = items
        .into_iter()
        .map(|it| one(session, it, field))
        .collect();
    read.into_iter().collect()
}

fn one(session: &mut Session<'_>, node: &Node, field: &str) -> Option<Callback> {
    match &node.value {
        Yaml::Broken => None,
        Yaml::Scalar(it) => {
            known(session, node, &it.text).then(|| Callback::Slack(SlackNotifier::default()))
        }
        Yaml::Map(entries) => {
            let Some(kind) = node.get("type") else {
                let place = entries.first().map_or(node.place, |it| it.key_place);
                session.missing(place, "a notifier", "type");
                return None;
            };
            let name = session.string(&kind.value, "type")?;
            known(session, &kind.value, &name)
                .then(|| slack(session, entries))
                .flatten()
        }
        Yaml::Null | Yaml::List(_) => {
            session.wrong_type(node, field, "a list of notifiers");
            None
        }
    }
}

fn known(session: &mut Session<'_>, node: &Node, name: &str) -> bool {
    if name == "slack" {
        return true;
    }
    match nearest(name, ["slack"]) {
        Some(near) => session
            .report(
                Code::BadValue,
                node.place,
                format!("unknown notifier `{name}`"),
            )
            .hint(format!("did you mean `{near}`?")),
        None => session
            .report(
                Code::NotYet,
                node.place,
                format!("notifier `{name}` does not work yet"),
            )
            .hint("the only notifier so far is `slack`"),
    };
    false
}

fn slack(session: &mut Session<'_>, entries: &[Entry]) -> Option<Callback> {
    let mut slack = SlackNotifier::default();
    let mut good = true;
    for entry in entries {
        let field = entry.key.as_str();
        if !SLACK_FIELDS.contains(&field) {
            good = false;
            if matches!(field, "after_failures" | "recovered") {
                let message = format!("`{field}` does not work yet");
                session
                    .report(Code::NotYet, entry.key_place, message)
                    .label("not yet");
                continue;
            }
            let hint = match nearest(field, SLACK_FIELDS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "the fields here are {}",
                    crate::vocabulary::list(SLACK_FIELDS)
                ),
            };
            session
                .report(
                    Code::UnknownField,
                    entry.key_place,
                    format!("unknown field `{field}` of a notifier"),
                )
                .hint(hint);
            continue;
        }
        let Some(text) = session.filled(&entry.value, field) else {
            good = false;
            continue;
        };
        match field {
            "slack_webhook_conn_id" => slack.slack_webhook_conn_id = Some(text.value),
            "channel" => slack.channel = Some(text.value),
            "username" => slack.username = text.value,
            "icon_emoji" => slack.icon_emoji = text.value,
            "text" => {
                session.lint_template(&text, Names::Error);
                slack.text = Some(text.value);
            }
            _ => (),
        }
    }
    good.then_some(Callback::Slack(slack))
}
