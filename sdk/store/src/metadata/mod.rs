//! Documents of The Update Framework, version 1.0: <https://theupdateframework.github.io/specification/v1.0.34/>.
//!
//! Reading is in two steps: [`Signed`] is JSON and signatures, nobody vouches for it; [`Signed::by`] gives the document if enough
//! keys of the role signed. Unknown fields are allowed, as the specification says, and are under the signature.

mod canonical;
mod keys;
mod pattern;
mod roles;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tilemark_bundle::text::excerpt;
use tilemark_bundle::{SigningKey, hex, json};

use crate::error::{Error, Result};
use crate::time;

pub(crate) use keys::{Key, Keyring, RoleKeys, key_id};
pub(crate) use roles::{
    Delegation, Delegations, FileInfo, Root, Snapshot, SnapshotOnly, TargetFile, Targets, Timestamp,
    TopLevel, is_safe_path,
};

/// The version of the specification that is written; every `1.x` is read.
pub(crate) const SPEC: &str = "1.0.34";

/// A kind of document.
pub(crate) trait Document: Serialize + DeserializeOwned {
    /// What `_type` says.
    const TYPE: &'static str;
    fn common(&self) -> &Common;
    /// What its types alone do not say.
    fn check(&self) -> Result<(), String>;
}

/// What every document has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Common {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    pub(crate) spec_version: String,
    /// From 1 on.
    pub(crate) version: u64,
    pub(crate) expires: String,
}

impl Common {
    pub(crate) fn new(kind: &str, expires: u64) -> Self {
        Self { kind: kind.into(), spec_version: SPEC.into(), version: 1, expires: time::format(expires) }
    }

    /// The second at which it is not good any more; 0 for a text that is no time, which `check` refuses.
    pub(crate) fn expires(&self) -> u64 {
        time::parse(&self.expires).unwrap_or(0)
    }

    /// # Errors
    /// [`Error::Expired`].
    pub(crate) fn check_expiry(&self, role: &str, now: u64) -> Result<()> {
        if self.expires() > now {
            return Ok(());
        }
        let (expired, now) = (self.expires.clone(), time::format(now));
        Err(Error::Expired { role: role.to_owned(), expired, now })
    }

    fn check(&self, kind: &str) -> Result<(), String> {
        if self.kind != kind {
            return Err(format!("it is a {:?}, expected a {kind}", excerpt(&self.kind)));
        }
        let mut parts = self.spec_version.split('.');
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if parts.next() != Some("1") || !parts.all(digits) || self.spec_version.matches('.').count() > 2 {
            return Err(format!("specification {:?}, this SDK reads 1.x", excerpt(&self.spec_version)));
        }
        if self.version == 0 {
            return Err("version 0; they begin with 1".into());
        }
        match time::parse(&self.expires) {
            Some(_) => Ok(()),
            None => Err(format!(
                "it expires at {:?}, expected a time such as 2026-12-31T00:00:00Z",
                excerpt(&self.expires)
            )),
        }
    }
}

/// JSON with signatures over its canonical form. Nobody vouches for it yet.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    signatures: BTreeMap<String, String>,
    signed: Value,
}

#[derive(Deserialize, Serialize)]
struct SignedJson {
    signatures: Vec<SignatureJson>,
    signed: Value,
}

#[derive(Deserialize, Serialize)]
struct SignatureJson {
    keyid: String,
    sig: String,
}

impl Signed {
    /// Reads a file; `role` is for messages.
    pub(crate) fn parse(role: &str, bytes: &[u8]) -> Result<Self> {
        // Through a value, so that unknown fields beside the two are allowed; strict otherwise: no duplicate keys, no floats.
        let value: Value = json::from_slice("metadata", bytes, bytes.len())
            .map_err(|error| Error::malformed(role, error.to_string()))?;
        let json: SignedJson = serde_json::from_value(value)
            .map_err(|error| Error::malformed(role, excerpt(&error.to_string())))?;
        let mut signatures = BTreeMap::new();
        for SignatureJson { keyid, sig } in json.signatures {
            if let Some(_twice) = signatures.insert(keyid, sig) {
                return Err(Error::malformed(role, "two signatures by one key"));
            }
        }
        Ok(Self { signatures, signed: json.signed })
    }

    /// Signs a document with each key; the role's threshold is the caller's.
    pub(crate) fn seal(document: &impl Document, keys: &[&SigningKey]) -> Result<Self> {
        let signed =
            serde_json::to_value(document).map_err(|error| Error::malformed("a role", error.to_string()))?;
        Self::seal_value(signed, keys)
    }

    /// The same for a document that may be none.
    pub(crate) fn seal_value(signed: Value, keys: &[&SigningKey]) -> Result<Self> {
        let mut made = Self { signatures: BTreeMap::new(), signed };
        keys.iter().try_for_each(|key| made.sign(key))?;
        Ok(made)
    }

    fn sign(&mut self, key: &SigningKey) -> Result<()> {
        let signature = key.sign(&canonical::encode(&self.signed))?;
        self.signatures.insert(key_id(&Key::of(key.public())?), hex::encode(&signature));
        Ok(())
    }

    /// The file.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let signatures = self
            .signatures
            .iter()
            .map(|(keyid, sig)| SignatureJson { keyid: keyid.clone(), sig: sig.clone() });
        let json = SignedJson { signatures: signatures.collect(), signed: self.signed.clone() };
        serde_json::to_vec(&json).map_err(|error| Error::malformed("a role", error.to_string()))
    }

    /// The document, if enough of the role's keys signed it.
    ///
    /// # Errors
    /// [`Error::Unsigned`], [`Error::Malformed`].
    pub(crate) fn by<D: Document>(&self, role: &str, keys: &RoleKeys, ring: &Keyring) -> Result<D> {
        let found = self.holding(keys, ring);
        if found < keys.threshold {
            return Err(Error::Unsigned { role: role.to_owned(), needed: keys.threshold, found });
        }
        self.unverified(role)
    }

    /// How many different keys of a role have signed. The same key under two ids is one key.
    fn holding(&self, keys: &RoleKeys, ring: &Keyring) -> u64 {
        let message = canonical::encode(&self.signed);
        let mut held = std::collections::BTreeSet::new();
        for keyid in &keys.keyids {
            let key = ring.get(keyid).and_then(Key::public);
            let signature = self.signatures.get(keyid).and_then(|text| hex::decode(text));
            if let (Some(key), Some(signature)) = (key, signature)
                && key.verify(&message, &signature)
            {
                held.insert(key.raw().to_vec());
            }
        }
        held.len() as u64
    }

    /// The document as it says itself, whoever signed it.
    pub(crate) fn unverified<D: Document>(&self, role: &str) -> Result<D> {
        let document: D = serde_json::from_value(self.signed.clone())
            .map_err(|error| Error::malformed(role, excerpt(&error.to_string())))?;
        let checked = document.common().check(D::TYPE).and_then(|()| document.check());
        checked.map_err(|reason| Error::malformed(role, reason))?;
        Ok(document)
    }

    /// A root that vouches for itself: what a store's operator or its user was handed.
    pub(crate) fn trusted_root(&self) -> Result<Root> {
        let root: Root = self.unverified("root")?;
        self.by(Root::TYPE, &root.roles.root, &root.keys)
    }
}

#[cfg(test)]
mod tests;
