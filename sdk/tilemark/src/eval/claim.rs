//! A signed statement of what an evaluation found: integers and digests alone, so that anybody with the same app and data can make
//! the same statement, on any device.

use serde::{Deserialize, Serialize};
use tilemark_bundle::{
    Count, Digest, Envelope, Error as BundleError, PayloadType, PublicKey, SignatureCheck, SigningKey, json,
};

use super::commit::Opened;
use super::report::{Counts, Report};
use crate::app::App;
use crate::error::Error;

/// What was found, as it is signed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Claim {
    /// The version of this document's form.
    pub schema: u64,
    /// The app's name.
    pub app: String,
    /// Its version, for people.
    pub version: String,
    /// The bundle's identity.
    pub identity: Digest,
    /// What its parameters were set to, `name=value`.
    pub parameters: Vec<String>,
    /// What was measured.
    pub metric: String,
    /// Whose data it is.
    pub whose: Whose,
    /// The root of the commitment that the data was checked against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<Digest>,
    /// The root of the tree over the samples: names, files and labels.
    pub data: Digest,
    /// How many there are.
    pub samples: u64,
    /// How many could not be evaluated.
    pub failed: u64,
    /// The integers that the metric follows from.
    pub counts: Vec<Count>,
    /// A digest of every answer's part of the metric, in order; it shows none.
    pub answers: Digest,
    /// Where it ran; another device has to give the same.
    pub device: String,
    /// The SDK that it ran with.
    pub sdk: String,
    /// When, in seconds since 1970.
    pub made: u64,
}

/// Who chose the samples.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// Who is to use the app.
    Buyer,
    /// Who sells it, and may have chosen what it is good at.
    Seller,
    /// Nobody said; no claim says so.
    Unsaid,
}

/// Larger documents are no claims: two counts for each of some ten thousand classes have less.
const MAX_CLAIM_BYTES: usize = 1 << 22;
const SCHEMA: u64 = 1;
/// Counts that an error names.
const NAMED: usize = 10;

impl Claim {
    /// The payload type of claims.
    pub const PAYLOAD_TYPE: PayloadType = PayloadType::EVALUATION;

    /// The claim that a report amounts to.
    pub(super) fn of(report: &Report, metric: &str, made: u64) -> Self {
        Self {
            schema: SCHEMA,
            app: report.app.clone(),
            version: report.version.clone(),
            identity: report.identity,
            parameters: report.parameters.clone(),
            metric: metric.to_owned(),
            whose: report.whose,
            committed: report.committed,
            data: report.data.root,
            samples: report.samples,
            failed: report.failed,
            counts: counts(&report.counts),
            answers: report.answers,
            device: report.device.clone(),
            sdk: report.sdk.clone(),
            made,
        }
    }

