//! Attacks on the operator by whoever may write to the folder: nothing that was planted, put back or taken away there is signed.

use tilemark_bundle::{Role, Trust, Untrusted};

use super::shop::{Shop, key, tagger};
use crate::metadata::{FileInfo, Root, Signed, Snapshot, TargetFile, Targets, Timestamp};
use crate::repository::{Operator, Replace, RootKeys, Validity};
use crate::{Error, Price, layout};

#[test]
fn a_planted_snapshot_is_not_signed() {
    let shop = Shop::open();
    let mallory = key();
    // Another snapshot and a timestamp that names it, by a key of nobody's.
    let version = shop.buyer().refresh().unwrap().version();
    shop.forge::<Snapshot>(&format!("{version}.snapshot.json"), "9.snapshot.json", &[&mallory], |snapshot| {
        snapshot.common.version = 9;
        snapshot.meta.get_mut("p.acme.json").unwrap().version = 1 << 40;
    });
    let bytes = std::fs::read(shop.path("store/metadata/9.snapshot.json")).unwrap();
    shop.forge::<Timestamp>("timestamp.json", "timestamp.json", &[&mallory], |timestamp| {
        timestamp.common.version = 1 << 40;
        timestamp.meta.snapshot = FileInfo::of(9, &bytes);
    });
    assert_eq!(shop.refuses_to_sign(), "TM0811");
    // The listed snapshot itself, changed.
    let shop = Shop::open();
    shop.forge::<Snapshot>(
        &format!("{version}.snapshot.json"),
        &format!("{version}.snapshot.json"),
        &[&mallory],
        |_| (),
    );
    assert_eq!(shop.refuses_to_sign(), "TM0837");
}

#[test]
fn a_planted_root_is_not_followed() {
    let shop = Shop::open();
    let mallory = key();
    let planted = |root: &mut Root| {
        let id = crate::metadata::key_id(&crate::metadata::Key::of(mallory.public()).unwrap());
        root.keys.insert(id.clone(), crate::metadata::Key::of(mallory.public()).unwrap());
        for role in [
            &mut root.roles.root,
            &mut root.roles.targets,
            &mut root.roles.snapshot,
            &mut root.roles.timestamp,
        ] {
            (role.keyids, role.threshold) = (vec![id.clone()], 1);
        }
        root.common.version = 2;
    };
    shop.forge::<Root>("1.root.json", "2.root.json", &[&mallory], planted);
    assert_eq!(shop.refuses_to_sign(), "TM0811");
    let [first, second, _] = &shop.roots;
    assert_eq!(shop.operator().renew_root(&[first, second], &[]).unwrap_err().code(), "TM0811");
    let invite = || shop.operator().invite("zeta", &[key().public().clone()], 1, &shop.targets).unwrap_err();
    assert_eq!(invite().code(), "TM0811");
    // In the place of the first one: a store of Mallory's, whole.
    std::fs::rename(shop.path("store/metadata/2.root.json"), shop.path("store/metadata/1.root.json"))
        .unwrap();
    assert_eq!(shop.refuses_to_sign(), "TM0837");
    assert_eq!(invite().code(), "TM0837");
    assert_eq!(shop.operator().renew_root(&[first, second], &[]).unwrap_err().code(), "TM0837");
}

#[test]
fn a_stores_folder_replaced_by_another_store() {
    let shop = Shop::open();
    let other = Shop::open();
    std::fs::remove_dir_all(shop.path("store")).unwrap();
    super::shop::copy(&other.path("store"), &shop.path("store"));
    assert_eq!(shop.refuses_to_sign(), "TM0837");
    assert_eq!(shop.operator().renew_targets(&shop.targets).unwrap_err().code(), "TM0837");
}

#[test]
fn a_folder_that_was_rolled_back_is_not_signed() {
    let shop = Shop::open();
    shop.keep("old");
    shop.publish(2);
    shop.serve("old");
    assert_eq!(shop.refuses_to_sign(), "TM0812");
    std::fs::remove_file(shop.path("store/metadata/timestamp.json")).unwrap();
    assert_eq!(shop.refuses_to_sign(), "TM0837");
    // A root that is forgotten brings a key back.
    let shop = Shop::open();
    let [first, second, _] = &shop.roots;
    shop.keep("old");
    let new = key();
    let change = [Replace { old: shop.targets.public(), new: new.public() }];
    shop.operator().renew_root(&[first, second], &change).unwrap();
    shop.serve("old");
    assert_eq!(shop.refuses_to_sign(), "TM0837");
}

