//! From bytes of unknown origin to a bundle, one type per degree of trust.

mod blobs;
mod head;
mod refused;
pub(crate) mod signers;

use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use crate::cipher::{self, ContentKey};
use crate::envelope::{Envelope, PayloadType};
use crate::header::{HEADER_BYTES, Header};
use crate::limits::{BLOB_ALIGNMENT, MAX_BUNDLE_BYTES};
use crate::{
    BlobEntry, Digest, Error, FactKind, Floors, KeyId, LicenseError, Manifest, PublicKey, Result, SigningKey,
    Trust, Verdict, sdk_version, sha256, writer,
};

pub use head::Head;
pub use refused::Refused;
use refused::step;

/// A file in private memory whose header and envelope are well-formed. Nobody vouches for it yet.
///
/// It hands out no content; that is a compile error, not a check at run time:
/// ```compile_fail,E0599
/// # fn f(file: tilemark_bundle::Untrusted) {
/// file.blob("graph");
/// # }
/// ```
#[derive(Debug)]
pub struct Untrusted {
    bytes: Vec<u8>,
    header: Header,
    envelope: Envelope,
}

impl Untrusted {
    /// Reads the file at `path` once, whole; later changes to the file change nothing here.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotAFile`], [`Error::OutOfMemory`], or as [`from_bytes`](Self::from_bytes). Memory is only taken for
    /// as many bytes as the file has, and only if its header says the same.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let io = |source| Error::Io { action: "read", path: path.into(), source };
        let (mut file, metadata) = crate::file::open_regular(path)?;
        let mut bytes = Vec::new();
        file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut bytes).map_err(io)?;
        let header = Header::parse(&bytes, metadata.len())?;
        let out_of_memory = || Error::OutOfMemory { bytes: header.file_bytes };
        let length = usize::try_from(header.file_bytes).map_err(|_| out_of_memory())?;
        // One byte more, so that a file that grows meanwhile is seen without a second allocation.
        bytes.try_reserve_exact(length.saturating_sub(bytes.len()) + 1).map_err(|_| out_of_memory())?;
        file.take(header.file_bytes.saturating_sub(HEADER_BYTES as u64) + 1)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        Self::from_bytes(bytes)
    }

    /// Takes the bytes of a bundle.
    ///
    /// # Errors
    /// What is wrong with the header or the envelope: [`Error::NotABundle`], [`Error::Truncated`],
    /// [`Error::TrailingBytes`], [`Error::UnsupportedFormat`], [`Error::Header`], [`Error::TooLarge`],
    /// [`Error::EnvelopeDamaged`], or as [`Envelope::parse`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let header = Header::parse(&bytes, bytes.len() as u64)?;
        let json = bytes.get(header.envelope_range()).unwrap_or_default();
        let found = sha256(json);
        if found != header.envelope_sha256 {
            return Err(Error::EnvelopeDamaged { declared: header.envelope_sha256, found });
        }
        let envelope = Envelope::parse(json, PayloadType::MANIFEST)?;
        Ok(Self { bytes, header, envelope })
    }

    /// The bundle's identity: the SHA-256 of the manifest's bytes.
    #[must_use]
    pub fn identity(&self) -> Digest {
        sha256(self.envelope.payload())
    }

    /// Who is said to have signed.
    pub fn signers(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.envelope.signatures().iter().map(|signature| signature.keyid)
    }

    /// The bytes that a signature is made over, for signing with another tool.
    #[must_use]
    pub fn signed_message(&self) -> Vec<u8> {
        self.envelope.pae()
    }

    /// The same bundle with one more signature, as a new file; its identity stays.
    ///
    /// Nothing was verified: sign what you made or have verified, see [`Bundle::with_signature`].
    ///
    /// # Errors
    /// As [`Envelope::sign`], or [`Error::TooLarge`], [`Error::Layout`].
    pub fn with_signature(&self, key: &SigningKey) -> Result<Vec<u8>> {
        self.with_envelope(|envelope| envelope.sign(key))
    }

    /// The same for a signature over [`signed_message`](Self::signed_message) that another tool made.
    ///
    /// # Errors
    /// As [`Envelope::attach`], or [`Error::TooLarge`], [`Error::Layout`].
    pub fn with_foreign_signature(&self, key: &PublicKey, signature: &[u8]) -> Result<Vec<u8>> {
        self.with_envelope(|envelope| envelope.attach(key, signature))
    }

    /// Checks signatures, manifest, policy and blobs.
    ///
    /// No floor is asked: an older release passes, and the verdict says so.
    ///
    /// # Errors
    /// The first fact that does not hold, with the verdict up to it.
    pub fn verify(self, trust: &Trust) -> Result<Bundle, Refused> {
        self.authenticate(trust)?.hash_blobs()
    }

    /// The same, and refuses a release older than the newest that was accepted here; records this one.
    ///
    /// # Errors
    /// The first fact that does not hold, with the verdict up to it.
    pub fn verify_with(self, trust: &Trust, floors: &Floors) -> Result<Bundle, Refused> {
        self.authenticate(trust)?.check_floor(floors)?.hash_blobs()
    }

    /// Checks signatures, manifest and policy. The manifest is parsed only after a trusted signature over it held.
    ///
    /// # Errors
    /// The first fact that does not hold, with the verdict up to it.
    pub fn authenticate(self, trust: &Trust) -> Result<Authentic, Refused> {
        let mut verdict = Verdict::default();
        match self.read_manifest(trust, &mut verdict) {
            Ok(manifest) => {
                let Self { bytes, header, envelope } = self;
                Ok(Authentic { bytes, header, envelope, manifest, verdict, floors: None })
            }
            Err(error) => Err(Refused::new(error, verdict)),
        }
    }

    fn read_manifest(&self, trust: &Trust, verdict: &mut Verdict) -> Result<Manifest> {
        let evidence = format!("format 1, {} bytes, bundle {}", self.bytes.len(), self.identity());
        verdict.note(FactKind::WellFormed, true, evidence);
        read_manifest(&self.envelope, trust, verdict)
    }

    fn with_envelope(&self, change: impl FnOnce(&mut Envelope) -> Result<()>) -> Result<Vec<u8>> {
        replace_envelope(&self.bytes, &self.header, &self.envelope, change)
    }
}

