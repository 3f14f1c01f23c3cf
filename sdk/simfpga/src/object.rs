//! What is behind OpenCL's handles: a value with the loader's dispatch table before it, counted.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use opencl_sys::cl_icd::cl_icd_dispatch;
use opencl_sys::{CL_SUCCESS, cl_int};

use crate::dispatch;

/// A status other than success.
pub(crate) type Status = cl_int;
/// What a call comes to.
pub(crate) type Outcome<T = ()> = Result<T, Status>;

/// A type that handles stand for.
pub(crate) trait Kind: Send + Sync + 'static {
    /// Tells its objects from those of other types, and from memory that was given back.
    const TAG: u64;
    /// The status for a handle that is none of its objects.
    const INVALID: Status;
}

/// The loader reads the first word of what every handle points to.
#[repr(C)]
pub(crate) struct Object<T> {
    dispatch: *const cl_icd_dispatch,
    tag: AtomicU64,
    count: AtomicU32,
    value: T,
}

/// A handle to a new object, which is counted once.
pub(crate) fn handle<T: Kind>(value: T) -> *mut c_void {
    let object =
        Object { dispatch: dispatch::table(), tag: AtomicU64::new(T::TAG), count: AtomicU32::new(1), value };
    Box::into_raw(Box::new(object)).cast()
}

/// The object behind a handle.
///
/// # Safety
/// The handle is null or points to an object of this driver, which nobody releases meanwhile.
unsafe fn object<'a, T: Kind>(handle: *mut c_void) -> Outcome<&'a Object<T>> {
    // SAFETY: null is refused here; all objects begin with the same three fields, so that the tag can be read of any.
    let object = unsafe { handle.cast::<Object<T>>().as_ref() }.ok_or(T::INVALID)?;
    if object.tag.load(Ordering::Relaxed) == T::TAG { Ok(object) } else { Err(T::INVALID) }
}

/// The value behind a handle.
///
/// # Safety
/// Null or an object of this driver, which nobody releases during the call that it was given to.
pub(crate) unsafe fn value<'a, T: Kind>(handle: *mut c_void) -> Outcome<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { object::<T>(handle) }.map(|object| &object.value)
}

/// Counts one more owner.
pub(crate) unsafe extern "C" fn retain<T: Kind>(handle: *mut c_void) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    match unsafe { object::<T>(handle) } {
        Ok(object) => {
            object.count.fetch_add(1, Ordering::Relaxed);
            CL_SUCCESS
        }
        Err(status) => status,
    }
}

/// Counts one owner less; with the last one the object goes.
pub(crate) unsafe extern "C" fn release<T: Kind>(handle: *mut c_void) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    match unsafe { object::<T>(handle) } {
        Ok(object) => {
            if object.count.fetch_sub(1, Ordering::AcqRel) == 1 {
                object.tag.store(0, Ordering::Relaxed);
                // SAFETY: made by `handle` from a box of this type, and this was the last owner.
                drop(unsafe { Box::from_raw(handle.cast::<Object<T>>()) });
            }
            CL_SUCCESS
        }
        Err(status) => status,
    }
}

/// The status of a call.
pub(crate) fn status(outcome: Outcome) -> cl_int {
    outcome.err().unwrap_or(CL_SUCCESS)
}

/// A new object's handle, or null, with the status where the caller wants it.
///
/// # Safety
/// `status` is null or may be written.
pub(crate) unsafe fn created<T: Kind>(made: Outcome<T>, status: *mut cl_int) -> *mut c_void {
    let (object, code) = match made {
        Ok(value) => (handle(value), CL_SUCCESS),
        Err(status) => (std::ptr::null_mut(), status),
    };
    // SAFETY: the caller's promise.
    unsafe { put(status, code) };
    object
}

/// Writes where a caller wants something written.
///
/// # Safety
/// `place` is null or may be written.
pub(crate) unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not null, and the caller's promise.
        unsafe { place.write(value) };
    }
}
