//! The one device: an accelerator without a compiler.

use std::ffi::c_void;
use std::sync::OnceLock;

use opencl_sys::{
    CL_DEVICE_ADDRESS_BITS, CL_DEVICE_AVAILABLE, CL_DEVICE_BUILT_IN_KERNELS, CL_DEVICE_COMPILER_AVAILABLE,
    CL_DEVICE_DOUBLE_FP_CONFIG, CL_DEVICE_ENDIAN_LITTLE, CL_DEVICE_ERROR_CORRECTION_SUPPORT,
    CL_DEVICE_EXECUTION_CAPABILITIES, CL_DEVICE_EXTENSIONS, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE,
    CL_DEVICE_GLOBAL_MEM_CACHE_TYPE, CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE, CL_DEVICE_GLOBAL_MEM_SIZE,
    CL_DEVICE_HALF_FP_CONFIG, CL_DEVICE_HOST_UNIFIED_MEMORY, CL_DEVICE_IMAGE_MAX_ARRAY_SIZE,
    CL_DEVICE_IMAGE_MAX_BUFFER_SIZE, CL_DEVICE_IMAGE_SUPPORT, CL_DEVICE_IMAGE2D_MAX_HEIGHT,
    CL_DEVICE_IMAGE2D_MAX_WIDTH, CL_DEVICE_IMAGE3D_MAX_DEPTH, CL_DEVICE_IMAGE3D_MAX_HEIGHT,
    CL_DEVICE_IMAGE3D_MAX_WIDTH, CL_DEVICE_LINKER_AVAILABLE, CL_DEVICE_LOCAL_MEM_SIZE,
    CL_DEVICE_LOCAL_MEM_TYPE, CL_DEVICE_MAX_CLOCK_FREQUENCY, CL_DEVICE_MAX_COMPUTE_UNITS,
    CL_DEVICE_MAX_CONSTANT_ARGS, CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE, CL_DEVICE_MAX_MEM_ALLOC_SIZE,
    CL_DEVICE_MAX_PARAMETER_SIZE, CL_DEVICE_MAX_READ_IMAGE_ARGS, CL_DEVICE_MAX_SAMPLERS,
    CL_DEVICE_MAX_WORK_GROUP_SIZE, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, CL_DEVICE_MAX_WORK_ITEM_SIZES,
    CL_DEVICE_MAX_WRITE_IMAGE_ARGS, CL_DEVICE_MEM_BASE_ADDR_ALIGN, CL_DEVICE_MIN_DATA_TYPE_ALIGN_SIZE,
    CL_DEVICE_NAME, CL_DEVICE_NATIVE_VECTOR_WIDTH_CHAR, CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE,
    CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF, CL_DEVICE_OPENCL_C_VERSION,
    CL_DEVICE_PARENT_DEVICE, CL_DEVICE_PARTITION_AFFINITY_DOMAIN, CL_DEVICE_PARTITION_MAX_SUB_DEVICES,
    CL_DEVICE_PARTITION_PROPERTIES, CL_DEVICE_PARTITION_TYPE, CL_DEVICE_PLATFORM,
    CL_DEVICE_PREFERRED_INTEROP_USER_SYNC, CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR,
    CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT,
    CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF, CL_DEVICE_PRINTF_BUFFER_SIZE, CL_DEVICE_PROFILE,
    CL_DEVICE_PROFILING_TIMER_RESOLUTION, CL_DEVICE_QUEUE_PROPERTIES, CL_DEVICE_REFERENCE_COUNT,
    CL_DEVICE_SINGLE_FP_CONFIG, CL_DEVICE_TYPE, CL_DEVICE_TYPE_ACCELERATOR, CL_DEVICE_VENDOR,
    CL_DEVICE_VENDOR_ID, CL_DEVICE_VERSION, CL_DRIVER_VERSION, CL_EXEC_KERNEL, CL_FP_INF_NAN,
    CL_FP_ROUND_TO_NEAREST, CL_GLOBAL, CL_INVALID_DEVICE, CL_INVALID_VALUE, CL_NONE,
    CL_QUEUE_PROFILING_ENABLE, cl_device_id, cl_device_info, cl_int,
};

use crate::card::{ALIGNMENT, MAX_BUFFER_BYTES, MEMORY_BYTES, card};
use crate::info::Answer;
use crate::object::{self, Kind, Outcome, Status};
use crate::platform::platform;

struct Device;

impl Kind for Device {
    const TAG: u64 = 0x746d_2d64_6576_6963;
    const INVALID: Status = CL_INVALID_DEVICE;
}

/// The device's handle: it stays to the end of the process.
pub(crate) fn device() -> cl_device_id {
    static HANDLE: OnceLock<usize> = OnceLock::new();
    *HANDLE.get_or_init(|| object::handle(Device) as usize) as cl_device_id
}

pub(crate) unsafe extern "C" fn info(
    device: cl_device_id,
    what: cl_device_info,
    size: usize,
    value: *mut c_void,
    needed: *mut usize,
) -> cl_int {
    let answer = if device == self::device() { answer(what) } else { Err(CL_INVALID_DEVICE) };
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { Answer::give(answer, size, value, needed) }
}

