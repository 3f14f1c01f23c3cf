//! A verified app.

use std::path::Path;
use std::sync::Arc;

use tilemark_bundle::{Bundle, Digest, Manifest, Refused, Trust, Untrusted, Verdict};
use tilemark_engine::{Compiled, Device, survey};
use tilemark_model::{Graph, shape};
use tilemark_pipeline::Pipeline;

use crate::contents;
use crate::devices::DeviceCache;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::golden::{self, Golden, Replay};
use crate::home::Home;
use crate::input::Input;
use crate::session::Session;
use crate::tuning::TuningCache;

/// Opens, verifies and loads a bundle. Keeps the rollback floor of its app in [`Home::from_env`], and there what its sessions
/// measure of kernels.
///
/// # Errors
/// [`Error::Refused`] with the whole verdict if the bundle is not authentic or not trusted; nothing in it was parsed
/// before its signature held. Otherwise what is wrong with its contents.
pub fn open(path: impl AsRef<Path>, trust: &Trust) -> Result<App, Error> {
    open_with(path, trust, &Home::from_env()?)
}

/// [`open`], with the state directory given.
///
/// # Errors
/// Those of [`open`].
pub fn open_with(path: impl AsRef<Path>, trust: &Trust, home: &Home) -> Result<App, Error> {
    let untrusted = Untrusted::from_path(path).map_err(Refused::from).map_err(Error::refused)?;
    let bundle = untrusted.verify_with(trust, &home.floors()?).map_err(Error::refused)?;
    Ok(App::from_bundle(bundle)?.with_tuning(home.tuning()).with_devices(home.devices()))
}

/// An app whose bundle was verified: graph and pipeline loaded and checked, ready to make sessions. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct App {
    parts: Arc<Parts>,
    tuning: Option<TuningCache>,
    devices: Option<DeviceCache>,
}

#[derive(Debug)]
pub(crate) struct Parts {
    bundle: Bundle,
    graph: Arc<Graph>,
    pipeline: Pipeline,
    golden: Vec<Golden>,
}

impl App {
    /// Loads the contents of a verified bundle.
    ///
    /// # Errors
    /// [`Error::Bundle`], [`Error::Model`] or [`Error::Pipeline`] if a blob is missing or invalid, and
    /// [`Error::CeilingExceeded`] if the graph does more than its manifest declares.
    pub fn from_bundle(bundle: Bundle) -> Result<Self, Error> {
        let graph = contents::read_graph(&bundle)?;
        let interface = contents::interface(&graph)?;
        let spec = contents::read_pipeline(&bundle)?;
        let pipeline = Pipeline::new(spec, interface, &contents::read_resources(&bundle))?;
        let golden = golden::read(&bundle)?;
        let parts = Parts { bundle, graph: Arc::new(graph), pipeline, golden };
        let app = Self { parts: Arc::new(parts), tuning: None, devices: None };
        app.check_macs()?;
        Ok(app)
    }

    /// The same app, whose kernels are timed on this machine once and chosen by what `cache` has from then on. Without it, as
    /// for an app that is not opened from a file, they are chosen by prediction. Results are the same.
    #[must_use]
    pub fn with_tuning(self, cache: TuningCache) -> Self {
        Self { tuning: Some(cache), ..self }
    }

    /// The same app, which keeps in `cache` what it learns of OpenCL devices, and takes from there what was learned before.
    /// Without it they are tested, and programs built, by every process.
    #[must_use]
    pub fn with_devices(self, cache: DeviceCache) -> Self {
        Self { devices: Some(cache), ..self }
    }

    /// Compiles the app for a device.
    ///
    /// # Errors
    /// [`Error::Engine`] if the device cannot run it, [`Error::CeilingExceeded`] if it would take more memory than the
    /// manifest declares.
    pub fn session(&self, device: Device) -> Result<Session, Error> {
        self.compile(&device)?.session()
    }

    /// Compiles the app once for many sessions, which share the packed weights.
    ///
    /// # Errors
    /// Those of [`App::session`].
    pub fn compile(&self, device: &Device) -> Result<CompiledApp, Error> {
        let graph = self.parts.graph.clone();
        let device = &self.keeping(device);
        let compiled = match &self.tuning {
            Some(cache) => {
                Compiled::tuned(graph, device, Arc::new(cache.store(self.graph_digest(), device)))?
            }
            None => Compiled::new(graph, device)?,
        };
        let arena = compiled.plan(&shape::declared(&self.parts.graph, 1))?.arena_bytes() as u64;
        self.check_ceiling("bytes of activations", arena, self.manifest().limits.max_arena_bytes)?;
        Ok(CompiledApp { app: self.clone(), compiled })
    }

