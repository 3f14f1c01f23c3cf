//! Answers to OpenCL's queries.

use std::ffi::c_void;

use opencl_sys::{CL_INVALID_VALUE, cl_int};

use crate::object::{self, Outcome};

/// The bytes of an answer.
pub(crate) struct Answer(Vec<u8>);

impl Answer {
    /// A number or a handle, as it lies in memory.
    pub(crate) fn word<T: Bytes>(word: T) -> Self {
        Self(word.bytes())
    }

    /// Several of them.
    pub(crate) fn words<T: Bytes>(words: impl IntoIterator<Item = T>) -> Self {
        Self(words.into_iter().flat_map(T::bytes).collect())
    }

    /// A string with its end.
    pub(crate) fn text(text: &str) -> Self {
        Self([text.as_bytes(), b"\0"].concat())
    }

    /// An empty list.
    pub(crate) fn nothing() -> Self {
        Self(Vec::new())
    }

    /// Hands the answer to a caller.
    ///
    /// # Safety
    /// `value` is null or has room for `size` bytes, `needed` is null or may be written.
    pub(crate) unsafe fn give(
        outcome: Outcome<Self>,
        size: usize,
        value: *mut c_void,
        needed: *mut usize,
    ) -> cl_int {
        object::status(outcome.and_then(|Self(bytes)| {
            // SAFETY: the caller's promise.
            unsafe { object::put(needed, bytes.len()) };
            if value.is_null() {
                return Ok(());
            }
            if size < bytes.len() {
                return Err(CL_INVALID_VALUE);
            }
            // SAFETY: there is room for `size` bytes, which are no fewer.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast(), bytes.len()) };
            Ok(())
        }))
    }
}

/// A value that goes to a caller as it lies in memory.
pub(crate) trait Bytes {
    fn bytes(self) -> Vec<u8>;
}

macro_rules! bytes {
    ($($type:ty),*) => {$(
        impl Bytes for $type {
            fn bytes(self) -> Vec<u8> {
                self.to_ne_bytes().to_vec()
            }
        }
    )*};
}
bytes!(u32, i32, u64, usize);

impl Bytes for *mut c_void {
    fn bytes(self) -> Vec<u8> {
        (self as usize).bytes()
    }
}
