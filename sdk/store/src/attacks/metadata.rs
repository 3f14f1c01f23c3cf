//! What the specification calls attacks, on metadata.

use super::shop::{Attack, DAY, Hostile, Shop, impatient, key, tagger};
use crate::metadata::{Root, Targets, Timestamp};
use crate::repository::{Operator, Replace, RootKeys, Validity};
use crate::{Error, time};

#[test]
fn what_is_published_is_found() {
    let shop = Shop::open();
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    assert_eq!(view.releases(&tagger()).unwrap(), [1]);
    let offer = view.offer(&tagger(), None).unwrap();
    assert_eq!((offer.listing().release, offer.listing().license.as_str()), (1, "MIT"));
    let rows = view.index().unwrap();
    assert_eq!(rows.len(), 1);
    let find = |words: &str| view.search(&crate::Query::parse([words]).unwrap()).unwrap();
    assert_eq!((find("NAMES tagger mit host"), find("names dogs")), (rows, vec![]));
    assert_eq!(view.freshness().stale, None);
}

#[test]
fn rollback() {
    let shop = Shop::open();
    shop.keep("old");
    shop.publish(2);
    shop.buyer().refresh().unwrap();
    shop.serve("old");
    assert_eq!(shop.refused(), "TM0812");
}

#[test]
fn rollback_after_the_cache_was_deleted() {
    let shop = Shop::open();
    shop.keep("old");
    shop.publish(2);
    shop.install(&shop.buyer()).unwrap();
    std::fs::remove_dir_all(shop.path("cache")).unwrap();
    shop.serve("old");
    assert_eq!(shop.refused(), "TM0812");
}

#[test]
fn rollback_of_one_role_by_a_stolen_online_key() {
    let shop = Shop::open();
    shop.publish(2);
    let store = shop.buyer();
    store.refresh().unwrap();
    shop.list(|snapshot| snapshot.meta.get_mut("p.acme.json").unwrap().version = 1);
    let error = store.refresh().err().unwrap();
    assert!(matches!(&error, Error::RolledBack { role, known: 2, found: 1 } if role == "p.acme"), "{error}");
}

#[test]
fn a_role_that_vanishes_from_the_snapshot() {
    let shop = Shop::open();
    shop.buyer().refresh().unwrap();
    shop.list(|snapshot| drop(snapshot.meta.remove("p.acme.json").unwrap()));
    assert_eq!(shop.refused(), "TM0815");
}

#[test]
fn freeze() {
    let shop = Shop::open();
    shop.buyer().refresh().unwrap().offer(&tagger(), None).unwrap();
    let (start, later) = (time::now(), time::now() + 8 * DAY);
    let error = shop.buyer().at_time(later).refresh().err().unwrap();
    assert!(matches!(&error, Error::Expired { role, .. } if role == "timestamp"), "{error}");
    // What is known stays to be looked at, with its age; nothing is installed from it.
    let store = shop.buyer().at_time(later);
    let view = store.offline().unwrap();
    let offer = view.offer(&tagger(), None).unwrap();
    let error = shop.installation().install(&view, &offer, |_| Ok(()), &mut |_, _| ()).unwrap_err();
    assert_eq!(error.code(), "TM0823");
    // A clock that is set back later does not make it fresh again.
    shop.operator().refresh(&shop.online).unwrap();
    shop.operator().at_time(later + 9 * DAY).refresh(&shop.online).unwrap();
    shop.buyer().at_time(later + 9 * DAY).refresh().unwrap();
    assert_eq!(shop.buyer().at_time(start).refresh().map(|view| view.version()).unwrap(), 3);
    assert_eq!(shop.buyer().at_time(start).now().unwrap(), later + 9 * DAY);
}

#[test]
fn mix_and_match() {
    let shop = Shop::open();
    let metadata = |file: &str| shop.path("store/metadata").join(file);
    shop.publish(2);
    // The publisher's old listings under the new version's name.
    let good = std::fs::read(metadata("2.p.acme.json")).unwrap();
    std::fs::copy(metadata("1.p.acme.json"), metadata("2.p.acme.json")).unwrap();
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    assert_eq!(view.offer(&tagger(), None).unwrap_err().code(), "TM0804");
    std::fs::write(metadata("2.p.acme.json"), good).unwrap();
    // An old snapshot under the new one's name: the timestamp says what it must be.
    shop.publish(3);
    std::fs::copy(metadata("1.snapshot.json"), metadata("4.snapshot.json")).unwrap();
    assert!(["TM0804", "TM0805"].contains(&shop.refused()));
}

#[test]
fn endless_data() {
    let shop = Shop::open();
    for about in ["timestamp.json", "snapshot.json"] {
        let hostile = Hostile::new(&shop, about, Attack::Endless).boxed();
        let store = shop.buyer().with_transports(vec![hostile], impatient());
        assert_eq!(store.refresh().err().unwrap().code(), "TM0803", "{about}");
    }
    for about in ["p.acme.json", ".listing"] {
        let hostile = Hostile::new(&shop, about, Attack::Endless).boxed();
        let store = shop.buyer().with_transports(vec![hostile], impatient());
        let view = store.refresh().unwrap();
        assert_eq!(view.offer(&tagger(), None).unwrap_err().code(), "TM0803", "{about}");
    }
}

#[test]
fn an_online_key_alone_makes_no_publisher() {
    let shop = Shop::open();
    let mallory = key();
    // Targets that let Mallory's key speak for acme, by everything that the online machine has.
    shop.forge::<Targets>("2.targets.json", "3.targets.json", &[&shop.online], |targets| {
        targets.common.version = 3;
        targets.delegations.get_or_insert_default().roles.clear();
    });
    assert_eq!(shop.operator().refresh(&shop.online).unwrap_err().code(), "TM0811");
    assert_eq!(
        shop.operator().invite("evil", &[mallory.public().clone()], 1, &shop.online).unwrap_err().code(),
        "TM0832"
    );
}

