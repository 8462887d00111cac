//! The addresses of pages. Names may hold any letter, so each is written as one segment of a path.

use std::fmt::Write as _;

/// Writes a text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' => {
                written.push(char::from(byte));
            }
            other => {
                // Writing to a text cannot fail.
                let _ = write!(written, "%{other:02X}");
            }
        }
    }
    written
}

pub(crate) fn dag(dag_id: &str) -> String {
    format!("/dags/{}", segment(dag_id))
}

pub(crate) fn run(dag_id: &str, run_id: &str) -> String {
    format!("{}/runs/{}", dag(dag_id), segment(run_id))
}

pub(crate) fn task(dag_id: &str, run_id: &str, task_id: &str, map_index: i32) -> String {
    let path = format!("{}/tasks/{}", run(dag_id, run_id), segment(task_id));
    match map_index {
        -1 => path,
        index => format!("{path}?map_index={index}"),
    }
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
