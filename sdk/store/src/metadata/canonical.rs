//! Canonical JSON as TUF signs it: keys in code-point order, no white space, integers only, `\` and `"` escaped and nothing else.

use serde_json::Value;

pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                separate(index, out);
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(entries) => {
            // The map may keep another order, where some crate turns that feature of serde_json on.
            let mut keys: Vec<_> = entries.iter().collect();
            keys.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (index, (key, value)) in keys.into_iter().enumerate() {
                separate(index, out);
                write_string(key, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_securesystemslib_encodes_it() {
        // securesystemslib.formats.encode_canonical of the same values
        let value: Value =
            serde_json::from_str(r#" {"b": [1, -2, true, null], "a": "q\"\\\n\u00e9", "é": {}, "B": []} "#)
                .unwrap();
        assert_eq!(
            encode(&value),
            "{\"B\":[],\"a\":\"q\\\"\\\\\né\",\"b\":[1,-2,true,null],\"é\":{}}".as_bytes()
        );
    }
}
