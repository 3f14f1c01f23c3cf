//! Offers that may not be made, and listings that promise what is not so.

use std::path::PathBuf;

use tilemark_bundle::{AppIdentity, BundleWriter, Origin, OriginKind, PartLicenses};

use super::shop::{Shop, files, tagger};
use crate::contract::tests::contract;
use crate::metadata::{TargetFile, Targets};
use crate::{Contract, DutyKind, Error, Listing, Offering, Price, Query, layout};

/// Release 2 of acme/tagger, whose weights are under this licence.
fn bundle(shop: &Shop, weights: &str) -> PathBuf {
    let identity =
        AppIdentity::new("acme/tagger", "1.2.0", 2, "LicenseRef-acme-eula", "Names things").unwrap();
    let licenses = PartLicenses { code: Some("MIT"), weights: Some(weights), data: Some("CC0-1.0") };
    let writer = BundleWriter::new(identity).origin(Origin::new(OriginKind::Application, licenses));
    let path = shop.path("acme-tagger-2.tmk");
    std::fs::write(&path, writer.blob("graph", &b"integers"[..]).sign(&[&shop.acme]).unwrap()).unwrap();
    path
}

fn paid() -> Offering {
    Offering { price: Price::Paid, contract: Some(contract()) }
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
    let bad = Contract { task: "image -> labels\u{1b}[2J".into(), ..contract() };
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
