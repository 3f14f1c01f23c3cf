//! Devices: where a plan runs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;

use crate::error::Error;
use crate::host::CpuLevel;
use crate::limits::MAX_THREADS;
use crate::opencl::{DeviceStore, Facts, Opened, Survey, Targets, condemn, open, outcome, survey, times};
use crate::tuning::{TUNING_REVISION, Tuning};

/// A class of devices.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DeviceKind {
    /// A general-purpose processor.
    Cpu,
    /// A graphics processor.
    Gpu,
    /// An FPGA.
    Fpga,
    /// A vendor's emulation of an FPGA on the CPU.
    #[serde(rename = "fpga-emulation")]
    FpgaEmulation,
    /// A simulation of an FPGA's engine, clock by clock.
    #[serde(rename = "fpga-simulation")]
    FpgaSimulation,
    /// Any other.
    Accelerator,
}

impl DeviceKind {
    /// Which is preferred when any OpenCL device will do.
    fn rank(self) -> usize {
        match self {
            DeviceKind::Gpu => 0,
            DeviceKind::Fpga => 1,
            DeviceKind::Accelerator => 2,
            DeviceKind::Cpu => 3,
            DeviceKind::FpgaEmulation => 4,
            DeviceKind::FpgaSimulation => 5,
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceKind::Cpu => f.write_str("cpu"),
            DeviceKind::Gpu => f.write_str("gpu"),
            DeviceKind::Fpga => f.write_str("fpga"),
            DeviceKind::FpgaEmulation => f.write_str("fpga-emulation"),
            DeviceKind::FpgaSimulation => f.write_str("fpga-simulation"),
            DeviceKind::Accelerator => f.write_str("accelerator"),
        }
    }
}

/// Where a plan runs, with what it may use there. Naming one does nothing yet; [`crate::Compiled::new`] does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// The OpenCL device; none is the host.
    facts: Option<Arc<Facts>>,
    threads: Option<usize>,
    level: Option<CpuLevel>,
    tuning: Option<Tuning>,
    variant: Option<String>,
    store: Store,
    targets: Targets,
}

/// Where what is learned of the device is kept: equal is the very same place.
#[derive(Clone, Debug, Default)]
struct Store(Option<Arc<dyn DeviceStore>>);

impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        }
    }
}

impl Eq for Store {}

impl Device {
    /// The device that is likely the best of this machine: the first of [`Device::gpus`] that gives the known answers, or else the
    /// host. Loads the drivers of this machine, and tests a graphics processor if there is one; times nothing, since what is
    /// faster depends on what is run.
    pub fn best() -> Self {
        let passes = |device: &Self| device.open().is_ok();
        Self::gpus(&survey()).into_iter().find(passes).unwrap_or_else(Self::host)
    }

    /// The graphics processors, the one with most processors first. A CPU's OpenCL device is none: the host is faster.
    pub fn gpus(survey: &Survey) -> Vec<Self> {
        let mut gpus: Vec<_> = survey.devices().filter(|facts| facts.kind == DeviceKind::Gpu).collect();
        gpus.sort_by_key(|facts| std::cmp::Reverse(facts.compute_units));
        gpus.into_iter().map(Self::opencl).collect()
    }

    /// What a name can mean, best first: one device for `host`, for an id as `opencl:0:1` and for a part of a device's or
    /// platform's name that only one has; all OpenCL devices for `opencl`.
    ///
    /// # Errors
    /// [`Error::NoSuchDevice`] and [`Error::SeveralDevices`].
    pub fn named(word: &str, survey: &Survey) -> Result<Vec<Self>, Error> {
        if word == "host" {
            return Ok(vec![Self::host()]);
        }
        let mut devices: Vec<_> = survey.devices().collect();
        let known = || {
            let ids =
                devices.iter().map(|facts| format!("{} ({}, {})", facts.id(), facts.name, facts.platform));
            ["host".to_owned()]
                .into_iter()
                .chain(ids)
                .chain(["auto".to_owned()])
                .collect::<Vec<_>>()
                .join(", ")
        };
        let missing = || Error::NoSuchDevice { found: word.to_owned(), known: known() };
        if word == "opencl" {
            if devices.is_empty() {
                return Err(missing());
            }
            devices.sort_by_key(|facts| facts.kind.rank());
            return Ok(devices.into_iter().map(Self::opencl).collect());
        }
        let part = word.to_lowercase();
        let has = |name: &str| !part.is_empty() && name.to_lowercase().contains(&part);
        let by_id: Vec<_> = devices.iter().filter(|facts| facts.id() == word).collect();
        let fitting = if by_id.is_empty() {
            devices.iter().filter(|facts| has(&facts.name) || has(&facts.platform)).collect()
        } else {
            by_id
        };
        match fitting.as_slice() {
            [] => Err(missing()),
            [facts] => Ok(vec![Self::opencl(facts)]),
            several => {
                let fitting = several.iter().map(|facts| format!("{} ({})", facts.id(), facts.name));
                let fitting = fitting.collect::<Vec<_>>().join(", ");
                Err(Error::SeveralDevices { found: word.to_owned(), fitting })
            }
        }
    }