/// A file whose manifest is signed by keys that the policy accepts for its publisher. Its blobs are not hashed yet:
/// ```compile_fail,E0599
/// # fn f(file: tilemark_bundle::Authentic) {
/// file.blob("graph");
/// # }
/// ```
#[derive(Debug)]
pub struct Authentic {
    bytes: Vec<u8>,
    header: Header,
    envelope: Envelope,
    manifest: Manifest,
    verdict: Verdict,
    floors: Option<Floors>,
}

impl Authentic {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The bundle's identity: the SHA-256 of the manifest's bytes.
    #[must_use]
    pub fn identity(&self) -> Digest {
        sha256(self.envelope.payload())
    }

    /// The verdict, to add what else is known of the bundle's revocation.
    pub fn verdict_mut(&mut self) -> &mut Verdict {
        &mut self.verdict
    }

    /// The facts so far.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Refuses a release older than the newest that was accepted here. This one is recorded once its blobs are hashed.
    ///
    /// # Errors
    /// [`Error::RolledBack`], [`Error::ReleaseReused`], [`Error::FloorDamaged`] or [`Error::Io`], with the verdict.
    pub fn check_floor(mut self, floors: &Floors) -> Result<Self, Refused> {
        let release = self.manifest.app.release;
        let outcome = floors.check(&self.manifest.app, self.identity());
        let checked = step(&mut self.verdict, FactKind::NotRolledBack, outcome, |floor| match floor {
            Some(floor) => format!("release {release}, the floor is {}", floor.release),
            None => format!("release {release} is the first that is seen here"),
        });
        match checked {
            Ok(_) => Ok(Self { floors: Some(floors.clone()), ..self }),
            Err(error) => Err(Refused::new(error, self.verdict)),
        }
    }

    /// Hashes every blob, on several threads if there is much to hash.
    ///
    /// # Errors
    /// [`Error::Layout`], [`Error::GapNotZero`] or [`Error::BlobDamaged`], with the verdict.
    pub fn hash_blobs(mut self) -> Result<Bundle, Refused> {
        if self.floors.is_none() {
            self.verdict.note(FactKind::NotRolledBack, false, "not checked: no record of releases was given");
        }
        let outcome = blobs::check(&self.bytes, &self.header, &self.manifest);
        let checked = step(&mut self.verdict, FactKind::BlobsIntact, outcome, |ranges| {
            let total: usize = ranges.iter().map(Range::len).sum();
            format!("{} blobs, {total} bytes, each equal to its SHA-256; gaps are zero", ranges.len())
        });
        let recorded = checked.and_then(|ranges| self.record().map(|()| ranges));
        match recorded {
            Ok(ranges) => {
                self.verdict.note(FactKind::GoldenReplayed, false, "not run: it needs a device");
                let Self { bytes, header, envelope, manifest, verdict, .. } = self;
                Ok(Bundle { bytes: bytes.into(), header, envelope, manifest, ranges, plain: None, verdict })
            }
            Err(error) => Err(Refused::new(error, self.verdict)),
        }
    }

