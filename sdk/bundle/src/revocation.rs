//! Revocation lists: what a publisher takes back, and why. Signed, numbered, and carried like any file.

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_REVOCATION_BYTES, MAX_REVOCATIONS, MAX_SHORT_TEXT_BYTES};
use crate::manifest::{check_integer, invalid};
use crate::name::check_publisher;
use crate::reader::signers;
use crate::{
    AppName, Digest, Envelope, Error, KeyId, LicenseError, PayloadType, Result, SigningKey, Trust, Verdict,
    json,
};

/// What a publisher revokes. Its JSON is in `docs/terms.md`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Revocations {
    /// The version of this document's form.
    pub schema: u64,
    /// Whose apps it is about.
    pub publisher: String,
    /// Grows with every list; an older one never replaces a newer one.
    pub number: u64,
    /// When it was made, in seconds since 1970. Freshness is counted from here.
    pub issued: u64,
    /// Bundles.
    pub bundles: Vec<RevokedBundle>,
    /// Keys: their signatures count for nothing any more.
    pub keys: Vec<RevokedKey>,
    /// Grants.
    pub grants: Vec<RevokedGrant>,
    /// Apps whose older releases are not to be used any more.
    pub floors: Vec<ReleaseFloor>,
}

/// Why something is revoked; it decides what follows.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// It has a flaw: where it is in use it goes on with a warning, elsewhere it is refused.
    Vulnerable,
    /// Its key is in other hands: refused everywhere.
    KeyCompromise,
    /// It may not be used any more: refused, but what was bought goes on with a warning.
    Legal,
    /// There is something newer: a note.
    Superseded,
}

/// One bundle.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RevokedBundle {
    /// Which.
    pub identity: Digest,
    /// Why.
    pub reason: Reason,
    /// In words.
    pub note: String,
}

/// One key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RevokedKey {
    /// Which.
    pub keyid: KeyId,
    /// In words.
    pub note: String,
}

/// One grant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RevokedGrant {
    /// Which.
    pub grant: Digest,
    /// Why.
    pub reason: Reason,
    /// In words.
    pub note: String,
}

/// The oldest release of an app that is still to be used.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReleaseFloor {
    /// The app.
    pub app: AppName,
    /// Its oldest release.
    pub release: u64,
}

/// A list whose signatures were checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedRevocations(Revocations);

const SCHEMA: u64 = 1;
const DOCUMENT: &str = "revocation list";

impl Revocations {
    /// The payload type of revocation lists.
    pub const PAYLOAD_TYPE: PayloadType = PayloadType::new("application/vnd.tilemark.revocations.v1+json");

    /// A list that revokes nothing yet.
    #[must_use]
    pub fn new(publisher: &str, number: u64, issued: u64) -> Self {
        Self {
            schema: SCHEMA,
            publisher: publisher.into(),
            number,
            issued,
            bundles: Vec::new(),
            keys: Vec::new(),
            grants: Vec::new(),
            floors: Vec::new(),
        }
    }

    /// Signs the list with as many keys as the publisher's rule asks for; the JSON of the envelope.
    ///
    /// # Errors
    /// [`Error::InvalidValue`], [`Error::InvalidName`], [`Error::TooMany`], or as [`Envelope::seal`].
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<Vec<u8>> {
        self.check()?;
        Ok(Envelope::seal(Self::PAYLOAD_TYPE, json::to_vec(self)?, keys)?.to_json())
    }

