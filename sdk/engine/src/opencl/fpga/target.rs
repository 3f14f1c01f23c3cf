//! Bitstreams: which of those that a bundle ships fits a device, decided before anything is loaded.

use std::fmt;
use std::sync::Arc;

use tilemark_bitstreams::{ABI, Config, Container, Form, Header};
use tilemark_model::Graph;

use super::super::api::{Context, Program};
use super::super::survey::Facts;
use crate::error::Error;
use crate::plan::rehearse;

/// A bitstream as a bundle ships it: a target.
#[derive(Clone, Debug)]
pub struct Target {
    id: String,
    container: Result<Container, String>,
    bytes: Arc<[u8]>,
}

/// The bitstreams of an app, and what it allows.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    list: Arc<[Target]>,
    host_layers: HostLayers,
}

/// Whether the host may run layers of 8-bit arithmetic that a target cannot. Arithmetic in f32 is always the host's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HostLayers {
    /// A layer that the target cannot run is an error.
    #[default]
    Refused,
    /// The plan shows them.
    Allowed,
}

/// What stands against a target on a device.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Unfit {
    Damaged(String),
    Part { wanted: String, platform: String },
    Abi { found: u32 },
}

impl Target {
    /// A target of this name with a container's bytes, damaged or not: what is wrong with it is told where it is chosen.
    pub fn new(id: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let container = Container::parse(&bytes).map_err(|error| error.to_string());
        Self { id: id.into(), container, bytes }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether its bytes are what was built.
    ///
    /// # Errors
    /// [`Error::BitstreamDamaged`].
    pub fn check(&self) -> Result<(), Error> {
        self.header().map(drop)
    }

    /// How its engine is configured.
    ///
    /// # Errors
    /// [`Error::BitstreamDamaged`].
    pub(crate) fn config(&self) -> Result<Config, Error> {
        self.header().map(|header| header.config)
    }

    fn header(&self) -> Result<&Header, Error> {
        let damaged =
            |reason: &String| Error::BitstreamDamaged { target: self.id.clone(), reason: reason.clone() };
        self.container.as_ref().map(|container| &container.header).map_err(damaged)
    }

    /// Whether it is for a device, in words.
    ///
    /// # Errors
    /// Why not.
    pub fn fits(&self, facts: &Facts) -> Result<(), String> {
        self.judge(facts).map(drop).map_err(|unfit| unfit.to_string())
    }

    /// Whether its engine can run a graph, and the app's word on what it cannot: decided without a device.
    ///
    /// # Errors
    /// [`Error::LayerRefused`] for a layer that is left to the host against the app's word; [`Error::TooLarge`];
    /// [`Error::BitstreamDamaged`].
    pub fn runs(&self, graph: &Arc<Graph>, host_layers: HostLayers) -> Result<(), Error> {
        rehearse(graph, &self.spec(host_layers)?)
    }

    /// What it is before it is loaded.
    fn spec(&self, host_layers: HostLayers) -> Result<EngineSpec, Error> {
        let Header { config, kilohertz, .. } = *self.header()?;
        Ok(EngineSpec { target: self.id.clone(), config, kilohertz, host_layers })
    }

    fn judge(&self, facts: &Facts) -> Result<&Container, Unfit> {
        let container = self.container.as_ref().map_err(|reason| Unfit::Damaged(reason.clone()))?;
        let header = &container.header;
        let has = |name: &str, part: &str| name.to_lowercase().contains(&part.to_lowercase());
        if !has(&facts.platform, &header.platform) || !has(&facts.name, &header.part) {
            let (wanted, platform) = (header.part.clone(), header.platform.clone());
            return Err(Unfit::Part { wanted, platform });
        }
        if header.abi >> 16 != ABI >> 16 {
            return Err(Unfit::Abi { found: header.abi });
        }
        Ok(container)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Damaged(reason) => write!(f, "it is damaged: {reason}"),
            Unfit::Part { wanted, platform } => {
                write!(f, "it is for a {wanted} of a platform with `{platform}` in its name")
            }
            Unfit::Abi { found } => {
                let [major, minor, own] = [found >> 16, found & 0xffff, ABI >> 16];
                write!(f, "its interface is {major}.{minor}, this SDK speaks {own}")
            }
        }
    }
}

