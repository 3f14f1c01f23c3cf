//! A vendor with a vault, its encrypted bundles, and devices that ask for grants: for the crate's own tests and for those beside them.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use tilemark_bundle::{
    Algorithm, AppIdentity, Bundle, BundleWriter, DeviceKey, DeviceSecret, Offer, Request, Result,
    SignedGrant, SigningKey, Strength, Trust, Untrusted, Vault,
};

pub(crate) struct Shop {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) key: SigningKey,
    pub(crate) vault: Vault,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open_or_create(folder.path().join("vault")).unwrap();
        Self { folder, key: SigningKey::generate(Algorithm::Ed25519).unwrap(), vault }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::key(self.key.public().clone())
    }

    /// An encrypted bundle of these blobs, signed, as a file.
    pub(crate) fn pack(&self, name: &str, release: u64, blobs: &[(&str, &[u8])]) -> Vec<u8> {
        let app = AppIdentity::new(name, "1.2.0", release, "Apache-2.0", "").unwrap();
        let writer =
            blobs.iter().fold(BundleWriter::new(app), |writer, (name, bytes)| writer.blob(*name, *bytes));
        writer.encrypt(&self.vault, &[self.key.public().id()]).sign(&[&self.key]).unwrap()
    }

    /// A file that verifies, locked.
    pub(crate) fn open(&self, file: &[u8]) -> Bundle {
        Untrusted::from_bytes(file.to_vec()).unwrap().verify(&self.trust()).unwrap()
    }

    /// A small bundle that the vault knows.
    pub(crate) fn bundle(&self, name: &str, release: u64) -> Bundle {
        let bundle = self.open(&self.pack(name, release, &[("graph", b"integers"), ("weights", &[5; 9000])]));
        self.vault.register(&bundle).unwrap();
        bundle
    }

    /// The text of a grant for a device.
    pub(crate) fn issue(&self, bundle: &Bundle, device: &DeviceKey, offer: &Offer) -> Result<Vec<u8>> {
        let request = Request::make(bundle.identity(), device)?;
        self.vault.issue(&request, offer, &self.key, 1000)
    }

    pub(crate) fn grant(&self, bundle: &Bundle, device: &DeviceKey, offer: &Offer) -> Result<SignedGrant> {
        SignedGrant::verify(&self.issue(bundle, device, offer)?, &self.trust())
    }
}

/// A device whose key is a file; the same seed is the same device.
pub(crate) fn device(seed: u8) -> DeviceKey {
    DeviceKey::from_secret(&DeviceSecret::from_slice(&[seed; 32]).unwrap(), Strength::Software).unwrap()
}
