//! The platform and its one device's handle.

use std::ffi::c_void;
use std::sync::OnceLock;

use opencl_sys::{
    CL_DEVICE_NOT_FOUND, CL_DEVICE_TYPE_ACCELERATOR, CL_DEVICE_TYPE_ALL, CL_DEVICE_TYPE_DEFAULT,
    CL_INVALID_DEVICE_TYPE, CL_INVALID_PLATFORM, CL_INVALID_VALUE, CL_PLATFORM_EXTENSIONS,
    CL_PLATFORM_ICD_SUFFIX_KHR, CL_PLATFORM_NAME, CL_PLATFORM_PROFILE, CL_PLATFORM_VENDOR,
    CL_PLATFORM_VERSION, cl_device_id, cl_device_type, cl_int, cl_platform_id, cl_platform_info, cl_uint,
};

use crate::device;
use crate::info::Answer;
use crate::object::{self, Kind, Outcome, Status};

struct Platform;

impl Kind for Platform {
    const TAG: u64 = 0x746d_2d70_6c61_7466;
    const INVALID: Status = CL_INVALID_PLATFORM;
}

/// The platform's handle: it stays to the end of the process.
pub(crate) fn platform() -> cl_platform_id {
    static HANDLE: OnceLock<usize> = OnceLock::new();
    *HANDLE.get_or_init(|| object::handle(Platform) as usize) as cl_platform_id
}

pub(crate) unsafe extern "C" fn ids(
    entries: cl_uint,
    platforms: *mut cl_platform_id,
    count: *mut cl_uint,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    object::status(unsafe { list(platform(), entries, platforms, count) })
}

pub(crate) unsafe extern "C" fn info(
    platform: cl_platform_id,
    what: cl_platform_info,
    size: usize,
    value: *mut c_void,
    needed: *mut usize,
) -> cl_int {
    // The loader asks with null as well as with the handle.
    let known = platform.is_null() || platform == self::platform();
    let answer = match what {
        _ if !known => Err(CL_INVALID_PLATFORM),
        CL_PLATFORM_PROFILE => Ok("FULL_PROFILE"),
        CL_PLATFORM_VERSION => Ok("OpenCL 1.2 tilemark"),
        CL_PLATFORM_NAME => Ok("Tilemark FPGA simulation"),
        CL_PLATFORM_VENDOR => Ok("Tilemark"),
        CL_PLATFORM_EXTENSIONS => Ok("cl_khr_icd"),
        CL_PLATFORM_ICD_SUFFIX_KHR => Ok("TMSIM"),
        _ => Err(CL_INVALID_VALUE),
    };
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { Answer::give(answer.map(Answer::text), size, value, needed) }
}

pub(crate) unsafe extern "C" fn devices(
    platform: cl_platform_id,
    types: cl_device_type,
    entries: cl_uint,
    devices: *mut cl_device_id,
    count: *mut cl_uint,
) -> cl_int {
    let all = CL_DEVICE_TYPE_ALL;
    let outcome = if !platform.is_null() && platform != self::platform() {
        Err(CL_INVALID_PLATFORM)
    } else if types == 0 {
        Err(CL_INVALID_DEVICE_TYPE)
    } else if types == all || types & (CL_DEVICE_TYPE_ACCELERATOR | CL_DEVICE_TYPE_DEFAULT) != 0 {
        // SAFETY: the caller keeps OpenCL's contract.
        unsafe { list(device::device(), entries, devices, count) }
    } else {
        // SAFETY: as above.
        unsafe { object::put(count, 0) };
        Err(CL_DEVICE_NOT_FOUND)
    };
    object::status(outcome)
}

/// Gives a list of one handle.
///
/// # Safety
/// `places` is null or has room for `entries` handles, `count` is null or may be written.
unsafe fn list(
    handle: *mut c_void,
    entries: cl_uint,
    places: *mut *mut c_void,
    count: *mut cl_uint,
) -> Outcome {
    if (places.is_null() && count.is_null()) || (!places.is_null() && entries == 0) {
        return Err(CL_INVALID_VALUE);
    }
    // SAFETY: the caller's promise.
    unsafe {
        object::put(places, handle);
        object::put(count, 1);
    }
    Ok(())
}
