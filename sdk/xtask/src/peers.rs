//! `cargo xtask peers`: Tilemark beside ONNX Runtime, OpenVINO and LiteRT on the same networks, cores and minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{models, python, steps};

const PACKAGES: &[&str] =
    &["ai-edge-litert==2.3.0", "numpy==2.4.6", "onnxruntime==1.31.1", "openvino==2026.4.1"];
const SCRIPT: &str = "benches/peers/compare.py";
/// What makes the files that LiteRT reads.
const TENSORFLOW: &[&str] = &["numpy==2.4.6", "onnx==1.23.2", "tensorflow-cpu==2.21.0"];
const TWINS: &str = "benches/peers/twins.py";
/// What a page has: a name, and what the script is told.
const SECTIONS: [(&str, &[&str]); 4] = [
    ("one thread", &["--threads", "1", "--burst", "0.4", "--rounds", "4", "--cold", "10"]),
    ("two threads", &["--threads", "2", "--burst", "0.4", "--rounds", "3", "--cold", "6"]),
    (
        "one thread, held to AVX2 (as far as peers can be)",
        &["--threads", "1", "--cpu", "avx2", "--burst", "0.3", "--rounds", "3", "--cold", "4"],
    ),
    (
        "batch of 8, one thread, three networks",
        &[
            "--threads",
            "1",
            "--batch",
            "8",
            "--burst",
            "0.5",
            "--rounds",
            "3",
            "--cold",
            "3",
            "--networks",
            "resnet50,mobilenet-v2,efficientnet-lite0",
        ],
    ),
];
/// What is above this line of a page is somebody's, and stays.
const MARK: &str = "<!-- What follows is what `cargo xtask peers --page` wrote. -->";

/// What to compare.
#[derive(clap::Args)]
pub(crate) struct Peers {
    /// Measures all that a page of docs/benchmarks has, and writes it there: one thread and two, AVX2, a batch of 8.
    #[arg(long, conflicts_with = "options")]
    page: Option<PathBuf>,
    /// What `benches/peers/compare.py` takes: --networks, --threads, --batch, --cpu, --burst, --rounds, --cold.
    #[arg(last = true)]
    options: Vec<String>,
}

pub(crate) fn run(wanted: &Peers) -> Result<()> {
    let kept = wanted.page.as_deref().map_or(Ok(String::new()), kept)?;
    models::run(&models::Models::DEFAULT)?;
    let twins = crate::target().join("peers");
    let mut make = Command::new(python::environment("tensorflow", TENSORFLOW)?);
    steps::shell(make.arg("-B").arg(TWINS).arg(crate::target().join("models")).arg(&twins))?;
    let python = python::environment("peers", PACKAGES)?;
    steps::shell(steps::cargo().args([
        "build",
        "--locked",
        "--release",
        "-p",
        "tilemark-benches",
        "--bin",
        "peer",
    ]))?;
    let peer = crate::target().join("release").join(format!("peer{}", std::env::consts::EXE_SUFFIX));
    let compare = |options: &[&str]| {
        let mut compare = Command::new(&python);
        compare
            .arg("-B")
            .arg(SCRIPT)
            .arg(&peer)
            .arg(crate::target().join("models"))
            .arg(&twins)
            .args(options);
        compare
    };
    match &wanted.page {
        Some(page) => write_page(page, &kept, compare),
        None => {
            let options: Vec<&str> = wanted.options.iter().map(String::as_str).collect();
            steps::shell(&mut compare(&options))
        }
    }
}

/// What stays of a page; nothing of one that is not there.
fn kept(page: &Path) -> Result<String> {
    if !page.exists() {
        return Ok(String::new());
    }
    let text = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    let kept = text.split_once(MARK).map(|(kept, _)| kept.to_owned());
    kept.with_context(|| format!("{} has no line {MARK}: what is in it would be lost", page.display()))
}

/// Measures every section, and writes the page: ratios first, then the tables.
fn write_page(page: &Path, kept: &str, compare: impl Fn(&[&str]) -> Command) -> Result<()> {
    let part = crate::target().join("peers.md");
    let (mut ratios, mut tables, mut head) = (String::new(), String::new(), String::new());
    let output = |program: &str, arguments: &[&str]| -> Result<String> {
        let output = Command::new(program).args(arguments).current_dir(crate::root()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let made = format!(
        "Commit {}, {}.",
        output("git", &["rev-parse", "--short", "HEAD"])?,
        output("date", &["-u", "+%F"])?
    );
    for (name, options) in SECTIONS {
        steps::shell(compare(options).arg("--page").arg(&part))?;
        let text = fs::read_to_string(&part).with_context(|| format!("cannot read {}", part.display()))?;
        let (facts, section) = text.split_once("\n## ").context("the script wrote no section")?;
        let ratio = section.trim_end().lines().next_back().unwrap_or_default();
        ensure!(ratio.starts_with("Fastest peer"), "the script wrote no ratios");
        head = facts.trim_end().to_owned();
        ratios += &format!("- {name}: {ratio}\n");
        tables += &format!("\n## {}\n", section.trim_end());
    }
    let (title, versions) = head.split_once('\n').unwrap_or((&head, ""));
    let kept = if kept.is_empty() { format!("{title}\n\n") } else { kept.to_owned() };
    let facts = format!("{}\n{made}", versions.trim());
    fs::write(page, format!("{kept}{MARK}\n\n## Ratios\n\n{facts}\n\n{ratios}{tables}"))
        .with_context(|| format!("cannot write {}", page.display()))
}
