//! What the fuzzers in `sdk/fuzz` run of this crate's readers; no part of its API. Each function takes any bytes, as whoever has the
//! key could have signed them, and says whether they were read to the end.

use std::io::Cursor;

use serde_json::Value;
use tilemark_bundle::{AppName, Head, SigningKey, Trust, Untrusted, json, sha256};

use crate::client::next_root;
use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::index::{self, Row};
use crate::limits::MAX_SHARD_BYTES;
use crate::listing::{Listing, Offer, Signers};
use crate::metadata::{
    Document, Key, Keyring, RoleKeys, Root, Signed, Snapshot, Targets, Timestamp, is_safe_path, key_id,
};
use crate::repository::listed_release;
use crate::search::{Catalogue, Query, build};

/// The `signed` part of a document of The Update Framework, of any kind.
///
/// # Panics
/// If it is read as two kinds, without its signature, or as another one when it is written and read again.
pub fn metadata(bytes: &[u8], key: &SigningKey) -> Result<bool> {
    let _ = Signed::parse("bytes", bytes); // as nobody signed them
    let Ok(signed) = json::from_slice::<Value>("metadata", bytes, bytes.len()) else { return Ok(false) };
    let sealed = Signed::seal_value(signed, &[key])?.to_bytes()?;
    let document = Signed::parse("sealed", &sealed)?;
    let root = read::<Root>(&document, key)?;
    if let Some(root) = &root {
        let _ = next_root(root, &sealed);
        let _ = document.trusted_root();
    }
    let targets = read::<Targets>(&document, key)?;
    if let Some(targets) = &targets {
        for path in targets.targets.keys().filter(|path| is_safe_path(path)) {
            let _ = listed_release(path);
            let roles = targets.delegations.iter().flat_map(|delegations| &delegations.roles);
            let _ = roles.filter(|role| role.is_about(path)).count();
        }
    }
    let (snapshot, timestamp) = (read::<Snapshot>(&document, key)?, read::<Timestamp>(&document, key)?);
    let kinds = [root.is_some(), targets.is_some(), snapshot.is_some(), timestamp.is_some()];
    let found = kinds.into_iter().filter(|found| *found).count();
    assert!(found <= 1, "one document of {found} kinds");
    Ok(found == 1)
}

/// A document by this key, and by no other.
fn read<D: Document + PartialEq + std::fmt::Debug>(signed: &Signed, key: &SigningKey) -> Result<Option<D>> {
    let (keys, ring) = role(key)?;
    let strangers = RoleKeys { threshold: 2, ..keys.clone() };
    let error = signed.by::<D>("fuzzed", &strangers, &ring).err();
    assert!(matches!(error, Some(Error::Unsigned { needed: 2, found: 1, .. })), "one key is not two");
    let Ok(found) = signed.by::<D>("fuzzed", &keys, &ring) else { return Ok(None) };
    let again = Signed::seal(&found, &[key])?.by::<D>("fuzzed", &keys, &ring)?;
    assert_eq!(found, again);
    Ok(Some(found))
}

fn role(key: &SigningKey) -> Result<(RoleKeys, Keyring)> {
    let key = Key::of(key.public())?;
    let id = key_id(&key);
    Ok((RoleKeys { keyids: vec![id.clone()], threshold: 1 }, Keyring::from([(id, key)])))
}

/// A listing of release 1 of acme/tagger.
///
/// # Panics
/// If an offer contradicts itself.
pub fn listing(bytes: &[u8], key: &SigningKey) -> Result<bool> {
    let app: AppName = "acme/tagger".parse()?;
    let offer = |bytes: &[u8]| -> Result<Offer> {
        let (keys, ring) = role(key)?;
        Offer::read("listing", bytes, &app, 1, Signers::of(&keys, &ring, app.publisher(), None)?)
    };
    let Ok(found) = offer(bytes) else { return Ok(false) };
    assert_eq!(found.listing().identity, found.head().identity());
    Trust::parse(&found.policy())?;
    let _ = (found.ruling(), found.reports()?, Row::of(found.listing()));
    assert_eq!(offer(&found.listing().to_bytes()?)?.listing(), found.listing());
    if let Some(contract) = &found.listing().contract {
        let mut kept = contract.clone();
        kept.keep(contract);
        assert_eq!(kept.speeds, contract.speeds);
    }
    Ok(true)
}

/// A listing for the corpus: of this bundle, which says so much of itself.
pub fn listing_of(bundle: Vec<u8>, contract: Option<Contract>, key: &SigningKey) -> Result<Vec<u8>> {
    let trust = Trust::key(key.public().clone());
    let bundle = Untrusted::from_bytes(bundle)?.verify(&trust);
    let envelope = bundle.map_err(tilemark_bundle::Refused::into_error)?.envelope();
    let head = Head::authenticate(&envelope, &trust).map_err(tilemark_bundle::Refused::into_error)?;
    Listing { contract, ..Listing::of(&head, &envelope) }.to_bytes()
}

/// A shard of the index: its rows are found in the catalogue that is made of them, and in the shard that is written of them.
///
/// # Panics
/// If they are not.
pub fn index(bytes: &[u8]) -> Result<bool> {
    let Ok(rows) = index::read("shard", bytes) else { return Ok(false) };
    let file = build(&rows, sha256(b"index"))?;
    let found = Catalogue::read(Cursor::new(file), sha256(b"index")).expect("what was made is read");
    let query = Query::default();
    let expected: Vec<Row> = rows.iter().filter(|row| query.accepts(row)).cloned().collect();
    assert_eq!({ found }.find(&query)?, expected);
    let (shard, left_out) = index::write(rows.clone(), MAX_SHARD_BYTES)?;
    assert!(left_out.is_empty() && index::read("shard", &shard)?.len() == rows.len());
    Ok(!rows.is_empty())
}
