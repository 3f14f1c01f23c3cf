//! Pulling: the manifest by tag or digest, the envelope that it names, then by the signed manifest in that the blobs that are not
//! here; and all of it verified as a bundle before it takes its place.

use std::path::Path;

use tilemark_bundle::limits::MAX_ENVELOPE_BYTES;
use tilemark_bundle::{
    AppIdentity, Bundle, Digest, Floors, Head, Refused, Trust, Untrusted, durable, sha256,
};

use super::image::{Image, REPORT, blob_path, written};
use super::reference::Version;
use super::referrers::Referring;
use super::{Registry, check_hash};
use crate::client::{Assembly, Progress, create_dirs, prune_parts};
use crate::contract::Report;
use crate::error::{Error, Result};
use crate::limits::MAX_IMAGE_BYTES;

/// What a pull did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pulled {
    /// The app in the bundle.
    pub app: AppIdentity,
    /// The bundle's identity.
    pub identity: Digest,
    /// The SHA-256 of the image's manifest.
    pub image: Digest,
    /// Bytes of blobs that were fetched.
    pub fetched: u64,
    /// Bytes of blobs that the bundle that was at the output had already.
    pub reused: u64,
}

/// What is attached to an image as evaluations of the bundle in it.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Attached {
    /// Evaluations of this bundle.
    pub reports: Vec<Report>,
    /// What is none, by the digest of its manifest: anybody who may push can attach anything.
    pub refused: Vec<(String, Error)>,
}

impl Registry {
    /// Fetches a bundle into the file `output`, or makes the one that is there the one that was asked for: blobs that it has are not
    /// fetched again. Until it is whole and verified, what was there stays; `parts` has what an interrupted pull left.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotABundle`], [`Error::WrongHash`] and its like, or what the bundle is refused for.
    pub fn pull(
        &self,
        trust: &Trust,
        floors: &Floors,
        output: &Path,
        parts: &Path,
        progress: Progress<'_>,
    ) -> Result<Pulled> {
        let (image, sha256) = self.image()?;
        let head = self.head(&image, trust)?;
        let app = head.manifest().app.clone();
        floors.check(&app, head.identity())?;
        create_dirs(parts)?;
        let _lock = durable::wait_for_lock(parts)?;
        prune_parts(parts);
        let old = whole_at(output, trust);
        let mirrors = &self.mirrors;
        let assembly = Assembly { mirrors, at: blob_path, head: &head, trust, old: old.as_ref() };
        let (fetched, reused) = assembly.make(output, parts, progress)?.replace(output, floors)?;
        Ok(Pulled { app, identity: head.identity(), image: sha256, fetched, reused })
    }

    /// The evaluations that refer to an image which was pulled, about the bundle in it, and which are none. Who signed them is for others to
    /// check.
    ///
    /// # Errors
    /// [`Error::NotABundle`] for a list that is none, or that the registry cannot be reached.
    pub fn reports(&self, image: Digest, identity: Digest) -> Result<Attached> {
        let mut attached = Attached::default();
        for Referring { digest, envelope } in self.referring(REPORT, &image)? {
            let report = envelope.and_then(|envelope| Report::new(&envelope));
            match report.and_then(|report| report.read(identity, &[]).map(|_| report)) {
                Ok(report) => attached.reports.push(report),
                Err(error) => attached.refused.push((digest, error)),
            }
        }
        Ok(attached)
    }

    /// The manifest. A tag is asked for once: all else is asked for by its digest, so it does not matter if the tag moves.
    fn image(&self) -> Result<(Image, Digest)> {
        let under = match &self.reference.version {
            Version::Tag(tag) => tag.clone(),
            Version::Digest(digest) => written(digest),
        };
        let path = format!("manifests/{under}");
        let found = self.mirrors.get(&path, MAX_IMAGE_BYTES, |bytes| {
            if let Version::Digest(digest) = &self.reference.version {
                check_hash(&path, &bytes, *digest)?;
            }
            Ok(bytes)
        })?;
        let bytes = found.ok_or_else(|| Error::NotFound { what: self.reference.to_string() })?;
        let image = Image::parse(&bytes).map_err(|reason| self.not_a_bundle("the manifest", reason))?;
        Ok((image, sha256(&bytes)))
    }

    /// The beginning of the bundle, by somebody who is trusted, and of the image's layers.
    fn head(&self, image: &Image, trust: &Trust) -> Result<Head> {
        let wrong = |reason: String| self.not_a_bundle("the manifest", reason);
        let wanted = image.envelope().map_err(wrong)?;
        let path = blob_path(&wanted.sha256().map_err(wrong)?);
        let envelope = self.document(&path, wanted, MAX_ENVELOPE_BYTES)?;
        let head = Head::authenticate(&envelope, trust).map_err(Refused::into_error)?;
        image.check(&head).map_err(wrong)?;
        Ok(head)
    }
}

/// A bundle that is there, if it is whole and by somebody who is trusted; else there is nothing to take blobs from.
fn whole_at(path: &Path, trust: &Trust) -> Option<Bundle> {
    Untrusted::from_path(path).ok()?.verify(trust).ok()
}
