//! The FPGA targets of an app: bitstreams that its bundle ships.
//!
//! Blob `targets/NAME` is a container as `tilemark-bitstreams` defines it, and `targets.json` says in which order they are
//! preferred and whether the host may run what they cannot. Both are signed like everything in a bundle.

use serde::{Deserialize, Serialize};
use tilemark_bitstreams::{Container, Manifest};
use tilemark_bundle::Bundle;
use tilemark_engine::{Device, Facts, HostLayers, Target, Targets};

use crate::app::App;
use crate::error::Error;

/// The order, and what is allowed.
pub(crate) const INDEX: &str = "targets.json";
/// A bitstream.
pub(crate) const PREFIX: &str = "targets/";
/// What a target's description is named in its folder.
const MANIFEST: &str = "manifest.toml";
/// The largest index read.
const MAX_INDEX_BYTES: usize = 1 << 16;

/// `[targets]` of `app.toml`, beside the host and kernels from source, which every app has.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetsSection {
    /// Bitstreams, relative to `app.toml`, best first: containers, or manifests (`.toml`) with their artifacts beside them.
    #[serde(default)]
    pub fpga: Vec<String>,
    /// Whether the host may run layers that a target cannot. The plan shows them.
    #[serde(default)]
    pub host_layers: bool,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Index {
    fpga: Vec<String>,
    host_layers: bool,
}

/// What a target is for a device.
#[derive(Clone, Debug, Serialize)]
pub struct TargetFit {
    /// The target's name.
    pub target: String,
    /// Whether it is for the device.
    pub fits: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl App {
    /// What each of the app's FPGA targets is for a device, before anything is loaded there: platform, part, interface, and whether
    /// its engine can run every layer that the app does not leave to the host.
    pub fn target_fits(&self, facts: &Facts) -> Vec<TargetFit> {
        let fit = |target: &Target| {
            let reason =
                target.fits(facts).err().or_else(|| self.runs_on(target).err().map(|e| e.to_string()));
            TargetFit { target: target.id().to_owned(), fits: reason.is_none(), reason }
        };
        self.targets().iter().map(fit).collect()
    }

    /// Whether the app ships bitstreams.
    pub fn has_targets(&self) -> bool {
        self.targets().iter().next().is_some()
    }

    /// Refuses what would be found out after loading: a device without a fitting target, or one that cannot run a layer.
    pub(crate) fn check_target(&self, device: &Device) -> Result<(), Error> {
        match device.facts().filter(|facts| facts.takes_bitstreams()) {
            Some(facts) => self.runs_on(self.targets().of(facts)?),
            None => Ok(()),
        }
    }

    fn runs_on(&self, target: &Target) -> Result<(), Error> {
        let host_layers = self.targets().host_layers();
        self.models().try_for_each(|(_, graph)| Ok(target.runs(graph, host_layers)?))
    }
}

/// A target's name in bundle and plan: that of the container's file without folder and ending, or of the manifest's folder.
fn name(file: &str) -> &str {
    let (folder, file) = file.rsplit_once('/').unwrap_or(("", file));
    let folder = folder.rsplit('/').next().unwrap_or(folder);
    if file == MANIFEST && !folder.is_empty() { folder } else { file.split('.').next().unwrap_or(file) }
}

/// The container that a file is, or that a manifest and the artifact beside it make.
fn container(file: &str, read: impl Fn(&str) -> Result<Vec<u8>, Error>) -> Result<Vec<u8>, Error> {
    if !file.ends_with(".toml") {
        return read(file);
    }
    let invalid = |reason: String| Error::Description { path: file.into(), reason };
    let text = String::from_utf8(read(file)?).map_err(|error| invalid(error.to_string()))?;
    let manifest = Manifest::parse(&text).map_err(|error| invalid(error.to_string()))?;
    let nothing = || invalid(format!("it is {}: there is nothing to load", manifest.status.as_str()));
    let artifact = manifest.artifact.as_ref().ok_or_else(nothing)?;
    let beside = file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let bytes = read(&format!("{beside}{}", artifact.file))?;
    let found = tilemark_bundle::sha256(&bytes).to_string();
    if found != artifact.sha256 || bytes.len() as u64 != artifact.bytes {
        let (name, expected, wanted) = (&artifact.file, &artifact.sha256, artifact.bytes);
        let found = format!("{} bytes with the SHA-256 {found}", bytes.len());
        return Err(invalid(format!("{name} has {found}, expected {wanted} bytes with {expected}")));
    }
    let header = manifest.header().map_err(|error| invalid(error.to_string()))?;
    Container::encode(&header, &bytes).map_err(|error| invalid(error.to_string()))
}

/// What a section adds to a bundle.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) blobs: Vec<(String, Vec<u8>)>,
    /// Of the targets.
    pub(crate) names: Vec<String>,
    pub(crate) targets: Targets,
}

/// What a section adds to a bundle; nothing where it names no target.
///
/// # Errors
/// [`Error::Engine`] for a container that is damaged, [`Error::Description`] for a manifest that has no artifact or another one, and what `read` says of a file.
pub(crate) fn pack(
    section: &TargetsSection,
    read: impl Fn(&str) -> Result<Vec<u8>, Error>,
) -> Result<Packed, Error> {
    let names: Vec<String> = section.fpga.iter().map(|file| name(file).to_owned()).collect();
    if names.is_empty() {
        return Ok(Packed::default());
    }
    let index = Index { fpga: names.clone(), host_layers: section.host_layers };
    let json = serde_json::to_vec(&index)
        .map_err(|error| Error::Contents { what: INDEX, reason: error.to_string() })?;
    let mut blobs = vec![(INDEX.to_owned(), json)];
    let mut targets = Vec::new();
    for file in &section.fpga {
        let bytes = container(file, &read)?;
        let target = Target::new(name(file), bytes.as_slice());
        target.check()?;
        targets.push(target);
        blobs.push((format!("{PREFIX}{}", name(file)), bytes));
    }
    Ok(Packed { blobs, names, targets: Targets::new(targets, host_layers(section.host_layers)) })
}

fn host_layers(allowed: bool) -> HostLayers {
    if allowed { HostLayers::Allowed } else { HostLayers::Refused }
}

/// The targets of a verified bundle; none where it has no index.
///
/// # Errors
/// [`Error::Contents`] for an index that is none, [`Error::Bundle`] for one that names a blob that is not there.
pub(crate) fn read(bundle: &Bundle) -> Result<Targets, Error> {
    if bundle.blobs().all(|(name, _)| name != INDEX) {
        return Ok(Targets::default());
    }
    let invalid = |reason: String| Error::Contents { what: INDEX, reason };
    let bytes = bundle.blob(INDEX)?;
    if bytes.len() > MAX_INDEX_BYTES {
        return Err(invalid(format!("{} bytes, at most {MAX_INDEX_BYTES} are read", bytes.len())));
    }
    let index: Index = serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
    let target = |name: &String| Ok(Target::new(name, bundle.blob(&format!("{PREFIX}{name}"))?));
    let targets = index.fpga.iter().map(target).collect::<Result<Vec<_>, Error>>()?;
    Ok(Targets::new(targets, host_layers(index.host_layers)))
}
