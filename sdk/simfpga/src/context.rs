//! Contexts: there is one device, so they hold nothing.

use std::ffi::{c_char, c_void};

use opencl_sys::{
    CL_CONTEXT_DEVICES, CL_CONTEXT_NUM_DEVICES, CL_CONTEXT_PLATFORM, CL_CONTEXT_PROPERTIES,
    CL_CONTEXT_REFERENCE_COUNT, CL_INVALID_CONTEXT, CL_INVALID_DEVICE, CL_INVALID_PLATFORM,
    CL_INVALID_PROPERTY, CL_INVALID_VALUE, cl_context, cl_context_info, cl_context_properties, cl_device_id,
    cl_int, cl_uint,
};

use crate::device::device;
use crate::info::Answer;
use crate::object::{self, Kind, Outcome, Status};
use crate::platform::platform;

/// A context's value.
pub(crate) struct Context;

impl Kind for Context {
    const TAG: u64 = 0x746d_2d63_6f6e_7465;
    const INVALID: Status = CL_INVALID_CONTEXT;
}

type Notify = Option<unsafe extern "C" fn(*const c_char, *const c_void, usize, *mut c_void)>;

pub(crate) unsafe extern "C" fn create(
    properties: *const cl_context_properties,
    count: cl_uint,
    devices: *const cl_device_id,
    notify: Notify,
    user: *mut c_void,
    status: *mut cl_int,
) -> cl_context {
    // SAFETY: the caller keeps OpenCL's contract.
    let made = unsafe { check_properties(properties) }.and_then(|()| {
        if count == 0 || devices.is_null() || (notify.is_none() && !user.is_null()) {
            return Err(CL_INVALID_VALUE);
        }
        // SAFETY: the caller keeps OpenCL's contract.
        let ours = |at| unsafe { *devices.add(at) } == device();
        if (0..count as usize).all(ours) { Ok(Context) } else { Err(CL_INVALID_DEVICE) }
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { object::created(made, status) }
}

/// Pairs of a name and a value up to a zero; the platform is the only name there is.
///
/// # Safety
/// Null or such a list.
unsafe fn check_properties(mut properties: *const cl_context_properties) -> Outcome {
    if properties.is_null() {
        return Ok(());
    }
    loop {
        // SAFETY: the list goes on until its zero.
        let (name, value) = unsafe {
            if *properties == 0 {
                return Ok(());
            }
            (*properties, *properties.add(1))
        };
        if name != CL_CONTEXT_PLATFORM {
            return Err(CL_INVALID_PROPERTY);
        }
        if value != platform() as cl_context_properties {
            return Err(CL_INVALID_PLATFORM);
        }
        // SAFETY: a pair was read.
        properties = unsafe { properties.add(2) };
    }
}

pub(crate) unsafe extern "C" fn info(
    context: cl_context,
    what: cl_context_info,
    size: usize,
    value: *mut c_void,
    needed: *mut usize,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    let answer = unsafe { object::value::<Context>(context) }.and_then(|_| match what {
        CL_CONTEXT_NUM_DEVICES | CL_CONTEXT_REFERENCE_COUNT => Ok(Answer::word(1u32)),
        CL_CONTEXT_DEVICES => Ok(Answer::word(device())),
        CL_CONTEXT_PROPERTIES => Ok(Answer::nothing()),
        _ => Err(CL_INVALID_VALUE),
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { Answer::give(answer, size, value, needed) }
}