    fn check(&self) -> Result<()> {
        json::check_schema(self.schema, SCHEMA)?;
        check_publisher(&self.publisher)?;
        check_integer("number", self.number)?;
        check_integer("issued", self.issued)?;
        let found = self.bundles.len() + self.keys.len() + self.grants.len() + self.floors.len();
        if found > MAX_REVOCATIONS {
            return Err(Error::TooMany { what: "revocations", found, max: MAX_REVOCATIONS });
        }
        let notes =
            self.bundles.iter().map(|bundle| &bundle.note).chain(self.keys.iter().map(|key| &key.note));
        for note in notes.chain(self.grants.iter().map(|grant| &grant.note)) {
            if note.len() > MAX_SHORT_TEXT_BYTES || note.chars().any(char::is_control) {
                return Err(invalid("note", note, "at most 256 bytes without control characters"));
            }
        }
        match self.floors.iter().find(|floor| floor.app.publisher() != self.publisher) {
            Some(floor) => Err(invalid("floors", floor.app.as_str(), "apps of the list's own publisher")),
            None => Ok(()),
        }
    }
}

impl SignedRevocations {
    /// Checks that as many keys signed as the policy asks for of the publisher as its vendor, and only then reads the list: what a
    /// vendor takes back needs nobody else's leave. A key that the list itself revokes may have signed it: who has a stolen key can
    /// take it out of use.
    ///
    /// # Errors
    /// As [`Envelope::parse`]; [`Error::InvalidSignature`], [`Error::UnknownSigners`], [`Error::RevokedKey`],
    /// [`Error::PublisherNotAllowed`], [`Error::ThresholdNotMet`]; [`Error::Json`] or [`Error::InvalidValue`].
    pub fn verify(bytes: &[u8], trust: &Trust) -> Result<Self> {
        let envelope = Envelope::parse(bytes.trim_ascii(), Revocations::PAYLOAD_TYPE)?;
        let signers = signers::trusted(&envelope, trust, &mut Verdict::default())?;
        let list: Revocations = json::from_slice(DOCUMENT, envelope.payload(), MAX_REVOCATION_BYTES)?;
        list.check()?;
        signers::check_vendor(signers, &list.publisher, trust)?;
        Ok(Self(list))
    }

    /// The list.
    #[must_use]
    pub fn list(&self) -> &Revocations {
        &self.0
    }

    /// Whether it may take the place of another list of the same publisher.
    ///
    /// # Errors
    /// [`LicenseError::OlderList`].
    pub fn follows(&self, known: &Self) -> Result<()> {
        let (found, known) = (self.0.number, known.0.number);
        if found < known {
            return Err(LicenseError::OlderList { publisher: self.0.publisher.clone(), found, known }.into());
        }
        Ok(())
    }

    /// The oldest release of an app that is still to be used.
    #[must_use]
    pub fn floor(&self, app: &AppName) -> Option<u64> {
        self.0.floors.iter().filter(|floor| floor.app == *app).map(|floor| floor.release).max()
    }
}

impl Reason {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vulnerable => "vulnerable",
            Self::KeyCompromise => "key-compromise",
            Self::Legal => "legal",
            Self::Superseded => "superseded",
        }
    }
}

impl std::str::FromStr for Reason {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Vulnerable, Self::KeyCompromise, Self::Legal, Self::Superseded];
        let reason = all.into_iter().find(|reason| reason.as_str() == text);
        reason.ok_or_else(|| invalid("reason", text, "vulnerable, key-compromise, legal or superseded"))
    }
}

