//! The fuzzers' corpora, and seeded changes to them, on stable: what `sdk/fuzz` found once is never found again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tilemark_testkit::fuzz::{End, TARGETS, Target, seeds};
use tilemark_testkit::random::SplitMix64;

/// Changed inputs a target.
const MUTATIONS: usize = 2000;
/// Longest that one input may take, however busy the machine; most take a millisecond.
const MAX_TIME: Duration = Duration::from_secs(20);
/// Most memory that a target may add to the process at its peak: an input asks for pictures of tens of megabytes.
const MAX_BYTES: u64 = 512 << 20;

#[test]
fn the_corpora_run() {
    for target in TARGETS {
        let mut ends = BTreeMap::new();
        for (path, bytes) in corpus(target) {
            *ends.entry(format!("{:?}", run(target, &bytes, &path.display()))).or_insert(0) += 1;
        }
        println!("{}: {ends:?}", target.name);
        assert!(ends.contains_key("Used"), "no input of {} gets through: {ends:?}", target.name);
    }
}

#[test]
fn two_thousand_changes_of_each_corpus_run() {
    for target in TARGETS {
        let inputs: Vec<Vec<u8>> = corpus(target).into_values().collect();
        let mut random = SplitMix64::new(seed());
        let (mut used, mut refused) = (0, 0);
        let start = peak_bytes();
        for _ in 0..MUTATIONS {
            let input = &inputs[random.below(inputs.len())];
            let seed = random.bits();
            let mutated = target.mutate(input, seed);
            match run(target, &mutated, &format_args!("seed {seed} of {} bytes", input.len())) {
                End::Used => used += 1,
                End::Refused => refused += 1,
                End::Costly => {}
            }
        }
        let grown = peak_bytes().saturating_sub(start);
        println!("{}: {used} used, {refused} refused, {} MiB more at the peak", target.name, grown >> 20);
        assert!(grown <= MAX_BYTES, "{} took {grown} bytes", target.name);
        assert!(
            used > 10 && refused > 10,
            "changes to {} are neither all fatal nor all harmless",
            target.name
        );
    }
}

/// The seeds follow the formats: a graph's record that no longer decodes would fuzz nothing but the first check.
#[test]
fn the_committed_seeds_are_what_the_testkit_makes() {
    for seed in seeds() {
        let path = folder(seed.target).join(&seed.name);
        let found = std::fs::read(&path).unwrap_or_default();
        assert!(
            found == seed.bytes,
            "{} is out of date: run `cargo run -p tilemark-testkit --example fuzz_seeds`",
            path.display()
        );
    }
}

/// Always the same changes; `TILEMARK_MUTATION_SEED=17 cargo test` looks at others.
fn seed() -> u64 {
    let given = std::env::var("TILEMARK_MUTATION_SEED").ok();
    given.map_or(2026, |seed| seed.parse().expect("TILEMARK_MUTATION_SEED is a number"))
}

fn run(target: Target, bytes: &[u8], what: &dyn std::fmt::Display) -> End {
    let start = Instant::now();
    let end = std::panic::catch_unwind(|| (target.run)(bytes));
    let took = start.elapsed();
    assert!(took < MAX_TIME, "{} took {took:?} for {what}", target.name);
    end.unwrap_or_else(|_| {
        let file = std::env::temp_dir().join(format!("tilemark-{}-finding", target.name));
        let kept = std::fs::write(&file, bytes).is_ok();
        panic!("{} panicked on {what}; kept in {}: {kept}", target.name, file.display())
    })
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// Every file of a target's corpus, and for pictures those that the pipeline's tests decode.
fn corpus(target: Target) -> BTreeMap<PathBuf, Vec<u8>> {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipeline/tests/data/pictures");
    let folders =
        if target.name == "image" { vec![folder("image"), pictures] } else { vec![folder(target.name)] };
    let files = folders.iter().flat_map(|folder| {
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    });
    files
        .map(|entry| entry.expect("a readable folder").path())
        .map(|path| (path.clone(), std::fs::read(&path).expect("a readable file")))
        .collect()
}

/// The most memory that this process ever had resident; 0 where the system does not tell.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
