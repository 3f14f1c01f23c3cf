use super::*;
use crate::shop::{Shop, device};
use crate::{Algorithm, Bundle, Offer, Request, Vault};

fn owned() -> Offer {
    Offer::new(GrantClass::Owned)
}

fn key_of(grant: &SignedGrant, bundle: &Bundle, device: &DeviceKey) -> Result<ContentKey> {
    grant.content_key(bundle.manifest(), bundle.identity(), device)
}

#[test]
fn from_request_to_plaintext() {
    let shop = Shop::new();
    let bundle = shop.bundle("acme/tagger", 7);
    assert_eq!(bundle.blob("graph").unwrap_err().code(), "TM0154");
    assert_eq!(bundle.blobs().count(), 0);
    let grant = shop.grant(&bundle, &device(1), &owned()).unwrap();
    let key = key_of(&grant, &bundle, &device(1)).unwrap();
    let bundle = bundle.unlock(&key).unwrap();
    assert_eq!(bundle.blob("graph").unwrap(), b"integers");
    assert_eq!(bundle.shared_blob("weights").unwrap(), vec![5; 9000]);
    assert!(bundle.verdict().holds(crate::FactKind::PlaintextIntact));
}

/// Grants of two vendors for two bundles on two devices: each opens its own cell and no other.
#[test]
fn only_the_granted_cell_opens() {
    let shop = Shop::new();
    let bundles =
        [shop.bundle("acme/tagger", 7), shop.bundle("acme/tagger", 8), shop.bundle("acme/reader", 7)];
    let devices = [device(1), device(2)];
    let mut codes = std::collections::BTreeMap::new();
    for (b, granted) in bundles.iter().enumerate() {
        for (d, asking) in devices.iter().enumerate() {
            let grant = shop.grant(granted, asking, &owned()).unwrap();
            for (at, bundle) in bundles.iter().enumerate() {
                for (on, device) in devices.iter().enumerate() {
                    let outcome = key_of(&grant, bundle, device).map(|key| {
                        // Cloning a bundle is nobody's business; its key shows that it would open.
                        let encryption = bundle.manifest().encryption.as_ref().unwrap();
                        assert_eq!(key.commitment(encryption.binding), encryption.key_commitment);
                    });
                    assert_eq!(outcome.is_ok(), (at, on) == (b, d), "grant {b} {d}, used for {at} {on}");
                    let code = outcome.map_or_else(|error| error.code(), |()| "opened");
                    *codes.entry(code).or_insert(0) += 1;
                }
            }
        }
    }
    let counted: Vec<_> = codes.into_iter().collect();
    assert_eq!(counted, [("TM0178", 6), ("TM0179", 24), ("opened", 6)]);
}

#[test]
fn a_range_of_releases_has_a_key_for_each() {
    let shop = Shop::new();
    let bundles: Vec<Bundle> = (5..9).map(|release| shop.bundle("acme/tagger", release)).collect();
    let offer = Offer { releases: Some(Releases { first: 6, last: 20 }), ..owned() };
    let grant = shop.grant(&bundles[1], &device(1), &offer).unwrap();
    let opens: Vec<bool> = bundles.iter().map(|b| key_of(&grant, b, &device(1)).is_ok()).collect();
    assert_eq!(opens, [false, true, true, true]);
    // A later release is in the range, but the vendor has to give its key first.
    let later = shop.bundle("acme/tagger", 9);
    assert_eq!(key_of(&grant, &later, &device(1)).unwrap_err().code(), "TM0179");
}

#[test]
fn a_buyers_own_signature_grants_nothing() {
    let shop = Shop::new();
    let bundle = shop.bundle("acme/tagger", 7);
    let genuine =
        shop.grant(&bundle, &device(1), &Offer { inferences: Some(3), ..Offer::new(GrantClass::Trial) });
    // The buyer trusts a key of its own and makes an owned grant of the trial with it.
    let buyer = SigningKey::generate(Algorithm::Ed25519).unwrap();
    let mut better = genuine.unwrap().grant().clone();
    (better.class, better.inferences) = (GrantClass::Owned, None);
    let forged = better.sign(&buyer).unwrap();
    assert_eq!(SignedGrant::verify(&forged, &shop.trust()).unwrap_err().code(), "TM0131");
    let both = Trust::builder().key(buyer.public().clone()).key(shop.key.public().clone());
    let ids = [buyer.public().id(), shop.key.public().id()];
    let both = both.any_publisher(&ids, 1).build().unwrap();
    let forged = SignedGrant::verify(&forged, &both).unwrap();
    assert_eq!(key_of(&forged, &bundle, &device(1)).unwrap_err().code(), "TM0183");
    // And the vendor cannot do it by accident either.
    let request = Request::make(bundle.identity(), &device(3)).unwrap();
    assert_eq!(shop.vault.issue(&request, &owned(), &buyer, 0).unwrap_err().code(), "TM0183");
}

