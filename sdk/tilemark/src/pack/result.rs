//! Whether a golden input gives the result that the vendor declared for it.

use serde_json::Value;
use tilemark_pipeline::Outcome;

use super::draft::Sample;
use crate::error::Error;

/// Compares a result with the declared one, key by key: what is declared must be there, with this value; keys that are not
/// declared may have any. Numbers are compared as they are written in JSON, which keeps every bit.
///
/// # Errors
/// [`Error::GoldenResult`] at the first difference.
pub(super) fn check(sample: &Sample, outcome: &Outcome) -> Result<(), Error> {
    let Some((file, declared)) = &sample.result else { return Ok(()) };
    // By way of text: a number of 32 bits is written shorter than the same number in 64 bits.
    let text = serde_json::to_string(outcome);
    let found = text.and_then(|text| serde_json::from_str::<Value>(&text));
    let found = found.map_err(|error| Error::Contents { what: "result", reason: error.to_string() })?;
    match difference(declared, Some(&found), "") {
        None => Ok(()),
        Some(Difference { at, declared, found }) => {
            let (input, file) = (sample.name.clone(), file.clone());
            let difference = format!("{at} is {found}, {declared} is declared");
            Err(Error::GoldenResult { input, file, difference })
        }
    }
}

#[derive(Debug, PartialEq)]
struct Difference {
    at: String,
    declared: String,
    found: String,
}

fn difference(declared: &Value, found: Option<&Value>, at: &str) -> Option<Difference> {
    match (declared, found) {
        (Value::Object(declared), Some(Value::Object(found))) => {
            let below = |(key, value): (&String, &Value)| {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                difference(value, found.get(key), &at)
            };
            // Which files were written says nothing about the app.
            declared.iter().filter(|(key, _)| !at.is_empty() || *key != "files").find_map(below)
        }
        (Value::Array(declared), Some(Value::Array(found))) => {
            let below = |(i, value): (usize, &Value)| difference(value, found.get(i), &format!("{at}[{i}]"));
            let longer = || {
                (found.len() > declared.len())
                    .then(|| told(at, &format!("{} elements", declared.len()), &format!("{}", found.len())))
            };
            declared.iter().enumerate().find_map(below).or_else(longer)
        }
        (declared, Some(found)) if declared == found => None,
        (declared, Some(found)) => Some(told(at, &declared.to_string(), &found.to_string())),
        (declared, None) => Some(told(at, &declared.to_string(), "nothing")),
    }
}

/// Long values are cut: a list of a thousand numbers helps nobody.
fn told(at: &str, declared: &str, found: &str) -> Difference {
    const SHOWN: usize = 80;
    let cut = |text: &str| match text.chars().count() > SHOWN {
        true => text.chars().take(SHOWN).chain(['…']).collect(),
        false => text.to_owned(),
    };
    Difference {
        at: if at.is_empty() { "the result".to_owned() } else { at.to_owned() },
        declared: cut(declared),
        found: cut(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_is_named_and_what_is_not_declared_is_free() {
        let found = json!({"labels": [{"name": "cat", "score": 0.5}, {"name": "dog", "score": 0.25}], "values": {"y": [1.0]}});
        let at =
            |declared: Value| difference(&declared, Some(&found), "").map(|d| (d.at, d.declared, d.found));
        let text = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(at(json!({})), None);
        assert_eq!(at(json!({"labels": [{"name": "cat"}, {"score": 0.25}], "files": {"x": "y"}})), None);
        assert_eq!(at(json!({"labels": [{"name": "bird"}]})), text("labels[0].name", "\"bird\"", "\"cat\""));
        assert_eq!(at(json!({"labels": [{"name": "cat"}]})), text("labels", "1 elements", "2"));
        assert_eq!(at(json!({"lines": []})), text("lines", "[]", "nothing"));
        assert_eq!(at(json!({"values": {"y": [1.0, 2.0]}})), text("values.y[1]", "2.0", "nothing"));
        assert_eq!(
            at(json!([])),
            text(
                "the result",
                "[]",
                "{\"labels\":[{\"name\":\"cat\",\"score\":0.5},{\"name\":\"dog\",\"score\":0.25}],\"values\":{\"y\"…"
            )
        );
    }
}
