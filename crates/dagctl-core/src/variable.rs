//! Which variables are secret, and how secrets are kept out of text.

use std::borrow::Cow;

/// Whether a name says that its value is secret: Airflow's sensitive words, and `slack_url`.
pub fn is_secret_name(name: &str) -> bool {
    let _ = name;
    unimplemented!()
}

/// Replaces secrets, in all the forms they are usually written in, with `***`.
#[derive(Debug, Clone, Default)]
pub struct Masker {}

impl Masker {
    /// Takes the secrets; those with fewer than five characters are left out.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let _ = secrets.into_iter().count();
        Self {}
    }

    /// The text with every secret replaced.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(text)
    }
}

/// Masks a stream that arrives in chunks; a secret across a border is still found.
#[derive(Debug)]
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

    /// Takes a chunk and gives back what can be shown: whole lines.
    pub fn push(&mut self, chunk: &str) -> String {
        self.held.push_str(chunk);
        String::new()
    }

    /// Gives back what is still held.
    pub fn finish(self) -> String {
        self.masker.mask(&self.held).into_owned()
    }
}