    /// Raises the floor. That it cannot be written is a fact, not a refusal: a read-only device still runs its app.
    fn record(&mut self) -> Result<()> {
        let release = self.manifest.app.release;
        let Some(floors) = &self.floors else {
            self.verdict.note(FactKind::FloorRecorded, false, "not asked: no record of releases was given");
            return Ok(());
        };
        match floors.record(&self.manifest.app, self.identity()) {
            Ok(()) => {
                self.verdict.note(FactKind::FloorRecorded, true, format!("release {release} is the floor"))
            }
            Err(error @ (Error::Io { .. } | Error::NotAFile { .. })) => {
                self.verdict.note(FactKind::FloorRecorded, false, format!("could not be recorded: {error}"));
            }
            Err(error) => {
                // Another process recorded a newer release since the check.
                self.verdict.set(FactKind::NotRolledBack, false, error.to_string());
                return Err(error);
            }
        }
        Ok(())
    }
}

/// A verified bundle: the manifest is signed by trusted keys, and every blob is the one that the manifest names.
#[derive(Debug)]
pub struct Bundle {
    bytes: Bytes,
    header: Header,
    envelope: Envelope,
    manifest: Manifest,
    ranges: Vec<Range<usize>>,
    /// The blobs of an encrypted bundle, once it is unlocked.
    plain: Option<Vec<Bytes>>,
    verdict: Verdict,
}

impl Bundle {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The bundle's identity: the SHA-256 of the manifest's bytes.
    #[must_use]
    pub fn identity(&self) -> Digest {
        sha256(self.envelope.payload())
    }

    /// The facts that verification found.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The verdict, to add what only a device can tell, such as the replay of golden vectors.
    pub fn verdict_mut(&mut self) -> &mut Verdict {
        &mut self.verdict
    }

    /// Whether its blobs are encrypted and were not decrypted yet.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.manifest.encryption.is_some() && self.plain.is_none()
    }

    /// Decrypts every blob and compares it with the manifest. A bundle without encryption stays as it is.
    ///
    /// # Errors
    /// [`LicenseError::WrongContentKey`], [`LicenseError::ChunkNotAuthentic`], [`LicenseError::PlaintextDamaged`], or
    /// [`Error::OutOfMemory`]: the plaintext is in memory beside the file.
    pub fn unlock(mut self, key: &ContentKey) -> Result<Self> {
        let Some(encryption) = &self.manifest.encryption else { return Ok(self) };
        let (expected, found) = (encryption.key_commitment, key.commitment(encryption.binding));
        if expected != found {
            return Err(LicenseError::WrongContentKey { expected, found }.into());
        }
        let context = cipher::Context { publisher: self.manifest.app.name.publisher(), encryption };
        let open = |(blob, range): (&BlobEntry, &Range<usize>)| {
            let locked = || LicenseError::Locked { name: blob.name.clone() };
            let plain = blob.plain.as_ref().ok_or_else(locked)?;
            let sealed = self.bytes.get(range.clone()).unwrap_or_default();
            cipher::open(key, &context, &blob.name, sealed, plain).map(Bytes::from_owner)
        };
        let blobs = self.manifest.blobs.iter().zip(&self.ranges).map(open).collect::<Result<Vec<_>>>()?;
        let evidence = format!("{} blobs decrypted, each equal to its plaintext's SHA-256", blobs.len());
        self.verdict.set(FactKind::PlaintextIntact, true, evidence);
        self.plain = Some(blobs);
        Ok(self)
    }

    /// The bytes of a blob: the very bytes that were hashed.
    ///
    /// # Errors
    /// [`Error::NoSuchBlob`], or [`LicenseError::Locked`].
    pub fn blob(&self, name: &str) -> Result<&[u8]> {
        let found = self.blobs().find_map(|(found, bytes)| (found == name).then_some(bytes));
        found.ok_or_else(|| self.no_blob(name))
    }

    /// Like [`Bundle::blob`], sharing the bundle's memory.
    ///
    /// # Errors
    /// As [`Bundle::blob`].
    pub fn shared_blob(&self, name: &str) -> Result<Bytes> {
        let plain = self.plain.iter().flatten().zip(&self.manifest.blobs);
        for (bytes, blob) in plain {
            if blob.name == name {
                return Ok(bytes.clone());
            }
        }
        Ok(self.bytes.slice_ref(self.blob(name)?))
    }

    /// Names and bytes of all blobs, in file order; none of a bundle that is locked.
    pub fn blobs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let count = if self.is_locked() { 0 } else { self.ranges.len() };
        let bytes = self.ranges.iter().take(count).enumerate().map(|(at, range)| match &self.plain {
            Some(plain) => plain.get(at).map(|bytes| &bytes[..]).unwrap_or_default(),
            None => self.bytes.get(range.clone()).unwrap_or_default(),
        });
        self.manifest.blobs.iter().map(|blob| blob.name.as_str()).zip(bytes)
    }

    /// Every blob and its bytes as they lie in the file: of an encrypted bundle the ciphertext.
    pub fn stored(&self) -> impl Iterator<Item = (&BlobEntry, &[u8])> {
        let bytes = self.ranges.iter().map(|range| self.bytes.get(range.clone()).unwrap_or_default());
        self.manifest.blobs.iter().zip(bytes)
    }

    fn no_blob(&self, name: &str) -> Error {
        let mut names = self.manifest.blobs.iter().map(|blob| blob.name.as_str());
        if self.is_locked() && names.clone().any(|found| found == name) {
            return LicenseError::Locked { name: crate::text::excerpt(name) }.into();
        }
        let shown: Vec<_> = names.by_ref().take(8).collect();
        let more = if names.next().is_some() { ", …" } else { "" };
        Error::NoSuchBlob { name: crate::text::excerpt(name), available: shown.join(", ") + more }
    }

    /// The signed manifest with its signatures: the JSON of the DSSE envelope, as it is in the file.
    #[must_use]
    pub fn envelope(&self) -> Vec<u8> {
        self.envelope.to_json()
    }

    /// The whole file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// This bundle with one more signature, as a new file; its identity stays.
    ///
    /// # Errors
    /// As [`Envelope::sign`], or [`Error::TooLarge`].
    pub fn with_signature(&self, key: &SigningKey) -> Result<Vec<u8>> {
        replace_envelope(&self.bytes, &self.header, &self.envelope, |envelope| envelope.sign(key))
    }
}

