//! Devices, plans, measurements, examinations.

use tilemark_testkit::tagger;

use crate::workshop::{Ran, TINY_TOML, Workshop, sample};

#[test]
fn devices_are_listed_with_the_known_answer() {
    let shop = Workshop::new();
    shop.tilemark("devices").ok().prints("host").prints("passes");
    let json = shop.tilemark("devices --json").ok().json();
    let host = json[0].as_object().unwrap();
    assert_eq!(host.keys().collect::<Vec<_>>(), ["driver", "id", "kind", "name", "passes", "platform"]);
    assert_eq!((host["id"].as_str(), host["kind"].as_str()), (Some("host"), Some("cpu")));
    assert_eq!(host["passes"], true);
}

/// The bitstream is a committed one, which is for no device of a machine without an FPGA, nor for the simulated one.
#[test]
fn what_bitstreams_are_for_is_told_before_one_is_loaded() {
    let shop = Workshop::with_sources();
    let manifest = tagger::root().join("bitstreams/conv4x4-ecp5-25f-ulx3s/manifest.toml");
    shop.write("fpga.toml", format!("{TINY_TOML}\n[targets]\nfpga = [{manifest:?}]\n"));
    shop.tilemark("pack fpga.toml --key vendor.key -o fpga.tmk").ok();
    shop.tilemark("inspect fpga.tmk --trust vendor.pub").ok().prints("conv4x4-ecp5-25f-ulx3s");
    let verdict = shop.tilemark("verify fpga.tmk --trust vendor.pub --json").ok().json();
    let fact = verdict.as_array().unwrap().iter().find(|fact| fact["fact"] == "target-fits").unwrap().clone();
    let evidence = fact["evidence"].as_str().unwrap();
    let reason =
        ["there is no FPGA here", "it is for a LFE5U-25F"].iter().any(|part| evidence.contains(part));
    assert!(reason && fact["holds"] == false, "{fact}");
    shop.tilemark("devices fpga.tmk --trust vendor.pub").ok().prints("host");
    shop.write("plain.toml", TINY_TOML.replace("acme/tiny", "acme/plain"));
    shop.tilemark("pack plain.toml --key vendor.key -o a.tmk").ok();
    let plain = shop.tilemark("verify a.tmk --trust vendor.pub").ok();
    assert!(!plain.stdout.contains("target-fits"), "{}", plain.stdout);
}

#[test]
fn a_device_that_is_not_there_is_never_replaced() {
    let shop = Workshop::with_tiny();
    for command in ["run", "plan", "bench"] {
        let picture = if command == "run" { sample("coffee.png") } else { String::new() };
        for device in ["opencl:0:0", "opencl", "gpu"] {
            let line = format!("{command} tiny.tmk --trust vendor.pub --device {device} {picture}");
            let ran = shop.tilemark(&line).fails(5, "TM0401").says(device);
            assert_eq!(ran.stdout, "");
            shop.tilemark(&format!("{line} --json")).fails_in_json(5, "TM0401");
        }
    }
}

#[test]
fn tilemark_cpu_is_obeyed_or_refused() {
    let shop = Workshop::with_tiny();
    let run = format!("run tiny.tmk --trust vendor.pub {}", sample("coffee.png"));
    for line in
        [&run, "devices", "doctor", "plan tiny.tmk --trust vendor.pub", "bench tiny.tmk --trust vendor.pub"]
    {
        shop.tilemark_with(("TILEMARK_CPU", "sse9"), line).fails(2, "TM0403").says("sse9").says("avx512vnni");
    }
    // NEON and AMX are of different architectures: one of them cannot be had here, whatever this machine is.
    let other = if cfg!(target_arch = "aarch64") { "amx" } else { "neon" };
    let refused = shop.tilemark_with(("TILEMARK_CPU", other), &run);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    shop.tilemark_with(("TILEMARK_CPU", "scalar"), &run).ok().says("level scalar");
    let plan = shop.tilemark_with(("TILEMARK_CPU", "scalar"), "plan tiny.tmk --trust vendor.pub --json").ok();
    let steps = plan.json()["steps"].as_array().unwrap().clone();
    assert!(steps.iter().any(|step| step["kernel"] == "conv/scalar"), "{steps:?}");
}

