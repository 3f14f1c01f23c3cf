//! Sessions: a compiled graph with buffers and threads, ready to run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tilemark_model::{Data, Tensor, TensorView, ValueId};

use crate::compiled::Compiled;
use crate::error::Error;
use crate::host::executor::Executor;
use crate::host::memory::Memory;
use crate::host::ports;
use crate::host::vectorize::Vectorizer;
use crate::opencl::Part;
use crate::plan::{Leg, Plan};

/// The inputs of a run, in order.
trait Views<'a>: ExactSizeIterator<Item = TensorView<'a>> + Clone {}

impl<'a, T: ExactSizeIterator<Item = TensorView<'a>> + Clone> Views<'a> for T {}

/// Runs one inference at a time. Make one per thread that runs; they share their weights.
pub struct Session {
    compiled: Compiled,
    executor: Executor,
    memory: Memory,
    plan: Option<Arc<Plan>>,
    /// What the plan has on an OpenCL device. None after a fault: the next run makes it anew.
    remote: Option<Part>,
}

impl Session {
    pub(crate) fn new(compiled: Compiled) -> Result<Self, Error> {
        let threads = compiled.device().threads();
        Self::with_threads(compiled, threads)
    }

    /// A session with another number of threads than the device's.
    pub(crate) fn with_threads(compiled: Compiled, threads: usize) -> Result<Self, Error> {
        let executor = Executor::new(threads)?;
        Ok(Self { compiled, executor, memory: Memory::new(0)?, plan: None, remote: None })
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
        let mut outputs = Vec::new();
        self.run_into(inputs, &mut outputs)?;
        Ok(outputs)
    }

    /// Like [`Session::run`], into the memory of earlier outputs: `outputs` may hold anything before, and holds the
    /// graph's outputs afterwards. From the second run with the same shapes and the same `outputs` on, nothing is
    /// allocated, unless a step runs on the reference interpreter or an output is of a type without arithmetic
    /// (neither an 8-bit nor an `i32`, `i64` or `f32` tensor).
    ///
    /// ```
    /// # fn demo(mut session: tilemark_engine::Session, frames: Vec<tilemark_model::Tensor>) -> Result<(), tilemark_engine::Error> {
    /// let mut outputs = Vec::new();
    /// for frame in &frames {
    ///     session.run_into(std::slice::from_ref(frame), &mut outputs)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Session::run`]; `outputs` are of no use then.
    pub fn run_into(&mut self, inputs: &[Tensor], outputs: &mut Vec<Tensor>) -> Result<(), Error> {
        self.run_all(inputs.iter().map(Tensor::view), outputs)
    }

    /// Like [`Session::run_into`], on inputs that lie in somebody else's memory: they are quantized and laid out on their way
    /// into this session's, and copied nowhere else.
    ///
    /// # Errors
    /// Those of [`Session::run_into`].
    pub fn run_views(&mut self, inputs: &[TensorView<'_>], outputs: &mut Vec<Tensor>) -> Result<(), Error> {
        self.run_all(inputs.iter().copied(), outputs)
    }

    fn run_all<'a>(&mut self, inputs: impl Views<'a>, outputs: &mut Vec<Tensor>) -> Result<(), Error> {
        let plan = self.plan_for(inputs.clone())?;
        for pass in 0..plan.passes() {
            self.load(&plan, pass, inputs.clone())?;
            self.steps(&plan)?;
            self.finish(&plan, pass, outputs, |_, _| ())?;
        }
        Ok(())
    }