/// The manifest in an envelope that keys of the policy signed, and that it accepts for its publisher.
fn read_manifest(envelope: &Envelope, trust: &Trust, verdict: &mut Verdict) -> Result<Manifest> {
    let signers = signers::trusted(envelope, trust, verdict)?;
    let not_revoked = signers::check_revoked(&signers, sha256(envelope.payload()), trust);
    step(verdict, FactKind::NotRevoked, not_revoked, String::clone)?;
    let manifest = step(verdict, FactKind::ManifestValid, Manifest::parse(envelope.payload()), |manifest| {
        let app = &manifest.app;
        format!("{} {}, release {}, {} blobs", app.name, app.version, app.release, manifest.blobs.len())
    })?;
    signers::check_publisher(&signers, manifest.app.name.publisher(), trust, verdict)?;
    step(verdict, FactKind::SdkNewEnough, check_sdk(&manifest), |found| {
        format!("needs {}, this is {found}", manifest.min_sdk)
    })?;
    Ok(manifest)
}

fn check_sdk(manifest: &Manifest) -> Result<semver::Version> {
    let found = sdk_version();
    if manifest.min_sdk > found {
        return Err(Error::SdkTooOld { needed: manifest.min_sdk.clone(), found });
    }
    Ok(found)
}

/// A new file with a changed envelope. Blobs lie relative to a page boundary after it, so they move as a whole.
fn replace_envelope(
    bytes: &[u8],
    header: &Header,
    envelope: &Envelope,
    change: impl FnOnce(&mut Envelope) -> Result<()>,
) -> Result<Vec<u8>> {
    let mut envelope = envelope.clone();
    change(&mut envelope)?;
    let old_end = header.envelope_range().end as u64;
    let old_start = old_end.next_multiple_of(BLOB_ALIGNMENT);
    let short = || Error::Layout { expected: old_start, found: bytes.len() as u64 };
    let blobs = usize::try_from(old_start).ok().and_then(|start| bytes.get(start..)).ok_or_else(short)?;
    let (mut file, _) = writer::begin(&envelope, |end| {
        let length = end.next_multiple_of(BLOB_ALIGNMENT).checked_add(blobs.len() as u64);
        length.ok_or(Error::TooLarge { what: "bundle", found: u64::MAX, max: MAX_BUNDLE_BYTES })
    })?;
    let alignment = usize::try_from(BLOB_ALIGNMENT).unwrap_or(usize::MAX);
    file.resize(file.len().next_multiple_of(alignment), 0);
    file.extend_from_slice(blobs);
    Ok(file)
}
