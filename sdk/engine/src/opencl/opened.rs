//! A device in use: its context and the programs built for it, shared by all that run there.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::api::{Buffer, Context, Fault, Kernel, Program, Queue};
use super::launch::{Launch, ProgramKey};
use super::survey::Facts;
use crate::error::Error;

/// An OpenCL device with its context.
#[derive(Debug)]
pub(crate) struct Opened {
    facts: Facts,
    context: Context,
    programs: Mutex<HashMap<ProgramKey, Arc<Program>>>,
}

/// The devices in use by this process.
static OPENED: Mutex<Vec<Weak<Opened>>> = Mutex::new(Vec::new());

/// Opens a device, or finds it open.
///
/// # Errors
/// [`Error::DeviceFault`] if its driver refuses.
pub(crate) fn open(facts: &Facts) -> Result<Arc<Opened>, Error> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    opened.retain(|device| device.strong_count() > 0);
    if let Some(device) = opened.iter().filter_map(Weak::upgrade).find(|device| device.facts == *facts) {
        return Ok(device);
    }
    let context = Context::new(facts.handle()).map_err(|fault| facts.fault(fault))?;
    let device = Arc::new(Opened { facts: facts.clone(), context, programs: Mutex::default() });
    opened.push(Arc::downgrade(&device));
    Ok(device)
}

impl Opened {
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
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

    pub(super) fn queue(&self, timed: bool) -> Result<Queue, Error> {
        self.context.queue(self.facts.handle(), timed).map_err(|fault| self.fault(fault))
    }

    /// A launch's kernel with its arguments set.
    pub(super) fn kernel(&self, launch: &Launch, arena: &Buffer) -> Result<Kernel, Error> {
        let program = self.program(&launch.program)?;
        let entry = CString::new(launch.entry).unwrap_or_default();
        let mut kernel = program.kernel(&entry).map_err(|fault| self.fault(fault))?;
        for (index, arg) in (0..).zip(&launch.args) {
            kernel.set(index, arg, arena).map_err(|fault| self.fault(fault))?;
        }
        Ok(kernel)
    }

    /// The program of this key, built the first time.
    fn program(&self, key: &ProgramKey) -> Result<Arc<Program>, Error> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = programs.get(key) {
            return Ok(Arc::clone(program));
        }
        let source = [tilemark_kernels::PRELUDE, key.source.text].concat();
        let built = self.context.build(self.facts.handle(), &source, &key.all_options());
        let refused =
            |log| Error::ProgramRefused { device: self.facts.id(), program: key.source.name.to_owned(), log };
        let program = Arc::new(built.map_err(|fault| self.fault(fault))?.map_err(refused)?);
        programs.insert(key.clone(), Arc::clone(&program));
        Ok(program)
    }
}