#[test]
fn threads_are_as_many_as_asked_for() {
    let shop = Workshop::with_tiny();
    for device in ["auto", "host"] {
        let line = format!("bench tiny.tmk --trust vendor.pub --runs 2 --device {device}");
        shop.tilemark(&format!("{line} --threads 0")).fails(2, "TM0402");
        shop.tilemark(&format!("{line} --threads 100000")).fails(2, "TM0402");
        assert_eq!(shop.tilemark(&format!("{line} --threads 3 --json")).ok().json()["threads"], 3);
        shop.tilemark(&format!("{line} --threads 600")).ok().prints("600 threads on ");
    }
    assert_eq!(shop.tilemark("bench tiny.tmk --trust vendor.pub --threads many").code, 2);
}

#[test]
fn a_plan_explains_every_step() {
    let shop = Workshop::with_tiny();
    let shown = shop.tilemark("plan tiny.tmk --trust vendor.pub").ok();
    assert!(shown.stdout.starts_with("node"), "{}", shown.stdout);
    assert!(shown.stdout.trim_end().ends_with("of activations"), "{}", shown.stdout);
    shown.prints("predicted").prints("measured").prints("usual");
    let json = shop.tilemark("plan tiny.tmk --trust vendor.pub --json").ok().json();
    assert_eq!((json["device"].as_str(), json["macs"].as_u64()), (Some("host"), Some(6932)));
    let steps = json["steps"].as_array().unwrap();
    assert!(steps.len() >= 3 && steps.iter().all(|step| !step["why"].as_str().unwrap().is_empty()));
    let conv = steps.iter().find(|step| step["kernel"].as_str().unwrap().starts_with("conv/")).unwrap();
    assert!(conv["predicted_ms"].as_f64().unwrap() > 0.0 && conv["bytes"].as_u64().unwrap() > 0);
    assert!(!conv["variant"].as_str().unwrap().is_empty());
    assert_eq!(conv["tile"].as_array().unwrap().len(), 3);
    assert!(conv["tiles"].as_u64().unwrap() > 0);
    for key in ["basis", "measured_ms", "share_of_peak", "fused", "float", "tail", "op", "shape", "macs"] {
        assert!(conv.get(key).is_some(), "{key}");
    }
    assert!(json["predicted_ms"].as_f64().unwrap() > 0.0 && json["threads"].as_u64().unwrap() > 0);
    assert!(json.get("peak_macs_per_second").is_some());
}

/// What doctor says of the measurements.
fn tuning(shop: &Workshop) -> serde_json::Value {
    shop.tilemark("doctor --json").ok().json()["tuning"].clone()
}

/// How each kernel of the tiny app was chosen.
fn bases(shop: &Workshop) -> Vec<String> {
    let plan = shop.tilemark("plan tiny.tmk --trust vendor.pub --device host --json").ok().json();
    let steps = plan["steps"].as_array().unwrap();
    steps.iter().filter_map(|step| Some(step["basis"].as_str()?.to_owned())).collect()
}

#[test]
fn measurements_are_kept_told_and_rebuilt_when_damaged() {
    let shop = Workshop::with_tiny();
    assert_eq!(
        (tuning(&shop)["models"].as_u64(), tuning(&shop)["budget_ms"].as_f64()),
        (Some(0), Some(150.0))
    );
    let first = bases(&shop);
    if !first.iter().any(|basis| basis == "measured") {
        println!("skipped: this CPU's level has one kernel for each step, there is nothing to time");
        return;
    }
    let kept = tuning(&shop);
    assert_eq!((kept["models"].as_u64(), kept["unusable"].as_u64()), (Some(1), Some(0)));
    assert_eq!(bases(&shop), first);
    let folder = shop.path("home").join("tuning");
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    for bytes in [b"".as_slice(), b"TILEMARK", &[0; 1 << 20]] {
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(tuning(&shop)["unusable"].as_u64(), Some(1));
        shop.tilemark("doctor").ok().prints("are not used");
        assert_eq!(bases(&shop), first, "a damaged file of {} bytes", bytes.len());
        assert_eq!(
            (tuning(&shop)["models"].as_u64(), tuning(&shop)["unusable"].as_u64()),
            (Some(1), Some(0))
        );
    }
}

#[test]
fn processes_that_measure_at_once_give_the_same_results() {
    let shop = Workshop::with_tiny();
    let line = format!("run tiny.tmk --trust vendor.pub --device host --json {}", sample("coffee.png"));
    let children: Vec<_> =
        (0..4).map(|_| shop.command(&line).stdout(std::process::Stdio::piped()).spawn().unwrap()).collect();
    let results: Vec<_> = children
        .into_iter()
        .map(|child| Ran::new(&line, child.wait_with_output().unwrap()).ok().json()["results"].clone())
        .collect();
    assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
    let kept = tuning(&shop);
    assert_eq!(kept["unusable"].as_u64(), Some(0), "{kept}");
    assert!(kept["models"].as_u64().unwrap() <= 1, "{kept}");
}

