//! A graph compiled for a device: what sessions share.

use std::sync::{Arc, Mutex, PoisonError};

use tilemark_model::Graph;

use crate::device::Device;
use crate::error::Error;
use crate::host::CpuLevel;
use crate::limits::MAX_PLANS;
use crate::plan::{PackedWeights, Plan, Source};
use crate::session::Session;

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
    packed: PackedWeights,
    /// Most recently used last.
    plans: Mutex<Vec<Arc<Plan>>>,
}

impl Compiled {
    /// Prepares `graph` for `device`. Kernels are chosen and weights packed with the first plan.
    ///
    /// # Errors
    /// [`Error::UnknownLevel`], [`Error::LevelUnsupported`] or [`Error::LevelNotBuilt`] if a CPU level is forced that
    /// cannot be used.
    pub fn new(graph: impl Into<Arc<Graph>>, device: &Device) -> Result<Self, Error> {
        let level = device.level()?;
        let (graph, device) = (graph.into(), device.clone());
        Ok(Self(Arc::new(Shared {
            graph,
            device,
            level,
            packed: PackedWeights::default(),
            plans: Mutex::default(),
        })))
    }

    /// The graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.0.graph
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The CPU level of its kernels.
    pub fn level(&self) -> CpuLevel {
        self.0.level
    }

    /// The plan for inputs of these shapes, in the order of the graph's inputs. The last [`MAX_PLANS`] are kept.
    ///
    /// # Errors
    /// [`Error::Model`] if the graph cannot take these shapes, [`Error::TooLarge`] if it would need too much memory.
    pub fn plan(&self, input_shapes: &[Vec<usize>]) -> Result<Arc<Plan>, Error> {
        let mut plans = self.0.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(i) = plans.iter().position(|plan| plan.input_shapes() == input_shapes) {
            let plan = plans.remove(i);
            plans.push(Arc::clone(&plan));
            return Ok(plan);
        }
        let Shared { graph, level, packed, .. } = &*self.0;
        let source = Source { graph, packed, level: *level };
        let plan = Arc::new(Plan::new(source, input_shapes.to_vec())?);
        if plans.len() == MAX_PLANS {
            plans.remove(0);
        }
        plans.push(Arc::clone(&plan));
        Ok(plan)
    }

    /// A session with memory and threads of its own.
    ///
    /// # Errors
    /// [`Error::NoThreads`] or [`Error::OutOfMemory`] if the system has none to give.
    pub fn session(&self) -> Result<Session, Error> {
        Session::new(self.clone())
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Compiled({} for {} at level {})", self.0.graph.name, self.0.device, self.0.level)
    }
}
