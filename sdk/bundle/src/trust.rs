use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::limits::{MAX_POLICY_BYTES, MAX_POLICY_KEYS};
use crate::name::check_name_part;
use crate::{Digest, Error, KeyId, PublicKey, Result, json};

/// The integrator's policy: which keys may sign which publishers' apps, and what is revoked.
#[derive(Clone, Debug)]
pub struct Trust {
    keys: BTreeMap<KeyId, PublicKey>,
    publishers: BTreeMap<String, Rule>,
    any_publisher: Option<Rule>,
    revoked_keys: BTreeMap<KeyId, String>,
    revoked_bundles: BTreeMap<Digest, String>,
}

/// Who must sign the apps of a publisher.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) keys: BTreeSet<KeyId>,
    pub(crate) threshold: usize,
}

impl Trust {
    /// Trusts one key for every publisher.
    #[must_use]
    pub fn key(key: PublicKey) -> Self {
        let id = key.id();
        Self {
            keys: BTreeMap::from([(id, key)]),
            publishers: BTreeMap::new(),
            any_publisher: Some(Rule { keys: BTreeSet::from([id]), threshold: 1 }),
            revoked_keys: BTreeMap::new(),
            revoked_bundles: BTreeMap::new(),
        }
    }

    /// A policy made in code.
    #[must_use]
    pub fn builder() -> TrustBuilder {
        TrustBuilder::default()
    }

