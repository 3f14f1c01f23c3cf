//! Apps with a bitstream, on the simulated FPGA: the same bits through unmodified code, and every way in which a target does not fit.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints what it skips"
)]

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tilemark::pack::Package;
use tilemark::{App, Device, DeviceKind, Error, ErrorKind, SigningKey, Trust, Untrusted, survey};
use tilemark_bitstreams::{Config, Container, Header};
use tilemark_testkit::emulation::simulated as header;
use tilemark_testkit::onnx::{Builder, Quantization};
use tilemark_testkit::random::SplitMix64;
use tilemark_testkit::temp::copy_folder;
use tilemark_testkit::{emulation, tagger};

/// A device of this kind; it must be there if the variable `wanted` is set.
fn device(kind: DeviceKind, wanted: &str) -> Option<Device> {
    let found = survey().devices().find(|facts| facts.kind == kind).map(Device::opencl);
    if found.is_none() {
        assert!(std::env::var_os(wanted).is_none(), "there is no {kind}");
        println!("skipped: no {kind} here");
    }
    found
}

/// The simulated FPGA, if `cargo xtask test` says that it is there.
fn fpga() -> Option<Device> {
    device(DeviceKind::FpgaSimulation, "TILEMARK_TEST_FPGA")
}

/// The tagger with these containers as targets.
fn app(containers: &[Vec<u8>], host_layers: bool) -> Result<App, Error> {
    let folder = tempfile::tempdir().unwrap();
    let source = tagger::root().join("examples/apps/tagger");
    copy_folder(&source, folder.path());
    let names: Vec<String> = (0..containers.len()).map(|i| format!("fpga-{i}.tmfpga")).collect();
    for (name, bytes) in names.iter().zip(containers) {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let description = folder.path().join("app.toml");
    let text = std::fs::read_to_string(&description).unwrap();
    let targets = format!("{text}\n[targets]\nfpga = {names:?}\nhost_layers = {host_layers}\n");
    std::fs::write(&description, targets).unwrap();
    signed(&description)
}

/// What a description packs to, signed and opened again.
fn signed(description: &Path) -> Result<App, Error> {
    let key = SigningKey::generate(tilemark::Algorithm::Ed25519).unwrap();
    let bytes = Package::from_description(description)?.sign(&[&key])?;
    let id = key.public().id();
    let trust = Trust::builder().key(key.public().clone()).any_publisher(&[id], 1).build().unwrap();
    let bundle = Untrusted::from_bytes(bytes).unwrap().verify(&trust).unwrap();
    App::from_bundle(bundle)
}

/// Whoever has it has the engine alone: a command's clocks are those from its begin to its end, whatever else ran meanwhile.
static ENGINE: Mutex<()> = Mutex::new(());

#[test]
fn fpga_runs_the_tagger_with_the_recorded_bits() {
    let Some(device) = fpga() else { return };
    let _engine = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    let container = Container::encode(&header(), b"no bits").unwrap();
    let app = app(&[container], false).unwrap();
    let replay = app.replay(&device).unwrap();
    println!("{replay}");
    replay.check().unwrap();
    let plan = app.session(device).unwrap().plan().unwrap();
    let layers = plan.steps().filter(|step| step.kernel == "fpga").count();
    assert!(layers > 50, "{layers} layers on the engine");
}

/// `cargo xtask test` names the folder of real networks, where it has made them.
#[test]
fn fpga_runs_mobilenet_v2_with_the_recorded_bits() {
    let Some(device) = fpga() else { return };
    let Some(networks) = std::env::var_os("TILEMARK_NETWORKS") else {
        println!("skipped: TILEMARK_NETWORKS names no folder of networks");
        return;
    };
    let _engine = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    let model = std::fs::read(Path::new(&networks).join("mobilenet-v2/qdq-u8s8.onnx")).unwrap();
    let container = Container::encode(&header(), b"no bits").unwrap();
    let app = app_of(&model, FPGA, &[("fpga.tmfpga", &container)]).unwrap();
    let replay = app.replay(&device).unwrap();
    println!("{replay}");
    replay.check().unwrap();
    let mut session = app.session(device).unwrap();
    let inputs = session.prepare_input(app.sample_input().unwrap()).unwrap();
    let (_, times) = session.run_timed(&inputs).unwrap();
    let plan = session.plan().unwrap();
    let engine = plan.engine_info().unwrap();
    let (mut layers, mut macs, mut cycles, mut bytes) = (0, 0, 0, 0);
    for (step, time) in plan.steps().zip(&times).filter(|(step, _)| step.kernel == "fpga") {
        let clocks = (time.as_secs_f64() * 1e3 * f64::from(engine.kilohertz)).round() as u64;
        (layers, macs) = (layers + 1, macs + step.macs);
        (cycles, bytes) = (cycles + clocks, bytes + step.bytes);
    }
    let share = macs as f64 / (cycles * engine.products_a_clock) as f64;
    println!(
        "{layers} layers, {macs} products in {cycles} clocks: {:.1} % of the peak; {bytes} bytes",
        100.0 * share
    );
    assert!(layers > 60 && share > 0.4, "{layers} layers, {share}");
}

#[test]
fn fpga_targets_that_do_not_fit_are_refused_before_anything_is_loaded() {
    let Some(device) = fpga() else { return };
    let encode = |header: &Header| Container::encode(header, b"no bits").unwrap();
    let refused = |containers: &[Vec<u8>]| {
        let app = app(containers, false).unwrap();
        app.session(device.clone()).unwrap_err()
    };
    assert_eq!(refused(&[]).code(), "TM0417");
    let part = refused(&[encode(&Header { part: "XCVU9P".into(), ..header() })]);
    assert_eq!(part.code(), "TM0419", "{part}");
    assert!(part.to_string().contains("XCVU9P"), "{part}");
    let abi = refused(&[encode(&Header { abi: 0x0002_0000, ..header() })]);
    assert_eq!(abi.code(), "TM0420", "{abi}");
    let other = Config { weights: 256, ..Config::LANES_16 };
    let driver = refused(&[encode(&Header { config: other, ..header() })]);
    assert_eq!(driver.code(), "TM0421", "{driver}");
}

#[test]
fn fpga_containers_that_are_damaged_are_not_packed() {
    let mut container = Container::encode(&header(), b"no bits").unwrap();
    container[130] ^= 1;
    assert_eq!(app(&[container], false).unwrap_err().code(), "TM0418");
}

/// Convolutions of several kinds, an addition and a mean, of few products.
fn small_net() -> Vec<u8> {
    let mut random = SplitMix64::new(3);
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 3, 9, 9]);
    let x = net.qdq(&x, Quantization::u8(0.02, 128));
    let y = net.conv(&x, &mut random, [18, 3, 3, 3]).pads([1; 4]).strides([2, 2]).add();
    let y = net.qdq(&y, Quantization::u8(0.02, 7));
    let z = net.conv(&y, &mut random, [18, 1, 3, 3]).groups(18).pads([1; 4]).add();
    let z = net.qdq(&z, Quantization::i8(0.02, -3));
    let z = net.conv(&z, &mut random, [18, 18, 1, 1]).add();
    let z = net.qdq(&z, Quantization::u8(0.03, 9));
    let sum = net.node("Add", &[&y, &z], vec![]);
    let sum = net.qdq(&sum, Quantization::u8(0.05, 11));
    let mean = net.unary("GlobalAveragePool", &sum);
    let mean = net.qdq(&mean, Quantization::u8(0.02, 0));
    net.output(&mean);
    net.encode()
}

