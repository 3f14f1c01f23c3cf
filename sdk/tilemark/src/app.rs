//! A verified app.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tilemark_bundle::{
    Authentic, Bundle, Digest, Fact, FactKind, Manifest, Refused, Trust, Untrusted, Verdict,
};
use tilemark_engine::{Compiled, Device, Targets};
use tilemark_model::{Graph, Tensor, TensorView, shape};
use tilemark_pipeline::{Parameter, Pipeline, Value};

use crate::batch;
use crate::contents::{self, AppModel};
use crate::devices::DeviceCache;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::golden::{self, Golden, Replay};
use crate::home::Home;
use crate::input::Input;
use crate::license::License;
use crate::revocations;
use crate::session::Session;
use crate::targets;
use crate::tuning::TuningCache;

/// Opens, verifies and loads a bundle. Keeps the rollback floor of its app in [`Home::from_env`], and there what its sessions
/// measure of kernels.
///
/// ```no_run
/// use tilemark::{Error, Trust};
///
/// # fn main() -> Result<(), Error> {
/// match tilemark::open("tagger.tmk", &Trust::from_file("vendor.pub")?) {
///     Ok(app) => println!("{} {}", app.manifest().app.name, app.manifest().app.version),
///     // A stable code for programs, and what was found and what to do for people.
///     Err(error) => eprintln!("{}: {error}; {}", error.code(), error.hint()),
/// }
/// # Ok(())
/// # }
/// ```
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
    App::load(verify_with(path, trust, home)?, trust, home).map_err(|denied| denied.0)
}

/// Verifies a bundle and loads nothing of it. One that needs a grant is locked: [`App::load`] looks for the grant.
///
/// # Errors
/// [`Error::Refused`] with the whole verdict.
pub fn verify_with(path: impl AsRef<Path>, trust: &Trust, home: &Home) -> Result<Bundle, Error> {
    let untrusted = Untrusted::from_path(path).map_err(Refused::from).map_err(Error::refused)?;
    let floors = home.floors()?;
    let trust = home.lineages().apply(trust)?;
    let lists = home.revocations().all(&trust)?;
    let known = lists.iter().fold(trust, Trust::without);
    let mut bundle = untrusted.authenticate(&known).map_err(Error::refused)?;
    let publisher = bundle.manifest().app.name.publisher().to_owned();
    if let Some(list) = lists.iter().find(|list| list.list().publisher == publisher) {
        let judged = revocations::judge(&bundle, list, &floors);
        let fresh = revocations::describe(list, home.clock().now());
        bundle.verdict_mut().set(FactKind::Fresh, true, fresh);
        match judged {
            Ok(Some(Fact { fact, holds, evidence })) => bundle.verdict_mut().set(fact, holds, evidence),
            Ok(None) => {}
            Err(error) => {
                bundle.verdict_mut().set(FactKind::NotRevoked, false, error.to_string());
                return Err(Error::refused(Refused::new(error, bundle.verdict().clone())));
            }
        }
    }
    bundle.check_floor(&floors).and_then(Authentic::hash_blobs).map_err(Error::refused)
}

/// An app whose bundle was verified: graph and pipeline loaded and checked, ready to make sessions. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct App {
    parts: Arc<Parts>,
    /// The pipeline with what was set.
    pipeline: Arc<Pipeline>,
    tuning: Option<TuningCache>,
    license: Option<Arc<License>>,
    devices: Option<DeviceCache>,
}

#[derive(Debug)]
pub(crate) struct Parts {
    bundle: Bundle,
    /// At least one, in the order in which the steps use them.
    models: Vec<AppModel>,
    /// The pipeline as the vendor has it: every parameter at its default. Golden vectors are of this one.
    pipeline: Arc<Pipeline>,
    golden: Vec<Golden>,
    targets: Targets,
}

impl App {
    /// Loads a verified bundle for use on this machine. If its terms ask for a grant, the best one that is installed in
    /// `home` unlocks it; from then on every inference counts.
    ///
    /// # Errors
    /// With what verification found so far: [`Error::Unlicensed`], or [`Error::Bundle`] for a grant that is of no use here;
    /// those of [`App::from_bundle`].
    pub fn load(mut bundle: Bundle, trust: &Trust, home: &Home) -> Result<Self, Box<(Error, Verdict)>> {
        if !bundle.is_locked() {
            let verdict = bundle.verdict().clone();
            let app = Self::from_bundle(bundle).map_err(|error| Box::new((error, verdict)))?;
            return Ok(app.with_tuning(home.tuning()).with_devices(home.devices()));
        }
        let trust = match home.lineages().apply(trust) {
            Ok(trust) => trust,
            Err(error) => return Err(Box::new((error, bundle.verdict().clone()))),
        };
        let entitled = home.licenses().entitle(&mut bundle, &trust);
        let mut verdict = bundle.verdict().clone();
        let (license, key) = match entitled {
            Ok(found) => found,
            Err(error) => return Err(Box::new((error, verdict))),
        };
        match bundle.unlock(&key) {
            Ok(bundle) => {
                let app = Self::from_bundle(bundle).map_err(|error| Box::new((error, verdict)))?;
                let app = app.with_tuning(home.tuning()).with_devices(home.devices());
                Ok(Self { license: Some(Arc::new(license)), ..app })
            }
            Err(error) => {
                verdict.set(FactKind::PlaintextIntact, false, error.to_string());
                Err(Box::new((error.into(), verdict)))
            }
        }
    }

