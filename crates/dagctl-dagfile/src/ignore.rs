//! `.dagignore`: regular expressions that hide files.

use regex::{Regex, RegexBuilder};
use serde::Serialize;

use crate::diagnostic::{Code, Diagnostic};

/// The name of the files that hide others.
pub(crate) const FILE_NAME: &str = ".dagignore";

const MAX_PATTERNS: usize = 1_000;
const MAX_PATTERN_BYTES: usize = 1024;
const MAX_COMPILED_BYTES: usize = 1024 * 1024;
const MAX_NESTING: u32 = 50;

/// A file that a line of some `.dagignore` hides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IgnoredFile {
    /// The file, relative to the dags folder.
    pub path: String,
    /// The `.dagignore` that hides it, as it is shown.
    pub ignore_file: String,
    /// The line in it, from 1.
    pub line: usize,
    /// The pattern on that line.
    pub pattern: String,
}

/// The patterns of one `.dagignore`.
#[derive(Debug, Clone)]
pub(crate) struct Ignore {
    /// The file as it is shown.
    pub(crate) file: String,
    lines: Vec<(usize, Regex)>,
}

impl Ignore {
    /// Reads a `.dagignore`. A bad line is a problem and hides nothing; the others hold.
    pub(crate) fn parse(file: &str, text: &str) -> (Self, Vec<Diagnostic>) {
        let mut lines = vec![];
        let mut problems = vec![];
        let mut start = 0;
        for (at, line) in text.split('\n').enumerate() {
            let offset = start;
            start += line.len() + 1;
            let pattern = line.trim();
            if pattern.is_empty() || pattern.starts_with('#') {
                continue;
            }
            let from = offset + (line.len() - line.trim_start().len());
            let problem = |message: String| {
                Diagnostic::new(Code::BadPattern, file, message)
                    .at(text, from..from + pattern.len())
            };
            if lines.len() == MAX_PATTERNS {
                problems.push(problem(format!(
                    "only the first {MAX_PATTERNS} patterns of a `.dagignore` are read"
                )));
                break;
            }
            match compile(pattern) {
                Ok(regex) => lines.push((at + 1, regex)),
                Err(message) => {
                    let mut problem = problem(message);
                    problem.label("hides nothing");
                    if pattern.starts_with(['*', '+', '?']) {
                        problem.hint(
                            "these are regular expressions, not globs: write `.*` for anything",
                        );
                    }
                    problems.push(problem);
                }
            }
        }
        let file = file.to_owned();
        (Self { file, lines }, problems)
    }

    /// The first line that hides `path`, which is relative to the folder of this file.
    pub(crate) fn hides(&self, path: &str) -> Option<(usize, &str)> {
        self.lines
            .iter()
            .find(|(_, regex)| regex.is_match(path))
            .map(|(line, regex)| (*line, regex.as_str()))
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(format!(
            "the pattern has {} bytes; {MAX_PATTERN_BYTES} are the limit",
            pattern.len()
        ));
    }
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED_BYTES)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| {
            let said = error.to_string();
            let reason = said.lines().last().unwrap_or_default();
            format!(
                "not a regular expression: {}",
                reason.trim_start_matches("error: ")
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_course_notes_example_hides_what_it_should() {
        let (ignore, problems) =
            Ignore::parse(".dagignore", "# drafts\n\nproject_a\ntenant_[\\d]\n");
        assert_eq!(problems, []);
        for hidden in [
            "project_a_dag_1.yaml",
            "TESTING_project_a.yaml",
            "tenant_1.yaml",
            "project_a/dag_1.yaml",
            "tenant_1/dag_1.yaml",
        ] {
            assert!(ignore.hides(hidden).is_some(), "{hidden}");
        }
        assert_eq!(ignore.hides("tenant_x.yaml"), None);
        assert_eq!(ignore.hides("a/tenant_7.yaml"), Some((4, "tenant_[\\d]")));
    }

    #[test]
    fn a_bad_pattern_is_named_with_its_line_and_hides_nothing() {
        let (ignore, problems) = Ignore::parse("dags/.dagignore", "good\n  te(st\n*.yaml\n");
        let rendered: Vec<_> = problems.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(rendered.join("\n\n"), @r#"
        error[D029]: not a regular expression: unclosed group
         --> dags/.dagignore:2:3
          |
        2 |   te(st
          |   ^^^^^ hides nothing

        error[D029]: not a regular expression: repetition operator missing expression
         --> dags/.dagignore:3:1
          |
        3 | *.yaml
          | ^^^^^^ hides nothing
        hint: these are regular expressions, not globs: write `.*` for anything
        "#);
        assert_eq!(ignore.hides("te(st.yaml"), None);
        assert!(ignore.hides("good.yaml").is_some());
    }

    #[test]
    fn patterns_are_limited_in_number_length_and_size() {
        let long = "x".repeat(1025);
        let deep = "(".repeat(60) + &")".repeat(60);
        let text = format!("{long}\n{deep}\n\\w{{1000}}{{1000}}\n");
        assert_eq!(Ignore::parse("i", &text).1.len(), 3);
        assert_eq!(Ignore::parse("i", &"a\n".repeat(1001)).1.len(), 1);
        assert_eq!(Ignore::parse("i", &"a\n".repeat(1000)).1.len(), 0);
    }

    #[test]
    fn a_pattern_that_ruins_backtracking_engines_answers() {
        let (ignore, problems) = Ignore::parse("i", "^(a+)+$\n^(a|aa)+$\n(.*a){20}b\n");
        assert_eq!(problems, []);
        assert_eq!(ignore.hides(&("a".repeat(4096) + "!")), None);
    }
}
