//! Commit first, reveal later: a digest of hidden test data that shows nothing of it and that no other data has.
//!
//! The root of a tree over the samples' leaves, each salted with 32 bytes of its own that follow from one secret, and of what is to be measured.
//! Who has the secret can show one sample to be in the set without showing another.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tilemark_bundle::{
    Digest, Envelope, Error as BundleError, PayloadType, PublicKey, SignatureCheck, SigningKey, json, sha256,
};

use super::data::{Classes, Dataset, Loaded, Merkle, Sample, leaf_of};
use super::metric::Metric;
use crate::error::Error;

/// What is published.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Commitment {
    /// The version of this document's form.
    pub schema: u64,
    /// What is to be measured: who could still choose would choose what looks best.
    pub metric: String,
    /// Of metric, number of samples and the tree over the salted leaves.
    pub root: Digest,
    /// How many samples there are.
    pub samples: u64,
    /// When, in seconds since 1970, as whoever made it says.
    pub made: u64,
}

/// What opens a commitment: kept by whoever made it until the data is shown.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Opening {
    /// The version of this document's form.
    pub schema: u64,
    /// What is to be measured.
    metric: String,
    /// 32 random bytes. Secret until then: with them anybody can try what the data is.
    salt: Digest,
    /// The samples, in the order in which they are evaluated.
    samples: Vec<Listed>,
}

/// One sample of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Listed {
    name: Box<str>,
    /// The SHA-256 of its file.
    file: Digest,
    /// And of its label.
    label: Digest,
}

impl Listed {
    fn leaf(&self) -> Digest {
        leaf_of(&self.name, self.file, self.label)
    }
}

/// An opening that is the commitment's: a list of samples that nobody changed since.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    root: Digest,
    metric: String,
    /// The root over the leaves without salt, which a report has.
    data: Digest,
    samples: Vec<Listed>,
}

/// 2: what is to be measured is part of it.
const SCHEMA: u64 = 2;
/// Larger documents are no commitments.
const MAX_COMMITMENT_BYTES: usize = 1 << 16;
/// Ten million samples of long names have less.
const MAX_OPENING_BYTES: usize = 1 << 30;
/// Samples that an error names.
const NAMED: usize = 10;

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opening({} samples)", self.samples.len())
    }
}

impl Commitment {
    /// The payload type of signed ones.
    pub const PAYLOAD_TYPE: PayloadType = PayloadType::new("application/vnd.tilemark.commitment.v1+json");

    /// Commits to the samples at `data` and to what is to be measured, whatever app they will be for. `made` is in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Dataset`], [`Error::Io`] for data that cannot be read whole; [`Error::Bundle`] if the system gives no random bytes.
    pub fn make(data: &Path, metric: Metric, made: u64) -> Result<(Self, Opening), Error> {
        let data = Dataset::open(data, metric.kind(), &Classes::any())?;
        let list = |sample: &Sample| {
            let Loaded { file, label, .. } = data.load(sample)?;
            Ok(Listed { name: sample.name.clone(), file, label })
        };
        let samples = data.samples().iter().map(list).collect::<Result<Vec<_>, Error>>()?;
        let (salt, metric) = (Digest::from_bytes(*tilemark_bundle::random()?), metric.name().to_owned());
        let opening = Opening { schema: SCHEMA, metric: metric.clone(), salt, samples };
        let samples = opening.samples.len() as u64;
        Ok((Self { schema: SCHEMA, metric, root: opening.root(), samples, made }, opening))
    }

    /// The document to publish: a signed envelope, or plain JSON where nobody signs.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it cannot be signed.
    pub fn to_json(&self, key: Option<&SigningKey>) -> Result<Vec<u8>, Error> {
        let payload =
            serde_json::to_vec(self).map_err(|error| BundleError::Codec { reason: error.to_string() })?;
        let Some(key) = key else { return Ok(payload) };
        Ok(Envelope::seal(Self::PAYLOAD_TYPE, payload, &[key])?.to_json())
    }

