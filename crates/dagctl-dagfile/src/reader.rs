//! Reads typed values from nodes; a value of the wrong type is a complaint and nothing.

use std::time::Duration;

use dagctl_core::duration::{self, DurationError};
use serde_json::{Map, Number, Value};

use crate::diagnostic::Code;
use crate::sources::{Place, Session};
use crate::text::Text;
use crate::vocabulary::list;
use crate::yaml::{Node, Scalar, ScalarKind, Yaml};
use dagctl_core::nearest::nearest;

/// Words that a field may hold, with what they mean, and words that do not work yet.
pub(crate) struct Choice<'c, T> {
    pub(crate) works: &'c [(&'c str, T)],
    pub(crate) not_yet: &'c [&'c str],
}

impl Session<'_> {
    /// Complains that `field` is not `wanted`.
    pub(crate) fn wrong_type(&mut self, node: &Node, field: &str, wanted: &str) {
        if !matches!(node.value, Yaml::Broken) {
            let message = format!("`{field}` must be {wanted}, not {}", node.kind());
            self.report(Code::WrongType, node.place, message)
                .label(node.kind());
        }
    }

    /// A scalar as it was written, whatever YAML takes it for.
    pub(crate) fn text(&mut self, node: &Node, field: &str) -> Option<Text> {
        match &node.value {
            Yaml::Scalar(it) => Some(Text::of_scalar(it, node.place)),
            Yaml::Broken | Yaml::Null | Yaml::List(_) | Yaml::Map(_) => {
                self.wrong_type(node, field, "a text");
                None
            }
        }
    }

    pub(crate) fn string(&mut self, node: &Node, field: &str) -> Option<String> {
        self.text(node, field).map(|it| it.value)
    }

    /// A text that must not be empty.
    pub(crate) fn filled(&mut self, node: &Node, field: &str) -> Option<Text> {
        let text = self.text(node, field)?;
        if text.value.trim().is_empty() {
            self.report(Code::BadValue, node.place, format!("`{field}` is empty"));
            return None;
        }
        Some(text)
    }

    pub(crate) fn boolean(&mut self, node: &Node, field: &str) -> Option<bool> {
        if let Yaml::Scalar(it) = &node.value {
            let replaced = !it.edits.is_empty();
            match (it.kind, it.text.as_str()) {
                (ScalarKind::Bool(it), _) => return Some(it),
                (ScalarKind::Text, "true") if replaced => return Some(true),
                (ScalarKind::Text, "false") if replaced => return Some(false),
                (ScalarKind::Text | ScalarKind::Int(_) | ScalarKind::Float(_), text) => {
                    let meant = match text.to_ascii_lowercase().as_str() {
                        "yes" | "on" | "y" | "1" | "true" => Some("true"),
                        "no" | "off" | "n" | "0" | "false" => Some("false"),
                        _ => None,
                    };
                    let message = format!("`{field}` must be true or false, not `{text}`");
                    let diagnostic = self.report(Code::WrongType, node.place, message);
                    if let Some(meant) = meant {
                        diagnostic.hint(format!("write `{field}: {meant}`"));
                    }
                    return None;
                }
            }
        }
        self.wrong_type(node, field, "true or false");
        None
    }

    /// A whole number of at least `least`.
    pub(crate) fn whole<T: TryFrom<i64>>(
        &mut self,
        node: &Node,
        field: &str,
        least: i64,
    ) -> Option<T> {
        let number = match &node.value {
            Yaml::Scalar(Scalar {
                kind: ScalarKind::Int(it),
                ..
            }) => Some(*it),
            Yaml::Scalar(it) => it.text.trim().parse().ok().filter(|_| !it.edits.is_empty()),
            Yaml::Broken | Yaml::Null | Yaml::List(_) | Yaml::Map(_) => None,
        };
        let Some(number) = number else {
            self.not_a_number(node, field, "a whole number");
            return None;
        };
        let fits = (number >= least)
            .then(|| T::try_from(number).ok())
            .flatten();
        if fits.is_none() {
            let message = if number < least {
                format!("`{field}` must be {least} or more, not {number}")
            } else {
                format!("`{field}` is too large: {number}")
            };
            self.report(Code::BadValue, node.place, message);
        }
        fits
    }

    pub(crate) fn number(&mut self, node: &Node, field: &str) -> Option<f64> {
        if let Yaml::Scalar(it) = &node.value {
            match it.kind {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "bounds of checks and parameters are compared as f64"
                )]
                ScalarKind::Int(it) => return Some(it as f64),
                ScalarKind::Float(it) => return Some(it),
                ScalarKind::Text | ScalarKind::Bool(_) => {
                    let replaced = !it.edits.is_empty();
                    if let Some(it) = it.text.trim().parse().ok().filter(|_| replaced) {
                        return Some(it);
                    }
                }
            }
        }
        self.not_a_number(node, field, "a number");
        None
    }

    fn not_a_number(&mut self, node: &Node, field: &str, wanted: &str) {
        self.wrong_type(node, field, wanted);
        let Yaml::Scalar(it) = &node.value else {
            return;
        };
        let text = it.text.trim().to_ascii_lowercase();
        let words = [
            "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        ];
        let hint = if text.parse::<f64>().is_ok() {
            (it.kind == ScalarKind::Text)
                .then(|| format!("leave out the quotes: `{field}: {text}`"))
        } else if let Some(number) = words.iter().position(|it| *it == text) {
            Some(format!("write it in digits: `{field}: {number}`"))
        } else {
            Some(format!("write it in digits, such as `{field}: 2`"))
        };
        let message = format!("`{field}` must be {wanted}, not {}", node.kind());
        // The same problem again, so this adds to it.
        if let Some(hint) = hint {
            self.report(Code::WrongType, node.place, message).hint(hint);
        }
    }

    pub(crate) fn duration(&mut self, node: &Node, field: &str) -> Option<Duration> {
        let text = self.text(node, field)?.value;
        let error = match duration::parse(&text) {
            Ok(it) => return Some(it),
            Err(it) => it,
        };
        let hint = match &error {
            DurationError::NoUnit(_) => {
                let number = text.trim();
                format!("seconds or minutes? write `{number}s` or `{number}m`")
            }
            DurationError::Malformed(_) if text.contains("timedelta") => {
                "dagctl writes durations as `30s`, `5m`, `1h30m` or `2d`".to_owned()
            }
            DurationError::UnknownUnit(_)
            | DurationError::Malformed(_)
            | DurationError::TooLong(_) => "write `30s`, `5m`, `1h30m` or `2d`".to_owned(),
        };
        self.report(Code::BadDuration, node.place, format!("`{field}`: {error}"))
            .hint(hint);
        None
    }

    /// A list, or a single value that stands for a list of one.
    pub(crate) fn items<'n>(&mut self, node: &'n Node) -> Vec<&'n Node> {
        match &node.value {
            Yaml::List(items) => items.iter().collect(),
            Yaml::Broken | Yaml::Null => vec![],
            Yaml::Scalar(_) | Yaml::Map(_) => vec![node],
        }
    }

    /// The texts of a list, or a single text.
    pub(crate) fn texts(&mut self, node: &Node, field: &str) -> Vec<Text> {
        if matches!(node.value, Yaml::Map(_)) {
            self.wrong_type(node, field, "a list of texts");
            return vec![];
        }
        let items = self.items(node);
        items
            .into_iter()
            .filter_map(|it| self.text(it, field))
            .collect()
    }

    /// A list and nothing else.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, field: &str) -> Option<&'n [Node]> {
        match &node.value {
            Yaml::List(items) => Some(items),
            Yaml::Broken | Yaml::Null | Yaml::Scalar(_) | Yaml::Map(_) => {
                self.wrong_type(node, field, "a list");
                None
            }
        }
    }

    /// Whether a node is a map; complains where it is not.
    pub(crate) fn is_map(&mut self, node: &Node, field: &str) -> bool {
        let is_map = matches!(node.value, Yaml::Map(_));
        if !is_map {
            self.wrong_type(node, field, "a map");
        }
        is_map
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        node: &Node,
        field: &str,
        choice: &Choice<'_, T>,
    ) -> Option<T> {
        let text = self.text(node, field)?.value;
        if let Some((_, it)) = choice.works.iter().find(|(word, _)| *word == text) {
            return Some(*it);
        }
        let words: Vec<&str> = choice.works.iter().map(|(word, _)| *word).collect();
        if choice.not_yet.contains(&text.as_str()) {
            self.report(
                Code::NotYet,
                node.place,
                format!("`{field}: {text}` does not work yet"),
            )
            .hint(format!("what works is {}", list(&words)));
            return None;
        }
        let all: Vec<&str> = words.iter().chain(choice.not_yet).copied().collect();
        let hint = match nearest(&text, all.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it may be {}", list(&words)),
        };
        self.report(
            Code::BadValue,
            node.place,
            format!("`{text}` is no value of `{field}`"),
        )
        .hint(hint);
        None
    }

    /// A node as JSON; `visit` sees every text in it.
    pub(crate) fn json(&mut self, node: &Node, visit: &mut dyn FnMut(&mut Self, Text)) -> Value {
        match &node.value {
            Yaml::Broken | Yaml::Null => Value::Null,
            Yaml::Scalar(it) => match it.kind {
                ScalarKind::Text => {
                    visit(self, Text::of_scalar(it, node.place));
                    Value::String(it.text.clone())
                }
                ScalarKind::Bool(it) => Value::Bool(it),
                ScalarKind::Int(it) => Value::from(it),
                ScalarKind::Float(number) => Number::from_f64(number)
                    .map_or_else(|| Value::String(it.text.clone()), Value::Number),
            },
            Yaml::List(items) => items.iter().map(|it| self.json(it, visit)).collect(),
            Yaml::Map(entries) => {
                let mut map = Map::new();
                for entry in entries {
                    let value = self.json(&entry.value, visit);
                    map.insert(entry.key.clone(), value);
                }
                Value::Object(map)
            }
        }
    }

    /// Complains that `field` is missing from what stands at `place`.
    pub(crate) fn missing(&mut self, place: Place, what: &str, field: &str) {
        let diagnostic = self.report(
            Code::MissingField,
            place,
            format!("{what} needs the field `{field}`"),
        );
        if field == "conn_id" {
            diagnostic.hint(
                "add `conn_id:` with the name of a connection, here or under `default_args`; \
                 `dagctl connections list` shows which there are",
            );
        }
    }
}
