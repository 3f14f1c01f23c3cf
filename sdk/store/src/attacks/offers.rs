//! Offers that may not be made, and listings that promise what is not so.

use std::path::PathBuf;

use tilemark_bundle::{
    AppIdentity, BundleWriter, Head, Origin, OriginKind, PartLicenses, SigningKey, Trust, Untrusted,
};

use super::shop::{Shop, files, tagger};
use crate::contract::tests::contract;
use crate::metadata::{FileInfo, TargetFile, Targets};
use crate::{Contract, DutyKind, Error, Listing, Offering, Price, Query, Refreshed, Speed, layout};

/// Release 2 of acme/tagger, whose weights are under this licence.
fn bundle(shop: &Shop, weights: &str) -> PathBuf {
    let identity =
        AppIdentity::new("acme/tagger", "1.2.0", 2, "LicenseRef-acme.eula", "Names things").unwrap();
    let licenses = PartLicenses { code: Some("MIT"), weights: Some(weights), data: Some("CC0-1.0") };
    let writer = BundleWriter::new(identity).origin(Origin::new(OriginKind::Application, licenses));
    let path = shop.path("acme-tagger-2.tmk");
    std::fs::write(&path, writer.blob("graph", &b"integers"[..]).sign(&[&shop.acme]).unwrap()).unwrap();
    path
}

fn paid() -> Offering {
    Offering { price: Some(Price::Paid), contract: Some(contract()), anew: false }
}

#[test]
fn what_may_be_sold_is_offered_with_its_duties_price_and_contract() {
    let shop = Shop::open();
    let done = shop.repository().offer(&bundle(&shop, "CC0-1.0"), &[&shop.acme], &paid()).unwrap();
    assert_eq!(done.ruling.duties.iter().map(|duty| duty.kind).collect::<Vec<_>>(), [DutyKind::Notices]);
    assert!(shop.operator().refresh(&shop.online).unwrap().refused.is_empty());
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    let offer = view.offer(&tagger(), None).unwrap();
    assert_eq!((offer.listing().price, offer.listing().contract.as_ref()), (Price::Paid, Some(&contract())));
    assert_eq!(offer.ruling(), done.ruling);
    let found = |words: &str| {
        view.search(&Query::parse([words]).unwrap().within(6000).at(Price::Paid)).unwrap().len()
    };
    assert_eq!((found("image -> labels"), found("image -> boxes")), (1, 0));
}

#[test]
fn a_sale_that_its_origin_forbids() {
    let shop = Shop::open();
    let repository = shop.repository();
    for weights in ["AGPL-3.0-only", "CC-BY-NC-4.0", "LicenseRef-research-only"] {
        let refused = repository.offer(&bundle(&shop, weights), &[&shop.acme], &paid()).unwrap_err();
        assert!(refused.code() == "TM0825" && refused.to_string().contains(weights), "{refused}");
    }
    // Nothing is known of where release 1 comes from: it may be given away, but not sold.
    let unknown = shop.bundle("acme/tagger", 2, &shop.acme);
    let refused = repository.offer(&unknown, &[&shop.acme], &paid()).unwrap_err();
    assert!(matches!(refused, Error::NotOffered { price: "paid", .. }), "{refused}");
    let done = repository.publish(&unknown, &[&shop.acme]).unwrap();
    assert_eq!(done.ruling.duties.iter().map(|duty| duty.kind).collect::<Vec<_>>(), [DutyKind::Unknown]);
}

/// A publisher whose tools ask no gate: the listing as it would be, signed by the right key.
fn forge(shop: &Shop, change: impl FnOnce(&mut Listing)) {
    let path = layout::listing(&tagger(), 2);
    let metadata = |version| shop.path(&format!("store/metadata/{version}.p.acme.json"));
    let from = (1..9).rev().find(|version| metadata(*version).exists()).unwrap();
    let name = format!("{from}.p.acme.json");
    shop.forge::<Targets>(&name, &name, &[&shop.acme], |targets| {
        let file = &targets.targets[&path];
        let at = |file: &TargetFile| {
            shop.path(&format!("store/{}", layout::target_file(&path, file.sha256().unwrap(), true)))
        };
        let mut listing: Listing = serde_json::from_slice(&std::fs::read(at(file)).unwrap()).unwrap();
        change(&mut listing);
        let bytes = listing.to_bytes().unwrap();
        let file = TargetFile::of(&bytes);
        std::fs::write(at(&file), bytes).unwrap();
        targets.targets.insert(path.clone(), file);
    });
}

