//! Sessions: a compiled graph with buffers and threads, ready to run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tilemark_model::{Tensor, ValueId};

use crate::compiled::Compiled;
use crate::error::Error;
use crate::host::executor::Executor;
use crate::host::memory::Memory;
use crate::plan::Plan;

/// Runs one inference at a time. Make one per thread that runs; they share their weights.
pub struct Session {
    compiled: Compiled,
    executor: Executor,
    memory: Memory,
    plan: Option<Arc<Plan>>,
}

impl Session {
    pub(crate) fn new(compiled: Compiled) -> Result<Self, Error> {
        let executor = Executor::new(compiled.device().threads())?;
        Ok(Self { compiled, executor, memory: Memory::new(0)?, plan: None })
    }

    /// What it runs.
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// The plan of the last run or preparation.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_deref()
    }

    /// Plans and allocates for inputs of these shapes, so that the first run does not have to.
    ///
    /// # Errors
    /// Those of [`Compiled::plan`], and [`Error::OutOfMemory`].
    pub fn prepare(&mut self, input_shapes: &[Vec<usize>]) -> Result<Arc<Plan>, Error> {
        let plan = self.compiled.plan(input_shapes)?;
        self.adopt(&plan)?;
        Ok(plan)
    }

    /// Runs one inference on `inputs`, in the order of the graph's inputs, each of the type that the graph holds or the
    /// one that the model declares. New shapes are planned for on the way. The outputs are as the graph holds them:
    /// integers where the model quantizes ([`tilemark_model::Graph::declared`] turns them into the declared types).
    ///
    /// # Errors
    /// [`Error::Model`] if the inputs do not fit; those of [`Session::prepare`].
    pub fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        let plan = self.load(inputs)?;
        self.executor.run(&plan, 0..plan.all_steps().len(), &mut self.memory)?;
        self.finish(&plan, |_, _| ())
    }

    /// Like [`Session::run`], and shows `observe` every value that exists in memory, inputs first, as soon as it is
    /// computed. Values that fusion removed are not among them; the plan's steps name those nodes.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub fn run_observed(
        &mut self,
        inputs: &[Tensor],
        mut observe: impl FnMut(ValueId, &Tensor),
    ) -> Result<Vec<Tensor>, Error> {
        let plan = self.load(inputs)?;
        let graph = Arc::clone(self.compiled.graph());
        for port in &graph.inputs {
            observe(port.value, &self.read(&plan, port.value)?);
        }
        for (i, step) in plan.all_steps().iter().enumerate() {
            self.executor.run(&plan, i..i + 1, &mut self.memory)?;
            observe(step.value, &self.read(&plan, step.value)?);
        }
        self.finish(&plan, observe)
    }

    /// Like [`Session::run`], and says how long each step of [`Session::plan`] took. Steps run one by one, so their sum is
    /// a little more than a run takes.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub fn run_timed(&mut self, inputs: &[Tensor]) -> Result<(Vec<Tensor>, Vec<Duration>), Error> {
        let plan = self.load(inputs)?;
        let mut times = Vec::with_capacity(plan.all_steps().len());
        for i in 0..plan.all_steps().len() {
            let start = Instant::now();
            self.executor.run(&plan, i..i + 1, &mut self.memory)?;
            times.push(start.elapsed());
        }
        let mut start = Instant::now();
        let outputs = self.finish(&plan, |_, _| {
            times.push(start.elapsed());
            start = Instant::now();
        })?;
        Ok((outputs, times))
    }

    /// Makes the plan and memory for the inputs' shapes current, and stores the inputs.
    fn load(&mut self, inputs: &[Tensor]) -> Result<Arc<Plan>, Error> {
        let current = self.plan.as_ref().filter(|plan| {
            let shapes = plan.input_shapes();
            shapes.len() == inputs.len() && shapes.iter().zip(inputs).all(|(shape, t)| shape == t.shape())
        });
        let plan = match current {
            Some(plan) => Arc::clone(plan),
            None => self.prepare(&inputs.iter().map(|tensor| tensor.shape().to_vec()).collect::<Vec<_>>())?,
        };
        let graph = self.compiled.graph();
        for (port, tensor) in graph.inputs.iter().zip(inputs) {
            let missing = || Error::internal(&port.name, "has no place in memory");
            let slot = plan.slot(port.value).ok_or_else(missing)?;
            let bytes = self.memory.slice_mut(slot.range());
            if tensor.dtype() == slot.layout.dtype {
                slot.layout.store(tensor, bytes, slot.fill)?;
            } else {
                slot.layout.store(&graph.accept(port, tensor.clone())?, bytes, slot.fill)?;
            }
        }
        Ok(plan)
    }

    fn adopt(&mut self, plan: &Arc<Plan>) -> Result<(), Error> {
        if self.memory.len() < plan.arena_bytes() {
            self.memory = Memory::new(plan.arena_bytes())?;
        }
        self.executor.prepare(plan)?;
        self.plan = Some(Arc::clone(plan));
        Ok(())
    }

    /// Runs the host tail, shows `observe` what it writes, and collects the outputs.
    fn finish(&mut self, plan: &Plan, observe: impl FnMut(ValueId, &Tensor)) -> Result<Vec<Tensor>, Error> {
        let graph = Arc::clone(self.compiled.graph());
        let late = plan.tail().run(&graph, plan.shapes(), |value| self.read(plan, value), observe)?;
        let output = |value: ValueId| match late.get(&value) {
            Some(tensor) => Ok(tensor.clone()),
            None => self.read(plan, value),
        };
        graph.outputs.iter().map(|port| port.value).map(output).collect()
    }

    fn read(&mut self, plan: &Plan, value: ValueId) -> Result<Tensor, Error> {
        let graph = self.compiled.graph();
        let missing = || Error::internal(&graph.value(value).name, "was never computed");
        match plan.slot(value) {
            Some(slot) => slot.layout.load(self.memory.slice_mut(slot.range())),
            None => plan.shapes().known(value).cloned().or_else(|| graph.constant(value)).ok_or_else(missing),
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("compiled", &self.compiled)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
