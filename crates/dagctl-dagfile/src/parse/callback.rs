//! `on_failure_callback` and its like, and the notifiers that they name.

use dagctl_core::callback::{Callback, EmailNotifier, HttpNotifier, Notifier, SlackNotifier};

use super::defaults::Defaults;
use super::operator;
use crate::diagnostic::Code;
use crate::layers::Layers;
use crate::lint::Names;
use crate::sources::Session;
use crate::vocabulary::{self, NOTIFIERS};
use crate::yaml::{Entry, Node, Yaml};
use dagctl_core::nearest::nearest;

/// The notifiers that `_defaults.yaml` defines for a file, the nearest folder's first.
pub(super) fn named(folders: &[Defaults]) -> Vec<(String, Node)> {
    let all = folders.iter().filter_map(|it| it.root.get("notifiers"));
    all.flat_map(|it| it.value.entries())
        .map(|it| (it.key.clone(), it.value.clone()))
        .collect()
}

/// Complains about what a `notifiers:` of `_defaults.yaml` holds, used or not.
pub(super) fn check_definitions(session: &mut Session<'_>, root: &Node) {
    let Some(all) = root.get("notifiers") else {
        return;
    };
    if !session.is_map(&all.value, "notifiers") {
        return;
    }
    for entry in all.value.entries() {
        if !session.is_map(&entry.value, &entry.key) {
            continue;
        }
        let Some(kind) = entry.value.get("type") else {
            let what = format!("notifier `{}`", entry.key);
            session.missing(entry.key_place, &what, "type");
            continue;
        };
        if let Some(kind) = session.string(&kind.value, "type")
            && let Some((_, fields)) = built_in(&kind)
        {
            check_fields(session, entry.value.entries(), fields);
        } else if let Some(text) = session.text(&kind.value, "type") {
            session
                .report(
                    Code::BadValue,
                    text.place,
                    format!("`{}` is no type of notifier", text.value),
                )
                .hint(format!("it may be {}", vocabulary::list(&types())));
        }
    }
}

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
        Yaml::Scalar(it) => notifier(session, node, None, &it.text),
        Yaml::Map(entries) => {
            let Some(kind) = node.get("type") else {
                let place = entries.first().map_or(node.place, |it| it.key_place);
                session.missing(place, "a notifier", "type");
                return None;
            };
            let name = session.string(&kind.value, "type")?;
            notifier(session, &kind.value, Some(node), &name)
        }
        Yaml::Null | Yaml::List(_) => {
            session.wrong_type(node, field, "a list of notifiers");
            None
        }
    }
}

fn types() -> Vec<&'static str> {
    NOTIFIERS.iter().map(|(name, _)| *name).collect()
}

fn built_in(name: &str) -> Option<(&'static str, &'static [&'static str])> {
    NOTIFIERS.iter().find(|(it, _)| *it == name).copied()
}

/// The notifier called `name` at `place`, with the fields of `own` before those of its definition.
fn notifier(
    session: &mut Session<'_>,
    place: &Node,
    own: Option<&Node>,
    name: &str,
) -> Option<Callback> {
    let defined = session.notifiers.iter().find(|(it, _)| it == name);
    let definition = defined.map(|(_, node)| node.clone());
    let kind = match definition.as_ref().and_then(|it| it.get("type")) {
        Some(entry) => match &entry.value.value {
            Yaml::Scalar(it) => it.text.clone(),
            // What is wrong there has been said there.
            Yaml::Broken | Yaml::Null | Yaml::List(_) | Yaml::Map(_) => return None,
        },
        None => name.to_owned(),
    };
    let Some((kind, fields)) = built_in(&kind) else {
        if definition.is_none() {
            report_unknown(session, place, name);
        }
        return None;
    };
    let mut layers = Layers::default();
    let mut good = true;
    if let Some(own) = own {
        good = check_fields(session, own.entries(), fields);
        layers.push(own);
    }
    if let Some(it) = &definition {
        good &= it
            .entries()
            .iter()
            .all(|it| fields.contains(&it.key.as_str()));
        layers.push(it);
    }
    let notifier = match kind {
        "http" => http(session, place, &layers).map(Notifier::Http),
        "email" => email(session, place, &layers).map(Notifier::Email),
        _ => slack(session, &layers).map(Notifier::Slack),
    };
    let after_failures = layers.read(session, "after_failures", |session, node, field| {
        session.whole(node, field, 1)
    });
    let recovered = layers.read(session, "recovered", Session::boolean);
    Some(Callback {
        after_failures: after_failures.unwrap_or(1),
        recovered: recovered.unwrap_or_default(),
        ..Callback::new(name, notifier.filter(|_| good)?)
    })
}

fn report_unknown(session: &mut Session<'_>, place: &Node, name: &str) {
    let named: Vec<String> = session.notifiers.iter().map(|(it, _)| it.clone()).collect();
    let mut all: Vec<&str> = named.iter().map(String::as_str).collect();
    all.extend(types());
    let hint = match nearest(name, all.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "define it under `notifiers:` of a `_defaults.yaml`, or use {}",
            vocabulary::list(&all)
        ),
    };
    session
        .report(
            Code::BadValue,
            place.place,
            format!("unknown notifier `{name}`"),
        )
        .hint(hint);
}

