//! Attacks on what is known of a store: where it is, which one it is, and what of it is kept here.

use std::sync::atomic::Ordering;

use super::shop::{Attack, DAY, Hostile, Shop, impatient, key, tagger};
use crate::client::State;
use crate::limits::{MAX_PART_DAYS, MAX_SHARD_BYTES};
use crate::metadata::{Delegations, FileInfo, TargetFile, Targets};
use crate::{Error, Query, Store, layout, time};

/// A second store, whose operator invited a publisher of the same name.
fn other_store_with_acme(shop: &Shop) -> (Shop, Store) {
    let other = Shop::open();
    other.publish(5);
    let root = std::fs::read(other.path("store/metadata/1.root.json")).unwrap();
    let address = [other.path("store").display().to_string()];
    let store = Store::add(&shop.path("home/stores/other"), &shop.path("cache2"), &root, &address).unwrap();
    (other, store)
}

#[test]
fn another_stores_app_of_the_same_name_is_no_update() {
    let shop = Shop::open();
    shop.install(&shop.buyer()).unwrap();
    let path = shop.installation().path(&tagger());
    let policy = shop.installation().policy(&tagger());
    let before = [&path, &policy].map(|path| std::fs::read(path).unwrap());
    let (other, store) = other_store_with_acme(&shop);
    let refused = |app: &str| {
        let view = store.refresh().unwrap();
        let offer = view.offer(&app.parse().unwrap(), None).unwrap();
        shop.installation().install(&view, &offer, |_| Ok(()), &mut |_, _| ()).unwrap_err()
    };
    let error = refused("acme/tagger");
    assert!(matches!(&error, Error::OtherStore { publisher, .. } if publisher == "acme"), "{error}");
    // Nor does another app of that publisher's put its keys in the place of this one's.
    other.repository().publish(&other.bundle("acme/lister", 1, &other.acme), &[&other.acme]).unwrap();
    other.operator().refresh(&other.online).unwrap();
    assert_eq!(refused("acme/lister").code(), "TM0826");
    assert_eq!(before, [&path, &policy].map(|path| std::fs::read(path).unwrap()));
    assert_eq!(shop.installation().source("acme").unwrap(), Some(shop.buyer().id().unwrap()));
    // Once the user has removed them, the publisher may come from elsewhere.
    shop.installation().remove(&tagger()).unwrap();
    assert_eq!(shop.install(&store).unwrap().installed.release, 5);
    assert_eq!(shop.install(&shop.buyer()).unwrap_err().code(), "TM0826");
}

#[test]
fn a_source_that_was_lost_is_not_guessed() {
    let shop = Shop::open();
    shop.install(&shop.buyer()).unwrap();
    std::fs::remove_file(shop.path("home/apps/acme/source.json")).unwrap();
    assert_eq!(shop.install(&shop.buyer()).unwrap_err().code(), "TM0834");
}

#[test]
fn killed_before_the_keys_were_written_the_next_try_writes_them() {
    let shop = Shop::open();
    shop.install(&shop.buyer()).unwrap();
    std::fs::remove_file(shop.installation().policy(&tagger())).unwrap();
    std::fs::write(shop.path("home/apps/acme/tagger.tmk.new"), "half").unwrap();
    assert!(shop.install(&shop.buyer()).unwrap().unchanged);
    tilemark_bundle::Trust::from_file(shop.installation().policy(&tagger())).unwrap();
    assert!(!shop.path("home/apps/acme/tagger.tmk.new").exists(), "what a killed process left is gone");
}