    /// The host's CPU, with every core that the process may use.
    pub fn host() -> Self {
        let (store, targets) = (Store::default(), Targets::default());
        Self { facts: None, threads: None, level: None, tuning: None, variant: None, store, targets }
    }

    /// An OpenCL device that [`survey`] found.
    pub fn opencl(facts: &Arc<Facts>) -> Self {
        Self { facts: Some(Arc::clone(facts)), ..Self::host() }
    }

    /// Every device of this machine, the host first.
    pub fn all() -> Vec<Self> {
        let survey = survey();
        [Self::host()].into_iter().chain(survey.devices().map(Self::opencl)).collect()
    }

    /// What its OpenCL driver says about it; nothing for the host.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }

    /// The same device, where `store` keeps what is learned of it: outcomes of its known-answer test, and built programs. The
    /// host learns nothing.
    pub fn with_store(self, store: Arc<dyn DeviceStore>) -> Self {
        Self { store: Store(Some(store)), ..self }
    }

    /// The same device, which may be programmed with one of these bitstreams. Only an FPGA asks for one.
    pub fn with_targets(self, targets: Targets) -> Self {
        Self { targets, ..self }
    }

    /// Whether it has a place to keep what is learned of it.
    pub fn has_store(&self) -> bool {
        self.store.0.is_some()
    }

    /// What its store has of its known-answer test: nothing if it was never made there. The host has none.
    pub fn kept_answer(&self) -> Option<Result<(), Error>> {
        outcome(self.facts()?, self.store.0.as_deref()?)
    }

    /// Keeps in its store that it failed the known-answer test, for a reason that it could not tell itself, such as a crash of
    /// the process that made the test.
    pub fn condemn(&self, reason: &str) {
        if let (Some(facts), Some(store)) = (self.facts(), self.store.0.as_deref()) {
            condemn(facts, store, reason);
        }
    }

    /// Makes it ready, unless it is the host: it has given the known answers then.
    pub(crate) fn open(&self) -> Result<Option<Arc<Opened>>, Error> {
        self.facts.as_ref().map(|facts| open(facts, self.store.0.as_ref(), &self.targets)).transpose()
    }

    /// The same device limited to `threads` threads per session.
    ///
    /// # Errors
    /// [`Error::ThreadCount`] for zero and for more than [`MAX_THREADS`].
    pub fn with_threads(self, threads: usize) -> Result<Self, Error> {
        if !(1..=MAX_THREADS).contains(&threads) {
            return Err(Error::ThreadCount { found: threads, limit: MAX_THREADS });
        }
        Ok(Self { threads: Some(threads), ..self })
    }

    /// The same device with kernels of `level` instead of the best or the one that `TILEMARK_CPU` names.
    pub fn with_level(self, level: CpuLevel) -> Self {
        Self { level: Some(level), ..self }
    }

    /// The same device with kernels timed for as long as `tuning` says instead of what `TILEMARK_TUNE` says.
    pub fn with_tuning(self, tuning: Tuning) -> Self {
        Self { tuning: Some(tuning), ..self }
    }

    /// The same device with the variant of this name wherever the level has one, and the usual one elsewhere: for tests
    /// and for measuring. [`crate::all_kernels`] lists them.
    pub fn with_variant(self, variant: impl Into<String>) -> Self {
        Self { variant: Some(variant.into()), ..self }
    }

    /// The name by which `--device` finds it.
    pub fn id(&self) -> String {
        self.facts().map_or_else(|| "host".to_owned(), Facts::id)
    }

    /// Its class.
    pub fn kind(&self) -> DeviceKind {
        self.facts().map_or(DeviceKind::Cpu, |facts| facts.kind)
    }

    /// Who provides it: the host itself, or an OpenCL platform.
    pub fn platform(&self) -> String {
        self.facts().map_or_else(|| "host".to_owned(), |facts| facts.platform.clone())
    }

