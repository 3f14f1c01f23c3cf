use std::sync::atomic::{AtomicU64, Ordering};

use tilemark_bundle::{Algorithm, AppIdentity, BundleWriter, Offer, SigningKey, Untrusted, Vault};
use tilemark_testkit::temp::copy_folder;

use super::*;

/// A vendor, one of its bundles, and a device with a clock that the test sets.
pub(super) struct Shop {
    pub(super) folder: tempfile::TempDir,
    pub(super) key: SigningKey,
    vault: Vault,
    pub(super) file: Vec<u8>,
    clock: Arc<AtomicU64>,
}

pub(super) const START: u64 = 1_800_000_000;

impl Shop {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open_or_create(folder.path().join("vault")).unwrap();
        let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
        let app = AppIdentity::new("acme/tagger", "1.0.0", 7, "MIT", "").unwrap();
        let writer = BundleWriter::new(app).blob("graph", &b"integers"[..]);
        let file = writer.encrypt(&vault, &[key.public().id()]).sign(&[&key]).unwrap();
        let shop = Self { folder, key, vault, file, clock: Arc::new(AtomicU64::new(START)) };
        shop.vault.register(&shop.bundle()).unwrap();
        shop
    }

    pub(super) fn trust(&self) -> Trust {
        Trust::key(self.key.public().clone())
    }

    pub(super) fn bundle(&self) -> Bundle {
        Untrusted::from_bytes(self.file.clone()).unwrap().verify(&self.trust()).unwrap()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A device whose state is in a folder of this name.
    pub(super) fn device(&self, name: &str) -> Licenses {
        Licenses::at(self.path(name), Clock::given(self.clock.clone()))
    }

    pub(super) fn set_clock(&self, to: u64) {
        self.clock.store(to, Ordering::Relaxed);
    }

    fn issue(&self, device: &Licenses, offer: &Offer) -> Vec<u8> {
        let request = device.request(self.bundle().identity(), &*keeper("file").unwrap()).unwrap();
        self.vault.issue(&request, offer, &self.key, self.clock.load(Ordering::Relaxed)).unwrap()
    }

    /// Issues and installs.
    pub(super) fn grant(&self, device: &Licenses, offer: &Offer) -> SignedGrant {
        let grant = self.issue(device, offer);
        device.install(&grant, &self.trust()).unwrap().0
    }

    pub(super) fn entitle(&self, device: &Licenses) -> Result<License, Error> {
        let mut bundle = self.bundle();
        let (license, key) = device.entitle(&mut bundle, &self.trust())?;
        assert_eq!(bundle.unlock(&key).unwrap().blob("graph").unwrap(), b"integers");
        Ok(license)
    }

    #[track_caller]
    pub(super) fn refused(&self, device: &Licenses, code: &str) {
        let error = self.entitle(device).err();
        assert_eq!(error.as_ref().map(Error::code), Some(code), "{error:?}");
        assert!(!error.unwrap().hint().is_empty());
    }

    /// What the vendor finds in the device's statement.
    pub(super) fn audit(&self, device: &Licenses, grant: &SignedGrant) -> Statement {
        Statement::verify(&device.statement(grant.grant().id).unwrap(), &self.trust()).unwrap()
    }
}

fn owned() -> Offer {
    Offer::new(GrantClass::Owned)
}

fn trial(inferences: u64) -> Offer {
    Offer { inferences: Some(inferences), ..Offer::new(GrantClass::Trial) }
}

fn until(class: GrantClass, end: u64) -> Offer {
    Offer { not_after: Some(end), ..Offer::new(class) }
}

/// How many inferences a license gives before it refuses.
fn drain(license: &License) -> u64 {
    (0..10_000).find(|_| license.take(1).is_err()).expect("it refuses at last")
}

