//! Which depths a key could have been meant for, where its own fits none.

/// A depth that is open at some line, and the key that stands there.
struct Level<'t> {
    indent: usize,
    key: &'t str,
}

/// What to type where a key stands at a depth that no line above it has.
pub(super) fn hint(text: &str, at: usize, said: &str) -> Option<String> {
    let start = text[..at].rfind('\n').map_or(0, |it| it + 1);
    let line = text[start..].lines().next()?;
    let indent = indent_of(line);
    let key = key_of(line.trim_start())?;
    let levels = levels_above(&text[..start]);
    if levels.iter().any(|it| it.indent == indent) {
        return None;
    }
    let above = levels.iter().rfind(|it| it.indent > indent);
    let below = levels.iter().find(|it| it.indent < indent);
    if said.contains("did not find expected key") && at == start + indent {
        let (deeper, higher) = (above?, below?);
        return Some(format!(
            "`{key}` is indented by {}, which fits neither level: use {} to stand beside `{}`, or {} beside `{}`",
            spaces(indent),
            deeper.indent,
            deeper.key,
            higher.indent,
            higher.key,
        ));
    }
    // The key's own colon is what does not fit, so the key was taken for more of the value above.
    let is_own_colon = at == start + indent + key.len();
    if said.contains("mapping values are not allowed") && is_own_colon {
        let beside = below?;
        return Some(format!(
            "`{key}` is indented by {}, deeper than `{}`, which has a value already: use {} to stand beside it",
            spaces(indent),
            beside.key,
            beside.indent,
        ));
    }
    None
}

/// The depths that are open at the end of `text`, the deepest first.
fn levels_above(text: &str) -> Vec<Level<'_>> {
    let mut levels: Vec<Level<'_>> = vec![];
    for line in text.lines().rev() {
        let mut rest = line.trim_start();
        let mut indent = indent_of(line);
        if rest.is_empty() || rest.starts_with('#') {
            continue;
        }
        let mut found = vec![];
        while let Some(item) = rest.strip_prefix("- ") {
            found.push(Level { indent, key: "-" });
            indent += 2 + indent_of(item);
            rest = item.trim_start();
        }
        if let Some(key) = key_of(rest) {
            found.push(Level { indent, key });
        }
        while let Some(level) = found.pop() {
            if levels.last().is_none_or(|it| level.indent < it.indent) {
                levels.push(level);
            }
        }
        if levels.last().is_some_and(|it| it.indent == 0) {
            break;
        }
    }
    levels
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The key that a line without its indentation starts with.
fn key_of(line: &str) -> Option<&str> {
    let (key, rest) = line.split_once(':')?;
    let is_word = !key.is_empty()
        && key
            .chars()
            .all(|it| it.is_alphanumeric() || matches!(it, '_' | '-' | '.'));
    (is_word && (rest.is_empty() || rest.starts_with(' '))).then_some(key)
}

fn spaces(count: usize) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} space{s}")
}
