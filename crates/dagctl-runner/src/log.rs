//! The lines that an attempt writes: masked before they leave, and never more than the log may hold.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dagctl_core::variable::{Masker, StreamMasker};
use jiff::Timestamp;
use tokio::sync::mpsc;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// From dagctl itself.
    Task,
    /// From the process's standard output.
    Stdout,
    /// From the process's standard error.
    Stderr,
}

/// One line of an attempt's log, masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When the worker saw it.
    pub at: Timestamp,
    /// Where it came from.
    pub stream: Stream,
    /// The line without its end. Control characters stay, for the reader's page to show safely; NUL does not.
    pub text: String,
}

/// How much of an attempt's output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes from the beginning, sent as they come.
    pub head: usize,
    /// Bytes from the end, sent when the attempt ends.
    pub tail: usize,
    /// Bytes of one line.
    pub line: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            head: 1024 * 1024,
            tail: 256 * 1024,
            line: 1024 * 1024,
        }
    }
}

/// Where an attempt writes its lines; cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    masker: Arc<Masker>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sender: mpsc::Sender<LogLine>,
    limits: LogLimits,
    budget: Mutex<Budget>,
}

#[derive(Debug, Default)]
struct Budget {
    head_used: usize,
    head_is_full: bool,
    tail: VecDeque<LogLine>,
    tail_used: usize,
    left_out: usize,
}

impl Log {
    /// Sends into `sender`, whose other end must be emptied for the attempt to go on.
    pub fn new(sender: mpsc::Sender<LogLine>, limits: LogLimits) -> Self {
        Self {
            masker: Arc::default(),
            shared: Arc::new(Shared {
                sender,
                limits,
                budget: Mutex::default(),
            }),
        }
    }

    /// The same log, which from here on masks with `masker`.
    #[must_use]
    pub fn masking(self, masker: Masker) -> Self {
        Self {
            masker: Arc::new(masker),
            ..self
        }
    }

    /// What hides the attempt's secrets.
    pub fn masker(&self) -> &Masker {
        &self.masker
    }

    /// Writes what dagctl has to say, line by line.
    pub async fn line(&self, text: impl AsRef<str>) {
        // Masked as a whole: a secret may span lines.
        let text = self.masker.mask(text.as_ref());
        for line in text.lines() {
            self.send(Stream::Task, line).await;
        }
    }

    /// Writes what went wrong.
    pub async fn error(&self, text: impl AsRef<str>) {
        self.line(format!("error: {}", text.as_ref())).await;
    }

    /// Takes a process's output in chunks.
    pub fn writer(&self, stream: Stream) -> LogWriter {
        LogWriter {
            log: self.clone(),
            stream,
            masker: StreamMasker::new(self.masker.as_ref().clone()),
            partial: Vec::new(),
            line_length: 0,
            last: VecDeque::new(),
        }
    }

    /// Sends the end of a log that grew too long.
    pub async fn finish(&self) {
        let (left_out, tail) = {
            let mut budget = self.budget();
            budget.tail_used = 0;
            (
                std::mem::take(&mut budget.left_out),
                std::mem::take(&mut budget.tail),
            )
        };
        if left_out > 0 {
            let text = format!("… {left_out} lines left out …");
            self.pass_on(line_now(Stream::Task, text)).await;
        }
        for line in tail {
            self.pass_on(line).await;
        }
    }

    /// Writes a masked line.
    async fn send(&self, stream: Stream, text: &str) {
        let line = line_now(stream, self.cut(text));
        let next = self.budget().admit(line, self.shared.limits);
        if let Some(line) = next {
            self.pass_on(line).await;
        }
    }

    async fn pass_on(&self, line: LogLine) {
        // Nobody reads any more: the worker is going down, and there is nobody to tell.
        let _ = self.shared.sender.send(line).await;
    }