#[test]
fn a_device_without_a_grant_is_told_what_to_do() {
    let shop = Shop::new();
    let device = shop.device("a");
    shop.refused(&device, "TM0530");
    let grant = shop.issue(&shop.device("b"), &owned());
    assert_eq!(device.install(&grant, &shop.trust()).unwrap_err().code(), "TM0530");
    device.request(shop.bundle().identity(), &*keeper("file").unwrap()).unwrap();
    shop.refused(&device, "TM0530");
    assert_eq!(device.install(&grant, &shop.trust()).unwrap_err().code(), "TM0178");
    assert!(device.installed().unwrap().is_empty());
}

#[test]
fn a_trial_stops_at_its_end_across_processes() {
    let shop = Shop::new();
    let device = shop.device("a");
    let grant = shop.grant(&device, &trial(3));
    for left in (0..3).rev() {
        // As in a process of its own: the license is dropped after one inference.
        let license = shop.entitle(&device).unwrap();
        license.take(1).unwrap();
        drop(license);
        assert_eq!(shop.audit(&device, &grant).usage().used, 3 - left);
    }
    shop.refused(&device, "TM0531");
    let listed = device.installed().unwrap();
    assert!(listed[0].refusal.as_ref().unwrap().contains("3 of 3"), "{listed:?}");
}

#[test]
fn a_grant_that_begins_later_waits() {
    let shop = Shop::new();
    let device = shop.device("a");
    shop.grant(&device, &Offer { not_before: Some(START + 10_000), ..trial(3) });
    shop.refused(&device, "TM0533");
    shop.set_clock(START + 10_000);
    shop.entitle(&device).unwrap().take(1).unwrap();
}

#[test]
fn what_was_not_used_goes_back_when_a_process_ends() {
    let shop = Shop::new();
    let device = shop.device("a");
    let grant = shop.grant(&device, &trial(6400));
    let license = shop.entitle(&device).unwrap();
    (0..7).for_each(|_| license.take(1).unwrap());
    assert_eq!(shop.audit(&device, &grant).usage().used, 100, "a block is reserved");
    drop(license);
    assert_eq!(shop.audit(&device, &grant).usage().used, 7);
    // A batch larger than a block, and one that is larger than what is left.
    let license = shop.entitle(&device).unwrap();
    license.take(500).unwrap();
    assert_eq!(license.take(5894).unwrap_err().code(), "TM0531");
    license.take(5893).unwrap();
    assert_eq!(license.take(1).unwrap_err().code(), "TM0531");
}

#[test]
fn a_grant_that_was_used_up_cannot_be_installed_again() {
    let shop = Shop::new();
    let device = shop.device("a");
    let text = shop.issue(&device, &trial(2));
    let (grant, first) = device.install(&text, &shop.trust()).unwrap();
    assert_eq!(
        (first, device.install(&text, &shop.trust()).unwrap().1),
        (Installation::New, Installation::Known)
    );
    assert_eq!(drain(&shop.entitle(&device).unwrap()), 2);
    assert_eq!(device.install(&text, &shop.trust()).unwrap_err().code(), "TM0539");
    // Nor with its file and its receipts removed: the witness knows it.
    std::fs::remove_file(device.grant_path(grant.grant().id)).unwrap();
    assert_eq!(device.install(&text, &shop.trust()).unwrap_err().code(), "TM0539");
    std::fs::remove_dir_all(shop.path("a/license/receipts")).unwrap();
    assert_eq!(device.install(&text, &shop.trust()).unwrap_err().code(), "TM0535");
    std::fs::remove_dir_all(shop.path("a/license")).unwrap();
    assert_eq!(device.install(&text, &shop.trust()).unwrap_err().code(), "TM0538");
    // With its key removed too, it is another device.
    std::fs::remove_dir_all(shop.path("a")).unwrap();
    device.request(shop.bundle().identity(), &*keeper("file").unwrap()).unwrap();
    assert_eq!(device.install(&text, &shop.trust()).unwrap_err().code(), "TM0178");
}

