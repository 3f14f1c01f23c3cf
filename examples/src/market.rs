//! The stage on which attacks on terms are played: a vendor who grants, and devices that buy.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tilemark::license::{Clock, Licenses, keeper};
use tilemark::{
    App, Device, Error, FactKind, GrantClass, Home, Offer, SigningKey, Trust, Untrusted, Vault, verify_with,
};

use crate::attack::{self, Breach, Refusal, Scene};

/// A vendor with an encrypted app, and a folder for everybody's state.
#[derive(Debug)]
pub struct Market {
    scene: &'static Scene,
    folder: tempfile::TempDir,
    vault: Vault,
    file: Vec<u8>,
    clock: Arc<AtomicU64>,
}

/// A device that may ask for grants.
#[derive(Clone, Debug)]
pub struct Buyer {
    home: Home,
    trust: Trust,
    file: PathBuf,
}

/// When the story begins.
pub const START: u64 = 1_800_000_000;
/// Seconds of a day.
pub const DAY: u64 = 86_400;

impl Market {
    /// The tagger, for sale.
    ///
    /// # Errors
    /// [`Breach::Stage`] if it cannot be packed.
    pub fn open() -> Result<Self, Breach> {
        let scene = Scene::tagger()?;
        let folder = tempfile::tempdir().map_err(|error| Breach::Stage(error.to_string()))?;
        let vault = Vault::open_or_create(folder.path().join("vault"))?;
        let file = scene.encrypted(scene.identity(), &vault, scene.vendor())?;
        let market = Self { scene, folder, vault, file, clock: Arc::new(AtomicU64::new(START)) };
        market.register(&market.file)?;
        Ok(market)
    }

    /// The genuine file.
    #[must_use]
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// The vendor's key.
    #[must_use]
    pub fn vendor(&self) -> &SigningKey {
        self.scene.vendor()
    }

    /// The vendor's vault.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The scene behind it.
    #[must_use]
    pub fn scene(&self) -> &Scene {
        self.scene
    }

    /// Makes a bundle known to the vault.
    ///
    /// # Errors
    /// [`Breach::Stage`] if it is not the vendor's.
    pub fn register(&self, file: &[u8]) -> Result<(), Breach> {
        let trust = Trust::key(self.vendor().public().clone());
        let bundle =
            Untrusted::from_bytes(file.to_vec())?.verify(&trust).map_err(tilemark_bundle::Error::from)?;
        self.vault.register(&bundle)?;
        Ok(())
    }

    /// A device of this name; the same name is the same device. It trusts the vendor.
    ///
    /// # Errors
    /// [`Breach::Stage`] if there is no room for it.
    pub fn buyer(&self, name: &str) -> Result<Buyer, Breach> {
        let home = Home::at(self.folder.path().join(name)).with_clock(Clock::given(self.clock.clone()));
        let file = self.folder.path().join(format!("{name}.tmk"));
        let buyer = Buyer { home, trust: Trust::key(self.vendor().public().clone()), file };
        buyer.receive(&self.file)?;
        Ok(buyer)
    }

    /// Sets everybody's clock.
    pub fn set_clock(&self, to: u64) {
        self.clock.store(to, Ordering::Relaxed);
    }

    /// The vendor's answer to a device's request, as text.
    ///
    /// # Errors
    /// [`Breach::Stage`] if it refuses.
    pub fn sell(&self, buyer: &Buyer, offer: &Offer) -> Result<Vec<u8>, Breach> {
        let now = self.clock.load(Ordering::Relaxed);
        Ok(self.vault.issue(&buyer.request()?, offer, self.vendor(), now)?)
    }
}

impl Buyer {
    /// Its licences.
    #[must_use]
    pub fn licenses(&self) -> Licenses {
        self.home.licenses()
    }

    /// A file of its state.
    #[must_use]
    pub fn state(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Gets another file for the app's.
    ///
    /// # Errors
    /// [`Breach::Stage`] if it cannot be written.
    pub fn receive(&self, file: &[u8]) -> Result<(), Breach> {
        std::fs::write(&self.file, file).map_err(|error| Breach::Stage(error.to_string()))
    }

    /// Trusts these keys for everything, as a buyer may who is the attacker.
    #[must_use]
    pub fn trusting(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }

    /// Asks for a grant.
    ///
    /// # Errors
    /// [`Breach::Stage`] if it has no key and none can be made.
    pub fn request(&self) -> Result<Vec<u8>, Breach> {
        let identity = Untrusted::from_path(&self.file)?.identity();
        Ok(self.licenses().request(identity, &*keeper("file")?)?)
    }

    /// Installs a grant.
    ///
    /// # Errors
    /// Why not.
    pub fn install(&self, grant: &[u8]) -> Result<(), Error> {
        self.licenses().install(grant, &self.trust).map(|_| ())
    }

    /// Installs a grant that must be refused with this code.
    ///
    /// # Errors
    /// [`Breach::Accepted`] if it is not, [`Breach::Otherwise`] if for another reason.
    pub fn must_not_install(&self, grant: &[u8], code: &'static str) -> Result<Refusal, Breach> {
        match self.install(grant) {
            Ok(()) => Err(Breach::Accepted),
            Err(error) => Refusal::expect(code, &error, None),
        }
    }

    /// Lends a seat of its floating grant to another device, until a second.
    ///
    /// # Errors
    /// Why not.
    pub fn lend(&self, to: &Self, until: u64) -> Result<Vec<u8>, Error> {
        let identity = Untrusted::from_path(&to.file)?.identity();
        let request = to.licenses().request(identity, &*keeper("file")?)?;
        self.licenses().lease(&request, until, None, &self.trust)
    }

    /// Runs the app once, in what is as good as a process of its own.
    ///
    /// # Errors
    /// Why not, and the fact that does not hold.
    pub fn run(&self) -> Result<(), Box<(Error, Option<FactKind>)>> {
        let bundle = verify_with(&self.file, &self.trust, &self.home).map_err(|error| {
            let fact = attack::failed(&error);
            Box::new((error, fact))
        })?;
        let app = App::load(bundle, &self.trust, &self.home).map_err(|denied| {
            let (error, verdict) = *denied;
            // What was looked at first; what comes after a refusal was not.
            let licence = [FactKind::Entitled, FactKind::PlaintextIntact];
            let fact = verdict.facts().iter().find(|fact| !fact.holds && licence.contains(&fact.fact));
            Box::new((error, fact.map(|fact| fact.fact)))
        })?;
        let none =
            || Error::Contents { what: "golden vectors", reason: "there is nothing to run it on".into() };
        let run = || app.session(Device::host())?.run(app.sample_input().ok_or_else(none)?);
        run().map(|_| ()).map_err(|error| Box::new((error, None)))
    }

    /// Runs the app, which must be refused with this code.
    ///
    /// # Errors
    /// [`Breach::Accepted`] if it runs, [`Breach::Otherwise`] if something else stops it.
    pub fn must_not_run(&self, code: &'static str) -> Result<Refusal, Breach> {
        match self.run() {
            Ok(()) => Err(Breach::Accepted),
            Err(refused) => Refusal::expect(code, &refused.0, refused.1),
        }
    }

    /// Runs the app, which must work.
    ///
    /// # Errors
    /// [`Breach::Stage`] if it does not.
    pub fn runs(&self) -> Result<(), Breach> {
        self.run().map_err(|refused| refused.0.into())
    }
}

/// A trial of so many inferences.
#[must_use]
pub fn trial(inferences: u64) -> Offer {
    Offer { inferences: Some(inferences), ..Offer::new(GrantClass::Trial) }
}