#[test]
fn another_root_for_a_known_store_changes_nothing() {
    let shop = Shop::open();
    shop.buyer().refresh().unwrap();
    let other = Shop::open();
    let add = |root: &[u8], address: &std::path::Path| {
        let address = [address.display().to_string()];
        Store::add(&shop.path("home/stores/main"), &shop.path("cache"), root, &address)
    };
    let foreign = std::fs::read(other.path("store/metadata/1.root.json")).unwrap();
    assert_eq!(add(&foreign, &other.path("store")).unwrap_err().code(), "TM0833");
    assert_eq!(shop.buyer().addresses().len(), 1);
    // The same one's further address is a mirror, and no floor is lowered by it.
    shop.keep("mirror");
    shop.publish(2);
    shop.buyer().refresh().unwrap();
    let root = std::fs::read(shop.path("store/metadata/1.root.json")).unwrap();
    let store = add(&root, &shop.path("mirror")).unwrap();
    assert_eq!(store.addresses().len(), 2);
    assert_eq!(add(&root, &shop.path("mirror")).unwrap().addresses().len(), 2, "once");
    assert_eq!(store.refresh().unwrap().releases(&tagger()).unwrap(), [1, 2]);
    std::fs::remove_dir_all(shop.path("store")).unwrap();
    assert_eq!(shop.refused(), "TM0812", "the old mirror alone is refused as before");
}

#[test]
fn a_bare_host_is_no_folder() {
    let shop = Shop::open();
    let root = std::fs::read(shop.path("store/metadata/1.root.json")).unwrap();
    for address in
        ["store.example.org", "store.example.org/path", "file:///no/such/folder", "ftp://a.org", ""]
    {
        let added = Store::add(&shop.path("new"), &shop.path("cache"), &root, &[address.to_owned()]);
        assert_eq!(added.unwrap_err().code(), "TM0835", "{address}");
        assert!(!shop.path("new/root.json").exists());
    }
}

#[test]
fn one_hostile_mirror_does_not_hide_the_others() {
    let shop = Shop::open();
    shop.buyer().refresh().unwrap();
    shop.publish(2);
    // It sends a next root of its own, which nobody else has.
    std::fs::create_dir_all(shop.path("evil/metadata")).unwrap();
    let root = std::fs::read(Shop::open().path("store/metadata/1.root.json")).unwrap();
    std::fs::write(shop.path("evil/metadata/2.root.json"), root).unwrap();
    let evil = || Box::new(crate::transport::Folder::new(shop.path("evil")));
    let good = || Hostile::new(&shop, "", Attack::None).boxed();
    for mirrors in [vec![evil() as _, good()], vec![good(), evil() as _]] {
        let store = shop.buyer().with_transports(mirrors, impatient());
        assert_eq!(store.refresh().unwrap().releases(&tagger()).unwrap(), [1, 2]);
    }
    assert_eq!(
        shop.buyer_at(crate::transport::Folder::new(shop.path("evil"))).refresh().err().unwrap().code(),
        "TM0811"
    );
}

