//! Says in the user's words what is wrong with a text that is not YAML.

use crate::diagnostic::Code;
use crate::sources::{FileId, Place, Session};
use crate::text::offset;

mod indentation;

pub(super) fn report(session: &mut Session<'_>, file: FileId, error: &serde_saphyr::Error) {
    let text = session.sources.text(file);
    let at = error.location().map_or(0, |it| {
        let narrow = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
        offset(text, narrow(it.line()), narrow(it.column()))
    });
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default().trim();
    let said = &match said.split_once(": `") {
        Some((what, character)) => {
            format!("{what} `{}`", character.trim_end_matches(['\'', '`']))
        }
        None => said.to_owned(),
    };
    let limit = ["budget breached", "recursion limit", "limit exceeded"]
        .iter()
        .any(|it| said.contains(it));
    let (line_start, line) = line_of(text, at);
    let found = text[at..].chars().next();
    let end = at + found.filter(|it| *it != '\n').map_or(0, char::len_utf8);
    let place = Place::new(file, at..end);
    if limit {
        session
            .report(
                Code::TooLarge,
                place,
                "this nests too deeply or repeats too much",
            )
            .hint("64 levels, 100,000 values and aliases of ten times the file are the limit")
            .note(said.as_str());
    } else if let Some(start) = unquoted_template(line) {
        let place = Place::new(file, line_start + start..line_start + line.trim_end().len());
        report_unquoted_template(session, place);
    } else {
        let is_second = said.contains("multiple YAML documents");
        let starred = unquoted_star(&line[at - line_start..]);
        let message = if is_second {
            "a second YAML document starts here".to_owned()
        } else if starred.is_some() {
            "a text that starts with `*` needs quotes".to_owned()
        } else {
            format!("not YAML: {said}")
        };
        let misplaced = indentation::hint(text, at, said);
        let diagnostic = session.report(Code::Syntax, place, message);
        if let Some(value) = starred {
            diagnostic.label("YAML takes `*` for an alias");
            diagnostic.hint(format!("quote it: `\"{value}\"`"));
        } else if let Some(hint) = misplaced {
            diagnostic.hint(hint);
        } else if found == Some('@') {
            let value: String = line[at - line_start..]
                .split(" #")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned();
            diagnostic.label("YAML reserves `@`");
            diagnostic.hint(format!("quote it: `\"{value}\"`"));
        } else if matches!(found, Some('`' | '%')) {
            diagnostic.hint("a text that starts with this character needs quotes");
        } else if said.contains("tab") {
            diagnostic.hint("indent with spaces");
        } else if is_second {
            diagnostic.hint("one file holds one DAG: remove the `---`");
        } else if said.contains("mapping values are not allowed") {
            diagnostic.hint("quote a text with `: ` in it, or look at the indentation");
        } else if said.contains("unknown anchor") {
            diagnostic.hint("an anchor (`&name`) must stand before its alias (`*name`)");
        } else if said.contains("unsupported tag") {
            diagnostic.hint("tags (`!name`) mean nothing here: remove it");
        }
    }
}

/// A map or a list as a key: nearly always `{{ … }}` without quotes.
pub(super) fn report_odd_key(session: &mut Session<'_>, map: Place, key: Place) {
    let text = session.sources.text(map.file);
    let start = map.range().start;
    if text.get(start..).is_some_and(|it| it.starts_with("{{")) {
        let (line_start, line) = line_of(text, start);
        let end = text[start..line_start + line.len()]
            .find("}}")
            .map_or(line_start + line.trim_end().len(), |it| start + it + 2);
        report_unquoted_template(session, Place::new(map.file, start..end));
    } else {
        session.report(Code::WrongType, key, "a key must be a text");
    }
}

fn report_unquoted_template(session: &mut Session<'_>, place: Place) {
    let text = session.sources.text(place.file);
    let value = text.get(place.range()).unwrap_or_default().to_owned();
    session
        .report(
            Code::UnquotedTemplate,
            place,
            "a text that starts with `{{` needs quotes",
        )
        .label("YAML takes this for a map")
        .hint(if value.contains('"') {
            format!("quote it: `'{value}'`")
        } else {
            format!("quote it: `\"{value}\"`")
        });
}

/// A value such as `* 2 * * *`, which cannot be an alias: that is one word of letters after its `*`.
fn unquoted_star(rest: &str) -> Option<&str> {
    let value = rest.split(" #").next().unwrap_or_default();
    let value = value.trim().trim_end_matches([']', '}']).trim_end();
    let name = value.strip_prefix('*')?;
    let is_alias = !name.is_empty()
        && name
            .chars()
            .all(|it| it.is_alphanumeric() || matches!(it, '_' | '-'));
    (!is_alias && !value.contains('"')).then_some(value)
}

/// Where a value of the line starts with `{{`.
fn unquoted_template(line: &str) -> Option<usize> {
    [": {{", "- {{", ", {{", "[{{"]
        .iter()
        .filter_map(|it| line.find(it).map(|at| at + it.len() - 2))
        .min()
}

fn line_of(text: &str, at: usize) -> (usize, &str) {
    let start = text[..at].rfind('\n').map_or(0, |it| it + 1);
    let end = text[at..].find('\n').map_or(text.len(), |it| at + it);
    (start, &text[start..end])
}
