use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tilemark_bundle::{Algorithm, PublicKey, hex, sha256};

use super::canonical;
use crate::error::{Error, Result};

/// Keys by their ids. An id is any text; ours are those of securesystemslib.
pub(crate) type Keyring = BTreeMap<String, Key>;

/// A public key. Ed25519 is checked; a key of another kind is kept and counts for nothing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Key {
    pub(crate) keytype: String,
    pub(crate) keyval: KeyValue,
    pub(crate) scheme: String,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct KeyValue {
    pub(crate) public: String,
}

/// Who signs a role: so many different ones of these keys.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct RoleKeys {
    pub(crate) keyids: Vec<String>,
    pub(crate) threshold: u64,
}

impl Key {
    /// # Errors
    /// [`Error::Invalid`] for another algorithm than Ed25519.
    pub(crate) fn of(key: &PublicKey) -> Result<Self> {
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(Error::invalid(
                format!("the key {}", key.id()),
                "roles of a store are signed with Ed25519",
            ));
        }
        let ed25519 = "ed25519".to_owned();
        Ok(Self {
            keytype: ed25519.clone(),
            keyval: KeyValue { public: hex::encode(key.raw()) },
            scheme: ed25519,
        })
    }

    /// The key that signatures are checked with.
    pub(crate) fn public(&self) -> Option<PublicKey> {
        if self.keytype != "ed25519" || self.scheme != "ed25519" {
            return None;
        }
        let raw: [u8; 32] = hex::decode(&self.keyval.public)?.try_into().ok()?;
        Some(PublicKey::from_ed25519(&raw))
    }
}

impl RoleKeys {
    pub(crate) fn check(&self, role: &str) -> Result<(), String> {
        let mut ids: Vec<_> = self.keyids.iter().collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(format!("the role {role:?} names a key twice"));
        }
        if self.threshold == 0 {
            return Err(format!("the role {role:?} needs no signature"));
        }
        Ok(())
    }
}

/// The id of a key: the SHA-256 of its canonical JSON.
pub(crate) fn key_id(key: &Key) -> String {
    sha256(&canonical::encode(&serde_json::json!(key))).to_string()
}
