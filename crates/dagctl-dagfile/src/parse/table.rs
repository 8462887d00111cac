//! `build_table` and `load_file`, which publish a table.

use dagctl_core::operator::{BuildTable, LoadFile, LoadMode, Swap, Target};

use super::check;
use super::operator::{conn_id, template};
use super::task::Site;
use crate::diagnostic::Code;
use crate::glob::{folder_of, resolve};
use crate::layers::{Layers, check_fields};
use crate::lint::Names;
use crate::reader::Choice;
use crate::sources::{FileId, Session};
use crate::text::Text;
use crate::vocabulary::Level;
use crate::yaml::{Node, Yaml};

const SWAP: Choice<'_, Swap> = Choice {
    works: &[
        ("rename", Swap::Rename),
        ("replace_rows", Swap::ReplaceRows),
    ],
    not_yet: &["view"],
};

const MODE: Choice<'_, LoadMode> = Choice {
    works: &[("replace", LoadMode::Replace), ("append", LoadMode::Append)],
    not_yet: &["merge", "upsert"],
};

const FORMAT: Choice<'_, ()> = Choice {
    works: &[("csv", ())],
    not_yet: &["json", "jsonl", "parquet", "tsv", "xlsx"],
};

pub(super) fn build_table(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<BuildTable> {
    let config = match layers.get("config") {
        Some(entry) => Some(config(session, site, &entry.value)?),
        None => None,
    };
    // The config file is nearer to its table than the task, which may stand for many.
    let mut own = Layers::default();
    if let Some(it) = &config {
        own.push(it);
    }
    let conn_id = conn_id(session, site, layers);
    let mut all = own;
    all.push_all(layers);
    let target = target(session, site, &all, conn_id);
    let at = (site.place, &*site.what());
    let main_sql = all.require(session, at, "main_sql", |session, node, field| {
        sql_text(session, site, node, field, Names::None)
    });
    Some(BuildTable {
        target: target?,
        main_sql: main_sql?,
    })
}

/// The fields of a `config` file, references of an expansion replaced.
fn config(session: &mut Session<'_>, site: &Site<'_>, node: &Node) -> Option<Node> {
    let text = session.filled(node, "config")?;
    let file = referred(session, site, &text)?;
    let root = session.tree(file)?;
    if !matches!(root.value, Yaml::Map(_)) {
        let message = format!("a config file is a map of fields, not {}", root.kind());
        session.report(Code::WrongType, root.place, message);
        return None;
    }
    check_fields(session, root.entries(), Level::Config);
    Some(site.replacements.node(&root))
}

pub(super) fn load_file(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<LoadFile> {
    let conn_id = conn_id(session, site, layers);
    let target = target(session, site, layers, conn_id);
    let at = (site.place, &*site.what());
    let file = layers.require(session, at, "file", |session, node, field| {
        template(session, node, field, Names::None)
    });
    layers.read(session, "format", |session, node, field| {
        session.choice(node, field, &FORMAT)
    });
    let header = layers.read(session, "header", Session::boolean);
    let delimiter = layers.read(session, "delimiter", |session, node, field| {
        let text = session.text(node, field)?.value;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(it), None) if it.is_ascii() && !matches!(it, '\n' | '\r' | '"') => Some(it),
            (Some(_) | None, _) => {
                session
                    .report(
                        Code::BadValue,
                        node.place,
                        "`delimiter` must be one ASCII character",
                    )
                    .hint("for a tab write `delimiter: \"\\t\"`");
                None
            }
        }
    });
    let columns = layers.read(session, "columns", columns);
    let mode = layers.read(session, "mode", |session, node, field| {
        session.choice(node, field, &MODE)
    });
    Some(LoadFile {
        target: target?,
        file: file?,
        header: header.unwrap_or(true),
        delimiter: delimiter.unwrap_or(','),
        columns: columns.unwrap_or_default(),
        mode: mode.unwrap_or_default(),
    })
}

