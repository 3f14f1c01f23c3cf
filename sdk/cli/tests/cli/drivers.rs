//! OpenCL drivers of every kind: absent, talking, failing, crashing, hanging.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tilemark_testkit::opencl;
use tilemark_testkit::temp::TempFolder;

use crate::workshop::{Ran, Workshop, sample};

/// The library that misbehaves, compiled once a process.
fn fake() -> &'static PathBuf {
    static FAKE: OnceLock<(TempFolder, PathBuf)> = OnceLock::new();
    let (_, library) = FAKE.get_or_init(|| {
        let folder = TempFolder::new();
        let library = opencl::fake(folder.path());
        (folder, library)
    });
    library
}

/// The binary with the misbehaving library in place of the loader.
fn command(shop: &Workshop, mode: &str, line: &str) -> Command {
    let mut command = shop.command(line);
    command.env("OPENCL_DYLIB_PATH", fake()).env("FAKE_OPENCL", mode);
    if mode.starts_with("hang") {
        command.env("TILEMARK_DRIVERS_MS", "2500");
    }
    command
}

fn tilemark(shop: &Workshop, mode: &str, line: &str) -> Ran {
    Ran::new(line, command(shop, mode, line).output().unwrap())
}

#[test]
fn a_driver_that_fails_crashes_or_hangs_at_a_query_costs_its_devices_alone() {
    let shop = Workshop::with_tiny();
    let run = format!("run tiny.tmk --trust vendor.pub {}", sample("coffee.png"));
    for (mode, said) in [
        ("error-platforms", "CL_OUT_OF_HOST_MEMORY"),
        ("error-devices", "CL_OUT_OF_HOST_MEMORY"),
        ("error-info", "CL_OUT_OF_HOST_MEMORY"),
        ("no-devices", "it has no devices"),
        ("crash-platforms", "crashed (signal 6)"),
        ("crash-devices", "crashed (signal 6)"),
        ("crash-info", "crashed (signal 6)"),
        ("exit-platforms", "gave no answer"),
        ("hang-platforms", "gave no answer within 2.5 s"),
        ("hang-info", "gave no answer within 2.5 s"),
    ] {
        let devices = tilemark(&shop, mode, "devices --json").ok().says(said);
        let json = devices.json();
        let ids: Vec<_> =
            json.as_array().unwrap().iter().map(|device| device["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["host"], "{mode}");
        if mode.ends_with("platforms") {
            tilemark(&shop, mode, &run).ok().says("device host: ");
            tilemark(&shop, mode, &format!("{run} --device opencl")).fails(5, "TM0401").says(said);
        }
    }
}

#[test]
fn a_device_that_fails_the_known_answers_is_listed_and_never_used() {
    let shop = Workshop::with_tiny();
    let run = format!("run tiny.tmk --trust vendor.pub {}", sample("coffee.png"));
    for (mode, reason) in [
        ("no-rounding", "does not round floats to nearest"),
        ("lost", "CL_DEVICE_NOT_AVAILABLE"),
        ("crash-test", "its driver crashed (signal 6) in the known-answer test"),
        ("hang-test", "its driver gave no answer within 2.5 s in the known-answer test"),
    ] {
        let retest = tilemark(&shop, mode, "devices --json --retest").ok();
        let gpu = &retest.json()[1];
        assert_eq!((gpu["id"].as_str(), gpu["kind"].as_str()), (Some("opencl:0:0"), Some("gpu")));
        assert_eq!((gpu["passes"].as_bool(), gpu["name"].as_str()), (Some(false), Some("Fake GPU")));
        assert!(gpu["reason"].as_str().unwrap().contains(reason), "{gpu}");
        for name in ["opencl:0:0", "opencl", "fake"] {
            let named = tilemark(&shop, mode, &format!("{run} --device {name}"));
            named.fails(5, "TM0413").says(reason);
        }
        // `auto` goes on without it and says so.
        tilemark(&shop, mode, &run).ok().says("not opencl:0:0").says("device host: ");
    }
}

#[test]
fn a_crash_is_remembered_until_the_device_is_tested_again() {
    let shop = Workshop::new();
    let passes = |mode: &str, line: &str| tilemark(&shop, mode, line).ok().json()[1]["reason"].to_string();
    assert!(passes("crash-test", "devices --json").contains("crashed"));
    // The driver would answer otherwise now, but is not asked.
    assert!(passes("no-rounding", "devices --json").contains("crashed"));
    assert!(passes("no-rounding", "devices --json --retest").contains("round"));
}

/// A folder of drivers for a real loader: PoCL, and one that crashes. Nothing where one of them is not there.
fn mixed(shop: &Workshop) -> Option<PathBuf> {
    let pocl = std::fs::read("/etc/OpenCL/vendors/pocl.icd").ok()?;
    let loader = ["/usr/lib/x86_64-linux-gnu/libOpenCL.so.1", "/usr/lib/aarch64-linux-gnu/libOpenCL.so.1"];
    loader.iter().find(|path| Path::new(path).exists())?;
    std::fs::create_dir(shop.path("vendors")).unwrap();
    shop.write("vendors/pocl.icd", pocl);
    shop.write("vendors/broken.icd", fake().display().to_string());
    Some(shop.path("vendors"))
}

/// The binary with these drivers for a real loader, of which the misbehaving one does as `mode` says.
fn with_vendors(shop: &Workshop, vendors: &Path, mode: &str, line: &str) -> Ran {
    let mut command = shop.command(line);
    command.env_remove("OPENCL_DYLIB_PATH").env("OCL_ICD_VENDORS", vendors).env("FAKE_OPENCL", mode);
    Ran::new(line, command.output().unwrap())
}

#[test]
fn a_driver_that_crashes_beside_a_good_one_is_left_out_and_not_asked_again() {
    let shop = Workshop::with_tiny();
    let Some(vendors) = mixed(&shop) else {
        println!("skipped: no OpenCL loader with PoCL here; `cargo xtask test` installs it when root");
        return;
    };
    let run = |mode: &str, line: &str| with_vendors(&shop, &vendors, mode, line);
    let devices = run("crash-load", "devices --json").ok().says("broken.icd: it crashed");
    assert_eq!(devices.json()[1]["passes"].as_bool(), Some(true), "{}", devices.stdout);
    let line = format!("run tiny.tmk --trust vendor.pub --json --device pthread {}", sample("coffee.png"));
    assert_eq!(run("crash-load", &line).ok().json()["device"], "opencl:0:0");
    // It would not crash now, but is not asked; until it is, or is another one.
    run("", "devices --json").ok().says("broken.icd: it crashed").says("not asked again before");
    assert!(!run("", "devices --json --retest").ok().stderr.contains("broken.icd"));
    run("crash-load", "devices --json").ok().says("broken.icd: it crashed");
    shop.write("vendors/broken.icd", format!("{}\n", fake().display()));
    assert!(!run("", "devices --json").ok().stderr.contains("broken.icd"));
}

#[test]
fn drivers_that_crash_together_alone_are_not_asked_again() {
    let shop = Workshop::new();
    let Some(vendors) = mixed(&shop) else {
        println!("skipped: no OpenCL loader with PoCL here; `cargo xtask test` installs it when root");
        return;
    };
    let run = |mode: &str, line: &str| with_vendors(&shop, &vendors, mode, line).ok();
    let ids = |ran: &Ran| ran.json().as_array().unwrap().len();
    for mode in ["crash-together", ""] {
        let devices = run(mode, "devices --json").says("crashed (signal 6) when they were asked together");
        assert_eq!(ids(&devices), 1, "{mode}: {}", devices.stdout);
    }
    assert_eq!(ids(&run("", "devices --json --retest")), 2);
}

/// The binary with a library between PoCL and the loader that does as `variables` say (`sdk/testkit/shim`). Nothing where there is
/// no PoCL.
fn shimmed(shop: &Workshop, variables: &[(&str, &str)], line: &str) -> Option<Ran> {
    let pocl = Path::new("/etc/OpenCL/vendors/pocl.icd");
    let shim = std::env::current_exe().unwrap().with_file_name("libtilemark_shim.so");
    if !pocl.is_file() || cfg!(not(target_arch = "x86_64")) {
        return None;
    }
    let mut command = shop.command(line);
    command.env("OPENCL_DYLIB_PATH", shim).env("OCL_ICD_VENDORS", pocl).envs(variables.iter().copied());
    Some(Ran::new(line, command.output().unwrap()).ok())
}

#[test]
fn auto_times_a_graphics_processor_against_the_host_once() {
    let shop = Workshop::with_tiny();
    let line = format!("run tiny.tmk --trust vendor.pub {}", sample("coffee.png"));
    let run = |delay, tune| {
        let gpu = ("TILEMARK_SHIM_GPU", "1");
        shimmed(&shop, &[gpu, ("TILEMARK_SHIM_DELAY", delay), ("TILEMARK_TUNE", tune)], &line)
    };
    let Some(slow) = run("300", "1") else {
        println!("skipped: no PoCL here; `cargo xtask test` installs it when root");
        return;
    };
    // The tiny network takes microseconds on the host.
    let slow = slow.says("device host: faster here than a graphics processor").says("not opencl:0:0: ");
    let told =
        |ran: &Ran| ran.stderr.split("; not opencl:0:0: ").nth(1).unwrap().lines().next().unwrap().to_owned();
    assert!(told(&slow).contains(" ms a run there and "), "{}", slow.stderr);
    // What was measured is kept: with no delay it is the same.
    assert_eq!(told(&run("0", "1").unwrap()), told(&slow));
    // Told to time nothing, it takes the device that gives the golden vectors' bits.
    let said = run("0", "off").unwrap().says("device opencl:0:0: ").says("not timed");
    assert!(said.stderr.contains("all bits as recorded"), "{}", said.stderr);
}

#[test]
fn pictures_on_their_way_to_a_device_with_memory_of_its_own_keep_their_order() {
    let shop = Workshop::with_tiny();
    let samples = ["coffee.png", "chelsea.png"].map(sample).map(|path| path + " ").concat().repeat(6);
    let line = format!("run tiny.tmk --trust vendor.pub --json {samples}--device");
    let own = [("TILEMARK_SHIM_MEMORY", "1"), ("TILEMARK_TUNE", "off")];
    let Some(device) = shimmed(&shop, &own, &format!("{line} opencl:0:0")) else {
        println!("skipped: no PoCL here; `cargo xtask test` installs it when root");
        return;
    };
    let (device, host) = (device.json(), shop.tilemark(&format!("{line} host")).ok().json());
    assert_eq!((&device["device"], &device["results"]), (&"opencl:0:0".into(), &host["results"]));
    assert_eq!(host["results"].as_array().unwrap().len(), 12);
    assert_ne!(host["results"][0], host["results"][1]);
}

#[test]
fn a_plan_tells_what_is_copied_between_host_and_device() {
    let shop = Workshop::with_tiny();
    let line = "plan tiny.tmk --trust vendor.pub --device opencl:0:0";
    let Some(plan) = shimmed(&shop, &[("TILEMARK_TUNE", "off")], line) else {
        println!("skipped: no PoCL here; `cargo xtask test` installs it when root");
        return;
    };
    // 3 x 8 x 8 bytes up, 5 scores down.
    let plan = plan.prints("; 192 B copied before").prints("; 5 B copied after");
    let end = plan.stdout.lines().last().unwrap();
    assert!(
        end.ends_with("197 B copied between host and device: 192 B before 1 step, 5 B at the end"),
        "{end}"
    );
    let json = shimmed(&shop, &[("TILEMARK_TUNE", "off")], &format!("{line} --json")).unwrap().json();
    let sum = |field: &str| {
        json["steps"].as_array().unwrap().iter().map(|step| step[field].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((sum("moved"), sum("returned")), (192, 5));
}
