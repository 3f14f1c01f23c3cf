use std::borrow::Cow;

use semver::Version;

use crate::envelope::{Envelope, PayloadType};
use crate::header::{HEADER_BYTES, Header};
use crate::limits::{MAX_BUNDLE_BYTES, MAX_ENVELOPE_BYTES};
use crate::manifest::{AppIdentity, BlobEntry, Ceilings, Manifest, SCHEMA, Terms, TermsKind};
use crate::{Error, Result, SigningKey, sdk_version, sha256};

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
    blobs: Vec<(String, Cow<'a, [u8]>)>,
}

impl<'a> BundleWriter<'a> {
    /// A bundle of this app without blobs, for the target `host`, free, for this SDK or newer.
    #[must_use]
    pub fn new(app: AppIdentity) -> Self {
        Self {
            app,
            min_sdk: sdk_version(),
            targets: Vec::new(),
            limits: Ceilings::default(),
            terms: Terms { kind: TermsKind::Free },
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

    /// Declares the oldest SDK that may run the app.
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
        };
        let manifest = Manifest {
            schema: SCHEMA,
            app: self.app,
            min_sdk: self.min_sdk,
            targets: if self.targets.is_empty() { vec!["host".into()] } else { self.targets },
            limits: self.limits,
            terms: self.terms,
            blobs: self.blobs.iter().map(entry).collect(),
        };
        let envelope = Envelope::seal(PayloadType::MANIFEST, manifest.to_json()?, keys)?;
        assemble(&envelope, &manifest, self.blobs.iter().map(|(_, bytes)| &bytes[..]))
    }
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

/// Header and envelope; `length_after` tells the file's length from the envelope's end.
pub(crate) fn begin(
    envelope: &Envelope,
    length_after: impl FnOnce(u64) -> Result<u64>,
) -> Result<(Vec<u8>, u64)> {
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
    let mut file = Vec::new();
    file.try_reserve_exact(to_usize(file_bytes)?).map_err(|_| Error::OutOfMemory { bytes: file_bytes })?;
    file.extend_from_slice(&header.to_bytes());
    file.extend_from_slice(&json);
    Ok((file, file_bytes))
}

fn to_usize(bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| Error::OutOfMemory { bytes })
}
