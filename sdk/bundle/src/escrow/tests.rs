use super::shares::{combine, evaluate, inverse, multiply, split};
use super::*;
use crate::{Algorithm, AppIdentity, BundleWriter, Role, TrustBuilder, Untrusted, Vault};

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Ed25519).unwrap()
}

#[test]
fn the_field_is_that_of_aes() {
    // The examples of FIPS 197, section 4.2.
    assert_eq!((multiply(0x57, 0x83), multiply(0x57, 0x13)), (0xc1, 0xfe));
    for a in 0..=255 {
        assert_eq!(multiply(a, inverse(a)), u8::from(a != 0), "{a}");
        assert_eq!(multiply(a, 1), a);
    }
}

#[test]
fn any_k_shares_give_the_secret_and_k_minus_one_another_value() {
    let secret = std::array::from_fn(|at| at as u8 * 7);
    for (k, n) in [(1, 1), (2, 3), (3, 5), (5, 5), (2, 64)] {
        let shares = split(&secret, n, k).unwrap();
        let of = |from: usize, count: usize| -> Vec<(u64, &[u8; 32])> {
            (from..from + count).map(|at| (at % n) as u64).map(|at| (at + 1, &*shares[at as usize])).collect()
        };
        for from in 0..n {
            assert_eq!(*combine(&of(from, k as usize)).unwrap(), secret, "{k} of {n} from {from}");
            if k > 1 {
                assert_ne!(*combine(&of(from, k as usize - 1)).unwrap(), secret);
            }
        }
    }
    for (k, n) in [(0, 3), (4, 3), (1, 0), (1, 65)] {
        assert!(split(&secret, n, k).is_err(), "{k} of {n}");
    }
}

/// With `k = 2`, whatever the secret is, a share takes every value for exactly one coefficient: it tells nothing.
#[test]
fn one_share_of_two_is_as_likely_for_every_secret() {
    for secret in [0, 1, 0x53, 255] {
        let mut seen = [0; 256];
        for coefficient in 0..=255 {
            seen[evaluate(&[secret; 32], &[[coefficient; 32].into()], 3)[0] as usize] += 1;
        }
        assert_eq!(seen, [1; 256], "{secret}");
    }
}

/// A deposit of a bundle's key with three trustees, two of whom open it.
struct Deposit {
    vendor: SigningKey,
    trustees: Vec<SigningKey>,
    file: Vec<u8>,
    deed: Vec<u8>,
    shares: Vec<Share>,
}

impl Deposit {
    fn new() -> Self {
        let (vendor, trustees) = (key(), vec![key(), key(), key()]);
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open_or_create(folder.path()).unwrap();
        let app = AppIdentity::new("acme/tagger", "1.0.0", 1, "LicenseRef-acme-eula", "").unwrap();
        let writer = BundleWriter::new(app).blob("graph", &b"integers"[..]);
        let file = writer.encrypt(&vault, &[vendor.public().id()]).sign(&[&vendor]).unwrap();
        let bundle = open(&file, &vendor);
        let content = vault.content_key(bundle.manifest().encryption.as_ref().unwrap().binding);
        let public: Vec<_> = trustees.iter().map(|key| key.public().clone()).collect();
        let source = Some(sha256(b"source"));
        let (deed, shares) = Deed::deposit(&bundle, &content, source, &public, 2, &vendor).unwrap();
        let other = vault.content_key(sha256(b"other"));
        let error = Deed::deposit(&bundle, &other, None, &public, 2, &vendor).unwrap_err();
        assert_eq!(error.code(), "TM0158");
        let twice = [public[0].clone(), public[0].clone()];
        assert_eq!(Deed::deposit(&bundle, &content, None, &twice, 2, &vendor).unwrap_err().code(), "TM0141");
        Self { vendor, trustees, file, deed, shares }
    }

    fn signed(&self) -> SignedDeed {
        SignedDeed::verify(&self.deed, &Trust::key(self.vendor.public().clone())).unwrap()
    }

    fn release(&self, signers: &[&SigningKey]) -> Vec<u8> {
        let (first, others) = signers.split_first().unwrap();
        let mut envelope = self.signed().release("the vendor is gone", 1_800_000_000, first).unwrap();
        others.iter().for_each(|key| envelope.sign(key).unwrap());
        envelope.to_json()
    }

