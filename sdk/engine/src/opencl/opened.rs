//! A device in use: its context and the programs built for it, shared by all that run there.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::answer;
use super::api::{Buffer, Context, Fault, Kernel, Pinned, Program, Queue};
use super::fpga::{self, Engine, Targets};
use super::launch::{Launch, ProgramKey};
use super::store::{self, DeviceStore};
use super::survey::Facts;
use crate::error::Error;

/// An OpenCL device with its context.
#[derive(Debug)]
pub(crate) struct Opened {
    facts: Arc<Facts>,
    context: Context,
    programs: Mutex<HashMap<ProgramKey, Built>>,
    /// Where programs outlive the process.
    store: Option<Arc<dyn DeviceStore>>,
    /// What it was programmed with, where it is no device for kernels.
    engine: Option<Engine>,
    /// The bitstreams that this was chosen from.
    targets: Targets,
    /// Whether programs may come from there.
    takes_binaries: AtomicBool,
}

/// A program, and whether it came from the store.
#[derive(Clone, Debug)]
struct Built {
    program: Arc<Program>,
    is_stored: bool,
}

/// What this process knows of devices.
struct Known {
    opened: Vec<Weak<Opened>>,
    /// Those that gave the known answers.
    passed: Vec<Arc<Facts>>,
}

static KNOWN: Mutex<Known> = Mutex::new(Known { opened: Vec::new(), passed: Vec::new() });

/// Opens a device that gives the known answers, or finds it open.
///
/// # Errors
/// [`Error::DeviceFails`] if it gives others; the driver's fault if it refuses a call.
pub(crate) fn open(
    facts: &Arc<Facts>,
    store: Option<&Arc<dyn DeviceStore>>,
    targets: &Targets,
) -> Result<Arc<Opened>, Error> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.opened.retain(|device| device.strong_count() > 0);
    let is_open = |device: &Arc<Opened>| {
        device.facts == *facts && (device.engine.is_none() || device.targets == *targets)
    };
    if let Some(device) = known.opened.iter().filter_map(Weak::upgrade).find(is_open) {
        return Ok(device);
    }
    let device = Arc::new(Opened::new(facts, store, targets)?);
    // A store has its own outcomes, which other processes may add to. Another bitstream is another device.
    let is_engine = device.engine.is_some();
    if store.is_some() || is_engine || !known.passed.contains(facts) {
        answer::require(&device)?;
    }
    if !is_engine && !known.passed.contains(facts) {
        known.passed.push(Arc::clone(facts));
    }
    known.opened.push(Arc::downgrade(&device));
    Ok(device)
}

/// What `store` has of a device's known-answer test.
pub(crate) fn outcome(facts: &Facts, store: &dyn DeviceStore) -> Option<Result<(), Error>> {
    answer::kept(facts, store)
}

/// Keeps that a device failed the test, for a reason that it could not tell itself.
pub(crate) fn condemn(facts: &Facts, store: &dyn DeviceStore, reason: &str) {
    answer::keep(facts, store, Some(reason));
}

impl Opened {
    fn new(
        facts: &Arc<Facts>,
        store: Option<&Arc<dyn DeviceStore>>,
        targets: &Targets,
    ) -> Result<Self, Error> {
        // Decided before the device is touched.
        if facts.takes_bitstreams() {
            fpga::choose(targets, facts)?;
        }
        let context = Context::new(facts.handle()).map_err(|fault| facts.fault(fault))?;
        let engine = match facts.takes_bitstreams() {
            true => Some(Engine::load(&context, facts, targets)?),
            false => None,
        };
        Ok(Self {
            facts: Arc::clone(facts),
            context,
            programs: Mutex::default(),
            store: store.cloned(),
            engine,
            targets: targets.clone(),
            takes_binaries: AtomicBool::new(true),
        })
    }

    pub(crate) fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// What it was programmed with, where it is an FPGA.
    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    pub(super) fn store(&self) -> Option<&dyn DeviceStore> {
        self.store.as_deref()
    }

