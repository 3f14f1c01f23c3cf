//! Keys and signatures go both ways between `openssl` and this crate.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::*;
use tilemark_bundle::{Algorithm, Error, PublicKey, SigningKey, Trust, Untrusted};

/// Runs openssl in `dir`; `None` (and a line that says so) where there is none.
#[allow(clippy::print_stdout, reason = "a skipped test must say so")]
fn openssl(dir: &Path, line: &str) -> Option<Vec<u8>> {
    match Command::new("openssl").args(line.split_whitespace()).current_dir(dir).output() {
        Ok(output) if output.status.success() => Some(output.stdout),
        Ok(output) => panic!("openssl {line}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            println!("skipped: openssl {line} ({error})");
            None
        }
    }
}

const GENERATE: [(Algorithm, &str); 2] = [
    (Algorithm::Ed25519, "genpkey -algorithm ed25519 -out a.key"),
    (Algorithm::EcdsaP256, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out a.key"),
];

#[test]
fn keys_made_by_openssl() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (algorithm, generate) in GENERATE {
        if openssl(dir.path(), generate).is_none() {
            return;
        }
        openssl(dir.path(), "pkey -in a.key -pubout -out a.pub").unwrap();
        let der = openssl(dir.path(), "pkey -in a.key -pubout -outform DER").unwrap();
        let key = SigningKey::from_file(at("a.key")).unwrap();
        assert_eq!(key.public().algorithm(), algorithm);
        let public = PublicKey::from_pem(&fs::read_to_string(at("a.pub")).unwrap()).unwrap();
        assert_eq!(&public, key.public());
        // The same bytes as openssl writes, and the documented key id.
        assert_eq!(public.to_pem(), fs::read_to_string(at("a.pub")).unwrap());
        assert_eq!(key.to_pem(), fs::read_to_string(at("a.key")).unwrap());
        assert_eq!(public.id().to_string(), tilemark_bundle::sha256(&der).to_string());
        verify(&small(&[&key]), &Trust::from_file(at("a.pub")).unwrap()).unwrap();
    }
}

#[test]
fn keys_made_here() {
    let dir = tempfile::tempdir().unwrap();
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256] {
        let key = SigningKey::generate(algorithm).unwrap();
        fs::write(dir.path().join("b.key"), key.to_pem()).unwrap();
        fs::write(dir.path().join("b.pub"), key.public().to_pem()).unwrap();
        let Some(public) = openssl(dir.path(), "pkey -in b.key -pubout") else { return };
        assert_eq!(String::from_utf8(public).unwrap(), key.public().to_pem());
        openssl(dir.path(), "pkey -pubin -in b.pub -noout").unwrap();
    }
}

#[test]
fn our_signatures_hold_for_openssl() {
    let dir = tempfile::tempdir().unwrap();
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256] {
        let key = SigningKey::generate(algorithm).unwrap();
        let file = small(&[&key]);
        let envelope =
            tilemark_bundle::Envelope::parse(envelope_json(&file), tilemark_bundle::PayloadType::MANIFEST);
        let envelope = envelope.unwrap();
        fs::write(dir.path().join("key.pub"), key.public().to_pem()).unwrap();
        fs::write(dir.path().join("message"), envelope.pae()).unwrap();
        fs::write(dir.path().join("sig"), &envelope.signatures()[0].bytes).unwrap();
        let digest = if algorithm == Algorithm::EcdsaP256 { "-digest sha256" } else { "" };
        let line = format!("pkeyutl -verify -pubin -inkey key.pub -rawin {digest} -in message -sigfile sig");
        let Some(output) = openssl(dir.path(), &line) else { return };
        assert!(String::from_utf8_lossy(&output).contains("Signature Verified Successfully"));
    }
}

#[test]
fn signatures_made_by_openssl_hold_here() {
    let dir = tempfile::tempdir().unwrap();
    let ours = key();
    let untrusted = Untrusted::from_bytes(small(&[&ours])).unwrap();
    fs::write(dir.path().join("message"), untrusted.signed_message()).unwrap();
    for (algorithm, generate) in GENERATE {
        if openssl(dir.path(), generate).is_none() {
            return;
        }
        let public = openssl(dir.path(), "pkey -in a.key -pubout").unwrap();
        let public = PublicKey::from_pem(&String::from_utf8(public).unwrap()).unwrap();
        let digest = if algorithm == Algorithm::EcdsaP256 { "-digest sha256" } else { "" };
        // openssl's ECDSA gives either of the two valid signatures, by chance; the file gets the canonical one.
        for _ in 0..8 {
            let line = format!("pkeyutl -sign -inkey a.key -rawin {digest} -in message -out sig");
            openssl(dir.path(), &line).unwrap();
            let signature = fs::read(dir.path().join("sig")).unwrap();
            let file = untrusted.with_foreign_signature(&public, &signature).unwrap();
            verify(&file, &Trust::key(public.clone())).unwrap();
        }
    }
}

#[test]
fn other_keys_of_openssl_are_refused_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out k", "RSA"),
        ("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out k", "another curve"),
        ("genpkey -algorithm ed25519 -aes256 -pass pass:secret -out k", "decrypt it"),
        ("ecparam -name prime256v1 -genkey -noout -out k", "pkcs8 -topk8"),
        ("ecparam -name prime256v1 -genkey -out k", "pkcs8 -topk8"),
    ];
    for (line, wanted) in cases {
        if openssl(dir.path(), line).is_none() {
            return;
        }
        let error = SigningKey::from_file(dir.path().join("k")).unwrap_err();
        assert!(matches!(error, Error::Pem { .. } | Error::UnsupportedKey { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{line}: {error}");
    }
    // And the advice works.
    openssl(dir.path(), "pkcs8 -topk8 -nocrypt -in k -out k8").unwrap();
    SigningKey::from_file(dir.path().join("k8")).unwrap();
}
