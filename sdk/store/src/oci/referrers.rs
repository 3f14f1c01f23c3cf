//! What refers to an image: by the registry's own list, or where it has none by a tag of the subject's digest, as the specification
//! has it.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tilemark_bundle::Digest;

use super::Registry;
use super::image::{Descriptor, INDEX, Image, Index, MANIFEST, Sealed, blob_path, written};
use crate::error::Result;
use crate::limits::{MAX_IMAGE_BYTES, MAX_REFERRERS, MAX_REPORT_BYTES};

/// What is said to refer to an image.
pub(super) struct Referring {
    /// Its manifest's, as the registry lists it.
    pub(super) digest: String,
    pub(super) envelope: Result<Vec<u8>>,
}

impl Registry {
    /// The envelopes of one kind that refer to an image, or why one of them is not to be had; that they refer to it is checked, what is in
    /// them is not. Those that a registry leaves out nobody misses. Anybody can attach anything to an image, so one that is wrong takes
    /// none of the others with it.
    ///
    /// # Errors
    /// [`Error::NotABundle`](crate::Error::NotABundle) for a list that is none, or that the registry cannot be reached.
    pub(super) fn referring(&self, kind: &str, subject: &Digest) -> Result<Vec<Referring>> {
        let mut found = Vec::new();
        let listed = self.listed(subject)?;
        let of_kind = |one: &&Descriptor| one.artifact_type.as_deref().is_none_or(|found| found == kind);
        for one in listed.iter().filter(of_kind).take(MAX_REFERRERS) {
            let envelope = match self.referrer(one, kind, subject) {
                Ok(Some(envelope)) => Ok(envelope),
                Ok(None) => continue,
                Err(error) if error.is_unreachable() => return Err(error),
                Err(error) => Err(error),
            };
            found.push(Referring { digest: tilemark_bundle::text::excerpt(&one.digest), envelope });
        }
        Ok(found)
    }

    fn referrer(&self, one: &Descriptor, kind: &str, subject: &Digest) -> Result<Option<Vec<u8>>> {
        let no_referrer = |reason: String| self.not_a_bundle("a referrer", reason);
        let sha256 = one.sha256().map_err(no_referrer)?;
        let path = format!("manifests/{}", written(&sha256));
        let image = Image::parse(&self.document(&path, one, MAX_IMAGE_BYTES)?).map_err(no_referrer)?;
        let Some(layer) = image.refers(kind, subject).map_err(no_referrer)? else { return Ok(None) };
        let path = blob_path(&layer.sha256().map_err(no_referrer)?);
        self.document(&path, layer, MAX_REPORT_BYTES as u64).map(Some)
    }

    /// The list of what refers to an image, as the registry or the tag has it.
    fn listed(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let own = format!("referrers/{}", written(subject));
        match self.index(&own)? {
            Some(index) => Ok(index.manifests),
            None => Ok(self.index(&tagged(subject))?.map_or_else(Vec::new, |index| index.manifests)),
        }
    }

    fn index(&self, path: &str) -> Result<Option<Index>> {
        let bytes = self.mirrors.get(path, MAX_IMAGE_BYTES, Ok)?;
        bytes.map(|bytes| self.parsed(&bytes)).transpose()
    }

    fn parsed<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(|error| {
            self.not_a_bundle("the list of referrers", tilemark_bundle::text::excerpt(&error.to_string()))
        })
    }

    /// Adds what refers to an image to its tag; what others say there, also in fields that are not known here, stays. Two that do so at
    /// once may lose one of theirs; pushing again adds it.
    pub(super) fn list_by_tag(&self, kind: &str, referrer: &Sealed, subject: &Descriptor) -> Result<()> {
        let of = subject.sha256().map_err(|reason| self.not_a_bundle("the subject", reason))?;
        let one = Descriptor { artifact_type: Some(kind.to_owned()), ..Descriptor::of(MANIFEST, referrer) };
        let Some(bytes) = self.mirrors.get(&tagged(&of), MAX_IMAGE_BYTES, Ok)? else {
            return self.put_document(&tag(&of), INDEX, &Sealed::json(&Index::new(vec![one]))?).map(drop);
        };
        let index: Index = self.parsed(&bytes)?;
        if index.manifests.iter().any(|other| other.digest == one.digest) {
            return Ok(());
        }
        let mut document: Value = self.parsed(&bytes)?;
        if let Some(listed) = document.get_mut("manifests").and_then(Value::as_array_mut) {
            listed.push(json!(one));
        }
        self.put_document(&tag(&of), INDEX, &Sealed::json(&document)?).map(drop)
    }
}

fn tag(subject: &Digest) -> String {
    format!("sha256-{subject}")
}

fn tagged(subject: &Digest) -> String {
    format!("manifests/{}", tag(subject))
}
