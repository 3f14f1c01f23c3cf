//! Programs: from the container of a bitstream, never from source.

use std::ffi::{c_char, c_uchar, c_void};

use opencl_sys::{
    CL_BUILD_SUCCESS, CL_INVALID_BINARY, CL_INVALID_DEVICE, CL_INVALID_OPERATION, CL_INVALID_PROGRAM,
    CL_INVALID_VALUE, CL_PROGRAM_BINARIES, CL_PROGRAM_BINARY_SIZES, CL_PROGRAM_BINARY_TYPE,
    CL_PROGRAM_BINARY_TYPE_EXECUTABLE, CL_PROGRAM_BUILD_LOG, CL_PROGRAM_BUILD_OPTIONS,
    CL_PROGRAM_BUILD_STATUS, CL_PROGRAM_CONTEXT, CL_PROGRAM_DEVICES, CL_PROGRAM_KERNEL_NAMES,
    CL_PROGRAM_NUM_DEVICES, CL_PROGRAM_NUM_KERNELS, CL_PROGRAM_REFERENCE_COUNT, CL_PROGRAM_SOURCE,
    CL_SUCCESS, cl_context, cl_device_id, cl_int, cl_program, cl_program_build_info, cl_program_info,
    cl_uint,
};

use tilemark_bitstreams::{ABI, Container, Form, Header};

use crate::card::card;
use crate::context::Context;
use crate::device::{self, device};
use crate::info::Answer;
use crate::object::{self, Kind, Outcome, Status};

/// The one kernel of every program.
pub(crate) const ENTRY: &str = "tilemark_run";

/// A program's value.
pub(crate) struct Program {
    header: Header,
    /// As it was loaded.
    bytes: Vec<u8>,
}

impl Kind for Program {
    const TAG: u64 = 0x746d_2d70_726f_6772;
    const INVALID: Status = CL_INVALID_PROGRAM;
}

impl Program {
    /// A container for this very engine; anything else is no binary of this device.
    fn load(bytes: &[u8]) -> Option<Self> {
        let header = Container::parse(bytes).ok()?.header;
        let is_ours = header.form == Form::Engine
            && header.abi >> 16 == ABI >> 16
            && header.config == card().config()
            && device::name().contains(&header.part);
        is_ours.then(|| Self { header, bytes: bytes.to_vec() })
    }

    /// What its container says of the card.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }
}

pub(crate) unsafe extern "C" fn from_source(
    _context: cl_context,
    _count: cl_uint,
    _strings: *mut *const c_char,
    _lengths: *const usize,
    status: *mut cl_int,
) -> cl_program {
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { object::put(status, CL_INVALID_OPERATION) };
    std::ptr::null_mut()
}