#[test]
fn a_publisher_that_asks_no_gate_is_left_out_by_the_operator() {
    let shop = Shop::open();
    shop.repository().publish(&bundle(&shop, "CC-BY-NC-4.0"), &[&shop.acme]).unwrap();
    forge(&shop, |listing| listing.price = Price::Paid);
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(done.refused.iter().map(|(_, error)| error.code()).collect::<Vec<_>>(), ["TM0825"]);
    let store = shop.buyer();
    assert_eq!(store.refresh().unwrap().releases(&tagger()).unwrap(), [1], "what it had before stays");
}

#[test]
fn a_contract_that_no_reader_can_take() {
    let shop = Shop::open();
    let path = bundle(&shop, "MIT");
    let mut bad = contract();
    bad.app.task = "image -> labels\u{1b}[2J".into();
    let offering = Offering { contract: Some(bad.clone()), ..Offering::default() };
    assert_eq!(shop.repository().offer(&path, &[&shop.acme], &offering).unwrap_err().code(), "TM0835");
    shop.repository().publish(&path, &[&shop.acme]).unwrap();
    forge(&shop, |listing| listing.contract = Some(bad));
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(done.refused.iter().map(|(_, error)| error.code()).collect::<Vec<_>>(), ["TM0821"]);
}

#[test]
fn a_report_under_a_signature_of_the_publishers_that_does_not_hold() {
    let shop = Shop::open();
    let path = bundle(&shop, "MIT");
    let identity = shop.repository().publish(&path, &[&shop.acme]).unwrap().listing.identity;
    let bad = Contract { reports: vec![crate::contract::tests::forged(identity, &shop.acme)], ..contract() };
    let offering = Offering { contract: Some(bad.clone()), ..Offering::default() };
    assert_eq!(shop.repository().offer(&path, &[&shop.acme], &offering).unwrap_err().code(), "TM0835");
    forge(&shop, |listing| listing.contract = Some(bad));
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(done.refused.iter().map(|(_, error)| error.code()).collect::<Vec<_>>(), ["TM0821"]);
}

#[test]
fn another_bundle_under_a_release_that_is_offered_already() {
    let shop = Shop::open();
    let repository = shop.repository();
    repository.publish(&bundle(&shop, "MIT"), &[&shop.acme]).unwrap();
    // The same bundle, at another price and with another contract.
    repository.offer(&bundle(&shop, "MIT"), &[&shop.acme], &paid()).unwrap();
    let other = repository.offer(&bundle(&shop, "ISC"), &[&shop.acme], &paid()).unwrap_err();
    assert_eq!(other.code(), "TM0824");
}

#[test]
fn a_listing_that_its_publisher_deletes_holds_up_nobody() {
    let shop = Shop::open();
    shop.publish(1);
    let other = |release| shop.bundle("acme/other", release, &shop.acme);
    shop.repository().publish(&other(1), &[&shop.acme]).unwrap();
    assert!(shop.operator().refresh(&shop.online).unwrap().refused.is_empty());
    let store = shop.path("store");
    let is_taggers = |path: &PathBuf| {
        let path = path.to_string_lossy();
        path.contains("tagger") && path.ends_with("1.listing")
    };
    let listing: Vec<PathBuf> = files(&store).into_keys().filter(is_taggers).collect();
    std::fs::remove_file(&listing[0]).unwrap();
    shop.repository().publish(&other(2), &[&shop.acme]).unwrap();
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(done.refused.iter().map(|(role, _)| role.as_str()).collect::<Vec<_>>(), ["p.acme"]);
    let (buyer, every) = (shop.buyer(), Query::parse([]).unwrap());
    let rows = buyer.refresh().unwrap().search(&every).unwrap();
    let found: Vec<String> = rows.iter().map(|row| format!("{} {}", row.app, row.release)).collect();
    assert_eq!(found, ["acme/other 2", "acme/tagger 1"]);
}

