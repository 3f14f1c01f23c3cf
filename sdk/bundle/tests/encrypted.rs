//! Encrypted bundles as files: what their signer, and who is none, can do to them.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use common::shop::{Shop, device};
use common::*;
use tilemark_bundle::{
    Bundle, Envelope, ErrorKind, FactKind, GrantClass, Manifest, Offer, PayloadType, SigningKey, sha256,
};

/// Three chunks and a bit.
const WEIGHTS: usize = 3 * 262_144 + 1000;

/// The tagger of a shop, with weights of several chunks.
fn large(shop: &Shop) -> Vec<u8> {
    let weights: Vec<u8> = (0..WEIGHTS).map(|at| (at % 253) as u8).collect();
    shop.pack("acme/tagger", 7, &[("graph", b"integers only"), ("empty", b""), ("weights", &weights)])
}

fn small_encrypted(shop: &Shop) -> Vec<u8> {
    shop.pack("acme/tagger", 7, &[("graph", b"integers only")])
}

/// Unlocks with the key that a grant for the genuine bundle gives.
fn unlock(shop: &Shop, file: &[u8]) -> tilemark_bundle::Result<Bundle> {
    let entry = shop.vault.register(&shop.open(&large(shop))).unwrap();
    shop.open(file).unlock(&shop.vault.key_for(&entry).unwrap())
}

/// The same blobs under a manifest that was changed as text, signed by `key`.
fn resigned(file: &[u8], key: &SigningKey, change: impl Fn(String) -> String) -> Vec<u8> {
    let manifest = change(String::from_utf8(payload(file)).unwrap());
    let envelope = Envelope::seal(PayloadType::MANIFEST, manifest.into_bytes(), &[key]).unwrap();
    common::file(&envelope.to_json(), blob_bytes(file))
}

#[test]
fn it_comes_back_and_says_so() {
    let shop = Shop::new();
    let file = large(&shop);
    assert_eq!(file, large(&shop), "reproducible");
    assert!(!file.windows(13).any(|window| window == b"integers only"));
    let locked = shop.open(&file);
    assert!(locked.is_locked() && locked.verdict().get(FactKind::PlaintextIntact).is_none());
    let error = locked.blob("weights").unwrap_err();
    assert_eq!((error.code(), error.kind()), ("TM0154", ErrorKind::NotEntitled));
    assert_eq!(locked.blob("wieghts").unwrap_err().code(), "TM0153");
    let open = unlock(&shop, &file).unwrap();
    assert_eq!(open.blob("graph").unwrap(), b"integers only");
    assert_eq!(open.blob("empty").unwrap(), b"");
    assert!(
        open.shared_blob("weights")
            .unwrap()
            .iter()
            .enumerate()
            .all(|(at, byte)| usize::from(*byte) == at % 253)
    );
    assert!(open.verdict().holds(FactKind::PlaintextIntact));
    assert_eq!(open.as_bytes(), file);
    assert!(shop.vault.dir().join("secret.pem").exists());
}

#[test]
fn every_flipped_byte_is_refused_before_anything_is_decrypted() {
    let shop = Shop::new();
    let file = small_encrypted(&shop);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        let refusal = refused(&changed, &trust(&shop.key));
        assert_eq!(refusal.error().kind(), ErrorKind::NotAuthentic, "byte {at}: {refusal}");
    }
}

#[test]
fn ciphertext_signed_again_for_another_bundle() {
    let shop = Shop::new();
    let file = large(&shop);
    let mallory = key();
    let trust = policy(&[&shop.key, &mallory], "*", 1);
    for (from, to) in [("acme/tagger", "mallory/tagger"), ("\"release\":7", "\"release\":8")] {
        let stolen = resigned(&file, &mallory, |manifest| manifest.replacen(from, to, 1));
        assert_eq!(code(&stolen, &trust), "TM0157", "{to}");
        // Who signs can write any binding, and then has no key for it.
        let stolen = resigned(&file, &mallory, |manifest| {
            let changed = manifest.replacen(from, to, 1);
            let unsigned: Manifest = serde_json::from_str(&changed).unwrap();
            let old = unsigned.encryption.as_ref().unwrap().binding.to_string();
            changed.replace(&old, &unsigned.binding().unwrap().to_string())
        });
        let entry = shop.vault.register(&shop.open(&file)).unwrap();
        let bundle = verify(&stolen, &trust).unwrap();
        assert_eq!(bundle.unlock(&shop.vault.key_for(&entry).unwrap()).unwrap_err().code(), "TM0158");
    }
}

