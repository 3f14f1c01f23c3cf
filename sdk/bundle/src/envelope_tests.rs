use super::*;
use crate::Algorithm;

fn keys() -> [SigningKey; 2] {
    [Algorithm::Ed25519, Algorithm::EcdsaP256].map(|algorithm| SigningKey::generate(algorithm).unwrap())
}

fn sealed(keys: &[&SigningKey]) -> Envelope {
    Envelope::seal(PayloadType::MANIFEST, b"payload".to_vec(), keys).unwrap()
}

fn parse(json: &str) -> Result<Envelope> {
    Envelope::parse(json.as_bytes(), PayloadType::MANIFEST)
}

#[test]
fn pae_is_the_one_of_the_dsse_specification() {
    // The example of the DSSE protocol document.
    let payload = b"hello world".to_vec();
    let kind = PayloadType::new("http://example.com/HelloWorld");
    let envelope = Envelope { payload_type: kind, payload, signatures: vec![] };
    assert_eq!(envelope.pae(), b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

#[test]
fn round_trip_and_order_of_keys() {
    let [a, b] = keys();
    let envelope = sealed(&[&a, &b]);
    assert_eq!(Envelope::parse(&envelope.to_json(), PayloadType::MANIFEST).unwrap(), envelope);
    let other = sealed(&[&b, &a]);
    let ids = |envelope: &Envelope| envelope.signatures().iter().map(|s| s.keyid).collect::<Vec<_>>();
    assert_eq!(ids(&envelope), ids(&other));
    let find = |id| [&a, &b].map(SigningKey::public).into_iter().find(|key| key.id() == id);
    assert!(envelope.check(find).iter().all(|(_, check)| *check == SignatureCheck::Holds));
}

#[test]
fn serde_reads_what_is_written_by_hand() {
    let [a, b] = keys();
    let json = sealed(&[&a, &b]).to_json();
    let value: EnvelopeJson = serde_json::from_slice(&json).unwrap();
    assert_eq!(serde_json::to_vec(&value).unwrap(), json);
}

#[test]
fn a_signature_over_another_payload_type_does_not_hold() {
    let [a, _] = keys();
    let other = PayloadType::new("application/vnd.tilemark.other.v1+json");
    let mut moved = Envelope::seal(other, b"payload".to_vec(), &[&a]).unwrap();
    moved.payload_type = PayloadType::MANIFEST;
    assert_eq!(moved.check(|_| Some(a.public()))[0].1, SignatureCheck::Fails);
}

#[test]
fn a_key_under_a_false_id_does_not_count() {
    let [a, b] = keys();
    let mut envelope = sealed(&[&a]);
    envelope.signatures[0].keyid = b.public().id();
    assert_eq!(envelope.check(|_| Some(a.public()))[0].1, SignatureCheck::Fails);
}

#[test]
fn signing_twice_with_one_key() {
    let [a, _] = keys();
    let error = Envelope::seal(PayloadType::MANIFEST, vec![], &[&a, &a]).unwrap_err();
    assert!(matches!(error, Error::AlreadySigned { keyid } if keyid == a.public().id()));
}

#[test]
fn without_signatures() {
    assert!(matches!(Envelope::seal(PayloadType::MANIFEST, vec![], &[]), Err(Error::Unsigned)));
    let empty = Envelope { payload_type: PayloadType::MANIFEST, payload: vec![], signatures: vec![] };
    assert!(matches!(Envelope::parse(&empty.to_json(), PayloadType::MANIFEST), Err(Error::Unsigned)));
}

#[test]
fn other_spellings_are_refused() {
    let [a, b] = keys();
    let json = String::from_utf8(sealed(&[&a, &b]).to_json()).unwrap();
    let spellings = [
        format!(" {json}"),
        format!("{json}\n"),
        json.replace(",\"payload\":", ", \"payload\":"),
        json.replace("\"payload\"", "\"\\u0070ayload\""),
        json.replace("+json", "\\u002bjson"),
        json.replace("vnd.tilemark", "vnd\\u002etilemark"),
        swap_members(&json),
    ];
    for spelling in spellings {
        assert_ne!(spelling, json);
        let error = parse(&spelling).unwrap_err();
        assert!(matches!(error, Error::NotCanonical { .. }), "{spelling}: {error}");
    }
}

fn swap_members(json: &str) -> String {
    let payload = r#""payload":"cGF5bG9hZA==","#;
    let moved = json.replace(payload, "");
    moved.replacen('{', &format!("{{{payload}"), 1)
}

#[test]
fn loose_base64_is_refused() {
    let [a, _] = keys();
    let json = String::from_utf8(sealed(&[&a]).to_json()).unwrap();
    for loose in
        ["cGF5bG9hZA", "cGF5bG9hZA=", "cGF5bG9hZB==", "cGF5 bG9hZA==", "cGF5bG9hZA===", "cGF5bG9h_A=="]
    {
        let error = parse(&json.replace("cGF5bG9hZA==", loose)).unwrap_err();
        assert!(matches!(error, Error::Base64 { field: "payload" }), "{loose}: {error}");
    }
}

#[test]
fn keys_of_the_json() {
    let [a, _] = keys();
    let json = String::from_utf8(sealed(&[&a]).to_json()).unwrap();
    let code = |text: String| parse(&text).unwrap_err().code();
    assert_eq!(code(json.replacen('{', r#"{"payload":"","#, 1)), "TM0111");
    assert_eq!(code(json.replace("\"sig\":", "\"sig\":\"\",\"sig\":")), "TM0111");
    assert_eq!(code(json.replacen('{', r#"{"extra":0,"#, 1)), "TM0112");
    assert_eq!(code(json.replace("\"keyid\"", "\"cert\":\"\",\"keyid\"")), "TM0112");
    assert_eq!(code(json.replace("\"sig\":", "\"gis\":")), "TM0112");
    assert_eq!(code(json.replace(&a.public().id().to_string(), &"A".repeat(64))), "TM0116");
    assert_eq!(code("{}".into()), "TM0113");
}

#[test]
fn another_payload_type() {
    let [a, _] = keys();
    let grant = PayloadType::new("application/vnd.tilemark.grant.v1+json");
    let envelope = Envelope::seal(grant, vec![], &[&a]).unwrap();
    let error = Envelope::parse(&envelope.to_json(), PayloadType::MANIFEST).unwrap_err();
    assert!(matches!(error, Error::PayloadType { found, .. } if found == grant.as_str()));
}

#[test]
fn order_of_signatures() {
    let [a, b] = keys();
    let mut envelope = sealed(&[&a, &b]);
    envelope.signatures.swap(0, 1);
    let error = Envelope::parse(&envelope.to_json(), PayloadType::MANIFEST).unwrap_err();
    assert!(matches!(error, Error::SignatureOrder { .. }));
    envelope.signatures[0] = envelope.signatures[1].clone();
    let error = Envelope::parse(&envelope.to_json(), PayloadType::MANIFEST).unwrap_err();
    assert!(matches!(error, Error::SignatureOrder { .. }));
}

#[test]
fn limits() {
    let many: Vec<_> =
        (0..=MAX_SIGNATURES).map(|_| SigningKey::generate(Algorithm::Ed25519).unwrap()).collect();
    let many: Vec<_> = many.iter().collect();
    let full = sealed(&many[..MAX_SIGNATURES]);
    assert_eq!(Envelope::parse(&full.to_json(), PayloadType::MANIFEST).unwrap(), full);
    let error = Envelope::seal(PayloadType::MANIFEST, vec![], &many).unwrap_err();
    assert!(matches!(error, Error::TooMany { found: 17, max: 16, .. }));
    let mut over = full.clone();
    over.signatures.push(Signature { keyid: "f".repeat(64).parse().unwrap(), bytes: vec![] });
    let error = Envelope::parse(&over.to_json(), PayloadType::MANIFEST).unwrap_err();
    assert!(matches!(error, Error::TooMany { found: 17, max: 16, .. }));
    let mut long = full;
    long.signatures[3].bytes = vec![0; MAX_SIGNATURE_BYTES + 1];
    let error = Envelope::parse(&long.to_json(), PayloadType::MANIFEST).unwrap_err();
    assert!(matches!(error, Error::TooLarge { what: "signature in the envelope", .. }));
    let large = vec![b' '; usize::try_from(MAX_ENVELOPE_BYTES).unwrap() + 1];
    let error = Envelope::parse(&large, PayloadType::MANIFEST).unwrap_err();
    assert!(matches!(error, Error::TooLarge { what: "envelope", .. }));
}

#[test]
fn a_foreign_signature_must_hold() {
    let [a, b] = keys();
    let mut envelope = sealed(&[&a]);
    let good = b.sign(&envelope.pae()).unwrap();
    assert!(matches!(envelope.attach(b.public(), b"nonsense"), Err(Error::ForeignSignature { .. })));
    assert!(matches!(envelope.attach(a.public(), &good), Err(Error::ForeignSignature { .. })));
    envelope.attach(b.public(), &good).unwrap();
    assert_eq!(envelope.signatures().len(), 2);
}
