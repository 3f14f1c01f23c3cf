//! The engine's one kernel: `tilemark_run(memory, list, tiles)`, a buffer, a place in it, and a number of descriptors.

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use opencl_sys::{
    CL_INVALID_ARG_INDEX, CL_INVALID_ARG_SIZE, CL_INVALID_ARG_VALUE, CL_INVALID_KERNEL,
    CL_INVALID_KERNEL_ARGS, CL_INVALID_KERNEL_NAME, CL_INVALID_VALUE, CL_KERNEL_COMPILE_WORK_GROUP_SIZE,
    CL_KERNEL_CONTEXT, CL_KERNEL_FUNCTION_NAME, CL_KERNEL_LOCAL_MEM_SIZE, CL_KERNEL_NUM_ARGS,
    CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, CL_KERNEL_PRIVATE_MEM_SIZE, CL_KERNEL_PROGRAM,
    CL_KERNEL_REFERENCE_COUNT, CL_KERNEL_WORK_GROUP_SIZE, cl_device_id, cl_int, cl_kernel, cl_kernel_info,
    cl_kernel_work_group_info, cl_mem, cl_program, cl_uint,
};

use crate::card::{Block, card};
use crate::info::Answer;
use crate::memory::Buffer;
use crate::object::{self, Kind, Outcome, Status};
use crate::program::{ENTRY, Program};

/// Arguments, by their numbers.
const MEMORY: usize = 0;
const LIST: usize = 1;
const TILES: usize = 2;
const ARGS: usize = 3;

/// A kernel's value.
pub(crate) struct Kernel {
    kilohertz: u32,
    args: Mutex<[Option<Arg>; ARGS]>,
}

#[derive(Clone)]
enum Arg {
    Number(u32),
    Memory(Arc<Block>),
}

impl Kind for Kernel {
    const TAG: u64 = 0x746d_2d6b_6572_6e65;
    const INVALID: Status = CL_INVALID_KERNEL;
}

/// A kernel with the arguments that it had when it was enqueued.
pub(crate) struct Launch {
    kilohertz: u32,
    memory: Arc<Block>,
    list: u32,
    tiles: u32,
}

impl Kernel {
    /// Takes the arguments as they are now.
    pub(crate) fn launch(&self) -> Outcome<Launch> {
        let args = self.args.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match args {
            [Some(Arg::Memory(memory)), Some(Arg::Number(list)), Some(Arg::Number(tiles))] => {
                Ok(Launch { kilohertz: self.kilohertz, memory, list, tiles })
            }
            _ => Err(CL_INVALID_KERNEL_ARGS),
        }
    }
}

impl Launch {
    pub(crate) fn perform(&self) -> Outcome<[u64; 2]> {
        card().run(&self.memory, self.list, self.tiles, self.kilohertz)
    }
}

pub(crate) unsafe extern "C" fn create(
    program: cl_program,
    name: *const c_char,
    status: *mut cl_int,
) -> cl_kernel {
    // SAFETY: the caller keeps OpenCL's contract.
    let made = unsafe { object::value::<Program>(program) }.and_then(|program| {
        if name.is_null() {
            return Err(CL_INVALID_VALUE);
        }
        // SAFETY: the caller keeps OpenCL's contract.
        if unsafe { CStr::from_ptr(name) }.to_bytes() != ENTRY.as_bytes() {
            return Err(CL_INVALID_KERNEL_NAME);
        }
        Ok(Kernel { kilohertz: program.header().kilohertz, args: Mutex::default() })
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { object::created(made, status) }
}

pub(crate) unsafe extern "C" fn set_arg(
    kernel: cl_kernel,
    index: cl_uint,
    size: usize,
    value: *const c_void,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    let outcome = unsafe { object::value::<Kernel>(kernel) }.and_then(|kernel| {
        let index = usize::try_from(index).map_err(|_| CL_INVALID_ARG_INDEX)?;
        let wanted = match index {
            MEMORY => size_of::<cl_mem>(),
            LIST | TILES => size_of::<u32>(),
            _ => return Err(CL_INVALID_ARG_INDEX),
        };
        if size != wanted {
            return Err(CL_INVALID_ARG_SIZE);
        }
        if value.is_null() {
            return Err(CL_INVALID_ARG_VALUE);
        }
        let arg = if index == MEMORY {
            // SAFETY: the caller keeps OpenCL's contract.
            let memory = unsafe { value.cast::<cl_mem>().read_unaligned() };
            // SAFETY: the caller keeps OpenCL's contract.
            Arg::Memory(Arc::clone(&unsafe { object::value::<Buffer>(memory) }?.block))
        } else {
            // SAFETY: the caller keeps OpenCL's contract.
            Arg::Number(unsafe { value.cast::<u32>().read_unaligned() })
        };
        kernel.args.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(arg);
        Ok(())
    });
    object::status(outcome)
}

pub(crate) unsafe extern "C" fn info(
    kernel: cl_kernel,
    what: cl_kernel_info,
    size: usize,
    value: *mut c_void,
    needed: *mut usize,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    let answer = unsafe { object::value::<Kernel>(kernel) }.and_then(|_| match what {
        CL_KERNEL_FUNCTION_NAME => Ok(Answer::text(ENTRY)),
        CL_KERNEL_NUM_ARGS => Ok(Answer::word(ARGS as u32)),
        CL_KERNEL_REFERENCE_COUNT => Ok(Answer::word(1u32)),
        CL_KERNEL_CONTEXT | CL_KERNEL_PROGRAM => Ok(Answer::word(0usize)),
        _ => Err(CL_INVALID_VALUE),
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { Answer::give(answer, size, value, needed) }
}

pub(crate) unsafe extern "C" fn work_group_info(
    kernel: cl_kernel,
    _listed: cl_device_id,
    what: cl_kernel_work_group_info,
    size: usize,
    value: *mut c_void,
    needed: *mut usize,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    let answer = unsafe { object::value::<Kernel>(kernel) }.and_then(|_| match what {
        CL_KERNEL_WORK_GROUP_SIZE | CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE => Ok(Answer::word(1usize)),
        CL_KERNEL_COMPILE_WORK_GROUP_SIZE => Ok(Answer::words([1usize; 3])),
        CL_KERNEL_LOCAL_MEM_SIZE | CL_KERNEL_PRIVATE_MEM_SIZE => Ok(Answer::word(0u64)),
        _ => Err(CL_INVALID_VALUE),
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { Answer::give(answer, size, value, needed) }
}