    /// Runs one inference after another, as [`Session::run`] does. While a device with memory of its own computes one, the inputs
    /// of the next are stored and sent to it.
    ///
    /// # Errors
    /// Those of [`Session::run`] for the first request that has one.
    pub fn run_many(&mut self, requests: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, Error> {
        let shapes = |request: &[Tensor]| -> Vec<Vec<usize>> {
            request.iter().map(|tensor| tensor.shape().to_vec()).collect()
        };
        let are_alike =
            requests.len() > 1 && requests.windows(2).all(|pair| shapes(&pair[0]) == shapes(&pair[1]));
        // Where memory is the host's, the way round by the device's queue costs what it spares: of BlazeFace, MobileNetV2 and
        // selfie segmentation each run took 1.04, 1.22 and 1.04 times as long on PoCL, and 0.95, 1.00 and 1.04 on Intel's driver.
        let has_own_memory = self.compiled.opened().is_some_and(|opened| opened.facts().has_own_memory);
        if let Some(first) = requests.first().filter(|_| are_alike && has_own_memory) {
            let plan = self.plan_for(first.iter().map(Tensor::view))?;
            if plan.streams() {
                self.attach(&plan, false)?;
                let run = self.stream(&plan, requests);
                return self.settle(run);
            }
        }
        requests.iter().map(|request| self.run(request)).collect()
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
        let plan = self.plan_for(inputs.iter().map(Tensor::view))?;
        let graph = Arc::clone(self.compiled.graph());
        let mut outputs = Vec::new();
        let mut seen = Seen::default();
        for pass in 0..plan.passes() {
            self.load(&plan, pass, inputs.iter().map(Tensor::view))?;
            for port in &graph.inputs {
                seen.see(self, &plan, pass, port.value, &mut observe)?;
            }
            self.each_step(&plan, false, |session, i, _| {
                let step = &plan.all_steps()[i];
                if let (Some(remote), false) = (&session.remote, !step.is_on_device()) {
                    remote.download(&mut session.memory, step.value, &step.output)?;
                }
                seen.see(session, &plan, pass, step.value, &mut observe)
            })?;
            self.finish(&plan, pass, &mut outputs, &mut observe)?;
        }
        Ok(outputs)
    }

    /// Like [`Session::run`], and says how long each step of [`Session::plan`] took, with the copies before it and, for the
    /// last one, after it. Steps run one by one, so their sum is a little more than a run takes.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub fn run_timed(&mut self, inputs: &[Tensor]) -> Result<(Vec<Tensor>, Vec<Duration>), Error> {
        let plan = self.plan_for(inputs.iter().map(Tensor::view))?;
        let mut times: Vec<Duration> = vec![Duration::ZERO; plan.all_steps().len()];
        let mut outputs = Vec::new();
        for pass in 0..plan.passes() {
            self.load(&plan, pass, inputs.iter().map(Tensor::view))?;
            let copying = self.each_step(&plan, true, |_, i, time| {
                times[i] += time;
                Ok(())
            })?;
            times.last_mut().into_iter().for_each(|last| *last += copying);
            let mut start = Instant::now();
            self.finish(&plan, pass, &mut outputs, |_, _| {
                times.push(start.elapsed());
                start = Instant::now();
            })?;
        }
        Ok((outputs, times))
    }

    /// Runs all steps, on the device what runs there.
    fn steps(&mut self, plan: &Arc<Plan>) -> Result<(), Error> {
        if plan.route().is_empty() {
            return self.executor.run(plan, 0..plan.all_steps().len(), &mut self.memory);
        }
        self.attach(plan, false)?;
        let run = self.legs(plan);
        self.settle(run)
    }

    fn legs(&mut self, plan: &Plan) -> Result<(), Error> {
        let detached = || Error::internal("a session", "has nothing on its device");
        let remote = self.remote.as_ref().ok_or_else(detached)?;
        for leg in plan.route() {
            match leg {
                Leg::Upload(value, slot) => remote.upload(&mut self.memory, *value, slot)?,
                Leg::Download(value, slot) => remote.download(&mut self.memory, *value, slot)?,
                Leg::Device(steps) => remote.launch(steps.clone())?,
                Leg::Host(steps) => {
                    remote.finish()?; // uploads may still read what these steps overwrite
                    self.executor.run(plan, steps.clone(), &mut self.memory)?;
                }
            }
        }
        remote.finish()
    }

