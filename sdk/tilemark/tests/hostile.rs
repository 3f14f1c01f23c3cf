//! A vendor whose key is trusted, but whose bundle is not what a packer writes: it loads and runs within its declared
//! ceilings, or it is an error. Never a panic, a hang or unbounded memory.
#![allow(clippy::unwrap_used, reason = "helpers of a test: a panic names the line")]

mod common;

use common::{bundle, package, resigned};
use tilemark::{App, Bundle, Device};
use tilemark_testkit::random::SplitMix64;

/// Mutants of the graph blob; as many again, together, of the other blobs.
const MUTANTS: u64 = 2000;
/// Resident memory that the whole test may reach. The app needs some megabytes.
const MAX_RESIDENT_KB: u64 = 600_000;

/// What became of the mutants.
#[derive(Default)]
struct Tally {
    refused: usize,
    ran: usize,
}

impl Tally {
    fn try_out(&mut self, bundle: Bundle) {
        match load_and_run(bundle) {
            Ok(()) => self.ran += 1,
            Err(error) => {
                assert!(error.code().starts_with("TM0") && !error.to_string().is_empty());
                self.refused += 1;
            }
        }
    }
}

/// Everything that an integrator does; a golden mismatch is a result here, not an error.
fn load_and_run(bundle: Bundle) -> Result<(), tilemark::Error> {
    let app = App::from_bundle(bundle)?;
    let device = Device::host().with_threads(1)?;
    app.replay(&device)?;
    if let Some(input) = app.sample_input() {
        app.session(device)?.run(input)?;
    }
    Ok(())
}

/// One of: flipped bits, an extreme number, a cut, doubled or dropped bytes, noise.
fn mutate(bytes: &mut Vec<u8>, random: &mut SplitMix64) {
    let at = random.below(bytes.len());
    let n = 1 + random.below(16);
    match random.below(8) {
        0..=2 => {
            for _ in 0..n {
                let i = random.below(bytes.len());
                bytes[i] ^= 1 << random.below(8);
            }
        }
        3..=4 => {
            // Numbers are eight little-endian bytes in the codec: sizes, counts, padding.
            let extremes = [0, 1, 2, 0xff, 1 << 16, (1 << 31) - 1, 1 << 32, 1 << 40, 1 << 62, u64::MAX];
            let number = extremes[random.below(extremes.len())].to_le_bytes();
            let end = bytes.len().min(at + 8);
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
        5 => bytes.truncate(at),
        6 => {
            let end = bytes.len().min(at + n);
            let part = bytes[at..end].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, part);
        }
        _ => *bytes = random.bytes(1 + at),
    }
}

fn mutants(part: &str, count: u64, tally: &mut Tally) {
    let good = bundle(&package());
    for seed in 0..count {
        let mut random = SplitMix64::new(seed);
        tally.try_out(resigned(&good, |name, bytes| {
            if name == part {
                mutate(bytes, &mut random);
            }
            true
        }));
    }
}

#[test]
fn a_hostile_graph_signed_by_a_trusted_key() {
    let mut tally = Tally::default();
    mutants("graph", MUTANTS, &mut tally);
    check_memory();
    println!("{} mutants of the graph refused, {} ran", tally.refused, tally.ran);
    // Names and scales may change to other valid ones; most changes break something.
    assert!(tally.refused > tally.ran && tally.ran > 50, "{} refused, {} ran", tally.refused, tally.ran);
}

#[test]
fn other_hostile_parts_signed_by_a_trusted_key() {
    for part in ["pipeline.json", "golden/0/record", "golden/0/image.npy", "resources/labels.txt"] {
        let mut tally = Tally::default();
        mutants(part, MUTANTS / 5, &mut tally);
        println!("{part}: {} mutants refused, {} ran", tally.refused, tally.ran);
        assert!(tally.refused > 0, "{part}");
    }
    check_memory();
}

/// Any weights are valid as long as no sum can overflow: results differ, and the replay says so.
#[test]
fn hostile_weights_signed_by_a_trusted_key() {
    let mut tally = Tally::default();
    mutants("weights", MUTANTS / 5, &mut tally);
    check_memory();
    println!("weights: {} mutants refused, {} ran", tally.refused, tally.ran);
    assert!(tally.refused > 50 && tally.ran > 50, "{} refused, {} ran", tally.refused, tally.ran);
}

#[test]
fn a_graph_cut_at_every_length_is_refused() {
    let good = bundle(&package());
    let length = good.blob("graph").unwrap().len();
    for cut in 0..length {
        let mutant = resigned(&good, |name, bytes| {
            if name == "graph" {
                bytes.truncate(cut);
            }
            true
        });
        assert_eq!(App::from_bundle(mutant).unwrap_err().code(), "TM0190", "cut at {cut}");
    }
}

/// The most memory that this process ever had, from the kernel.
fn check_memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    match peak {
        Some(peak) => assert!(u64::le(&peak, &MAX_RESIDENT_KB), "{peak} kB were resident"),
        None => eprintln!("skipped: the memory bound (no /proc/self/status here)"),
    }
}