impl Trust {
    /// This policy with the keys of a publisher's list revoked too. A list only takes away.
    #[must_use]
    pub fn without(mut self, list: &SignedRevocations) -> Self {
        let rule = self.rule(&list.0.publisher).cloned();
        for key in &list.0.keys {
            // A publisher speaks for its own keys only, lest it take another's out of use.
            if rule.as_ref().is_some_and(|rule| rule.vendor.has(key.keyid)) {
                self.revoke(
                    key.keyid,
                    format!("list {} of {}: {}", list.0.number, list.0.publisher, key.note),
                );
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, sha256};

    fn keys() -> [SigningKey; 2] {
        [(); 2].map(|()| SigningKey::generate(Algorithm::Ed25519).unwrap())
    }

    fn policy(keys: &[SigningKey; 2], threshold: u64) -> Trust {
        let ids = [keys[0].public().id(), keys[1].public().id()];
        let known = Trust::builder().key(keys[0].public().clone()).key(keys[1].public().clone());
        known.publisher("acme", &ids, threshold).publisher("other", &ids[1..], 1).build().unwrap()
    }

    fn list() -> Revocations {
        let mut list = Revocations::new("acme", 3, 1000);
        let (identity, reason) = (sha256(b"bundle"), Reason::Vulnerable);
        list.bundles.push(RevokedBundle { identity, reason, note: "reads past its end".into() });
        list.floors.push(ReleaseFloor { app: "acme/tagger".parse().unwrap(), release: 5 });
        list
    }

    #[test]
    fn a_list_needs_the_publishers_threshold() {
        let keys = keys();
        let one = list().sign(&[&keys[0]]).unwrap();
        let both = list().sign(&[&keys[0], &keys[1]]).unwrap();
        assert_eq!(SignedRevocations::verify(&one, &policy(&keys, 1)).unwrap().list(), &list());
        assert_eq!(SignedRevocations::verify(&one, &policy(&keys, 2)).unwrap_err().code(), "TM0135");
        let read = SignedRevocations::verify(&both, &policy(&keys, 2)).unwrap();
        assert_eq!(read.floor(&"acme/tagger".parse().unwrap()), Some(5));
        assert_eq!(read.floor(&"acme/reader".parse().unwrap()), None);
        let mut foreign = Revocations::new("other", 1, 1);
        assert!(SignedRevocations::verify(&foreign.sign(&[&keys[0]]).unwrap(), &policy(&keys, 1)).is_err());
        foreign.floors = list().floors;
        assert_eq!(foreign.sign(&[&keys[1]]).unwrap_err().code(), "TM0141");
    }

    #[test]
    fn a_list_needs_no_other_roles_signature_and_none_stands_in_for_the_vendors() {
        let [vendor, store] = keys();
        let ids = [vendor.public().id(), store.public().id()];
        let known = Trust::builder().key(vendor.public().clone()).key(store.public().clone());
        let trust = known.publisher("acme", &ids[..1], 1).role("acme", crate::Role::Store, &ids[1..], 1);
        let trust = trust.build().unwrap();
        SignedRevocations::verify(&list().sign(&[&vendor]).unwrap(), &trust).unwrap();
        let error = SignedRevocations::verify(&list().sign(&[&store]).unwrap(), &trust).unwrap_err();
        assert_eq!(error.code(), "TM0134");
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let keys = keys();
        let text = list().sign(&[&keys[0]]).unwrap();
        for at in 0..text.len() {
            let mut bad = text.clone();
            bad[at] ^= 1;
            assert!(SignedRevocations::verify(&bad, &policy(&keys, 1)).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_older_list_does_not_follow() {
        let keys = keys();
        let signed = |number| {
            let list = Revocations { number, ..list() };
            SignedRevocations::verify(&list.sign(&[&keys[0]]).unwrap(), &policy(&keys, 1)).unwrap()
        };
        signed(4).follows(&signed(3)).unwrap();
        signed(3).follows(&signed(3)).unwrap();
        assert_eq!(signed(2).follows(&signed(3)).unwrap_err().code(), "TM0186");
    }

    #[test]
    fn a_publisher_revokes_its_own_keys_only() {
        let keys = keys();
        let trust = policy(&keys, 1);
        let mut list = Revocations::new("other", 1, 1);
        for key in &keys {
            list.keys.push(RevokedKey { keyid: key.public().id(), note: "lost".into() });
        }
        let list = SignedRevocations::verify(&list.sign(&[&keys[1]]).unwrap(), &trust).unwrap();
        let trust = trust.without(&list);
        assert!(trust.revoked_key(keys[0].public().id()).is_none(), "that is a key of acme alone");
        assert!(trust.revoked_key(keys[1].public().id()).unwrap().contains("lost"));
    }
}
