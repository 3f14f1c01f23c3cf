//! Lineage: a key names the one that follows it, so that keys change without a new trust policy on every machine.

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_LINEAGE_BYTES, MAX_LINEAGES};
use crate::manifest::{check_integer, invalid};
use crate::name::check_publisher;
use crate::reader::signers;
use crate::{
    Envelope, Error, KeyId, LicenseError, PayloadType, PublicKey, Result, SigningKey, Spki, Trust, Verdict,
    json,
};

/// One key names its successor for the apps of one publisher. Its JSON is in `docs/trust.md`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lineage {
    /// The version of this document's form.
    pub schema: u64,
    /// Whose apps.
    pub publisher: String,
    /// The key that is followed, and that signs.
    pub old: KeyId,
    /// The key that follows.
    pub new: Spki,
    /// When, in seconds since 1970; for people.
    pub issued: u64,
}

/// A lineage whose signature was checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedLineage(Lineage);

const SCHEMA: u64 = 1;
const DOCUMENT: &str = "lineage";

impl Lineage {
    /// The payload type of lineages.
    pub const PAYLOAD_TYPE: PayloadType = PayloadType::new("application/vnd.tilemark.lineage.v1+json");

    /// `old` names `new` as its successor for the apps of `publisher`; the JSON of the signed envelope.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::InvalidValue`] if they are one key, [`Error::Random`].
    pub fn sign(publisher: &str, old: &SigningKey, new: &PublicKey, issued: u64) -> Result<Vec<u8>> {
        let (publisher, new) = (publisher.to_owned(), Spki(new.clone()));
        let lineage = Self { schema: SCHEMA, publisher, old: old.public().id(), new, issued };
        lineage.check()?;
        Ok(Envelope::seal(Self::PAYLOAD_TYPE, json::to_vec(&lineage)?, &[old])?.to_json())
    }

    fn check(&self) -> Result<()> {
        json::check_schema(self.schema, SCHEMA)?;
        check_publisher(&self.publisher)?;
        check_integer("issued", self.issued)?;
        if self.new.0.id() == self.old {
            return Err(invalid("new", &self.old.to_string(), "another key than the old one"));
        }
        Ok(())
    }
}

impl SignedLineage {
    /// Checks that the key which is followed signed, and that the policy lets it sign for the publisher.
    ///
    /// # Errors
    /// As [`Envelope::parse`]; [`Error::InvalidSignature`], [`Error::UnknownSigners`], [`Error::RevokedKey`]: whoever has a key
    /// that is revoked already gets nothing by it; [`Error::PublisherNotAllowed`], [`Error::Json`], [`Error::InvalidValue`].
    pub fn verify(bytes: &[u8], trust: &Trust) -> Result<Self> {
        let lineage = Self::recorded(bytes, trust)?;
        match trust.revoked_key(lineage.0.old) {
            Some(reason) => Err(Error::RevokedKey { keyid: lineage.0.old, reason: reason.into() }),
            None => Ok(lineage),
        }
    }

    /// The same for one that was verified when it was recorded here: it goes on when the old key is revoked later. That the old
    /// key is out of use is why it has a successor.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify) but [`Error::RevokedKey`].
    pub fn recorded(bytes: &[u8], trust: &Trust) -> Result<Self> {
        let envelope = Envelope::parse(bytes.trim_ascii(), Lineage::PAYLOAD_TYPE)?;
        let signers = signers::trusted(&envelope, trust, &mut Verdict::default())?;
        let lineage: Lineage = json::from_slice(DOCUMENT, envelope.payload(), MAX_LINEAGE_BYTES)?;
        lineage.check()?;
        let rule = trust.rule(&lineage.publisher);
        let may = rule.is_some_and(|rule| rule.quorums().any(|(_, quorum)| quorum.has(lineage.old)));
        if !may || !signers.contains(&lineage.old) {
            let (publisher, signers) = (lineage.publisher, signers::join(signers.into_iter()));
            return Err(Error::PublisherNotAllowed { publisher, signers });
        }
        Ok(Self(lineage))
    }

    /// What it says.
    #[must_use]
    pub fn lineage(&self) -> &Lineage {
        &self.0
    }

    /// Whether it may be recorded beside another of the same key and publisher: it has to say the same. A key has one successor.
    ///
    /// # Errors
    /// [`LicenseError::OtherSuccessor`].
    pub fn agrees(&self, known: &Self) -> Result<()> {
        let (known, found) = (known.0.new.0.id(), self.0.new.0.id());
        if known != found {
            return Err(LicenseError::OtherSuccessor { old: self.0.old, known, found }.into());
        }
        Ok(())
    }
}

