use std::collections::BTreeMap;
use std::ops::Range;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::limits::{
    BLOB_ALIGNMENT, MAX_BLOBS, MAX_DESCRIPTION_BYTES, MAX_JSON_INTEGER, MAX_MANIFEST_BYTES,
    MAX_SHORT_TEXT_BYTES, MAX_TARGETS,
};
use crate::name::{AppName, check_blob_name, check_name_part};
use crate::text::excerpt;
use crate::{Digest, Encryption, Error, Origin, Plain, Result, json};

/// The manifest schema that this SDK writes and reads.
pub(crate) const SCHEMA: u64 = 1;

/// The signed index of a bundle: who, what, where, under which terms. Its JSON is `docs/bundle-format.md`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Manifest {
    /// The version of this document's form.
    pub schema: u64,
    /// Who publishes what.
    pub app: AppIdentity,
    /// The oldest SDK that may run the app.
    pub min_sdk: Version,
    /// Device classes that the bundle ships something for, such as `host`.
    pub targets: Vec<String>,
    /// Ceilings that the app declares for itself.
    pub limits: Ceilings,
    /// Under which terms the app may be used.
    pub terms: Terms,
    /// Where it comes from; bundles of before this was asked have none, and nothing is known of theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// How its blobs are encrypted; only and always where the terms are [`TermsKind::Licensed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// The blobs, in file order.
    pub blobs: Vec<BlobEntry>,
}

/// Who publishes what, in which release.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AppIdentity {
    /// `publisher/name`.
    pub name: AppName,
    /// For people; nothing compares it.
    pub version: Version,
    /// Monotonic; rollback protection compares this.
    pub release: u64,
    /// An SPDX expression, such as `Apache-2.0` or `LicenseRef-acme-eula`.
    pub license: String,
    /// One or two lines of text.
    pub description: String,
}

/// What the app declares that it needs at most; 0 declares nothing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ceilings {
    /// Bytes of activations in memory at once.
    pub max_arena_bytes: u64,
    /// Multiply-accumulates of one inference.
    pub max_macs: u64,
}

/// Under which terms the app may be used.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Terms {
    /// What kind of terms.
    pub kind: TermsKind,
}

/// A closed list.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TermsKind {
    /// Whoever trusts the bundle may run it.
    Free,
    /// Whoever has a grant may run it; its blobs are encrypted.
    Licensed,
}

/// One blob: its name, length and content.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BlobEntry {
    /// A relative path, see [`check_blob_name`].
    pub name: String,
    /// Length in bytes, without the gap before it.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// What decryption must give; only and always in an encrypted bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain: Option<Plain>,
}

impl AppIdentity {
    /// An identity from texts, each checked.
    ///
    /// # Errors
    /// [`Error::InvalidName`] or [`Error::InvalidValue`].
    pub fn new(name: &str, version: &str, release: u64, license: &str, description: &str) -> Result<Self> {
        let version = Version::parse(version)
            .map_err(|_| invalid("app.version", version, "a semantic version such as 1.2.0"))?;
        let identity = Self {
            name: name.parse()?,
            version,
            release,
            license: license.into(),
            description: description.into(),
        };
        identity.check()?;
        Ok(identity)
    }

    fn check(&self) -> Result<()> {
        check_version("app.version", &self.version)?;
        check_integer("app.release", self.release)?;
        crate::origin::check_license("app.license", &self.license)?;
        // Control characters would let a description move the cursor of the terminal that shows it.
        if self.description.len() > MAX_DESCRIPTION_BYTES || self.description.chars().any(char::is_control) {
            let expected = "at most 1024 bytes without control characters";
            return Err(invalid("app.description", &self.description, expected));
        }
        Ok(())
    }
}

