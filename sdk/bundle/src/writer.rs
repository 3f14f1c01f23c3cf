use std::borrow::Cow;

use semver::Version;

use crate::cipher::{self, CHUNK_BYTES, Context};
use crate::envelope::{Envelope, PayloadType};
use crate::header::{HEADER_BYTES, Header};
use crate::limits::{MAX_BUNDLE_BYTES, MAX_ENVELOPE_BYTES};
use crate::manifest::{AppIdentity, BlobEntry, Ceilings, Manifest, SCHEMA, Terms, TermsKind};
use crate::{
    Encryption, EncryptionAlgorithm, Error, KeyId, Origin, Plain, Result, SigningKey, Vault, sha256,
};

/// The oldest SDK that reads what this one writes: what bundles declare as `min_sdk`.
///
/// It stays while releases change something else, so that an app packed by a new SDK runs on an older one. It is raised to
/// the release that first writes what its predecessor cannot read: a key of the manifest, an operation or a field of the
/// graph, a stage or an option of one, a blob that must not be overlooked. `docs/bundle-format.md` has the promise;
/// `sdk/tilemark/tests/formats` holds bundles of every release against it.
pub const OLDEST_READER: Version = Version::new(0, 1, 0);

/// Makes a bundle.
///
/// The same identity, blobs and Ed25519 keys give the same bytes. ECDSA draws randomness, so its file differs each time;
/// the manifest, and with it the bundle's identity, does not.
#[derive(Clone, Debug)]
pub struct BundleWriter<'a> {
    app: AppIdentity,
    min_sdk: Version,
    targets: Vec<String>,
    limits: Ceilings,
    terms: Terms,
    origin: Option<Origin>,
    encryption: Option<(&'a Vault, Vec<KeyId>)>,
    blobs: Vec<(String, Cow<'a, [u8]>)>,
}

impl<'a> BundleWriter<'a> {
    /// A bundle of this app without blobs, for the target `host`, free, for [`OLDEST_READER`] or newer.
    #[must_use]
    pub fn new(app: AppIdentity) -> Self {
        Self {
            app,
            min_sdk: OLDEST_READER,
            targets: Vec::new(),
            limits: Ceilings::default(),
            terms: Terms { kind: TermsKind::Free },
            origin: None,
            encryption: None,
            blobs: Vec::new(),
        }
    }

    /// Adds a device class that the bundle ships something for. Without any, it is `host`.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.targets.push(target.into());
        self
    }

    /// Declares what the app needs at most.
    #[must_use]
    pub fn limits(mut self, limits: Ceilings) -> Self {
        self.limits = limits;
        self
    }

    /// Declares the oldest SDK that may run the app, where that is not [`OLDEST_READER`].
    #[must_use]
    pub fn min_sdk(mut self, min_sdk: Version) -> Self {
        self.min_sdk = min_sdk;
        self
    }

    /// Sets the terms.
    #[must_use]
    pub fn terms(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    /// States where the app comes from. Without, nothing is known of it, and no store sells it.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Encrypts every blob with a key of the vendor's vault. Grants by the keys `issuers` will open the bundle.
    #[must_use]
    pub fn encrypt(mut self, vault: &'a Vault, issuers: &[KeyId]) -> Self {
        let mut issuers = issuers.to_vec();
        issuers.sort_unstable();
        issuers.dedup();
        self.terms = Terms { kind: TermsKind::Licensed };
        self.encryption = Some((vault, issuers));
        self
    }

    /// Adds a blob; blobs lie in the file in the order in which they are added.
    #[must_use]
    pub fn blob(mut self, name: impl Into<String>, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        self.blobs.push((name.into(), bytes.into()));
        self
    }

    /// Signs the manifest with each key and returns the file.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::InvalidValue`], [`Error::DuplicateBlob`], [`Error::TooMany`],
    /// [`Error::TooLarge`] for content outside the format, and what [`Envelope::seal`] returns.
    pub fn sign(self, keys: &[&SigningKey]) -> Result<Vec<u8>> {
        let entry = |(name, bytes): &(String, Cow<'_, [u8]>)| BlobEntry {
            name: name.clone(),
            size: bytes.len() as u64,
            sha256: sha256(bytes),
            plain: None,
        };
        let mut manifest = Manifest {
            schema: SCHEMA,
            app: self.app,
            min_sdk: self.min_sdk,
            targets: if self.targets.is_empty() { vec!["host".into()] } else { self.targets },
            limits: self.limits,
            terms: self.terms,
            origin: self.origin,
            encryption: None,
            blobs: self.blobs.iter().map(entry).collect(),
        };
        let mut blobs = self.blobs;
        if let Some((vault, issuers)) = self.encryption {
            encrypt(&mut manifest, &mut blobs, vault, issuers)?;
        }
        let envelope = Envelope::seal(PayloadType::MANIFEST, manifest.to_json()?, keys)?;
        assemble(&envelope, &manifest, blobs.iter().map(|(_, bytes)| &bytes[..]))
    }
}

/// Replaces blobs by their ciphertext, and says so in the manifest.
fn encrypt(
    manifest: &mut Manifest,
    blobs: &mut [(String, Cow<'_, [u8]>)],
    vault: &Vault,
    issuers: Vec<KeyId>,
) -> Result<()> {
    let binding = manifest.binding()?;
    let key = vault.content_key(binding);
    let encryption = Encryption {
        algorithm: EncryptionAlgorithm::Aes256GcmChunked,
        chunk_bytes: CHUNK_BYTES,
        binding,
        key_commitment: key.commitment(binding),
        issuers,
    };
    let publisher = manifest.app.name.publisher().to_owned();
    let context = Context { publisher: &publisher, encryption: &encryption };
    for ((name, bytes), entry) in blobs.iter_mut().zip(&mut manifest.blobs) {
        let sealed = cipher::seal(&key, &context, name, bytes)?;
        entry.plain = Some(Plain { size: entry.size, sha256: entry.sha256 });
        (entry.size, entry.sha256) = (sealed.len() as u64, sha256(&sealed));
        *bytes = sealed.into();
    }
    manifest.encryption = Some(encryption);
    Ok(())
}

/// The file for an envelope, the manifest inside it, and the manifest's blobs in their order.
pub(crate) fn assemble<'b>(
    envelope: &Envelope,
    manifest: &Manifest,
    blobs: impl Iterator<Item = &'b [u8]>,
) -> Result<Vec<u8>> {
    let (mut file, length) = begin(envelope, |end| manifest.layout(end).map(|(_, length)| length))?;
    let (ranges, _) = manifest.layout(file.len() as u64)?;
    for (range, bytes) in ranges.iter().zip(blobs) {
        let start = to_usize(range.start)?;
        file.resize(start, 0);
        file.extend_from_slice(bytes);
    }
    debug_assert_eq!(file.len() as u64, length);
    Ok(file)
}

/// Header and envelope, and the length of the file that they begin.
pub(crate) fn head(envelope: &Envelope, manifest: &Manifest) -> Result<(Vec<u8>, u64)> {
    let (json, header) = header(envelope, |end| manifest.layout(end).map(|(_, length)| length))?;
    Ok(([&header.to_bytes()[..], &json].concat(), header.file_bytes))
}

/// Header and envelope, with room for the rest; `length_after` tells the file's length from the envelope's end.
pub(crate) fn begin(
    envelope: &Envelope,
    length_after: impl FnOnce(u64) -> Result<u64>,
) -> Result<(Vec<u8>, u64)> {
    let (json, header) = header(envelope, length_after)?;
    let file_bytes = header.file_bytes;
    let mut file = Vec::new();
    file.try_reserve_exact(to_usize(file_bytes)?).map_err(|_| Error::OutOfMemory { bytes: file_bytes })?;
    file.extend_from_slice(&header.to_bytes());
    file.extend_from_slice(&json);
    Ok((file, file_bytes))
}

fn header(envelope: &Envelope, length_after: impl FnOnce(u64) -> Result<u64>) -> Result<(Vec<u8>, Header)> {
    let json = envelope.to_json();
    let envelope_bytes = json.len() as u64;
    if envelope_bytes > MAX_ENVELOPE_BYTES {
        return Err(Error::TooLarge { what: "envelope", found: envelope_bytes, max: MAX_ENVELOPE_BYTES });
    }
    let file_bytes = length_after(HEADER_BYTES as u64 + envelope_bytes)?;
    if file_bytes > MAX_BUNDLE_BYTES {
        return Err(Error::TooLarge { what: "bundle", found: file_bytes, max: MAX_BUNDLE_BYTES });
    }
    let header = Header { envelope_bytes, file_bytes, envelope_sha256: sha256(&json) };
    Ok((json, header))
}

fn to_usize(bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| Error::OutOfMemory { bytes })
}
