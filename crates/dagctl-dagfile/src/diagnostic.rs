//! What is wrong with a file, where, and what to type instead; answered like a compiler.

use std::fmt;

use serde::{Serialize, Serializer};

mod render;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// `validate` exits with 1.
    Error,
    /// Worth a look.
    Warning,
}

/// Where in a file, as people and editors count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Span {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The first byte, from 0.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// One problem of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnostic {
    /// Its stable code, with a paragraph in `docs/diagnostics.md`.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub message: String,
    /// The file, as it is shown.
    pub file: String,
    /// Where; without it the whole file is meant.
    pub span: Option<Span>,
    /// What stands at the caret.
    pub label: Option<String>,
    /// What to type instead.
    pub hint: Option<String>,
    /// What else helps to understand it.
    pub notes: Vec<String>,
    #[serde(skip)]
    excerpt: Option<Excerpt>,
}

/// The line a diagnostic points at, kept so that it can be shown without its file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    line: String,
    start: usize,
    end: usize,
}

/// Whether a rendering may use ANSI colours; its meaning never rests on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Plain text.
    Never,
    /// For a terminal.
    Always,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal $severity:ident,)*) => {
        /// What kind of problem it is. A code is never reused for something else.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as it is printed, such as `D012`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// How bad this kind of problem is.
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$name => Severity::$severity,)*
                }
            }
        }
    };
}

codes! {
    /// The text is not YAML.
    Syntax = "D001" Error,
    /// A key stands twice in one map.
    DuplicateKey = "D002" Error,
    /// The file is too large, too deep or unfolds too far.
    TooLarge = "D003" Error,
    /// The file cannot be read.
    Unreadable = "D004" Error,
    /// A YAML file that is no DAG and that no DAG refers to.
    NotADag = "D005" Error,
    /// `{{` without quotes, which YAML takes for a map.
    UnquotedTemplate = "D006" Error,
    /// A field that the language does not have.
    UnknownField = "D007" Error,
    /// Part of the language that does not work yet.
    NotYet = "D008" Error,
    /// A field that must be there.
    MissingField = "D009" Error,
    /// A value of the wrong type.
    WrongType = "D010" Error,
    /// A value that is not one of those allowed.
    BadValue = "D011" Error,
    /// `depends_on` names a task that does not exist.
    UnknownUpstream = "D012" Error,
    /// Tasks wait for each other.
    Cycle = "D013" Error,
    /// Two tasks of one name.
    DuplicateTask = "D014" Error,
    /// A name with characters that are not allowed.
    BadName = "D015" Error,
    /// Not a duration.
    BadDuration = "D016" Error,
    /// Not a date, or not a time zone.
    BadDate = "D017" Error,
    /// Not a schedule.
    BadSchedule = "D018" Error,
    /// A parameter whose parts contradict each other.
    BadParam = "D019" Error,
    /// A template or an expression that cannot work.
    BadTemplate = "D020" Error,
    /// SQL with a misspelt keyword. The DAG still loads: what is in the database decides.
    SqlTypo = "D021" Error,
    /// SQL that the checker could not read.
    SqlUnread = "D022" Warning,
    /// A value spliced into SQL.
    SqlSplice = "D023" Warning,
    /// `for_each` that makes no task.
    EmptyExpansion = "D024" Error,
    /// A file that is referred to and is not there.
    MissingFile = "D025" Error,
    /// A field in a place where it means nothing.
    MisplacedField = "D026" Error,
    /// `catchup` without `start_date`.
    NoStartDate = "D027" Error,
    /// More tasks, edges or parameters than allowed.
    TooMany = "D028" Error,
    /// A line of `.dagignore` that is not a pattern.
    BadPattern = "D029" Error,
    /// Two files define one DAG.
    DuplicateDag = "D030" Error,
    /// A folder without any DAG.
    NoDags = "D031" Warning,
    /// A `:name` in SQL that `parameters` has no value for.
    UnboundParameter = "D032" Error,
    /// A value in `parameters` that the SQL does not name.
    UnusedParameter = "D033" Warning,
    /// A join below a branch that is skipped with what is not followed.
    SkippedJoin = "D034" Warning,
    /// DAGs that run on news of each other's tables, for ever.
    AssetCycle = "D060" Error,
    /// A schedule waits for news of a table that no task writes.
    UnwrittenAsset = "D061" Warning,
}

impl Code {
    /// Whether a file with this problem defines no DAG.
    pub fn is_fatal(self) -> bool {
        self.severity() == Severity::Error && self != Self::SqlTypo && self != Self::DuplicateDag
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Diagnostic {
    /// A problem of a whole file.
    pub(crate) fn new(code: Code, file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            file: file.into(),
            span: None,
            label: None,
            hint: None,
            notes: vec![],
            excerpt: None,
        }
    }

    /// Points at bytes of the file's text.
    #[must_use]
    pub(crate) fn at(mut self, text: &str, range: std::ops::Range<usize>) -> Self {
        let start = floor_char(text, range.start);
        let end = floor_char(text, range.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |it| it + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |it| start + it);
        self.span = Some(Span {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            start,
            end,
        });
        let line = text[line_start..line_end].trim_end_matches('\r');
        self.excerpt = Some(Excerpt {
            start: (start - line_start).min(line.len()),
            end: (end.min(line_end) - line_start).min(line.len()),
            line: line.to_owned(),
        });
        self
    }

    /// Says what stands at the caret.
    pub(crate) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = Some(label.into());
        self
    }

    /// Says what to type instead.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what else helps.
    pub(crate) fn note(&mut self, note: impl Into<String>) -> &mut Self {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
        self
    }

    /// Whether `validate` exits with 1 because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The problem as rustc would show it, without a newline at the end.
    pub fn render(&self, color: Color) -> String {
        render::render(self, color)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Color::Never))
    }
}

fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
