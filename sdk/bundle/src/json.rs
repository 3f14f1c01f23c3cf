//! Strict JSON: one meaning per document, bounded cost, errors that name the place.
//!
//! Beyond RFC 8259: no duplicate keys at any depth, no unknown or missing keys, no floats, no integer above
//! [`MAX_JSON_INTEGER`], bounded size and depth, nothing after the value. Types derive
//! `Deserialize`; unknown keys are refused even without `deny_unknown_fields`.

mod de;
mod value;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::MAX_JSON_INTEGER;
use crate::{Error, Result};
use value::Value;

/// What is wrong with a JSON document, without the place.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonDefect {
    /// Not JSON at all, or something after the value.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// The same key twice in one object: two readers could pick different ones.
    #[error("the key {0:?} appears twice")]
    DuplicateKey(String),
    /// A key that this document does not have.
    #[error("unknown key {key:?}, expected {expected}")]
    UnknownKey {
        /// The key that was found.
        key: String,
        /// The keys that may be there.
        expected: String,
    },
    /// A key that must be there.
    #[error("the key {0:?} is missing")]
    MissingKey(String),
    /// A fraction, an exponent, or an integer that not every JSON reader holds exactly.
    #[error("{0} is not an integer between -{MAX_JSON_INTEGER} and {MAX_JSON_INTEGER}")]
    NotAnInteger(String),
    /// Arrays or objects nested deeper than [`MAX_JSON_DEPTH`](crate::limits::MAX_JSON_DEPTH).
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    /// A value of the wrong type or outside its range.
    #[error("{0}")]
    Value(String),
}

impl JsonDefect {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "TM0110",
            Self::DuplicateKey(_) => "TM0111",
            Self::UnknownKey { .. } => "TM0112",
            Self::MissingKey(_) => "TM0113",
            Self::NotAnInteger(_) => "TM0114",
            Self::TooDeep(_) => "TM0115",
            Self::Value(_) => "TM0116",
        }
    }
}

/// Reads `bytes` as the JSON `document` (a word for messages, such as `"manifest"`) of type `T`.
///
/// # Errors
/// [`Error::TooLarge`] beyond `max_bytes`, else [`Error::Json`] with the defect and its place.
pub fn from_slice<T: DeserializeOwned>(document: &'static str, bytes: &[u8], max_bytes: usize) -> Result<T> {
    T::deserialize(read_value(document, bytes, max_bytes)?).map_err(|fault| fault.in_document(document))
}

/// Whether a document says that it has the form that is known here.
///
/// # Errors
/// [`Error::UnsupportedSchema`].
pub fn check_schema(found: u64, supported: u64) -> Result<()> {
    match found == supported {
        true => Ok(()),
        false => Err(Error::UnsupportedSchema { found, supported }),
    }
}

/// A document in its compact spelling, as it is signed or kept.
///
/// # Errors
/// [`Error::Codec`] never, for the documents of this crate.
pub(crate) fn to_vec(document: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(document).map_err(|error| Error::Codec { reason: error.to_string() })
}

/// The integer under `key` at the top level of an otherwise unknown document.
pub(crate) fn peek_integer(
    document: &'static str,
    bytes: &[u8],
    max_bytes: usize,
    key: &str,
) -> Result<Option<u64>> {
    Ok(match read_value(document, bytes, max_bytes)? {
        Value::Object(entries) => entries.into_iter().find_map(|(found, value)| match value {
            Value::Unsigned(integer) if found == key => Some(integer),
            _ => None,
        }),
        _ => None,
    })
}

fn read_value(document: &'static str, bytes: &[u8], max_bytes: usize) -> Result<Value> {
    if bytes.len() > max_bytes {
        return Err(Error::TooLarge { what: document, found: bytes.len() as u64, max: max_bytes as u64 });
    }
    Value::parse(bytes).map_err(|fault| fault.in_document(document))
}

/// A defect and its place, such as `blobs[3].size`; built from the inside out.
#[derive(Debug)]
struct Fault {
    path: String,
    defect: JsonDefect,
}

impl Fault {
    fn in_key(mut self, key: &str) -> Self {
        // A hostile key may be long and odd: show its beginning, escaped.
        let key: String = key.chars().take(40).flat_map(char::escape_default).collect();
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{key}{separator}{}", self.path);
        self
    }

    fn in_item(mut self, index: usize) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{separator}{}", self.path);
        self
    }

    fn in_document(self, document: &'static str) -> Error {
        let path = if self.path.is_empty() { "the top level".into() } else { self.path };
        Error::Json { document, path, defect: self.defect }
    }
}

impl From<JsonDefect> for Fault {
    fn from(defect: JsonDefect) -> Self {
        Self { path: String::new(), defect }
    }
}

#[cfg(test)]
mod tests;