#[test]
fn what_is_offered_again_keeps_what_was_said_of_it() {
    let shop = Shop::open();
    let path = bundle(&shop, "MIT");
    let identity = shop.repository().publish(&path, &[&shop.acme]).unwrap().listing.identity;
    let report = |whose| crate::contract::tests::claimed(identity, whose, &shop.acme);
    let gpu = Speed { device: "opencl-gpu".into(), ..contract().speeds[0].clone() };
    let said = Contract { speeds: vec![gpu.clone()], reports: vec![report("seller")], ..contract() };
    let first = Offering { price: Some(Price::Paid), contract: Some(said.clone()), anew: false };
    shop.repository().offer(&path, &[&shop.acme], &first).unwrap();
    let offer = |price, contract, anew| {
        let offering = Offering { price, contract, anew };
        let listing = shop.repository().offer(&path, &[&shop.acme], &offering).unwrap().listing;
        assert!(shop.operator().refresh(&shop.online).unwrap().refused.is_empty());
        (listing.price, listing.contract)
    };
    // Once a year, to date it anew.
    assert_eq!(offer(None, None, false), (Price::Paid, Some(said.clone())));
    // Measured again on the host, with one more report, and the old one once more.
    let more = Contract { reports: vec![report("buyer"), report("seller")], ..contract() };
    let (price, found) = offer(None, Some(more), false);
    let found = found.unwrap();
    assert_eq!((price, &found.speeds), (Price::Paid, &vec![contract().speeds[0].clone(), gpu]));
    assert_eq!(found.reports, [report("seller"), report("buyer")]);
    // Changed on purpose.
    let (price, found) = offer(Some(Price::Free), None, false);
    assert_eq!((price, found.unwrap().reports.len()), (Price::Free, 2));
    assert_eq!(offer(None, Some(contract()), true), (Price::Free, Some(contract())));
    assert_eq!(offer(Some(Price::Paid), None, true), (Price::Paid, None));
    // A newer release is offered for the same; what was said of another bundle is not said of it.
    let origin = Origin::new(
        OriginKind::Application,
        PartLicenses { code: Some("MIT"), weights: Some("MIT"), data: Some("MIT") },
    );
    let identity = AppIdentity::new("acme/tagger", "1.3.0", 3, "MIT", "Names things").unwrap();
    let next = shop.path("next.tmk");
    let file =
        BundleWriter::new(identity).origin(origin).blob("graph", &b"3"[..]).sign(&[&shop.acme]).unwrap();
    std::fs::write(&next, file).unwrap();
    let listing = shop.repository().publish(&next, &[&shop.acme]).unwrap().listing;
    assert_eq!((listing.price, listing.contract), (Price::Paid, None));
}