    /// Reads one that this key signed; without a key, one that nobody did.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it is none, or not signed by the key; [`Error::NotCommitted`] for a signed one where no key is given.
    pub fn read(bytes: &[u8], key: Option<&PublicKey>) -> Result<Self, Error> {
        let bytes = bytes.trim_ascii();
        let parse = |payload: &[u8]| -> Result<Self, Error> {
            let found: Self = json::from_slice("commitment", payload, MAX_COMMITMENT_BYTES)?;
            json::check_schema(found.schema, SCHEMA)?;
            Ok(found)
        };
        let Some(key) = key else {
            if Envelope::parse(bytes, Self::PAYLOAD_TYPE).is_ok() {
                let reason = "the commitment is signed, and it is not said whose key that is".to_owned();
                return Err(Error::NotCommitted { reason });
            }
            return parse(bytes);
        };
        let envelope = Envelope::parse(bytes, Self::PAYLOAD_TYPE)?;
        let checks = envelope.check(|id| (id == key.id()).then_some(key));
        match checks.iter().find(|(id, _)| *id == key.id()) {
            Some((_, SignatureCheck::Holds)) => parse(envelope.payload()),
            Some((keyid, _)) => {
                let algorithm = key.algorithm().as_str();
                Err(BundleError::InvalidSignature { keyid: *keyid, algorithm }.into())
            }
            None => {
                let signers: Vec<String> = checks.iter().map(|(id, _)| id.to_string()).collect();
                Err(BundleError::UnknownSigners { signers: signers.join(", ") }.into())
            }
        }
    }

    /// Checks that an opening is this commitment's.
    ///
    /// # Errors
    /// [`Error::NotCommitted`].
    pub fn open(&self, opening: Opening) -> Result<Opened, Error> {
        let (found, samples) = (opening.root(), opening.samples.len() as u64);
        if (found, samples, &opening.metric) != (self.root, self.samples, &self.metric) {
            let reason = format!(
                "the salt file is of another commitment, or was changed: {} of {samples} samples with root {found}, committed are {} of {} with {}",
                opening.metric, self.metric, self.samples, self.root
            );
            return Err(Error::NotCommitted { reason });
        }
        let data = tree(opening.samples.iter().map(Listed::leaf));
        Ok(Opened { root: self.root, metric: opening.metric, data, samples: opening.samples })
    }
}

impl Opening {
    /// The document to keep.
    ///
    /// # Errors
    /// [`Error::Bundle`] never: it is digests and names.
    pub fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|error| BundleError::Codec { reason: error.to_string() }.into())
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let found: Self = json::from_slice("salt file", bytes, MAX_OPENING_BYTES)?;
        json::check_schema(found.schema, SCHEMA)?;
        Ok(found)
    }

    fn root(&self) -> Digest {
        let tree = tree(self.samples.iter().zip(0u64..).map(|(listed, at)| self.salted(at, listed.leaf())));
        // A salt of its own, which shows nothing of the samples'.
        let salt = sha256(&[&[4], &self.salt.as_bytes()[..]].concat());
        let samples = (self.samples.len() as u64).to_le_bytes();
        let length = (self.metric.len() as u64).to_le_bytes();
        let parts = [&[3], &salt.as_bytes()[..], &length, self.metric.as_bytes(), &samples, tree.as_bytes()];
        sha256(&parts.concat())
    }

    /// A leaf with a salt of its own. The first byte tells leaves from nodes, and salts from both.
    fn salted(&self, at: u64, leaf: Digest) -> Digest {
        let salt = sha256(&[&[2], &self.salt.as_bytes()[..], &at.to_le_bytes()].concat());
        sha256(&[&[0], &salt.as_bytes()[..], leaf.as_bytes()].concat())
    }
}

fn tree(leaves: impl Iterator<Item = Digest>) -> Digest {
    let mut tree = Merkle::default();
    leaves.for_each(|leaf| tree.add(leaf));
    tree.root()
}

