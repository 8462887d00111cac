//! The parameters of a DAG, and what a trigger may set them to.

use serde_json::{Map, Value};

/// A parameter: what it may be, and what it is when nobody says.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Its name in `params.<name>`.
    pub name: String,
    /// The JSON types it may have; empty: any.
    pub types: Vec<ParamType>,
    /// Its value when a trigger does not set it; without one a trigger must.
    pub default: Option<Value>,
    /// A sentence for the form.
    pub description: Option<String>,
    /// The only values allowed, where the list is not empty.
    pub allowed: Vec<Value>,
    /// The smallest number allowed.
    pub minimum: Option<f64>,
    /// The largest number allowed.
    pub maximum: Option<f64>,
    /// The least number of characters.
    pub min_length: Option<u64>,
    /// The largest number of characters.
    pub max_length: Option<u64>,
    /// What the text is.
    pub format: Option<ParamFormat>,
}

/// A JSON type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    /// A text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    Array,
    /// A map.
    Object,
    /// Nothing.
    Null,
}

/// What a text is, as in JSON Schema's `format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamFormat {
    /// `2026-01-31`.
    Date,
    /// `2026-01-31T08:00:00Z`.
    DateTime,
    /// An absolute URL.
    Uri,
    /// More than one line in the form.
    Multiline,
}

/// One thing wrong with the values of a trigger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParamError {
    /// Which parameter.
    pub name: String,
    /// What is wrong, what was found and what is allowed.
    pub message: String,
}

/// Fills a run's parameters from defaults and what a trigger sets; every problem in one go.
pub fn fill(
    params: &[Param],
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<ParamError>> {
    let _ = (params, given);
    unimplemented!()
}
