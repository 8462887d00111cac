//! `for_each`: one task of the file becomes several when the file loads.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::diagnostic::Code;
use crate::glob::{Glob, folder_of, relative_to, resolve, stem_of};
use crate::sources::{FileId, Session};
use crate::text::Text;
use crate::vocabulary::list;
use crate::yaml::{Edit, Entry, Node, Scalar, Yaml};
use dagctl_core::nearest::nearest;

const KINDS: &[&str] = &["files", "values", "matrix"];

/// One task of an expansion.
#[derive(Debug, Clone, Default)]
pub(super) struct Member {
    /// What comes after the task's name and a dot.
    pub(super) name: String,
    pub(super) replacements: Replacements,
}

/// What stands for `{{ file }}`, `{{ value }}` and `{{ matrix.x }}` in one member.
#[derive(Debug, Clone, Default)]
pub(super) struct Replacements(Vec<(String, String)>);

static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{\{-?\s*(file|value|matrix\.[\p{L}_][\p{L}\p{N}_]*)\s*-?\}\}")
        .expect("the pattern is constant")
});

impl Replacements {
    /// Whether the task stands for itself alone.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy of the node with every reference replaced.
    pub(super) fn node(&self, node: &Node) -> Node {
        let value = match &node.value {
            Yaml::Broken => Yaml::Broken,
            Yaml::Null => Yaml::Null,
            Yaml::Scalar(it) => Yaml::Scalar(self.scalar(it)),
            Yaml::List(items) => Yaml::List(items.iter().map(|it| self.node(it)).collect()),
            Yaml::Map(entries) => Yaml::Map(
                entries
                    .iter()
                    .map(|it| Entry {
                        value: self.node(&it.value),
                        ..it.clone()
                    })
                    .collect(),
            ),
        };
        Node { value, ..*node }
    }

    /// The text of a whole file with every reference replaced.
    pub(super) fn text(&self, text: Text) -> Text {
        match self.replace(&text.value) {
            Some((value, edits)) => text.edited(value, edits),
            None => text,
        }
    }

    fn scalar(&self, scalar: &Scalar) -> Scalar {
        match self.replace(&scalar.text) {
            Some((text, edits)) => Scalar {
                text,
                edits,
                kind: scalar.kind,
            },
            None => scalar.clone(),
        }
    }

    fn replace(&self, text: &str) -> Option<(String, Vec<Edit>)> {
        if self.0.is_empty() || !text.contains("{{") {
            return None;
        }
        let mut edits = vec![];
        let mut grown = 0_isize;
        let replaced = REFERENCE.replace_all(text, |found: &Captures<'_>| {
            let (whole, name) = (found.get_match(), &found[1]);
            match self.0.iter().find(|(it, _)| it == name) {
                Some((_, value)) => {
                    edits.push(Edit {
                        at: whole.start().saturating_add_signed(grown),
                        old: whole.len(),
                        new: value.len(),
                    });
                    grown += value.len().cast_signed() - whole.len().cast_signed();
                    value.clone()
                }
                None => whole.as_str().to_owned(),
            }
        });
        (!edits.is_empty()).then(|| (replaced.into_owned(), edits))
    }
}

/// The members that `for_each` asks for; `None` after a complaint.
pub(super) fn read(session: &mut Session<'_>, file: FileId, node: &Node) -> Option<Vec<Member>> {
    if !session.is_map(node, "for_each") {
        return None;
    }
    let mut members = None;
    for entry in node.entries() {
        let key = entry.key.as_str();
        if !KINDS.contains(&key) {
            let hint = match nearest(key, KINDS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("`for_each` takes one of {}", list(KINDS)),
            };
            session
                .report(
                    Code::UnknownField,
                    entry.key_place,
                    format!("unknown field `{key}` of `for_each`"),
                )
                .hint(hint);
            return None;
        }
        if members.is_some() {
            session.report(
                Code::BadValue,
                entry.key_place,
                format!("`for_each` takes only one of {}", list(KINDS)),
            );
            return None;
        }
        members = Some(match key {
            "files" => files(session, file, &entry.value)?,
            "values" => values(session, &entry.value)?,
            _ => matrix(session, &entry.value)?,
        });
    }
    let Some(members) = members else {
        session.missing(node.place, "`for_each`", "files");
        return None;
    };
    Some(members)
}

