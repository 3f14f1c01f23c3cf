//! What is in the files of a site; `sdk/cli/tests/cli/site.rs` looks at them in a browser.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tilemark_bundle::{AppIdentity, BundleWriter, SigningKey};

use super::{Site, SiteMade};
use crate::attacks::shop::{self, Shop, tagger};
use crate::contract::Contract;
use crate::error::Result;
use crate::gate::Price;
use crate::metadata::Targets;
use crate::repository::Offering;
use crate::{Report, Speed};

const EVIL: &str = "</script><img src=x onerror=alert(1)>\u{2028}\u{202e}\"'&";

fn write(shop: &Shop, folder: &str) -> Result<SiteMade> {
    let site = Site::new("Kiosk <b>", Some("https://store.example.org/a&b")).unwrap();
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    view.write_site(&shop.path(folder), &site, &mut |_| ())
}

fn files(shop: &Shop, folder: &str) -> BTreeMap<PathBuf, String> {
    let root = shop.path(folder);
    let text = |(path, bytes): (PathBuf, Vec<u8>)| {
        (path.strip_prefix(&root).unwrap().to_owned(), String::from_utf8(bytes).unwrap())
    };
    shop::files(&root).into_iter().map(text).collect()
}

fn read(shop: &Shop, path: &str) -> String {
    std::fs::read_to_string(shop.path(path)).unwrap()
}

/// Offers an app whose every word is an attack.
fn publish_evil(shop: &Shop, app: &str, key: &SigningKey) {
    let evil = EVIL.to_owned();
    let identity = AppIdentity::new(app, "1.0.0", 1, "MIT", &format!("{evil}{}", "x".repeat(900))).unwrap();
    let path = shop.path("evil.tmk");
    std::fs::write(&path, BundleWriter::new(identity).blob("x", &b"x"[..]).sign(&[key]).unwrap()).unwrap();
    let speed = Speed { device: "host".into(), name: evil.clone(), microseconds: (1 << 53) - 1 };
    let mut contract = Contract { speeds: vec![speed], ..crate::contract::tests::contract() };
    contract.app.task = format!("{evil} -> labels");
    contract.app.inputs[0].name.clone_from(&evil);
    contract.app.inputs[0].shape = vec![(1 << 53) - 1; 8];
    contract.app.outputs[0].dtype = evil;
    let offering = Offering { price: Some(Price::Free), contract: Some(contract), anew: false };
    shop.repository().offer(&path, &[key], &offering).unwrap();
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert!(done.refused.is_empty(), "{:?}", done.refused);
}

#[test]
fn the_same_catalogue_gives_the_same_bytes_and_rewrites_nothing() {
    let shop = Shop::open();
    let first = write(&shop, "site").unwrap();
    assert_eq!((first.apps, first.unchanged, first.refused.len()), (1, 0, 0));
    let again = write(&shop, "site").unwrap();
    assert_eq!((again.written, again.unchanged), (0, first.written));
    write(&shop, "other").unwrap();
    assert_eq!(files(&shop, "site"), files(&shop, "other"));
    // A new release changes its app's page and the lists; an app beside it keeps its page.
    let path = shop.bundle("acme/other", 1, &shop.acme);
    shop.repository().publish(&path, &[&shop.acme]).unwrap();
    shop.publish(2);
    write(&shop, "site").unwrap();
    let before = files(&shop, "site");
    shop.publish(3);
    write(&shop, "site").unwrap();
    let after = files(&shop, "site");
    let changed: Vec<_> = after.iter().filter(|(path, text)| before.get(*path) != Some(text)).collect();
    let names: Vec<_> = changed.iter().map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(names, ["apps/acme/tagger.html", "data/0.js", "data/state.js", "index.html"]);
    let page = read(&shop, "site/apps/acme/tagger.html");
    assert!(page.find("1.3.0") < page.find("1.1.0") && page.contains("<bdi>1.1.0</bdi>"), "{page}");
}