    fn cut(&self, text: &str) -> String {
        let limit = self.shared.limits.line;
        let (kept, note) = if text.len() > limit {
            let kept = &text[..text.floor_char_boundary(limit)];
            (kept, format!(" … (line cut after {limit} bytes)"))
        } else {
            (text, String::new())
        };
        kept.replace('\0', "") + &note
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.shared
            .budget
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    /// Gives back what is to be sent now.
    fn admit(&mut self, line: LogLine, limits: LogLimits) -> Option<LogLine> {
        let size = line.text.len() + 1;
        if !self.head_is_full && self.head_used + size <= limits.head {
            self.head_used += size;
            return Some(line);
        }
        let note = (!self.head_is_full).then(|| {
            let text =
                "the log is long: what follows is held back, and its end shown when the task ends";
            line_now(Stream::Task, text.to_owned())
        });
        self.head_is_full = true;
        self.tail.push_back(line);
        self.tail_used += size;
        while self.tail_used > limits.tail
            && let Some(oldest) = self.tail.pop_front()
        {
            self.tail_used -= oldest.text.len() + 1;
            self.left_out += 1;
        }
        note
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a line's time is for its reader; nothing is decided by it"
)]
fn line_now(stream: Stream, text: String) -> LogLine {
    LogLine {
        at: Timestamp::now(),
        stream,
        text,
    }
}

// A line is masked before it is cut, or half a secret could stay at the cut; so the masker sees this much more of it.
const BEYOND_CUT: usize = 64 * 1024;

/// How many of the last lines a [`LogWriter`] remembers, and how much of each.
const LAST_LINES: usize = 10;
const LAST_LINE_LENGTH: usize = 500;

/// Turns one stream of a process into log lines.
#[derive(Debug)]
pub struct LogWriter {
    log: Log,
    stream: Stream,
    masker: StreamMasker,
    /// The beginning of a character whose end is not here yet.
    partial: Vec<u8>,
    line_length: usize,
    last: VecDeque<String>,
}

impl LogWriter {
    /// Writes the lines that this chunk completes.
    pub async fn write(&mut self, chunk: &[u8]) {
        let mut bytes = std::mem::take(&mut self.partial);
        bytes.extend_from_slice(chunk);
        let mut rest = bytes.as_slice();
        let mut text = String::with_capacity(rest.len());
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    break;
                }
                Err(err) => {
                    let (valid, invalid) = rest.split_at(err.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    match err.error_len() {
                        Some(length) => {
                            text.push(char::REPLACEMENT_CHARACTER);
                            rest = &invalid[length..];
                        }
                        None => {
                            self.partial = invalid.to_vec();
                            break;
                        }
                    }
                }
            }
        }
        let text = self.without_endless_lines(&text);
        let shown = self.masker.push(&text);
        self.send(&shown).await;
    }

    /// Writes what is left when the stream has ended, and gives back the last lines for a failure's message.
    pub async fn finish(mut self) -> Vec<String> {
        let mut rest = std::mem::replace(
            &mut self.masker,
            StreamMasker::new(self.log.masker.as_ref().clone()),
        )
        .finish();
        if !self.partial.is_empty() {
            rest.push(char::REPLACEMENT_CHARACTER);
        }
        self.send(&rest).await;
        self.last.into()
    }

    async fn send(&mut self, shown: &str) {
        for line in shown.lines() {
            self.log.send(self.stream, line).await;
            if line.trim().is_empty() {
                continue;
            }
            if self.last.len() == LAST_LINES {
                self.last.pop_front();
            }
            let end = line.floor_char_boundary(LAST_LINE_LENGTH);
            self.last.push_back(line[..end].to_owned());
        }
    }

    // The masker keeps a line until it is complete, so one that never ends must not reach it.
    fn without_endless_lines(&mut self, text: &str) -> String {
        let limit = self.log.shared.limits.line + BEYOND_CUT;
        let mut kept = String::with_capacity(text.len());
        for piece in text.split_inclusive('\n') {
            let room = limit.saturating_sub(self.line_length);
            let ends = piece.ends_with('\n');
            if piece.len() <= room {
                kept.push_str(piece);
            } else {
                kept.push_str(&piece[..piece.floor_char_boundary(room)]);
                if ends {
                    kept.push('\n');
                }
            }
            self.line_length = if ends {
                0
            } else {
                self.line_length + piece.len()
            };
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{Receiver, channel};

    use super::*;

    fn log(limits: LogLimits, secret: &str) -> (Log, Receiver<LogLine>) {
        let (sender, receiver) = channel(10_000);
        let log = Log::new(sender, limits).masking(Masker::new([secret]));
        (log, receiver)
    }

    fn texts(mut receiver: Receiver<LogLine>) -> Vec<String> {
        let mut texts = Vec::new();
        while let Ok(line) = receiver.try_recv() {
            texts.push(line.text);
        }
        texts
    }

    #[tokio::test]
    async fn a_secret_across_any_border_of_chunks_never_leaves() {
        let secret = "correct-horse-요약-battery";
        let output = format!("before {secret} after\nline\n{secret}{secret}\n{secret}");
        let whole = ["before *** after", "line", "******", "***"];
        for border in 0..=output.len() {
            for second in [border, (border + 7).min(output.len()), output.len()] {
                let (log, receiver) = log(LogLimits::default(), secret);
                let mut writer = log.writer(Stream::Stdout);
                let bytes = output.as_bytes();
                writer.write(&bytes[..border]).await;
                writer.write(&bytes[border..second]).await;
                writer.write(&bytes[second..]).await;
                let last = writer.finish().await;
                assert_eq!(texts(receiver), whole, "cut at {border} and {second}");
                assert_eq!(last, whole);
            }
        }
    }

    #[tokio::test]
    async fn a_secret_at_the_cut_of_a_long_line_never_leaves() {
        let secret = "correct-horse-battery";
        let limits = LogLimits {
            line: 100,
            ..LogLimits::default()
        };
        for before in 70..110 {
            let (log, receiver) = log(limits, secret);
            let mut writer = log.writer(Stream::Stdout);
            let line = format!("{}{secret}{}\nnext\n", "x".repeat(before), "y".repeat(500));
            writer.write(line.as_bytes()).await;
            writer.finish().await;
            let texts = texts(receiver);
            assert!(texts[0].ends_with("… (line cut after 100 bytes)"));
            assert!(!texts[0].contains("corr"), "{before}: {}", texts[0]);
            assert_eq!(texts[1], "next");
        }
    }

    #[tokio::test]
    async fn a_line_that_never_ends_is_not_kept_in_memory() {
        let (log, receiver) = log(LogLimits::default(), "correct-horse-battery");
        let mut writer = log.writer(Stream::Stdout);
        let chunk = [b'x'; 64 * 1024];
        for _ in 0..100 {
            writer.write(&chunk).await;
        }
        writer.finish().await;
        let texts = texts(receiver);
        let sizes: Vec<_> = texts.iter().map(String::len).collect();
        assert!(sizes.iter().sum::<usize>() < 1_100_000, "{sizes:?}");
    }

    #[tokio::test]
    async fn of_a_long_log_the_head_and_the_tail_are_kept() {
        let limits = LogLimits {
            head: 100,
            tail: 50,
            line: 1000,
        };
        let (log, receiver) = log(limits, "correct-horse-battery");
        for number in 100..200 {
            log.line(format!("line {number}")).await;
        }
        log.finish().await;
        let texts = texts(receiver);
        let head: Vec<_> = (100..111).map(|it| format!("line {it}")).collect();
        let tail: Vec<_> = (195..200).map(|it| format!("line {it}")).collect();
        assert_eq!(texts[..11], head);
        assert!(texts[11].starts_with("the log is long"));
        assert_eq!(texts[12], "… 84 lines left out …");
        assert_eq!(texts[13..], tail);
    }

    #[tokio::test]
    async fn odd_bytes_become_text() {
        let (log, receiver) = log(LogLimits::default(), "correct-horse-battery");
        let mut writer = log.writer(Stream::Stderr);
        writer
            .write(b"a\0b \xff\xfe c\r\n\x1b[31mred\n\xec\x9a")
            .await;
        writer.write(b"\x94 \xec").await;
        writer.finish().await;
        assert_eq!(
            texts(receiver),
            ["ab \u{fffd}\u{fffd} c", "\u{1b}[31mred", "요 \u{fffd}"]
        );
    }
}
