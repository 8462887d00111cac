//! Values in scripts for a POSIX shell: `{{ x }}` becomes a reference to a variable that holds it.
//!
//! The text is followed just closely enough to know whether a place is inside quotes, a comment, a here-document or
//! arithmetic. What is misread costs a wrong word, never an injection: the value itself is not part of the text.

use std::collections::VecDeque;

use super::{Piece, Script, text_of};

/// Where in a script we are; the innermost is last on a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Words, also inside `( )`, `$( )` and backticks.
    Code(Closer),
    /// `'…'`.
    Single,
    /// `$'…'`.
    DollarSingle,
    /// `"…"`.
    Double,
    /// `${…}`, inside double quotes or not.
    Braces,
    /// `$((…))`.
    Arithmetic,
    /// `# …`.
    Comment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closer {
    End,
    Paren,
    Backtick,
}

#[derive(Debug)]
struct HereDocument {
    delimiter: String,
    is_quoted: bool,
    strips_tabs: bool,
}

pub(super) fn script(pieces: &[Piece<'_>]) -> Result<Script, String> {
    let mut reader = Reader {
        pieces,
        at: 0,
        places: vec![Place::Code(Closer::End)],
        here_documents: VecDeque::new(),
        text: String::with_capacity(pieces.len()),
        environment: Vec::new(),
    };
    reader.read()?;
    Ok(Script {
        text: reader.text,
        environment: reader.environment,
    })
}

struct Reader<'a> {
    pieces: &'a [Piece<'a>],
    at: usize,
    places: Vec<Place>,
    here_documents: VecDeque<HereDocument>,
    text: String,
    environment: Vec<(String, String)>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), String> {
        while let Some(piece) = self.pieces.get(self.at).copied() {
            match piece {
                Piece::Value(..) => {
                    let reference = self.take_value()?;
                    let written = match self.place() {
                        Place::Code(_) => format!("\"{reference}\""),
                        Place::Single => format!("'\"{reference}\"'"),
                        Place::DollarSingle => format!("'\"{reference}\"$'"),
                        Place::Braces if !self.is_in_double() => format!("\"{reference}\""),
                        Place::Double | Place::Braces | Place::Arithmetic | Place::Comment => {
                            reference
                        }
                    };
                    self.text.push_str(&written);
                }
                Piece::Char(char) => {
                    self.follow(char);
                    if char == '\n' && !self.here_documents.is_empty() && self.is_in_code() {
                        self.read_here_documents()?;
                    }
                }
            }
        }
        Ok(())
    }

    fn place(&self) -> Place {
        *self.places.last().unwrap_or(&Place::Code(Closer::End))
    }

    fn is_in_code(&self) -> bool {
        matches!(self.place(), Place::Code(_))
    }

    fn is_in_double(&self) -> bool {
        self.places
            .iter()
            .rev()
            .find(|place| **place != Place::Braces)
            == Some(&Place::Double)
    }

    /// Puts the value in the environment and gives back the reference to it.
    fn take_value(&mut self) -> Result<String, String> {
        let Some(Piece::Value(number, value)) = self.pieces.get(self.at) else {
            return Ok(String::new());
        };
        self.at += 1;
        let text = text_of(value);
        // A shell that meets a variable in arithmetic evaluates what is in it, `a[$(…)]` too.
        if self.place() == Place::Arithmetic && text.parse::<i64>().is_err() {
            return Err(format!(
                "a `{{{{ }}}}` inside `$(( ))` must be a whole number, and is `{text}`"
            ));
        }
        if text.contains('\0') {
            return Err("a `{{ }}` in the script holds a NUL, which no shell can take".to_owned());
        }
        let name = format!("DAGCTL_VALUE_{number}");
        let reference = format!("${{{name}}}");
        self.environment.push((name, text));
        Ok(reference)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        match self.pieces.get(self.at + ahead) {
            Some(Piece::Char(char)) => Some(*char),
            Some(Piece::Value(..)) | None => None,
        }
    }

    fn take(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(char) = self.peek(0) {
                self.text.push(char);
            }
            self.at += 1;
        }
    }

    fn close(&mut self) {
        if self.places.len() > 1 {
            self.places.pop();
        }
    }

    fn open(&mut self, place: Place, length: usize) {
        self.places.push(place);
        self.take(length);
    }

    /// Takes the character and notes where it leads.
    fn follow(&mut self, char: char) {
        let place = self.place();
        match (place, char) {
            (Place::Comment, '\n') => {
                self.close();
                self.take(1);
            }
            (Place::Single, '\'') | (Place::DollarSingle, '\'') | (Place::Double, '"') => {
                self.close();
                self.take(1);
            }
            (Place::Single | Place::Comment, _) => self.take(1),
            (_, '\\') if self.peek(1).is_some() => self.take(2),
            (Place::DollarSingle, _) => self.take(1),
            (Place::Arithmetic, ')') if self.peek(1) == Some(')') => {
                self.close();
                self.take(2);
            }
            (Place::Code(Closer::Backtick), '`')
            | (Place::Code(Closer::Paren), ')')
            | (Place::Braces, '}') => {
                self.close();
                self.take(1);
            }
            (_, '`') => self.open(Place::Code(Closer::Backtick), 1),
            (_, '$') if self.peek(1) == Some('(') && self.peek(2) == Some('(') => {
                self.open(Place::Arithmetic, 3);
            }
            (_, '$') if self.peek(1) == Some('(') => self.open(Place::Code(Closer::Paren), 2),
            (_, '$') if self.peek(1) == Some('{') => self.open(Place::Braces, 2),
            (Place::Arithmetic, _) => self.take(1),
            (Place::Braces, '\'') if self.is_in_double() => self.take(1),
            (Place::Double, _) => self.take(1),
            (Place::Code(_) | Place::Braces, '"') => self.open(Place::Double, 1),
            (Place::Code(_) | Place::Braces, '\'') => self.open(Place::Single, 1),
            (Place::Code(_), '$') if self.peek(1) == Some('\'') => {
                self.open(Place::DollarSingle, 2);
            }
            (Place::Code(_), '(') => self.open(Place::Code(Closer::Paren), 1),
            (Place::Code(_), '#') if self.begins_word() => self.open(Place::Comment, 1),
            (Place::Code(_), '<') if self.peek(1) == Some('<') => self.note_here_document(),
            (Place::Code(_) | Place::Braces, _) => self.take(1),
        }
    }

    fn begins_word(&self) -> bool {
        self.text
            .chars()
            .last()
            .is_none_or(|before| before.is_whitespace() || ";&|()`".contains(before))
    }

    fn note_here_document(&mut self) {
        self.take(2);
        if self.peek(0) == Some('<') {
            self.take(1);
            return;
        }
        let strips_tabs = self.peek(0) == Some('-');
        if strips_tabs {
            self.take(1);
        }
        while matches!(self.peek(0), Some(' ' | '\t')) {
            self.take(1);
        }
        let mut delimiter = String::new();
        let mut is_quoted = false;
        while let Some(char) = self.peek(0) {
            match char {
                '\'' | '"' | '\\' => is_quoted = true,
                _ if char.is_whitespace() || ";&|()<>".contains(char) => break,
                _ => delimiter.push(char),
            }
            self.take(1);
        }
        self.here_documents.push_back(HereDocument {
            delimiter,
            is_quoted,
            strips_tabs,
        });
    }

    fn read_here_documents(&mut self) -> Result<(), String> {
        while let Some(document) = self.here_documents.pop_front() {
            let mut line = String::new();
            while let Some(piece) = self.pieces.get(self.at).copied() {
                match piece {
                    Piece::Value(..) if document.is_quoted => {
                        return Err(format!(
                            "a `{{{{ }}}}` stands in a here-document whose delimiter `{}` is quoted, where the shell \
                             puts in no values: set it in `env:`, or leave out the quotes",
                            document.delimiter
                        ));
                    }
                    Piece::Value(..) => {
                        let reference = self.take_value()?;
                        self.text.push_str(&reference);
                        line.push_str(&reference);
                    }
                    Piece::Char('\n') => {
                        self.take(1);
                        let ends = std::mem::take(&mut line);
                        let ends = match document.strips_tabs {
                            true => ends.trim_start_matches('\t'),
                            false => ends.as_str(),
                        };
                        if ends == document.delimiter {
                            break;
                        }
                    }
                    Piece::Char(char) => {
                        self.take(1);
                        line.push(char);
                    }
                }
            }
        }
        Ok(())
    }
}
