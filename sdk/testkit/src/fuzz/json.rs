//! Changes JSON documents in JSON's terms.

use serde_json::{Map, Number, Value};

use super::mutate;
use crate::random::SplitMix64;

/// Numbers that break careless arithmetic.
const INTEGERS: [u64; 10] = [0, 1, 2, 3, 8, 255, 1 << 16, u32::MAX as u64, (1 << 53) - 1, u64::MAX];
const REALS: [f64; 7] = [-1.0, 0.5, 1e-300, 1e39, -0.0, 255.0, 1e300];
const TEXTS: [&str; 10] =
    ["", "a", "../x", "a/b", "rgb", "U8", "F32", "labels.txt", "\u{202e}\0", "0.0.0-a+b"];

/// The document with one to three values changed, dropped, doubled or exchanged; its bytes changed if it is no JSON.
pub(super) fn mutate(bytes: &[u8], random: &mut SplitMix64) -> Vec<u8> {
    let Ok(mut document) = serde_json::from_slice::<Value>(bytes) else { return mutate::flip(bytes, random) };
    for _ in 0..=random.below(3) {
        let places = count(&document);
        let donor = pick(&mut document, &mut random.below(places)).map(|value| value.clone());
        if let Some(value) = pick(&mut document, &mut random.below(places)) {
            change(value, donor, random);
        }
    }
    let text = document.to_string();
    // A key that is there twice cannot be said by a map.
    match (random.below(16), text.find("\":")) {
        (0, Some(end)) => {
            let key = text[..end].rfind('"').map_or("", |start| &text[start..=end]);
            text.replacen('{', &format!("{{{key}:1,"), 1).into_bytes()
        }
        _ => text.into_bytes(),
    }
}

/// Values in a document, itself included.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(entries) => 1 + entries.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// The value at place `at` in document order.
fn pick<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| pick(item, at)),
        Value::Object(entries) => entries.values_mut().find_map(|item| pick(item, at)),
        _ => None,
    }
}

fn change(value: &mut Value, donor: Option<Value>, random: &mut SplitMix64) {
    match (random.below(4), value) {
        (0, value) => *value = donor.unwrap_or(Value::Null),
        (1, value) => *value = scalar(random),
        (_, Value::Array(items)) => change_items(items, random),
        (_, Value::Object(entries)) => change_entries(entries, random),
        (_, Value::String(text)) => *text = other_text(text, random),
        (_, Value::Number(number)) => *number = other_number(number, random),
        (_, value) => *value = scalar(random),
    }
}

fn change_items(items: &mut Vec<Value>, random: &mut SplitMix64) {
    let at = random.below(items.len());
    match random.below(3) {
        0 if !items.is_empty() => drop(items.remove(at)),
        1 if !items.is_empty() => items.push(items[at].clone()),
        _ => items.insert(at, scalar(random)),
    }
}

fn change_entries(entries: &mut Map<String, Value>, random: &mut SplitMix64) {
    let Some(key) = entries.keys().nth(random.below(entries.len())).cloned() else { return };
    let value = entries.remove(&key);
    if random.below(2) == 0 {
        let names = ["image", "crop", "resize", "softmax", "top_k", "dequantize", "schema", "pad", "layout"];
        entries.insert(names[random.below(names.len())].to_owned(), value.unwrap_or(Value::Null));
    }
}

fn other_text(text: &str, random: &mut SplitMix64) -> String {
    match random.below(3) {
        0 => TEXTS[random.below(TEXTS.len())].to_owned(),
        1 => text.repeat(1 + random.below(40)),
        _ => String::from_utf8_lossy(&mutate::flip(text.as_bytes(), random)).into_owned(),
    }
}

fn other_number(number: &Number, random: &mut SplitMix64) -> Number {
    match (number.as_u64(), random.below(3)) {
        (Some(n), 0) => n.wrapping_add(1).into(),
        (Some(n), 1) => n.wrapping_sub(1).into(),
        (_, 2) => Number::from_f64(REALS[random.below(REALS.len())]).unwrap_or(0.into()),
        _ => INTEGERS[random.below(INTEGERS.len())].into(),
    }
}

fn scalar(random: &mut SplitMix64) -> Value {
    match random.below(6) {
        0 => Value::Null,
        1 => Value::Bool(random.below(2) == 0),
        2 => TEXTS[random.below(TEXTS.len())].into(),
        3 => Value::Array(vec![]),
        4 => Value::Object(Map::new()),
        _ => other_number(&0.into(), random).into(),
    }
}
