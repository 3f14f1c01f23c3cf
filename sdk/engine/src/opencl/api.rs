//! OpenCL's objects with owners: each is released once, when its owner goes, and a release that fails panics nowhere.
//!
//! opencl3 offers owners too, but theirs panic when a driver refuses a release, so the functions under them are called here.
#![allow(unsafe_code, reason = "OpenCL is a C library; every call and its contract is in this file")]

use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use opencl3::error_codes::{CL_MAP_FAILURE, CL_SUCCESS, ClError};
use opencl3::types::{
    CL_BLOCKING, CL_NON_BLOCKING, cl_command_queue, cl_context, cl_device_id, cl_event, cl_int, cl_kernel,
    cl_mem, cl_program,
};
use opencl3::{command_queue, context, event, kernel, memory, program};

/// A call that the driver refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    /// The function, by OpenCL's name.
    pub(crate) call: &'static str,
    /// Its status.
    pub(crate) status: cl_int,
}

impl Fault {
    /// The status by OpenCL's name for it.
    pub(crate) fn name(&self) -> String {
        ClError(self.status).to_string()
    }
}

/// Names the function in what it returned.
pub(super) trait Call<T> {
    fn of(self, call: &'static str) -> Result<T, Fault>;
}

impl<T> Call<T> for Result<T, cl_int> {
    fn of(self, call: &'static str) -> Result<T, Fault> {
        self.map_err(|status| Fault { call, status })
    }
}

/// An object that `release` gives back.
macro_rules! owner {
    ($(#[$doc:meta])* $name:ident, $handle:ty, $release:path) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name($handle);

        // SAFETY: OpenCL's objects may be used from any thread; only `clSetKernelArg` on one kernel may not run twice at once,
        // and a `Kernel` takes `&mut` for that.
        unsafe impl Send for $name {}
        // SAFETY: as above.
        unsafe impl Sync for $name {}

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: the handle came from the driver, is owned here alone, and is not used again. A driver that
                // refuses to take it back leaves nothing to do.
                let _ = unsafe { $release(self.0) };
            }
        }
    };
}

owner!(
    /// A context of one device.
    Context, cl_context, context::context::release_context
);
owner!(
    /// A queue of commands in order.
    Queue, cl_command_queue, command_queue::release_command_queue
);
owner!(
    /// A built program.
    Program, cl_program, program::release_program
);
owner!(
    /// An entry point of a program with its arguments.
    Kernel, cl_kernel, kernel::release_kernel
);
owner!(
    /// What became of a command.
    Event, cl_event, event::release_event
);
owner!(
    /// Memory of the device.
    Memory, cl_mem, memory::release_mem_object
);

/// Memory of the device and its size.
#[derive(Debug)]
pub(crate) struct Buffer {
    memory: Memory,
    bytes: usize,
}

/// Memory of the host from which copies to the device are quick, since its pages stay where they are.
#[derive(Debug)]
pub(crate) struct Pinned {
    memory: Memory,
    queue: Arc<Queue>,
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: `Pinned` owns its memory like a `Box<[u8]>`, and OpenCL's objects may be used from any thread.
unsafe impl Send for Pinned {}

/// A kernel's argument.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    /// The session's arena.
    Arena,
    /// Constants, shared by sessions.
    Constants(Arc<Buffer>),
    /// A number.
    Int(i32),
    /// A float.
    Float(f32),
    /// A vector of two numbers.
    Int2([i32; 2]),
    /// A vector of four numbers.
    Int4([i32; 4]),
    /// A vector of four floats.
    Float4([f32; 4]),
}

impl Context {
    /// A context of one device.
    pub(crate) fn new(device: cl_device_id) -> Result<Self, Fault> {
        context::context::create_context(&[device], ptr::null(), None, ptr::null_mut())
            .of("clCreateContext")
            .map(Self)
    }