/// The same with a product of two tensors, which the engine does not have.
fn net_with_a_product() -> Vec<u8> {
    let mut random = SplitMix64::new(4);
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 3, 9, 9]);
    let x = net.qdq(&x, Quantization::u8(0.02, 128));
    let [y, z] = [1, 2].map(|_| {
        let y = net.conv(&x, &mut random, [18, 3, 3, 3]).pads([1; 4]).add();
        net.qdq(&y, Quantization::u8(0.03, 7))
    });
    let product = net.node("Mul", &[&y, &z], vec![]);
    let product = net.qdq(&product, Quantization::u8(0.05, 11));
    net.output(&product);
    net.encode()
}

/// An app of a model with `[targets]`, and files beside it.
fn app_of(model: &[u8], targets: &str, files: &[(&str, &[u8])]) -> Result<App, Error> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("net.onnx"), model).unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let description = folder.path().join("app.toml");
    let text = "[app]\nname = \"acme/small\"\nversion = \"1.0.0\"\nrelease = 1\nlicense = \"MIT\"\n\
                description = \"A test\"\n[models.net]\nfile = \"net.onnx\"\n";
    std::fs::write(&description, format!("{text}[targets]\n{targets}\n")).unwrap();
    signed(&description)
}

const FPGA: &str = "fpga = [\"fpga.tmfpga\"]";

