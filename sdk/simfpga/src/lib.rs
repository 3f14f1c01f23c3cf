//! An OpenCL driver (ICD) whose only device is a simulation of an FPGA: the RTL of `bitstreams/rtl`, translated by Verilator and
//! run cycle by cycle.
//!
//! A program reaches it as it would reach a card: through the loader, with no compiler and programs from binaries only. What such a
//! program is loaded from is the container of a bitstream's manifest; the simulation checks it and then runs the RTL that the
//! bitstream was made of. It never runs the bitstream itself.
//!
//! ```text
//! loader -> dispatch -> objects (context, memory, program, kernel) -> queue, a thread -> card: memory and engine
//! ```
//! Time is the card's: cycles at the clock that the container states, never the simulation's own.
#![cfg(feature = "verilator")]
#![allow(unsafe_code, reason = "a C library: its contracts are OpenCL's")]
#![allow(clippy::missing_safety_doc, reason = "the contracts are OpenCL's")]

mod card;
mod context;
mod device;
mod dispatch;
mod engine;
mod event;
mod info;
mod kernel;
mod memory;
mod object;
mod platform;
mod program;
mod queue;

use std::ffi::{CStr, c_char, c_void};

use opencl_sys::{cl_int, cl_platform_id, cl_platform_info, cl_uint};

/// One of the three symbols that the loader looks up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clIcdGetPlatformIDsKHR(
    entries: cl_uint,
    platforms: *mut cl_platform_id,
    count: *mut cl_uint,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { platform::ids(entries, platforms, count) }
}

/// One of the three symbols that the loader looks up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clGetPlatformInfo(
    platform: cl_platform_id,
    what: cl_platform_info,
    size: usize,
    value: *mut c_void,
    needed: *mut usize,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { platform::info(platform, what, size, value, needed) }
}

/// One of the three symbols that the loader looks up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clGetExtensionFunctionAddress(name: *const c_char) -> *mut c_void {
    if name.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: OpenCL's names end with a zero.
    match unsafe { CStr::from_ptr(name) }.to_bytes() {
        b"clIcdGetPlatformIDsKHR" => clIcdGetPlatformIDsKHR as *mut c_void,
        b"clGetPlatformInfo" => clGetPlatformInfo as *mut c_void,
        _ => std::ptr::null_mut(),
    }
}