pub(crate) unsafe extern "C" fn from_binary(
    context: cl_context,
    count: cl_uint,
    devices: *const cl_device_id,
    lengths: *const usize,
    binaries: *mut *const c_uchar,
    binary_status: *mut cl_int,
    status: *mut cl_int,
) -> cl_program {
    // SAFETY: the caller keeps OpenCL's contract.
    let made = unsafe { object::value::<Context>(context) }.and_then(|_| {
        if count == 0 || devices.is_null() || lengths.is_null() || binaries.is_null() {
            return Err(CL_INVALID_VALUE);
        }
        // SAFETY: the caller keeps OpenCL's contract.
        let (listed, length, bytes) = unsafe { (*devices, *lengths, *binaries) };
        if count != 1 || listed != device() {
            return Err(CL_INVALID_DEVICE);
        }
        if bytes.is_null() || length == 0 {
            // SAFETY: the caller keeps OpenCL's contract.
            unsafe { object::put(binary_status, CL_INVALID_VALUE) };
            return Err(CL_INVALID_VALUE);
        }
        // SAFETY: the caller keeps OpenCL's contract.
        let program = Program::load(unsafe { std::slice::from_raw_parts(bytes, length) });
        let judged = if program.is_some() { CL_SUCCESS } else { CL_INVALID_BINARY };
        // SAFETY: the caller keeps OpenCL's contract.
        unsafe { object::put(binary_status, judged) };
        program.ok_or(CL_INVALID_BINARY)
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { object::created(made, status) }
}

type Notify = Option<unsafe extern "C" fn(cl_program, *mut c_void)>;

pub(crate) unsafe extern "C" fn build(
    program: cl_program,
    count: cl_uint,
    devices: *const cl_device_id,
    _options: *const c_char,
    notify: Notify,
    user: *mut c_void,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    let outcome = unsafe { object::value::<Program>(program) }.and_then(|_| {
        if (count == 0) != devices.is_null() || (notify.is_none() && !user.is_null()) {
            return Err(CL_INVALID_VALUE);
        }
        // SAFETY: the caller keeps OpenCL's contract.
        let ours = |at| unsafe { *devices.add(at) } == device();
        if (0..count as usize).all(ours) { Ok(()) } else { Err(CL_INVALID_DEVICE) }
    });
    if let (Ok(()), Some(notify)) = (outcome, notify) {
        // SAFETY: the caller keeps OpenCL's contract.
        unsafe { notify(program, user) };
    }
    object::status(outcome)
}

pub(crate) unsafe extern "C" fn info(
    program: cl_program,
    what: cl_program_info,
    size: usize,
    value: *mut c_void,
    needed: *mut usize,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    let program = match unsafe { object::value::<Program>(program) } {
        Ok(program) => program,
        Err(status) => return status,
    };
    let bytes = &program.bytes;
    if what == CL_PROGRAM_BINARIES {
        // SAFETY: the caller keeps OpenCL's contract.
        return object::status(unsafe { copy_binary(bytes, size, value, needed) });
    }
    let answer = match what {
        CL_PROGRAM_NUM_DEVICES | CL_PROGRAM_REFERENCE_COUNT => Ok(Answer::word(1u32)),
        CL_PROGRAM_DEVICES => Ok(Answer::word(device())),
        CL_PROGRAM_BINARY_SIZES => Ok(Answer::word(bytes.len())),
        CL_PROGRAM_NUM_KERNELS => Ok(Answer::word(1usize)),
        CL_PROGRAM_KERNEL_NAMES => Ok(Answer::text(ENTRY)),
        CL_PROGRAM_SOURCE => Ok(Answer::text("")),
        CL_PROGRAM_CONTEXT => Ok(Answer::word(0usize)),
        _ => Err(CL_INVALID_VALUE),
    };
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { Answer::give(answer, size, value, needed) }
}

/// The caller gives a list of one pointer, to where the binary goes.
///
/// # Safety
/// `value` is null or such a list of `size` bytes, and the pointer has room for the binary or is null.
unsafe fn copy_binary(bytes: &[u8], size: usize, value: *mut c_void, needed: *mut usize) -> Outcome {
    // SAFETY: the caller's promise.
    unsafe { object::put(needed, size_of::<usize>()) };
    if value.is_null() {
        return Ok(());
    }
    if size < size_of::<usize>() {
        return Err(CL_INVALID_VALUE);
    }
    // SAFETY: the caller keeps OpenCL's contract.
    let place = unsafe { value.cast::<*mut u8>().read() };
    if !place.is_null() {
        // SAFETY: the caller keeps OpenCL's contract.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
    }
    Ok(())
}

pub(crate) unsafe extern "C" fn build_info(
    program: cl_program,
    listed: cl_device_id,
    what: cl_program_build_info,
    size: usize,
    value: *mut c_void,
    needed: *mut usize,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    let answer = unsafe { object::value::<Program>(program) }.and_then(|_| match what {
        _ if listed != device() => Err(CL_INVALID_DEVICE),
        CL_PROGRAM_BUILD_STATUS => Ok(Answer::word(CL_BUILD_SUCCESS)),
        CL_PROGRAM_BUILD_OPTIONS | CL_PROGRAM_BUILD_LOG => Ok(Answer::text("")),
        CL_PROGRAM_BINARY_TYPE => Ok(Answer::word(CL_PROGRAM_BINARY_TYPE_EXECUTABLE)),
        _ => Err(CL_INVALID_VALUE),
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { Answer::give(answer, size, value, needed) }
}
