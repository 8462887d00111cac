//! What a text holds: values with the bytes they stand on.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

#[derive(Debug, PartialEq)]
pub(super) struct Raw {
    /// Where the value is written; for an alias, where its anchor is.
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
}

#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Raw>),
    Map(Vec<(Raw, Raw)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::deserialize(deserializer)?;
        let span = spanned.defined.span();
        let narrow = |it: Option<u64>| usize::try_from(it.unwrap_or(0)).unwrap_or(0);
        let start = narrow(span.byte_offset());
        Ok(Self {
            range: start..start + narrow(span.byte_len()),
            kind: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Kind, E> {
        Ok(Kind::Int(it))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Kind, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a whole number beyond i64 is no count of ours; its text is kept"
        )]
        Ok(i64::try_from(it).map_or(Kind::Float(it as f64), Kind::Int))
    }

    fn visit_f64<E>(self, it: f64) -> Result<Kind, E> {
        Ok(Kind::Float(it))
    }

    fn visit_str<E>(self, it: &str) -> Result<Kind, E> {
        Ok(Kind::Text(it.to_owned()))
    }

    fn visit_string<E>(self, it: String) -> Result<Kind, E> {
        Ok(Kind::Text(it))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut items = vec![];
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut entries = vec![];
        while let Some(key) = access.next_key()? {
            entries.push((key, access.next_value()?));
        }
        Ok(Kind::Map(entries))
    }
}