    /// Memory for `bytes` bytes (at least 1), with anything in it.
    pub(crate) fn buffer(&self, bytes: usize) -> Result<Buffer, Fault> {
        // SAFETY: the context is alive, and no host memory is handed over.
        let memory = unsafe {
            memory::create_buffer(self.0, memory::CL_MEM_READ_WRITE, bytes.max(1), ptr::null_mut())
        };
        memory.of("clCreateBuffer").map(|memory| Buffer { memory: Memory(memory), bytes })
    }

    /// Memory that kernels only read, with a copy of `bytes` in it.
    pub(crate) fn constants(&self, bytes: &[u8]) -> Result<Buffer, Fault> {
        let bytes = if bytes.is_empty() { &[0] } else { bytes };
        let flags = memory::CL_MEM_READ_ONLY | memory::CL_MEM_COPY_HOST_PTR;
        // SAFETY: `bytes` is readable for its length during the call, and is copied by it.
        let memory = unsafe {
            memory::create_buffer(self.0, flags, bytes.len(), bytes.as_ptr().cast_mut().cast::<c_void>())
        };
        memory.of("clCreateBuffer").map(|memory| Buffer { memory: Memory(memory), bytes: bytes.len() })
    }

    /// Zeroed memory of the host for copies to the device by `queue`, at least 1 byte of it.
    pub(crate) fn pinned(&self, queue: &Arc<Queue>, bytes: usize) -> Result<Pinned, Fault> {
        let (flags, bytes) = (memory::CL_MEM_READ_WRITE | memory::CL_MEM_ALLOC_HOST_PTR, bytes.max(1));
        // SAFETY: the context is alive, and no host memory is handed over.
        let memory = unsafe { memory::create_buffer(self.0, flags, bytes, ptr::null_mut()) };
        let memory = memory.of("clCreateBuffer").map(Memory)?;
        let mut start = ptr::null_mut();
        let how = memory::CL_MAP_READ | memory::CL_MAP_WRITE;
        // SAFETY: queue and buffer are alive and of one context, and the range is the whole buffer.
        let mapped = unsafe {
            let events = ptr::null();
            command_queue::enqueue_map_buffer(
                queue.0,
                memory.0,
                CL_BLOCKING,
                how,
                0,
                bytes,
                &mut start,
                0,
                events,
            )
        };
        let event = mapped.of("clEnqueueMapBuffer").map(Event)?;
        event.wait()?;
        let nowhere = Fault { call: "clEnqueueMapBuffer", status: CL_MAP_FAILURE };
        let start = NonNull::new(start.cast::<u8>()).filter(|start| start.cast::<u64>().is_aligned());
        let start = start.ok_or(nowhere)?;
        // SAFETY: the driver mapped so many bytes there, for reading and writing.
        unsafe { start.as_ptr().write_bytes(0, bytes) };
        Ok(Pinned { memory, queue: Arc::clone(queue), start, bytes })
    }

    /// A queue in order. With `timed`, its events know when commands began and ended.
    pub(crate) fn queue(&self, device: cl_device_id, timed: bool) -> Result<Queue, Fault> {
        let properties = if timed { command_queue::CL_QUEUE_PROFILING_ENABLE } else { 0 };
        // The call of OpenCL 1.2, which every version still has.
        // SAFETY: context and device are alive and belong together.
        let queue = unsafe { command_queue::create_command_queue(self.0, device, properties) };
        queue.of("clCreateCommandQueue").map(Queue)
    }

    /// A program built from source, or the compiler's words. One string: given several, cl3 0.13.2 passes their lengths for
    /// pointers.
    pub(crate) fn build(
        &self,
        device: cl_device_id,
        source: &str,
        options: &CStr,
    ) -> Result<Result<Program, String>, Fault> {
        let handle =
            program::create_program_with_source(self.0, &[source]).of("clCreateProgramWithSource")?;
        Program(handle).finish_build(device, options)
    }

    /// A program loaded from what [`Program::binary`] gave, or the driver's words.
    pub(crate) fn load(
        &self,
        device: cl_device_id,
        binary: &[u8],
        options: &CStr,
    ) -> Result<Result<Program, String>, Fault> {
        // SAFETY: `binary` is readable for its length during the call.
        let handle = unsafe { program::create_program_with_binary(self.0, &[device], &[binary]) };
        Program(handle.of("clCreateProgramWithBinary")?).finish_build(device, options)
    }
}