#[test]
fn an_invitation_that_was_taken_back_does_not_return() {
    let shop = Shop::open();
    let zeta = key();
    shop.operator().invite("zeta", &[zeta.public().clone()], 1, &shop.targets).unwrap();
    shop.keep("invited");
    shop.operator().revoke("zeta", &shop.targets).unwrap();
    // Nothing of it was listed yet. Both states are signed by the right key.
    shop.serve("invited");
    assert_eq!(shop.refuses_to_sign(), "TM0812");
    assert_eq!(shop.operator().renew_targets(&shop.targets).unwrap_err().code(), "TM0812");
}

#[test]
fn a_rebuild_brings_no_revoked_publisher_back() {
    let shop = Shop::open();
    let zeta = key();
    shop.operator().invite("zeta", &[zeta.public().clone()], 1, &shop.targets).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    // One machine signs the targets, another one refreshes and has seen the revocation.
    let root = std::fs::read(shop.path("store/metadata/1.root.json")).unwrap();
    shop.keep("old");
    shop.operator().revoke("zeta", &shop.targets).unwrap();
    let other = Operator::begin(&shop.path("store"), &shop.path("second"), &root).unwrap();
    other.refresh(&shop.online).unwrap();
    shop.serve("old");
    assert_eq!(shop.operator().rebuild(&shop.online).unwrap_err().code(), "TM0812");
    assert_eq!(other.rebuild(&shop.online).unwrap_err().code(), "TM0812");
}

#[test]
fn killed_between_bin_and_targets_the_next_try_finishes() {
    let shop = Shop::open();
    let (zeta, other) = (key(), key());
    let state = shop.path("office/signed.json");
    // As it is when the bin is written, and the targets that pass on to it are not.
    let killed = |version: u64| {
        std::fs::remove_file(shop.path(&format!("store/metadata/{version}.targets.json"))).unwrap();
        let mut signed: serde_json::Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
        signed["targets"]["version"] = (version - 1).into();
        signed["targets"].as_object_mut().unwrap().remove("hashes");
        signed["targets"].as_object_mut().unwrap().remove("length");
        std::fs::write(&state, signed.to_string()).unwrap();
    };
    let invite = |key: &tilemark_bundle::SigningKey| {
        shop.operator().invite("zeta", &[key.public().clone()], 1, &shop.targets)
    };
    invite(&zeta).unwrap();
    killed(3);
    assert_eq!(invite(&other).unwrap_err().code(), "TM0831", "another key is no second try");
    invite(&zeta).unwrap();
    shop.repository().publish(&shop.bundle("zeta/app", 1, &zeta), &[&zeta]).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    shop.buyer().refresh().unwrap().offer(&"zeta/app".parse().unwrap(), None).unwrap();
    shop.operator().revoke("zeta", &shop.targets).unwrap();
    killed(4);
    shop.operator().revoke("zeta", &shop.targets).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(invite(&zeta).map_err(|error| error.code()), Ok(()));
}

#[test]
fn planted_targets_are_not_signed() {
    let shop = Shop::open();
    let mallory = key();
    let planted = |targets: &mut Targets| targets.common.version = 3;
    shop.forge::<Targets>("2.targets.json", "3.targets.json", &[&mallory], planted);
    let invite = shop.operator().invite("zeta", &[mallory.public().clone()], 1, &shop.targets);
    assert_eq!(invite.unwrap_err().code(), "TM0811");
    assert_eq!(shop.refuses_to_sign(), "TM0811");
    // What is listed, replaced by what the right key signed for another store or another time.
    std::fs::remove_file(shop.path("store/metadata/3.targets.json")).unwrap();
    shop.forge::<Targets>("2.targets.json", "2.targets.json", &[&shop.targets], |targets| {
        targets.delegations.as_mut().unwrap().roles.clear();
    });
    assert!(["TM0804", "TM0805"].contains(&shop.refuses_to_sign()));
    assert!(["TM0804", "TM0805"].contains(&shop.operator().renew_targets(&shop.targets).unwrap_err().code()));
}

