//! Faults for a checker to find. `cargo xtask oclgrind` runs them before it believes that kernels have none.

use super::api::Arg;
use super::launch::ProgramKey;
use super::{Launch, Targets, open, survey};
use tilemark_kernels::Source;

/// Stores past the end of a buffer, and two work items that write one byte.
const SOURCE: &str = "
kernel void out_of_bounds(global uchar *arena, int bytes) { arena[bytes + get_global_id(0)] = 1; }
kernel void race(global uchar *arena, int bytes) { arena[bytes / 2] = get_global_id(0); }
";

fn run(entry: &'static str) {
    let survey = survey();
    let facts = survey.devices().next().expect("no OpenCL device to plant a fault on");
    let opened = open(facts, None, &Targets::default()).unwrap();
    let arena = opened.buffer(64).unwrap();
    let source = Source { name: "faults", text: SOURCE };
    let args = vec![Arg::Arena, Arg::Int(64)];
    let program = ProgramKey::new(source, "");
    let launch = Launch { program, entry, args, global: [4, 1, 1], local: Some([1, 1, 1]) };
    let kernel = opened.kernel(&launch, &arena).unwrap();
    let queue = opened.queue(false).unwrap();
    queue.launch(&kernel, launch.global, launch.local).unwrap();
    queue.finish().unwrap();
}

#[test]
#[ignore = "corrupts memory where nobody checks: `cargo xtask oclgrind` runs it"]
fn planted_store_out_of_bounds() {
    run("out_of_bounds");
}

#[test]
#[ignore = "races: `cargo xtask oclgrind` runs it"]
fn planted_race() {
    run("race");
}