#[test]
fn one_root_key_of_two_changes_nothing() {
    let shop = Shop::open();
    let [first, second, _] = &shop.roots;
    let error = shop.operator().renew_root(&[first], &[]).unwrap_err();
    assert!(matches!(error, Error::WrongKeys { needed: 2, found: 1, .. }), "{error}");
    shop.forge::<Root>("1.root.json", "2.root.json", &[first], |root| root.common.version = 2);
    assert_eq!(shop.refused(), "TM0811");
    shop.forge::<Root>("1.root.json", "2.root.json", &[first, second], |root| root.common.version = 2);
    shop.buyer().refresh().unwrap();
}

#[test]
fn one_key_under_two_ids_is_one_key() {
    let shop = Shop::open();
    let [first, second, _] = &shop.roots;
    // A root that lists one key a second time under another id, and a next one that this one key signs under both.
    shop.forge::<Root>("1.root.json", "2.root.json", &[first, second], |root| {
        root.common.version = 2;
        let id = root.roles.root.keyids[0].clone();
        let twin = root.keys[&id].clone();
        root.keys.insert("twin".into(), twin);
        root.roles.root.keyids.push("twin".into());
    });
    shop.forge::<Root>("2.root.json", "3.root.json", &[first], |root| root.common.version = 3);
    let path = shop.path("store/metadata/3.root.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut twin = json["signatures"][0].clone();
    twin["keyid"] = "twin".into();
    json["signatures"].as_array_mut().unwrap().push(twin);
    std::fs::write(&path, json.to_string()).unwrap();
    let error = shop.buyer().refresh().err().unwrap();
    assert!(matches!(error, Error::Unsigned { needed: 2, found: 1, .. }), "{error}");
}

#[test]
fn fast_forward_is_recovered_from_by_new_online_keys() {
    let shop = Shop::open();
    shop.buyer().refresh().unwrap();
    // A stolen online key makes versions that the store would take for ever to reach.
    shop.forge::<Timestamp>("timestamp.json", "timestamp.json", &[&shop.online], |timestamp| {
        timestamp.common.version = 1 << 52;
    });
    shop.buyer().refresh().unwrap();
    shop.forge::<Timestamp>("timestamp.json", "timestamp.json", &[&shop.online], |timestamp| {
        timestamp.common.version = 3;
    });
    assert_eq!(shop.refused(), "TM0812");
    let [first, second, _] = &shop.roots;
    let new = key();
    let change = [Replace { old: shop.online.public(), new: new.public() }];
    shop.operator().renew_root(&[first, second], &change).unwrap();
    assert_eq!(shop.operator().rebuild(&shop.online).unwrap_err().code(), "TM0832", "the old key is out");
    shop.operator().rebuild(&new).unwrap();
    shop.operator().renew_targets(&shop.targets).unwrap();
    shop.operator().refresh(&new).unwrap();
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    view.offer(&tagger(), None).unwrap();
    assert_eq!(view.index().unwrap().len(), 1);
    assert!(view.version() < 100 && !shop.timestamp().contains(&(1_u64 << 52).to_string()));
}

#[test]
fn a_store_that_is_looked_after_does_not_expire() {
    let shop = Shop::open();
    let start = time::now();
    let files = || std::fs::read_dir(shop.path("store/metadata")).unwrap().count();
    let before = files();
    shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(files(), before, "nothing is new but the timestamp");
    for days in (0..400).step_by(5) {
        shop.operator().at_time(start + days * DAY).refresh(&shop.online).unwrap();
        if days == 300 {
            let [first, second, _] = &shop.roots;
            shop.operator().at_time(start + days * DAY).renew_root(&[first, second], &[]).unwrap();
            assert_eq!(shop.operator().renew_targets(&shop.online).unwrap_err().code(), "TM0832");
            shop.operator().at_time(start + days * DAY).renew_targets(&shop.targets).unwrap();
            // The publisher offers the same again, which dates its role anew.
            let bundle = shop.bundle("acme/tagger", 1, &shop.acme);
            shop.repository().at_time(start + days * DAY).publish(&bundle, &[&shop.acme]).unwrap();
        }
    }
    let store = shop.buyer().at_time(start + 399 * DAY);
    store.refresh().unwrap().offer(&tagger(), None).unwrap();
}

#[test]
fn a_root_by_strangers_is_not_added() {
    let shop = Shop::open();
    let mallory = [key(), key()];
    shop.forge::<Root>("1.root.json", "1.root.json", &[&mallory[0], &mallory[1]], |_| ());
    let root = std::fs::read(shop.path("store/metadata/1.root.json")).unwrap();
    let address = [shop.path("store").display().to_string()];
    let added = crate::Store::add(&shop.path("other"), &shop.path("cache"), &root, &address);
    assert_eq!(added.err().unwrap().code(), "TM0811");
    assert!(!shop.path("other/root.json").exists());
}

#[test]
fn a_store_needs_as_many_root_keys_as_it_asks_for() {
    let shop = Shop::open();
    let keys = RootKeys { root: &[&shop.acme], threshold: 2, targets: &shop.targets, online: &shop.online };
    let made = Operator::init(&shop.path("new"), &shop.path("new-office"), &keys, Validity::default());
    assert_eq!(made.unwrap_err().code(), "TM0835");
}
