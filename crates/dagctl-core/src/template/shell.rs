//! Puts values into a shell script so that each is one word, whatever it holds.
//!
//! The script is followed as far as its quotes go. Where quoting cannot protect a value – in a
//! here-document, a backtick, an arithmetic expression – the template is refused rather than guessed at.

/// A stretch of a rendered script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// What the author wrote.
    Script(&'a str),
    /// What a `{{ }}` became.
    Value(&'a str),
}

/// A place where no value may stand, in words that follow "a value cannot be put ".
pub(super) type Refusal = &'static str;

/// Writes the parts as one script; fails with the number of the value that cannot stand where it does.
pub(super) fn script<'a>(
    parts: impl IntoIterator<Item = Part<'a>>,
) -> Result<String, (usize, Refusal)> {
    let mut tracker = Tracker::default();
    let mut out = String::new();
    let mut number = 0;
    for part in parts {
        match part {
            Part::Script(text) => {
                text.chars().for_each(|it| tracker.follow(it));
                out.push_str(text);
            }
            Part::Value(value) => {
                let written = tracker.value(value).map_err(|refusal| (number, refusal))?;
                out.push_str(&written);
                number += 1;
            }
        }
    }
    Ok(out)
}

/// One word in single quotes.
pub(super) fn word(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Frame {
    /// Commands in `(…)`.
    Commands,
    /// Commands in `$(…)`.
    Substitution,
    Single,
    Double,
    /// `$'…'`.
    AnsiC,
    Backtick,
    /// `${…}`.
    Parameter,
    /// `((…))`, with the brackets still open.
    Arithmetic(usize),
    Comment,
    /// The word after `<<`, and the quote that is open in it; a backslash quotes one character.
    Delimiter {
        word: String,
        begun: bool,
        quote: Option<char>,
    },
    /// The lines of here-documents, the line so far, and whether a backslash ends the line before.
    Document {
        delimiters: Vec<String>,
        line: String,
        continued: bool,
    },
}

#[derive(Debug, Default)]
struct Tracker {
    frames: Vec<Frame>,
    /// The word so far, outside quotes; empty where one may begin.
    word: String,
    last: Option<char>,
    /// Whether a backslash stands just before.
    escaped: bool,
    documents: Vec<String>,
    /// Why it is not known any more where in the script we are.
    lost: Option<Refusal>,
}

impl Tracker {
    fn value(&mut self, value: &str) -> Result<String, Refusal> {
        if let Some(refusal) = self.lost {
            return Err(refusal);
        }
        if value.contains('\0') {
            return Err("into a script when it holds a zero byte");
        }
        if self.escaped {
            return Err("after a backslash");
        }
        let written = match self.frames.last() {
            None | Some(Frame::Commands | Frame::Substitution) => match self.last {
                Some('$') => return Err("after a `$`"),
                _ => word(value),
            },
            Some(Frame::Double) => format!("\"{}\"", word(value)),
            Some(Frame::Single) => format!("'{}'", word(value)),
            // A new line would end the comment and begin a command.
            Some(Frame::Comment) => return Ok(value.replace(['\n', '\r'], " ")),
            Some(Frame::AnsiC) => return Err("between `$'` and `'`"),
            Some(Frame::Backtick) => return Err("between backticks (use `$(…)`)"),
            Some(Frame::Parameter) => return Err("inside `${…}`"),
            Some(Frame::Arithmetic(_)) => return Err("inside `((…))`"),
            Some(Frame::Delimiter { .. } | Frame::Document { .. }) => {
                return Err("into a here-document");
            }
        };
        self.word.push('v');
        self.last = None;
        Ok(written)
    }

    fn follow(&mut self, it: char) {
        let before = self.last.replace(it);
        if std::mem::take(&mut self.escaped) {
            // A line that goes on begins no word by itself.
            if it != '\n' {
                self.word.push(it);
            }
            // An escaped `$` or `<` means nothing to what follows.
            self.last = None;
            return;
        }
        match self.frames.last_mut() {
            None | Some(Frame::Commands | Frame::Substitution) => self.in_commands(it, before),
            Some(Frame::Single) => {
                if it == '\'' {
                    self.frames.pop();
                }
            }
            Some(Frame::AnsiC) => match it {
                '\\' => self.escaped = true,
                '\'' => {
                    self.frames.pop();
                }
                _ => {}
            },
            Some(Frame::Double) => match it {
                '\\' => self.escaped = true,
                '"' => {
                    self.frames.pop();
                }
                '`' => self.frames.push(Frame::Backtick),
                // `$$` is a number, and no beginning of what follows.
                '$' if before == Some('$') => self.last = None,
                '(' if before == Some('$') => self.open(Frame::Substitution),
                '{' if before == Some('$') => self.frames.push(Frame::Parameter),
                _ => {}
            },
            Some(Frame::Backtick) => match it {
                '\\' => self.escaped = true,
                '`' => {
                    self.frames.pop();
                }
                _ => {}
            },
            Some(Frame::Parameter) => match it {
                '}' => {
                    self.frames.pop();
                }
                '{' if before == Some('$') => self.frames.push(Frame::Parameter),
                '\'' | '"' | '\\' | '`' | '(' => {
                    self.lost = Some("after a `${…}` that holds quotes or brackets");
                }
                _ => {}
            },
            Some(Frame::Arithmetic(depth)) => match it {
                '(' => *depth += 1,
                ')' => {
                    *depth -= 1;
                    if *depth == 0 {
                        self.frames.pop();
                    }
                }
                '\'' | '"' | '`' => self.lost = Some("after a `((…))` that holds quotes"),
                _ => {}
            },
            Some(Frame::Comment) => {
                if it == '\n' {
                    self.frames.pop();
                    self.in_commands(it, None);
                }
            }
            Some(Frame::Delimiter { word, begun, quote }) => match (it, *quote) {
                (_, Some('\\')) => {
                    word.push(it);
                    *quote = None;
                    self.last = None;
                }
                (_, Some(open)) if open == it => *quote = None,
                (_, Some(_)) => word.push(it),
                ('-', None) if before == Some('<') => {}
                (' ' | '\t', None) if !*begun => {}
                // `<<<` feeds a word, which is quoted like any other.
                ('<', None) if before == Some('<') => {
                    self.frames.pop();
                }
                (' ' | '\t' | '\n' | ';' | '|' | '&' | '(' | ')' | '<' | '>', None) => {
                    let word = std::mem::take(word);
                    self.documents.push(word);
                    self.frames.pop();
                    self.word.clear();
                    self.in_commands(it, None);
                }
                ('\'' | '"' | '\\', None) => {
                    *begun = true;
                    *quote = Some(it);
                }
                (_, None) => {
                    *begun = true;
                    word.push(it);
                }
            },
            Some(Frame::Document {
                delimiters,
                line,
                continued,
            }) => {
                if it != '\n' {
                    line.push(it);
                    return;
                }
                // `<<-` also takes the delimiter after tabs; ending early there is the safe side,
                // because a value is refused only while the document is open for sure.
                let ended = delimiters.first().is_some_and(|end| end == line);
                if !ended
                    && delimiters.first().map(String::as_str) == Some(line.trim_start_matches('\t'))
                {
                    self.lost = Some("after a here-document with an indented end");
                }
                if ended && *continued {
                    // Without quotes around the delimiter, the two lines are one.
                    self.lost = Some("after a here-document whose last line ends with a backslash");
                }
                *continued = line.ends_with('\\');
                line.clear();
                if ended {
                    delimiters.remove(0);
                    if delimiters.is_empty() {
                        self.frames.pop();
                        self.word.clear();
                    }
                }
            }
        }
    }

    fn in_commands(&mut self, it: char, before: Option<char>) {
        let at_word_start = self.word.is_empty();
        match it {
            '\\' => {
                self.escaped = true;
                return;
            }
            '#' if at_word_start => {
                self.frames.push(Frame::Comment);
                return;
            }
            // A comment after `(…)` and `((…))`, but not in the word of an array.
            '#' if before == Some(')') && !self.word.starts_with('$') => {
                self.lost = Some("after a `)#`");
            }
            // `$$` is a number, and no beginning of what follows.
            '$' if before == Some('$') => self.last = None,
            '\'' => self.frames.push(if before == Some('$') {
                Frame::AnsiC
            } else {
                Frame::Single
            }),
            '"' => self.frames.push(Frame::Double),
            '`' => self.frames.push(Frame::Backtick),
            '{' if before == Some('$') => self.frames.push(Frame::Parameter),
            '(' if before == Some('(') => {
                // `((`: the frame that the first bracket opened was no command.
                if self.frames.pop() == Some(Frame::Substitution) {
                    self.word.push('$');
                }
                self.frames.push(Frame::Arithmetic(2));
            }
            '(' => {
                self.open(match before {
                    Some('$') => Frame::Substitution,
                    _ => Frame::Commands,
                });
                return;
            }
            ')' => {
                self.word.clear();
                // What follows `$(…)` belongs to its word.
                if self.frames.pop() == Some(Frame::Substitution) {
                    self.word.push('$');
                }
            }
            '<' if before == Some('<') => self.frames.push(Frame::Delimiter {
                word: String::new(),
                begun: false,
                quote: None,
            }),
            ' ' | '\t' | '\n' | '\r' | ';' | '&' | '|' | '<' | '>' => {
                if self.word == "case" && !self.frames.is_empty() {
                    self.lost = Some("after a `case` inside `(…)`");
                }
                self.word.clear();
                if it == '\n' && !self.documents.is_empty() {
                    self.frames.push(Frame::Document {
                        delimiters: std::mem::take(&mut self.documents),
                        line: String::new(),
                        continued: false,
                    });
                }
                return;
            }
            _ => {}
        }
        self.word.push(it);
    }

    fn open(&mut self, frame: Frame) {
        self.frames.push(frame);
        self.word.clear();
    }
}