fn answer(what: cl_device_info) -> Outcome<Answer> {
    const TRUE: u32 = 1;
    const FALSE: u32 = 0;
    Ok(match what {
        CL_DEVICE_TYPE => Answer::word(CL_DEVICE_TYPE_ACCELERATOR),
        CL_DEVICE_PLATFORM => Answer::word(platform()),
        CL_DEVICE_NAME => Answer::text(&name()),
        CL_DEVICE_VENDOR => Answer::text("Tilemark"),
        CL_DEVICE_VENDOR_ID => Answer::word(0u32),
        CL_DRIVER_VERSION => Answer::text(env!("CARGO_PKG_VERSION")),
        CL_DEVICE_PROFILE => Answer::text("FULL_PROFILE"),
        CL_DEVICE_VERSION => Answer::text("OpenCL 1.2 tilemark"),
        CL_DEVICE_OPENCL_C_VERSION => Answer::text("OpenCL C 1.2"),
        CL_DEVICE_EXTENSIONS | CL_DEVICE_BUILT_IN_KERNELS => Answer::text(""),
        CL_DEVICE_COMPILER_AVAILABLE | CL_DEVICE_LINKER_AVAILABLE => Answer::word(FALSE),
        CL_DEVICE_AVAILABLE | CL_DEVICE_ENDIAN_LITTLE | CL_DEVICE_PREFERRED_INTEROP_USER_SYNC => {
            Answer::word(TRUE)
        }
        CL_DEVICE_IMAGE_SUPPORT | CL_DEVICE_ERROR_CORRECTION_SUPPORT | CL_DEVICE_HOST_UNIFIED_MEMORY => {
            Answer::word(FALSE)
        }
        CL_DEVICE_GLOBAL_MEM_SIZE => Answer::word(MEMORY_BYTES as u64),
        CL_DEVICE_MAX_MEM_ALLOC_SIZE | CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE => {
            Answer::word(MAX_BUFFER_BYTES as u64)
        }
        CL_DEVICE_LOCAL_MEM_SIZE | CL_DEVICE_GLOBAL_MEM_CACHE_SIZE => Answer::word(0u64),
        CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE => Answer::word(0u32),
        CL_DEVICE_GLOBAL_MEM_CACHE_TYPE => Answer::word(CL_NONE),
        CL_DEVICE_LOCAL_MEM_TYPE => Answer::word(CL_GLOBAL),
        CL_DEVICE_MEM_BASE_ADDR_ALIGN => Answer::word(8 * ALIGNMENT as u32),
        CL_DEVICE_ADDRESS_BITS => Answer::word(32u32),
        CL_DEVICE_MAX_COMPUTE_UNITS | CL_DEVICE_MAX_CONSTANT_ARGS | CL_DEVICE_REFERENCE_COUNT => {
            Answer::word(1u32)
        }
        CL_DEVICE_MAX_CLOCK_FREQUENCY => Answer::word(0u32), // a container states its own
        CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS => Answer::word(3u32),
        CL_DEVICE_MAX_WORK_ITEM_SIZES => Answer::words([1usize; 3]),
        CL_DEVICE_MAX_WORK_GROUP_SIZE => Answer::word(1usize),
        CL_DEVICE_MAX_PARAMETER_SIZE => Answer::word(1024usize),
        CL_DEVICE_PROFILING_TIMER_RESOLUTION => Answer::word(1usize),
        CL_DEVICE_EXECUTION_CAPABILITIES => Answer::word(CL_EXEC_KERNEL),
        CL_DEVICE_QUEUE_PROPERTIES => Answer::word(CL_QUEUE_PROFILING_ENABLE),
        CL_DEVICE_SINGLE_FP_CONFIG => Answer::word(CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN),
        CL_DEVICE_PARENT_DEVICE => Answer::word(0usize),
        CL_DEVICE_PARTITION_MAX_SUB_DEVICES => Answer::word(0u32),
        CL_DEVICE_MIN_DATA_TYPE_ALIGN_SIZE => Answer::word(ALIGNMENT as u32),
        _ => return absent(what),
    })
}

/// What other devices have and loaders ask for: vectors, which are the engine's own business, parts, images, doubles, `printf`.
fn absent(what: cl_device_info) -> Outcome<Answer> {
    Ok(match what {
        CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR..=CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT
        | CL_DEVICE_NATIVE_VECTOR_WIDTH_CHAR..=CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT => Answer::word(1u32),
        CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE
        | CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF
        | CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE
        | CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF
        | CL_DEVICE_MAX_READ_IMAGE_ARGS
        | CL_DEVICE_MAX_WRITE_IMAGE_ARGS
        | CL_DEVICE_MAX_SAMPLERS => Answer::word(0u32),
        CL_DEVICE_DOUBLE_FP_CONFIG | CL_DEVICE_HALF_FP_CONFIG | CL_DEVICE_PARTITION_AFFINITY_DOMAIN => {
            Answer::word(0u64)
        }
        CL_DEVICE_IMAGE2D_MAX_WIDTH
        | CL_DEVICE_IMAGE2D_MAX_HEIGHT
        | CL_DEVICE_IMAGE3D_MAX_WIDTH
        | CL_DEVICE_IMAGE3D_MAX_HEIGHT
        | CL_DEVICE_IMAGE3D_MAX_DEPTH
        | CL_DEVICE_IMAGE_MAX_BUFFER_SIZE
        | CL_DEVICE_IMAGE_MAX_ARRAY_SIZE
        | CL_DEVICE_PRINTF_BUFFER_SIZE => Answer::word(0usize),
        // Lists that end with their first element.
        CL_DEVICE_PARTITION_PROPERTIES | CL_DEVICE_PARTITION_TYPE => Answer::word(0usize),
        _ => return Err(CL_INVALID_VALUE),
    })
}

/// The engine's size, and that it is no card.
pub(crate) fn name() -> String {
    let config = card().config();
    let (lanes, inputs) = (config.lanes, config.peak() / config.lanes);
    format!("Tilemark int8 engine {lanes}x{inputs} of an {} (simulated)", env!("SIMFPGA_PART"))
}
