//! Whole copies of a store, and what comes between.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shop::{Attack, DAY, Hostile, Shop, impatient, key, tagger};
use crate::transport::Folder;
use crate::{Store, time};

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
    let cut = Hostile::new(&shop, "blobs/", Attack::Cut(100_000)).boxed();
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
fn a_copy_heals_what_a_drive_lost() {
    let shop = market();
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    view.copy_to(&shop.path("stick"), &mut |_| ()).unwrap();
    for (path, mut bytes) in super::shop::files(&shop.path("stick")) {
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
    for about in ["blobs/", ".listing", "p.acme.json", "targets.json", "1.root.json", "/index/"] {
        let store = shop.buyer_at(Hostile::new(&shop, about, Attack::Garbage));
        let _ = std::fs::remove_dir_all(shop.path("cache"));
        store.refresh().unwrap().copy_to(&shop.path("stick"), &mut |_| ()).unwrap_err();
        assert!(!shop.path("stick/metadata/timestamp.json").exists(), "{about}");
    }
    // Another store's folder is not mixed with this one.
    let other = Shop::open();
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    assert_eq!(view.copy_to(&other.path("store"), &mut |_| ()).unwrap_err().code(), "TM0833");
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
    assert_eq!(super::shop::files(&shop.path("home-of-somebody")).len(), 0);
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