    /// Runs whose inputs are sent while the run before computes.
    fn stream(&mut self, plan: &Arc<Plan>, requests: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, Error> {
        let detached = || Error::internal("a session", "has nothing on its device");
        let mut answers = Vec::with_capacity(requests.len());
        let mut next = requests.iter();
        self.send(plan, next.next())?;
        while answers.len() < requests.len() {
            let remote = self.remote.as_mut().ok_or_else(detached)?;
            remote.place()?;
            for leg in plan.route() {
                if let Leg::Device(steps) = leg {
                    remote.launch(steps.clone())?;
                }
            }
            self.send(plan, next.next())?;
            let remote = self.remote.as_ref().ok_or_else(detached)?;
            for leg in plan.route() {
                if let Leg::Download(value, slot) = leg {
                    remote.download(&mut self.memory, *value, slot)?;
                }
            }
            remote.finish()?; // an answer may need no copy
            let mut outputs = Vec::new();
            self.finish(plan, 0, &mut outputs, |_, _| ())?;
            answers.push(outputs);
        }
        Ok(answers)
    }

    /// Stores a request and sends it to the device, if there is one.
    fn send(&mut self, plan: &Plan, request: Option<&Vec<Tensor>>) -> Result<(), Error> {
        let (Some(request), Some(remote)) = (request, &mut self.remote) else { return Ok(()) };
        let graph = self.compiled.graph();
        let missing = || Error::internal("an input", "has no place in memory");
        let slots = graph.inputs.iter().map(|port| plan.slot(port.value).cloned());
        let slots: Vec<_> = slots.collect::<Option<_>>().ok_or_else(missing)?;
        let vectorizer = Vectorizer::new(self.compiled.level());
        remote.send(&slots, |i, slot, bytes| {
            ports::store(graph, &graph.inputs[i], request[i].view(), slot, bytes, vectorizer)
        })
    }

    /// Runs step by step, each with the copies before it. Tells `visit` of the steps in order and of their times; returns that of
    /// the copies at the end.
    fn each_step(
        &mut self,
        plan: &Arc<Plan>,
        timed: bool,
        mut visit: impl FnMut(&mut Self, usize, Duration) -> Result<(), Error>,
    ) -> Result<Duration, Error> {
        if plan.route().is_empty() {
            for i in 0..plan.all_steps().len() {
                let start = Instant::now();
                self.executor.run(plan, i..i + 1, &mut self.memory)?;
                visit(self, i, start.elapsed())?;
            }
            return Ok(Duration::ZERO);
        }
        self.attach(plan, timed)?;
        let run = self.each_leg(plan, visit);
        self.settle(run)
    }

    fn each_leg(
        &mut self,
        plan: &Plan,
        mut visit: impl FnMut(&mut Self, usize, Duration) -> Result<(), Error>,
    ) -> Result<Duration, Error> {
        let detached = || Error::internal("a session", "has nothing on its device");
        let mut copying = Duration::ZERO;
        for leg in plan.route() {
            let remote = self.remote.as_ref().ok_or_else(detached)?;
            let start = Instant::now();
            let (steps, on_device) = match leg {
                Leg::Upload(value, slot) => {
                    remote.upload(&mut self.memory, *value, slot)?;
                    remote.finish()?;
                    copying += start.elapsed();
                    continue;
                }
                Leg::Download(value, slot) => {
                    remote.download(&mut self.memory, *value, slot)?;
                    copying += start.elapsed();
                    continue;
                }
                Leg::Device(steps) => (steps, true),
                Leg::Host(steps) => (steps, false),
            };
            for i in steps.clone() {
                let time = self.one_step(plan, i, on_device)?;
                visit(self, i, time + std::mem::take(&mut copying))?;
            }
        }
        Ok(copying)
    }

    fn one_step(&mut self, plan: &Plan, i: usize, on_device: bool) -> Result<Duration, Error> {
        let start = Instant::now();
        match (&self.remote, on_device) {
            (Some(remote), true) if remote.is_timed() => return remote.time(i),
            (Some(remote), true) => remote.launch(i..i + 1)?,
            _ => self.executor.run(plan, i..i + 1, &mut self.memory)?,
        }
        Ok(start.elapsed())
    }

    /// Makes what the plan needs on the device, unless it is there.
    fn attach(&mut self, plan: &Plan, timed: bool) -> Result<(), Error> {
        if self.remote.as_ref().is_some_and(|remote| remote.is_timed() == timed) {
            return Ok(());
        }
        self.remote = None; // first give back what was taken
        let detached = || Error::internal("a session", "has no device");
        let compiled = self.compiled.clone();
        self.remote = Some(Part::new(compiled.opened().ok_or_else(detached)?, plan, timed)?);
        Ok(())
    }

    /// After a fault nothing of the session stays on the device.
    fn settle<T>(&mut self, run: Result<T, Error>) -> Result<T, Error> {
        if run.is_err()
            && let Some(remote) = self.remote.take()
        {
            let _ = remote.finish(); // copies may still be under way; the fault is told already
        }
        run
    }

    /// Makes the plan and memory for the inputs' shapes current.
    fn plan_for<'a>(&mut self, inputs: impl Views<'a>) -> Result<Arc<Plan>, Error> {
        let current = self.plan.as_ref().filter(|plan| {
            let shapes = plan.input_shapes();
            shapes.len() == inputs.len()
                && shapes.iter().zip(inputs.clone()).all(|(shape, t)| shape == t.shape())
        });
        match current {
            Some(plan) => Ok(Arc::clone(plan)),
            None => self.prepare(&inputs.map(|tensor| tensor.shape().to_vec()).collect::<Vec<_>>()),
        }
    }

