//! Whole copies of a store, and what comes between.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shop::{Attack, DAY, Hostile, Shop, files, impatient, key, tagger};
use crate::metadata::{FileInfo, Signed, Targets};
use crate::repository::{Replace, Validity};
use crate::transport::Folder;
use crate::{Copied, Error, Store, layout, time};

/// Somebody elsewhere who has the copy and nothing else.
fn stranger(shop: &Shop) -> Store {
    let root = std::fs::read(shop.path("root.json")).unwrap();
    let address = [shop.path("stick").display().to_string()];
    Store::add(&shop.path("away/store"), &shop.path("away/cache"), &root, &address).unwrap()
}

fn market() -> Shop {
    let shop = Shop::open();
    std::fs::copy(shop.path("store/metadata/1.root.json"), shop.path("root.json")).unwrap();
    shop.publish(2);
    let [first, second, _] = &shop.roots;
    shop.operator().renew_root(&[first, second], &[]).unwrap();
    shop.operator().invite("silent", &[key().public().clone()], 1, &shop.targets).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    shop
}

#[test]
fn a_copy_is_a_store() {
    let shop = market();
    let store = shop.buyer();
    let done = store.refresh().unwrap().copy_and_read_again(&shop.path("stick"), &mut |_| ()).unwrap();
    assert!(done.refused.is_empty() && done.reused == 0, "{done:?}");
    std::fs::remove_dir_all(shop.path("store")).unwrap();
    let away = stranger(&shop);
    let view = away.refresh().unwrap();
    assert_eq!(view.releases(&tagger()).unwrap(), [1, 2]);
    assert_eq!(view.index().unwrap().len(), 1);
    let offer = view.offer(&tagger(), Some(1)).unwrap();
    shop.installation().install(&view, &offer, |_| Ok(()), &mut |_, _| ()).unwrap();
    // Carried for too long it is stale, as the store itself would be.
    let late = stranger(&shop).at_time(time::now() + 8 * DAY);
    assert_eq!(late.refresh().err().unwrap().code(), "TM0814");
}

#[test]
fn a_copy_that_was_interrupted_goes_on() {
    let shop = market();
    let cut = Hostile::new(&shop, "blobs/", Attack::Broken(100_000)).boxed();
    let store = shop.buyer().with_transports(vec![cut], impatient());
    let view = store.refresh().unwrap();
    assert_eq!(view.copy_to(&shop.path("stick"), &mut |_| ()).unwrap_err().code(), "TM0801");
    assert!(!shop.path("stick/metadata/timestamp.json").exists(), "nothing is seen of half a copy");
    let good = Hostile::new(&shop, "blobs/", Attack::None);
    let sent = Arc::clone(&good.sent);
    let store = shop.buyer().with_transports(vec![good.boxed()], impatient());
    let view = store.refresh().unwrap();
    view.copy_to(&shop.path("stick"), &mut |_| ()).unwrap();
    assert!(sent.load(Ordering::Relaxed) < 300_000, "{sent:?}");
    assert!(!shop.path("stick/parts").exists());
    // Once more nothing is fetched.
    let again = view.copy_to(&shop.path("stick"), &mut |_| ()).unwrap();
    assert_eq!(again.fetched, 0, "{again:?}");
    stranger(&shop).refresh().unwrap();
}

#[test]
fn a_blob_that_is_cut_short_keeps_nothing_else_out_of_a_copy() {
    let shop = market_of_two();
    let blob = shop.path("store").join(layout::blob(&tilemark_bundle::sha256(b"2")));
    std::fs::write(&blob, "").unwrap();
    let (store, stick) = (shop.buyer(), shop.path("stick"));
    let copy = || store.refresh().unwrap().copy_to(&stick, &mut |_| ()).unwrap().refused;
    // Twice: what the first try left of it is no hindrance to the second.
    for _ in 0..2 {
        let refused = copy();
        let found: Vec<_> = refused.iter().map(|(what, error)| (what.as_str(), error.code())).collect();
        assert_eq!(found, [("acme/tagger/2.listing", "TM0804")]);
        assert!(refused[0].1.to_string().contains("blobs/"), "{refused:?}");
        stranger(&shop).refresh().unwrap().offer(&tagger(), Some(3)).unwrap();
        stranger(&shop).refresh().unwrap().offer(&"zeta/app".parse().unwrap(), Some(1)).unwrap();
    }
    std::fs::write(&blob, "2").unwrap();
    assert_eq!(copy().len(), 0);
}