#[test]
fn nobody_elses_words_become_markup_script_or_a_longer_page() {
    let shop = Shop::open();
    publish_evil(&shop, "acme/evil", &shop.acme);
    let made = write(&shop, "site").unwrap();
    assert_eq!((made.apps, made.refused.len()), (2, 0));
    for (path, text) in files(&shop, "site") {
        let told = path.display();
        for bad in ["<img", "<b>", "onerror=alert(1)>", "\u{2028}", "\u{202e}"] {
            assert!(!text.contains(bad), "{bad:?} in {told}: {text}");
        }
        let ours = |text: &str| text.matches("<script").count() == text.matches("<script src=\"").count();
        assert!(ours(&text) && text.len() < 60_000, "{told}");
        if path.extension().is_some_and(|extension| extension == "html") {
            assert!(text.contains("default-src 'none'; script-src 'self'"), "{told}");
            for element in [
                "a", "aside", "bdi", "div", "dl", "h2", "li", "ol", "p", "section", "svg", "table", "td",
                "text", "ul",
            ] {
                let opened = text.matches(&format!("<{element}>")).count()
                    + text.matches(&format!("<{element} ")).count();
                assert_eq!(
                    opened,
                    text.matches(&format!("</{element}>")).count(),
                    "{element} in {told}: {text}"
                );
            }
        }
        if path.starts_with("data") {
            assert!(!text.contains(['<', '>']) && text.lines().count() <= 2, "{told}: {text}");
        }
    }
    assert!(read(&shop, "site/apps/acme/evil.html").contains("&lt;/script&gt;&lt;img src=x"));
}

#[test]
fn a_folder_of_somebody_elses_is_left_alone() {
    let shop = Shop::open();
    std::fs::create_dir(shop.path("mine")).unwrap();
    std::fs::write(shop.path("mine/thesis.txt"), "years of work").unwrap();
    assert_eq!(write(&shop, "mine").unwrap_err().code(), "TM0839");
    // Nor by a mark that only looks like ours.
    std::fs::write(shop.path("mine/tilemark-site.json"), "{}").unwrap();
    assert_eq!(write(&shop, "mine").unwrap_err().code(), "TM0839");
    assert_eq!(files(&shop, "mine").len(), 2);
    assert_eq!(write(&shop, "mine/thesis.txt").unwrap_err().code(), "TM0840");
    std::fs::create_dir(shop.path("empty")).unwrap();
    write(&shop, "empty").unwrap();
}

#[test]
fn what_is_not_offered_any_more_says_so_and_why() {
    let shop = Shop::open();
    let other = shop.bundle("acme/other", 1, &shop.acme);
    shop.repository().publish(&other, &[&shop.acme]).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(write(&shop, "site").unwrap().apps, 2);
    let page = |name: &str| read(&shop, &format!("site/apps/acme/{name}.html"));
    assert!(page("other").contains("<span>acme/other</span>"));

    // Its publisher took it back.
    withdraw(&shop, "acme/other/1.listing");
    let made = write(&shop, "site").unwrap();
    assert_eq!((made.apps, made.withdrawn), (1, 1));
    let told = page("other");
    assert!(
        told.contains("Its publisher does not offer it any more") && !told.contains("class=\"command\""),
        "{told}"
    );
    assert!(!read(&shop, "site/index.html").contains("acme/</span>other"));
    assert!(read(&shop, "site/withdrawn.html").contains("apps/acme/other.html"));

    // The operator took the publisher's invitation back.
    shop.operator().revoke("acme", &shop.targets).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    let made = write(&shop, "site").unwrap();
    assert_eq!((made.apps, made.withdrawn, made.refused.len()), (0, 2, 0));
    assert!(page("tagger").contains("the operator took its invitation back"));
}

/// The publisher's next version, without a listing.
fn withdraw(shop: &Shop, path: &str) {
    let metadata = shop.path("store/metadata");
    let version =
        (1..).take_while(|version| metadata.join(format!("{version}.p.acme.json")).exists()).last().unwrap();
    let [from, to] = [version, version + 1].map(|version| format!("{version}.p.acme.json"));
    shop.forge::<Targets>(&from, &to, &[&shop.acme], |targets| {
        targets.common.version += 1;
        targets.targets.remove(path).unwrap();
    });
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert!(done.refused.is_empty(), "{:?}", done.refused);
}