impl Trust {
    /// This policy with successors: each may sign where the key before it may, and counts as the same signer. `lineages` are
    /// envelopes in any order; those that the policy knows no signer of are about other publishers.
    ///
    /// # Errors
    /// [`Error::TooMany`]; as [`SignedLineage::recorded`].
    pub fn with_lineages(mut self, lineages: &[Vec<u8>]) -> Result<Self> {
        if lineages.len() > MAX_LINEAGES {
            return Err(Error::TooMany { what: "lineages", found: lineages.len(), max: MAX_LINEAGES });
        }
        let mut waiting: Vec<&Vec<u8>> = lineages.iter().collect();
        loop {
            let mut unknown = Vec::new();
            for bytes in &waiting {
                match SignedLineage::recorded(bytes, &self) {
                    Ok(SignedLineage(found)) => self.succeed(&found.publisher, found.old, &found.new.0),
                    // Perhaps the successor of one that is read later.
                    Err(
                        Error::UnknownSigners { .. }
                        | Error::RevokedKey { .. }
                        | Error::PublisherNotAllowed { .. },
                    ) => unknown.push(*bytes),
                    Err(error) => return Err(error),
                }
            }
            if unknown.len() == waiting.len() || unknown.is_empty() {
                return Ok(self);
            }
            waiting = unknown;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, AppIdentity, BundleWriter, FactKind, Role, Untrusted};

    fn keys<const N: usize>() -> [SigningKey; N] {
        [(); N].map(|()| SigningKey::generate(Algorithm::Ed25519).unwrap())
    }

    fn code(keys: &[&SigningKey], app: &str, trust: &Trust) -> &'static str {
        let app = AppIdentity::new(app, "1.0.0", 1, "MIT", "").unwrap();
        let file = BundleWriter::new(app).blob("graph", &b"integers"[..]).sign(keys).unwrap();
        match Untrusted::from_bytes(file).unwrap().verify(trust) {
            Ok(_) => "accepted",
            Err(refused) => refused.into_error().code(),
        }
    }

    #[test]
    fn a_successor_signs_for_its_publisher_and_no_other() {
        let [a, b, c, other] = keys();
        let lineage =
            |from: &SigningKey, to: &SigningKey| Lineage::sign("acme", from, to.public(), 5).unwrap();
        let trust = Trust::key(a.public().clone());
        assert_eq!(code(&[&b], "acme/tagger", &trust), "TM0131");
        // In any order, over two generations.
        let lineages = [lineage(&b, &c), lineage(&a, &b)];
        let trust = trust.with_lineages(&lineages).unwrap();
        for key in [&a, &b, &c] {
            assert_eq!(code(&[key], "acme/tagger", &trust), "accepted");
        }
        assert_eq!(code(&[&c], "other/tagger", &trust), "TM0134");
        assert_eq!(code(&[&a], "other/tagger", &trust), "accepted");
        assert_eq!(code(&[&other], "acme/tagger", &trust), "TM0131");
    }

    #[test]
    fn the_verdict_says_whose_successor_signed() {
        let [a, b] = keys();
        let lineage = Lineage::sign("acme", &a, b.public(), 5).unwrap();
        let trust = Trust::key(a.public().clone()).with_lineages(&[lineage]).unwrap();
        let app = AppIdentity::new("acme/tagger", "1.0.0", 1, "MIT", "").unwrap();
        let file = BundleWriter::new(app).blob("graph", &b"integers"[..]).sign(&[&b]).unwrap();
        let bundle = Untrusted::from_bytes(file).unwrap().verify(&trust).unwrap();
        let evidence = &bundle.verdict().get(FactKind::Threshold).unwrap().evidence;
        let (old, new) = (a.public().id(), b.public().id());
        assert_eq!(evidence, &format!("vendor: 1 key signed, 1 needed: {new}, the successor of {old}"));
    }

    #[test]
    fn a_key_and_its_successor_are_one_signer() {
        let [a, b, new] = keys();
        let ids = [a.public().id(), b.public().id()];
        let trust = Trust::builder().key(a.public().clone()).key(b.public().clone());
        let trust = trust.publisher("acme", &ids, 2).build().unwrap();
        let trust = trust.with_lineages(&[Lineage::sign("acme", &a, new.public(), 5).unwrap()]).unwrap();
        assert_eq!(code(&[&a, &new], "acme/tagger", &trust), "TM0135");
        assert_eq!(code(&[&b, &new], "acme/tagger", &trust), "accepted");
    }