impl Opened {
    /// The commitment's root.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.root
    }

    /// Checks that data is what was committed to, sample for sample and in that order, and is asked what it is for.
    ///
    /// # Errors
    /// [`Error::NotCommitted`], which names what was changed, relabelled, added, removed or moved.
    pub(super) fn check(&self, data: &Dataset, metric: Metric) -> Result<(), Error> {
        if metric.name() != self.metric {
            let reason = format!("it is for {}, and {metric} was asked for", self.metric);
            return Err(Error::NotCommitted { reason });
        }
        let mut listed: BTreeMap<&str, &Listed> =
            self.samples.iter().map(|sample| (&*sample.name, sample)).collect();
        let (mut differences, mut added) = (Vec::new(), Vec::new());
        for sample in data.samples() {
            let name = &*sample.name;
            match (listed.remove(name), data.load(sample)) {
                (Some(known), Ok(now)) if known.leaf() == now.leaf => {}
                (Some(known), Ok(now)) if known.file == now.file => {
                    differences.push(format!("{name} has another label"));
                }
                (Some(_), Ok(_)) => differences.push(format!("{name} was changed")),
                (Some(_), Err(error)) => differences.push(format!("{name} cannot be read: {error}")),
                (None, now) => added.push((name, now.ok().map(|now| now.file))),
            }
        }
        // Of a folder a class, another label is another folder.
        let mut moved: BTreeMap<Digest, Vec<&str>> = BTreeMap::new();
        listed.values().for_each(|gone| moved.entry(gone.file).or_default().push(&gone.name));
        for (name, file) in added {
            match file.and_then(|file| moved.get_mut(&file)).and_then(Vec::pop) {
                Some(before) => differences.push(format!("{before} is now {name}")),
                None => differences.push(format!("{name} was added")),
            }
        }
        differences.extend(moved.into_values().flatten().map(|gone| format!("{gone} was removed")));
        if differences.is_empty() {
            differences.extend(self.out_of_order(data));
        }
        if differences.is_empty() { Ok(()) } else { Err(different(&differences)) }
    }

    /// The first sample that is not where it was; the same samples are there.
    fn out_of_order(&self, data: &Dataset) -> Option<String> {
        let pairs = self.samples.iter().zip(data.samples());
        let (at, (was, is)) = pairs.enumerate().find(|(_, (was, is))| was.name != is.name)?;
        Some(format!("{} is sample {} now, where {} was", is.name, at + 1, was.name))
    }

    /// Checks what an evaluation looked at: files may have been changed since [`Opened::check`], for this reads them again.
    ///
    /// # Errors
    /// [`Error::NotCommitted`].
    pub(super) fn check_root(&self, found: Digest) -> Result<(), Error> {
        if found == self.data {
            return Ok(());
        }
        let reason = format!("the samples were changed meanwhile: root {found}, committed is {}", self.data);
        Err(Error::NotCommitted { reason })
    }
}

