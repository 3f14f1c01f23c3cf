//! Attacks on listings and blobs, and what an installation survives.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shop::{Attack, Hostile, Shop, impatient, key, tagger};
use crate::metadata::{FileInfo, TargetFile, Targets};
use crate::transport::{Http, Transport};
use crate::{Error, Patience};

#[test]
fn an_installed_bundle_is_the_published_one() {
    let shop = Shop::open();
    let done = shop.install(&shop.buyer()).unwrap();
    assert_eq!((done.fetched, done.reused, done.unchanged), (300_001, 0, false));
    assert_eq!(
        std::fs::read(&done.installed.path).unwrap(),
        std::fs::read(shop.path("acme-tagger-1.tmk")).unwrap()
    );
    let policy = tilemark_bundle::Trust::from_file(shop.installation().policy(&tagger())).unwrap();
    tilemark_bundle::Untrusted::from_path(&done.installed.path).unwrap().verify(&policy).unwrap();
    assert!(shop.install(&shop.buyer()).unwrap().unchanged);
    let listed = shop.installation().list().unwrap();
    assert_eq!(
        listed.iter().map(|app| (app.app.as_str(), app.release)).collect::<Vec<_>>(),
        [("acme/tagger", 1)]
    );
    shop.installation().remove(&tagger()).unwrap();
    assert_eq!(shop.installation().remove(&tagger()).unwrap_err().code(), "TM0820");
}

#[test]
fn an_update_fetches_what_changed() {
    let shop = Shop::open();
    shop.install(&shop.buyer()).unwrap();
    shop.publish(2);
    let done = shop.install(&shop.buyer()).unwrap();
    assert_eq!((done.fetched, done.reused), (1, 300_000));
    assert_eq!(
        std::fs::read(&done.installed.path).unwrap(),
        std::fs::read(shop.path("acme-tagger-2.tmk")).unwrap()
    );
}

#[test]
fn an_older_release_is_not_installed_over_a_newer() {
    let shop = Shop::open();
    shop.publish(2);
    let store = shop.buyer();
    shop.install(&store).unwrap();
    let view = store.refresh().unwrap();
    let old = view.offer(&tagger(), Some(1)).unwrap();
    let install = || shop.installation().install(&view, &old, |_| Ok(()), &mut |_, _| ()).unwrap_err().code();
    assert_eq!(install(), "TM0136");
    shop.installation().remove(&tagger()).unwrap();
    assert_eq!(install(), "TM0136", "the floor outlives the app");
}

#[test]
fn what_does_not_fit_is_not_fetched() {
    let shop = Shop::open();
    let mirror = Hostile::new(&shop, "blobs/", Attack::None);
    let sent = Arc::clone(&mirror.sent);
    let store = shop.buyer().with_transports(vec![mirror.boxed()], impatient());
    let view = store.refresh().unwrap();
    let offer = view.offer(&tagger(), None).unwrap();
    let refuse = |_: &tilemark_bundle::Manifest| Err("it has no target for an FPGA".to_owned());
    let error = shop.installation().install(&view, &offer, refuse, &mut |_, _| ()).unwrap_err();
    assert!(matches!(&error, Error::DoesNotFit { reason, .. } if reason.contains("FPGA")), "{error}");
    assert_eq!(sent.load(Ordering::Relaxed), 0);
}

#[test]
fn arbitrary_software() {
    let shop = Shop::open();
    let store = |about| {
        shop.buyer().with_transports(vec![Hostile::new(&shop, about, Attack::Garbage).boxed()], impatient())
    };
    assert_eq!(shop.install(&store("blobs/")).unwrap_err().code(), "TM0805");
    std::fs::remove_dir_all(shop.path("cache")).unwrap();
    assert!(["TM0803", "TM0804"].contains(&shop.install(&store(".listing")).unwrap_err().code()));
    assert!(!shop.installation().path(&tagger()).exists());
    let endless = Hostile::new(&shop, "blobs/", Attack::Endless).boxed();
    let store = shop.buyer().with_transports(vec![endless], impatient());
    assert_eq!(shop.install(&store).unwrap_err().code(), "TM0805", "no more is read than there can be");
}

#[test]
fn another_mirror_is_asked_where_one_sends_garbage() {
    let shop = Shop::open();
    let attacks = [Attack::Garbage, Attack::Endless, Attack::Cut(1000), Attack::Unreachable];
    for (round, attack) in attacks.into_iter().enumerate() {
        let mirrors = vec![
            Hostile::new(&shop, "", attack).boxed(),
            Hostile::new(&shop, "blobs/", attack).boxed(),
            Hostile::new(&shop, "", Attack::None).boxed(),
        ];
        let store = shop.buyer().with_transports(mirrors, impatient());
        let done = shop.install(&store).unwrap();
        assert!(!done.unchanged, "round {round}");
        std::fs::remove_file(done.installed.path).unwrap();
        std::fs::remove_dir_all(shop.path("cache")).unwrap();
    }
}

#[test]
fn a_download_goes_on_where_it_ended() {
    let shop = Shop::open();
    let cut = Hostile::new(&shop, "blobs/", Attack::Broken(100_000)).boxed();
    let error = shop.install(&shop.buyer().with_transports(vec![cut], impatient())).unwrap_err();
    assert_eq!(error.code(), "TM0801", "{error}");
    let good = Hostile::new(&shop, "blobs/", Attack::None);
    let sent = Arc::clone(&good.sent);
    shop.install(&shop.buyer().with_transports(vec![good.boxed()], impatient())).unwrap();
    let left = std::fs::read_dir(shop.path("cache/parts")).unwrap().count();
    assert_eq!((sent.load(Ordering::Relaxed), left), (200_001, 1), "parts are gone but for the lock");
}

