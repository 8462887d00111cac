//! Tables that tasks read and write, and that schedules wait for.

use dagctl_core::asset::{Asset, AssetError, AssetExpression};
use dagctl_core::operator::Operator;

use crate::diagnostic::Code;
use crate::sources::Session;
use crate::vocabulary::list;
use crate::yaml::{Node, Yaml};

/// The tables that a task's `field` names; on the task's own connection, where it works on a database.
pub(super) fn named(
    session: &mut Session<'_>,
    task: &Node,
    field: &str,
    operator: Option<&Operator>,
) -> Vec<Asset> {
    let Some(entry) = task.get(field) else {
        return vec![];
    };
    let items = session.items(&entry.value);
    let mut assets: Vec<Asset> = vec![];
    for it in items {
        if let Some(mut asset) = asset(session, it, field) {
            asset.conn_id = asset.conn_id.or_else(|| database(operator));
            if !assets.contains(&asset) {
                assets.push(asset);
            }
        }
    }
    assets
}

/// The tables that there is news of when a task succeeds: those that `writes` names, or where it is not set, those that
/// the operator is seen to write.
pub(super) fn written(
    session: &mut Session<'_>,
    task: &Node,
    operator: Option<&Operator>,
) -> Vec<Asset> {
    if task.get("writes").is_some() {
        return named(session, task, "writes", operator);
    }
    let names = match operator {
        Some(Operator::BuildTable(it)) => vec![format!("{}.{}", it.target.schema, it.target.table)],
        Some(Operator::LoadFile(it)) => vec![format!("{}.{}", it.target.schema, it.target.table)],
        Some(Operator::Sql(it)) => session.tables_written(&it.sql),
        _ => vec![],
    };
    // What a template names is known only when the task runs.
    let assets = names.iter().filter_map(|it| Asset::parse(it).ok());
    assets
        .map(|it| Asset {
            conn_id: database(operator),
            ..it
        })
        .collect()
}

fn database(operator: Option<&Operator>) -> Option<String> {
    match operator? {
        it @ (Operator::Sql(_)
        | Operator::SqlCheck(_)
        | Operator::BuildTable(_)
        | Operator::LoadFile(_)) => it.conn_id().map(str::to_owned),
        _ => None,
    }
}

/// What `assets` of a schedule waits for; `None` after a complaint.
pub(super) fn expression(session: &mut Session<'_>, node: &Node) -> Option<AssetExpression> {
    match &node.value {
        Yaml::Broken => None,
        Yaml::Scalar(_) => {
            let asset = asset(session, node, "assets")?;
            session.awaited.push((asset.clone(), node.place));
            Some(AssetExpression::Asset(asset))
        }
        Yaml::List(items) => parts(session, node, items).map(AssetExpression::All),
        Yaml::Map(entries) => {
            let [entry] = &entries[..] else {
                let message = "a map in `assets` holds one of `all` and `any`";
                session
                    .report(Code::BadSchedule, node.place, message)
                    .hint("nest them: `{any: [a.x, {all: [a.y, a.z]}]}`");
                return None;
            };
            let make = match entry.key.as_str() {
                "all" => AssetExpression::All,
                "any" => AssetExpression::Any,
                other => {
                    let message = format!("unknown field `{other}` of `assets`");
                    session
                        .report(Code::UnknownField, entry.key_place, message)
                        .hint(format!("the fields here are {}", list(&["all", "any"])));
                    return None;
                }
            };
            let items = session.list(&entry.value, &entry.key)?;
            parts(session, &entry.value, items).map(make)
        }
        Yaml::Null => {
            session.wrong_type(node, "assets", "a list of tables");
            None
        }
    }
}

fn parts(session: &mut Session<'_>, node: &Node, items: &[Node]) -> Option<Vec<AssetExpression>> {
    if items.is_empty() {
        session
            .report(
                Code::BadSchedule,
                node.place,
                "a schedule on no asset is never due",
            )
            .hint("for a DAG that only runs when triggered, write `schedule: null`");
        return None;
    }
    let mut parts = vec![];
    for it in items {
        if matches!(it.value, Yaml::List(_)) {
            session
                .report(
                    Code::BadSchedule,
                    it.place,
                    "a list within a list of assets",
                )
                .hint("say whether all of them are meant or any: `{all: […]}`, `{any: […]}`");
            parts.push(None);
            continue;
        }
        parts.push(expression(session, it));
    }
    parts.into_iter().collect()
}

fn asset(session: &mut Session<'_>, node: &Node, field: &str) -> Option<Asset> {
    let text = session.filled(node, field)?;
    match Asset::parse(&text.value) {
        Ok(it) => Some(it),
        Err(error) => {
            let message = format!("`{}` in `{field}` {error}", text.value);
            let diagnostic = session.report(Code::BadValue, text.place, message);
            match error {
                AssetError::NotATable if !text.value.contains('.') => {
                    diagnostic.hint(format!(
                        "name its schema too, such as `public.{}`",
                        text.value
                    ));
                }
                AssetError::NotATable => (),
                AssetError::Template => {
                    diagnostic.hint("name the table itself, without `{{ }}`");
                }
            }
            None
        }
    }
}