fn different(differences: &[String]) -> Error {
    let named: Vec<&str> = differences.iter().take(NAMED).map(String::as_str).collect();
    let more = match differences.len() - named.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Error::NotCommitted { reason: named.join("; ") + &more }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tilemark_bundle::Algorithm;

    use super::*;

    fn set() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (at, class) in ["cat", "dog", "cat", "dog", "cat"].iter().enumerate() {
            fs::create_dir_all(folder.path().join(class)).unwrap();
            fs::write(folder.path().join(class).join(format!("{at}.png")), [at as u8; 9]).unwrap();
        }
        folder
    }

    fn check(opened: &Opened, folder: &Path) -> Result<(), String> {
        let classes = Classes::new(["dog", "cat"].map(str::to_owned).to_vec());
        let data = Dataset::open(folder, Metric::Accuracy.kind(), &classes).unwrap();
        opened.check(&data, Metric::Accuracy).map_err(|error| {
            assert_eq!(error.code(), "TM0566");
            error.to_string()
        })
    }

    #[test]
    fn whatever_was_changed_is_named() {
        let folder = set();
        let at = |name: &str| folder.path().join(name);
        let (commitment, opening) = Commitment::make(folder.path(), Metric::Accuracy, 7).unwrap();
        let opened = commitment.open(opening).unwrap();
        assert_eq!(check(&opened, folder.path()), Ok(()));
        fs::write(at("cat/0.png"), b"another").unwrap();
        fs::rename(at("dog/1.png"), at("cat/1.png")).unwrap();
        fs::remove_file(at("cat/2.png")).unwrap();
        fs::write(at("dog/9.png"), b"new").unwrap();
        let error = check(&opened, folder.path()).unwrap_err();
        for named in [
            "cat/0.png was changed",
            "dog/1.png is now cat/1.png",
            "cat/2.png was removed",
            "dog/9.png was added",
        ] {
            assert!(error.contains(named), "{error}, expected {named}");
        }
        assert!(!error.contains("3.png") && !error.contains("4.png"), "{error}");
    }

    #[test]
    fn a_swapped_label_in_a_manifest_is_named() {
        let folder = set();
        let manifest = |last: &str| {
            let text = format!("file,label\ncat/0.png,cat\ndog/1.png,{last}\n");
            fs::write(folder.path().join("manifest.csv"), text).unwrap();
        };
        manifest("dog");
        let (commitment, opening) = Commitment::make(folder.path(), Metric::Accuracy, 7).unwrap();
        let opened = commitment.open(opening).unwrap();
        manifest("cat");
        let error = check(&opened, folder.path()).unwrap_err();
        assert!(error.ends_with("committed to: dog/1.png has another label"), "{error}");
    }

    #[test]
    fn another_order_or_another_question_is_named() {
        let folder = set();
        let manifest = |lines: [&str; 3]| {
            let text = format!("file,label\n{}\n", lines.join("\n"));
            fs::write(folder.path().join("manifest.csv"), text).unwrap();
        };
        let lines = ["cat/0.png,cat", "dog/1.png,dog", "cat/2.png,cat"];
        manifest(lines);
        let (commitment, opening) = Commitment::make(folder.path(), Metric::Accuracy, 7).unwrap();
        let opened = commitment.open(opening).unwrap();
        manifest([lines[0], lines[2], lines[1]]);
        let error = check(&opened, folder.path()).unwrap_err();
        assert!(error.ends_with("cat/2.png is sample 2 now, where dog/1.png was"), "{error}");
        manifest(lines);
        let data = Dataset::open(folder.path(), Metric::F1.kind(), &Classes::any()).unwrap();
        let error = opened.check(&data, Metric::F1).unwrap_err().to_string();
        assert!(error.ends_with("it is for accuracy, and f1 was asked for"), "{error}");
    }

    #[test]
    fn a_commitment_shows_nothing_and_opens_by_its_own_salt_alone() {
        let folder = set();
        let (one, opening) = Commitment::make(folder.path(), Metric::Accuracy, 7).unwrap();
        let (other, other_opening) = Commitment::make(folder.path(), Metric::Accuracy, 7).unwrap();
        assert_ne!(one.root, other.root, "the same data, and nobody sees that");
        let plain = tree(opening.samples.iter().map(Listed::leaf));
        assert_ne!(one.root, plain, "not the root that a report shows");
        assert_eq!(one.open(other_opening).unwrap_err().code(), "TM0566");
        let edits: [fn(&mut Opening); 7] = [
            |opening| opening.samples[2].file = sha256(b"other"),
            |opening| opening.samples[2].label = sha256(b"other"),
            |opening| opening.samples[2].name = "cat/other.png".into(),
            |opening| opening.samples.swap(0, 1),
            |opening| drop(opening.samples.pop()),
            |opening| opening.salt = sha256(b"other"),
            |opening| opening.metric = "f1".to_owned(),
        ];
        for (at, edit) in edits.into_iter().enumerate() {
            let mut edited = opening.clone();
            edit(&mut edited);
            assert_eq!(one.open(edited).unwrap_err().code(), "TM0566", "edit {at}");
        }
        for edited in
            [Commitment { samples: 4, ..one.clone() }, Commitment { metric: "f1".into(), ..one.clone() }]
        {
            assert_eq!(edited.open(opening.clone()).unwrap_err().code(), "TM0566");
        }
        // A shorter salt is none, and neither is a document of the first form.
        let text = opening.to_json().unwrap();
        let salt = opening.salt.to_string();
        assert!(Opening::read(text.replace(&salt, &salt[..32]).as_bytes()).is_err());
        let first = text.replace("\"schema\":2", "\"schema\":1");
        assert!(first != text && Opening::read(first.as_bytes()).is_err());
        let again = Opening::read(opening.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(one.open(again).unwrap().root(), one.root);
    }

    #[test]
    fn a_signed_one_is_read_by_its_signers_key_alone() {
        let [key, other] = [(); 2].map(|()| SigningKey::generate(Algorithm::Ed25519).unwrap());
        let metric = "accuracy".to_owned();
        let commitment = Commitment { schema: SCHEMA, metric, root: sha256(b"root"), samples: 3, made: 7 };
        let signed = commitment.to_json(Some(&key)).unwrap();
        assert_eq!(Commitment::read(&signed, Some(key.public())).unwrap(), commitment);
        assert_eq!(Commitment::read(&signed, Some(other.public())).unwrap_err().code(), "TM0131");
        assert_eq!(Commitment::read(&signed, None).unwrap_err().code(), "TM0566");
        let plain = commitment.to_json(None).unwrap();
        assert_eq!(Commitment::read(&plain, None).unwrap(), commitment);
        assert!(Commitment::read(&plain, Some(key.public())).is_err(), "not signed at all");
        for at in 0..signed.len() {
            let mut edited = signed.clone();
            edited[at] ^= 1;
            assert!(Commitment::read(&edited, Some(key.public())).is_err(), "byte {at}");
        }
    }
}
