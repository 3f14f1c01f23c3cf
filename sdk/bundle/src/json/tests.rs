use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Word {
    One,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Item {
    size: u64,
    #[serde(default)]
    small: Option<u8>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Document {
    items: Vec<Item>,
    word: Word,
}

fn read(text: &str) -> Result<Document> {
    from_slice("test document", text.as_bytes(), 4096)
}

#[track_caller]
fn refused(text: &str, code: &str, path: &str) {
    let error = read(text).unwrap_err();
    let Error::Json { path: found, .. } = &error else { panic!("{error:?}") };
    assert_eq!((error.code(), found.as_str()), (code, path), "{text}: {error}");
}

#[test]
fn a_good_document_is_read() {
    let good =
        read(r#" {"word": "one", "items": [{"size": 9007199254740991, "small": 3}, {"size": 0}]} "#).unwrap();
    let items = vec![Item { size: MAX_JSON_INTEGER, small: Some(3) }, Item { size: 0, small: None }];
    assert_eq!(good, Document { items, word: Word::One });
}

#[test]
fn syntax() {
    for text in ["", "{", "{}x", "{} {}", "[1,]", "{\"a\":01}", "\u{feff}{}", "{'a':1}", "\"\\ud800\"", "nul"]
    {
        refused(text, "TM0110", "the top level");
    }
    let error = from_slice::<Document>("test document", b"\"\xff\"", 64).unwrap_err();
    assert_eq!(error.code(), "TM0110");
}

#[test]
fn duplicate_keys_at_any_depth_even_in_unknown_parts() {
    refused(r#"{"word":"one","word":"one","items":[]}"#, "TM0111", "the top level");
    refused(r#"{"word":"one","items":[{"size":1},{"size":1,"size":1}]}"#, "TM0111", "items[1]");
    refused(r#"{"odd":{"deep":[[{"k":1,"\u006b":2}]]}}"#, "TM0111", "odd.deep[0][0]");
}

#[test]
fn unknown_and_missing_keys() {
    refused(r#"{"word":"one","items":[{"size":1,"extra":0}]}"#, "TM0112", "items[0]");
    refused(r#"{"word":"one","items":[],"Items":[]}"#, "TM0112", "the top level");
    refused(r#"{"word":"one"}"#, "TM0113", "the top level");
    refused(r#"{"word":"one","items":[{}]}"#, "TM0113", "items[0]");
}

#[test]
fn numbers_that_are_not_exact_integers() {
    for number in ["1.0", "1e3", "-0", "-0.5", "9007199254740992", "18446744073709551615", "1e999"] {
        let text = format!(r#"{{"word":"one","items":[{{"size":{number}}}]}}"#);
        let error = read(&text).unwrap_err();
        // serde_json itself refuses what does not fit a double.
        let wanted = if number == "1e999" { "TM0110" } else { "TM0114" };
        assert_eq!(error.code(), wanted, "{number}: {error}");
    }
}

#[test]
fn wrong_types_and_ranges() {
    refused(r#"{"word":"one","items":[{"size":-1}]}"#, "TM0116", "items[0].size");
    refused(r#"{"word":"one","items":[{"size":1,"small":256}]}"#, "TM0116", "items[0].small");
    refused(r#"{"word":"two","items":[]}"#, "TM0116", "word");
    refused(r#"{"word":["one"],"items":[]}"#, "TM0116", "word");
    refused(r#"{"word":"one","items":[[1,2]]}"#, "TM0116", "items[0]");
    refused(r#"[[], "one"]"#, "TM0116", "the top level");
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = "[".repeat(17) + &"]".repeat(17);
    assert_eq!(read(&deep).unwrap_err().code(), "TM0115");
    assert_eq!(read(&"[".repeat(4000)).unwrap_err().code(), "TM0115");
    let fitting = "[".repeat(16) + &"]".repeat(16);
    assert_eq!(read(&fitting).unwrap_err().code(), "TM0116"); // parsed, then of the wrong type
    assert!(matches!(read(&" ".repeat(4097)), Err(Error::TooLarge { found: 4097, max: 4096, .. })));
}

#[test]
fn messages_stay_short_whatever_the_document_says() {
    let long = "k".repeat(100_000);
    let documents = [
        format!(r#"{{"{long}":0}}"#),
        format!(r#"{{"{long}":0,"{long}":0}}"#),
        format!(r#"{{"{long}":[1.5]}}"#),
        format!(r#"{{"word":"{long}","items":[]}}"#),
        format!(r#"{{"word":"one","items":"{long}"}}"#),
    ];
    for document in documents {
        let error = from_slice::<Document>("test document", document.as_bytes(), 1 << 20).unwrap_err();
        assert!(error.to_string().len() < 400, "{}", error.code());
    }
}