    fn opened(&self, release: &[u8], shares: &[usize]) -> Result<(Release, ContentKey)> {
        let shares: Vec<Share> = shares.iter().map(|at| self.shares[*at].clone()).collect();
        self.signed().open(release, &shares)
    }
}

fn open(file: &[u8], vendor: &SigningKey) -> Bundle {
    Untrusted::from_bytes(file.to_vec()).unwrap().verify(&Trust::key(vendor.public().clone())).unwrap()
}

#[test]
fn two_of_three_trustees_open_the_bundle_and_one_does_not() {
    let deposit = Deposit::new();
    let [first, _, third] = &deposit.trustees[..] else { panic!() };
    let release = deposit.release(&[first, third]);
    for shares in [[0, 1], [0, 2], [2, 1]] {
        let (said, key) = deposit.opened(&release, &shares).unwrap();
        assert_eq!(said.reason, "the vendor is gone");
        let bundle = open(&deposit.file, &deposit.vendor).unlock(&key).unwrap();
        assert_eq!(bundle.blob("graph").unwrap(), b"integers");
    }
    assert_eq!(deposit.signed().deed().source, Some(sha256(b"source")));
    for too_few in [&[][..], &[1], &[1, 1]] {
        assert_eq!(deposit.opened(&release, too_few).unwrap_err().code(), "TM0193", "{too_few:?}");
    }
}

#[test]
fn what_is_freed_is_the_same_app_by_who_freed_it() {
    let (deposit, buyer) = (Deposit::new(), key());
    let release = deposit.release(&[&deposit.trustees[0], &deposit.trustees[1]]);
    let (_, content) = deposit.opened(&release, &[0, 1]).unwrap();
    let (locked, name) = (open(&deposit.file, &deposit.vendor), "mine/tagger".parse::<AppName>().unwrap());
    assert_eq!(freed(&locked, name.clone(), &buyer).unwrap_err().code(), "TM0154");
    let bundle = open(&freed(&locked.unlock(&content).unwrap(), name.clone(), &buyer).unwrap(), &buyer);
    let (manifest, was) = (bundle.manifest(), open(&deposit.file, &deposit.vendor));
    let app = AppIdentity { name, ..was.manifest().app.clone() };
    assert_eq!((&manifest.app, manifest.limits), (&app, was.manifest().limits));
    assert_eq!(
        (manifest.terms.kind, bundle.blob("graph").unwrap()),
        (crate::TermsKind::Free, &b"integers"[..])
    );
    assert!(
        Untrusted::from_bytes(bundle.as_bytes().to_vec())
            .unwrap()
            .verify(&Trust::key(deposit.vendor.public().clone()))
            .is_err()
    );
}

#[test]
fn a_statement_is_read_before_others_sign_it() {
    let deposit = Deposit::new();
    let [first, second, _] = &deposit.trustees[..] else { panic!() };
    let (said, signed) = deposit.signed().statement(&deposit.release(&[first])).unwrap();
    assert_eq!((said.reason.as_str(), signed), ("the vendor is gone", 1));
    assert_eq!(deposit.signed().statement(&deposit.release(&[first, second])).unwrap().1, 2);
    let code = |release: &[u8]| deposit.signed().statement(release).unwrap_err().code();
    assert_eq!(code(&deposit.release(&[&key()])), "TM0192");
    assert_eq!(code(&Deposit::new().signed().release("gone", 1, first).unwrap().to_json()), "TM0141");
}

#[test]
fn another_archive_than_the_one_that_was_deposited() {
    let deposit = Deposit::new();
    deposit.signed().check_source(sha256(b"source")).unwrap();
    assert_eq!(deposit.signed().check_source(sha256(b"sauce")).unwrap_err().code(), "TM0195");
}

#[test]
fn a_wrong_share_is_named() {
    let deposit = Deposit::new();
    let release = deposit.release(&[&deposit.trustees[0], &deposit.trustees[1]]);
    let wrong = |change: &dyn Fn(&mut Share)| {
        let mut share = deposit.shares[1].clone();
        change(&mut share);
        let shares = [deposit.shares[0].clone(), share];
        match deposit.signed().open(&release, &shares).unwrap_err() {
            Error::License(LicenseError::WrongShare { trustee }) => trustee,
            other => panic!("{other}"),
        }
    };
    assert_eq!(wrong(&|share| share.value.0[31] ^= 1), 2);
    assert_eq!(wrong(&|share| share.deed = sha256(b"other")), 2);
    assert_eq!(wrong(&|share| share.trustee = 3), 3);
    assert_eq!(wrong(&|share| share.trustee = 0), 0);
    assert_eq!(wrong(&|share| share.trustee = u64::MAX), u64::MAX);
    let kept = Share::from_json(&deposit.shares[1].to_json().unwrap()).unwrap();
    assert_eq!((kept.trustee, kept.value.0), (2, deposit.shares[1].value.0));
    assert!(!format!("{kept:?}").contains("value"), "it is not printed");
}

