//! Apps that are bound to a store: without its signature they are not installed, and not opened.

use tilemark_bundle::{Bundle, SigningKey, Trust, Untrusted};

use super::shop::{Shop, key, tagger};
use crate::client::State;
use crate::{Countersigners, Price, Store};

fn by(keys: &[&SigningKey], threshold: u64) -> Countersigners {
    Countersigners::new(keys.iter().map(|key| key.public().clone()).collect(), threshold).unwrap()
}

/// Offers a release that these keys countersigned.
fn publish(shop: &Shop, release: u64, countersigners: &[&SigningKey]) {
    let path = shop.bundle("acme/tagger", release, &shop.acme);
    for key in countersigners {
        let signed = shop.operator().countersign(&path, Price::Free, key).unwrap();
        std::fs::write(&path, signed).unwrap();
    }
    shop.repository().publish(&path, &[&shop.acme]).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
}

/// Opens what is installed as `--trust trust.json` does.
fn open(shop: &Shop) -> Result<Bundle, &'static str> {
    let trust = Trust::from_file(shop.installation().policy(&tagger())).unwrap();
    let file = Untrusted::from_path(shop.installation().path(&tagger())).unwrap();
    file.verify(&trust).map_err(|refused| refused.into_error().code())
}

fn require(shop: &Shop, store: &Store, countersigners: Option<&Countersigners>) -> usize {
    store.require(countersigners).unwrap();
    shop.installation().require(store, countersigners).unwrap()
}

#[test]
fn without_the_stores_signature_nothing_is_installed() {
    let (shop, review) = (Shop::open(), key());
    let store = shop.buyer();
    assert_eq!(require(&shop, &store, Some(&by(&[&review], 1))), 0);
    assert_eq!(shop.install(&store).unwrap_err().code(), "TM0135");
    publish(&shop, 2, &[&key()]);
    assert_eq!(shop.install(&store).unwrap_err().code(), "TM0135", "by another key");
    publish(&shop, 3, &[&review]);
    assert_eq!(shop.install(&shop.buyer()).unwrap().installed.release, 3);
    let verdict = open(&shop).unwrap();
    assert!(
        verdict
            .verdict()
            .facts()
            .iter()
            .any(|fact| fact.evidence.contains("store: 1 key signed, 1 needed: store 1"))
    );
    // One without it that takes its place on the disk does not open, though its publisher signed it.
    let plain = std::fs::read(shop.bundle("acme/tagger", 4, &shop.acme)).unwrap();
    std::fs::write(shop.installation().path(&tagger()), plain).unwrap();
    assert_eq!(open(&shop).unwrap_err(), "TM0135");
}

#[test]
fn what_is_installed_needs_it_from_then_on() {
    let (shop, [review, other]) = (Shop::open(), [key(), key()]);
    let store = shop.buyer();
    shop.install(&store).unwrap();
    let before = std::fs::read(shop.installation().policy(&tagger())).unwrap();
    open(&shop).unwrap();
    assert_eq!(require(&shop, &store, Some(&by(&[&review, &other], 2))), 1);
    assert_eq!(open(&shop).unwrap_err(), "TM0135");
    publish(&shop, 2, &[&review]);
    assert_eq!(shop.install(&store).unwrap_err().code(), "TM0135", "one of two");
    publish(&shop, 3, &[&review, &other]);
    shop.install(&store).unwrap();
    open(&shop).unwrap();
    // The other way round it is as it was.
    assert_eq!(require(&shop, &store, None), 1);
    assert_eq!(std::fs::read(shop.installation().policy(&tagger())).unwrap(), before);
    assert!(shop.buyer().countersigners().unwrap().is_none());
}

#[test]
fn apps_of_another_store_are_none_of_its_business() {
    let (shop, other, review) = (Shop::open(), Shop::open(), key());
    shop.install(&shop.buyer()).unwrap();
    assert_eq!(require(&shop, &other.buyer(), Some(&by(&[&review], 1))), 0);
    open(&shop).unwrap();
    assert!(shop.buyer().countersigners().unwrap().is_none());
}

#[test]
fn a_publisher_does_not_countersign_its_own() {
    let shop = Shop::open();
    let store = shop.buyer();
    require(&shop, &store, Some(&by(&[&shop.acme], 1)));
    let error = shop.install(&store).unwrap_err();
    assert!(error.to_string().contains("is there twice"), "{error}");
}

#[test]
fn a_requirement_that_was_damaged_is_not_forgotten() {
    let (shop, review) = (Shop::open(), key());
    let store = shop.buyer();
    require(&shop, &store, Some(&by(&[&review], 1)));
    let state = State::at(shop.path("home/stores/main"));
    for damage in
        ["", "{}", "{\"schema\":2,\"threshold\":1,\"keys\":[]}", "{\"schema\":1,\"threshold\":0,\"keys\":[]}"]
    {
        state.write_file("countersigners.json", damage.as_bytes()).unwrap();
        assert_eq!(shop.install(&store).unwrap_err().code(), "TM0834", "{damage}");
    }
    // Nor is a policy of another form overwritten.
    require(&shop, &store, None);
    shop.install(&store).unwrap();
    std::fs::write(shop.installation().policy(&tagger()), "[]").unwrap();
    let asked = by(&[&review], 1);
    assert_eq!(shop.installation().require(&store, Some(&asked)).unwrap_err().code(), "TM0834");
}

#[test]
fn what_no_bundle_could_meet() {
    let review = key().public().clone();
    for (keys, threshold) in
        [(vec![], 0), (vec![review.clone()], 0), (vec![review.clone()], 2), (vec![review.clone(), review], 1)]
    {
        assert_eq!(Countersigners::new(keys, threshold).unwrap_err().code(), "TM0835");
    }
}