#[test]
fn a_grant_by_a_revoked_key_is_refused() {
    let shop = Shop::new();
    let text = shop.issue(&shop.bundle("acme/tagger", 7), &device(1), &owned()).unwrap();
    let (key, id) = (shop.key.public().clone(), shop.key.public().id());
    let trust = Trust::builder().key(key).any_publisher(&[id], 1);
    SignedGrant::verify(&text, &trust.clone().build().unwrap()).unwrap();
    let trust = trust.revoke_key(id, "stolen").build().unwrap();
    assert_eq!(SignedGrant::verify(&text, &trust).unwrap_err().code(), "TM0132");
}

#[test]
fn a_grant_by_a_key_of_another_publisher_or_role_is_refused() {
    let shop = Shop::new();
    let text = shop.issue(&shop.bundle("acme/tagger", 7), &device(1), &owned()).unwrap();
    let vendor = SigningKey::generate(Algorithm::Ed25519).unwrap();
    let (id, own) = (shop.key.public().id(), vendor.public().id());
    let trust = Trust::builder().key(shop.key.public().clone()).key(vendor.public().clone());
    let trust = trust.publisher("acme", &[own], 1);
    let other = trust.clone().publisher("other", &[id], 1).build().unwrap();
    let store = trust.role("acme", crate::Role::Store, &[id], 1).build().unwrap();
    for trust in [other, store] {
        assert_eq!(SignedGrant::verify(&text, &trust).unwrap_err().code(), "TM0134");
    }
}

#[test]
fn a_grant_that_contradicts_its_keys_opens_nothing() {
    let shop = Shop::new();
    let bundle = shop.bundle("acme/tagger", 7);
    let text = shop.issue(&bundle, &device(1), &owned()).unwrap();
    let good = SignedGrant::verify(&text, &shop.trust()).unwrap();
    for (app, first) in [("acme/reader", 7), ("acme/tagger", 8)] {
        let (app, releases) = (app.parse().unwrap(), Releases { first, last: 9 });
        let claims = Grant { app, releases, ..good.grant().clone() };
        let other = SignedGrant::verify(&claims.sign(&shop.key).unwrap(), &shop.trust()).unwrap();
        assert_eq!(key_of(&other, &bundle, &device(1)).unwrap_err().code(), "TM0179");
    }
    assert_eq!(SignedGrant::recorded(&text, good.digest()).unwrap().grant(), good.grant());
    assert_eq!(SignedGrant::recorded(&text, sha256(b"other")).unwrap_err().code(), "TM0152");
}

#[test]
fn changed_grants_and_requests_are_refused() {
    let shop = Shop::new();
    let bundle = shop.bundle("acme/tagger", 7);
    let request = Request::make(bundle.identity(), &device(1)).unwrap();
    let grant = shop.vault.issue(&request, &owned(), &shop.key, 1000).unwrap();
    SignedGrant::verify(&[&grant[..], b"\n"].concat(), &shop.trust()).unwrap();
    for at in 0..grant.len() {
        let mut bad = grant.clone();
        bad[at] ^= 1;
        assert!(SignedGrant::verify(&bad, &shop.trust()).is_err(), "grant, byte {at}");
    }
    for at in 0..request.len() {
        let mut bad = request.clone();
        bad[at] ^= 1;
        assert!(Request::read(&bad).is_err(), "request, byte {at}");
    }
    // One kind of document is never taken for another.
    assert_eq!(SignedGrant::verify(&request, &shop.trust()).unwrap_err().code(), "TM0122");
    let mallory = device(9);
    let (mut theirs, _) = Request::read(&request).unwrap();
    theirs.nonce = sha256(b"mine");
    let json = serde_json::to_vec(&theirs).unwrap();
    let stolen = mallory.seal(Request::PAYLOAD_TYPE, json).unwrap().to_json();
    assert_eq!(Request::read(&stolen).unwrap_err().code(), "TM0177");
}