/// Column names with their SQL types.
fn columns(session: &mut Session<'_>, node: &Node, field: &str) -> Option<Vec<(String, String)>> {
    if !session.is_map(node, field) {
        return None;
    }
    let columns: Vec<_> = node
        .entries()
        .iter()
        .map(|it| {
            let kind = session.filled(&it.value, &it.key)?.value;
            Some((it.key.clone(), kind))
        })
        .collect();
    columns.into_iter().collect()
}

fn target(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
    conn_id: Option<String>,
) -> Option<Target> {
    let at = (site.place, &*site.what());
    let name = |session: &mut Session<'_>, node: &Node, field: &str| {
        template(session, node, field, Names::None)
    };
    let schema = layers.require(session, at, "schema", name);
    let table = layers.require(session, at, "table", name);
    let primary_key = match layers.get("primary_key") {
        Some(entry) => session.texts(&entry.value, "primary_key"),
        None => vec![],
    };
    let input_check = layers.read(session, "input_check", |session, node, field| {
        check::read(session, site, node, field, Names::None)
    });
    let output_check = layers.read(session, "output_check", |session, node, field| {
        check::read(session, site, node, field, Names::Staging)
    });
    let allow_empty = layers.read(session, "allow_empty", Session::boolean);
    let swap = layers.read(session, "swap", |session, node, field| {
        session.choice(node, field, &SWAP)
    });
    let keep_versions = layers.read(session, "keep_versions", |session, node, field| {
        session.whole(node, field, 0)
    });
    Some(Target {
        conn_id: conn_id?,
        schema: schema?,
        table: table?,
        primary_key: primary_key.into_iter().map(|it| it.value).collect(),
        input_check: input_check.unwrap_or_default(),
        output_check: output_check.unwrap_or_default(),
        allow_empty: allow_empty.unwrap_or_default(),
        swap: swap.unwrap_or_default(),
        keep_versions: keep_versions.unwrap_or_default(),
    })
}

/// SQL, or the name of a file with SQL: one word that ends in `.sql`.
pub(super) fn sql_text(
    session: &mut Session<'_>,
    site: &Site<'_>,
    node: &Node,
    field: &str,
    names: Names,
) -> Option<String> {
    sql_with_place(session, site, node, field, names).map(|it| it.value)
}

/// The same, with its place.
pub(super) fn sql_with_place(
    session: &mut Session<'_>,
    site: &Site<'_>,
    node: &Node,
    field: &str,
    names: Names,
) -> Option<Text> {
    let text = session.filled(node, field)?;
    let word = text.value.trim();
    let text = if word.ends_with(".sql") && !word.contains(char::is_whitespace) {
        let file = referred(session, site, &text)?;
        site.replacements.text(Text::of_file(session.sources, file))
    } else {
        text
    };
    session.lint_sql(&text, names);
    Some(text)
}

/// The file that a path relative to the DAG file names.
fn referred(session: &mut Session<'_>, site: &Site<'_>, text: &Text) -> Option<FileId> {
    let path = text.value.trim();
    let folder = folder_of(session.sources.path(site.file)).to_owned();
    let Ok(full) = resolve(&folder, path) else {
        session
            .report(
                Code::BadValue,
                text.place,
                format!("`{path}` leads out of the dags folder"),
            )
            .hint("write a path relative to the DAG file");
        return None;
    };
    if let Some(file) = session.open(&full) {
        return Some(file);
    }
    if let Some(it) = session.sources.hidden(&full) {
        let message = format!("the file `{}` is hidden", session.sources.shown(&full));
        let line = format!("{}:{}", it.ignore_file, it.line);
        session
            .report(Code::MissingFile, text.place, message)
            .label(format!("hidden by {line}"))
            .hint(format!(
                "`{}` on {line} matches it: make that pattern narrower, or move the file",
                it.pattern
            ));
        return None;
    }
    let near = session.sources.nearest(&full);
    let message = format!("there is no file `{}`", session.sources.shown(&full));
    let diagnostic = session.report(Code::MissingFile, text.place, message);
    diagnostic.hint(match near {
        Some(it) => format!("did you mean `{it}`? paths are relative to the DAG file"),
        None => "the path is relative to the DAG file".to_owned(),
    });
    None
}