#[test]
fn a_drive_that_does_not_keep_what_it_is_given() {
    let shop = market();
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    let whole = view.copy_to(&shop.path("whole"), &mut |_| ()).unwrap().files;
    let blob = shop.path("stick").join(layout::blob(&tilemark_bundle::sha256(b"2")));
    // Once all is written, a bit of one file turns.
    let rots = |done: &Copied| {
        if done.files == whole {
            std::fs::write(&blob, "3").unwrap();
        }
    };
    let error = view.copy_and_read_again(&shop.path("stick"), &mut { rots }).unwrap_err();
    assert!(matches!(&error, Error::WrongHash { what, .. } if what.starts_with("blobs/")), "{error}");
    std::fs::remove_dir_all(shop.path("stick")).unwrap();
    view.copy_to(&shop.path("stick"), &mut { rots }).unwrap();
}

#[test]
fn a_copy_heals_what_a_drive_lost() {
    let shop = market();
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    view.copy_to(&shop.path("stick"), &mut |_| ()).unwrap();
    for (path, mut bytes) in files(&shop.path("stick")) {
        if path.ends_with("lock") {
            continue;
        }
        bytes[0] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    // Its first root is no root any more: whose copy it was is not known.
    assert_eq!(view.copy_to(&shop.path("stick"), &mut |_| ()).unwrap_err().code(), "TM0833");
    std::fs::copy(shop.path("store/metadata/1.root.json"), shop.path("stick/metadata/1.root.json")).unwrap();
    view.copy_and_read_again(&shop.path("stick"), &mut |_| ()).unwrap();
    shop.install(&stranger(&shop)).unwrap();
}

#[test]
fn a_hostile_mirror_gets_nothing_into_a_copy() {
    let shop = market();
    shop.buyer().refresh().unwrap();
    for about in ["targets.json", "1.root.json", "/index/"] {
        let store = shop.buyer_at(Hostile::new(&shop, about, Attack::Garbage));
        let _ = std::fs::remove_dir_all(shop.path("cache"));
        store.refresh().unwrap().copy_to(&shop.path("stick"), &mut |_| ()).unwrap_err();
        assert!(!shop.path("stick/metadata/timestamp.json").exists(), "{about}");
    }
    // What it does to a publisher's files is left out, and told.
    for about in ["blobs/", ".listing", "p.acme.json"] {
        let store = shop.buyer_at(Hostile::new(&shop, about, Attack::Garbage));
        let _ = std::fs::remove_dir_all(shop.path("cache"));
        let _ = std::fs::remove_dir_all(shop.path("stick"));
        let done = store.refresh().unwrap().copy_to(&shop.path("stick"), &mut |_| ()).unwrap();
        assert!(!done.refused.is_empty(), "{about}");
        let garbage = |bytes: &Vec<u8>| bytes.first() == Some(&b'x');
        assert!(!files(&shop.path("stick")).values().any(garbage), "{about}");
    }
    // Another store's folder is not mixed with this one.
    let other = Shop::open();
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    assert_eq!(view.copy_to(&other.path("store"), &mut |_| ()).unwrap_err().code(), "TM0833");
}

/// The market, and another publisher that did nothing wrong.
fn market_of_two() -> Shop {
    let (shop, zeta) = (market(), key());
    shop.operator().invite("zeta", &[zeta.public().clone()], 1, &shop.targets).unwrap();
    shop.repository().publish(&shop.bundle("zeta/app", 1, &zeta), &[&zeta]).unwrap();
    // acme says nothing for longer than a day.
    let brief = Validity { targets: DAY, ..Validity::default() };
    let bundle = shop.bundle("acme/tagger", 3, &shop.acme);
    shop.repository().with_validity(brief).publish(&bundle, &[&shop.acme]).unwrap();
    assert!(shop.operator().refresh(&shop.online).unwrap().refused.is_empty());
    shop
}

#[test]
fn one_publisher_keeps_nobody_else_out_of_a_copy() {
    let shop = market_of_two();
    shop.keep("whole");
    let copied = |later: u64| {
        for folder in ["stick", "cache", "away"] {
            let _ = std::fs::remove_dir_all(shop.path(folder));
        }
        let store = shop.buyer().at_time(time::now() + later);
        let done = store.refresh().unwrap().copy_and_read_again(&shop.path("stick"), &mut |_| ()).unwrap();
        let away = stranger(&shop).at_time(time::now() + later);
        let offer = away.refresh().unwrap().offer(&"zeta/app".parse().unwrap(), Some(1)).unwrap();
        for blob in &offer.listing().blobs {
            assert!(shop.path("stick").join(layout::blob(&blob.sha256)).exists(), "{blob:?}");
        }
        done.refused.iter().map(|(_, error)| error.code()).collect::<Vec<_>>()
    };
    assert_eq!(copied(0), [""; 0]);
    let mut listings = files(&shop.path("store/targets/acme")).into_keys();
    let listing = listings.find(|path| path.to_string_lossy().ends_with(".2.listing")).unwrap();
    let blob = shop.path("store").join(layout::blob(&tilemark_bundle::sha256(b"2")));
    for path in [listing, blob, shop.path("store/metadata/3.p.acme.json")] {
        std::fs::remove_file(&path).unwrap();
        assert_eq!(copied(0), ["TM0820"], "{path:?}");
        std::fs::write(&path, "x").unwrap();
        assert!(["TM0804", "TM0805"].contains(&copied(0)[0]), "{path:?}");
        shop.serve("whole");
    }
    assert_eq!(copied(2 * DAY), ["TM0814"]);
}

#[test]
fn a_publisher_that_passes_on_to_anothers_role_does_not_take_its_place() {
    let (shop, other) = (Shop::open(), key());
    // It is looked at after acme.
    let acme = layout::bin("acme");
    let name = (0..).map(|n| format!("p{n}")).find(|name| layout::bin(name) > acme).unwrap();
    shop.operator().invite(&name, &[other.public().clone()], 1, &shop.targets).unwrap();
    shop.repository().publish(&shop.bundle(&format!("{name}/app"), 1, &other), &[&other]).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    // The operator would list no such thing: whoever has its online key does.
    let bin = shop.path(&format!("store/metadata/1.{}.json", layout::bin_role(&acme)));
    let bin: Targets = Signed::parse("bin", &std::fs::read(bin).unwrap()).unwrap().unverified("bin").unwrap();
    shop.forge::<Targets>("1.p.acme.json", "1.p.acme.json", &[&shop.acme], |targets| {
        let mut below = bin.delegations.unwrap();
        below.roles.iter_mut().for_each(|role| role.name = layout::publisher_role(&name));
        targets.delegations = Some(below);
    });
    let role = std::fs::read(shop.path("store/metadata/1.p.acme.json")).unwrap();
    shop.list(|snapshot| drop(snapshot.meta.insert("p.acme.json".into(), FileInfo::of(1, &role))));
    let done = shop.buyer().refresh().unwrap().copy_to(&shop.path("stick"), &mut |_| ()).unwrap();
    assert!(done.refused.is_empty(), "{done:?}");
    assert!(shop.path(&format!("stick/metadata/1.p.{name}.json")).exists());
}

#[test]
fn an_operators_role_that_its_key_did_not_sign_takes_no_good_copys_place() {
    let shop = market();
    let copy = || shop.buyer().refresh().unwrap().copy_to(&shop.path("stick"), &mut |_| ()).map(drop);
    copy().unwrap();
    let before = files(&shop.path("stick/metadata")).remove(&shop.path("stick/metadata/timestamp.json"));
    shop.publish(3);
    let ([first, second, _], new) = (&shop.roots, key());
    let change = [Replace { old: shop.targets.public(), new: new.public() }];
    shop.operator().renew_root(&[first, second], &change).unwrap();
    // The key is new, and what it is to sign is not signed yet.
    assert_eq!(copy().unwrap_err().code(), "TM0811");
    let after = files(&shop.path("stick/metadata")).remove(&shop.path("stick/metadata/timestamp.json"));
    assert!(before.is_some() && before == after, "the older copy is as it was");
    assert_eq!(stranger(&shop).refresh().unwrap().releases(&tagger()).unwrap(), [1, 2]);
    shop.operator().renew_targets(&new).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    copy().unwrap();
    assert_eq!(stranger(&shop).refresh().unwrap().releases(&tagger()).unwrap(), [1, 2, 3]);
}

#[test]
fn a_stale_view_is_not_copied() {
    let shop = market();
    let store = shop.buyer();
    store.refresh().unwrap();
    let view = store.offline().unwrap();
    assert_eq!(view.copy_to(&shop.path("stick"), &mut |_| ()).unwrap_err().code(), "TM0823");
}

#[cfg(unix)]
#[test]
fn a_link_on_a_drive_is_not_written_through() {
    let shop = market();
    std::fs::create_dir_all(shop.path("stick")).unwrap();
    std::fs::create_dir_all(shop.path("home-of-somebody")).unwrap();
    for name in ["parts", "blobs", "metadata", "targets"] {
        std::os::unix::fs::symlink(shop.path("home-of-somebody"), shop.path("stick").join(name)).unwrap();
    }
    let store = shop.buyer_at(Folder::new(shop.path("store")));
    let view = store.refresh().unwrap();
    assert_eq!(view.copy_to(&shop.path("stick"), &mut |_| ()).unwrap_err().code(), "TM0837");
    assert_eq!(files(&shop.path("home-of-somebody")).len(), 0);
    // Nor is one in the place of a download.
    for name in ["parts", "blobs", "metadata", "targets"] {
        std::fs::remove_file(shop.path("stick").join(name)).unwrap();
    }
    let (blob, precious) = (tilemark_bundle::sha256(&vec![7; 300_000]), shop.path("precious"));
    std::fs::write(&precious, "keep").unwrap();
    std::fs::create_dir(shop.path("stick/parts")).unwrap();
    std::os::unix::fs::symlink(&precious, shop.path(&format!("stick/parts/{blob}.part"))).unwrap();
    view.copy_to(&shop.path("stick"), &mut |_| ()).unwrap();
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "keep");
}