#[test]
fn a_planted_shard_of_the_index_is_not_signed() {
    let shop = Shop::open();
    let folder = shop.path("store/targets/index");
    let shard = layout::shard_of("acme");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(&format!("{shard}.json")) {
            std::fs::write(path, r#"{"schema":1,"apps":[]}"#).unwrap();
        }
    }
    // The shard is made anew from what publishers signed, also of those that changed nothing.
    let lynx = key();
    let same_shard = (0..).map(|n| format!("p{n}")).find(|name| layout::shard_of(name) == shard).unwrap();
    shop.operator().invite(&same_shard, &[lynx.public().clone()], 1, &shop.targets).unwrap();
    shop.repository().publish(&shop.bundle(&format!("{same_shard}/app"), 1, &lynx), &[&lynx]).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(shop.buyer().refresh().unwrap().index().unwrap().len(), 2);
}

#[cfg(unix)]
#[test]
fn links_in_the_folder_are_not_written_through() {
    use std::os::unix::fs::symlink;
    let shop = Shop::open();
    let precious = shop.path("precious");
    std::fs::write(&precious, "keep").unwrap();
    symlink(&precious, shop.path("store/metadata/timestamp.json.new")).unwrap();
    shop.publish(2);
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "keep");
    // The folder of metadata elsewhere.
    std::fs::rename(shop.path("store/metadata"), shop.path("elsewhere")).unwrap();
    symlink(shop.path("elsewhere"), shop.path("store/metadata")).unwrap();
    assert_eq!(shop.refuses_to_sign(), "TM0837");
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_folder_makes_nobody_wait() {
    let shop = Shop::open();
    let pipe = shop.path("store/metadata/2.p.acme.json");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: no mkfifo here");
        return;
    }
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(done.refused[0].1.code(), "TM0840");
    std::fs::rename(&pipe, shop.path("store/metadata/2.root.json")).unwrap();
    assert_eq!(shop.operator().refresh(&shop.online).unwrap_err().code(), "TM0840");
    shop.buyer().refresh().unwrap();
}

#[test]
fn a_state_is_begun_by_a_trusted_root_alone() {
    let shop = Shop::open();
    let [store, state] = ["store", "second"].map(|name| shop.path(name));
    assert_eq!(Operator::open(&store, &state).unwrap_err().code(), "TM0836");
    let foreign = std::fs::read(Shop::open().path("store/metadata/1.root.json")).unwrap();
    let second = Operator::begin(&store, &state, &foreign).unwrap();
    assert_eq!(second.refresh(&shop.online).unwrap_err().code(), "TM0837");
    std::fs::remove_dir_all(&state).unwrap();
    // By the right one it comes to know what the first machine signed, and the first what the second did.
    let root = std::fs::read(shop.path("store/metadata/1.root.json")).unwrap();
    let second = Operator::begin(&store, &state, &root).unwrap();
    second.refresh(&shop.online).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    second.refresh(&shop.online).unwrap();
    shop.buyer().refresh().unwrap();
    assert_eq!(Operator::begin(&store, &state, &root).unwrap_err().code(), "TM0833");
}

#[test]
fn a_version_without_a_next_one_is_malformed() {
    let shop = Shop::open();
    shop.forge::<Timestamp>("timestamp.json", "timestamp.json", &[&shop.online], |timestamp| {
        timestamp.common.version = 1 << 53;
    });
    assert_eq!(shop.refuses_to_sign(), "TM0810");
    assert_eq!(shop.refused(), "TM0810");
}

#[test]
fn a_targets_key_is_replaced() {
    let shop = Shop::open();
    let [first, second, _] = &shop.roots;
    let new = key();
    let change = [Replace { old: shop.targets.public(), new: new.public() }];
    shop.operator().renew_root(&[first, second], &change).unwrap();
    assert_eq!(shop.operator().renew_targets(&shop.targets).unwrap_err().code(), "TM0832");
    assert_eq!(shop.refuses_to_sign(), "TM0811");
    // What was planted in the old documents' place is not signed either.
    let bin = layout::bin_role(&layout::bin("acme"));
    let path = shop.path(&format!("store/metadata/1.{bin}.json"));
    let good = std::fs::read(&path).unwrap();
    shop.forge::<Targets>(&format!("1.{bin}.json"), &format!("1.{bin}.json"), &[&shop.targets], |bin| {
        bin.delegations.as_mut().unwrap().roles.clear();
    });
    assert!(["TM0804", "TM0805"].contains(&shop.operator().renew_targets(&new).unwrap_err().code()));
    std::fs::write(&path, good).unwrap();
    shop.operator().renew_targets(&new).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    shop.install(&shop.buyer()).unwrap();
    shop.operator().invite("zeta", &[key().public().clone()], 1, &new).unwrap();
    shop.publish(2);
    assert_eq!(shop.install(&shop.buyer()).unwrap().installed.release, 2);
}

