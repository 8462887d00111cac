//! Assets: tables that tasks write, and DAGs that run when there is news of them.

use std::fmt;

/// A table, as DAG files name it: `schema.table`, or `conn_id:schema.table` for that of one connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asset {
    /// `schema.table`.
    pub name: String,
    /// The connection it is on; `None`: any, or nobody knows.
    pub conn_id: Option<String>,
}

/// Why a text names no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssetError {
    /// No `.`, or more than one.
    #[error("is no table: an asset is `schema.table`, or `conn_id:schema.table`")]
    NotATable,
    /// `{{ … }}`: assets are known before anything runs.
    #[error("holds a template, but assets must be known when the file loads")]
    Template,
}

/// What a schedule waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetExpression {
    /// News of one table.
    Asset(Asset),
    /// Of each of these.
    All(Vec<Self>),
    /// Of at least one of these.
    Any(Vec<Self>),
}

impl Asset {
    /// Reads `schema.table` or `conn_id:schema.table`.
    pub fn parse(text: &str) -> Result<Self, AssetError> {
        let text = text.trim();
        if text.contains("{{") || text.contains("{%") {
            return Err(AssetError::Template);
        }
        let (conn_id, name) = match text.split_once(':') {
            Some((conn_id, name)) => (Some(conn_id), name),
            None => (None, text),
        };
        let is_word = |it: &str| !it.is_empty() && !it.contains(|it: char| it.is_whitespace());
        let is_table = name.split_once('.').is_some_and(|(schema, table)| {
            is_word(schema) && is_word(table) && !table.contains('.')
        });
        if !is_table || conn_id.is_some_and(|it| !is_word(it)) {
            return Err(AssetError::NotATable);
        }
        Ok(Self {
            name: name.to_owned(),
            conn_id: conn_id.map(str::to_owned),
        })
    }

    /// Whether news of `other` are news of this one. Without a connection on either side the name alone decides.
    pub fn covers(&self, other: &Self) -> bool {
        self.name == other.name
            && match (&self.conn_id, &other.conn_id) {
                (Some(own), Some(other)) => own == other,
                (None, _) | (_, None) => true,
            }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.conn_id {
            Some(conn_id) => write!(f, "{conn_id}:{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl AssetExpression {
    /// The tables it names, each once, in the order of the file.
    pub fn assets(&self) -> Vec<&Asset> {
        let mut found = vec![];
        self.collect(&mut found);
        found
    }

    /// Whether a run is called for, where `has_news` says of which tables there are news.
    pub fn is_met(&self, has_news: &impl Fn(&Asset) -> bool) -> bool {
        match self {
            Self::Asset(it) => has_news(it),
            Self::All(parts) => parts.iter().all(|it| it.is_met(has_news)),
            Self::Any(parts) => parts.iter().any(|it| it.is_met(has_news)),
        }
    }

    /// Says it in words: `a.x and (a.y or a.z)`.
    pub fn describe(&self) -> String {
        self.words(false)
    }

    fn words(&self, is_inner: bool) -> String {
        let (parts, word) = match self {
            Self::Asset(it) => return it.to_string(),
            Self::All(parts) => (parts, " and "),
            Self::Any(parts) => (parts, " or "),
        };
        let words: Vec<String> = parts.iter().map(|it| it.words(parts.len() > 1)).collect();
        let words = words.join(word);
        match is_inner && parts.len() > 1 {
            true => format!("({words})"),
            false => words,
        }
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a Asset>) {
        match self {
            Self::Asset(it) if found.contains(&it) => (),
            Self::Asset(it) => found.push(it),
            Self::All(parts) | Self::Any(parts) => {
                for it in parts {
                    it.collect(found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
