//! `input_check` and `output_check`.

use dagctl_core::check::{Bounds, Check};

use super::table::sql_text;
use super::task::Site;
use crate::diagnostic::Code;
use crate::layers::Layers;
use crate::lint::Names;
use crate::sources::Session;
use crate::vocabulary::list;
use crate::yaml::{Entry, Node, Yaml};
use dagctl_core::nearest::nearest;

const FIELDS: &[&str] = &["sql", "count", "max_count", "equals"];

/// What others write for our bounds.
const FOREIGN: &[(&str, &str)] = &[
    ("min_count", "count"),
    ("min", "count"),
    ("at_least", "count"),
    ("max", "max_count"),
    ("at_most", "max_count"),
    ("equal", "equals"),
    ("eq", "equals"),
    ("value", "equals"),
    ("query", "sql"),
];

/// `count`, `max_count` and `equals`.
pub(super) fn bounds(session: &mut Session<'_>, layers: &Layers<'_>) -> Bounds {
    Bounds {
        count: layers.read(session, "count", Session::number),
        max_count: layers.read(session, "max_count", Session::number),
        equals: layers.read(session, "equals", Session::number),
    }
}

/// A list of checks.
pub(super) fn read(
    session: &mut Session<'_>,
    site: &Site<'_>,
    node: &Node,
    field: &str,
    names: Names,
) -> Option<Vec<Check>> {
    if let Yaml::Map(entries) = &node.value {
        let first = entries.first().map_or("sql", |it| it.key.as_str());
        session
            .report(
                Code::WrongType,
                node.place,
                format!("`{field}` must be a list of checks, not a map"),
            )
            .label("a map")
            .hint(format!("start each check with a dash: `- {first}: …`"));
        return None;
    }
    let items = session.list(node, field)?;
    let checks: Vec<_> = items
        .iter()
        .map(|it| one(session, site, it, field, names))
        .collect();
    checks.into_iter().collect()
}

fn one(
    session: &mut Session<'_>,
    site: &Site<'_>,
    node: &Node,
    field: &str,
    names: Names,
) -> Option<Check> {
    if matches!(node.value, Yaml::Broken) || !session.is_map(node, field) {
        return None;
    }
    for entry in node.entries() {
        let key = entry.key.as_str();
        if FIELDS.contains(&key) {
            continue;
        }
        let foreign = FOREIGN.iter().find(|(it, _)| *it == key);
        let message = match foreign {
            Some((_, ours)) => {
                format!("unknown field `{key}` of a check; dagctl calls this `{ours}`")
            }
            None => format!("unknown field `{key}` of a check"),
        };
        let near = foreign
            .map(|(_, ours)| *ours)
            .or_else(|| nearest(key, FIELDS.iter().copied()));
        let hint = match near {
            Some(near) => format!("write `{near}:`"),
            None => format!("the fields here are {}", list(FIELDS)),
        };
        session
            .report(Code::UnknownField, entry.key_place, message)
            .hint(hint);
    }
    let place = node.entries().first().map_or(node.place, |it| it.key_place);
    let mut layers = Layers::default();
    layers.push(node);
    let bounds = bounds(session, &layers);
    let sql = layers.require(
        session,
        (place, "a check"),
        "sql",
        |session, node, field| sql_text(session, site, node, field, names),
    );
    let bound = |it: &Entry| it.key != "sql" && it.key != "query";
    if !node.entries().iter().any(bound) {
        session
            .report(
                Code::MissingField,
                place,
                "a check needs `count`, `max_count` or `equals`",
            )
            .hint("`count: 1` asks for at least one");
        return None;
    }
    // A bound under a foreign name has been reported, and leaves no DAG.
    Some(Check { sql: sql?, bounds })
}