#[test]
fn a_publishers_key_is_replaced() {
    let shop = Shop::open();
    shop.publish(2);
    let store = shop.buyer();
    let new = key();
    shop.operator().revoke("acme", &shop.targets).unwrap();
    shop.operator().invite("acme", &[new.public().clone()], 1, &shop.targets).unwrap();
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert!(done.refused.is_empty(), "{done:?}");
    // What the old key signed is nobody's offer now.
    let view = store.refresh().unwrap();
    assert_eq!(view.offer(&tagger(), Some(1)).unwrap_err().code(), "TM0811");
    assert_eq!(view.index().unwrap(), []);
    let publish = |key| shop.repository().publish(&shop.bundle("acme/tagger", 3, key), &[key]);
    assert_eq!(publish(&shop.acme).unwrap_err().code(), "TM0832");
    publish(&new).unwrap();
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert!(done.refused.is_empty(), "{done:?}");
    let view = store.refresh().unwrap();
    assert_eq!(view.releases(&tagger()).unwrap(), [3]);
    assert_eq!(view.index().unwrap()[0].release, 3);
    shop.install(&store).unwrap();
}

#[test]
fn the_old_key_of_a_publisher_lists_nothing() {
    let shop = Shop::open();
    shop.operator().revoke("acme", &shop.targets).unwrap();
    shop.operator().invite("acme", &[key().public().clone()], 1, &shop.targets).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    shop.forge::<Targets>("1.p.acme.json", "2.p.acme.json", &[&shop.acme], |targets| {
        targets.common.version = 2
    });
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert_eq!((done.refused.len(), done.refused[0].1.code()), (1, "TM0811"));
}

#[test]
fn an_old_offer_does_not_take_a_new_ones_place() {
    let shop = Shop::open();
    let staged = |release| {
        shop.repository().publish(&shop.bundle("acme/tagger", release, &shop.acme), &[&shop.acme]).unwrap();
    };
    staged(2);
    let first = std::fs::read(shop.path("store/metadata/2.p.acme.json")).unwrap();
    staged(3);
    // Neither was listed yet: what was signed first cannot be put in the place of what was signed last.
    std::fs::write(shop.path("store/metadata/2.p.acme.json"), &first).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(shop.buyer().refresh().unwrap().releases(&tagger()).unwrap(), [1, 2, 3]);
}

#[test]
fn a_listed_document_that_was_replaced_is_told_of() {
    let shop = Shop::open();
    shop.publish(2);
    let old = std::fs::read(shop.path("store/metadata/1.p.acme.json")).unwrap();
    std::fs::write(shop.path("store/metadata/2.p.acme.json"), old).unwrap();
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert!(["TM0804", "TM0805"].contains(&done.refused[0].1.code()), "{done:?}");
    std::fs::remove_file(shop.path("store/metadata/2.p.acme.json")).unwrap();
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(done.refused[0].1.code(), "TM0837");
}

#[test]
fn a_publisher_that_delegates_is_left_out() {
    let shop = Shop::open();
    let bin = std::fs::read(
        shop.path(&format!("store/metadata/1.{}.json", layout::bin_role(&layout::bin("acme")))),
    );
    let bin: Targets = Signed::parse("bin", &bin.unwrap()).unwrap().unverified("bin").unwrap();
    shop.forge::<Targets>("1.p.acme.json", "2.p.acme.json", &[&shop.acme], |targets| {
        targets.common.version = 2;
        targets.delegations = bin.delegations;
    });
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(done.refused[0].1.code(), "TM0835", "{done:?}");
}

#[test]
fn a_blob_that_was_planted_is_replaced_and_never_listed() {
    let shop = Shop::open();
    let publish =
        |release| shop.repository().publish(&shop.bundle("acme/tagger", release, &shop.acme), &[&shop.acme]);
    // Garbage of the right length where the next release's blob will be.
    let digest = tilemark_bundle::sha256(b"2");
    let path = shop.path(&format!("store/{}", layout::blob(&digest)));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "x").unwrap();
    assert_eq!(publish(2).unwrap().added, 1);
    assert_eq!(std::fs::read(&path).unwrap(), b"2");
    // After the publication it is the operator who looks.
    std::fs::write(&path, "x").unwrap();
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(done.refused[0].1.code(), "TM0820");
    assert_eq!(shop.buyer().refresh().unwrap().releases(&tagger()).unwrap(), [1]);
}

