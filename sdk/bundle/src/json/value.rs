use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use super::{Fault, JsonDefect};
use crate::limits::{MAX_JSON_DEPTH, MAX_JSON_INTEGER};
use crate::text::excerpt;

/// A JSON value whose objects keep their order and hold each key once.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    String(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let defect = std::cell::RefCell::new(None);
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let reader = Reader { depth: 0, fault: &defect };
        let outcome = reader.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
        outcome.map_err(|error| match defect.take() {
            Some(fault) => fault,
            None => JsonDefect::Syntax(error.to_string()).into(),
        })
    }
}

/// Reads one value; `serde_json` carries only text in its errors, so the defect travels beside it.
#[derive(Clone, Copy)]
struct Reader<'a> {
    depth: usize,
    fault: &'a std::cell::RefCell<Option<Fault>>,
}

impl Reader<'_> {
    fn inner(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    fn refuse<E: serde::de::Error>(self, defect: JsonDefect) -> E {
        let error = E::custom(&defect);
        self.fault.replace(Some(defect.into()));
        error
    }

    fn locate(self, place: impl FnOnce(Fault) -> Fault) {
        let inner = self.fault.take();
        self.fault.replace(inner.map(place));
    }

    fn check_depth<E: serde::de::Error>(self) -> Result<(), E> {
        if self.depth >= MAX_JSON_DEPTH {
            return Err(self.refuse(JsonDefect::TooDeep(MAX_JSON_DEPTH)));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if value > MAX_JSON_INTEGER {
            return Err(self.refuse(JsonDefect::NotAnInteger(value.to_string())));
        }
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > MAX_JSON_INTEGER {
            return Err(self.refuse(JsonDefect::NotAnInteger(value.to_string())));
        }
        Ok(Value::Negative(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Err(self.refuse(JsonDefect::NotAnInteger(value.to_string())))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut items = Vec::new();
        loop {
            match access.next_element_seed(self.inner()) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return Ok(Value::Array(items)),
                Err(error) => {
                    self.locate(|fault| fault.in_item(items.len()));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut entries = Vec::new();
        // A set beside the list: duplicates cost O(log n) each, however many keys a hostile object has.
        let mut seen = std::collections::BTreeSet::new();
        while let Some(key) = access.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(self.refuse(JsonDefect::DuplicateKey(excerpt(&key))));
            }
            let value = access.next_value_seed(self.inner()).map_err(|error| {
                self.locate(|fault| fault.in_key(&key));
                A::Error::custom(error)
            })?;
            entries.push((key, value));
        }
        Ok(Value::Object(entries))
    }
}