    /// Reads a file: one public key in PEM, which is then trusted for every publisher, or a trust policy in JSON
    /// (`docs/trust.md`).
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotAFile`], [`Error::TooLarge`], or as [`parse`](Self::parse).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::parse(&crate::file::read_text(path.as_ref(), DOCUMENT, MAX_POLICY_BYTES)?)
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// [`Error::Pem`], [`Error::UnsupportedKey`], [`Error::Json`], [`Error::Policy`].
    pub fn parse(text: &str) -> Result<Self> {
        if text.trim_start().starts_with('{') {
            json::from_slice::<PolicyJson>(DOCUMENT, text.as_bytes(), MAX_POLICY_BYTES)?.into_trust()
        } else {
            PublicKey::from_pem(text).map(Self::key)
        }
    }

    pub(crate) fn find_key(&self, id: KeyId) -> Option<&PublicKey> {
        self.keys.get(&id)
    }

    /// The rule for a publisher: its own, else the one for any.
    pub(crate) fn rule(&self, publisher: &str) -> Option<&Rule> {
        self.publishers.get(publisher).or(self.any_publisher.as_ref())
    }

    /// Takes a key out of use; the reason that was known first stays.
    pub(crate) fn revoke(&mut self, key: KeyId, reason: String) {
        self.revoked_keys.entry(key).or_insert(reason);
    }

    pub(crate) fn revoked_key(&self, id: KeyId) -> Option<&str> {
        self.revoked_keys.get(&id).map(String::as_str)
    }

    pub(crate) fn revoked_bundle(&self, identity: Digest) -> Option<&str> {
        self.revoked_bundles.get(&identity).map(String::as_str)
    }
}

/// A policy in the making.
#[derive(Clone, Debug, Default)]
pub struct TrustBuilder {
    keys: Vec<PublicKey>,
    publishers: Vec<(String, Vec<KeyId>, u64)>,
    revoked_keys: Vec<(KeyId, String)>,
    revoked_bundles: Vec<(Digest, String)>,
}

impl TrustBuilder {
    /// Makes a key known. It may sign nothing until a publisher names it, but its signatures must hold.
    #[must_use]
    pub fn key(mut self, key: PublicKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Lets `keys` sign apps of `publisher`, of which `threshold` different ones must have signed.
    #[must_use]
    pub fn publisher(mut self, publisher: &str, keys: &[KeyId], threshold: u64) -> Self {
        self.publishers.push((publisher.into(), keys.to_vec(), threshold));
        self
    }

    /// The same for every publisher that has no rule of its own.
    #[must_use]
    pub fn any_publisher(self, keys: &[KeyId], threshold: u64) -> Self {
        self.publisher(ANY, keys, threshold)
    }

    /// Revokes a key: its signatures count for nothing.
    #[must_use]
    pub fn revoke_key(mut self, key: KeyId, reason: &str) -> Self {
        self.revoked_keys.push((key, reason.into()));
        self
    }

    /// Revokes one bundle, whoever signed it.
    #[must_use]
    pub fn revoke_bundle(mut self, identity: Digest, reason: &str) -> Self {
        self.revoked_bundles.push((identity, reason.into()));
        self
    }

    /// Checks and makes the policy.
    ///
    /// # Errors
    /// [`Error::Policy`]: no rule, a rule that no set of signatures can meet, names unknown keys, or says something twice.
    pub fn build(self) -> Result<Trust> {
        if self.keys.len() > MAX_POLICY_KEYS {
            return Err(Error::TooMany {
                what: "keys in the policy",
                found: self.keys.len(),
                max: MAX_POLICY_KEYS,
            });
        }
        let keys = unique(self.keys.into_iter().map(|key| (key.id(), key)), "key")?;
        let rules = self.publishers.into_iter().map(|(publisher, ids, threshold)| {
            make_rule(&publisher, ids, threshold, &keys).map(|rule| (publisher, rule))
        });
        let mut publishers = unique(rules.collect::<Result<Vec<_>>>()?.into_iter(), "publisher")?;
        if publishers.is_empty() {
            return Err(policy("it names no publisher, so that nothing would be accepted".into()));
        }
        let any_publisher = publishers.remove(ANY);
        let revoked_keys = unique(self.revoked_keys.into_iter(), "revoked key")?;
        let revoked_bundles = unique(self.revoked_bundles.into_iter(), "revoked bundle")?;
        Ok(Trust { keys, publishers, any_publisher, revoked_keys, revoked_bundles })
    }
}

const DOCUMENT: &str = "trust policy";
const ANY: &str = "*";

fn make_rule(
    publisher: &str,
    ids: Vec<KeyId>,
    threshold: u64,
    known: &BTreeMap<KeyId, PublicKey>,
) -> Result<Rule> {
    if publisher != ANY {
        check_name_part(publisher).map_err(|reason| policy(format!("publisher {publisher:?}: {reason}")))?;
    }
    if let Some(id) = ids.iter().find(|id| !known.contains_key(id)) {
        return Err(policy(format!(
            "publisher {publisher:?} names the key {id}, which is not among the keys"
        )));
    }
    let count = ids.len();
    let keys = BTreeSet::from_iter(ids);
    if keys.len() != count {
        return Err(policy(format!("publisher {publisher:?} names a key twice")));
    }
    let fitting = usize::try_from(threshold).ok().filter(|threshold| (1..=count).contains(threshold));
    let threshold = fitting.ok_or_else(|| {
        policy(format!(
            "publisher {publisher:?} has {count} keys and the threshold {threshold}, expected 1 to {count}"
        ))
    })?;
    Ok(Rule { keys, threshold })
}

fn unique<K: Ord + std::fmt::Display, V>(
    entries: impl Iterator<Item = (K, V)>,
    what: &str,
) -> Result<BTreeMap<K, V>> {
    let mut map = BTreeMap::new();
    for (key, value) in entries {
        if map.contains_key(&key) {
            return Err(policy(format!("the {what} {key} is there twice")));
        }
        map.insert(key, value);
    }
    Ok(map)
}

fn policy(reason: String) -> Error {
    Error::Policy { reason }
}

#[derive(Deserialize)]
struct PolicyJson {
    schema: u64,
    keys: Vec<KeyJson>,
    publishers: Vec<PublisherJson>,
    #[serde(default)]
    revoked_keys: Vec<RevokedKeyJson>,
    #[serde(default)]
    revoked_bundles: Vec<RevokedBundleJson>,
}

#[derive(Deserialize)]
struct KeyJson {
    name: String,
    pem: Option<String>,
    spki: Option<String>,
}

#[derive(Deserialize)]
struct PublisherJson {
    publisher: String,
    keys: Vec<String>,
    threshold: u64,
}

#[derive(Deserialize)]
struct RevokedKeyJson {
    keyid: KeyId,
    reason: String,
}

#[derive(Deserialize)]
struct RevokedBundleJson {
    identity: Digest,
    reason: String,
}

impl PolicyJson {
    fn into_trust(self) -> Result<Trust> {
        if self.schema != 1 {
            return Err(policy(format!("schema {}, this SDK reads schema 1", self.schema)));
        }
        let mut builder = Trust::builder();
        let mut ids = BTreeMap::new();
        for entry in self.keys {
            let key = entry.read()?;
            if ids.insert(entry.name.clone(), key.id()).is_some() {
                return Err(policy(format!("two keys have the name {:?}", entry.name)));
            }
            builder = builder.key(key);
        }
        for entry in self.publishers {
            let find = |word: &String| {
                let id = ids.get(word).copied().or_else(|| word.parse().ok());
                id.ok_or_else(|| {
                    policy(format!("publisher {:?} names the unknown key {word:?}", entry.publisher))
                })
            };
            let keys = entry.keys.iter().map(find).collect::<Result<Vec<_>>>()?;
            builder = builder.publisher(&entry.publisher, &keys, entry.threshold);
        }
        for entry in self.revoked_keys {
            builder = builder.revoke_key(entry.keyid, &entry.reason);
        }
        for entry in self.revoked_bundles {
            builder = builder.revoke_bundle(entry.identity, &entry.reason);
        }
        builder.build()
    }
}

impl KeyJson {
    fn read(&self) -> Result<PublicKey> {
        // A name that reads as a key id could stand for another key than it seems to.
        if self.name.is_empty() || self.name.parse::<KeyId>().is_ok() {
            return Err(policy(format!("{:?} is no name for a key", self.name)));
        }
        match (&self.pem, &self.spki) {
            (Some(pem), None) => PublicKey::from_pem(pem),
            (None, Some(spki)) => {
                let der = STANDARD
                    .decode(spki)
                    .map_err(|_| policy(format!("\"spki\" of the key {:?} is not base64", self.name)))?;
                PublicKey::from_spki_der(&der)
            }
            _ => Err(policy(format!("the key {:?} needs either \"pem\" or \"spki\"", self.name))),
        }
    }
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