#[test]
fn a_name_that_looks_like_anothers_is_not_invited() {
    let shop = Shop::open();
    for like in ["acrne", "ac-me"] {
        let invited = shop.operator().invite(like, &[key().public().clone()], 1, &shop.targets).unwrap_err();
        assert!(matches!(&invited, Error::LooksLike { like, .. } if like == "acme"), "{invited}");
    }
    for name in ["con", "Acme", "аcme", "../acme", "a/b", "", "acme.", &"a".repeat(64)] {
        let invited = shop.operator().invite(name, &[key().public().clone()], 1, &shop.targets);
        assert_eq!(invited.unwrap_err().code(), "TM0140", "{name}");
    }
    shop.operator().invite("acne", &[key().public().clone()], 1, &shop.targets).unwrap();
}

#[test]
fn a_planted_target_beside_the_bins_is_nobodys() {
    let shop = Shop::open();
    // acme offers a listing by a path that is no listing's.
    shop.forge::<Targets>("1.p.acme.json", "2.p.acme.json", &[&shop.acme], |targets| {
        targets.common.version = 2;
        targets.targets.insert("acme/../zeta/1.listing".into(), TargetFile::of(b"x"));
    });
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(done.refused[0].1.code(), "TM0835", "{done:?}");
}

#[test]
fn a_store_is_made_where_there_is_none() {
    let shop = Shop::open();
    let keys = RootKeys { root: &[&shop.acme], threshold: 1, targets: &shop.targets, online: &shop.online };
    let init = |dir: &str, state: &str| {
        Operator::init(&shop.path(dir), &shop.path(state), &keys, Validity::default())
    };
    assert_eq!(init("store", "free").unwrap_err().code(), "TM0833");
    assert_eq!(init("free", "office").unwrap_err().code(), "TM0833");
    // Killed before the root was written: the next try makes it.
    std::fs::create_dir_all(shop.path("half/metadata")).unwrap();
    std::fs::write(shop.path("half/metadata/1.targets.json"), "{").unwrap();
    init("half", "half-office").unwrap();
}

#[test]
fn a_bundle_is_countersigned_for_its_publisher_alone() {
    let shop = Shop::open();
    let (zeta, review, stranger) = (key(), key(), key());
    shop.operator().invite("zeta", &[zeta.public().clone()], 1, &shop.targets).unwrap();
    let sign = |app: &str, by| shop.operator().countersign(&shop.bundle(app, 2, by), Price::Free, &review);
    assert_eq!(sign("acme/tagger", &stranger).unwrap_err().code(), "TM0830", "by a stranger");
    assert_eq!(sign("acme/tagger", &zeta).unwrap_err().code(), "TM0134", "by another publisher");
    let signed = shop.path("signed.tmk");
    std::fs::write(&signed, sign("acme/tagger", &shop.acme).unwrap()).unwrap();

    // It is published and installed like any other, and whoever asks for the store's signature finds it.
    shop.repository().publish(&signed, &[&shop.acme]).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    let path = shop.install(&shop.buyer()).unwrap().installed.path;
    let [acme, review] = [&shop.acme, &review].map(|key| key.public().clone());
    let trust = Trust::builder().key(acme.clone()).key(review.clone()).publisher("acme", &[acme.id()], 1);
    let trust = trust.role("acme", Role::Store, &[review.id()], 1).build().unwrap();
    Untrusted::from_path(path).unwrap().verify(&trust).unwrap();
    let plain = Untrusted::from_path(shop.path("acme-tagger-2.tmk")).unwrap();
    assert_eq!(plain.verify(&trust).unwrap_err().into_error().code(), "TM0135");
    // What was planted in the folder makes nobody a publisher.
    shop.forge::<Targets>("3.targets.json", "4.targets.json", &[&zeta], |targets| targets.common.version = 4);
    assert_eq!(shop.operator().countersign(&signed, Price::Free, &shop.acme).unwrap_err().code(), "TM0811");
}
