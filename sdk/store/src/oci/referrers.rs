//! What refers to an image: by the registry's own list, or where it has none by a tag of the subject's digest, as the specification
//! has it.

use tilemark_bundle::Digest;

use super::Registry;
use super::image::{Descriptor, INDEX, Image, Index, MANIFEST, Sealed, blob_path, written};
use crate::error::Result;
use crate::limits::{MAX_IMAGE_BYTES, MAX_REFERRERS, MAX_REPORT_BYTES};

impl Registry {
    /// The envelopes of one kind that refer to an image; that they do is checked, what is in them is not. Those that a registry
    /// leaves out nobody misses.
    ///
    /// # Errors
    /// [`Error::NotABundle`](crate::Error::NotABundle) for one of another subject, or why what the registry sent was refused.
    pub(super) fn referring(&self, kind: &str, subject: &Digest) -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        let listed = self.listed(subject)?;
        let of_kind = |one: &&Descriptor| one.artifact_type.as_deref().is_none_or(|found| found == kind);
        for one in listed.iter().filter(of_kind).take(MAX_REFERRERS) {
            let no_referrer = |reason: String| self.not_a_bundle("a referrer", reason);
            let sha256 = one.sha256().map_err(no_referrer)?;
            let path = format!("manifests/{}", written(&sha256));
            let image = Image::parse(&self.document(&path, one, MAX_IMAGE_BYTES)?).map_err(no_referrer)?;
            let Some(layer) = image.refers(kind, subject).map_err(no_referrer)? else { continue };
            let path = blob_path(&layer.sha256().map_err(no_referrer)?);
            found.push(self.document(&path, layer, MAX_REPORT_BYTES as u64)?);
        }
        Ok(found)
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
        let parse = |bytes: Vec<u8>| serde_json::from_slice(&bytes);
        let index = bytes.map(parse).transpose();
        index.map_err(|error| {
            self.not_a_bundle("the list of referrers", crate::metadata::excerpt(&error.to_string()))
        })
    }

    /// Adds what refers to an image to its tag. Two that do so at once may lose one of theirs; pushing again adds it.
    pub(super) fn list_by_tag(&self, kind: &str, referrer: &Sealed, subject: &Descriptor) -> Result<()> {
        let of = subject.sha256().map_err(|reason| self.not_a_bundle("the subject", reason))?;
        let mut listed = self.index(&tagged(&of))?.map_or_else(Vec::new, |index| index.manifests);
        let one = Descriptor { artifact_type: Some(kind.to_owned()), ..Descriptor::of(MANIFEST, referrer) };
        if listed.iter().any(|other| other.digest == one.digest) {
            return Ok(());
        }
        listed.push(one);
        let index = Sealed::json(&Index::new(listed))?;
        self.put_document(&tag(&of), INDEX, &index).map(drop)
    }
}

fn tag(subject: &Digest) -> String {
    format!("sha256-{subject}")
}

fn tagged(subject: &Digest) -> String {
    format!("manifests/{}", tag(subject))
}