    /// Stores a pass's part of the inputs: all of them, or one image of each.
    fn load<'a>(&mut self, plan: &Plan, pass: usize, inputs: impl Views<'a>) -> Result<(), Error> {
        let graph = self.compiled.graph();
        let vectorizer = Vectorizer::new(self.compiled.level());
        for (port, tensor) in graph.inputs.iter().zip(inputs) {
            let missing = || Error::internal(&port.name, "has no place in memory");
            let slot = plan.slot(port.value).ok_or_else(missing)?;
            let part = match plan.passes() {
                1 => tensor,
                _ => tensor.part(pass, &slot.layout.shape).ok_or_else(missing)?,
            };
            ports::store(graph, port, part, slot, self.memory.slice_mut(slot.range()), vectorizer)?;
        }
        Ok(())
    }

    fn adopt(&mut self, plan: &Arc<Plan>) -> Result<(), Error> {
        if self.memory.len() < plan.arena_bytes() {
            self.memory = Memory::new(plan.arena_bytes())?;
        }
        self.executor.prepare(plan)?;
        self.remote = None;
        self.plan = Some(Arc::clone(plan));
        Ok(())
    }

    /// Runs the host tail, shows `observe` what it writes, and collects the outputs behind those of earlier passes.
    fn finish(
        &mut self,
        plan: &Plan,
        pass: usize,
        outputs: &mut Vec<Tensor>,
        observe: impl FnMut(ValueId, &Tensor),
    ) -> Result<(), Error> {
        let graph = Arc::clone(self.compiled.graph());
        let late = plan.tail().run(&graph, plan.shapes(), |value| self.read(plan, value), observe)?;
        outputs.truncate(graph.outputs.len());
        for (i, port) in graph.outputs.iter().enumerate() {
            match (outputs.get_mut(i), late.get(&port.value)) {
                (Some(output), None) => {
                    output.rebuild(|shape, spare| self.read_after(plan, pass, port.value, shape, spare))?;
                }
                (Some(output), Some(tensor)) => output.clone_from(tensor),
                (None, None) => outputs.push(self.read(plan, port.value)?),
                (None, Some(tensor)) => outputs.push(tensor.clone()),
            }
        }
        Ok(())
    }

    fn read(&mut self, plan: &Plan, value: ValueId) -> Result<Tensor, Error> {
        self.read_after(plan, 0, value, Vec::new(), Data::U8(Vec::new()))
    }

    /// Reads a value into the memory of another tensor's shape and elements, behind what earlier passes left there.
    fn read_after(
        &mut self,
        plan: &Plan,
        pass: usize,
        value: ValueId,
        shape: Vec<usize>,
        spare: Data,
    ) -> Result<Tensor, Error> {
        let graph = self.compiled.graph();
        let missing = || Error::internal(&graph.value(value).name, "was never computed");
        match plan.slot(value) {
            Some(slot) => slot.layout.load_after(self.memory.slice_mut(slot.range()), pass, shape, spare),
            None => plan.shapes().known(value).cloned().or_else(|| graph.constant(value)).ok_or_else(missing),
        }
    }
}

/// Values of passes that are not all yet.
#[derive(Default)]
struct Seen(HashMap<ValueId, Tensor>);

impl Seen {
    /// Reads what this pass computed of a value; shows it to `observe` when it is whole.
    fn see(
        &mut self,
        session: &mut Session,
        plan: &Plan,
        pass: usize,
        value: ValueId,
        observe: &mut impl FnMut(ValueId, &Tensor),
    ) -> Result<(), Error> {
        let mut tensor = match self.0.remove(&value) {
            Some(tensor) => tensor,
            None => session.read(plan, value)?,
        };
        if pass > 0 {
            tensor.rebuild(|shape, spare| session.read_after(plan, pass, value, shape, spare))?;
        }
        if pass + 1 == plan.passes() {
            observe(value, &tensor);
        } else {
            self.0.insert(value, tensor);
        }
        Ok(())
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
