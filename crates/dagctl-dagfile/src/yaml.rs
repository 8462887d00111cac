//! A YAML text as one tree of nodes that know where they stand.

use std::collections::HashMap;

use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

use crate::diagnostic::Code;
use crate::sources::{FileId, Place, Session};

mod events;
mod raw;
mod syntax;

/// The largest file, in bytes.
pub(crate) const MAX_FILE_BYTES: usize = 1024 * 1024;
const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 100_000;
/// A small file may repeat this much by aliases; a larger one about ten times what it says itself.
const MIN_ALIAS_NODES: usize = 10_000;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Yaml,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Yaml {
    /// Already complained about.
    Broken,
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A scalar: its text as written, and what YAML's core schema takes it for.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) kind: ScalarKind,
    /// What an expansion replaced in the text, in order.
    pub(crate) edits: Vec<Edit>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ScalarKind {
    Text,
    Bool(bool),
    Int(i64),
    Float(f64),
}

/// A replacement: `old` bytes became `new` bytes that start at `at` of the new text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) at: usize,
    pub(crate) old: usize,
    pub(crate) new: usize,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) value: Node,
}

/// Reads a file; `None` after a complaint. An empty file is `Null`.
pub(crate) fn read(session: &mut Session<'_>, file: FileId) -> Option<Node> {
    let text = session.sources.text(file);
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes; 1 MiB is the limit", text.len());
        session.report(Code::TooLarge, Place::new(file, 0..0), message);
        return None;
    }
    if let Some(raw) = events::read(text) {
        return Some(lower(session, file, raw));
    }
    match serde_saphyr::from_str_with_options::<raw::Raw>(text, options(text.len())) {
        Ok(raw) => Some(lower(session, file, raw)),
        Err(error) => {
            syntax::report(session, file, &error);
            None
        }
    }
}

fn options(bytes: usize) -> serde_saphyr::Options {
    let mut options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        // Ours to report, so that all of them come at once and with both places.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
        emit_comments: false,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
        },
    };
    options.alias_limits.max_total_replayed_events = bytes.max(MIN_ALIAS_NODES);
    options
}

/// Recovers what the deserializer drops: scalars as written, keys as text, keys that stand twice.
fn lower(session: &mut Session<'_>, file: FileId, raw: raw::Raw) -> Node {
    let place = Place::new(file, raw.range);
    let scalar = |kind, text: String| {
        Yaml::Scalar(Scalar {
            text,
            kind,
            edits: vec![],
        })
    };
    let written = || {
        let text = session.sources.text(file);
        text.get(place.range())
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let value = match raw.kind {
        raw::Kind::Null => Yaml::Null,
        raw::Kind::Bool(it) => scalar(ScalarKind::Bool(it), written()),
        raw::Kind::Int(it) => scalar(ScalarKind::Int(it), written()),
        raw::Kind::Float(it) => scalar(ScalarKind::Float(it), written()),
        raw::Kind::Text(it) => scalar(ScalarKind::Text, it),
        raw::Kind::List(items) => Yaml::List(
            items
                .into_iter()
                .map(|it| lower(session, file, it))
                .collect(),
        ),
        raw::Kind::Map(entries) => lower_map(session, file, place, entries),
    };
    Node { place, value }
}

fn lower_map(
    session: &mut Session<'_>,
    file: FileId,
    place: Place,
    raw: Vec<(raw::Raw, raw::Raw)>,
) -> Yaml {
    let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
    let mut first: HashMap<String, Place> = HashMap::with_capacity(raw.len());
    for (key, value) in raw {
        let key_place = Place::new(file, key.range);
        let key = match key.kind {
            raw::Kind::Text(it) => it,
            raw::Kind::Null | raw::Kind::Bool(_) | raw::Kind::Int(_) | raw::Kind::Float(_) => {
                let text = session.sources.text(file);
                text.get(key_place.range()).unwrap_or_default().to_owned()
            }
            raw::Kind::List(_) | raw::Kind::Map(_) => {
                syntax::report_odd_key(session, place, key_place);
                return Yaml::Broken;
            }
        };
        let value = lower(session, file, value);
        if let Some(earlier) = first.get(&key) {
            let note = format!("it stands first at {}", session.position(*earlier));
            session
                .report(
                    Code::DuplicateKey,
                    key_place,
                    format!("`{key}` stands twice in one map"),
                )
                .label("again")
                .note(note);
            continue;
        }
        first.insert(key.clone(), key_place);
        entries.push(Entry {
            key,
            key_place,
            value,
        });
    }
    Yaml::Map(entries)
}

impl Node {
    /// The entries of a map; empty for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Yaml::Map(entries) => entries,
            Yaml::Broken | Yaml::Null | Yaml::Scalar(_) | Yaml::List(_) => &[],
        }
    }

    /// The value under a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|it| it.key == key)
    }

    /// What it is, for "must be a list, not …".
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Yaml::Broken => "something unreadable",
            Yaml::Null => "nothing",
            Yaml::List(_) => "a list",
            Yaml::Map(_) => "a map",
            Yaml::Scalar(it) => match it.kind {
                ScalarKind::Text => "a text",
                ScalarKind::Bool(_) => "true or false",
                ScalarKind::Int(_) | ScalarKind::Float(_) => "a number",
            },
        }
    }
}
