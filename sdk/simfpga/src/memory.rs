//! Buffers in the card's memory.

use std::ffi::c_void;
use std::sync::Arc;

use opencl_sys::{
    CL_INVALID_HOST_PTR, CL_INVALID_MEM_OBJECT, CL_INVALID_OPERATION, CL_INVALID_VALUE,
    CL_MEM_ALLOC_HOST_PTR, CL_MEM_CONTEXT, CL_MEM_COPY_HOST_PTR, CL_MEM_FLAGS, CL_MEM_HOST_NO_ACCESS,
    CL_MEM_HOST_PTR, CL_MEM_HOST_READ_ONLY, CL_MEM_HOST_WRITE_ONLY, CL_MEM_MAP_COUNT, CL_MEM_OBJECT_BUFFER,
    CL_MEM_OFFSET, CL_MEM_READ_ONLY, CL_MEM_READ_WRITE, CL_MEM_REFERENCE_COUNT, CL_MEM_SIZE, CL_MEM_TYPE,
    CL_MEM_USE_HOST_PTR, CL_MEM_WRITE_ONLY, cl_context, cl_int, cl_mem, cl_mem_flags, cl_mem_info,
};

use crate::card::{Block, card};
use crate::context::Context;
use crate::info::Answer;
use crate::object::{self, Kind, Outcome, Status};

/// A buffer's value.
pub(crate) struct Buffer {
    pub(crate) block: Arc<Block>,
    flags: cl_mem_flags,
}

impl Kind for Buffer {
    const TAG: u64 = 0x746d_2d62_7566_6665;
    const INVALID: Status = CL_INVALID_MEM_OBJECT;
}

/// All flags of OpenCL 1.2.
const KNOWN: cl_mem_flags = CL_MEM_READ_WRITE
    | CL_MEM_WRITE_ONLY
    | CL_MEM_READ_ONLY
    | CL_MEM_USE_HOST_PTR
    | CL_MEM_ALLOC_HOST_PTR
    | CL_MEM_COPY_HOST_PTR
    | CL_MEM_HOST_WRITE_ONLY
    | CL_MEM_HOST_READ_ONLY
    | CL_MEM_HOST_NO_ACCESS;

pub(crate) unsafe extern "C" fn create(
    context: cl_context,
    flags: cl_mem_flags,
    size: usize,
    host: *mut c_void,
    status: *mut cl_int,
) -> cl_mem {
    // SAFETY: the caller keeps OpenCL's contract.
    let made = unsafe { object::value::<Context>(context) }.and_then(|_| {
        check(flags, !host.is_null())?;
        let block = card().allocate(size)?;
        if flags & CL_MEM_COPY_HOST_PTR != 0 {
            // SAFETY: the caller keeps OpenCL's contract.
            let bytes = unsafe { std::slice::from_raw_parts(host.cast::<u8>(), size) };
            card().write(&block, 0, bytes)?;
        }
        Ok(Buffer { block, flags })
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { object::created(made, status) }
}

fn check(flags: cl_mem_flags, has_host: bool) -> Outcome {
    let access = flags & (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY | CL_MEM_READ_ONLY);
    if flags & !KNOWN != 0 || access.count_ones() > 1 {
        return Err(CL_INVALID_VALUE);
    }
    if flags & CL_MEM_USE_HOST_PTR != 0 {
        return Err(CL_INVALID_OPERATION); // a card cannot see the host's memory
    }
    if has_host == (flags & CL_MEM_COPY_HOST_PTR != 0) { Ok(()) } else { Err(CL_INVALID_HOST_PTR) }
}

pub(crate) unsafe extern "C" fn info(
    memory: cl_mem,
    what: cl_mem_info,
    size: usize,
    value: *mut c_void,
    needed: *mut usize,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    let answer = unsafe { object::value::<Buffer>(memory) }.and_then(|buffer| match what {
        CL_MEM_TYPE => Ok(Answer::word(CL_MEM_OBJECT_BUFFER)),
        CL_MEM_FLAGS => Ok(Answer::word(buffer.flags)),
        CL_MEM_SIZE => Ok(Answer::word(buffer.block.bytes())),
        CL_MEM_HOST_PTR | CL_MEM_OFFSET | CL_MEM_CONTEXT => Ok(Answer::word(0usize)),
        CL_MEM_MAP_COUNT => Ok(Answer::word(0u32)),
        CL_MEM_REFERENCE_COUNT => Ok(Answer::word(1u32)),
        _ => Err(CL_INVALID_VALUE),
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { Answer::give(answer, size, value, needed) }
}