#[test]
fn chunks_moved_by_somebody_who_may_sign() {
    let shop = Shop::new();
    let file = large(&shop);
    let range = {
        let start = file.len() - (WEIGHTS + 4 * 16);
        start..file.len()
    };
    let chunk = 262_144 + 16;
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut weights = file[range.clone()].to_vec();
        let (old_size, old_hash) = (weights.len(), sha256(&weights).to_string());
        change(&mut weights);
        let mut changed = file[..range.start].to_vec();
        changed.extend(&weights);
        resigned(&changed, &shop.key, |manifest| {
            let manifest = manifest.replacen(&old_hash, &sha256(&weights).to_string(), 1);
            let (old, new) = (format!("\"size\":{old_size}"), format!("\"size\":{}", weights.len()));
            manifest.replacen(&old, &new, 1)
        })
    };
    let swapped = with(&|weights| {
        let (first, rest) = weights.split_at_mut(chunk);
        first.swap_with_slice(&mut rest[..chunk]);
    });
    let error = unlock(&shop, &swapped).unwrap_err();
    assert_eq!(error.code(), "TM0155");
    assert!(error.to_string().contains("chunk 0"), "{error}");
    let cut = with(&|weights| weights.truncate(3 * chunk));
    assert_eq!(code(&cut, &trust(&shop.key)), "TM0156");
    let cut = with(&|weights| weights.truncate(weights.len() - 1));
    assert_eq!(code(&cut, &trust(&shop.key)), "TM0156");
    // And the plaintext's size made to fit: that is another content than the one that was encrypted.
    let cut = with(&|weights| weights.truncate(3 * chunk));
    let cut = resigned(&cut, &shop.key, |manifest| {
        manifest.replacen(&format!("\"size\":{WEIGHTS}"), &format!("\"size\":{}", 3 * 262_144), 1)
    });
    assert_eq!(code(&cut, &trust(&shop.key)), "TM0157");
}

#[test]
fn terms_encryption_and_blobs_must_agree() {
    let shop = Shop::new();
    let file = small_encrypted(&shop);
    let change = |from: &str, to: &str| {
        let changed = resigned(&file, &shop.key, |manifest| {
            assert!(manifest.contains(from), "{from}");
            manifest.replacen(from, to, 1)
        });
        code(&changed, &trust(&shop.key))
    };
    assert_eq!(change("\"kind\":\"licensed\"", "\"kind\":\"free\""), "TM0141");
    assert_eq!(change("\"chunk_bytes\":262144", "\"chunk_bytes\":0"), "TM0141");
    assert_eq!(change("\"chunk_bytes\":262144", "\"chunk_bytes\":33554432"), "TM0141");
    assert_eq!(change("aes-256-gcm-chunked", "rot13"), "TM0116");
    let issuer = format!("\"issuers\":[\"{}\"]", shop.key.public().id());
    assert_eq!(change(&issuer, "\"issuers\":[]"), "TM0141");
    assert_eq!(change("\"plain\":{\"size\":13", "\"plain\":{\"size\":14"), "TM0156");
    let text = String::from_utf8(payload(&file)).unwrap();
    let start = text.find(",\"encryption\"").unwrap();
    let end = text.find(",\"blobs\"").unwrap();
    assert_eq!(change(&text[start..end], ""), "TM0141");
    let start = text.find(",\"plain\"").unwrap();
    assert_eq!(change(&text[start..text.len() - 3], ""), "TM0141");
    let free = small(&[&shop.key]);
    let half = resigned(&free, &shop.key, |manifest| {
        let plain = format!("\"size\":0,\"plain\":{{\"size\":0,\"sha256\":\"{}\"}}", sha256(b""));
        manifest.replacen("\"size\":0", &plain, 1)
    });
    assert_eq!(code(&half, &trust(&shop.key)), "TM0141");
}

#[test]
fn a_grants_key_opens_the_file() {
    let shop = Shop::new();
    let bundle = shop.open(&small_encrypted(&shop));
    shop.vault.register(&bundle).unwrap();
    let device = device(3);
    let grant = shop.grant(&bundle, &device, &Offer::new(GrantClass::Owned)).unwrap();
    let key = grant.content_key(bundle.manifest(), bundle.identity(), &device).unwrap();
    assert_eq!(bundle.unlock(&key).unwrap().blob("graph").unwrap(), b"integers only");
}