#[test]
fn tilemark_tune_is_obeyed_or_refused() {
    let shop = Workshop::with_tiny();
    let plan = "plan tiny.tmk --trust vendor.pub --device host --json";
    for word in ["off", "0"] {
        let untimed = shop.tilemark_with(("TILEMARK_TUNE", word), plan).ok().json();
        assert!(untimed["steps"].as_array().unwrap().iter().all(|step| step["measured_ms"].is_null()));
    }
    assert_eq!(tuning(&shop)["models"].as_u64(), Some(0));
    shop.tilemark_with(("TILEMARK_TUNE", "off"), "doctor").ok().prints("by prediction");
    shop.tilemark_with(("TILEMARK_TUNE", "fast"), "doctor").fails(2, "TM0410").says("fast");
    shop.tilemark_with(("TILEMARK_TUNE", "fast"), plan).fails_in_json(2, "TM0410");
}

#[test]
fn a_measurement_has_the_promised_keys_and_adds_up() {
    let shop = Workshop::with_tiny();
    for batch in [1, 3] {
        let line = format!("bench tiny.tmk --trust vendor.pub --runs 7 --threads 1 --batch {batch} --json");
        let json = shop.tilemark(&line).ok().json();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["batch", "device", "images_per_second", "model_ms", "ms", "runs", "threads"]);
        assert_eq!((json["batch"].as_u64(), json["runs"].as_u64()), (Some(batch), Some(7)));
        let ms = |group: &str, key: &str| json[group][key].as_f64().unwrap();
        assert!(0.0 < ms("ms", "min") && ms("ms", "min") <= ms("ms", "median"));
        assert!(ms("ms", "median") <= ms("ms", "p99") && 0.0 < ms("model_ms", "min"));
        assert!(ms("model_ms", "min") <= ms("ms", "min"), "the model is a part of the whole");
        let rate = 1000.0 * batch as f64 / ms("ms", "median");
        assert!((json["images_per_second"].as_f64().unwrap() / rate - 1.0).abs() < 1e-9);
    }
    let shown = shop.tilemark("bench tiny.tmk --trust vendor.pub --runs 2").ok();
    shown.prints("median").prints("whole app").prints("images/s").says("device host: ");
    assert_eq!(shop.tilemark("bench tiny.tmk --trust vendor.pub --batch 0").code, 2);
}

#[test]
fn doctor_tells_levels_devices_kernels_and_replays() {
    let shop = Workshop::with_tiny();
    let alone = shop.tilemark("doctor").ok().prints("in use").prints("passes").prints("conv ");
    assert!(!alone.stdout.contains("replay"));
    let json = shop.tilemark("doctor tiny.tmk --trust vendor.pub --json").ok().json();
    assert_eq!(json["levels"].as_array().unwrap().iter().filter(|level| level["in_use"] == true).count(), 1);
    assert_eq!(
        (json["home_usable"].as_bool(), json["devices"][0]["passes"].as_bool()),
        (Some(true), Some(true))
    );
    assert!(json["kernels"].as_array().unwrap().iter().any(|kernel| kernel["name"] == "conv/scalar"));
    let app = &json["app"];
    assert_eq!((app["name"].as_str(), app["replays"][0]["vectors"].as_u64()), (Some("acme/tiny"), Some(1)));
    let chosen: u64 =
        app["chosen"].as_array().unwrap().iter().map(|kernel| kernel["steps"].as_u64().unwrap()).sum();
    let plan = shop.tilemark("plan tiny.tmk --trust vendor.pub --json").ok().json();
    assert_eq!(chosen, plan["steps"].as_array().unwrap().len() as u64);
}

#[test]
fn state_that_cannot_be_kept_is_told_and_stops_nothing() {
    let shop = Workshop::with_tiny();
    shop.write("occupied", "a file where the directory should be");
    let home = shop.path("occupied").join("home").display().to_string();
    let doctor = shop.tilemark_with(("TILEMARK_HOME", &home), "doctor").ok();
    assert!(doctor.stdout.contains("NOT WRITABLE"), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("NOT KEPT"), "{}", doctor.stdout);
}