fn files(session: &mut Session<'_>, file: FileId, node: &Node) -> Option<Vec<Member>> {
    let folder = folder_of(session.sources.path(file));
    let own = session.sources.path(file);
    let mut members: Vec<Member> = vec![];
    for pattern in session.texts(node, "files") {
        let Ok(full) = resolve(folder, &pattern.value) else {
            let message = format!("`{}` leads out of the dags folder", pattern.value);
            session.report(Code::BadValue, pattern.place, message);
            return None;
        };
        let Some(glob) = Glob::new(&full) else {
            let message = format!("`{}` is not a pattern", pattern.value);
            session.report(Code::BadValue, pattern.place, message);
            return None;
        };
        let found: Vec<_> = session
            .glob(glob)
            .into_iter()
            .filter(|it| it != own)
            .collect();
        if found.is_empty() {
            let message = format!("no file matches `{}`", pattern.value);
            let looked = if folder.is_empty() {
                "the dags folder".to_owned()
            } else {
                format!("`{folder}/`")
            };
            session
                .report(Code::EmptyExpansion, pattern.place, message)
                .hint(format!(
                    "the pattern is relative to the DAG file, so it is looked for in {looked}"
                ));
            return None;
        }
        members.extend(found.into_iter().map(|path| Member {
            name: stem_of(&path).to_owned(),
            replacements: Replacements(vec![("file".to_owned(), relative(folder, &path))]),
        }));
    }
    Some(members)
}

/// The path as the DAG file would write it.
fn relative(folder: &str, path: &str) -> String {
    match relative_to(folder, path) {
        Some(it) => it.to_owned(),
        None => format!("{}{path}", "../".repeat(folder.split('/').count())),
    }
}

fn values(session: &mut Session<'_>, node: &Node) -> Option<Vec<Member>> {
    let items = session.list(node, "values")?;
    if items.is_empty() {
        empty(session, node, "values");
        return None;
    }
    let texts: Vec<_> = items
        .iter()
        .map(|it| session.filled(it, "values"))
        .collect();
    let texts: Option<Vec<_>> = texts.into_iter().collect();
    let members = texts?.into_iter().map(|it| Member {
        name: it.value.clone(),
        replacements: Replacements(vec![("value".to_owned(), it.value)]),
    });
    Some(members.collect())
}

fn matrix(session: &mut Session<'_>, node: &Node) -> Option<Vec<Member>> {
    if !session.is_map(node, "matrix") {
        return None;
    }
    let mut members = vec![Member::default()];
    for entry in node.entries() {
        let items = session.list(&entry.value, &entry.key)?;
        if items.len().saturating_mul(members.len()) > super::task::MAX_TASKS {
            let message = format!(
                "the matrix makes more than {} tasks",
                super::task::MAX_TASKS
            );
            session.report(Code::TooMany, entry.key_place, message);
            return None;
        }
        let texts: Vec<_> = items
            .iter()
            .map(|it| session.filled(it, &entry.key))
            .collect();
        let texts: Vec<_> = texts.into_iter().collect::<Option<_>>()?;
        let name = format!("matrix.{}", entry.key);
        members = members
            .iter()
            .flat_map(|member| {
                texts.iter().map(|it| {
                    let mut longer = member.clone();
                    if !longer.name.is_empty() {
                        longer.name.push('_');
                    }
                    longer.name.push_str(&it.value);
                    longer.replacements.0.push((name.clone(), it.value.clone()));
                    longer
                })
            })
            .collect();
    }
    if members.is_empty() || node.entries().is_empty() {
        empty(session, node, "matrix");
        return None;
    }
    Some(members)
}

fn empty(session: &mut Session<'_>, node: &Node, field: &str) {
    let message = format!("`{field}` is empty, so this makes no task");
    session.report(Code::EmptyExpansion, node.place, message);
}