fn check_fields(session: &mut Session<'_>, entries: &[Entry], fields: &[&str]) -> bool {
    let mut good = true;
    for entry in entries {
        let field = entry.key.as_str();
        if fields.contains(&field) {
            continue;
        }
        good = false;
        let hint = match nearest(field, fields.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the fields here are {}", vocabulary::list(fields)),
        };
        session
            .report(
                Code::UnknownField,
                entry.key_place,
                format!("unknown field `{field}` of a notifier"),
            )
            .hint(hint);
    }
    good
}

fn filled(session: &mut Session<'_>, layers: &Layers<'_>, field: &str) -> Option<String> {
    layers.read(session, field, |session, node, field| {
        session.filled(node, field).map(|it| it.value)
    })
}

/// A text that is a template over `error` as well.
fn template(session: &mut Session<'_>, layers: &Layers<'_>, field: &str) -> Option<String> {
    layers.read(session, field, |session, node, field| {
        operator::template(session, node, field, Names::Error)
    })
}

fn slack(session: &mut Session<'_>, layers: &Layers<'_>) -> Option<SlackNotifier> {
    let default = SlackNotifier::default();
    Some(SlackNotifier {
        slack_webhook_conn_id: filled(session, layers, "slack_webhook_conn_id"),
        text: template(session, layers, "text"),
        channel: filled(session, layers, "channel"),
        username: filled(session, layers, "username").unwrap_or(default.username),
        icon_emoji: filled(session, layers, "icon_emoji").unwrap_or(default.icon_emoji),
    })
}

fn http(session: &mut Session<'_>, place: &Node, layers: &Layers<'_>) -> Option<HttpNotifier> {
    let default = HttpNotifier::default();
    let (conn_id, endpoint) = (layers.get("conn_id"), layers.get("endpoint"));
    if conn_id.is_none() && endpoint.is_none() {
        session
            .report(
                Code::MissingField,
                place.place,
                "a notifier of type `http` needs `conn_id`, or a whole URL as `endpoint`",
            )
            .hint("write `{type: http, conn_id: NAME}`; `dagctl connections list` shows which there are");
        return None;
    }
    Some(HttpNotifier {
        conn_id: filled(session, layers, "conn_id"),
        endpoint: template(session, layers, "endpoint").unwrap_or_default(),
        method: layers
            .read(session, "method", operator::method)
            .unwrap_or(default.method),
        headers: layers
            .read(session, "headers", |session, node, field| {
                operator::pairs(session, node, field, Names::Error)
            })
            .unwrap_or_default(),
        data: layers.read(session, "data", |session, node, _| {
            Some(session.json(node, &mut |session, text| {
                session.lint_template(&text, Names::Error);
            }))
        }),
    })
}

fn email(session: &mut Session<'_>, place: &Node, layers: &Layers<'_>) -> Option<EmailNotifier> {
    let default = EmailNotifier::default();
    let at = (place.place, "a notifier of type `email`");
    let to = layers.require(session, at, "to", |session, node, field| {
        let texts = session.texts(node, field);
        let bad = texts.iter().find(|it| {
            let is_template = it.value.contains("{{");
            let address = it.value.split_once('@');
            !is_template && address.is_none_or(|(who, host)| who.is_empty() || host.is_empty())
        });
        if let Some(it) = bad {
            let message = format!("`{}` is no address", it.value);
            session
                .report(Code::BadValue, it.place, message)
                .hint("write it as `name@example.com`");
            return None;
        }
        for it in &texts {
            session.lint_template(it, Names::Error);
        }
        (!texts.is_empty()).then(|| texts.into_iter().map(|it| it.value).collect())
    });
    Some(EmailNotifier {
        conn_id: filled(session, layers, "conn_id").unwrap_or(default.conn_id),
        from_email: filled(session, layers, "from_email"),
        subject: template(session, layers, "subject"),
        text: template(session, layers, "text"),
        to: to?,
    })
}
