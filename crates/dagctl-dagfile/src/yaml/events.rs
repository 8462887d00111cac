//! The values of a text straight from the parser's events, where it holds only what nearly every file does.
//!
//! Anchors, tags, merged keys, odd numbers and whatever is wrong with a text are left to the deserializer, which knows
//! what they mean. It costs twice what the parser does, mostly for handing each value's place through serde.

use std::ops::Range;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, StrInput};

use super::raw::{Kind, Raw};
use super::{MAX_DEPTH, MAX_NODES};

/// The map that a text holds; `None` where the deserializer must be asked.
pub(super) fn read(text: &str) -> Option<Raw> {
    let options = granit_parser::options! { emit_comments: false };
    let mut reader = Reader {
        parser: Parser::with_options(StrInput::new(text), options),
        nodes: 0,
    };
    reader.expect(&Event::StreamStart)?;
    let (Event::DocumentStart(_, None), _) = reader.next()? else {
        return None;
    };
    let root = reader.value(0)?;
    reader.expect(&Event::DocumentEnd)?;
    reader.expect(&Event::StreamEnd)?;
    matches!(root.kind, Kind::Map(_)).then_some(root)
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Option<(Event<'t>, Range<usize>)> {
        let (event, span) = self.parser.next()?.ok()?;
        let (start, end) = (span.start.byte_offset()?, span.end.byte_offset()?);
        Some((event, start..end.max(start)))
    }

    fn expect(&mut self, wanted: &Event<'_>) -> Option<()> {
        (self.next()?.0 == *wanted).then_some(())
    }

    fn value(&mut self, depth: usize) -> Option<Raw> {
        let next = self.next()?;
        self.value_of(next, depth)
    }

    /// The value that begins with an event, `depth` levels down.
    fn value_of(&mut self, begin: (Event<'t>, Range<usize>), depth: usize) -> Option<Raw> {
        let (event, range) = begin;
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth >= MAX_DEPTH {
            return None;
        }
        let kind = match event {
            Event::Scalar(text, ScalarStyle::Plain, 0, None) => plain(&text)?,
            Event::Scalar(text, _, 0, None) => Kind::Text(text.into_owned()),
            Event::SequenceStart(_, 0, None) => {
                let mut items = vec![];
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Kind::List(items),
                        item => items.push(self.value_of(item, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(_, 0, None) => {
                let mut entries = vec![];
                loop {
                    let key = match self.next()? {
                        (Event::MappingEnd, _) => break Kind::Map(entries),
                        key => self.value_of(key, depth + 1)?,
                    };
                    if !matches!(&key.kind, Kind::Text(it) if it != "<<") {
                        return None;
                    }
                    entries.push((key, self.value(depth + 1)?));
                }
            }
            _ => return None,
        };
        Some(Raw { range, kind })
    }
}

/// What YAML's core schema takes an unquoted text for; `None` for rare spellings of numbers.
fn plain(text: &str) -> Option<Kind> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Kind::Null),
        "true" | "True" | "TRUE" => return Some(Kind::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Kind::Bool(false)),
        _ => (),
    }
    let written = || Some(Kind::Text(text.to_owned()));
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    // `1_000` and `007` stay texts, as [`super::options`] has it.
    if !digits.starts_with(|it: char| it.is_ascii_digit() || it == '.') || text.contains('_') {
        return written();
    }
    if digits.bytes().all(|it| it.is_ascii_digit()) {
        if digits.starts_with('0') && digits.len() > 1 {
            return written();
        }
        return text.parse().ok().map(Kind::Int);
    }
    if digits.starts_with('.') || matches!(digits.as_bytes(), [b'0', b'a'..=b'z' | b'A'..=b'Z', ..])
    {
        return None;
    }
    match text.parse::<f64>() {
        Ok(it) => it.is_finite().then_some(Kind::Float(it)),
        Err(_) => written(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{options, raw::Raw};
    use super::read;
    use crate::stack::with_room;

    fn deserialized(text: &str) -> Option<Raw> {
        serde_saphyr::from_str_with_options(text, options(text.len())).ok()
    }

    /// Whether the text was read here, and if so, as the deserializer reads it.
    fn agrees(text: &str) -> bool {
        let read = read(text);
        if read.is_some() {
            assert_eq!(read, deserialized(text), "{text}");
        }
        read.is_some()
    }

    #[test]
    fn what_files_are_made_of_is_read_as_the_deserializer_does() {
        let scalars = [
            "",
            "~",
            "null",
            "NULL",
            "true",
            "False",
            "yes",
            "0",
            "-0",
            "+5",
            "12",
            "-7",
            "007",
            "1_000",
            "1.5",
            "-2e3",
            "30s",
            "2026-01-01",
            "1e",
            "größe",
            "a b",
            "'it''s'",
            "\"a\\n\"",
            "\"true\"",
            "[1, [a, {b: c}], ]",
            "{a, b: 1}",
            "|\n   a\n\n   b\n",
            ">-\n   a\n   b",
            "=",
            "9223372036854775807",
            "-9223372036854775808",
            "a # b",
            "- 1\n  - 2",
            "1:2",
            "nan",
            "inf",
        ];
        for it in scalars {
            for text in [
                format!("a: {it}\nb: 1\n"),
                format!("# {it}\n---\na:\n  {it}\n"),
                format!("größe: {{}}\na:\n  - {it}"),
            ] {
                assert!(agrees(&text) || deserialized(&text).is_none(), "{text}");
            }
        }
    }

    #[test]
    fn what_is_rare_is_left_to_the_deserializer() {
        for text in [
            "",
            "a",
            "- a",
            "a: &b 1",
            "a: *b",
            "a: !c 1",
            "<<: {a: 1}",
            "1: a",
            "{a: 1}: b",
            "a: 0x1f",
            "a: .5",
            "a: .inf",
            "a: 1e999",
            "a: 9223372036854775808",
            "a: 1\n---\nb: 2",
            "a: [",
            "a: 1\n b: 2",
            "%YAML 1.2\n---\na: 1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let deep = |levels: usize| format!("a: {}1{}", "[".repeat(levels), "]".repeat(levels));
        with_room(|| {
            for levels in 0..70 {
                assert_eq!(agrees(&deep(levels)), levels < 63, "{levels}");
            }
        });
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_the_deserializer_does_or_not_at_all(
            text in "(a|b|c d|: |:\n|:|\n|\n  |\n    |- |- |\\{|\\}|\\[|\\]|, |,|#| #|\\?|&x|\\*x|!|\\||>|%|@|'|\"|--- |\\.\\.\\.|\\.|~|<<|[0-9]|\\+|_|e|0x|null|true|\t|ß|\r\n|\u{feff}){0,24}",
        ) {
            agrees(&text);
            agrees(&format!("a:\n  b: {text}\n"));
        }

        #[test]
        fn any_number_is_read_as_the_deserializer_does_or_not_at_all(text in "[-+0-9.eExXobfaint_:]{1,8}") {
            agrees(&format!("a: {text}"));
        }
    }
}