#[test]
fn state_that_was_put_back_is_noticed() {
    let shop = Shop::new();
    let device = shop.device("a");
    let grant = shop.grant(&device, &trial(10));
    let log = shop.path(&format!("a/license/receipts/{}.log", grant.grant().id));
    let witness = shop.path("a/license/witness.json");
    shop.entitle(&device).unwrap().take(1).unwrap();
    let (old_log, old_witness) = (std::fs::read(&log).unwrap(), std::fs::read(&witness).unwrap());
    (0..3).for_each(|_| shop.entitle(&device).unwrap().take(1).unwrap());
    let (new_log, new_witness) = (std::fs::read(&log).unwrap(), std::fs::read(&witness).unwrap());
    std::fs::write(&log, &old_log).unwrap();
    shop.refused(&device, "TM0535");
    std::fs::write(&log, &new_log).unwrap();
    std::fs::write(&witness, &old_witness).unwrap();
    shop.refused(&device, "TM0535");
    std::fs::write(&witness, &new_witness).unwrap();
    shop.entitle(&device).unwrap();
    // Cut by one receipt, and removed.
    let cut = new_log[..new_log.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
    std::fs::write(&log, &new_log[..cut]).unwrap();
    shop.refused(&device, "TM0535");
    std::fs::remove_file(&log).unwrap();
    shop.refused(&device, "TM0535");
    std::fs::write(&log, &new_log).unwrap();
    std::fs::remove_file(&witness).unwrap();
    shop.refused(&device, "TM0538");
}

#[test]
fn both_put_back_at_once_is_found_by_the_vendor() {
    let shop = Shop::new();
    let device = shop.device("a");
    let grant = shop.grant(&device, &trial(10));
    shop.entitle(&device).unwrap().take(1).unwrap();
    copy_folder(&shop.path("a"), &shop.path("backup"));
    (0..3).for_each(|_| shop.entitle(&device).unwrap().take(1).unwrap());
    let before = shop.audit(&device, &grant);
    std::fs::remove_dir_all(shop.path("a")).unwrap();
    copy_folder(&shop.path("backup"), &shop.path("a"));
    // Software alone cannot see this; docs/trust.md says so.
    shop.set_clock(START + 60);
    (0..5).for_each(|_| shop.entitle(&device).unwrap().take(1).unwrap());
    let after = shop.audit(&device, &grant);
    assert_eq!(after.continues(&before).unwrap_err().code(), "TM0185");
}

#[test]
fn state_of_another_device_is_refused() {
    let shop = Shop::new();
    let (one, two) = (shop.device("a"), shop.device("b"));
    shop.grant(&one, &trial(10));
    shop.grant(&two, &trial(10));
    shop.entitle(&two).unwrap().take(1).unwrap();
    let log = |name: &str| {
        let folder = shop.path(name).join("license/receipts");
        std::fs::read_dir(folder).unwrap().next().map(|entry| entry.unwrap().path())
    };
    let target =
        shop.path("a/license/receipts").join(format!("{}.log", one.installed().unwrap()[0].grant.grant().id));
    std::fs::copy(log("b").unwrap(), &target).unwrap();
    shop.refused(&one, "TM0536");
    std::fs::remove_file(target).unwrap();
    std::fs::copy(shop.path("b/license/witness.json"), shop.path("a/license/witness.json")).unwrap();
    shop.refused(&one, "TM0536");
}

#[test]
fn any_changed_byte_of_the_state_is_refused() {
    let shop = Shop::new();
    let device = shop.device("a");
    let grant = shop.grant(&device, &trial(100));
    shop.entitle(&device).unwrap().take(1).unwrap();
    let witness = shop.path("a/license/witness.json");
    let identity = shop.path("a/device/identity.json");
    let installed = device.grant_path(grant.grant().id);
    for path in [witness, identity, installed] {
        let good = std::fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 4;
            std::fs::write(&path, &bad).unwrap();
            assert!(shop.entitle(&device).is_err(), "{} byte {at}", path.display());
        }
        std::fs::write(&path, &good).unwrap();
        shop.entitle(&device).unwrap();
    }
}

