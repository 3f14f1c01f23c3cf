use super::*;

fn parse(text: &str) -> Result<Timestamp> {
    Signed::parse("timestamp", text.as_bytes())?.unverified("timestamp")
}

const GOOD: &str = r#"{"signatures":[],"signed":{"_type":"timestamp","spec_version":"1.0.31","version":1,
    "expires":"2030-01-01T00:00:00Z","meta":{"snapshot.json":{"version":1}},"x-more":{"any":[1]}},"more":1}"#;

#[test]
fn unknown_fields_are_allowed() {
    assert_eq!(parse(GOOD).unwrap().meta.snapshot.version, 1);
}

#[test]
fn malformed_documents_are_refused() {
    let changes = [
        (r#""_type":"timestamp""#, r#""_type":"snapshot""#),
        (r#""spec_version":"1.0.31""#, r#""spec_version":"2.0.0""#),
        (r#""spec_version":"1.0.31""#, r#""spec_version":"1.0.31-x""#),
        (r#""version":1,"#, r#""version":0,"#),
        (r#""version":1,"#, r#""version":1.5,"#),
        (r#""version":1,"#, r#""version":-1,"#),
        (r#""version":1,"#, r#""version":1,"version":1,"#),
        (r#""version":1,"#, ""),
        ("2030-01-01T00:00:00Z", "2030-01-01"),
        (r#"{"version":1}"#, r#"{"version":0}"#),
        (r#"{"version":1}"#, r#"{"version":1,"hashes":{}}"#),
        (r#""signatures":[]"#, r#""signatures":[{"keyid":"a","sig":""},{"keyid":"a","sig":""}]"#),
        ("snapshot.json", "other.json"),
        (r#","more":1}"#, r#","more":1}}"#),
    ];
    for (from, to) in changes {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        assert_eq!(parse(&text).unwrap_err().code(), "TM0810", "{to}");
    }
}

#[test]
fn malformed_delegations_are_refused() {
    let role = |more: &str| {
        let text = format!(
            r#"{{"signatures":[],"signed":{{"_type":"targets","spec_version":"1.0.31","version":1,
            "expires":"2030-01-01T00:00:00Z","targets":{{}},"delegations":{{"keys":{{}},{more}}}}}}}"#
        );
        Signed::parse("targets", text.as_bytes())
            .and_then(|signed| signed.unverified::<Targets>("targets"))
            .is_ok()
    };
    let one = r#"{"name":"a","keyids":["k"],"threshold":1,"terminating":true,"paths":["*"]}"#;
    assert!(role(&format!(r#""roles":[{one}]"#)));
    assert!(role(r#""roles":[]"#));
    let bad = [
        format!(r#""roles":[{one},{one}]"#),
        format!(r#""roles":[{}]"#, one.replace(r#""a""#, r#""root""#)),
        format!(r#""roles":[{}]"#, one.replace(r#""a""#, r#""""#)),
        format!(r#""roles":[{}]"#, one.replace(r#""threshold":1"#, r#""threshold":0"#)),
        format!(r#""roles":[{}]"#, one.replace(r#"["k"]"#, r#"["k","k"]"#)),
        format!(r#""roles":[{}]"#, one.replace(r#","paths":["*"]"#, "")),
        format!(r#""roles":[{}]"#, one.replace(r#""paths":["*"]"#, r#""paths":[],"path_hash_prefixes":[]"#)),
        r#""succinct_roles":{"bit_length":4,"name_prefix":"x","keyids":[],"threshold":1}"#.to_owned(),
    ];
    for more in bad {
        assert!(!role(&more), "{more}");
    }
}
