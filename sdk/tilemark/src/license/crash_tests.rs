//! Processes that end at any moment, and several at once.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use tilemark_bundle::durable::Step as Point;
use tilemark_bundle::{Offer, Untrusted};

use super::tests::Shop;
use super::*;

/// Steps that writes have got to in this process.
static STEPS: AtomicUsize = AtomicUsize::new(0);
/// The step at which it ends; 0 for never.
static END: AtomicUsize = AtomicUsize::new(0);

/// Ends this process as a power cut does: no destructor, no flush.
fn end_here(_: Point) {
    if STEPS.fetch_add(1, Ordering::SeqCst) + 1 == END.load(Ordering::SeqCst) {
        let _ = Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}

const CHILD: &str = "license::crash_tests::child_uses_all_it_gets";

#[test]
#[ignore = "a part of the tests below, run by them in a process of its own"]
fn child_uses_all_it_gets() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let folder = PathBuf::from(variable("TILEMARK_TEST_FOLDER"));
    END.store(variable("TILEMARK_TEST_END").parse().unwrap(), Ordering::SeqCst);
    let trust = Trust::from_file(folder.join("vendor.pub")).unwrap();
    let mut bundle = Untrusted::from_path(folder.join("app.tmk")).unwrap().verify(&trust).unwrap();
    let licenses = Licenses { probe: end_here, ..Licenses::at(folder.join("a"), Clock::system()) };
    let Ok((license, _)) = licenses.entitle(&mut bundle, &trust) else { return };
    let limit: u64 = variable("TILEMARK_TEST_LIMIT").parse().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut options = std::fs::File::options();
                let mut used = options.create(true).append(true).open(folder.join("used")).unwrap();
                for _ in 0..limit {
                    match license.take(1) {
                        Ok(()) => std::io::Write::write_all(&mut used, b"x").unwrap(),
                        Err(error) if error.code() == "TM0531" => break,
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
}

/// The child in a process of its own.
fn spawn(folder: &Path, end: usize, limit: u64) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([CHILD, "--exact", "--ignored", "--quiet"]).stdout(std::process::Stdio::null());
    command.env("TILEMARK_TEST_FOLDER", folder).env("TILEMARK_TEST_END", end.to_string());
    command.env("TILEMARK_TEST_LIMIT", limit.to_string()).spawn().unwrap()
}

/// A folder for children, with a grant of `budget` inferences.
fn workplace(budget: u64) -> (Shop, SignedGrant) {
    let shop = Shop::new();
    let device = shop.device("a");
    shop.set_clock(Clock::system().now());
    std::fs::write(shop.path("vendor.pub"), shop.key.public().to_pem()).unwrap();
    std::fs::write(shop.path("app.tmk"), &shop.file).unwrap();
    let offer = Offer { inferences: Some(budget), ..Offer::new(GrantClass::Metered) };
    let grant = shop.grant(&device, &offer);
    (shop, grant)
}

fn used(shop: &Shop) -> u64 {
    std::fs::metadata(shop.path("used")).map_or(0, |file| file.len())
}

#[test]
fn two_processes_of_eight_threads_use_exactly_the_budget() {
    let (shop, grant) = workplace(1000);
    let children = [spawn(shop.folder.path(), 0, 2000), spawn(shop.folder.path(), 0, 2000)];
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(used(&shop), 1000);
    assert_eq!(shop.audit(&shop.device("a"), &grant).usage().used, 1000);
}

#[test]
fn a_kill_at_any_step_of_any_write_gains_nothing_and_stops_nothing() {
    const BUDGET: u64 = 300; // blocks of 4
    let mut killed = 0;
    for end in 1..=16 {
        let (shop, grant) = workplace(BUDGET);
        // Three inferences a thread: several blocks, and some of the last one to give back.
        let status = spawn(shop.folder.path(), end, 3).wait().unwrap();
        killed += u64::from(!status.success());
        let before = used(&shop);
        assert!(spawn(shop.folder.path(), 0, 2000).wait().unwrap().success(), "after a kill at step {end}");
        let total = used(&shop);
        assert!(total <= BUDGET, "step {end}: {total}");
        // Lost is at most the block that was held, and one that was being written.
        assert!(total + 8 >= BUDGET && total > before, "step {end}: {total} of {BUDGET}");
        let usage = shop.audit(&shop.device("a"), &grant).usage();
        assert!(usage.used == BUDGET && usage.used >= total, "step {end}: {usage:?}");
    }
    assert_eq!(killed, 16, "every step was one");
}

#[test]
fn a_line_that_was_cut_by_a_crash_is_dropped() {
    let (shop, grant) = workplace(300);
    let log = shop.path(&format!("a/license/receipts/{}.log", grant.grant().id));
    shop.entitle(&shop.device("a")).unwrap().take(1).unwrap();
    let whole = std::fs::read(&log).unwrap();
    for length in [1, 10, 300, 600] {
        let torn: Vec<u8> = [&whole[..], &whole[..length]].concat();
        std::fs::write(&log, &torn).unwrap();
        shop.entitle(&shop.device("a")).unwrap();
        assert_eq!(shop.audit(&shop.device("a"), &grant).usage().used, 1);
    }
    shop.entitle(&shop.device("a")).unwrap().take(1).unwrap();
    assert_eq!(shop.audit(&shop.device("a"), &grant).usage().used, 2);
}
