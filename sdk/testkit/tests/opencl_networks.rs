//! Real networks on OpenCL devices: every byte of every value equals the host's. `cargo xtask test` and `cargo xtask models
//! --device PLATFORM` make the networks and run this.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed unwrap is a failed test, and what was compared is printed"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tilemark_engine::{Compiled, Device, Tuning, survey};
use tilemark_model::{Tensor, import};

/// The int8 forms to run: the usual one if it is there, else the first of the folder; or all. They are those that the oracle
/// runs, by their names: the types of activations and weights are in them.
fn forms(network: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(network).unwrap().map(|entry| entry.unwrap().path());
    let is_form = |path: &PathBuf| {
        let types = path.file_stem().is_some_and(|name| name.to_string_lossy().matches('8').count() > 1);
        types && path.extension().is_some_and(|extension| extension == "onnx")
    };
    let mut forms: Vec<PathBuf> = entries.filter(is_form).collect();
    forms.sort_by_key(|path| (!path.ends_with("qdq-u8s8.onnx"), path.clone()));
    let all = std::env::var("TILEMARK_FORMS").is_ok_and(|forms| forms == "all");
    forms.truncate(if all { usize::MAX } else { 1 });
    forms
}

#[test]
#[ignore = "needs real networks and an OpenCL driver: `cargo xtask test` fetches them"]
fn every_byte_equals_the_hosts() {
    let network = PathBuf::from(std::env::var_os("TILEMARK_NETWORK").expect("a folder with a network"));
    let platform = std::env::var("TILEMARK_TEST_OPENCL").expect("a part of a platform's name");
    let found = survey();
    let devices: Vec<Device> =
        found.devices().filter(|facts| facts.platform.contains(&platform)).map(Device::opencl).collect();
    assert!(!devices.is_empty(), "no device of `{platform}`: {found:?}");
    let forms = forms(&network);
    if forms.is_empty() {
        println!("skipped: {} has no int8 form", network.display());
        return;
    }
    let input = std::fs::read(network.join("evaluation/0000.npy")).unwrap();
    let input = tilemark_pipeline::npy::read(&input).unwrap();
    for form in forms {
        let name =
            format!("{}/{}", network.file_name().unwrap().display(), form.file_stem().unwrap().display());
        let graph = import(&std::fs::read(&form).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let host = Device::host().with_tuning(Tuning::Off);
        let mut expected: BTreeMap<usize, Tensor> = BTreeMap::new();
        let mut session = Compiled::new(graph.clone(), &host).unwrap().session().unwrap();
        let outputs = session.run_observed(std::slice::from_ref(&input), |id, tensor| {
            expected.insert(id.index(), tensor.clone());
        });
        let outputs = outputs.unwrap();
        for device in &devices {
            let start = Instant::now();
            let compiled = Compiled::new(graph.clone(), &device.clone().with_tuning(Tuning::Off)).unwrap();
            let mut session = compiled.session().unwrap();
            let mut shown = 0;
            let observed = session.run_observed(std::slice::from_ref(&input), |id, tensor| {
                // Fusion may differ between the two: what only one of them keeps in memory is compared by what follows.
                if let Some(host) = expected.get(&id.index()) {
                    let value = &graph.value(id).name;
                    assert!(
                        host.to_bytes() == tensor.to_bytes(),
                        "{name} on {}: `{value}` differs",
                        device.id()
                    );
                    shown += 1;
                }
            });
            let again = session.run(std::slice::from_ref(&input)).unwrap();
            assert!(
                observed.unwrap() == outputs && again == outputs,
                "{name} on {}: the outputs differ",
                device.id()
            );
            assert!(shown > 0, "{name} on {}: nothing to compare", device.id());
            println!(
                "{name} on {}: {shown} values equal, {:.1} s",
                device.description(),
                start.elapsed().as_secs_f32()
            );
        }
    }
}
