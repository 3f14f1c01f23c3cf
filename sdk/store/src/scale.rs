//! What an integrator fetches after one change in a store of 100,000 listings: documents of the form and size that such a store
//! has, made without making the store.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tilemark_bundle::{Algorithm, SigningKey, sha256};

use crate::gate::Price;
use crate::index::{self, Row};
use crate::layout;
use crate::limits::MAX_SHARD_BYTES;
use crate::metadata::{
    Common, Document, FileInfo, Signed, Snapshot, SnapshotOnly, TargetFile, Targets, Timestamp,
};
use crate::search::{self, Catalogue, Hardware, Query};

const PUBLISHERS: usize = 1000;
const LISTINGS: usize = 100;
const TASKS: [&str; 4] = ["image -> labels", "image -> detections", "sound -> text", "tensors -> tensors"];

#[test]
fn a_change_among_100_000_listings_costs_less_than_200_kb() {
    let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
    let names: Vec<String> = (0..PUBLISHERS).map(|n| format!("publisher-{n}")).collect();
    let bins: BTreeSet<String> = names.iter().map(|name| layout::bin(name)).collect();
    let shards: BTreeSet<String> = names.iter().map(|name| layout::shard_of(name)).collect();
    let mut snapshot = Snapshot { common: common::<Snapshot>(), meta: Default::default() };
    let bin_roles = bins.iter().map(|bin| layout::bin_role(bin));
    let roles = names.iter().map(|name| layout::publisher_role(name)).chain(bin_roles);
    snapshot.meta.extend(roles.map(|name| (format!("{name}.json"), FileInfo::of(12, &[0; 14_321]))));
    let snapshot = size(&snapshot, &key);

    let meta = SnapshotOnly { snapshot: FileInfo::of(4321, b"") };
    let timestamp = size(&Timestamp { common: common::<Timestamp>(), meta }, &key);
    let mut index = targets();
    index.targets.extend(shards.iter().map(|shard| (layout::shard(shard), TargetFile::of(b""))));
    let index = size(&index, &key);

    let fullest = shards
        .iter()
        .map(|shard| names.iter().filter(|name| layout::shard_of(name) == *shard).collect::<Vec<_>>());
    let fullest = fullest.max_by_key(Vec::len).unwrap();
    let rows = fullest.iter().flat_map(|publisher| (0..LISTINGS).map(|n| row(publisher, n)));
    let shard = index::write(rows.collect(), MAX_SHARD_BYTES).unwrap().0.len();
    let publishers = names.len();
    let mean_shard = shard * publishers / shards.len() / fullest.len();

    let mut own = targets();
    let paths =
        (0..LISTINGS).map(|n| layout::listing(&format!("publisher-1/application-{n}").parse().unwrap(), 12));
    own.targets.extend(paths.map(|path| (path.clone(), TargetFile::of(path.as_bytes()))));
    let own = size(&own, &key);

    println!(
        "timestamp {timestamp}, snapshot {snapshot}, index {index}, shard {mean_shard} (fullest {shard}), publisher {own}"
    );
    assert!(timestamp + snapshot + index + own < 200_000, "metadata");
    // A search after it fetches one shard, which is no metadata.
    assert!(mean_shard < 100_000, "a shard");
}

/// Run it by `cargo test --release -p tilemark-store --lib search_among -- --ignored --nocapture`.
#[test]
#[ignore = "prints times, which mean something in a release build alone"]
fn search_among_100_000_listings() {
    let publishers = (0..PUBLISHERS).map(|n| format!("publisher-{n}"));
    let rows: Vec<Row> =
        publishers.flat_map(|name| (0..LISTINGS).map(move |n| row(&name, n)).collect::<Vec<_>>()).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalogue");
    let start = Instant::now();
    let bytes = search::build(&rows, sha256(b"index")).unwrap();
    println!("made in {:.0} ms, {} bytes", 1e3 * start.elapsed().as_secs_f64(), bytes.len());
    std::fs::write(&path, bytes).unwrap();
    let host = || vec![Hardware::Source { class: "host".into() }];
    let parse = |words: &[&str]| Query::parse(words.iter().copied()).unwrap();
    let queries = [
        ("one word, one app", parse(&["publisher-77/application-5"]), 11),
        ("a word that is nowhere", parse(&["giraffe"]), 0),
        (
            "task, device, time, licence",
            {
                let query = parse(&["image -> labels", "photo", "publisher-7"]);
                query.runs_on(host()).within(10_000).under("Apache-2.0").unwrap()
            },
            555,
        ),
        (
            "the same of all publishers",
            { parse(&["image -> labels"]).runs_on(host()).within(1_000).under("Apache-2.0").unwrap() },
            1000,
        ),
        ("everything", parse(&[]), PUBLISHERS * LISTINGS),
    ];
    for (name, query, expected) in queries {
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..11 {
            let start = Instant::now();
            let found = Catalogue::open(&path, sha256(b"index")).unwrap().find(&query).unwrap();
            times.push(start.elapsed());
            assert_eq!(found.len(), expected, "{name}");
        }
        times.sort();
        println!(
            "{name}: {expected} found, fastest {:.1} ms, median {:.1} ms, slowest {:.1} ms",
            1e3 * times[0].as_secs_f64(),
            1e3 * times[5].as_secs_f64(),
            1e3 * times[10].as_secs_f64()
        );
    }
}

fn common<D: Document>() -> Common {
    Common { version: 4321, ..Common::new(D::TYPE, 1_800_000_000) }
}

fn targets() -> Targets {
    Targets { common: common::<Targets>(), targets: Default::default(), delegations: None }
}

fn size(document: &impl Document, key: &SigningKey) -> usize {
    Signed::seal(document, &[key]).unwrap().to_bytes().unwrap().len()
}

fn row(publisher: &str, n: usize) -> Row {
    Row {
        app: format!("{publisher}/application-{n}").parse().unwrap(),
        version: "1.2.3".parse().unwrap(),
        release: 12,
        license: "Apache-2.0".into(),
        size: 12_345_678,
        targets: vec!["host".into()],
        description: "Names the object in a photo, one of a thousand kinds".into(),
        built_for: vec![],
        min_sdk: "0.1.0".parse().unwrap(),
        price: Price::Free,
        task: TASKS[n % TASKS.len()].into(),
        speeds: [("host".to_owned(), 1000 * (1 + n as u64 % 50))].into(),
    }
}