impl Targets {
    /// These, best first.
    pub fn new(list: impl Into<Arc<[Target]>>, host_layers: HostLayers) -> Self {
        Self { list: list.into(), host_layers }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Target> {
        self.list.iter()
    }

    /// The target that a device would be programmed with.
    ///
    /// # Errors
    /// What stands against all of them, by the one that comes closest.
    pub fn of(&self, facts: &Facts) -> Result<&Target, Error> {
        choose(self, facts)
    }

    /// Whether the host may run what a target cannot.
    pub fn host_layers(&self) -> HostLayers {
        self.host_layers
    }
}

impl PartialEq for Targets {
    fn eq(&self, other: &Self) -> bool {
        let both = || self.list.iter().zip(other.list.iter());
        self.host_layers == other.host_layers
            && self.list.len() == other.list.len()
            && both().all(|(a, b)| a.id == b.id && a.bytes == b.bytes)
    }
}

impl Eq for Targets {}

/// The first target that fits a device.
///
/// # Errors
/// [`Error::NoBitstream`] if there is none at all, [`Error::WrongPart`], [`Error::WrongAbi`] or [`Error::BitstreamDamaged`] by what
/// stands against the one that comes closest.
pub(crate) fn choose<'t>(targets: &'t Targets, facts: &Facts) -> Result<&'t Target, Error> {
    let device = facts.id();
    let unfit = |target: &Target| target.judge(facts).err();
    if let Some(target) = targets.iter().find(|target| unfit(target).is_none()) {
        return Ok(target);
    }
    let against: Vec<(&Target, Unfit)> = targets.iter().filter_map(|t| Some((t, unfit(t)?))).collect();
    let Some((target, closest)) = against.iter().max_by_key(|(_, unfit)| match unfit {
        Unfit::Part { .. } => 0,
        Unfit::Abi { .. } => 1,
        Unfit::Damaged(_) => 2,
    }) else {
        return Err(Error::NoBitstream { device, name: facts.name.clone() });
    };
    let reasons: Vec<String> =
        against.iter().map(|(target, unfit)| format!("{}: {unfit}", target.id)).collect();
    let reasons = reasons.join("; ");
    Err(match closest {
        Unfit::Damaged(reason) => {
            Error::BitstreamDamaged { target: target.id.clone(), reason: reason.clone() }
        }
        Unfit::Part { .. } => Error::WrongPart { device, name: facts.name.clone(), reasons },
        Unfit::Abi { .. } => Error::WrongAbi { device, reasons },
    })
}

/// An engine as plans are made for it.
#[derive(Clone, Debug)]
pub(crate) struct EngineSpec {
    /// The target's name.
    pub(crate) target: String,
    pub(crate) config: Config,
    /// 0 where it has no clock.
    pub(crate) kilohertz: u32,
    pub(crate) host_layers: HostLayers,
}

/// A device that was programmed with a target.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(super) program: Program,
    pub(super) form: Form,
    pub(crate) spec: EngineSpec,
}

impl Engine {
    /// Chooses a target and programs the device with it.
    ///
    /// # Errors
    /// Those of [`choose`]; [`Error::BitstreamRefused`] if the driver does not take it.
    pub(crate) fn load(context: &Context, facts: &Facts, targets: &Targets) -> Result<Self, Error> {
        let target = choose(targets, facts)?;
        let refused = |reason: String| Error::BitstreamRefused {
            device: facts.id(),
            target: target.id.clone(),
            reason,
        };
        let spec = target.spec(targets.host_layers)?;
        let container = target.judge(facts).map_err(|unfit| refused(unfit.to_string()))?;
        let form = container.header.form;
        let binary = match form {
            Form::Engine => &target.bytes[..],
            Form::Channels => &container.artifact,
        };
        let loaded = context.load(facts.handle(), binary, c"");
        let program = loaded
            .map_err(|fault| refused(format!("{} gave {}", fault.call, fault.name())))?
            .map_err(|log| refused(format!("the driver said: {log}")))?;
        Ok(Self { program, form, spec })
    }
}