    #[test]
    fn every_role_has_its_own_quorum_and_the_verdict_names_each() {
        let [vendor, store, lab, lab2] = keys();
        let id = |key: &SigningKey| key.public().id();
        let trust = Trust::builder().named_key("acme release", vendor.public().clone());
        let trust = trust.named_key("corner shop", store.public().clone()).key(lab.public().clone());
        let trust = trust.key(lab2.public().clone()).publisher("acme", &[id(&vendor)], 1);
        let trust = trust.role("acme", Role::Evaluator, &[id(&lab), id(&lab2)], 1);
        let trust = trust.role("acme", Role::Store, &[id(&store)], 1).build().unwrap();
        assert_eq!(code(&[&vendor], "acme/tagger", &trust), "TM0135");
        assert_eq!(code(&[&vendor, &lab], "acme/tagger", &trust), "TM0135");
        assert_eq!(code(&[&store, &lab], "acme/tagger", &trust), "TM0134");
        let app = AppIdentity::new("acme/tagger", "1.0.0", 1, "MIT", "").unwrap();
        let writer = BundleWriter::new(app).blob("graph", &b"integers"[..]);
        let file = writer.sign(&[&vendor, &store, &lab2]).unwrap();
        let bundle = Untrusted::from_bytes(file).unwrap().verify(&trust).unwrap();
        let facts = bundle.verdict().facts().iter().filter(|fact| fact.fact == FactKind::Threshold);
        let said: Vec<&str> = facts.map(|fact| fact.evidence.as_str()).collect();
        let expected = [
            "vendor: 1 key signed, 1 needed: acme release".to_owned(),
            "store: 1 key signed, 1 needed: corner shop".to_owned(),
            format!("evaluator: 1 key signed, 1 needed: {}", id(&lab2)),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn who_may_not_sign_names_no_successor() {
        let [a, b, stranger] = keys();
        let trust = Trust::builder().key(a.public().clone()).key(b.public().clone());
        let trust = trust.publisher("acme", &[a.public().id()], 1).build().unwrap();
        let verify = |bytes: &[u8], trust: &Trust| SignedLineage::verify(bytes, trust).map_err(|e| e.code());
        let good = Lineage::sign("acme", &a, stranger.public(), 5).unwrap();
        let read = verify(&good, &trust).unwrap();
        assert_eq!(verify(&Lineage::sign("acme", &b, stranger.public(), 5).unwrap(), &trust), Err("TM0134"));
        let by_stranger = Lineage::sign("acme", &stranger, b.public(), 5).unwrap();
        assert_eq!(verify(&by_stranger, &trust), Err("TM0131"));
        assert_eq!(Lineage::sign("acme", &a, a.public(), 5).unwrap_err().code(), "TM0141");
        // Signed by another key that may sign, about this one.
        let mut theirs = read.lineage().clone();
        theirs.old = b.public().id();
        let forged = Envelope::seal(Lineage::PAYLOAD_TYPE, json::to_vec(&theirs).unwrap(), &[&a]).unwrap();
        assert_eq!(verify(&forged.to_json(), &trust), Err("TM0134"));
        let both = Trust::builder().key(a.public().clone()).key(b.public().clone());
        let both = both.publisher("acme", &[a.public().id(), b.public().id()], 1).build().unwrap();
        assert_eq!(verify(&forged.to_json(), &both), Err("TM0134"), "the key that is followed has to sign");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(SignedLineage::verify(&bad, &trust).is_err(), "byte {at}");
        }
        let other =
            SignedLineage::verify(&Lineage::sign("acme", &a, b.public(), 5).unwrap(), &trust).unwrap();
        assert_eq!(other.agrees(&read).unwrap_err().code(), "TM0187");
        read.agrees(&read).unwrap();
    }

    #[test]
    fn a_revoked_key_names_no_successor_but_its_recorded_one_stays() {
        let [a, b] = keys();
        let bytes = Lineage::sign("acme", &a, b.public(), 5).unwrap();
        let mut trust = Trust::key(a.public().clone());
        trust.revoke(a.public().id(), "stolen".into());
        assert_eq!(SignedLineage::verify(&bytes, &trust).unwrap_err().code(), "TM0132");
        let trust = trust.with_lineages(&[bytes]).unwrap();
        assert_eq!(code(&[&b], "acme/tagger", &trust), "accepted");
        assert_eq!(code(&[&a], "acme/tagger", &trust), "TM0132");
        // Who takes the successor out of use takes the lineage back.
        let mut trust = trust;
        trust.revoke(b.public().id(), "stolen too".into());
        assert_eq!(code(&[&b], "acme/tagger", &trust), "TM0132");
    }
}
