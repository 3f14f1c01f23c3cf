//! What the examples need to run on their own: the photo tagger of this folder, packed and signed by a key made for the
//! occasion. An integrator gets a bundle and a public key instead, and needs nothing of this.

pub mod attack;
pub mod market;

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tilemark::pack::Package;
use tilemark::{Algorithm, Error, SigningKey, Trust};

/// The tagger as a vendor would deliver it, in a temporary folder that goes with it.
#[derive(Debug)]
pub struct Delivery {
    folder: TempDir,
    key: SigningKey,
}

impl Delivery {
    /// Packs and signs `examples/apps/tagger`: some seconds, most of them for its golden vectors.
    ///
    /// # Errors
    /// Those of packing; [`Error::Io`] if there is no room for the files.
    pub fn tagger() -> Result<Self, Error> {
        let folder =
            tempfile::tempdir().map_err(|source| Error::Io { path: std::env::temp_dir(), source })?;
        let key = SigningKey::generate(Algorithm::Ed25519)?;
        let bundle = Package::from_description(app_folder().join("app.toml"))?.sign(&[&key])?;
        let delivery = Self { folder, key };
        write(&delivery.bundle(), &bundle)?;
        write(&delivery.public_key(), delivery.key.public().to_pem().as_bytes())?;
        Ok(delivery)
    }

    /// The bundle file.
    #[must_use]
    pub fn bundle(&self) -> PathBuf {
        self.folder.path().join("tagger.tmk")
    }

    /// The vendor's public key, as PEM.
    #[must_use]
    pub fn public_key(&self) -> PathBuf {
        self.folder.path().join("vendor.pub")
    }

    /// The vendor's signing key: for the examples that play the vendor.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// A policy that trusts the vendor's key.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust::key(self.key.public().clone())
    }

    /// A path in the same folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The folder of the tagger's sources.
#[must_use]
pub fn app_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/tagger")
}

/// The photos beside the tagger, by name.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be read.
pub fn photos() -> Result<Vec<PathBuf>, Error> {
    let folder = app_folder().join("samples");
    let list = std::fs::read_dir(&folder).and_then(|entries| entries.map(|e| Ok(e?.path())).collect());
    let mut photos: Vec<PathBuf> = list.map_err(|source| Error::Io { path: folder, source })?;
    photos.sort();
    Ok(photos)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    std::fs::write(path, bytes).map_err(|source| Error::Io { path: path.to_owned(), source })
}
