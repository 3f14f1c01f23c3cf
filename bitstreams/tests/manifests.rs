//! Every target's manifest is read, and every committed artifact is the one it speaks of.

use std::fs;
use std::path::{Path, PathBuf};

use tilemark_bitstreams::{Container, Form, Manifest, Status, sources};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Folders with a manifest.
fn targets() -> Vec<(PathBuf, Manifest)> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(folder()).expect("the folder of targets") {
        let path = entry.expect("a listed file").path();
        let Ok(text) = fs::read_to_string(path.join("manifest.toml")) else { continue };
        let manifest = Manifest::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        targets.push((path, manifest));
    }
    targets
}

#[test]
fn manifests_and_artifacts_belong_together() {
    let targets = targets();
    assert!(targets.len() >= 2, "{} targets", targets.len());
    for (path, manifest) in targets {
        assert_eq!(path.file_name().unwrap().to_str(), Some(manifest.id.as_str()));
        match &manifest.artifact {
            Some(artifact) => {
                let bytes = fs::read(path.join(&artifact.file)).unwrap();
                assert_eq!(bytes.len() as u64, artifact.bytes, "{}", manifest.id);
                assert_eq!(tilemark_bundle::sha256(&bytes).to_string(), artifact.sha256, "{}", manifest.id);
                // A change of the RTL or the recipe asks for the bitstream to be built again: `cargo xtask fpga build`.
                let made_from = sources(&folder(), manifest.recipe.as_ref().unwrap()).unwrap();
                let made_from = tilemark_bundle::sha256(&made_from).to_string();
                assert_eq!(manifest.toolchain.as_ref().unwrap().sources, made_from, "{}", manifest.id);
                if manifest.target.platform.is_some() {
                    let header = manifest.header().unwrap();
                    assert_eq!(header.form, Form::Engine);
                    let container = Container::encode(&header, &bytes).unwrap();
                    assert_eq!(Container::parse(&container).unwrap().artifact, bytes);
                }
            }
            // A recipe alone: nothing in its folder may look like something to load.
            None => {
                assert_eq!(manifest.status, Status::RecipeUntested);
                for file in fs::read_dir(&path).unwrap() {
                    let name = file.unwrap().file_name().into_string().unwrap();
                    let binary =
                        [".bit", ".bin", ".aocx", ".xclbin"].iter().any(|ending| name.ends_with(ending));
                    assert!(!binary, "{name} beside a recipe that was never run");
                }
            }
        }
    }
}

#[test]
fn contradictions_are_refused() {
    let good = "schema = 1\nid = \"a\"\nversion = \"1\"\nkernel = \"engine\"\nabi = \"1.0\"\nstatus = \"recipe-untested\"\n\
                license = \"MIT\"\n[target]\nkind = \"xrt\"\npart = \"p\"\nboard = \"b\"\ntransport = \"pcie\"\n";
    assert!(Manifest::parse(good).is_ok());
    let refused = |text: &str| Manifest::parse(text).unwrap_err().to_string();
    assert!(refused(&good.replace("schema = 1", "schema = 2")).contains("schema"));
    assert!(refused(&good.replace("recipe-untested", "sim-verified")).contains("artifact"));
    assert!(refused(&good.replace("kind = \"xrt\"", "kind = \"cpld\"")).contains("cpld"));
    assert!(refused(&format!("{good}colour = \"red\"\n")).contains("colour"));
    let artifact = "[artifact]\nfile = \"../x.bit\"\nsha256 = \"0\"\nbytes = 1\n[toolchain]\nyosys = \"1\"\nnextpnr = \"1\"\nseed = 1\nsources = \"0\"\n";
    let with = format!("{}{artifact}", good.replace("recipe-untested", "sim-verified"));
    assert!(refused(&with).contains("the artifact lies elsewhere"));
    let with = with.replace("../x.bit", "x.bit");
    let recipe = |board: &str| {
        format!(
            "{with}[recipe]\nboard = \"{board}\"\ndevice = \"d\"\nclock_mhz = 50\ngoal_mhz = 60\nparameters = \"\"\n"
        )
    };
    assert!(Manifest::parse(&recipe("b")).is_ok());
    assert!(refused(&recipe("../b")).contains("the recipe lies elsewhere"));
    let timing = "[timing]\nfmax_mhz = 60.0\nclock_mhz = 51.0\nsource = \"nextpnr-estimate\"\n";
    assert!(refused(&format!("{}{timing}", recipe("b"))).contains("the recipe's"));
    let channels = good.replace("kernel = \"engine\"", "kernel = \"conv\"");
    assert!(Manifest::parse(&channels).unwrap().header().unwrap_err().to_string().contains("kernel"));
    assert!(Manifest::parse(good).unwrap().header().unwrap_err().to_string().contains("[config]"));
    let fast = "[timing]\nfmax_mhz = 90.0\nclock_mhz = 100.0\nsource = \"nextpnr-estimate\"\n";
    assert!(refused(&format!("{good}{fast}")).contains("clock"));
}