#[test]
fn the_ledger_gives_one_trial_a_device_and_one_grant_a_request() {
    let shop = Shop::new();
    let (bundle, next) = (shop.bundle("acme/tagger", 7), shop.bundle("acme/tagger", 8));
    let trial = Offer { inferences: Some(3), ..Offer::new(GrantClass::Trial) };
    let request = Request::make(bundle.identity(), &device(1)).unwrap();
    shop.vault.issue(&request, &trial, &shop.key, 5).unwrap();
    assert_eq!(shop.vault.issue(&request, &owned(), &shop.key, 5).unwrap_err().code(), "TM0175");
    assert_eq!(shop.grant(&next, &device(1), &trial).unwrap_err().code(), "TM0175");
    shop.grant(&next, &device(1), &Offer { again: true, ..trial.clone() }).unwrap();
    shop.grant(&next, &device(2), &trial).unwrap();
    shop.grant(&next, &device(1), &owned()).unwrap();
    let ledger = shop.vault.ledger().unwrap();
    let classes: Vec<_> = ledger.iter().map(|line| line.class.as_str()).collect();
    assert_eq!(classes, ["trial", "trial", "trial", "owned"]);
    for line in &ledger {
        assert!(shop.vault.dir().join(format!("grants/{}.json", line.grant)).exists());
    }
    // A line that a crash cut short is dropped, and nothing runs together with it.
    let path = shop.vault.dir().join("ledger.jsonl");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    assert_eq!(shop.vault.ledger().unwrap().len(), 3);
    shop.grant(&next, &device(5), &owned()).unwrap();
    assert_eq!(shop.vault.ledger().unwrap().len(), 4);
    std::fs::write(&path, "{}\n").unwrap();
    assert_eq!(shop.vault.ledger().unwrap_err().code(), "TM0173");
}

#[test]
fn classes_have_what_they_need() {
    let shop = Shop::new();
    let bundle = shop.bundle("acme/tagger", 7);
    let refused = |offer: Offer| shop.grant(&bundle, &device(1), &offer).unwrap_err().code();
    assert_eq!(refused(Offer { not_after: Some(5), ..owned() }), "TM0141");
    assert_eq!(refused(Offer { inferences: Some(5), ..owned() }), "TM0141");
    assert_eq!(refused(Offer { max_staleness_seconds: Some(5), ..owned() }), "TM0141");
    for class in [GrantClass::Trial, GrantClass::Subscription, GrantClass::Metered, GrantClass::Floating] {
        assert_eq!(refused(Offer::new(class)), "TM0141", "{class}");
    }
    let metered = Offer { not_after: Some(5), ..Offer::new(GrantClass::Metered) };
    assert_eq!(refused(metered), "TM0141");
    assert!(shop.vault.ledger().unwrap().is_empty());
}

#[test]
fn a_vault_keeps_its_secret_and_notices_another() {
    let shop = Shop::new();
    let bundle = shop.bundle("acme/tagger", 7);
    let secret = shop.vault.dir().join("secret.pem");
    let text = std::fs::read_to_string(&secret).unwrap();
    assert!(!format!("{:?}", shop.vault).contains(text.lines().nth(1).unwrap()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(shop.vault.dir()).unwrap().permissions().mode() & 0o777, 0o700);
    }
    let again = Vault::open_or_create(shop.vault.dir()).unwrap();
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), text, "made once");
    again.register(&bundle).unwrap();
    let other = Vault::open_or_create(shop.folder.path().join("other")).unwrap();
    assert_eq!(other.register(&bundle).unwrap_err().code(), "TM0158");
    std::fs::copy(other.dir().join("secret.pem"), &secret).unwrap();
    let request = Request::make(bundle.identity(), &device(1)).unwrap();
    let swapped = Vault::open(shop.vault.dir()).unwrap();
    assert_eq!(swapped.issue(&request, &owned(), &shop.key, 0).unwrap_err().code(), "TM0158");
    std::fs::write(&secret, "nothing").unwrap();
    assert_eq!(Vault::open(shop.vault.dir()).unwrap_err().code(), "TM0173");
    assert_eq!(other.issue(&request, &owned(), &shop.key, 0).unwrap_err().code(), "TM0174");
}
