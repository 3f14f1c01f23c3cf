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
    /// What the policy calls a key.
    names: BTreeMap<KeyId, String>,
    publishers: BTreeMap<String, Rule>,
    any_publisher: Option<Rule>,
    revoked_keys: BTreeMap<KeyId, String>,
    revoked_bundles: BTreeMap<Digest, String>,
}

/// As what somebody signs a bundle.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// Its publisher. Grants, revocations and lineages are signed in this role.
    Vendor,
    /// Who offers it.
    Store,
    /// Who has examined it.
    Evaluator,
}

/// Who must sign the apps of a publisher: the quorum of every role has to be met, the vendor's first.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) vendor: Quorum,
    pub(crate) others: Vec<(Role, Quorum)>,
}

/// So many different ones of these keys.
#[derive(Clone, Debug)]
pub(crate) struct Quorum {
    /// Each key, and the key of the policy that it stands for: itself, or the one that it follows by lineage. The two are one
    /// signer.
    keys: BTreeMap<KeyId, KeyId>,
    pub(crate) threshold: usize,
}

impl Trust {
    /// Trusts one key for every publisher.
    #[must_use]
    pub fn key(key: PublicKey) -> Self {
        let id = key.id();
        Self {
            keys: BTreeMap::from([(id, key)]),
            names: BTreeMap::new(),
            publishers: BTreeMap::new(),
            any_publisher: Some(Rule { vendor: Quorum::new([id], 1), others: Vec::new() }),
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

    /// The name or else the id of a key.
    pub(crate) fn name(&self, id: KeyId) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// Lets `new` sign for a publisher wherever `old` may, as the same signer; and for no other publisher.
    pub(crate) fn succeed(&mut self, publisher: &str, old: KeyId, new: &PublicKey) {
        let Some(rule) = self.rule(publisher).cloned() else { return };
        let rule = self.publishers.entry(publisher.to_owned()).or_insert(rule);
        let mut followed = false;
        for quorum in rule.quorums_mut() {
            followed |= quorum.succeed(old, new.id());
        }
        if followed {
            self.keys.insert(new.id(), new.clone());
        }
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

impl Role {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vendor => "vendor",
            Self::Store => "store",
            Self::Evaluator => "evaluator",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Rule {
    /// Every role that has to sign, with its keys; the vendor's first.
    pub(crate) fn quorums(&self) -> impl Iterator<Item = (Role, &Quorum)> {
        let others = self.others.iter().map(|(role, quorum)| (*role, quorum));
        std::iter::once((Role::Vendor, &self.vendor)).chain(others)
    }

    fn quorums_mut(&mut self) -> impl Iterator<Item = &mut Quorum> {
        std::iter::once(&mut self.vendor).chain(self.others.iter_mut().map(|(_, quorum)| quorum))
    }
}

impl Quorum {
    pub(crate) fn new(keys: impl IntoIterator<Item = KeyId>, threshold: usize) -> Self {
        Self { keys: keys.into_iter().map(|id| (id, id)).collect(), threshold }
    }

    /// Whether a key is one of these, or follows one of these.
    pub(crate) fn has(&self, id: KeyId) -> bool {
        self.keys.contains_key(&id)
    }

    /// The key of the policy that a key stands for.
    pub(crate) fn root(&self, id: KeyId) -> Option<KeyId> {
        self.keys.get(&id).copied()
    }

    /// Whether `old` is one of these; then `new` stands for the same, unless it is one already.
    fn succeed(&mut self, old: KeyId, new: KeyId) -> bool {
        let Some(root) = self.root(old) else { return false };
        self.keys.entry(new).or_insert(root);
        true
    }
}

/// A policy in the making.
#[derive(Clone, Debug, Default)]
pub struct TrustBuilder {
    keys: Vec<PublicKey>,
    names: BTreeMap<KeyId, String>,
    publishers: Vec<(String, Vec<KeyId>, u64)>,
    roles: Vec<(String, Role, Vec<KeyId>, u64)>,
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

    /// The same, and calls it `name` in verdicts.
    #[must_use]
    pub fn named_key(mut self, name: &str, key: PublicKey) -> Self {
        self.names.insert(key.id(), name.into());
        self.key(key)
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

    /// Asks besides for signatures by `threshold` different ones of `keys` in another role. `publisher` needs a rule for its own
    /// keys, or is `*` as in the policy's file.
    #[must_use]
    pub fn role(mut self, publisher: &str, role: Role, keys: &[KeyId], threshold: u64) -> Self {
        self.roles.push((publisher.into(), role, keys.to_vec(), threshold));
        self
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
            let vendor = make_quorum(&publisher, ids, threshold, &keys)?;
            Ok((publisher, Rule { vendor, others: Vec::new() }))
        });
        let mut publishers = unique(rules.collect::<Result<Vec<_>>>()?.into_iter(), "publisher")?;
        for (publisher, role, ids, threshold) in self.roles {
            let quorum = make_quorum(&publisher, ids, threshold, &keys)?;
            add_role(&mut publishers, &publisher, role, quorum)?;
        }
        if publishers.is_empty() {
            return Err(policy("it names no publisher, so that nothing would be accepted".into()));
        }
        let any_publisher = publishers.remove(ANY);
        let revoked_keys = unique(self.revoked_keys.into_iter(), "revoked key")?;
        let revoked_bundles = unique(self.revoked_bundles.into_iter(), "revoked bundle")?;
        Ok(Trust { keys, names: self.names, publishers, any_publisher, revoked_keys, revoked_bundles })
    }
}

const DOCUMENT: &str = "trust policy";
const ANY: &str = "*";

fn make_quorum(
    publisher: &str,
    ids: Vec<KeyId>,
    threshold: u64,
    known: &BTreeMap<KeyId, PublicKey>,
) -> Result<Quorum> {
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
    if keys.len() < count {
        return Err(policy(format!("publisher {publisher:?} names a key twice")));
    }
    let fitting = usize::try_from(threshold).ok().filter(|threshold| (1..=count).contains(threshold));
    let threshold = fitting.ok_or_else(|| {
        policy(format!(
            "publisher {publisher:?} has {count} keys and the threshold {threshold}, expected 1 to {count}"
        ))
    })?;
    Ok(Quorum::new(keys, threshold))
}

/// A key that held two roles would meet both with one signature.
fn add_role(rules: &mut BTreeMap<String, Rule>, publisher: &str, role: Role, quorum: Quorum) -> Result<()> {
    let rule = rules.get_mut(publisher);
    let rule = rule.ok_or_else(|| {
        policy(format!("publisher {publisher:?} has the role {role}, and no keys of its own"))
    })?;
    for (other, held) in rule.quorums() {
        if other == role {
            return Err(policy(format!("publisher {publisher:?} has the role {role} twice")));
        }
        if let Some(id) = quorum.keys.keys().find(|id| held.has(**id)) {
            return Err(policy(format!("publisher {publisher:?} lets the key {id} be {other} and {role}")));
        }
    }
    rule.others.push((role, quorum));
    rule.others.sort_by_key(|(role, _)| *role);
    Ok(())
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
    #[serde(default)]
    roles: Vec<RoleJson>,
}

#[derive(Deserialize)]
struct RoleJson {
    role: Role,
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
            builder = builder.named_key(&entry.name, key);
        }
        for entry in self.publishers {
            let find = |word: &String| {
                let id = ids.get(word).copied().or_else(|| word.parse().ok());
                id.ok_or_else(|| {
                    policy(format!("publisher {:?} names the unknown key {word:?}", entry.publisher))
                })
            };
            let find_all = |words: &[String]| words.iter().map(find).collect::<Result<Vec<_>>>();
            builder = builder.publisher(&entry.publisher, &find_all(&entry.keys)?, entry.threshold);
            for RoleJson { role, keys, threshold } in &entry.roles {
                builder = builder.role(&entry.publisher, *role, &find_all(keys)?, *threshold);
            }
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