impl Program {
    fn finish_build(self, device: cl_device_id, options: &CStr) -> Result<Result<Self, String>, Fault> {
        let built =
            program::build_program(self.0, &[device], options, None, ptr::null_mut()).of("clBuildProgram");
        let Err(fault) = built else { return Ok(Ok(self)) };
        let log = program::get_program_build_data(self.0, device, program::CL_PROGRAM_BUILD_LOG);
        let log = log.map(|log| String::from_utf8_lossy(&log).trim_matches(['\0', ' ', '\n']).to_owned());
        match log {
            Ok(log) if !log.is_empty() => Ok(Err(log)),
            _ => Err(fault),
        }
    }

    /// The program as its driver keeps it.
    pub(crate) fn binary(&self) -> Result<Vec<u8>, Fault> {
        let binaries =
            program::get_program_info(self.0, program::CL_PROGRAM_BINARIES).of("clGetProgramInfo")?;
        Ok(Vec::<Vec<u8>>::from(binaries).into_iter().next().unwrap_or_default())
    }

    /// An entry point.
    pub(crate) fn kernel(&self, entry: &CStr) -> Result<Kernel, Fault> {
        kernel::create_kernel(self.0, entry).of("clCreateKernel").map(Kernel)
    }
}

impl Kernel {
    /// Sets the argument of this number.
    pub(crate) fn set(&mut self, index: u32, arg: &Arg, arena: &Buffer) -> Result<(), Fault> {
        fn bytes<T>(value: &T) -> (usize, *const c_void) {
            (size_of::<T>(), ptr::from_ref(value).cast())
        }
        let (size, value) = match arg {
            Arg::Arena => bytes(&arena.memory.0),
            Arg::Constants(buffer) => bytes(&buffer.memory.0),
            Arg::Int(number) => bytes(number),
            Arg::Float(number) => bytes(number),
            Arg::Int2(numbers) => bytes(numbers),
            Arg::Int4(numbers) => bytes(numbers),
            Arg::Float4(numbers) => bytes(numbers),
        };
        // SAFETY: `value` points to `size` bytes that live through the call.
        unsafe { kernel::set_kernel_arg(self.0, index, size, value) }.of("clSetKernelArg")
    }
}

impl Queue {
    /// Runs a kernel over a grid of work items, in work-groups of `local` or as the driver likes.
    pub(crate) fn launch(
        &self,
        kernel: &Kernel,
        global: [usize; 3],
        local: Option<[usize; 3]>,
    ) -> Result<Event, Fault> {
        let local = local.as_ref().map_or(ptr::null(), |local| local.as_ptr());
        // SAFETY: queue and kernel are alive; the sizes are three numbers each. What the kernel touches is what its arguments
        // name, which their makers keep inside the buffers.
        let event = unsafe {
            let dimensions = 3;
            let (offset, events) = (ptr::null(), ptr::null());
            command_queue::enqueue_nd_range_kernel(
                self.0,
                kernel.0,
                dimensions,
                offset,
                global.as_ptr(),
                local,
                0,
                events,
            )
        };
        event.of("clEnqueueNDRangeKernel").map(Event)
    }

    /// Copies `bytes` to the buffer at `offset`.
    ///
    /// # Safety
    /// `bytes` live and stay as they are until a later command of this queue is known to have ended.
    pub(crate) unsafe fn write(&self, buffer: &Buffer, offset: usize, bytes: &[u8]) -> Result<Event, Fault> {
        assert!(
            offset.checked_add(bytes.len()).is_some_and(|end| end <= buffer.bytes),
            "a write past a buffer's end"
        );
        let from = bytes.as_ptr().cast::<c_void>();
        // SAFETY: the range lies inside the buffer; the caller keeps the bytes.
        let event = unsafe {
            let memory = buffer.memory.0;
            command_queue::enqueue_write_buffer(
                self.0,
                memory,
                CL_NON_BLOCKING,
                offset,
                bytes.len(),
                from,
                0,
                ptr::null(),
            )
        };
        event.of("clEnqueueWriteBuffer").map(Event)
    }