    /// A fault of this device's driver as an error.
    pub(crate) fn fault(&self, fault: Fault) -> Error {
        self.facts.fault(fault)
    }

    /// Memory that kernels only read, with these bytes in it.
    pub(crate) fn constants(&self, bytes: &[u8]) -> Result<Buffer, Error> {
        self.context.constants(bytes).map_err(|fault| self.fault(fault))
    }

    pub(super) fn buffer(&self, bytes: usize) -> Result<Buffer, Error> {
        self.context.buffer(bytes).map_err(|fault| self.fault(fault))
    }

    pub(super) fn pinned(&self, queue: &Arc<Queue>, bytes: usize) -> Result<Pinned, Error> {
        self.context.pinned(queue, bytes).map_err(|fault| self.fault(fault))
    }

    pub(super) fn queue(&self, timed: bool) -> Result<Queue, Error> {
        self.context.queue(self.facts.handle(), timed).map_err(|fault| self.fault(fault))
    }

    /// A launch's kernel with its arguments set.
    pub(super) fn kernel(&self, launch: &Launch, arena: &Buffer) -> Result<Kernel, Error> {
        let entry = CString::new(launch.entry).unwrap_or_default();
        let built = self.program(&launch.program)?;
        let mut kernel = match built.program.kernel(&entry) {
            // A binary without the entry point: one from source has it.
            Err(_) if built.is_stored => self.rebuild(&launch.program)?.program.kernel(&entry),
            kernel => kernel,
        }
        .map_err(|fault| self.fault(fault))?;
        for (index, arg) in (0..).zip(&launch.args) {
            kernel.set(index, arg, arena).map_err(|fault| self.fault(fault))?;
        }
        Ok(kernel)
    }

    /// From now on builds programs from their sources, those that came from the store too; whether there were any.
    pub(super) fn forget_binaries(&self) -> bool {
        self.takes_binaries.store(false, Ordering::Relaxed);
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let before = programs.len();
        programs.retain(|_, built| !built.is_stored);
        programs.len() < before
    }

    /// The program of this key, made the first time: as its driver left it in the store, or else from its source.
    fn program(&self, key: &ProgramKey) -> Result<Built, Error> {
        // Locked while it is made: whoever wants the same one waits instead of making another.
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = programs.get(key) {
            return Ok(built.clone());
        }
        let built = match self.load(key) {
            Some(program) => Built { program: Arc::new(program), is_stored: true },
            None => self.build(key)?,
        };
        programs.insert(key.clone(), built.clone());
        Ok(built)
    }

    fn rebuild(&self, key: &ProgramKey) -> Result<Built, Error> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let built = self.build(key)?;
        programs.insert(key.clone(), built.clone());
        Ok(built)
    }

    fn load(&self, key: &ProgramKey) -> Option<Program> {
        if !self.takes_binaries.load(Ordering::Relaxed) {
            return None;
        }
        let binary = self.store()?.load(&store::program(&self.facts, key))?;
        // What the driver has against it does not matter: it is built from its source then.
        self.context.load(self.facts.handle(), &binary, &key.all_options()).ok()?.ok()
    }

    fn build(&self, key: &ProgramKey) -> Result<Built, Error> {
        let source = [tilemark_kernels::PRELUDE, key.source.text].concat();
        let built = self.context.build(self.facts.handle(), &source, &key.all_options());
        let refused =
            |log| Error::ProgramRefused { device: self.facts.id(), program: key.source.name.to_owned(), log };
        let program = built.map_err(|fault| self.fault(fault))?.map_err(refused)?;
        if let Some(store) = self.store()
            && let Ok(binary) = program.binary()
            && !binary.is_empty()
        {
            store.save(&store::program(&self.facts, key), &binary);
        }
        Ok(Built { program: Arc::new(program), is_stored: false })
    }
}
