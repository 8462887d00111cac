//! The addresses of pages. Names may hold any letter, so each is written as one segment of a path.

use std::fmt::{self, Write};

use askama::filters::HtmlSafe;

/// Writes a text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 8);
    push_segment(&mut written, text);
    written
}

/// A text as one segment of a path, written where it stands. Nothing in it means anything in HTML.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a>(pub(crate) &'a str);

impl HtmlSafe for Segment<'_> {}

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_segment(f, self.0)
    }
}

fn push_segment(written: &mut String, text: &str) {
    // Writing to a text cannot fail.
    let _ = write_segment(written, text);
}

fn write_segment(to: &mut impl Write, text: &str) -> fmt::Result {
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"-_.~:".contains(&it);
    let mut rest = text;
    // What stands before a byte that is not plain ends between two letters.
    while let Some(at) = rest.bytes().position(|it| !is_plain(it)) {
        let (plain, other) = rest.split_at(at);
        to.write_str(plain)?;
        let mut bytes = other.char_indices().skip(1).map(|(at, _)| at);
        let (letter, after) = other.split_at(bytes.next().unwrap_or(other.len()));
        for byte in letter.bytes() {
            write!(to, "%{byte:02X}")?;
        }
        rest = after;
    }
    to.write_str(rest)
}

pub(crate) fn dag(dag_id: &str) -> String {
    format!("/dags/{}", segment(dag_id))
}

pub(crate) fn run(dag_id: &str, run_id: &str) -> String {
    below(&runs(dag_id), run_id)
}

/// What stands before the names of a DAG's runs.
pub(crate) fn runs(dag_id: &str) -> String {
    format!("{}/runs/", dag(dag_id))
}

/// What stands before the names of a run's tasks.
pub(crate) fn tasks(dag_id: &str, run_id: &str) -> String {
    format!("{}/tasks/", run(dag_id, run_id))
}

/// The page of one of many things whose addresses begin alike.
pub(crate) fn below(above: &str, name: &str) -> String {
    let mut path = String::with_capacity(above.len() + name.len() + 8);
    path.push_str(above);
    push_segment(&mut path, name);
    path
}

pub(crate) fn task(dag_id: &str, run_id: &str, task_id: &str, map_index: i32) -> String {
    instance(&tasks(dag_id, run_id), task_id, map_index)
}

/// The page of a task instance of a run whose [`tasks`] are known.
pub(crate) fn instance(tasks: &str, task_id: &str, map_index: i32) -> String {
    let mut path = below(tasks, task_id);
    if map_index >= 0 {
        let _ = write!(path, "?map_index={map_index}");
    }
    path
}

/// Where to go after the login: only a path of our own.
pub(crate) fn own_path(next: &str) -> &str {
    let is_own = next.starts_with('/')
        && !next.starts_with("//")
        && !next.chars().any(|it| it == '\\' || it.is_control())
        // A browser drops dot segments, which could leave `//host` at the beginning.
        && !next.contains("/.")
        && !next.contains("//")
        && !next.starts_with("/api/")
        && !next.starts_with("/login")
        && !next.starts_with("/logout");
    if is_own { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_names_are_one_segment() {
        assert_eq!(
            run("요약", "manual__2026-01-01T00:00:00+00:00"),
            "/dags/%EC%9A%94%EC%95%BD/runs/manual__2026-01-01T00:00:00%2B00:00"
        );
        assert_eq!(segment("../a b?c#d"), "..%2Fa%20b%3Fc%23d");
        assert_eq!(Segment("\"<&>'").to_string(), "%22%3C%26%3E%27");
    }

    #[test]
    fn nobody_is_led_elsewhere_after_the_login() {
        for own in ["/", "/dags/a?state=failed", "/dags/a/runs/b%2Bc"] {
            assert_eq!(own_path(own), own);
        }
        for other in [
            "",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/.//evil.example",
            "/x/..//evil.example",
            "/x/../../evil.example",
            "evil.example",
            " //evil.example",
            "/\u{0}/evil.example",
            "/logout",
        ] {
            assert_eq!(own_path(other), "/", "{other:?}");
        }
    }
}