#[test]
fn a_part_of_another_blob_is_thrown_away() {
    let shop = Shop::open();
    let blob = tilemark_bundle::sha256(&vec![7; 300_000]);
    for garbage in [100_000, 300_000, 400_000] {
        let part = shop.path(&format!("cache/parts/{blob}.part"));
        std::fs::create_dir_all(part.parent().unwrap()).unwrap();
        std::fs::write(&part, vec![9; garbage]).unwrap();
        let done = shop.install(&shop.buyer()).unwrap();
        assert_eq!(
            std::fs::read(&done.installed.path).unwrap(),
            std::fs::read(shop.path("acme-tagger-1.tmk")).unwrap()
        );
        std::fs::remove_file(done.installed.path).unwrap();
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_no_mirrors_fault() {
    let shop = Shop::open();
    shop.install(&shop.buyer()).unwrap();
    shop.publish(2);
    let old = std::fs::read(shop.installation().path(&tagger())).unwrap();
    // A folder where the part would be: what this machine cannot write no other mirror sends.
    let blob = tilemark_bundle::sha256(b"2");
    std::fs::create_dir_all(shop.path(&format!("cache/parts/{blob}.part/full"))).unwrap();
    let error = shop.install(&shop.buyer()).unwrap_err();
    assert_eq!(error.code(), "TM0840", "{error}");
    assert_eq!(std::fs::read(shop.installation().path(&tagger())).unwrap(), old);
    std::fs::remove_dir_all(shop.path("cache/parts")).unwrap();
    assert_eq!(shop.install(&shop.buyer()).unwrap().installed.release, 2);
}

#[test]
fn a_view_that_grew_old_installs_nothing() {
    let shop = Shop::open();
    let start = time::now();
    let store = shop.buyer().at_time(start);
    let view = store.refresh().unwrap();
    let offer = view.offer(&tagger(), None).unwrap();
    // A process that runs for weeks: another one asked the store meanwhile.
    shop.operator().at_time(start + 9 * DAY).refresh(&shop.online).unwrap();
    shop.buyer().at_time(start + 9 * DAY).refresh().unwrap();
    let error = shop.installation().install(&view, &offer, |_| Ok(()), &mut |_, _| ()).unwrap_err();
    assert_eq!(error.code(), "TM0823", "{error}");
}

#[test]
fn a_kill_in_a_rotation_takes_no_floor_away() {
    let shop = Shop::open();
    shop.keep("old");
    shop.publish(2);
    shop.buyer().refresh().unwrap();
    let [first, second, _] = &shop.roots;
    let new = key();
    let change = [crate::Replace { old: shop.online.public(), new: new.public() }];
    shop.operator().renew_root(&[first, second], &change).unwrap();
    shop.operator().renew_targets(&shop.targets).unwrap();
    shop.operator().refresh(&new).unwrap();
    // Killed as soon as the new root was kept: what is beside it is by the old key, and no hindrance.
    let root = std::fs::read(shop.path("store/metadata/2.root.json")).unwrap();
    std::fs::write(shop.path("home/stores/main/root.json"), root).unwrap();
    let store = shop.buyer();
    assert_eq!(store.refresh().unwrap().index().unwrap().len(), 1);
    shop.serve("old");
    assert_eq!(shop.refused(), "TM0811", "the old timestamp is by a key that is out");
}

#[test]
fn the_cache_does_not_only_grow() {
    let shop = Shop::open();
    let store = shop.buyer();
    let documents = || {
        let names = std::fs::read_dir(shop.path("cache")).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().contains(".p.acme.json")).count()
    };
    for release in 2..6 {
        shop.install(&store).unwrap();
        shop.publish(release);
    }
    let part = shop.path("cache/parts/00.part");
    std::fs::write(&part, "begun").unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs((MAX_PART_DAYS + 1) * DAY);
    std::fs::File::options().write(true).open(&part).unwrap().set_modified(long_ago).unwrap();
    shop.install(&store).unwrap();
    assert_eq!(documents(), 1, "one version is listed");
    assert!(!part.exists());
}

#[test]
fn a_name_that_two_roles_share_is_two_roles() {
    let shop = Shop::open();
    let mallory = key();
    shop.operator().invite("mallory", &[mallory.public().clone()], 1, &shop.targets).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    // The targets pass mallory's paths on to a role of acme's name, by a key of Mallory's, as an operator's mistake would.
    shop.forge::<Targets>("3.targets.json", "4.targets.json", &[&shop.targets], |targets| {
        targets.common.version = 4;
        let Delegations { roles, keys, .. } = targets.delegations.as_mut().unwrap();
        let mut second = roles[0].clone();
        let key = crate::metadata::Key::of(mallory.public()).unwrap();
        let id = crate::metadata::key_id(&key);
        keys.insert(id.clone(), key);
        (second.name, second.keys.keyids) = ("p.acme".into(), vec![id]);
        second.paths = Some(vec!["mallory/*/*".into()]);
        roles.insert(0, second);
    });
    shop.operator().refresh(&shop.online).unwrap();
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    view.offer(&tagger(), Some(1)).unwrap();
    // What was checked by acme's key was not checked by Mallory's.
    assert_eq!(view.target("mallory/app/1.listing").unwrap_err().code(), "TM0811");
}

#[test]
fn a_state_of_which_a_part_is_gone_is_damaged() {
    let shop = Shop::open();
    shop.buyer().refresh().unwrap();
    std::fs::remove_file(shop.path("home/stores/main/id")).unwrap();
    assert_eq!(shop.buyer().id().unwrap_err().code(), "TM0834");
    assert_eq!(State::at(shop.path("nowhere")).id().unwrap_err().code(), "TM0834");
}

#[test]
fn a_catalogue_that_was_damaged_is_made_anew() {
    let shop = Shop::open();
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    let query = Query::parse(["names"]).unwrap();
    let found = view.search(&query).unwrap();
    assert_eq!(found.len(), 1);
    let path = shop.path("cache/catalogue");
    let whole = std::fs::read(&path).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    // A bit of the description that is shown, and one of the words that are searched.
    for word in ["Names things", "names things"] {
        let mut bad = whole.clone();
        bad[text.rfind(word).unwrap()] ^= 2;
        std::fs::write(&path, bad).unwrap();
        assert_eq!(view.search(&query).unwrap(), found, "{word}");
        assert_eq!(std::fs::read(&path).unwrap(), whole, "{word}");
    }
}

#[test]
fn offline_nobody_is_asked() {
    let shop = Shop::open();
    let mirror = Hostile::new(&shop, "", Attack::None);
    let asked = std::sync::Arc::clone(&mirror.asked);
    let store = shop.buyer_at(mirror);
    store.refresh().unwrap();
    let before = asked.load(Ordering::Relaxed);
    assert!(before > 0);
    let view = store.offline().unwrap();
    let missing = |what: &str, error: Error| {
        assert!(matches!(&error, Error::NotKept { what: found } if found.contains(what)), "{error}");
    };
    missing("targets", view.search(&Query::default()).unwrap_err());
    missing("targets", view.offer(&tagger(), None).unwrap_err());
    assert_eq!(asked.load(Ordering::Relaxed), before);
    // What was looked at is kept; what was not is told by name.
    store.refresh().unwrap().search(&Query::default()).unwrap();
    let before = asked.load(Ordering::Relaxed);
    let view = store.offline().unwrap();
    assert_eq!(view.search(&Query::default()).unwrap().len(), 1);
    missing("bin-", view.offer(&tagger(), None).unwrap_err());
    // A shard that was damaged, and the catalogue gone.
    std::fs::remove_file(shop.path("cache/catalogue")).unwrap();
    let shard = std::fs::read_dir(shop.path("cache/targets")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(shard, "x").unwrap();
    missing("index/", view.search(&Query::default()).unwrap_err());
    assert_eq!(asked.load(Ordering::Relaxed), before);
    assert_eq!(store.refresh().unwrap().search(&Query::default()).unwrap().len(), 1);
}

#[test]
fn an_index_without_end_is_not_fetched() {
    let shop = Shop::open();
    let store = shop.buyer();
    store.refresh().unwrap().search(&Query::default()).unwrap();
    let name = |version: u64| format!("{version}.index.json");
    let version =
        (1..9).rev().find(|version| shop.path("store/metadata").join(name(*version)).exists()).unwrap();
    shop.forge::<Targets>(&name(version), &name(version + 1), &[&shop.online], |index| {
        index.common.version = version + 1;
        let (_, file) = index.targets.iter().next().unwrap();
        let file = TargetFile { length: MAX_SHARD_BYTES, ..file.clone() };
        index.targets.extend((0..=16).map(|n| (layout::shard(&format!("x{n}")), file.clone())));
    });
    let bytes = std::fs::read(shop.path("store/metadata").join(name(version + 1))).unwrap();
    shop.list(|snapshot| drop(snapshot.meta.insert("index.json".into(), FileInfo::of(version + 1, &bytes))));
    let error = store.refresh().unwrap().search(&Query::default()).unwrap_err();
    assert!(matches!(&error, Error::EndlessData { what, .. } if what.starts_with("index of")), "{error}");
}