    /// Loads the contents of a verified bundle that needs no grant, or was unlocked.
    ///
    /// # Errors
    /// [`Error::Bundle`], [`Error::Model`] or [`Error::Pipeline`] if a blob is missing or invalid, and
    /// [`Error::CeilingExceeded`] if the graph does more than its manifest declares.
    pub fn from_bundle(bundle: Bundle) -> Result<Self, Error> {
        let spec = contents::read_pipeline(&bundle)?;
        let models = contents::read_models(&bundle, &spec)?;
        let interfaces = contents::interfaces(&models)?;
        let pipeline = Pipeline::new(spec, interfaces, &contents::read_resources(&bundle))?;
        let golden = golden::read(&bundle)?;
        let targets = targets::read(&bundle)?;
        let mut bundle = bundle;
        if let Some(evidence) = describe_parameters(&pipeline) {
            bundle.verdict_mut().set(FactKind::ParametersSigned, true, evidence);
        }
        let pipeline = Arc::new(pipeline);
        let parts = Parts { bundle, models, pipeline: pipeline.clone(), golden, targets };
        let app = Self { parts: Arc::new(parts), pipeline, tuning: None, devices: None, license: None };
        app.check_macs()?;
        Ok(app)
    }

    /// The same app with one of its parameters set: a threshold, the labels asked for, a region. `value` is of the parameter's
    /// type, or text that spells it.
    ///
    /// ```no_run
    /// # fn set(app: tilemark::App) -> Result<(), tilemark::Error> {
    /// let app = app.with_parameter("threshold", 0.4)?.with_parameter("classes", "cat; dog")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Pipeline`] if the vendor did not declare it, or it is out of the range that the vendor signed.
    pub fn with_parameter(self, name: &str, value: impl Into<Value>) -> Result<Self, Error> {
        let values = BTreeMap::from([(name.to_owned(), value.into())]);
        Ok(Self { pipeline: Arc::new(self.pipeline.with(&values)?), ..self })
    }

    /// The same app, whose kernels are timed on this machine once and chosen by what `cache` has from then on. Without it, as
    /// for an app that is not opened from a file, they are chosen by prediction. Results are the same.
    #[must_use]
    pub fn with_tuning(self, cache: TuningCache) -> Self {
        Self { tuning: Some(cache), ..self }
    }

    /// The same app, which tells `listener` how far the timing of kernels is; see [`TuningCache::with_listener`].
    #[must_use]
    pub fn with_tuning_listener(self, listener: impl Fn(usize, usize) + Send + Sync + 'static) -> Self {
        Self { tuning: self.tuning.map(|cache| cache.with_listener(listener)), ..self }
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
    /// ```no_run
    /// use tilemark::{App, Device, Error, Input};
    ///
    /// # fn serve(app: &App) -> Result<(), Error> {
    /// let compiled = app.compile(&Device::host().with_threads(1)?)?;
    /// let threads = ["a.jpg", "b.jpg"].map(|path| {
    ///     let compiled = compiled.clone();
    ///     std::thread::spawn(move || compiled.session()?.run(Input::image(path)?))
    /// });
    /// for thread in threads {
    ///     let output = thread.join().expect("the thread did not panic")?;
    ///     println!("{:?}", output.labels());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`App::session`].
    pub fn compile(&self, device: &Device) -> Result<CompiledApp, Error> {
        self.check_target(device)?;
        let device = &self.keeping(device);
        let compiled = self
            .parts
            .models
            .iter()
            .map(|model| self.compile_model(model, device))
            .collect::<Result<Vec<_>, _>>()?;
        let mut arena = 0;
        for (model, compiled) in self.parts.models.iter().zip(&compiled) {
            arena += compiled.plan(&shape::declared(&model.graph, 1))?.arena_bytes() as u64;
        }
        self.check_ceiling("bytes of activations", arena, self.manifest().limits.max_arena_bytes)?;
        Ok(CompiledApp { app: self.clone(), compiled })
    }

    fn compile_model(&self, model: &AppModel, device: &Device) -> Result<Compiled, Error> {
        let graph = model.graph.clone();
        Ok(match &self.tuning {
            Some(cache) => {
                let digest = self.graph_digest(&model.name);
                Compiled::tuned(graph, device, Arc::new(cache.store(digest, device)))?
            }
            None => Compiled::new(graph, device)?,
        })
    }

    /// The app's first golden input: something to run it on.
    pub fn sample_input(&self) -> Option<Input> {
        self.parts.golden.first()?.input(&self.parts.bundle).ok()
    }

    /// Replays the golden vectors on a device: the same input must give the recorded bits at every step.
    ///
    /// ```no_run
    /// # fn prove(app: &tilemark::App) -> Result<(), tilemark::Error> {
    /// let replay = app.replay(&tilemark::Device::host())?;
    /// replay.check()?; // an error where a bit differs, or nothing was recorded
    /// println!("{replay}");
    /// # Ok(())
    /// # }
    /// ```
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

    /// The grant that it runs under; `None` where its terms ask for none.
    pub fn license(&self) -> Option<&License> {
        self.license.as_deref()
    }

    /// The integer program: of several, that of the first step.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.parts.models[0].graph // a pipeline has at least one step, and a step has a model
    }

