//! An OpenCL library that misbehaves as `FAKE_OPENCL` says. `tilemark_testkit::opencl` compiles it to a library of its own,
//! which tests load in place of the loader (`OPENCL_DYLIB_PATH`) or below it (a `.icd` file).

use std::ffi::c_void;
use std::path::Path;
use std::time::Duration;

const NOT_FOUND: i32 = -1;
const OUT_OF_HOST_MEMORY: i32 = -6;
const INVALID_VALUE: i32 = -30;
const PLATFORM: usize = 0x10;
const DEVICE: usize = 0x20;

fn mode() -> String {
    std::env::var("FAKE_OPENCL").unwrap_or_default()
}

/// Crashes, hangs or goes on, as the mode says about this place.
fn stumble(place: &str) {
    match mode().strip_suffix(place) {
        Some("crash-") => std::process::abort(),
        Some("hang-") => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        Some("exit-") => std::process::exit(0),
        _ => {}
    }
}

unsafe fn give(bytes: &[u8], size: usize, value: *mut c_void, needed: *mut usize) -> i32 {
    if !needed.is_null() {
        unsafe { *needed = bytes.len() };
    }
    if !value.is_null() {
        if size < bytes.len() {
            return INVALID_VALUE;
        }
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast(), bytes.len()) };
    }
    0
}

unsafe fn list(handle: usize, entries: u32, values: *mut usize, count: *mut u32) -> i32 {
    if !count.is_null() {
        unsafe { *count = 1 };
    }
    if !values.is_null() && entries > 0 {
        unsafe { *values = handle };
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clGetPlatformIDs(entries: u32, values: *mut usize, count: *mut u32) -> i32 {
    println!("a driver that talks"); // on stdout, as some do
    stumble("platforms");
    if mode() == "error-platforms" {
        return OUT_OF_HOST_MEMORY;
    }
    unsafe { list(PLATFORM, entries, values, count) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clGetPlatformInfo(_: usize, _: u32, size: usize, value: *mut c_void, needed: *mut usize) -> i32 {
    unsafe { give(b"Fake\x1b[2J platform\0", size, value, needed) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clGetDeviceIDs(_: usize, _: u64, entries: u32, values: *mut usize, count: *mut u32) -> i32 {
    stumble("devices");
    match mode().as_str() {
        "error-devices" => OUT_OF_HOST_MEMORY,
        "no-devices" => NOT_FOUND,
        _ => unsafe { list(DEVICE, entries, values, count) },
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clGetDeviceInfo(_: usize, what: u32, size: usize, value: *mut c_void, needed: *mut usize) -> i32 {
    stumble("info");
    if mode() == "error-info" {
        return OUT_OF_HOST_MEMORY;
    }
    let rounding: u64 = if mode() == "no-rounding" { 1 << 3 } else { 1 << 2 };
    let bytes: Vec<u8> = match what {
        0x1000 => 4u64.to_ne_bytes().to_vec(), // type: GPU
        0x101b => rounding.to_ne_bytes().to_vec(),
        0x102b => b"Fake GPU\0".to_vec(),
        0x102d => b"1.0 fake\0".to_vec(),
        0x102f => b"OpenCL 1.2 fake\0".to_vec(),
        0x1030 => b"cl_khr_fp16 \0".to_vec(),
        0x1002 | 0x1028 => 1u32.to_ne_bytes().to_vec(), // compute units, compiler
        _ => (1u64 << 30).to_ne_bytes().to_vec(),
    };
    unsafe { give(&bytes, size, value, needed) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clCreateContext(
    _: *const isize, _: u32, _: *const usize, _: *const c_void, _: *mut c_void, status: *mut i32,
) -> *mut c_void {
    stumble("test");
    let failed = mode() == "lost";
    unsafe { *status = if failed { -2 } else { 0 } };
    std::ptr::without_provenance_mut(if failed { 0 } else { 0x30 })
}

/// Where a loader of drivers begins.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clGetExtensionFunctionAddress(_: *const i8) -> *mut c_void {
    stumble("load");
    // Alone it is a file; a folder has others too.
    if mode() == "crash-together" && std::env::var_os("OCL_ICD_VENDORS").is_some_and(|icds| Path::new(&icds).is_dir()) {
        std::process::abort();
    }
    std::ptr::null_mut()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clReleaseContext(_: usize) -> i32 {
    0
}
