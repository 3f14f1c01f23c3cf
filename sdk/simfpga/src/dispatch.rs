//! The table by which the loader calls this driver.

use std::sync::OnceLock;

use opencl_sys::cl_icd::cl_icd_dispatch;
use opencl_sys::{CL_INVALID_OPERATION, cl_device_id, cl_int};

use crate::object::{release, retain};
use crate::{context, device, event, kernel, memory, platform, program, queue};

/// What every function that is not in this driver says: no images, no samplers, no mapping, no source.
unsafe extern "C" fn missing() -> cl_int {
    CL_INVALID_OPERATION
}

/// The device is there for good.
unsafe extern "C" fn keep(_device: cl_device_id) -> cl_int {
    opencl_sys::CL_SUCCESS
}

/// The table: it stays to the end of the process.
pub(crate) fn table() -> *const cl_icd_dispatch {
    static TABLE: OnceLock<usize> = OnceLock::new();
    *TABLE.get_or_init(|| Box::into_raw(Box::new(fill(all_missing()))) as usize) as *const cl_icd_dispatch
}

fn all_missing() -> cl_icd_dispatch {
    const SLOTS: usize = size_of::<cl_icd_dispatch>() / size_of::<usize>();
    let slots = [missing as *const () as usize; SLOTS];
    // SAFETY: the table is a list of functions, or of words that stand for none. Called through C's convention, `missing` reads
    // no argument, so that a call with any arguments returns its status; where a handle is expected, what it returns is not
    // zero, and the programs that this driver is for make no such calls.
    unsafe { std::mem::transmute_copy(&slots) }
}

fn fill(mut table: cl_icd_dispatch) -> cl_icd_dispatch {
    table.clGetPlatformIDs = Some(platform::ids);
    table.clGetPlatformInfo = Some(platform::info);
    table.clGetDeviceIDs = Some(platform::devices);
    table.clGetDeviceInfo = Some(device::info);
    table.clRetainDevice = Some(keep);
    table.clReleaseDevice = Some(keep);
    table.clCreateContext = Some(context::create);
    table.clRetainContext = Some(retain::<context::Context>);
    table.clReleaseContext = Some(release::<context::Context>);
    table.clGetContextInfo = Some(context::info);
    table.clCreateCommandQueue = Some(queue::create);
    table.clRetainCommandQueue = Some(retain::<queue::Queue>);
    table.clReleaseCommandQueue = Some(release::<queue::Queue>);
    table.clGetCommandQueueInfo = Some(queue::info);
    table.clCreateBuffer = Some(memory::create);
    table.clRetainMemObject = Some(retain::<memory::Buffer>);
    table.clReleaseMemObject = Some(release::<memory::Buffer>);
    table.clGetMemObjectInfo = Some(memory::info);
    table.clCreateProgramWithSource = Some(program::from_source);
    table.clCreateProgramWithBinary = Some(program::from_binary);
    table.clRetainProgram = Some(retain::<program::Program>);
    table.clReleaseProgram = Some(release::<program::Program>);
    table.clBuildProgram = Some(program::build);
    table.clGetProgramInfo = Some(program::info);
    table.clGetProgramBuildInfo = Some(program::build_info);
    table.clCreateKernel = Some(kernel::create);
    table.clRetainKernel = Some(retain::<kernel::Kernel>);
    table.clReleaseKernel = Some(release::<kernel::Kernel>);
    table.clSetKernelArg = Some(kernel::set_arg);
    table.clGetKernelInfo = Some(kernel::info);
    table.clGetKernelWorkGroupInfo = Some(kernel::work_group_info);
    table.clEnqueueNDRangeKernel = Some(queue::launch);
    table.clEnqueueReadBuffer = Some(queue::read);
    table.clEnqueueWriteBuffer = Some(queue::write);
    table.clEnqueueMarkerWithWaitList = Some(queue::marker);
    table.clEnqueueBarrierWithWaitList = Some(queue::barrier);
    table.clFlush = Some(queue::flush);
    table.clFinish = Some(queue::finish);
    table.clWaitForEvents = Some(event::wait);
    table.clGetEventInfo = Some(event::info);
    table.clGetEventProfilingInfo = Some(event::profiling);
    table.clRetainEvent = Some(retain::<event::Event>);
    table.clReleaseEvent = Some(release::<event::Event>);
    table
}
