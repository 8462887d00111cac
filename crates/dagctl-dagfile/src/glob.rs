//! Patterns of `for_each: {files: …}`, and paths inside the dags folder.

use regex::Regex;

/// A pattern over paths: `*` and `?` stay within a folder, `**/` crosses folders.
#[derive(Debug, Clone)]
pub(crate) struct Glob(Regex);

impl Glob {
    /// Reads a pattern that is relative to the dags folder.
    pub(crate) fn new(pattern: &str) -> Option<Self> {
        let mut text = String::from("^");
        let mut rest = pattern;
        while let Some(it) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("**/") {
                text.push_str("(?:.*/)?");
                rest = after;
                continue;
            }
            rest = &rest[it.len_utf8()..];
            match it {
                '*' => text.push_str("[^/]*"),
                '?' => text.push_str("[^/]"),
                '[' => match rest.split_once(']') {
                    Some((set, after)) if !set.is_empty() => {
                        let negated = set.strip_prefix('!');
                        text.push_str(if negated.is_some() { "[^" } else { "[" });
                        text.push_str(&set_text(negated.unwrap_or(set)));
                        text.push(']');
                        rest = after;
                    }
                    Some(_) | None => text.push_str(r"\["),
                },
                other => text.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
            }
        }
        text.push('$');
        Regex::new(&text).ok().map(Self)
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

/// A set keeps its ranges; everything else in it is literal.
fn set_text(set: &str) -> String {
    set.chars()
        .flat_map(|it| match it {
            '\\' | '[' | '^' | '&' | '~' => vec!['\\', it],
            other => vec![other],
        })
        .collect()
}

/// Why a path cannot name a file of the dags folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathProblem {
    /// It starts with `/` or holds a backslash or a drive.
    Absolute,
    /// It leads out of the dags folder.
    Outside,
}

/// Resolves a path that a file of `folder` writes; the result is relative to the dags folder.
pub(crate) fn resolve(folder: &str, path: &str) -> Result<String, PathProblem> {
    if path.starts_with('/') || path.contains('\\') || path.contains('\0') {
        return Err(PathProblem::Absolute);
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => (),
            ".." => {
                parts.pop().ok_or(PathProblem::Outside)?;
            }
            other => parts.push(other),
        }
    }
    Ok(parts.join("/"))
}

/// The folder of a path; empty for a file at the top.
pub(crate) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The file's name without its last extension.
pub(crate) fn stem_of(path: &str) -> &str {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// A path as a file of `folder` would write it, where it lies below that folder.
pub(crate) fn relative_to<'p>(folder: &str, path: &'p str) -> Option<&'p str> {
    if folder.is_empty() {
        return Some(path);
    }
    path.strip_prefix(folder)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_its_folder() {
        let glob = Glob::new("config/*_summary.yaml").unwrap();
        assert!(glob.matches("config/mau_summary.yaml"));
        assert!(!glob.matches("config/old/mau_summary.yaml"));
        assert!(!glob.matches("config/mau_summary.yaml.bak"));
        assert!(Glob::new("**/x[0-9].sql").unwrap().matches("a/b/x7.sql"));
        assert!(Glob::new("a[").unwrap().matches("a["));
    }

    #[test]
    fn a_path_cannot_leave_the_folder() {
        assert_eq!(resolve("etl", "../sql/./a.sql"), Ok("sql/a.sql".to_owned()));
        assert_eq!(resolve("", "../a.sql"), Err(PathProblem::Outside));
        assert_eq!(resolve("a", "/etc/passwd"), Err(PathProblem::Absolute));
    }
}
