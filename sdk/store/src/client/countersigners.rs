//! Whose signature beside the publisher's an integrator asks for of all that comes from a store: the store's own, as a rule.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tilemark_bundle::limits::MAX_SIGNATURES;
use tilemark_bundle::{KeyId, PublicKey, Role, TrustBuilder};

use crate::client::{State, Store};
use crate::error::{Error, Result};

/// Where it is kept, beside a store's state.
const FILE: &str = "countersigners.json";

/// So many different ones of these keys have to sign, in the role `store` of a policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Countersigners {
    keys: Vec<PublicKey>,
    threshold: u64,
}

#[derive(Deserialize, Serialize)]
struct Kept {
    schema: u64,
    threshold: u64,
    keys: Vec<String>,
}

impl Countersigners {
    /// `threshold` of these keys.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a threshold that they cannot meet, a key that is there twice, or more than a bundle has room for.
    pub fn new(keys: Vec<PublicKey>, threshold: u64) -> Result<Self> {
        let different: BTreeSet<KeyId> = keys.iter().map(PublicKey::id).collect();
        if different.len() != keys.len() || keys.len() > MAX_SIGNATURES {
            let reason = format!("1 to {MAX_SIGNATURES} different keys are expected, found {}", keys.len());
            return Err(Error::invalid("countersigners", reason));
        }
        if !(1..=keys.len() as u64).contains(&threshold) {
            let reason = format!("the threshold {threshold} of {} keys", keys.len());
            return Err(Error::invalid("countersigners", reason));
        }
        Ok(Self { keys, threshold })
    }

    /// How many of the keys have to sign.
    #[must_use]
    pub fn threshold(&self) -> u64 {
        self.threshold
    }

    /// Asks for them besides, of a publisher's bundles.
    pub(crate) fn ask(&self, trust: TrustBuilder, publisher: &str) -> TrustBuilder {
        let ids: Vec<KeyId> = self.keys.iter().map(PublicKey::id).collect();
        let known = self.keys.iter().cloned().fold(trust, TrustBuilder::key);
        known.role(publisher, Role::Store, &ids, self.threshold)
    }

    pub(crate) fn read(state: &State) -> Result<Option<Self>> {
        let Some(bytes) = state.read_file(FILE)? else { return Ok(None) };
        let damaged = |reason: String| state.damaged(FILE, reason);
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if kept.schema != 1 {
            return Err(damaged(format!("it has the schema {}", kept.schema)));
        }
        let keys = kept.keys.iter().map(|pem| PublicKey::from_pem(pem)).collect::<Result<_, _>>();
        let read = Self::new(keys.map_err(|error| damaged(error.to_string()))?, kept.threshold);
        read.map(Some).map_err(|error| damaged(error.to_string()))
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let keys = self.keys.iter().map(PublicKey::to_pem).collect();
        let kept = Kept { schema: 1, threshold: self.threshold, keys };
        serde_json::to_vec(&kept).map_err(|error| Error::invalid("countersigners", error.to_string()))
    }
}

impl Store {
    /// Asks for these signatures of all that is installed from now on, or for none beside the publishers'. Policies of what is
    /// installed are [`Installation::require`](crate::Installation::require)'s.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn require(&self, countersigners: Option<&Countersigners>) -> Result<()> {
        let _lock = self.state.lock()?;
        match countersigners {
            Some(countersigners) => self.state.write_file(FILE, &countersigners.to_bytes()?),
            None => self.state.remove_file(FILE),
        }
    }

    /// The signatures that are asked for beside the publishers'.
    ///
    /// # Errors
    /// [`Error::StateDamaged`], [`Error::Io`].
    pub fn countersigners(&self) -> Result<Option<Countersigners>> {
        Countersigners::read(&self.state)
    }
}

/// A policy for the bundles of one publisher that asks for these besides, instead of for whom it asked before; `None` for one of
/// another form than is written here.
pub(crate) fn asking(policy: &str, countersigners: Option<&Countersigners>) -> Option<String> {
    let mut policy: Value = serde_json::from_str(policy).ok()?;
    let asked = countersigners.map_or(&[][..], |asked| &asked.keys);
    // Publishers' names have no blanks, so this is nobody else's key.
    let name = |n: usize| format!("store {n}");
    let keys = policy.get_mut("keys")?.as_array_mut()?;
    keys.retain(|key| key["name"].as_str().is_some_and(|name| !name.starts_with("store ")));
    keys.extend(asked.iter().zip(1..).map(|(key, n)| json!({ "name": name(n), "pem": key.to_pem() })));
    for rule in policy.get_mut("publishers")?.as_array_mut()? {
        let rule = rule.as_object_mut()?;
        rule.remove("roles");
        if let Some(Countersigners { threshold, .. }) = countersigners {
            let names: Vec<String> = (1..=asked.len()).map(name).collect();
            let role = json!({ "role": Role::Store.as_str(), "keys": names, "threshold": threshold });
            rule.insert("roles".into(), json!([role]));
        }
    }
    Some(format!("{policy:#}\n"))
}
