//! Which variables are secret, and how secrets are kept out of text.
//!
//! Masking is a net, not a wall: a secret that a task turns inside out is not found.

mod forms;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};

/// Parts of a name that say its value is secret, as in Airflow.
const SENSITIVE: &[&str] = &[
    "access_token",
    "api_key",
    "apikey",
    "authorization",
    "keyfile_dict",
    "keyfile",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxies",
    "proxy",
    "secret",
    "service_account",
    "token",
];

/// Secrets with fewer characters than this are left as they are: they would blot out half of every text.
pub const SHORTEST_MASKED: usize = 5;

/// What stands in place of a secret.
const MASK: &str = "***";

/// How much of a line without an end is held back.
const LONGEST_LINE: usize = 64 * 1024;

/// Whether a name says that its value is secret: Airflow's sensitive words, and `slack_url`.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.trim().to_lowercase().replace('-', "_");
    name == "slack_url" || SENSITIVE.iter().any(|it| name.contains(it))
}

/// Replaces secrets, in all the forms they are usually written in, with `***`.
#[derive(Clone, Default)]
pub struct Masker {
    forms: Option<Arc<AhoCorasick>>,
    longest: usize,
}

impl Masker {
    /// Takes the secrets; those with fewer than [`SHORTEST_MASKED`] characters are left out.
    ///
    /// Each line of a secret with several lines is a secret by itself.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let forms: std::collections::BTreeSet<String> = secrets
            .into_iter()
            .flat_map(|it| forms::of(it.as_ref()))
            .collect();
        if forms.is_empty() {
            return Self::default();
        }
        let longest = forms.iter().map(String::len).max().unwrap_or_default();
        let automaton = AhoCorasick::builder()
            // Overlapping matches, so that no tail of a second secret shows behind a first.
            .match_kind(MatchKind::Standard)
            .build(&forms);
        Self {
            forms: Some(Arc::new(automaton.expect(
                "only gigabytes of secrets exceed what the automaton can hold",
            ))),
            longest,
        }
    }

    /// The text with every secret replaced.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let found = self.find(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut masked = String::with_capacity(text.len());
        let mut end = 0;
        for range in found {
            masked.push_str(&text[end..range.start]);
            masked.push_str(MASK);
            end = range.end;
        }
        masked.push_str(&text[end..]);
        Cow::Owned(masked)
    }

    /// Where secrets stand; overlapping ones are one.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let Some(forms) = &self.forms else {
            return Vec::new();
        };
        let mut found: Vec<Range<usize>> = forms
            .find_overlapping_iter(text)
            .map(|it| it.range())
            .collect();
        found.sort_by_key(|it| (it.start, it.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in found {
            match merged.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }
}

/// Says nothing of the secrets.
impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masker").finish_non_exhaustive()
    }
}

/// Masks a stream that arrives in chunks; a secret across a border is still found.
pub struct StreamMasker {
    masker: Masker,
    held: String,
}

impl StreamMasker {
    /// Starts an empty stream.
    pub fn new(masker: Masker) -> Self {
        Self {
            masker,
            held: String::new(),
        }
    }

    /// Takes a chunk and gives back what can be shown: whole lines, and the front of endless ones.
    pub fn push(&mut self, chunk: &str) -> String {
        self.held.push_str(chunk);
        let end = match self.held.rfind('\n') {
            Some(at) => at + 1,
            None if self.held.len() > LONGEST_LINE.max(self.masker.longest * 2) => self.safe_end(),
            None => 0,
        };
        let rest = self.held.split_off(end);
        let ready = std::mem::replace(&mut self.held, rest);
        self.masker.mask(&ready).into_owned()
    }

    /// Gives back what is still held.
    pub fn finish(self) -> String {
        self.masker.mask(&self.held).into_owned()
    }

    /// Up to where no secret can begin that is not complete yet.
    fn safe_end(&self) -> usize {
        let mut end = self.held.len() - self.masker.longest.saturating_sub(1);
        while !self.held.is_char_boundary(end) {
            end -= 1;
        }
        let cut = self.masker.find(&self.held);
        cut.into_iter()
            .find(|it| it.start < end && end < it.end)
            .map_or(end, |it| it.start)
    }
}

/// Says nothing of what is held.
impl fmt::Debug for StreamMasker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamMasker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
