//! A graph compiled for a device: what sessions share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tilemark_model::Graph;

use crate::device::Device;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::host::CpuLevel;
use crate::limits::MAX_PLANS;
use crate::opencl::Opened;
use crate::plan::{PackedWeights, Picker, Plan, Source, tune};
use crate::session::Session;
use crate::tuning::{Tuning, TuningRecord, TuningStore};

/// A graph on a device, with its packed weights and the plans made so far. Cloning shares them.
///
/// ```
/// # fn demo(graph: tilemark_model::Graph, photo: tilemark_model::Tensor) -> Result<(), tilemark_engine::Error> {
/// use tilemark_engine::{Compiled, Device};
///
/// let compiled = Compiled::new(graph, &Device::best())?;
/// let mut session = compiled.session()?;
/// let outputs = session.run(&[photo])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Compiled(Arc<Shared>);

struct Shared {
    graph: Arc<Graph>,
    device: Device,
    level: CpuLevel,
    /// Where it is not the host.
    opened: Option<Arc<Opened>>,
    packed: PackedWeights,
    store: Option<Arc<dyn TuningStore>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Most recently used last.
    plans: Vec<Arc<Plan>>,
    /// What was measured, before and now.
    record: TuningRecord,
    /// Time that timing may still take.
    budget: Duration,
}

impl Compiled {
    /// Prepares `graph` for `device`. Kernels are chosen, by prediction alone, and weights packed with the first plan.
    ///
    /// # Errors
    /// [`Error::UnknownLevel`], [`Error::LevelUnsupported`] or [`Error::LevelNotBuilt`] if a CPU level is forced that
    /// cannot be used.
    pub fn new(graph: impl Into<Arc<Graph>>, device: &Device) -> Result<Self, Error> {
        Self::with(graph.into(), device, device.level()?, None, State::default())
    }

    /// Like [`Compiled::new`], but kernels are chosen by what `store` has of earlier measurements; what it does not have is
    /// timed with the first plan of each shape, and kept. Results are the same whatever is chosen.
    ///
    /// # Errors
    /// Those of [`Compiled::new`], and [`Error::UnknownTuning`] if `TILEMARK_TUNE` cannot be understood.
    pub fn tuned(
        graph: impl Into<Arc<Graph>>,
        device: &Device,
        store: Arc<dyn TuningStore>,
    ) -> Result<Self, Error> {
        let (level, tuning) = (device.level()?, device.tuning()?);
        let mut state = State { budget: tuning.budget(), ..State::default() };
        if tuning != Tuning::Off {
            state.record = Some(store.load()).filter(TuningRecord::is_current).unwrap_or_default();
        }
        Self::with(graph.into(), device, level, Some(store), state)
    }

    fn with(
        graph: Arc<Graph>,
        device: &Device,
        level: CpuLevel,
        store: Option<Arc<dyn TuningStore>>,
        state: State,
    ) -> Result<Self, Error> {
        let (packed, opened, device) = (PackedWeights::default(), device.open()?, device.clone());
        Ok(Self(Arc::new(Shared { graph, device, level, opened, packed, store, state: Mutex::new(state) })))
    }

    /// On an OpenCL device whose known answers are still being asked for.
    pub(crate) fn on(graph: Arc<Graph>, opened: &Arc<Opened>) -> Result<Self, Error> {
        let device = Device::opencl(opened.facts());
        let (level, opened) = (device.level()?, Some(Arc::clone(opened)));
        let (packed, state) = (PackedWeights::default(), Mutex::default());
        Ok(Self(Arc::new(Shared { graph, device, level, opened, packed, store: None, state })))
    }

    /// The graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.0.graph
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    pub(crate) fn opened(&self) -> Option<&Arc<Opened>> {
        self.0.opened.as_ref()
    }

    /// The CPU level of its kernels on the host.
    pub fn level(&self) -> CpuLevel {
        self.0.level
    }

    /// The plan for inputs of these shapes, in the order of the graph's inputs. The last [`MAX_PLANS`] are kept.
    ///
    /// # Errors
    /// [`Error::Model`] if the graph cannot take these shapes, [`Error::TooLarge`] if it would need too much memory.
    pub fn plan(&self, input_shapes: &[Vec<usize>]) -> Result<Arc<Plan>, Error> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(i) = state.plans.iter().position(|plan| plan.input_shapes() == input_shapes) {
            let plan = state.plans.remove(i);
            state.plans.push(Arc::clone(&plan));
            return Ok(plan);
        }
        let mut plan = self.new_plan(&state.record, input_shapes)?;
        if let Some(found) = self.tune(&plan, &mut state) {
            state.record.merge(&found);
            plan = self.new_plan(&state.record, input_shapes)?;
            self.0.packed.drop_unused();
        }
        let plan = Arc::new(plan);
        if state.plans.len() == MAX_PLANS {
            state.plans.remove(0);
        }
        state.plans.push(Arc::clone(&plan));
        Ok(plan)
    }

    fn new_plan(&self, record: &TuningRecord, input_shapes: &[Vec<usize>]) -> Result<Plan, Error> {
        Plan::new(self.source(record), input_shapes.to_vec())
    }

    fn source<'a>(&'a self, record: &'a TuningRecord) -> Source<'a> {
        let Shared { graph, device, level, opened, packed, .. } = &*self.0;
        let picker = Picker { level: *level, threads: device.threads(), variant: device.variant(), record };
        Source { graph, packed, picker, opened: opened.as_ref(), rehearsed: None }
    }

    /// Times what `plan` predicted, if there is time for it and a place to keep it; `None` if nothing was timed.
    fn tune(&self, plan: &Plan, state: &mut State) -> Option<TuningRecord> {
        let store = self.0.store.as_ref()?;
        if !plan.is_untuned() || state.budget.is_zero() || !store.is_writable() {
            return None;
        }
        let start = Instant::now();
        // A failure, of memory mostly, costs the measurement alone: running will tell of it where it matters.
        let found =
            tune(self.source(&state.record), plan, &**store, start + state.budget).unwrap_or_default();
        state.budget = state.budget.saturating_sub(start.elapsed());
        if found.is_empty() {
            return None;
        }
        store.add(&found);
        Some(found)
    }

    /// A session with memory and threads of its own.
    ///
    /// # Errors
    /// [`Error::NoThreads`] or [`Error::OutOfMemory`] if the system has none to give.
    pub fn session(&self) -> Result<Session, Error> {
        Session::new(self.clone())
    }

    /// One-thread sessions for all threads of the device: many requests at once.
    ///
    /// # Errors
    /// Those of [`Compiled::session`].
    pub fn fleet(&self) -> Result<Fleet, Error> {
        Fleet::new(self)
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Compiled({} for {} at level {})", self.0.graph.name, self.0.device, self.0.level)
    }
}