    /// All of them by name, in the order in which the steps use them. The model of an app without steps is named `model`.
    pub fn models(&self) -> impl ExactSizeIterator<Item = (&str, &Arc<Graph>)> {
        self.parts.models.iter().map(|model| (model.name.as_str(), &model.graph))
    }

    /// The declared stages around it, and the parameters with what they are set to.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The SHA-256 of a model's encoded graph, which knows every shape and no weight.
    pub(crate) fn graph_digest(&self, model: &str) -> Digest {
        let (blobs, name) = (&self.manifest().blobs, contents::blob_of(contents::GRAPH, model));
        let graph = blobs.iter().find(|blob| blob.name == name);
        graph.map_or(self.identity(), |blob| blob.sha256)
    }

    /// The same app for replays of golden vectors, which show nothing that is not in the bundle already: they do not count, and
    /// nothing is set.
    pub(crate) fn unmetered(&self) -> Self {
        Self { license: None, pipeline: self.parts.pipeline.clone(), ..self.clone() }
    }

    /// Counts the inferences that a run on these inputs of the first model makes, one for each row of a batch, or refuses them.
    /// All models of an app together make one inference.
    pub(crate) fn admit(&self, inputs: &[Tensor]) -> Result<(), Error> {
        self.admit_first(inputs.first().map(Tensor::view))
    }

    fn admit_first(&self, first: Option<TensorView<'_>>) -> Result<(), Error> {
        let Some(license) = &self.license else { return Ok(()) };
        let rows = first.and_then(|input| input.shape().first().copied()).unwrap_or(1);
        let batch = rows > 1 && batch::is_dynamic(self.graph());
        license.take(if batch { rows } else { 1 })
    }

    /// The same for a run whose caller gets the model's own tensors.
    pub(crate) fn admit_raw(&self, first: Option<TensorView<'_>>) -> Result<(), Error> {
        self.license.iter().try_for_each(|license| license.check_output("the model's tensors"))?;
        self.admit_first(first)
    }

    /// The bitstreams that it ships for FPGAs.
    pub(crate) fn targets(&self) -> &Targets {
        &self.parts.targets
    }

    pub(crate) fn bundle(&self) -> &Bundle {
        &self.parts.bundle
    }

    pub(crate) fn tuning(&self) -> Option<&TuningCache> {
        self.tuning.as_ref()
    }

    pub(crate) fn golden(&self) -> &[Golden] {
        &self.parts.golden
    }

    /// The device with the app's bitstreams, and with its cache unless it has one of its own.
    fn keeping(&self, device: &Device) -> Device {
        let device = device.clone().with_targets(self.targets().clone());
        match &self.devices {
            Some(cache) if !device.has_store() => cache.keeps(device),
            _ => device,
        }
    }

    fn check_macs(&self) -> Result<(), Error> {
        let mut macs = 0;
        for (_, graph) in self.models() {
            let shapes = shape::infer(graph, &shape::declared(graph, 1))?;
            macs += graph.nodes.iter().map(|node| shape::macs(node, &shapes)).sum::<u64>();
        }
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

/// What an integrator may set, for the verdict; nothing where there is nothing.
fn describe_parameters(pipeline: &Pipeline) -> Option<String> {
    let one = |(name, parameter): (&String, &Parameter)| {
        format!("{name}: {}, {} by default", parameter.allowed(), parameter.default())
    };
    let all: Vec<String> = pipeline.parameters().iter().map(one).collect();
    (!all.is_empty()).then(|| all.join(". "))
}

/// An app compiled for one device: packed weights and plans, shared by every session made from it.
#[derive(Clone, Debug)]
pub struct CompiledApp {
    app: App,
    /// One for each of the app's models.
    compiled: Vec<Compiled>,
}

impl CompiledApp {
    /// A session of its own memory and threads.
    ///
    /// # Errors
    /// [`Error::Engine`] if its threads cannot be started.
    pub fn session(&self) -> Result<Session, Error> {
        let engines = self.compiled.iter().map(Compiled::session).collect::<Result<Vec<_>, _>>()?;
        Ok(Session::new(self.app.clone(), engines))
    }

    /// One-thread sessions for all threads of the device: many inputs at once. For apps of one step.
    ///
    /// # Errors
    /// [`Error::Engine`] if its threads cannot be started, [`Error::Pipeline`] for an app of several steps.
    pub fn fleet(&self) -> Result<Fleet, Error> {
        self.app.pipeline().check_single()?;
        Ok(Fleet::new(self.app.clone(), self.compiled[0].fleet()?)) // as many as models
    }
}
