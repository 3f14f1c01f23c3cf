use std::ops::Range;

use super::read_manifest;
use crate::envelope::{Envelope, PayloadType};
use crate::writer;
use crate::{BlobEntry, Digest, FactKind, Manifest, Refused, Result, Trust, Verdict, sha256};

/// The beginning of a bundle without its blobs: what can be known, and trusted, before they are fetched.
///
/// With the blobs at the places that [`blobs`](Self::blobs) names and zeros between them it is the bundle's file.
#[derive(Clone, Debug)]
pub struct Head {
    /// Header and envelope.
    bytes: Vec<u8>,
    file_bytes: u64,
    identity: Digest,
    manifest: Manifest,
    ranges: Vec<Range<u64>>,
    verdict: Verdict,
}

impl Head {
    /// Reads the JSON of an envelope, as [`Bundle::envelope`](crate::Bundle::envelope) gives it, and checks signatures, manifest
    /// and policy. No release floor is asked.
    ///
    /// # Errors
    /// The first fact that does not hold, with the verdict up to it.
    pub fn authenticate(envelope: &[u8], trust: &Trust) -> Result<Self, Refused> {
        let mut verdict = Verdict::default();
        match Self::read(envelope, trust, &mut verdict) {
            Ok(head) => Ok(Self { verdict, ..head }),
            Err(error) => Err(Refused::new(error, verdict)),
        }
    }

    fn read(json: &[u8], trust: &Trust, verdict: &mut Verdict) -> Result<Self> {
        let envelope = Envelope::parse(json, PayloadType::MANIFEST)?;
        let identity = sha256(envelope.payload());
        verdict.note(FactKind::WellFormed, true, format!("an envelope alone, bundle {identity}"));
        let manifest = read_manifest(&envelope, trust, verdict)?;
        let (bytes, file_bytes) = writer::head(&envelope, &manifest)?;
        let (ranges, _) = manifest.layout(bytes.len() as u64)?;
        Ok(Self { bytes, file_bytes, identity, manifest, ranges, verdict: Verdict::default() })
    }

    /// Header and envelope: the first bytes of the file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How long the whole file is.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The bundle's identity: the SHA-256 of the manifest's bytes.
    #[must_use]
    pub fn identity(&self) -> Digest {
        self.identity
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The facts so far.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Every blob and where it lies in the file, in file order.
    pub fn blobs(&self) -> impl Iterator<Item = (&BlobEntry, Range<u64>)> {
        self.manifest.blobs.iter().zip(self.ranges.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Algorithm, AppIdentity, BundleWriter, Error, Head, SigningKey, Trust, Untrusted};

    #[test]
    fn a_head_and_its_blobs_are_the_file() {
        let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
        let app = AppIdentity::new("acme/tagger", "1.2.0", 7, "Apache-2.0", "Names things").unwrap();
        let writer = BundleWriter::new(app).blob("graph", &[1; 5000][..]).blob("empty", &[][..]);
        let file = writer.blob("labels", &b"cat"[..]).sign(&[&key]).unwrap();
        let trust = Trust::key(key.public().clone());
        let bundle = Untrusted::from_bytes(file.clone()).unwrap().verify(&trust).unwrap();

        let head = Head::authenticate(&bundle.envelope(), &trust).unwrap();
        assert_eq!(head.file_bytes(), file.len() as u64);
        assert_eq!((head.identity(), head.manifest()), (bundle.identity(), bundle.manifest()));
        let mut made = vec![0; file.len()];
        made[..head.as_bytes().len()].copy_from_slice(head.as_bytes());
        for ((blob, range), (entry, bytes)) in head.blobs().zip(bundle.stored()) {
            assert_eq!(blob, entry);
            made[range.start as usize..range.end as usize].copy_from_slice(bytes);
        }
        assert_eq!(made, file);
    }

    #[test]
    fn a_head_by_a_stranger_is_refused() {
        let [key, other] = [(); 2].map(|()| SigningKey::generate(Algorithm::Ed25519).unwrap());
        let app = AppIdentity::new("acme/tagger", "1.2.0", 7, "Apache-2.0", "").unwrap();
        let file = BundleWriter::new(app).blob("graph", &b"x"[..]).sign(&[&key]).unwrap();
        let trust = Trust::key(key.public().clone());
        let envelope = Untrusted::from_bytes(file).unwrap().verify(&trust).unwrap().envelope();
        let refused = Head::authenticate(&envelope, &Trust::key(other.public().clone())).unwrap_err();
        assert!(matches!(refused.error(), Error::UnknownSigners { .. }), "{refused:?}");
        let refused = Head::authenticate(&envelope[..envelope.len() - 1], &trust).unwrap_err();
        assert!(matches!(refused.error(), Error::Json { .. }), "{refused:?}");
    }
}