    /// The best device of this machine that gives the golden vectors' bits: a graphics processor, or else the host. Loads the
    /// drivers of this machine.
    ///
    /// # Errors
    /// Those of [`App::choose_device_of`].
    pub fn choose_device(&self, threads: Option<usize>) -> Result<Choice, Error> {
        self.choose_device_of(Device::gpus(&survey()), threads)
    }

    /// The first of `preferred` that gives the golden vectors' bits, or else the host.
    ///
    /// # Errors
    /// [`Error::GoldenMismatch`] or [`Error::Engine`] of the host, if it does not pass either.
    pub fn choose_device_of(&self, preferred: Vec<Device>, threads: Option<usize>) -> Result<Choice, Error> {
        let mut passed_over = String::new();
        for device in preferred {
            let device = limited(device, threads)?;
            match self.replay(&device).and_then(|replay| replay.check().map(|()| replay)) {
                Ok(replay) => {
                    let why = format!("{}, preferred to the host; {replay}{passed_over}", device.name());
                    return Ok(Choice { device, why });
                }
                Err(error) => passed_over += &format!("; not {}: {error}", device.id()),
            }
        }
        let device = limited(Device::host(), threads)?;
        let replay = self.replay(&device)?;
        replay.check()?;
        let reason = if passed_over.is_empty() { "no graphics processor here" } else { "no other passes" };
        Ok(Choice { device, why: format!("{reason}; {replay}{passed_over}") })
    }

    /// The app's first golden input: something to run it on.
    pub fn sample_input(&self) -> Option<Input> {
        self.parts.golden.first()?.input(&self.parts.bundle).ok()
    }

    /// Replays the golden vectors on a device: the same input must give the recorded bits at every step.
    ///
    /// # Errors
    /// Whatever keeps the app from running there. A difference is not an error but a [`Replay`] that says where.
    pub fn replay(&self, device: &Device) -> Result<Replay, Error> {
        golden::replay(self, device)
    }

    /// The signed manifest.
    pub fn manifest(&self) -> &Manifest {
        self.parts.bundle.manifest()
    }

    /// The bundle's identity: the SHA-256 of its signed manifest.
    pub fn identity(&self) -> Digest {
        self.parts.bundle.identity()
    }

    /// The facts that verification found.
    pub fn verdict(&self) -> &Verdict {
        self.parts.bundle.verdict()
    }

    /// The integer program.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.parts.graph
    }

    /// The declared stages around it.
    pub fn pipeline(&self) -> &Pipeline {
        &self.parts.pipeline
    }

    /// The SHA-256 of the encoded graph, which knows every shape and no weight.
    fn graph_digest(&self) -> Digest {
        let blobs = &self.manifest().blobs;
        let graph = blobs.iter().find(|blob| blob.name == contents::GRAPH);
        graph.map_or(self.identity(), |blob| blob.sha256)
    }

    pub(crate) fn bundle(&self) -> &Bundle {
        &self.parts.bundle
    }

    pub(crate) fn golden(&self) -> &[Golden] {
        &self.parts.golden
    }

    /// The device with the app's cache, unless it has one of its own.
    fn keeping(&self, device: &Device) -> Device {
        match &self.devices {
            Some(cache) if !device.has_store() => cache.keeps(device.clone()),
            _ => device.clone(),
        }
    }

    fn check_macs(&self) -> Result<(), Error> {
        let graph = self.graph();
        let shapes = shape::infer(graph, &shape::declared(graph, 1))?;
        let macs = graph.nodes.iter().map(|node| shape::macs(node, &shapes)).sum();
        self.check_ceiling("multiply-accumulates", macs, self.manifest().limits.max_macs)
    }

    /// A ceiling of 0 declares nothing.
    fn check_ceiling(&self, what: &'static str, found: u64, declared: u64) -> Result<(), Error> {
        if declared != 0 && found > declared {
            return Err(Error::CeilingExceeded { what, found, declared });
        }
        Ok(())
    }
}

fn limited(device: Device, threads: Option<usize>) -> Result<Device, Error> {
    threads.map_or(Ok(device.clone()), |threads| Ok(device.with_threads(threads)?))
}

/// A device chosen for an app.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The device.
    pub device: Device,
    /// Why this one.
    pub why: String,
}

/// An app compiled for one device: packed weights and plans, shared by every session made from it.
#[derive(Clone, Debug)]
pub struct CompiledApp {
    app: App,
    compiled: Compiled,
}

impl CompiledApp {
    /// A session of its own memory and threads.
    ///
    /// # Errors
    /// [`Error::Engine`] if its threads cannot be started.
    pub fn session(&self) -> Result<Session, Error> {
        Ok(Session::new(self.app.clone(), self.compiled.session()?))
    }

    /// One-thread sessions for all threads of the device: many inputs at once.
    ///
    /// # Errors
    /// [`Error::Engine`] if its threads cannot be started.
    pub fn fleet(&self) -> Result<Fleet, Error> {
        Ok(Fleet::new(self.app.clone(), self.compiled.fleet()?))
    }
}