#[test]
fn a_clock_that_is_set_back_gains_nothing() {
    let shop = Shop::new();
    let device = shop.device("a");
    shop.grant(&device, &until(GrantClass::Trial, START + 10 * DAY));
    let license = shop.entitle(&device).unwrap();
    shop.set_clock(START + 9 * DAY);
    shop.entitle(&device).unwrap();
    shop.set_clock(START + 11 * DAY);
    assert_eq!(license.take(1).unwrap_err().code(), "TM0532", "also in a session that runs");
    shop.refused(&device, "TM0532");
    shop.set_clock(START + DAY);
    shop.refused(&device, "TM0534");
    shop.set_clock(START + 9 * DAY - 200);
    shop.entitle(&device).unwrap();
    // A clock that was once far ahead harms nothing that a new grant would not mend.
    shop.set_clock(START);
    let offer = Offer { again: true, ..until(GrantClass::Trial, START + 10 * DAY) };
    shop.grant(&device, &offer);
    shop.entitle(&device).unwrap();
}

#[test]
fn a_clock_that_is_set_back_is_shown_where_it_does_not_matter() {
    let shop = Shop::new();
    let device = shop.device("a");
    shop.grant(&device, &trial(10));
    shop.entitle(&device).unwrap().take(1).unwrap();
    shop.set_clock(START - DAY + 1000);
    let mut bundle = shop.bundle();
    // The grant's begin is part of its terms; its budget needs no clock.
    assert_eq!(device.entitle(&mut bundle, &shop.trust()).err().map(|e| e.code()), None);
    let fact = bundle.verdict().get(FactKind::StateContinuous).unwrap();
    assert!(!fact.holds && fact.evidence.contains("set back"), "{fact:?}");
}

#[test]
fn subscriptions_have_a_signed_grace() {
    let shop = Shop::new();
    let device = shop.device("a");
    let offer = Offer { grace_seconds: 3 * DAY, ..until(GrantClass::Subscription, START + 30 * DAY) };
    shop.grant(&device, &offer);
    shop.set_clock(START + 32 * DAY);
    let mut bundle = shop.bundle();
    device.entitle(&mut bundle, &shop.trust()).unwrap();
    let fact = bundle.verdict().get(FactKind::Entitled).unwrap();
    assert!(fact.holds && fact.evidence.contains("grace"), "{fact:?}");
    shop.set_clock(START + 34 * DAY);
    shop.refused(&device, "TM0532");
}

#[test]
fn what_was_bought_needs_no_clock_no_state_and_no_vendor() {
    let shop = Shop::new();
    let device = shop.device("a");
    shop.grant(&device, &owned());
    std::fs::remove_dir_all(shop.vault.dir()).unwrap();
    for time in [0, START - 1000 * DAY, START + 100_000 * DAY] {
        shop.set_clock(time);
        let license = shop.entitle(&device).unwrap();
        (0..1000).for_each(|_| license.take(1).unwrap());
    }
    assert!(!shop.path("a/license/receipts").read_dir().unwrap().any(|_| true), "nothing is written");
}

#[test]
fn the_best_grant_is_used() {
    let shop = Shop::new();
    let device = shop.device("a");
    shop.grant(&device, &trial(2));
    let pack = Offer { inferences: Some(5), ..Offer::new(GrantClass::Metered) };
    shop.grant(&device, &pack);
    shop.grant(&device, &pack);
    let classes = |device: &Licenses| shop.entitle(device).map(|license| license.grant().class);
    assert_eq!(classes(&device).unwrap(), GrantClass::Metered);
    assert_eq!(drain(&shop.entitle(&device).unwrap()), 5);
    assert_eq!(drain(&shop.entitle(&device).unwrap()), 5);
    assert_eq!(classes(&device).unwrap(), GrantClass::Trial);
    shop.grant(&device, &owned());
    assert_eq!(classes(&device).unwrap(), GrantClass::Owned);
}