    /// Copies `bytes` bytes from one buffer to another when `after` has ended.
    pub(crate) fn copy(
        &self,
        [from, to]: [&Buffer; 2],
        [from_offset, to_offset]: [usize; 2],
        bytes: usize,
        after: &Event,
    ) -> Result<Event, Fault> {
        let fits =
            |buffer: &Buffer, offset: usize| offset.checked_add(bytes).is_some_and(|end| end <= buffer.bytes);
        assert!(fits(from, from_offset) && fits(to, to_offset), "a copy past a buffer's end");
        // SAFETY: both ranges lie inside their buffers, which are two; the event is alive.
        let event = unsafe {
            let (from, to) = (from.memory.0, to.memory.0);
            command_queue::enqueue_copy_buffer(
                self.0,
                from,
                to,
                from_offset,
                to_offset,
                bytes,
                1,
                ptr::from_ref(&after.0),
            )
        };
        event.of("clEnqueueCopyBuffer").map(Event)
    }

    /// Copies from the buffer at `offset` to `bytes`, and waits for that and all before it.
    pub(crate) fn read(&self, buffer: &Buffer, offset: usize, bytes: &mut [u8]) -> Result<Event, Fault> {
        assert!(
            offset.checked_add(bytes.len()).is_some_and(|end| end <= buffer.bytes),
            "a read past a buffer's end"
        );
        let to = bytes.as_mut_ptr().cast::<c_void>();
        // SAFETY: the range lies inside the buffer, and `bytes` are borrowed until the call, which blocks, has ended.
        let event = unsafe {
            let memory = buffer.memory.0;
            command_queue::enqueue_read_buffer(
                self.0,
                memory,
                CL_BLOCKING,
                offset,
                bytes.len(),
                to,
                0,
                ptr::null(),
            )
        };
        event.of("clEnqueueReadBuffer").map(Event)
    }

    /// Hands the commands to the device.
    pub(crate) fn flush(&self) -> Result<(), Fault> {
        command_queue::flush(self.0).of("clFlush")
    }

    /// Waits until all commands have ended.
    pub(crate) fn finish(&self) -> Result<(), Fault> {
        command_queue::finish(self.0).of("clFinish")
    }
}

impl Event {
    /// Waits until the command has ended, well or not.
    pub(crate) fn wait(&self) -> Result<(), Fault> {
        event::wait_for_events(&[self.0]).of("clWaitForEvents")?;
        let status =
            event::get_event_info(self.0, event::CL_EVENT_COMMAND_EXECUTION_STATUS).of("clGetEventInfo")?;
        match cl_int::from(status) {
            status if status < CL_SUCCESS => Err(Fault { call: "a command", status }),
            _ => Ok(()),
        }
    }

    /// Nanoseconds that the command took, on a queue that is timed. Zero where the driver does not know.
    pub(crate) fn nanoseconds(&self) -> Result<u64, Fault> {
        let at = |moment| {
            event::get_event_profiling_info(self.0, moment).of("clGetEventProfilingInfo").map(u64::from)
        };
        Ok(at(event::CL_PROFILING_COMMAND_END)?.saturating_sub(at(event::CL_PROFILING_COMMAND_START)?))
    }
}

impl Pinned {
    /// Its bytes, exclusively: no copy from here may be under way.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the driver mapped so many bytes there, which are initialized; `&mut self` excludes other access of ours.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let start = self.start.as_ptr().cast::<c_void>();
        // SAFETY: it was mapped there, and is not used again. The queue is in order: copies from here come before.
        let unmapped = unsafe {
            command_queue::enqueue_unmap_mem_object(self.queue.0, self.memory.0, start, 0, ptr::null())
        };
        drop(unmapped.map(Event)); // a driver that refuses leaves nothing to do
        let _ = self.queue.finish();
    }
}
