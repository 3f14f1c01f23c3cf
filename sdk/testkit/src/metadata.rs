//! What `cargo metadata` says of the workspace and of everything it depends on.

use std::collections::BTreeSet;
use std::process::Command;

use serde::Deserialize;

use crate::tagger::root;

/// The part of `cargo metadata` that is looked at.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Ours and everybody else's.
    pub packages: Vec<Package>,
    /// Ids of ours.
    pub workspace_members: BTreeSet<String>,
    /// Who depends on whom.
    pub resolve: Resolve,
    /// Whether the packages of all platforms are there, not only those of this one.
    #[serde(default)]
    pub is_whole: bool,
}

/// One crate in one version.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Cargo's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// As it states it.
    pub license: Option<String>,
    /// As its manifest has them.
    pub dependencies: Vec<Dependency>,
}

/// A line under `[dependencies]` and its like.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The crate.
    pub name: String,
    /// Its versions.
    pub req: String,
    /// `dev`, `build`, or nothing for a normal one.
    pub kind: Option<String>,
}

/// Who depends on whom, in the versions of the lock file.
#[derive(Debug, Deserialize)]
pub struct Resolve {
    /// Every package.
    pub nodes: Vec<Node>,
}

/// A package with the features that it is built with.
#[derive(Debug, Deserialize)]
pub struct Node {
    /// Of the package.
    pub id: String,
    /// Those of all who use it.
    pub features: Vec<String>,
    /// What it depends on.
    pub deps: Vec<Edge>,
}

/// A package that is depended on.
#[derive(Debug, Deserialize)]
pub struct Edge {
    /// Its id.
    pub pkg: String,
    /// In which ways.
    pub dep_kinds: Vec<EdgeKind>,
}

/// One way to depend on a package.
#[derive(Debug, Deserialize)]
pub struct EdgeKind {
    /// `dev`, `build`, or nothing for a normal one.
    pub kind: Option<String>,
}

impl Metadata {
    /// For every platform, from the lock file. Offline the packages of other platforms can be missing: then those of this one.
    ///
    /// # Panics
    /// If cargo fails.
    #[must_use]
    pub fn read() -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let run = |more: &[&str]| {
            let fixed = ["metadata", "--format-version", "1", "--locked", "--all-features"];
            Command::new(&cargo).args(fixed).args(more).current_dir(root()).output().expect("cargo runs")
        };
        let stderr = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
        let mut output = run(&[]);
        let is_whole = output.status.success();
        if !is_whole {
            let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
            eprintln!("skipped: dependencies of other platforms than {host}; {}", stderr(&output));
            output = run(&["--offline", "--filter-platform", &host]);
        }
        assert!(output.status.success(), "cargo metadata: {}", stderr(&output));
        let read: Self = serde_json::from_slice(&output.stdout).expect("cargo prints its documented JSON");
        Self { is_whole, ..read }
    }

    /// The package of an id.
    #[must_use]
    pub fn package(&self, id: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.id == id)
    }

    /// Ours.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }
}