#[test]
fn a_manifest_and_its_artifact_are_packed_as_a_container() {
    let manifest = |sha256: &str| {
        format!(
            "schema = 1\nid = \"conv\"\nversion = \"1\"\nkernel = \"engine\"\nabi = \"1.0\"\nstatus = \"sim-verified\"\n\
             license = \"MIT\"\n[target]\nkind = \"ecp5\"\npart = \"LFE5U-85F\"\nboard = \"b\"\ntransport = \"t\"\n\
             platform = \"Tilemark\"\n[config]\nlanes = 16\nresults = 8\nbanks = [2, 4]\nactivations = 8192\n\
             weights = 512\nsums = 256\nadds = true\nquads = true\n[artifact]\nfile = \"conv.bit\"\n\
             sha256 = \"{sha256}\"\nbytes = 4\n[toolchain]\nyosys = \"1\"\nnextpnr = \"1\"\nseed = 1\nsources = \"0\"\n\
             [timing]\nfmax_mhz = 51.0\nclock_mhz = 50.0\nsource = \"nextpnr-estimate\"\n"
        )
    };
    let targets = "fpga = [\"conv/manifest.toml\"]";
    let pack = |manifest: &str| {
        app_of(
            &small_net(),
            targets,
            &[("conv/manifest.toml", manifest.as_bytes()), ("conv/conv.bit", b"bits")],
        )
    };
    let good = manifest(&tilemark_bundle::sha256(b"bits").to_string());
    let app = pack(&good).unwrap();
    assert!(app.has_targets());
    assert!(app.manifest().targets.contains(&"conv".to_owned()), "{:?}", app.manifest().targets);
    let other = pack(&manifest(&tilemark_bundle::sha256(b"other").to_string())).unwrap_err();
    assert!(other.to_string().contains("conv.bit has 4 bytes with the SHA-256"), "{other}");
    let recipe = good.split("[artifact]").next().unwrap().replace("sim-verified", "recipe-untested");
    let recipe = pack(&recipe).unwrap_err();
    assert!(recipe.to_string().contains("recipe-untested: there is nothing to load"), "{recipe}");
    let fast = pack(&good.replace("clock_mhz = 50.0", "clock_mhz = 52.0")).unwrap_err();
    assert_eq!(fast.code(), "TM0506", "{fast}");
}

/// On a driver that simulates the compact engine, if `cargo xtask test` says that it is there: the committed manifest and its bitstream.
#[test]
fn compact_fpga_runs_an_app_with_its_committed_target() {
    let found = survey().devices().find(|facts| facts.name.contains("iCE40UP5K")).map(Device::opencl);
    let Some(device) = found else {
        assert!(std::env::var_os("TILEMARK_TEST_FPGA_COMPACT").is_none(), "there is no compact FPGA");
        println!("skipped: no compact FPGA here");
        return;
    };
    let target = tagger::root().join("bitstreams/conv4x1-ice40-up5k-icebreaker");
    let read = |name: &str| std::fs::read(target.join(name)).unwrap();
    let files = [("conv/manifest.toml", read("manifest.toml")), ("conv/conv4x1.bit", read("conv4x1.bit"))];
    let files = files.each_ref().map(|(name, bytes)| (*name, &bytes[..]));
    let app = app_of(&small_net(), "fpga = [\"conv/manifest.toml\"]", &files).unwrap();
    let replay = app.replay(&device).unwrap();
    println!("{replay}");
    replay.check().unwrap();
    let plan = app.session(device).unwrap().plan().unwrap();
    let layers = plan.steps().filter(|step| step.kernel == "fpga").count();
    assert_eq!(layers, 5, "layers on the compact engine");
    assert_eq!(plan.engine_info().unwrap().kilohertz, 12_000);
}

