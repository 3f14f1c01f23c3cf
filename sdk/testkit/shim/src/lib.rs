//! An OpenCL library for tests: forwards every call to the real loader, fails the one that a test asks it to, and counts the
//! objects that were made and not released.
//!
//! Loaded in place of `libOpenCL.so.1` by `OPENCL_DYLIB_PATH`. A test finds the functions that control it, [`tm_shim_arm`] and
//! [`tm_shim_state`], in the same library. One that starts another program says what it wants by variables: `TILEMARK_SHIM_GPU`
//! makes every device say that it is a graphics processor, `TILEMARK_SHIM_MEMORY` that its memory is its own, and a wait for a
//! queue takes `TILEMARK_SHIM_DELAY` milliseconds more.
#![allow(unsafe_code, reason = "a C library that forwards to another one")]
#![allow(non_snake_case, reason = "OpenCL's names")]
#![allow(clippy::missing_safety_doc, reason = "the contracts are OpenCL's")]

use std::ffi::{CStr, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Objects made and not released; events too.
static LIVE: AtomicI64 = AtomicI64::new(0);
/// Calls until the one that fails; negative when none will.
static COUNTDOWN: AtomicI64 = AtomicI64::new(-1);
/// Its status.
static STATUS: AtomicI64 = AtomicI64::new(0);

/// `CL_DEVICE_TYPE`, and what a graphics processor says to it.
const DEVICE_TYPE: usize = 0x1000;
const GPU: u64 = 4;
/// `CL_DEVICE_HOST_UNIFIED_MEMORY`.
const HOST_UNIFIED_MEMORY: usize = 0x1035;

/// From now on, the call after `calls` others fails with `status`; a negative number of calls: none.
#[unsafe(no_mangle)]
pub extern "C" fn tm_shim_arm(calls: i64, status: i32) {
    STATUS.store(i64::from(status), Ordering::SeqCst);
    COUNTDOWN.store(calls, Ordering::SeqCst);
}

/// Objects made and not released, and whether the armed call has not come yet.
///
/// # Safety
/// Both point to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tm_shim_state(live: *mut i64, armed: *mut i64) {
    // SAFETY: the caller's promise.
    unsafe {
        *live = LIVE.load(Ordering::SeqCst);
        *armed = i64::from(COUNTDOWN.load(Ordering::SeqCst) >= 0);
    }
}

/// The status with which this call is to fail, if it is the one.
fn fault() -> Option<i32> {
    let before = COUNTDOWN.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n >= 0).then_some(n - 1));
    (before == Ok(0)).then(|| i32::try_from(STATUS.load(Ordering::SeqCst)).unwrap_or(-5))
}

fn live(change: i64) {
    LIVE.fetch_add(change, Ordering::SeqCst);
}

/// The real library's function.
fn real(name: &CStr) -> *mut c_void {
    static LIBRARY: OnceLock<usize> = OnceLock::new();
    let library = *LIBRARY.get_or_init(|| {
        // SAFETY: a name with an end; the loader's initialization is its own affair.
        unsafe { libc::dlopen(c"libOpenCL.so.1".as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) as usize }
    });
    assert_ne!(library, 0, "there is no real OpenCL loader");
    // SAFETY: the library is open for good, and the name has an end.
    let function = unsafe { libc::dlsym(library as *mut c_void, name.as_ptr()) };
    assert!(!function.is_null(), "the real loader lacks {name:?}");
    function
}

/// Forwards a function whose arguments are words.
macro_rules! forward {
    (@call $name:ident ($($arg:ident),*) -> $result:ty) => {{
        static REAL: OnceLock<usize> = OnceLock::new();
        let name = CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes());
        let function = *REAL.get_or_init(|| real(name.expect("ends")) as usize);
        let function: unsafe extern "C" fn($(forward!(@word $arg)),*) -> $result =
            // SAFETY: OpenCL's functions take words and pointers, which C passes alike.
            unsafe { std::mem::transmute::<usize, _>(function) };
        // SAFETY: the caller keeps OpenCL's contract.
        unsafe { function($($arg),*) }
    }};
    (@word $arg:ident) => { usize };
    // Returns a status.
    (status $($name:ident($($arg:ident),*);)*) => {$(
        /// OpenCL's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: usize),*) -> i32 {
            fault().unwrap_or_else(|| forward!(@call $name($($arg),*) -> i32))
        }
    )*};
    // Returns a status, and an event by its last argument.
    (event $($name:ident($($arg:ident),*; $event:ident);)*) => {$(
        /// OpenCL's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: usize,)* $event: usize) -> i32 {
            if let Some(status) = fault() {
                return status;
            }
            let status = forward!(@call $name($($arg,)* $event) -> i32);
            if status == 0 && $event != 0 {
                live(1);
            }
            status
        }
    )*};
    // Returns an object, and a status by its last argument.
    (object $($name:ident($($arg:ident),*; $status:ident);)*) => {$(
        /// OpenCL's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: usize,)* $status: usize) -> usize {
            if let Some(fault) = fault() {
                // SAFETY: OpenCL's contract: null, or a place for the status.
                unsafe { ($status as *mut i32).as_mut() }.into_iter().for_each(|status| *status = fault);
                return 0;
            }
            let object = forward!(@call $name($($arg,)* $status) -> usize);
            live(i64::from(object != 0));
            object
        }
    )*};
    // Releases an object. Failing means that the driver kept it: it is released all the same, so that the real one is not leaked.
    (release $($name:ident;)*) => {$(
        /// OpenCL's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(object: usize) -> i32 {
            let fault = fault();
            let status = forward!(@call $name(object) -> i32);
            live(-i64::from(status == 0));
            fault.unwrap_or(status)
        }
    )*};
}

