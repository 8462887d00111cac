//! `:name` in the SQL of a task, against the names in `parameters`.

use std::ops::Range;

use dagctl_core::nearest::nearest;
use dagctl_core::sql_text;

use super::task::Site;
use crate::diagnostic::Code;
use crate::layers::Layers;
use crate::sources::Session;
use crate::sql_read::without_values;
use crate::text::Text;
use crate::vocabulary::list;
use crate::yaml::{Entry, Yaml};

/// What every task's SQL may name.
const ALWAYS: &str = "idempotency_key";

/// Complains about a `:name` without a value, and about a value that nothing names.
pub(super) fn check(session: &mut Session<'_>, site: &Site<'_>, layers: &Layers<'_>, text: &Text) {
    // What a `{% if %}` leaves out cannot be known.
    if text.value.contains("{%") {
        return;
    }
    let given: &[Entry] = match layers.get("parameters") {
        None => &[],
        Some(it) if matches!(it.value.value, Yaml::Map(_)) => it.value.entries(),
        // Complained about already.
        Some(_) => return,
    };
    let names: Vec<&str> = given.iter().map(|it| it.key.as_str()).collect();
    let plain = without_values(&text.value);
    let mut used = vec![];
    for range in places(&plain) {
        let name = &plain[range.start + 1..range.end];
        used.push(name);
        if name == ALWAYS || names.contains(&name) {
            continue;
        }
        let message = if names.is_empty() {
            format!("the SQL names `:{name}`, but the task has no `parameters`")
        } else {
            format!("the SQL names `:{name}`, but `parameters` has no `{name}`")
        };
        let near = nearest(name, names.iter().copied().chain([ALWAYS]));
        // The value that was meant is not left over.
        used.extend(near);
        let hint = match near {
            Some(near) => format!("did you mean `:{near}`?"),
            None if names.is_empty() => format!("add `parameters: {{{name}: …}}`"),
            None => format!(
                "add `{name}: …` to `parameters`, which has {}",
                list(&names)
            ),
        };
        let place = text.locate(session.sources, range.clone());
        session
            .report(Code::UnboundParameter, place, message)
            .label("no value")
            .hint(hint);
    }
    report_unused(session, site, &used);
}

/// Defaults and the members of an expansion share parameters, so only a single task's own are looked at.
fn report_unused(session: &mut Session<'_>, site: &Site<'_>, used: &[&str]) {
    let own = site.node.get("parameters").map(|it| it.value.entries());
    if !site.replacements.is_empty() {
        return;
    }
    for entry in own.unwrap_or_default() {
        let name = entry.key.as_str();
        if !used.contains(&name) {
            session
                .report(
                    Code::UnusedParameter,
                    entry.key_place,
                    format!("the SQL does not name the parameter `{name}`"),
                )
                .hint(format!("write `:{name}` in the SQL, or remove it here"));
        }
    }
}

/// Where each `:name` stands: just there the text and the one with numbered binds differ.
fn places(text: &str) -> Vec<Range<usize>> {
    let mut places = vec![];
    if !text.contains(':') {
        return places;
    }
    for statement in sql_text::split(text) {
        let bound = sql_text::binds(statement.text);
        let (mut old, mut new) = (statement.text, bound.sql.as_str());
        while let Some(character) = old.chars().next() {
            let mut length = (character.len_utf8(), character.len_utf8());
            if let Some(rest) = new.strip_prefix('$').filter(|_| character == ':') {
                let digits = rest.len()
                    - rest
                        .trim_start_matches(|it: char| it.is_ascii_digit())
                        .len();
                let number: usize = rest[..digits].parse().unwrap_or(0);
                let name = number.checked_sub(1).and_then(|it| bound.names.get(it));
                let Some(name) = name else {
                    break;
                };
                let at = statement.offset + (statement.text.len() - old.len());
                length = (1 + name.len(), 1 + digits);
                places.push(at..at + length.0);
            }
            old = &old[length.0..];
            new = &new[length.1..];
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn only_binds_are_found_wherever_they_stand() {
        let text = "select ':a', b::int, '$1' -- :c\n; select $1, :day, x[1:n], (:größe), :day";
        let found: Vec<_> = places(text).into_iter().map(|it| &text[it]).collect();
        assert_eq!(found, [":day", ":größe", ":day"]);
    }
}
