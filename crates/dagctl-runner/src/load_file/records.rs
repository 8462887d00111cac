//! Cuts a CSV file into records without changing them, and counts their fields and lines.
//!
//! COPY does the reading: only it knows an unquoted empty field (null) from a quoted one (empty).

use dagctl_core::outcome::{Failure, FailureKind};

/// A longer one is a quote that nobody closed.
const MAX_RECORD: usize = 16 * 1024 * 1024;

/// One record, as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    bytes: Vec<u8>,
    fields: usize,
    /// The line it begins on, from 1.
    pub(crate) line: u64,
}

impl Record {
    /// Adds it to what COPY is sent.
    pub(crate) fn write(&self, outgoing: &mut Vec<u8>) {
        // To COPY this line would be the end of the data.
        if self.bytes == br"\." {
            outgoing.extend_from_slice(br#""\.""#);
        } else {
            outgoing.extend_from_slice(&self.bytes);
        }
        outgoing.push(b'\n');
    }

    /// Its beginning, for a person.
    pub(crate) fn text(&self) -> String {
        const SHOWN: usize = 200;
        let text = String::from_utf8_lossy(&self.bytes);
        if text.chars().count() > SHOWN {
            text.chars().take(SHOWN).chain("…".chars()).collect()
        } else {
            text.into_owned()
        }
    }

    /// Its fields without their quotes.
    pub(crate) fn fields(&self, delimiter: u8) -> Vec<String> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter)
            .from_reader(self.bytes.as_slice());
        let record = reader.byte_records().next().and_then(Result::ok);
        let fields = record.iter().flatten();
        fields
            .map(|it| String::from_utf8_lossy(it).into_owned())
            .collect()
    }
}

/// The records of a file that comes in chunks.
#[derive(Debug)]
pub(crate) struct Records {
    delimiter: u8,
    file: String,
    incoming: Vec<u8>,
    at: usize,
    record: Vec<u8>,
    fields: usize,
    in_quotes: bool,
    line: u64,
    begins: u64,
    expected: Option<(usize, bool)>,
    finished: bool,
}

impl Records {
    /// Starts before the first byte of `file`, a name for messages.
    pub(crate) fn new(delimiter: u8, file: String) -> Self {
        Self {
            delimiter,
            file,
            incoming: vec![],
            at: 0,
            record: vec![],
            fields: 1,
            in_quotes: false,
            line: 1,
            begins: 1,
            expected: None,
            finished: false,
        }
    }

    /// Takes more of the file.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.incoming.drain(..self.at);
        self.at = 0;
        self.incoming.extend_from_slice(chunk);
    }

    /// How many fields every record must have, by its header or by the columns.
    pub(crate) fn expect(&mut self, fields: usize, by_header: bool) {
        self.expected = Some((fields, by_header));
    }

    /// The next whole record of what has come. Blank lines are none.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, Failure> {
        while let Some(byte) = self.incoming.get(self.at).copied() {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                if !self.in_quotes {
                    if let Some(record) = self.end() {
                        return Ok(Some(record));
                    }
                    continue;
                }
            } else if byte == b'"' {
                self.in_quotes = !self.in_quotes;
            } else if byte == self.delimiter && !self.in_quotes {
                self.fields += 1;
            }
            self.record.push(byte);
            if self.record.len() > MAX_RECORD {
                return Err(
                    self.wrong("a record longer than 16 MiB begins here: is a quote not closed?")
                );
            }
        }
        Ok(None)
    }

    /// The last record, when the file has ended.
    pub(crate) fn finish(&mut self) -> Result<Option<Record>, Failure> {
        self.finished = true;
        if self.in_quotes {
            return Err(
                self.wrong("a quoted field begins here and is not closed before the file ends")
            );
        }
        Ok(self.end())
    }

    /// Whether the file has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Fails where a record cannot be loaded, with its line.
    pub(crate) fn check(&self, record: &Record) -> Result<(), Failure> {
        let problem = match self.expected {
            Some((expected, by_header)) if expected != record.fields => {
                let s = if record.fields == 1 { "" } else { "s" };
                let whose = if by_header {
                    "the header names"
                } else {
                    "there are"
                };
                format!("has {} field{s}, but {whose} {expected}", record.fields)
            }
            _ if std::str::from_utf8(&record.bytes).is_err() => {
                "is not UTF-8; convert the file first, such as with `iconv -f euc-kr -t utf-8`"
                    .to_owned()
            }
            _ => return Ok(()),
        };
        let message = format!(
            "line {} of {} {problem}\n  {}",
            record.line,
            self.file,
            record.text()
        );
        Err(Failure::new(FailureKind::Check, message))
    }

    fn end(&mut self) -> Option<Record> {
        let mut bytes = std::mem::take(&mut self.record);
        let fields = std::mem::replace(&mut self.fields, 1);
        let line = std::mem::replace(&mut self.begins, self.line);
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if line == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        (!bytes.is_empty()).then_some(Record {
            bytes,
            fields,
            line,
        })
    }

    fn wrong(&self, problem: &str) -> Failure {
        let message = format!("line {} of {}: {problem}", self.begins, self.file);
        Failure::new(FailureKind::Check, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], chunk: usize) -> Result<Vec<(u64, usize, String)>, Failure> {
        let mut records = Records::new(b',', "x.csv".to_owned());
        let mut found = vec![];
        for part in text.chunks(chunk) {
            records.push(part);
            while let Some(it) = records.next()? {
                found.push((it.line, it.fields, it.text()));
            }
        }
        found.extend(records.finish()?.map(|it| (it.line, it.fields, it.text())));
        Ok(found)
    }

    #[test]
    fn records_are_the_same_however_the_file_is_cut() {
        let text = "\u{feff}a,b\r\n\"1,\n\"\"2\",x\n\n\n3,\r\n4,5".as_bytes();
        let expected = vec![
            (1, 2, "a,b".to_owned()),
            (2, 2, "\"1,\n\"\"2\",x".to_owned()),
            (6, 2, "3,".to_owned()),
            (7, 2, "4,5".to_owned()),
        ];
        for chunk in [1, 2, 3, 7, 100] {
            assert_eq!(
                read(text, chunk).as_ref(),
                Ok(&expected),
                "chunks of {chunk}"
            );
        }
    }

    #[test]
    fn a_quote_that_nobody_closes_is_named_by_its_line() {
        let err = read(b"a\n\"b\nc\n", 4).unwrap_err();
        assert!(
            err.message.starts_with("line 2 of x.csv"),
            "{}",
            err.message
        );
    }

    #[test]
    fn a_wrong_number_of_fields_and_bytes_that_are_no_text_are_named() {
        let mut records = Records::new(b';', "x.csv".to_owned());
        records.expect(2, true);
        records.push(b"a;b\na\n\xb0\xa1;b\n");
        let found: Vec<_> = std::iter::from_fn(|| records.next().unwrap()).collect();
        assert_eq!(records.check(&found[0]), Ok(()));
        let err = records.check(&found[1]).unwrap_err().message;
        assert_eq!(
            err,
            "line 2 of x.csv has 1 field, but the header names 2\n  a"
        );
        assert!(
            records
                .check(&found[2])
                .unwrap_err()
                .message
                .contains("not UTF-8")
        );
    }
}
