//! A text of a file, and where its bytes stand there: YAML indents, folds, quotes and escapes.

use std::ops::Range;

use crate::sources::{FileId, Place, Sources};
use crate::yaml::{Edit, Scalar};

/// A text that can be pointed into.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) place: Place,
    form: Written,
    edits: Vec<Edit>,
}

/// The byte of a line and a column as parsers count them: lines and characters from 1. What lies beyond the text is its end.
pub(crate) fn offset(text: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for _ in 1..line {
        match text[start..].find('\n') {
            Some(it) => start += it + 1,
            None => return text.len(),
        }
    }
    text[start..]
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(text.len(), |(it, _)| start + it)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// A scalar of a YAML file.
    Yaml,
    /// A whole file.
    File,
}

impl Text {
    pub(crate) fn of_scalar(scalar: &Scalar, place: Place) -> Self {
        Self {
            value: scalar.text.clone(),
            place,
            form: Written::Yaml,
            edits: scalar.edits.clone(),
        }
    }

    pub(crate) fn of_file(sources: &Sources<'_>, file: FileId) -> Self {
        let value = sources.text(file).to_owned();
        Self {
            place: Place::new(file, 0..value.len()),
            value,
            form: Written::File,
            edits: vec![],
        }
    }

    /// The same text with replacements.
    pub(crate) fn edited(self, value: String, edits: Vec<Edit>) -> Self {
        Self {
            value,
            edits,
            ..self
        }
    }

    /// Where bytes of the value stand in the file.
    pub(crate) fn locate(&self, sources: &Sources<'_>, range: Range<usize>) -> Place {
        let (start, end) = (self.unedited(range.start), self.unedited(range.end));
        let range = match self.form {
            Written::File => start..end.max(start),
            Written::Yaml => {
                let base = self.place.range();
                let source = sources.text(self.place.file);
                let written = source.get(base.clone()).unwrap_or_default();
                let (first, last) = align(written, &self.original(), start..end);
                base.start + first..base.start + last
            }
        };
        Place::new(self.place.file, range)
    }

    /// The offset before the replacements.
    fn unedited(&self, offset: usize) -> usize {
        let mut grown = 0_isize;
        for edit in &self.edits {
            if offset < edit.at {
                break;
            }
            if offset < edit.at + edit.new {
                return edit.at.saturating_add_signed(-grown);
            }
            grown += edit.new.cast_signed() - edit.old.cast_signed();
        }
        offset.saturating_add_signed(-grown)
    }

    /// The value before the replacements; what they replaced is only counted, so it is filled up.
    fn original(&self) -> String {
        let mut text = String::new();
        let mut from = 0;
        for edit in &self.edits {
            text.push_str(self.value.get(from..edit.at).unwrap_or_default());
            text.extend(std::iter::repeat_n(ANY, edit.old));
            from = edit.at + edit.new;
        }
        text.push_str(self.value.get(from..).unwrap_or_default());
        text
    }
}

/// Stands for a byte that was replaced. One byte long, and in no YAML text.
const ANY: char = '\u{1}';

/// Walks the value and its written form side by side: blanks may differ, everything else comes in the same order.
fn align(written: &str, value: &str, range: Range<usize>) -> (usize, usize) {
    let quote = written.chars().next().filter(|it| matches!(it, '"' | '\''));
    let mut at = usize::from(quote.is_some());
    let mut start = None;
    for (offset, it) in value.char_indices() {
        if offset >= range.end {
            break;
        }
        let escaped = quote == Some('"') && written[at..].starts_with('\\');
        if !escaped && !it.is_whitespace() && it != ANY {
            let rest = &written[at..];
            at += rest.find(it).unwrap_or(0);
        }
        if offset >= range.start && start.is_none() {
            start = Some(at);
        }
        at += if escaped {
            escape_len(&written[at..])
        } else {
            match written[at..].chars().next() {
                Some(next) if next == it || it == ANY || next.is_whitespace() => next.len_utf8(),
                Some(_) | None => 0,
            }
        };
    }
    let start = start.unwrap_or(at);
    (start, at.max(start))
}

fn escape_len(text: &str) -> usize {
    let length = match text.as_bytes().get(1) {
        Some(b'x') => 4,
        Some(b'u') => 6,
        Some(b'U') => 10,
        Some(_) => 1 + text[1..].chars().next().map_or(0, char::len_utf8),
        None => 1,
    };
    let mut length = length.min(text.len());
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    length
}