    /// The JSON of the signed envelope.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it cannot be signed, or has more classes than could be read again.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, Error> {
        let payload =
            serde_json::to_vec(self).map_err(|error| BundleError::Codec { reason: error.to_string() })?;
        if payload.len() > MAX_CLAIM_BYTES {
            let reason = format!("a claim of {} bytes, the limit is {MAX_CLAIM_BYTES}", payload.len());
            return Err(BundleError::Codec { reason }.into());
        }
        Ok(Envelope::seal(Self::PAYLOAD_TYPE, payload, &[key])?.to_json())
    }

    /// Reads a claim that this key signed.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it is no claim, or not signed by the key.
    pub fn verify(bytes: &[u8], key: &PublicKey) -> Result<Self, Error> {
        let envelope = Envelope::parse(bytes.trim_ascii(), Self::PAYLOAD_TYPE)?;
        let checks = envelope.check(|id| (id == key.id()).then_some(key));
        match checks.iter().find(|(id, _)| *id == key.id()) {
            Some((_, SignatureCheck::Holds)) => {}
            Some((keyid, _)) => {
                let algorithm = key.algorithm().as_str();
                return Err(BundleError::InvalidSignature { keyid: *keyid, algorithm }.into());
            }
            None => {
                let signers: Vec<String> = checks.iter().map(|(id, _)| id.to_string()).collect();
                return Err(BundleError::UnknownSigners { signers: signers.join(", ") }.into());
            }
        }
        let claim: Self = json::from_slice("evaluation", envelope.payload(), MAX_CLAIM_BYTES)?;
        json::check_schema(claim.schema, SCHEMA)?;
        Ok(claim)
    }

    /// Whether these bytes are a claim of anybody's, unchecked: what may be written over is one.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        Envelope::parse(bytes.trim_ascii(), Self::PAYLOAD_TYPE).is_ok()
    }

    /// What can be checked before anything is run: whether this is the claimed bundle, set up as claimed, and data that was committed to if the
    /// claimed data was.
    ///
    /// # Errors
    /// [`Error::NotReproduced`], which names what differs.
    pub fn check(&self, app: &App, committed: Option<&Opened>) -> Result<(), Error> {
        let again = Self {
            identity: app.identity(),
            parameters: super::parameters(app),
            committed: committed.map(Opened::root),
            ..self.clone()
        };
        self.compare(&again)
    }

    /// Whether another evaluation, of the same app on the same data, gave the same.
    ///
    /// # Errors
    /// [`Error::NotReproduced`], which names what differs first; of counts it names those that do.
    pub fn compare(&self, again: &Self) -> Result<(), Error> {
        let committed = |claim: &Self| match claim.committed {
            Some(root) => format!("root {root}"),
            None => "none".to_owned(),
        };
        let (counted, found) = different(&self.counts, &again.counts);
        let pairs = [
            ("bundle", self.identity.to_string(), again.identity.to_string()),
            ("parameters", self.parameters.join(", "), again.parameters.join(", ")),
            ("metric", self.metric.clone(), again.metric.clone()),
            ("commitment that the data was checked against", committed(self), committed(again)),
            ("number of samples", self.samples.to_string(), again.samples.to_string()),
            ("data", self.data.to_string(), again.data.to_string()),
            ("number of samples that failed", self.failed.to_string(), again.failed.to_string()),
            ("counts", counted, found),
            ("answers", self.answers.to_string(), again.answers.to_string()),
        ];
        match pairs.into_iter().find(|(_, claimed, found)| claimed != found) {
            Some((what, claimed, found)) => Err(Error::NotReproduced { what, claimed, found }),
            None => Ok(()),
        }
    }
}

/// Those of two lists that differ, in words.
fn different(claimed: &[Count], found: &[Count]) -> (String, String) {
    let words = |counts: &[Count], others: &[Count]| {
        let differ = counts.iter().filter(|count| !others.contains(count));
        let words: Vec<String> =
            differ.take(NAMED).map(|count| format!("{} {}", count.name, count.value)).collect();
        if words.is_empty() { "nothing else".to_owned() } else { words.join(", ") }
    };
    (words(claimed, found), words(found, claimed))
}

pub(super) fn counts(counts: &Counts) -> Vec<Count> {
    let count = |name: &str, value| Count { name: name.to_owned(), value };
    match counts {
        Counts::Hits { hits, of } => vec![count("hits", *hits), count("of", *of)],
        Counts::Edits(edits) => vec![
            count("character errors", edits.characters),
            count("characters", edits.of_characters),
            count("word errors", edits.words),
            count("words", edits.of_words),
        ],
        Counts::Overlaps { classes } => classes
            .iter()
            .flat_map(|(class, shared, union)| {
                [count(&format!("shared of {class}"), *shared), count(&format!("either of {class}"), *union)]
            })
            .collect(),
        Counts::Classes { hits, of, classes } => {
            let class = |(class, right, either): &(String, u64, u64)| {
                [
                    count(&format!("right of {class}"), *right),
                    count(&format!("is or found as {class}"), *either),
                ]
            };
            [count("hits", *hits), count("of", *of)]
                .into_iter()
                .chain(classes.iter().flat_map(class))
                .collect()
        }
        Counts::Differences { sums, pictures, millionths } => vec![
            count("squares", sums.squares),
            count("absolute", sums.absolute),
            count("bytes", sums.samples),
            count("pictures", *pictures),
            count("metric in millionths", *millionths),
        ],
        Counts::Images { images, billionths } => {
            vec![count("images", *images), count("metric in billionths", *billionths)]
        }
    }
}