forward!(status
    clGetPlatformIDs(entries, platforms, count);
    clGetPlatformInfo(platform, what, size, value, size_out);
    clGetDeviceIDs(platform, kind, entries, devices, count);
    clBuildProgram(program, count, devices, options, notify, data);
    clGetProgramInfo(program, what, size, value, size_out);
    clGetProgramBuildInfo(program, device, what, size, value, size_out);
    clSetKernelArg(kernel, index, size, value);
    clGetKernelWorkGroupInfo(kernel, device, what, size, value, size_out);
    clFlush(queue);
    clWaitForEvents(count, events);
    clGetEventInfo(event, what, size, value, size_out);
    clGetEventProfilingInfo(event, what, size, value, size_out);
);
forward!(event
    clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local, count, wait; event);
    clEnqueueWriteBuffer(queue, buffer, blocking, offset, size, from, count, wait; event);
    clEnqueueReadBuffer(queue, buffer, blocking, offset, size, to, count, wait; event);
    clEnqueueCopyBuffer(queue, from, to, from_offset, to_offset, size, count, wait; event);
    clEnqueueUnmapMemObject(queue, memory, pointer, count, wait; event);
);
forward!(object
    clCreateContext(properties, count, devices, notify, data; status);
    clCreateBuffer(context, flags, size, from; status);
    clCreateCommandQueue(context, device, properties; status);
    clCreateProgramWithSource(context, count, sources, lengths; status);
    clCreateProgramWithBinary(context, count, devices, lengths, binaries, statuses; status);
    clCreateKernel(program, name; status);
);
forward!(release
    clReleaseContext;
    clReleaseMemObject;
    clReleaseCommandQueue;
    clReleaseProgram;
    clReleaseKernel;
    clReleaseEvent;
);

/// OpenCL's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clGetDeviceInfo(
    device: usize,
    what: usize,
    size: usize,
    value: usize,
    size_out: usize,
) -> i32 {
    if let Some(status) = fault() {
        return status;
    }
    let status = forward!(@call clGetDeviceInfo(device, what, size, value, size_out) -> i32);
    let pretends = |variable: &str| status == 0 && value != 0 && std::env::var_os(variable).is_some();
    let answer: &[u8] = match what & 0xffff_ffff {
        DEVICE_TYPE if pretends("TILEMARK_SHIM_GPU") => &GPU.to_ne_bytes(),
        HOST_UNIFIED_MEMORY if pretends("TILEMARK_SHIM_MEMORY") => &0u32.to_ne_bytes(),
        _ => &[],
    };
    if answer.len() <= size {
        // SAFETY: where there is an answer, the caller gave a place for `size` bytes, which the driver has just filled.
        unsafe { std::ptr::copy_nonoverlapping(answer.as_ptr(), value as *mut u8, answer.len()) };
    }
    status
}

/// OpenCL's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clFinish(queue: usize) -> i32 {
    let delay = std::env::var("TILEMARK_SHIM_DELAY").ok().and_then(|ms| ms.parse().ok());
    delay.into_iter().for_each(|ms| std::thread::sleep(Duration::from_millis(ms)));
    fault().unwrap_or_else(|| forward!(@call clFinish(queue) -> i32))
}

/// OpenCL's.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "OpenCL's")]
pub unsafe extern "C" fn clEnqueueMapBuffer(
    queue: usize,
    buffer: usize,
    blocking: usize,
    flags: usize,
    offset: usize,
    size: usize,
    count: usize,
    wait: usize,
    event: usize,
    status: usize,
) -> usize {
    if let Some(fault) = fault() {
        // SAFETY: OpenCL's contract: null, or a place for the status.
        unsafe { (status as *mut i32).as_mut() }.into_iter().for_each(|status| *status = fault);
        return 0;
    }
    let start = forward!(@call clEnqueueMapBuffer(
        queue, buffer, blocking, flags, offset, size, count, wait, event, status
    ) -> usize);
    live(i64::from(start != 0 && event != 0));
    start
}
