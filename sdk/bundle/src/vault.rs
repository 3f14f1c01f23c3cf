//! What a vendor keeps to itself: the secret behind its bundles' content keys, which bundles there are, and what was granted.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use semver::Version;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cipher::{self, ContentKey};
use crate::limits::{MAX_FLOOR_BYTES, MAX_KEY_FILE_BYTES};
use crate::{AppName, Bundle, Digest, Error, KeyId, LicenseError, Result, durable, json, pem};

/// A directory that only the vendor may read.
///
/// Content keys are derived from one secret and a bundle's content, so packing stays reproducible and there is one thing to
/// back up: who loses the secret cannot grant what is out already; who steals it can decrypt all of it.
pub struct Vault {
    dir: PathBuf,
    secret: Zeroizing<[u8; 32]>,
}

/// One bundle that was encrypted with this vault.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VaultEntry {
    schema: u64,
    /// The bundle.
    pub identity: Digest,
    /// Its app.
    pub app: AppName,
    /// Its version, for people.
    pub version: Version,
    /// Its release.
    pub release: u64,
    /// What its content key is derived from, and made for.
    pub binding: Digest,
    /// The keys whose grants open it.
    pub issuers: Vec<KeyId>,
    /// What the key commits to; a secret that was swapped is noticed.
    pub key_commitment: Digest,
}

const SCHEMA: u64 = 1;
const SECRET: &str = "vault secret";
const LABEL: &str = "TILEMARK VAULT SECRET";

impl Vault {
    /// Opens the vault in `dir`, or makes one there if there is nothing.
    ///
    /// # Errors
    /// [`LicenseError::VaultDamaged`], [`Error::Random`], [`Error::Io`].
    pub fn open_or_create(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        let path = dir.join("secret.pem");
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                durable::make_private_dir(&dir.join("bundles"))?;
                let _lock = durable::lock(&dir)?;
                // Another process may have made it meanwhile; a secret is never replaced.
                if !path.exists() {
                    let secret = Zeroizing::new(pem::encode(LABEL, &*cipher::random()?));
                    durable::replace(&path, secret.as_bytes(), true, &|_| ())?;
                }
            }
            _ => {}
        }
        Self::open(dir)
    }

    /// Opens the vault in `dir`.
    ///
    /// # Errors
    /// [`LicenseError::VaultDamaged`], [`Error::Io`].
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        let path = dir.join("secret.pem");
        let text = Zeroizing::new(crate::file::read_text(&path, SECRET, MAX_KEY_FILE_BYTES)?);
        let damaged = |reason: String| LicenseError::VaultDamaged { path: path.clone(), reason };
        let bytes = pem::decode(SECRET, LABEL, &text).map_err(|error| damaged(error.to_string()))?;
        let bytes = Zeroizing::new(bytes);
        let secret = <[u8; 32]>::try_from(bytes.as_slice())
            .map_err(|_| damaged(format!("{} bytes, expected 32", bytes.len())))?;
        Ok(Self { dir, secret: Zeroizing::new(secret) })
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The content key of the bundle with this [binding](crate::Manifest::binding).
    #[must_use]
    pub fn content_key(&self, binding: Digest) -> ContentKey {
        let info: [&[u8]; 1] = [b"tilemark content key v1"];
        ContentKey::from_bytes(cipher::derive(&*self.secret, binding.as_bytes(), &info))
    }

    /// Remembers a bundle that was encrypted with this vault, so that grants for it can be issued.
    ///
    /// # Errors
    /// [`LicenseError::NotEncrypted`], [`LicenseError::WrongContentKey`] if another vault's, [`Error::Io`].
    pub fn register(&self, bundle: &Bundle) -> Result<VaultEntry> {
        let manifest = bundle.manifest();
        let app = &manifest.app;
        let encryption = manifest.encryption.as_ref();
        let encryption =
            encryption.ok_or_else(|| LicenseError::NotEncrypted { app: app.name.to_string() })?;
        let entry = VaultEntry {
            schema: SCHEMA,
            identity: bundle.identity(),
            app: app.name.clone(),
            version: app.version.clone(),
            release: app.release,
            binding: encryption.binding,
            issuers: encryption.issuers.clone(),
            key_commitment: encryption.key_commitment,
        };
        self.key_for(&entry)?;
        durable::make_private_dir(&self.dir.join("bundles"))?;
        let _lock = durable::lock(&self.dir)?;
        let text = json::to_vec(&entry)?;
        durable::replace(&self.entry_path(entry.identity), &text, true, &|_| ())?;
        Ok(entry)
    }

    /// The content key of a bundle of this vault.
    ///
    /// # Errors
    /// [`LicenseError::WrongContentKey`] if the vault's secret is not the one that the bundle was made with.
    pub fn key_for(&self, entry: &VaultEntry) -> Result<ContentKey> {
        let key = self.content_key(entry.binding);
        let (expected, found) = (entry.key_commitment, key.commitment(entry.binding));
        if expected != found {
            return Err(LicenseError::WrongContentKey { expected, found }.into());
        }
        Ok(key)
    }

    /// The bundle with this identity.
    ///
    /// # Errors
    /// [`LicenseError::UnknownBundle`], [`LicenseError::VaultDamaged`], [`Error::Io`].
    pub fn entry(&self, identity: Digest) -> Result<VaultEntry> {
        let path = self.entry_path(identity);
        let damaged = |reason: String| LicenseError::VaultDamaged { path: path.clone(), reason };
        let text = match crate::file::read_text(&path, "vault entry", MAX_FLOOR_BYTES) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Err(LicenseError::UnknownBundle { identity }.into());
            }
            other => other?,
        };
        let entry: VaultEntry = json::from_slice("vault entry", text.as_bytes(), MAX_FLOOR_BYTES)
            .map_err(|error| damaged(error.to_string()))?;
        if entry.schema != SCHEMA || entry.identity != identity {
            return Err(damaged(format!("it is about {} in schema {}", entry.identity, entry.schema)).into());
        }
        Ok(entry)
    }

    /// Every bundle of the vault, by app and release.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub fn entries(&self) -> Result<Vec<VaultEntry>> {
        let dir = self.dir.join("bundles");
        let mut entries = Vec::new();
        for file in fs::read_dir(&dir).map_err(durable::io("list", &dir))? {
            let name = file.map_err(durable::io("list", &dir))?.file_name();
            let identity = name.to_str().and_then(|name| name.strip_suffix(".json")?.parse().ok());
            if let Some(identity) = identity {
                entries.push(self.entry(identity)?);
            }
        }
        entries.sort_by(|a: &VaultEntry, b| (&a.app, a.release).cmp(&(&b.app, b.release)));
        Ok(entries)
    }

    fn entry_path(&self, identity: Digest) -> PathBuf {
        self.dir.join("bundles").join(format!("{identity}.json"))
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({}, secret not shown)", self.dir.display())
    }
}