impl Manifest {
    /// Reads the payload of an envelope whose signatures were checked.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self> {
        Self::parse_bare(payload).map_err(|error| Error::Manifest(Box::new(error)))
    }

    fn parse_bare(payload: &[u8]) -> Result<Self> {
        // A newer schema may have other keys: tell people to update rather than that a key is unknown.
        match json::peek_integer("manifest", payload, MAX_MANIFEST_BYTES, "schema")? {
            Some(found) if found != SCHEMA => {
                return Err(Error::UnsupportedSchema { found, supported: SCHEMA });
            }
            _ => {}
        }
        let manifest: Self = json::from_slice("manifest", payload, MAX_MANIFEST_BYTES)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The JSON that is signed: compact, keys in the order of the struct's fields.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        self.check()?;
        let bytes = serde_json::to_vec(self).map_err(|error| Error::InvalidValue {
            field: "manifest".into(),
            found: error.to_string(),
            expected: "JSON",
        })?;
        if bytes.len() > MAX_MANIFEST_BYTES {
            let (found, max) = (bytes.len() as u64, MAX_MANIFEST_BYTES as u64);
            return Err(Error::TooLarge { what: "manifest", found, max });
        }
        Ok(bytes)
    }

    fn check(&self) -> Result<()> {
        self.app.check()?;
        check_version("min_sdk", &self.min_sdk)?;
        check_integer("limits.max_arena_bytes", self.limits.max_arena_bytes)?;
        check_integer("limits.max_macs", self.limits.max_macs)?;
        check_targets(&self.targets)?;
        self.origin.as_ref().map_or(Ok(()), Origin::check)?;
        check_blobs(&self.blobs)?;
        crate::encryption::check(self)
    }

    /// Where each blob lies in a file whose envelope ends at `envelope_end`, and where the file ends.
    pub(crate) fn layout(&self, envelope_end: u64) -> Result<(Vec<Range<u64>>, u64)> {
        let mut end = envelope_end;
        let mut ranges = Vec::with_capacity(self.blobs.len());
        for blob in &self.blobs {
            let start = end.checked_next_multiple_of(BLOB_ALIGNMENT);
            let range = start.and_then(|start| Some(start..start.checked_add(blob.size)?));
            let range = range.ok_or_else(|| too_long(blob))?;
            end = range.end;
            ranges.push(range);
        }
        Ok((ranges, end))
    }
}

fn check_targets(targets: &[String]) -> Result<()> {
    if targets.len() > MAX_TARGETS {
        return Err(Error::TooMany { what: "targets", found: targets.len(), max: MAX_TARGETS });
    }
    if targets.is_empty() {
        return Err(invalid("targets", "[]", "at least one device class, such as host"));
    }
    for (index, target) in targets.iter().enumerate() {
        check_name_part(target).map_err(|reason| Error::InvalidName {
            what: "target",
            name: excerpt(target),
            reason,
        })?;
        if targets.iter().take(index).any(|other| other == target) {
            let (what, name) = ("target", target.clone());
            return Err(Error::InvalidName { what, name, reason: "it is there twice" });
        }
    }
    Ok(())
}

fn check_blobs(blobs: &[BlobEntry]) -> Result<()> {
    if blobs.len() > MAX_BLOBS {
        return Err(Error::TooMany { what: "blobs", found: blobs.len(), max: MAX_BLOBS });
    }
    // With at least one blob, everything after the envelope moves as a whole when a signature is added.
    if blobs.is_empty() {
        return Err(invalid("blobs", "[]", "at least one blob"));
    }
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (index, blob) in blobs.iter().enumerate() {
        check_blob_name(&blob.name)?;
        check_integer(&format!("blobs[{index}].size"), blob.size)?;
        // Case twins would be one file on some systems.
        if let Some(other) = seen.insert(blob.name.to_ascii_lowercase(), &blob.name) {
            return Err(Error::DuplicateBlob { name: blob.name.clone(), other: other.into() });
        }
    }
    Ok(())
}

fn check_version(field: &'static str, version: &Version) -> Result<()> {
    let text = version.to_string();
    if text.len() > MAX_SHORT_TEXT_BYTES {
        return Err(invalid(field, &text, "a semantic version of at most 256 bytes"));
    }
    Ok(())
}

pub(crate) fn check_integer(field: &str, value: u64) -> Result<()> {
    if value > MAX_JSON_INTEGER {
        return Err(invalid(field, &value.to_string(), "at most 9007199254740991 (2^53 - 1)"));
    }
    Ok(())
}

fn too_long(blob: &BlobEntry) -> Error {
    invalid(
        &format!("size of the blob {}", blob.name),
        &blob.size.to_string(),
        "blobs that end within 2^64 bytes",
    )
}

pub(crate) fn invalid(field: &str, found: &str, expected: &'static str) -> Error {
    Error::InvalidValue { field: field.into(), found: excerpt(found), expected }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