#[test]
fn seats_are_counted_and_free_when_a_session_ends() {
    let shop = Shop::new();
    let device = shop.device("a");
    shop.grant(&device, &Offer { seats: Some(2), ..Offer::new(GrantClass::Floating) });
    let one = shop.entitle(&device).unwrap();
    let _two = shop.entitle(&device).unwrap();
    shop.refused(&device, "TM0540");
    drop(one);
    shop.entitle(&device).unwrap();
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let shop = Shop::new();
    let device = shop.device("a");
    shop.grant(&device, &owned());
    let path = shop.path("a/device/identity.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    shop.refused(&device, "TM0537");
}

#[test]
fn grants_are_revoked_for_reasons() {
    use tilemark_bundle::{Revocations, RevokedBundle, RevokedGrant};
    let shop = Shop::new();
    let (buyer, renter) = (shop.device("a"), shop.device("b"));
    let bought = shop.grant(&buyer, &owned()).grant().id;
    let rented = shop.grant(&renter, &until(GrantClass::Subscription, START + 30 * DAY)).grant().id;
    let install = |number: u64, change: &dyn Fn(&mut Revocations)| {
        let mut list = Revocations::new("acme", number, START);
        change(&mut list);
        let text = list.sign(&[&shop.key]).unwrap();
        for home in ["a", "b"] {
            let lists = RevocationLists::at(shop.path(home).join("revocations"));
            lists.install(&text, &shop.trust()).unwrap();
        }
    };
    let revoke = |reason: Reason| {
        move |list: &mut Revocations| {
            list.grants =
                [bought, rented].map(|grant| RevokedGrant { grant, reason, note: "why".into() }).to_vec();
        }
    };
    for (number, reason) in [(1, Reason::Vulnerable), (2, Reason::Legal)] {
        install(number, &revoke(reason));
        shop.entitle(&buyer).unwrap();
        shop.refused(&renter, "TM0542");
    }
    install(3, &revoke(Reason::Superseded));
    shop.entitle(&renter).unwrap();
    install(4, &revoke(Reason::KeyCompromise));
    shop.refused(&buyer, "TM0542");
    install(5, &|list| {
        let (identity, reason) = (shop.bundle().identity(), Reason::Legal);
        list.bundles.push(RevokedBundle { identity, reason, note: "withdrawn".into() });
    });
    shop.entitle(&buyer).unwrap();
    shop.refused(&renter, "TM0542");
    install(6, &|_| ());
    shop.entitle(&renter).unwrap();
    // An older list does not come back.
    let old = Revocations::new("acme", 5, START).sign(&[&shop.key]).unwrap();
    let lists = RevocationLists::at(shop.path("a").join("revocations"));
    assert_eq!(lists.install(&old, &shop.trust()).unwrap_err().code(), "TM0186");
}

#[test]
fn a_grant_can_ask_for_fresh_revocations_and_an_owned_one_cannot() {
    let shop = Shop::new();
    let device = shop.device("a");
    let offer = until(GrantClass::Subscription, START + 400 * DAY);
    shop.grant(&device, &Offer { max_staleness_seconds: Some(30 * DAY), ..offer });
    shop.refused(&device, "TM0543");
    let lists = RevocationLists::at(shop.path("a").join("revocations"));
    let list = |number, issued| {
        let text = Revocations::new("acme", number, issued).sign(&[&shop.key]).unwrap();
        lists.install(&text, &shop.trust()).unwrap();
    };
    list(1, START);
    shop.set_clock(START + 29 * DAY);
    shop.entitle(&device).unwrap();
    shop.set_clock(START + 31 * DAY);
    shop.refused(&device, "TM0543");
    list(2, START + 31 * DAY);
    shop.entitle(&device).unwrap();
}