#[cfg(test)]
mod tests {
    use tilemark_bundle::{Algorithm, sha256};

    use super::*;

    fn claim() -> Claim {
        Claim {
            schema: SCHEMA,
            app: "acme/tagger".into(),
            version: "1.0.0".into(),
            identity: sha256(b"bundle"),
            parameters: vec!["k=2".into()],
            metric: "accuracy".into(),
            whose: Whose::Buyer,
            committed: None,
            data: sha256(b"data"),
            samples: 10,
            failed: 0,
            counts: counts(&Counts::Hits { hits: 9, of: 10 }),
            answers: sha256(b"answers"),
            device: "host".into(),
            sdk: "0.1.0".into(),
            made: 1_800_000_000,
        }
    }

    #[test]
    fn only_what_its_signer_signed_is_read() {
        let [key, other] = [(); 2].map(|()| SigningKey::generate(Algorithm::Ed25519).unwrap());
        let signed = claim().sign(&key).unwrap();
        assert_eq!(Claim::verify(&signed, key.public()).unwrap(), claim());
        assert_eq!(Claim::verify(&signed, other.public()).unwrap_err().code(), "TM0131");
        for at in 0..signed.len() {
            let mut edited = signed.clone();
            edited[at] ^= 1;
            assert!(Claim::verify(&edited, key.public()).is_err(), "byte {at}");
        }
        // An edited number under the old signature.
        let envelope = Envelope::parse(&signed, Claim::PAYLOAD_TYPE).unwrap();
        let text =
            String::from_utf8(envelope.payload().to_vec()).unwrap().replace("\"value\":9}", "\"value\":10}");
        let forged = Envelope::seal(Claim::PAYLOAD_TYPE, text.into_bytes(), &[&other]).unwrap().to_json();
        let forged = String::from_utf8(forged).unwrap();
        let forged = forged.replace(&other.public().id().to_string(), &key.public().id().to_string());
        assert_eq!(Claim::verify(forged.as_bytes(), key.public()).unwrap_err().code(), "TM0130");
    }

    #[test]
    fn what_differs_is_named() {
        let again = Claim { device: "opencl:0:0".into(), made: 5, whose: Whose::Seller, ..claim() };
        claim().compare(&again).unwrap();
        let committed = Claim { committed: Some(sha256(b"salted")), ..claim() };
        let other = Claim { committed: Some(sha256(b"other")), ..claim() };
        for again in [other, claim()] {
            let error = committed.compare(&again).unwrap_err().to_string();
            assert!(error.contains(&format!("root {} claimed", sha256(b"salted"))), "{error}");
        }
        let cases = [
            (Claim { identity: sha256(b"other"), ..claim() }, "the bundle"),
            (Claim { data: sha256(b"other"), ..claim() }, "the data"),
            (Claim { answers: sha256(b"other"), ..claim() }, "the answers"),
            (
                Claim { counts: counts(&Counts::Hits { hits: 8, of: 10 }), ..claim() },
                ": hits 9 claimed, hits 8 found",
            ),
            (Claim { committed: Some(sha256(b"salted")), ..claim() }, "the commitment that the data"),
            (Claim { parameters: vec![], ..claim() }, "the parameters"),
        ];
        for (again, expected) in cases {
            let error = claim().compare(&again).unwrap_err();
            assert!(error.code() == "TM0564" && error.to_string().contains(expected), "{error}");
        }
    }
}