#[test]
fn a_slow_mirror_is_given_up() {
    let shop = Shop::open();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        use std::io::Write as _;
        // A byte now and then, for as long as anybody listens.
        let (mut client, _) = listener.accept().unwrap();
        let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n");
        while client.write_all(b" ").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let opened = Http::new(&address).open("metadata/timestamp.json", 0, impatient().grace).unwrap().unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut { opened.reader }, &mut bytes).unwrap_err();
    server.join().unwrap();
    let unreachable: Vec<Box<dyn Transport>> = vec![Box::new(Http::new("http://127.0.0.1:1"))];
    let store = shop.buyer().with_transports(unreachable, Patience::default());
    assert_eq!(store.refresh().err().unwrap().code(), "TM0801");
    assert_eq!(store.look().err().unwrap().code(), "TM0823", "it was never asked");
}

#[test]
fn wrong_publisher() {
    let shop = Shop::open();
    let zeta = key();
    shop.operator().invite("zeta", &[zeta.public().clone()], 1, &shop.targets).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    // A bundle of zeta's by acme's key.
    let bundle = shop.bundle("zeta/app", 1, &shop.acme);
    assert_eq!(shop.repository().publish(&bundle, &[&shop.acme]).unwrap_err().code(), "TM0832");
    // One of nobody's.
    let bundle = shop.bundle("nobody/app", 1, &shop.acme);
    assert_eq!(shop.repository().publish(&bundle, &[&shop.acme]).unwrap_err().code(), "TM0830");
    // acme lists a path of zeta's, with acme's listing there: the operator's refresh leaves it out, and who asks for zeta's
    // app asks zeta.
    let listing =
        std::fs::read_dir(shop.path("store/targets/acme/tagger")).unwrap().next().unwrap().unwrap().path();
    let file = TargetFile::of(&std::fs::read(listing).unwrap());
    shop.forge::<Targets>("1.p.acme.json", "2.p.acme.json", &[&shop.acme], |targets| {
        targets.common.version = 2;
        targets.targets.insert("zeta/app/1.listing".into(), file);
    });
    let done = shop.operator().refresh(&shop.online).unwrap();
    assert!(done.refused.len() == 1 && done.refused[0].0 == "p.acme", "{done:?}");
    let store = shop.buyer();
    let view = store.refresh().unwrap();
    assert_eq!(view.offer(&"zeta/app".parse().unwrap(), Some(1)).unwrap_err().code(), "TM0820");
    view.offer(&tagger(), Some(1)).unwrap();
}

#[test]
fn a_listing_says_what_its_manifest_says() {
    let shop = Shop::open();
    let folder = shop.path("store/targets/acme/tagger");
    let honest = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(honest).unwrap();
    let list = |text: String| {
        let file = TargetFile::of(text.as_bytes());
        std::fs::write(folder.join(format!("{}.1.listing", file.sha256().unwrap())), &text).unwrap();
        // The publisher itself lies, and the operator goes along.
        shop.forge::<Targets>("1.p.acme.json", "1.p.acme.json", &[&shop.acme], |targets| {
            targets.targets.insert("acme/tagger/1.listing".into(), file);
        });
        let role = std::fs::read(shop.path("store/metadata/1.p.acme.json")).unwrap();
        shop.list(|snapshot| drop(snapshot.meta.insert("p.acme.json".into(), FileInfo::of(1, &role))));
        let store = shop.buyer();
        let _ = std::fs::remove_dir_all(shop.path("cache"));
        store.refresh().unwrap().offer(&tagger(), Some(1)).err().map(|error| error.code())
    };
    assert_eq!(list(text.clone()), None);
    assert_eq!(list(text.replace(r#""license":"MIT""#, r#""license":"0BSD""#)), Some("TM0821"));
    assert_eq!(list(text.replace(r#""size":1,"#, r#""size":2,"#)), Some("TM0821"));
    assert_eq!(list(text.replace(r#""schema":1"#, r#""schema":1,"more":1"#)), Some("TM0112"));
}

#[test]
fn a_revoked_publisher_offers_nothing_and_its_apps_stay() {
    let shop = Shop::open();
    let store = shop.buyer();
    let path = shop.install(&store).unwrap().installed.path;
    shop.operator().revoke("acme", &shop.targets).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    let view = store.refresh().unwrap();
    assert_eq!(view.offer(&tagger(), None).unwrap_err().code(), "TM0820");
    assert!(view.index().unwrap().is_empty());
    assert!(path.exists());
    assert_eq!(shop.operator().revoke("acme", &shop.targets).unwrap_err().code(), "TM0830");
}

#[test]
fn a_release_is_published_once() {
    let shop = Shop::open();
    shop.publish(3);
    let publish = |release| {
        let bundle = shop.bundle("acme/tagger", release, &shop.acme);
        shop.repository().publish(&bundle, &[&shop.acme]).map(|done| (done.added, done.shared))
    };
    assert_eq!(publish(3).unwrap(), (0, 300_001), "the same again is no harm");
    assert_eq!(publish(2).unwrap_err().code(), "TM0824");
}

#[test]
fn two_installations_at_once() {
    let shop = Shop::open();
    shop.buyer();
    let done = std::thread::scope(|scope| {
        let install = || shop.install(&shop.buyer()).unwrap().unchanged;
        let threads = [(); 4].map(|()| scope.spawn(install));
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(done.iter().filter(|unchanged| !**unchanged).count(), 1, "{done:?}");
    assert_eq!(
        std::fs::read(shop.installation().path(&tagger())).unwrap(),
        std::fs::read(shop.path("acme-tagger-1.tmk")).unwrap()
    );
}