#[test]
fn a_release_that_takes_another_ones_place() {
    let shop = Shop::open();
    shop.publish(2);
    let listed = |release| layout::listing(&tagger(), release);
    let refused = |change: &dyn Fn(&mut Targets)| {
        shop.forge::<Targets>("2.p.acme.json", "3.p.acme.json", &[&shop.acme], |targets| {
            targets.common.version = 3;
            change(targets);
        });
        let done = shop.operator().refresh(&shop.online).unwrap();
        std::fs::remove_file(shop.path("store/metadata/3.p.acme.json")).unwrap();
        done.refused.into_iter().map(|(_, error)| error).next().expect("it is refused")
    };
    // The newest one is taken back, and an older one is the newest again.
    let error = refused(&|targets| drop(targets.targets.remove(&listed(2))));
    assert!(matches!(error, Error::NotNewer { known: 2, found: 1, .. }), "{error}");
    // Another bundle as a release that is listed: its number, and its publisher's key, but not what buyers have.
    let listing = |release, file: &TargetFile| {
        let file = file.clone();
        refused(&move |targets| drop(targets.targets.insert(listed(release), file.clone())))
    };
    let identity =
        |app, version, release| AppIdentity::new(app, version, release, "MIT", "Another one").unwrap();
    let error = listing(2, &put(&shop, identity("acme/tagger", "1.2.0", 2), &shop.acme));
    assert!(matches!(error, Error::NotNewer { known: 2, found: 2, .. }), "{error}");
    // A newer release of an older version.
    let error = listing(3, &put(&shop, identity("acme/tagger", "1.1.9", 3), &shop.acme));
    assert!(error.to_string().contains("version 1.1.9") && error.code() == "TM0835", "{error}");
    // Somebody else's key, and another name.
    let error = listing(3, &put(&shop, identity("acme/tagger", "1.3.0", 3), &super::shop::key()));
    assert_eq!(error.code(), "TM0131", "{error}");
    let error = listing(3, &put(&shop, identity("acme/other", "1.3.0", 3), &shop.acme));
    assert_eq!(error.code(), "TM0821", "{error}");
}

/// Writes the listing of a bundle to where those of acme/tagger's releases are; what names it there.
fn put(shop: &Shop, identity: AppIdentity, key: &SigningKey) -> TargetFile {
    let file = BundleWriter::new(identity).blob("graph", &b"2"[..]).sign(&[key]).unwrap();
    let trust = Trust::key(key.public().clone());
    let envelope = Untrusted::from_bytes(file).unwrap().verify(&trust).unwrap().envelope();
    let head = Head::authenticate(&envelope, &trust).unwrap();
    let bytes = Listing::of(&head, &envelope).to_bytes().unwrap();
    let target = TargetFile::of(&bytes);
    for release in [2, 3] {
        let path = layout::target_file(&layout::listing(&tagger(), release), target.sha256().unwrap(), true);
        std::fs::write(shop.path("store").join(path), &bytes).unwrap();
    }
    target
}

#[test]
fn what_the_gate_does_not_allow_any_more_is_not_offered_on() {
    let shop = Shop::open();
    shop.repository().publish(&bundle(&shop, "CC-BY-NC-4.0"), &[&shop.acme]).unwrap();
    assert!(shop.operator().refresh(&shop.online).unwrap().refused.is_empty());
    // As an operator would have listed it whose gate let it pass.
    forge(&shop, |listing| listing.price = Price::Paid);
    let role = std::fs::read(shop.path("store/metadata/2.p.acme.json")).unwrap();
    shop.list(|snapshot| drop(snapshot.meta.insert("p.acme.json".into(), FileInfo::of(2, &role))));
    let codes = |done: Refreshed| done.refused.into_iter().map(|(_, error)| error.code()).collect::<Vec<_>>();
    // Dated anew by tools that ask no gate.
    shop.forge::<Targets>("2.p.acme.json", "3.p.acme.json", &[&shop.acme], |targets| {
        targets.common.version = 3
    });
    assert_eq!(codes(shop.operator().refresh(&shop.online).unwrap()), ["TM0825"]);
    std::fs::remove_file(shop.path("store/metadata/3.p.acme.json")).unwrap();
    // Whoever asks it is told, and offers the rest.
    let other = shop.bundle("acme/other", 1, &shop.acme);
    let done = shop.repository().publish(&other, &[&shop.acme]).unwrap();
    assert_eq!(done.withdrawn, ["acme/tagger/1.listing", "acme/tagger/2.listing"]);
    let refreshed = shop.operator().refresh(&shop.online).unwrap();
    assert!(refreshed.refused.is_empty(), "{:?}", refreshed.refused);
}

#[test]
fn a_bundle_that_may_not_be_offered_is_not_countersigned() {
    let shop = Shop::open();
    let path = bundle(&shop, "CC-BY-NC-4.0");
    let countersign = |price| shop.operator().countersign(&path, price, &shop.targets);
    assert_eq!(countersign(Price::Paid).unwrap_err().code(), "TM0825");
    countersign(Price::Free).unwrap();
}