#[test]
fn fpga_takes_no_source() {
    let Some(_) = fpga() else { return };
    let said = emulation::compile("Tilemark", "kernel void f() {}").unwrap().unwrap_err();
    assert!(said.contains("CL_INVALID_OPERATION"), "{said}");
}

#[test]
fn fpga_layers_that_a_target_lacks_are_refused_before_it_is_loaded() {
    let Some(device) = fpga() else { return };
    let facts = device.facts().unwrap();
    let container = Container::encode(&header(), b"no bits").unwrap();
    let files: &[(&str, &[u8])] = &[("fpga.tmfpga", &container)];
    let refused = app_of(&net_with_a_product(), FPGA, files).unwrap();
    let error = refused.session(device.clone()).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("TM0422", ErrorKind::NoDevice), "{error}");
    let fit = &refused.target_fits(facts)[0];
    assert!(!fit.fits && fit.reason.as_ref().unwrap().contains("Mul"), "{fit:?}");
    let allowed = app_of(&net_with_a_product(), &format!("{FPGA}\nhost_layers = true"), files).unwrap();
    assert!(allowed.target_fits(facts)[0].fits);
    allowed.replay(&device).unwrap().check().unwrap();
    let plan = allowed.session(device.clone()).unwrap().plan().unwrap();
    let left = plan.steps().find(|step| step.op == "Mul").unwrap();
    assert!(left.kernel != "fpga" && left.why.contains("not on the FPGA"), "{left:?}");
    // What is too large for an engine's memories is refused by the same code, and the driver is not asked.
    let config = Config { activations: 64, weights: 16, sums: 1, ..Config::LANES_16 };
    let tiny = Container::encode(&Header { config, ..header() }, b"no bits").unwrap();
    let mut net = Builder::new(13);
    let mut random = SplitMix64::new(5);
    let x = net.input("x", &[1, 3, 40, 40]);
    let x = net.qdq(&x, Quantization::u8(0.02, 128));
    let y = net.conv(&x, &mut random, [4, 3, 31, 31]).add();
    let y = net.qdq(&y, Quantization::u8(0.5, 7));
    net.output(&y);
    let large = app_of(&net.encode(), FPGA, &[("fpga.tmfpga", &tiny)]).unwrap();
    assert_eq!(large.session(device).unwrap_err().code(), "TM0422");
}

#[test]
fn emulated_fpga_runs_a_signed_app_from_its_binary_alone() {
    let kind = DeviceKind::FpgaEmulation;
    let Some(device) = device(kind, "TILEMARK_TEST_FPGA_EMULATION") else { return };
    let container = emulation::container().unwrap();
    let app = app_of(&small_net(), FPGA, &[("fpga.tmfpga", &container)]).unwrap();
    assert!(app.target_fits(device.facts().unwrap())[0].fits);
    let replay = app.replay(&device).unwrap();
    println!("{replay}");
    replay.check().unwrap();
    let plan = app.session(device.clone()).unwrap().plan().unwrap();
    let layers = plan.steps().filter(|step| step.kernel == "fpga").count();
    assert_eq!(layers, 5, "layers on the emulated engine");
    // It has a compiler, and is not asked to use it.
    let without = app_of(&small_net(), "fpga = []", &[]).unwrap();
    assert_eq!(without.session(device).unwrap_err().code(), "TM0417");
}

#[test]
fn emulated_fpga_that_computes_otherwise_is_refused_by_the_known_answers() {
    let kind = DeviceKind::FpgaEmulation;
    let Some(device) = device(kind, "TILEMARK_TEST_FPGA_EMULATION") else { return };
    let container = emulation::faulty_container().unwrap();
    let app = app_of(&small_net(), FPGA, &[("fpga.tmfpga", &container)]).unwrap();
    let error = app.session(device).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("TM0413", ErrorKind::NoDevice), "{error}");
    assert!(error.to_string().contains("test network"), "{error}");
}
