//! Holes that other implementations had.

use super::shop::{Shop, tagger};
use crate::metadata::{Delegations, Root, Snapshot, Targets, Timestamp};
use crate::{Error, layout};

/// tough before 0.20 did not compare a new root's version with the one that it asked for.
#[test]
fn cve_2025_2885_root_version_unchecked() {
    let shop = Shop::open();
    let [first, second, _] = &shop.roots;
    shop.forge::<Root>("1.root.json", "2.root.json", &[first, second], |root| root.common.version = 3);
    let error = shop.buyer().refresh().err().unwrap();
    assert!(matches!(error, Error::MixedUp { expected: 2, found: 3, .. }), "{error}");
    shop.forge::<Root>("1.root.json", "2.root.json", &[first, second], |root| root.common.version = 1);
    assert_eq!(shop.refused(), "TM0813");
}

/// tough before 0.20 went on to later delegations after a terminating one.
#[test]
fn cve_2025_2886_terminating_delegation_passed_over() {
    let shop = Shop::open();
    let bin = layout::bin_role(&layout::bin("acme"));
    // The bin's first role for acme is a terminating one that offers nothing; the one that offers the app comes after it.
    shop.forge::<Targets>(&format!("1.{bin}.json"), &format!("2.{bin}.json"), &[&shop.targets], |bin| {
        bin.common.version = 2;
        let Delegations { roles, .. } = bin.delegations.as_mut().unwrap();
        let mut first = roles[0].clone();
        first.name = "p.first".into();
        roles.insert(0, first);
    });
    shop.forge::<Targets>("1.p.acme.json", "1.p.first.json", &[&shop.acme], |targets| {
        targets.targets.clear()
    });
    shop.operator().refresh(&shop.online).unwrap();
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    assert_eq!(view.offer(&tagger(), Some(1)).unwrap_err().code(), "TM0820");
    // Not terminating, it passes the search on.
    shop.forge::<Targets>(&format!("2.{bin}.json"), &format!("3.{bin}.json"), &[&shop.targets], |bin| {
        bin.common.version = 3;
        bin.delegations.as_mut().unwrap().roles[0].terminating = false;
    });
    shop.operator().refresh(&shop.online).unwrap();
    store.refresh().unwrap().offer(&tagger(), Some(1)).unwrap();
}

/// tough before 0.20 did not compare a delegated role's version with the snapshot's.
#[test]
fn cve_2025_2887_delegated_role_rolled_back() {
    let shop = Shop::open();
    shop.publish(2);
    let old = std::fs::read(shop.path("store/metadata/1.p.acme.json")).unwrap();
    std::fs::write(shop.path("store/metadata/2.p.acme.json"), old).unwrap();
    let store = shop.buyer();
    let offer = || store.refresh().unwrap().offer(&tagger(), None).unwrap_err();
    assert!(matches!(offer(), Error::WrongLength { .. }), "the snapshot says how long it is");
    // Also where a snapshot states the version alone, as the specification allows.
    shop.list(|snapshot| {
        let info = snapshot.meta.get_mut("p.acme.json").unwrap();
        (info.length, info.hashes) = (None, None);
    });
    let error = offer();
    assert!(matches!(error, Error::MixedUp { expected: 2, found: 1, .. }), "{error}");
}

/// tough before 0.20 kept a timestamp that it had refused, and went by it the next time.
#[test]
fn cve_2025_2888_refused_timestamp_is_not_kept() {
    let shop = Shop::open();
    shop.publish(2);
    shop.buyer().refresh().unwrap();
    let kept = || std::fs::read(shop.path("home/stores/main/timestamp.json")).unwrap();
    let before = kept();
    shop.keep("good");
    shop.forge::<Timestamp>("timestamp.json", "timestamp.json", &[&shop.online], |timestamp| {
        timestamp.common.version = 1000;
        timestamp.meta.snapshot.version = 1;
    });
    assert_eq!(shop.refused(), "TM0812");
    shop.forge::<Timestamp>("timestamp.json", "timestamp.json", &[&shop.online], |timestamp| {
        timestamp.meta.snapshot.version = 1000;
        timestamp.common.expires = "2020-01-01T00:00:00Z".into();
    });
    assert_eq!(shop.refused(), "TM0814");
    assert_eq!(kept(), before);
    shop.serve("good");
    shop.buyer().refresh().unwrap();
}

/// python-tuf#1498: what is kept and has expired is a floor all the same.
#[test]
fn python_tuf_1498_expired_floors_hold() {
    let shop = Shop::open();
    shop.publish(2);
    let version = shop.buyer().refresh().unwrap().version();
    // The kept documents expired; newer ones of older content are served.
    let state = |file: &str| shop.path("home/stores/main").join(file);
    for file in ["timestamp.json", "snapshot.json"] {
        let served =
            if file == "snapshot.json" { format!("{version}.snapshot.json") } else { file.to_owned() };
        if file == "snapshot.json" {
            shop.forge::<Snapshot>(&served, "expired.json", &[&shop.online], |snapshot| {
                snapshot.common.expires = "2020-01-01T00:00:00Z".into();
            });
        } else {
            shop.forge::<Timestamp>(&served, "expired.json", &[&shop.online], |timestamp| {
                timestamp.common.expires = "2020-01-01T00:00:00Z".into();
            });
        }
        std::fs::rename(shop.path("store/metadata/expired.json"), state(file)).unwrap();
    }
    shop.list(|snapshot| snapshot.meta.get_mut("p.acme.json").unwrap().version = 1);
    let error = shop.buyer().refresh().err().unwrap();
    assert!(matches!(&error, Error::RolledBack { role, .. } if role == "p.acme"), "{error}");
}