#[test]
fn a_release_by_too_few_by_strangers_or_of_another_deed() {
    let deposit = Deposit::new();
    let stranger = key();
    let [first, second, _] = &deposit.trustees[..] else { panic!() };
    let code = |release: &[u8]| deposit.opened(release, &[0, 1]).unwrap_err().code();
    assert_eq!(code(&deposit.release(&[first])), "TM0192");
    assert_eq!(code(&deposit.release(&[first, &stranger])), "TM0192");
    let mut other = Deposit::new().signed().release("the vendor is gone", 1, first).unwrap();
    other.sign(second).unwrap();
    assert_eq!(code(&other.to_json()), "TM0141");
    // A trustee's name under somebody else's signature.
    let text = String::from_utf8(deposit.release(&[&stranger])).unwrap();
    let forged = text.replace(&stranger.public().id().to_string(), &first.public().id().to_string());
    assert_eq!(code(forged.as_bytes()), "TM0130");
    let release = deposit.signed().release("x\n", 1, first).unwrap_err();
    assert_eq!(release.code(), "TM0141");
}

#[test]
fn a_deed_by_a_stolen_and_revoked_key_by_another_role_or_by_one_of_two() {
    let (deposit, other) = (Deposit::new(), key());
    let (vendor, second) = (deposit.vendor.public().id(), other.public().id());
    let known = || Trust::builder().key(deposit.vendor.public().clone()).key(other.public().clone());
    let verified = |deed: &[u8], policy: TrustBuilder| {
        SignedDeed::verify(deed, &policy.build().unwrap()).map(drop).map_err(|error| error.code())
    };
    let either = || known().publisher("acme", &[vendor, second], 1);
    let both = || known().publisher("acme", &[vendor, second], 2);
    assert_eq!(verified(&deposit.deed, either()), Ok(()));
    assert_eq!(verified(&deposit.deed, either().revoke_key(vendor, "laptop stolen")), Err("TM0132"));
    for role in [Role::Store, Role::Evaluator] {
        let as_role = known().publisher("acme", &[second], 1).role("acme", role, &[vendor], 1);
        assert_eq!(verified(&deposit.deed, as_role), Err("TM0134"), "{role}");
        // Who sells or examines the bundle has no say in its escrow.
        let beside = known().publisher("acme", &[vendor], 1).role("acme", role, &[second], 1);
        assert_eq!(verified(&deposit.deed, beside), Ok(()), "{role}");
    }
    assert_eq!(verified(&deposit.deed, both()), Err("TM0135"));
    let mut deed = Envelope::parse(&deposit.deed, Deed::PAYLOAD_TYPE).unwrap();
    deed.sign(&other).unwrap();
    assert_eq!(verified(&deed.to_json(), both()), Ok(()));
    assert_eq!(verified(&deed.to_json(), both().revoke_key(vendor, "laptop stolen")), Err("TM0135"));
}

#[test]
fn a_deed_that_the_vendor_did_not_sign_or_that_was_changed() {
    let deposit = Deposit::new();
    let stranger = Trust::key(key().public().clone());
    assert_eq!(SignedDeed::verify(&deposit.deed, &stranger).unwrap_err().code(), "TM0131");
    let trust = Trust::key(deposit.vendor.public().clone());
    for at in (0..deposit.deed.len()).step_by(7) {
        let mut changed = deposit.deed.clone();
        changed[at] ^= 1;
        assert!(SignedDeed::verify(&changed, &trust).is_err(), "byte {at}");
    }
    let clear = BundleWriter::new(AppIdentity::new("a/b", "1.0.0", 1, "MIT", "").unwrap());
    let clear = open(&clear.blob("x", &b"x"[..]).sign(&[&deposit.vendor]).unwrap(), &deposit.vendor);
    let key = ContentKey::from_bytes([7; 32].into());
    let error = Deed::deposit(&clear, &key, None, &[], 1, &deposit.vendor).unwrap_err();
    assert_eq!(error.code(), "TM0172");
}
