//! Fields with defaults behind them: the nearest wins, whole value by whole value.

use crate::diagnostic::Code;
use crate::sources::{Place, Session};
use crate::vocabulary::{Level, Verdict, stands_for};
use crate::yaml::{Entry, Node, Yaml};

/// Maps of fields, the nearest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers<'n> {
    layers: Vec<&'n [Entry]>,
}

impl<'n> Layers<'n> {
    /// Adds a map behind those that are there; anything but a map adds nothing.
    pub(crate) fn push(&mut self, node: &'n Node) {
        if !node.entries().is_empty() {
            self.layers.push(node.entries());
        }
    }

    /// Adds all maps of `others` behind those that are there.
    pub(crate) fn push_all(&mut self, others: &Self) {
        self.layers.extend(&others.layers);
    }

    /// The nearest entry of that name, where it is not `null`.
    pub(crate) fn get(&self, field: &str) -> Option<&'n Entry> {
        self.get_or_null(field)
            .filter(|it| !matches!(it.value.value, Yaml::Null))
    }

    /// The nearest entry of that name, `null` or not.
    pub(crate) fn get_or_null(&self, field: &str) -> Option<&'n Entry> {
        self.layers
            .iter()
            .find_map(|layer| layer.iter().find(|it| it.key == field))
    }

    /// Reads a field where it is set.
    pub(crate) fn read<'s, T>(
        &self,
        session: &mut Session<'s>,
        field: &str,
        read: impl FnOnce(&mut Session<'s>, &'n Node, &str) -> Option<T>,
    ) -> Option<T> {
        let entry = self.get(field)?;
        read(session, &entry.value, field)
    }

    /// Reads a field that must be set.
    pub(crate) fn require<'s, T>(
        &self,
        session: &mut Session<'s>,
        at: (Place, &str),
        field: &str,
        read: impl FnOnce(&mut Session<'s>, &'n Node, &str) -> Option<T>,
    ) -> Option<T> {
        match self.get(field) {
            Some(entry) => read(session, &entry.value, field),
            None => {
                let own = self.layers.iter().copied().flatten();
                if !own.into_iter().any(|it| stands_for(&it.key, field)) {
                    session.missing(at.0, at.1, field);
                }
                None
            }
        }
    }
}

/// Complains about every field that may not stand where it stands.
pub(crate) fn check_fields(session: &mut Session<'_>, entries: &[Entry], level: Level) {
    for entry in entries {
        if !level.allows(&entry.key) {
            let verdict = level.judge(&entry.key);
            report_field(session, entry, level, verdict);
        }
    }
}

fn report_field(session: &mut Session<'_>, entry: &Entry, level: Level, verdict: Verdict) {
    let key = &entry.key;
    match verdict {
        Verdict::NotYet => {
            session
                .report(
                    Code::NotYet,
                    entry.key_place,
                    format!("`{key}` does not work yet"),
                )
                .label("not yet");
        }
        Verdict::Misplaced(place) => {
            session.report(
                Code::MisplacedField,
                entry.key_place,
                format!("`{key}` is a field {place}"),
            );
        }
        Verdict::Unknown {
            ours: Some(ours),
            hint,
        } => {
            let message = format!("unknown field `{key}`; dagctl calls this `{ours}`");
            let mut hint = hint.unwrap_or_else(|| format!("write `{ours}:`"));
            if !level.allows(ours) {
                hint = format!("`{ours}` does not work yet");
            }
            session
                .report(Code::UnknownField, entry.key_place, message)
                .hint(hint);
        }
        Verdict::Unknown { ours: None, hint } => {
            let diagnostic = session.report(
                Code::UnknownField,
                entry.key_place,
                format!("unknown field `{key}`"),
            );
            match hint {
                Some(hint) => diagnostic.hint(hint),
                None => diagnostic.note(format!("the fields here are {}", level.some())),
            };
        }
    }
}