    /// The hardware's own name.
    pub fn name(&self) -> String {
        if let Some(facts) = self.facts() {
            return facts.name.clone();
        }
        let model = |line: &str| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned());
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        cpuinfo.lines().find_map(model).unwrap_or_else(|| format!("{} CPU", std::env::consts::ARCH))
    }

    /// What tells this processor from others, as far as speed goes: name, family, model and stepping where the system
    /// says so, and the levels that it runs.
    pub fn cpu(&self) -> String {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let value =
                |line: &str| Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim().to_owned());
            cpuinfo.lines().find_map(value).unwrap_or_default()
        };
        let x86 = ["vendor_id", "cpu family", "model", "stepping"];
        let arm = ["CPU implementer", "CPU variant", "CPU part", "CPU revision"];
        let known = x86.into_iter().chain(arm).map(field).filter(|value| !value.is_empty());
        let numbers = known.collect::<Vec<_>>().join(" ");
        let levels: Vec<_> =
            CpuLevel::ALL.iter().filter(|level| level.is_supported()).map(|level| level.flavour()).collect();
        format!("{} ({numbers}; {})", self.name(), levels.join(" "))
    }

    /// All that the time of a kernel on it depends on, as text of some ten kilobytes: what was measured under one text says
    /// nothing about another.
    pub fn measured_as(&self) -> String {
        let revision = format!("tilemark {} kernels {TUNING_REVISION}", env!("CARGO_PKG_VERSION"));
        let Some(facts) = self.facts() else {
            let level = self.level().map_or_else(|error| error.to_string(), |level| level.to_string());
            return format!("cpu {}\nlevel {level}\nthreads {}\n{revision}", self.cpu(), self.threads());
        };
        format!("{}\n{revision}", times(facts))
    }

    /// What drives it, with version.
    pub fn driver(&self) -> String {
        if let Some(facts) = self.facts() {
            return format!("{}, driver {}", facts.version, facts.driver);
        }
        let level =
            self.level().map_or_else(|error| error.to_string(), |level| format!("level {}", level.flavour()));
        format!("tilemark {}, {level}", env!("CARGO_PKG_VERSION"))
    }

    /// The device in words.
    pub fn description(&self) -> String {
        if let Some(facts) = self.facts() {
            return format!("{} ({}, {})", facts.id(), facts.name, facts.platform);
        }
        let threads = self.threads();
        let plural = if threads == 1 { "" } else { "s" };
        let level = self.level().map_or_else(|error| error.to_string(), |level| level.flavour().to_owned());
        let cores = available();
        let over =
            if threads > cores { format!(" on {cores}, which the process may use") } else { String::new() };
        format!("host ({}, level {level}, {threads} thread{plural}{over})", self.name())
    }

    /// Why the host uses the level that it uses.
    pub fn level_reason(&self) -> String {
        if self.level.is_some() {
            return "asked for by the program".to_owned();
        }
        if std::env::var_os("TILEMARK_CPU").is_some_and(|word| !word.is_empty()) {
            return "forced by TILEMARK_CPU".to_owned();
        }
        "the best level that this build has kernels for and this CPU runs".to_owned()
    }

    /// Threads of a session: as asked for, else as many as the process's affinity and cgroup quota allow.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(available)
    }

    /// Whether kernels are timed: as asked for, else as `TILEMARK_TUNE` says, else for 150 ms on the host and for up to 10 s on an
    /// OpenCL device, the first time.
    ///
    /// # Errors
    /// [`Error::UnknownTuning`] if that says something else than `off` or milliseconds.
    pub fn tuning(&self) -> Result<Tuning, Error> {
        let usual = if self.facts.is_some() { Tuning::ON_OPENCL } else { Tuning::default() };
        let asked = self.tuning.map_or_else(Tuning::from_environment, |tuning| Ok(Some(tuning)));
        Ok(asked?.unwrap_or(usual))
    }

    pub(crate) fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// The level of the kernels that it will use.
    ///
    /// # Errors
    /// [`Error::UnknownLevel`], [`Error::LevelUnsupported`] or [`Error::LevelNotBuilt`] if a level is forced that
    /// cannot be used.
    pub fn level(&self) -> Result<CpuLevel, Error> {
        match self.level {
            Some(level) => level.usable(),
            None => CpuLevel::from_environment(),
        }
    }
}

/// Threads that affinity and cgroup quota leave to the process.
fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(id: &str) -> Result<Self, Error> {
        match id {
            "auto" => Ok(Self::best()),
            "host" => Ok(Self::host()),
            _ => {
                let devices = Self::named(id, &survey())?;
                let first = devices.first().cloned();
                // One that is named is what was asked for, whatever is wrong with it.
                let best =
                    if devices.len() == 1 { None } else { devices.into_iter().find(|d| d.open().is_ok()) };
                let missing = || Error::NoSuchDevice { found: id.to_owned(), known: "host".to_owned() };
                best.or(first).ok_or_else(missing)
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_found_by_name() {
        assert_eq!("host".parse(), Ok(Device::host()));
        assert_eq!("auto".parse(), Ok(Device::best()));
        assert_eq!("opencl:9".parse::<Device>().unwrap_err().code(), "TM0401");
    }

    #[test]
    fn impossible_thread_counts_are_refused() {
        assert_eq!(Device::host().with_threads(0).unwrap_err().code(), "TM0402");
        assert_eq!(Device::host().with_threads(MAX_THREADS + 1).unwrap_err().code(), "TM0402");
        assert_eq!(Device::host().with_threads(3).map(|device| device.threads()), Ok(3));
        assert!(Device::host().threads() >= 1);
    }

    #[test]
    fn more_threads_than_cores_are_allowed_and_named() {
        let named = |threads| Device::host().with_threads(threads).unwrap().description();
        assert!(named(MAX_THREADS).contains(&format!("{MAX_THREADS} threads on {}", available())));
        assert!(!named(1).contains(" on "), "{}", named(1));
    }
}