#[test]
fn one_publishers_damage_is_told_and_the_others_stay() {
    let shop = Shop::open();
    let zeta = shop::key();
    shop.operator().invite("zeta", &[zeta.public().clone()], 1, &shop.targets).unwrap();
    let path = shop.bundle("zeta/b", 1, &zeta);
    shop.repository().publish(&path, &[&zeta]).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    assert_eq!(write(&shop, "site").unwrap().apps, 2);
    // A listing that the mirror damaged.
    let folder = shop.path("store/targets/acme/tagger");
    for (path, bytes) in shop::files(&folder) {
        std::fs::write(path, [&bytes[..], b" "].concat()).unwrap();
    }
    let made = write(&shop, "site").unwrap();
    assert_eq!((made.apps, made.withdrawn, made.refused.len()), (1, 1, 1));
    assert_eq!(made.refused[0].0, "acme/tagger");
    let page = read(&shop, "site/apps/acme/tagger.html");
    assert!(
        page.contains(&format!("cannot be accepted at present ({})", made.refused[0].1.code())),
        "{page}"
    );
    assert!(
        page.contains("unavailable") && !page.contains("withdrawn</span>"),
        "nobody took it back: {page}"
    );
}

#[test]
fn a_page_has_every_fact_of_the_listing() {
    let shop = Shop::open();
    let path = shop.bundle("acme/tagger", 2, &shop.acme);
    let identity = tilemark_bundle::Untrusted::from_path(&path).unwrap().identity();
    let claim = serde_json::json!({ "identity": identity, "metric": "accuracy", "whose": "buyer", "samples": 10_000,
        "counts": [{ "name": "hits", "value": 9050 }, { "name": "of", "value": 10_000 }] });
    let kind = tilemark_bundle::PayloadType::EVALUATION;
    let lab = shop::key();
    let sealed = tilemark_bundle::Envelope::seal(kind, claim.to_string().into_bytes(), &[&lab]).unwrap();
    let reports = vec![Report::new(&sealed.to_json()).unwrap()];
    let contract = Contract { reports, ..crate::contract::tests::contract() };
    let offering = Offering { price: Some(Price::Free), contract: Some(contract), anew: false };
    shop.repository().offer(&path, &[&shop.acme], &offering).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    write(&shop, "site").unwrap();
    let page = read(&shop, "site/apps/acme/tagger.html");
    let offer = shop.buyer().refresh().unwrap().offer(&tagger(), None).unwrap();
    let today = crate::time::format(crate::time::now());
    for fact in [
        "<span>install</span> <span>acme/tagger</span>",
        "<span>https://store.example.org/a&amp;b</span> <span>--root</span>",
        "Names things",
        "image → labels",
        "any × any × 3",
        "0 to 255",
        "5.30 ms",
        "a processor",
        "90.50 %",
        "89.91 to 91.06 %",
        "10,000",
        "<bdi>buyer</bdi>",
        "which nobody checked",
        "with duties",
        "nothing is known of its licence",
        today.get(..10).unwrap(),
        &identity.to_string(),
        &shop.acme.public().id().to_string(),
        &offer.listing().min_sdk.to_string(),
    ] {
        assert!(page.contains(fact), "{fact} in {page}");
    }
}

#[test]
fn a_list_that_gets_shorter_leaves_no_page_behind() {
    let shop = Shop::open();
    write(&shop, "site").unwrap();
    for stale in ["list/2.html", "data/7.js", "list/notes.html"] {
        let path = shop.path("site").join(stale);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
        std::fs::write(path, "old").unwrap();
    }
    write(&shop, "site").unwrap();
    let left =
        ["list/2.html", "data/7.js", "list/notes.html"].map(|path| shop.path("site").join(path).exists());
    assert_eq!(left, [false, false, true]);
}

#[test]
fn titles_and_addresses_that_are_none() {
    for (title, address) in [
        ("", None),
        (" ", None),
        ("a\nb", None),
        ("a", Some("/srv/store")),
        ("a", Some("javascript:alert(1)")),
    ] {
        assert_eq!(Site::new(title, address).unwrap_err().code(), "TM0835", "{title:?} {address:?}");
    }
    assert!(Site::new(&"ä".repeat(80), None).is_ok() && Site::new(&"ä".repeat(81), None).is_err());
}
