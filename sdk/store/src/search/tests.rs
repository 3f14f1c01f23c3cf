use std::collections::BTreeMap;
use std::io::Cursor;

use tilemark_bundle::sha256;

use super::*;

fn row(app: &str) -> Row {
    Row {
        app: app.parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        release: 1,
        license: "Apache-2.0 OR MIT".into(),
        size: 1000,
        targets: vec!["host".into()],
        built_for: vec![],
        min_sdk: sdk_version(),
        price: Price::Free,
        task: "image -> labels".into(),
        speeds: BTreeMap::from([("host".to_owned(), 9000)]),
        description: "Names the object in a photo".into(),
    }
}

/// Apps that differ from the first in one thing each.
fn rows() -> Vec<Row> {
    let board = AppTarget { target: "board-8x8".into(), platform: "Maker".into(), part: "board one".into() };
    let mut newer = sdk_version();
    newer.minor += 1;
    vec![
        row("acme/tagger"),
        Row {
            speeds: BTreeMap::from([("host".to_owned(), 11_000), ("gpu".to_owned(), 800)]),
            ..row("b/slow")
        },
        Row { speeds: BTreeMap::new(), ..row("c/unmeasured") },
        Row { license: "GPL-3.0-only".into(), ..row("d/gpl") },
        Row { license: "Apache-2.0 AND GPL-3.0-only".into(), ..row("e/both") },
        Row { task: "image -> detections".into(), ..row("f/finder") },
        Row { task: "image -> labels+mask".into(), ..row("g/more") },
        Row { task: "image+text -> labels".into(), ..row("h/other-input") },
        Row { min_sdk: newer, ..row("i/newer") },
        Row { price: Price::Paid, ..row("j/paid") },
        Row { targets: vec!["board-8x8".into()], built_for: vec![board], ..row("k/board") },
        Row { description: "Reads\ttext\u{1b}[2J".into(), task: String::new(), ..row("l/reader") },
    ]
}

fn find(query: Query) -> String {
    let rows = rows();
    let file = build(&rows, sha256(b"index")).unwrap();
    let mut catalogue = Catalogue::read(Cursor::new(&file), sha256(b"index")).unwrap();
    let found = catalogue.find(&query).unwrap();
    // Once more, as somebody who asks twice, and from a file.
    assert_eq!(catalogue.find(&query).unwrap(), found);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalogue");
    std::fs::write(&path, file).unwrap();
    let mut kept = Catalogue::open(&path, sha256(b"index")).unwrap();
    assert_eq!(kept.find(&query).unwrap(), found);
    assert!(found.iter().all(|found| rows.contains(found)));
    found.iter().map(|row| row.app.publisher()).collect::<Vec<_>>().join(" ")
}

fn query(words: &[&str]) -> Query {
    Query::parse(words.iter().copied()).unwrap()
}

fn host() -> Vec<Hardware> {
    vec![Hardware::Source { class: "host".into() }]
}

#[test]
fn only_what_then_loads_and_runs_is_found() {
    assert_eq!(find(query(&[])), "acme b c d e f g h j k l", "not what needs a newer SDK");
    let task = ["image -> labels"];
    assert_eq!(find(query(&task)), "acme b c d e g j k");
    assert_eq!(find(query(&task).runs_on(host())), "acme b c d e g j");
    assert_eq!(find(query(&task).runs_on(host()).within(10_000)), "acme d e g j");
    assert_eq!(find(query(&task).within(10_000)), "acme d e g j", "the host where no device is named");
    assert_eq!(find(query(&task).within(10_000).under("Apache-2.0").unwrap()), "acme g j");
    assert_eq!(find(query(&task).at(Price::Paid)), "j");
    let gpu = || vec![Hardware::Source { class: "gpu".into() }];
    assert_eq!(find(query(&task).runs_on(gpu()).within(1000)), "b");
    let board = |name: &str| vec![Hardware::Bitstream { platform: "maker corp".into(), name: name.into() }];
    assert_eq!(find(query(&task).runs_on(board("The Board One"))), "k");
    assert_eq!(find(query(&task).runs_on(board("board two"))), "");
    assert_eq!(find(query(&task).runs_on(board("board one")).within(10)), "", "nobody measured it there");
    assert_eq!(find(query(&[]).under("GPL-3.0-only").unwrap()), "d");
}

#[test]
fn words_and_tasks() {
    assert_eq!(find(query(&["PHOTO tagger"])), "acme");
    assert_eq!(find(query(&["reads", "text"])), "l");
    assert_eq!(find(query(&["Image → Labels, mask"])), "g");
    assert_eq!(find(query(&["text+image -> labels"])), "h");
    for bad in ["-> labels", "image ->", "a -> b -> c"] {
        assert!(Query::parse([bad]).is_err(), "{bad}");
    }
    assert!(Query::parse(["a -> b", "c -> d"]).is_err() && query(&[]).under("nothing").is_err());
}

#[test]
fn a_damaged_catalogue_is_never_believed() {
    let file = build(&rows(), sha256(b"index")).unwrap();
    let find = |bytes: &[u8]| {
        let catalogue = Catalogue::read(Cursor::new(bytes), sha256(b"index"));
        catalogue.and_then(|mut catalogue| catalogue.find(&Query::default()).ok())
    };
    assert_eq!(find(&file).unwrap().len(), 11);
    for cut in 0..file.len() {
        assert!(find(&file[..cut]).is_none(), "cut at {cut}");
    }
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 1;
        assert!(find(&bad).is_none(), "byte {at}");
    }
    assert!(Catalogue::read(Cursor::new(&file), sha256(b"other")).is_none());
    assert!(Catalogue::open(std::path::Path::new("no/such/catalogue"), sha256(b"index")).is_none());
}

#[test]
fn a_catalogue_is_never_believed_to_be_longer_than_it_is() {
    let text = String::from_utf8(build(&rows(), sha256(b"index")).unwrap()).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    let words: Vec<&str> = head.split(' ').collect();
    let [magic @ .., _, check] = &words[..] else { panic!("{head}") };
    for length in ["18446744073709551615", "1073741824", "", "-1"] {
        let bad = format!("{} {length} {check}\n{rest}", magic.join(" "));
        assert!(Catalogue::read(Cursor::new(bad.as_bytes()), sha256(b"index")).is_none(), "{length}");
    }
}
