//! Queues: commands in order, worked off by a thread.

use std::ffi::c_void;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use opencl_sys::{
    CL_COMMAND_BARRIER, CL_COMMAND_MARKER, CL_COMMAND_NDRANGE_KERNEL, CL_COMMAND_READ_BUFFER,
    CL_COMMAND_WRITE_BUFFER, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, CL_FALSE,
    CL_INVALID_COMMAND_QUEUE, CL_INVALID_DEVICE, CL_INVALID_GLOBAL_OFFSET, CL_INVALID_QUEUE_PROPERTIES,
    CL_INVALID_VALUE, CL_INVALID_WORK_DIMENSION, CL_INVALID_WORK_GROUP_SIZE, CL_OUT_OF_RESOURCES,
    CL_QUEUE_CONTEXT, CL_QUEUE_DEVICE, CL_QUEUE_PROFILING_ENABLE, CL_QUEUE_PROPERTIES,
    CL_QUEUE_REFERENCE_COUNT, cl_bool, cl_command_queue, cl_command_queue_info, cl_command_queue_properties,
    cl_command_type, cl_context, cl_device_id, cl_event, cl_int, cl_kernel, cl_mem, cl_uint,
};

use crate::card::{Block, card};
use crate::context::Context;
use crate::device::device;
use crate::event::{Event, Progress, wait_list};
use crate::info::Answer;
use crate::kernel::{Kernel, Launch};
use crate::memory::Buffer;
use crate::object::{self, Kind, Outcome, Status};

/// A queue's value.
pub(crate) struct Queue {
    commands: Mutex<Sender<Command>>,
    properties: cl_command_queue_properties,
}

impl Kind for Queue {
    const TAG: u64 = 0x746d_2d71_7565_7565;
    const INVALID: Status = CL_INVALID_COMMAND_QUEUE;
}

struct Command {
    after: Vec<Arc<Progress>>,
    progress: Arc<Progress>,
    action: Action,
}

enum Action {
    Read { block: Arc<Block>, offset: usize, to: HostBytes },
    Write { block: Arc<Block>, offset: usize, from: HostBytes },
    Run(Launch),
    Nothing,
}

/// Memory of the caller, which keeps it until the command has ended.
struct HostBytes {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: the caller of a command leaves this memory to it until its event says that it has ended: OpenCL's contract.
unsafe impl Send for HostBytes {}

pub(crate) unsafe extern "C" fn create(
    context: cl_context,
    listed: cl_device_id,
    properties: cl_command_queue_properties,
    status: *mut cl_int,
) -> cl_command_queue {
    // SAFETY: the caller keeps OpenCL's contract.
    let made = unsafe { object::value::<Context>(context) }.and_then(|_| {
        if listed != device() {
            return Err(CL_INVALID_DEVICE);
        }
        if properties & !CL_QUEUE_PROFILING_ENABLE != 0 {
            return Err(CL_INVALID_QUEUE_PROPERTIES);
        }
        let (commands, inbox) = channel();
        let thread = std::thread::Builder::new().name("simulated FPGA queue".into());
        // The thread ends with the queue's last handle, when all commands are done.
        thread.spawn(move || work(&inbox)).map_err(|_| CL_OUT_OF_RESOURCES)?;
        Ok(Queue { commands: Mutex::new(commands), properties })
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { object::created(made, status) }
}

fn work(inbox: &Receiver<Command>) {
    while let Ok(Command { after, progress, action }) = inbox.recv() {
        let ready: Outcome = after.iter().try_for_each(|before| before.wait());
        progress.begin();
        let ready = ready.map_err(|_| CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
        progress.end(ready.and_then(|()| action.perform()));
    }
}

impl Action {
    /// When the command began and ended, by the card's clock, on which copies take no time: nothing is simulated between host
    /// and card.
    fn perform(self) -> Outcome<[u64; 2]> {
        match self {
            Action::Read { block, offset, to } => {
                // SAFETY: the caller of the command keeps this memory until its event.
                let bytes = unsafe { std::slice::from_raw_parts_mut(to.start, to.bytes) };
                card().read(&block, offset, bytes)?;
            }
            Action::Write { block, offset, from } => {
                // SAFETY: as above.
                let bytes = unsafe { std::slice::from_raw_parts(from.start, from.bytes) };
                card().write(&block, offset, bytes)?;
            }
            Action::Run(launch) => return launch.perform(),
            Action::Nothing => {}
        }
        Ok([card().now(); 2])
    }
}

impl Queue {
    fn send(&self, after: Vec<Arc<Progress>>, action: Action) -> Outcome<Arc<Progress>> {
        let progress = Progress::new();
        let command = Command { after, progress: Arc::clone(&progress), action };
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.send(command).map_err(|_| CL_OUT_OF_RESOURCES)?;
        Ok(progress)
    }
}

/// What every command is given beside its own arguments.
struct Around {
    queue: cl_command_queue,
    count: cl_uint,
    events: *const cl_event,
    event: *mut cl_event,
}

/// Puts a command into a queue; waits for it if it is to block.
///
/// # Safety
/// Handles and places are those of a caller that keeps OpenCL's contract.
unsafe fn enqueue(
    around: &Around,
    command: cl_command_type,
    is_blocking: bool,
    action: impl FnOnce() -> Outcome<Action>,
) -> cl_int {
    // SAFETY: the caller's promise.
    let outcome = unsafe { object::value::<Queue>(around.queue) }.and_then(|queue| {
        // SAFETY: the caller keeps OpenCL's contract.
        let after = unsafe { wait_list(around.count, around.events) }?;
        let progress = queue.send(after, action()?)?;
        if !around.event.is_null() {
            let is_timed = queue.properties & CL_QUEUE_PROFILING_ENABLE != 0;
            let event = Event { progress: Arc::clone(&progress), command, is_timed };
            // SAFETY: the caller keeps OpenCL's contract.
            unsafe { object::put(around.event, object::handle(event)) };
        }
        if is_blocking { progress.wait() } else { Ok(()) }
    });
    object::status(outcome)
}

pub(crate) unsafe extern "C" fn read(
    queue: cl_command_queue,
    buffer: cl_mem,
    blocking: cl_bool,
    offset: usize,
    size: usize,
    to: *mut c_void,
    count: cl_uint,
    events: *const cl_event,
    event: *mut cl_event,
) -> cl_int {
    let around = Around { queue, count, events, event };
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe {
        enqueue(&around, CL_COMMAND_READ_BUFFER, blocking != CL_FALSE, || {
            let (block, to) = transfer(buffer, offset, size, to)?;
            Ok(Action::Read { block, offset, to })
        })
    }
}

pub(crate) unsafe extern "C" fn write(
    queue: cl_command_queue,
    buffer: cl_mem,
    blocking: cl_bool,
    offset: usize,
    size: usize,
    from: *const c_void,
    count: cl_uint,
    events: *const cl_event,
    event: *mut cl_event,
) -> cl_int {
    let around = Around { queue, count, events, event };
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe {
        enqueue(&around, CL_COMMAND_WRITE_BUFFER, blocking != CL_FALSE, || {
            let (block, from) = transfer(buffer, offset, size, from.cast_mut())?;
            Ok(Action::Write { block, offset, from })
        })
    }
}

/// # Safety
/// The handle is a buffer's or null.
unsafe fn transfer(
    buffer: cl_mem,
    offset: usize,
    size: usize,
    host: *mut c_void,
) -> Outcome<(Arc<Block>, HostBytes)> {
    // SAFETY: the caller's promise.
    let buffer = unsafe { object::value::<Buffer>(buffer) }?;
    buffer.block.part(offset, size)?;
    if host.is_null() || size == 0 {
        return Err(CL_INVALID_VALUE);
    }
    Ok((Arc::clone(&buffer.block), HostBytes { start: host.cast(), bytes: size }))
}

pub(crate) unsafe extern "C" fn launch(
    queue: cl_command_queue,
    kernel: cl_kernel,
    dimensions: cl_uint,
    offsets: *const usize,
    global: *const usize,
    local: *const usize,
    count: cl_uint,
    events: *const cl_event,
    event: *mut cl_event,
) -> cl_int {
    let around = Around { queue, count, events, event };
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe {
        enqueue(&around, CL_COMMAND_NDRANGE_KERNEL, false, || {
            let kernel = object::value::<Kernel>(kernel)?;
            if !(1..=3).contains(&dimensions) {
                return Err(CL_INVALID_WORK_DIMENSION);
            }
            let all = |sizes: *const usize, wanted: usize| {
                sizes.is_null() || (0..dimensions as usize).all(|axis| *sizes.add(axis) == wanted)
            };
            // A single work item: the engine's parallelism is its own.
            if global.is_null() || !all(global, 1) || !all(local, 1) {
                return Err(CL_INVALID_WORK_GROUP_SIZE);
            }
            if !all(offsets, 0) {
                return Err(CL_INVALID_GLOBAL_OFFSET);
            }
            kernel.launch().map(Action::Run)
        })
    }
}

pub(crate) unsafe extern "C" fn marker(
    queue: cl_command_queue,
    count: cl_uint,
    events: *const cl_event,
    event: *mut cl_event,
) -> cl_int {
    let around = Around { queue, count, events, event };
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { enqueue(&around, CL_COMMAND_MARKER, false, || Ok(Action::Nothing)) }
}

pub(crate) unsafe extern "C" fn barrier(
    queue: cl_command_queue,
    count: cl_uint,
    events: *const cl_event,
    event: *mut cl_event,
) -> cl_int {
    let around = Around { queue, count, events, event };
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { enqueue(&around, CL_COMMAND_BARRIER, false, || Ok(Action::Nothing)) }
}

/// Commands are under way as soon as they are enqueued.
pub(crate) unsafe extern "C" fn flush(queue: cl_command_queue) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    object::status(unsafe { object::value::<Queue>(queue) }.map(drop))
}

pub(crate) unsafe extern "C" fn finish(queue: cl_command_queue) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    let outcome = unsafe { object::value::<Queue>(queue) };
    object::status(outcome.and_then(|queue| queue.send(Vec::new(), Action::Nothing)?.wait()))
}

pub(crate) unsafe extern "C" fn info(
    queue: cl_command_queue,
    what: cl_command_queue_info,
    size: usize,
    value: *mut c_void,
    needed: *mut usize,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    let answer = unsafe { object::value::<Queue>(queue) }.and_then(|queue| match what {
        CL_QUEUE_DEVICE => Ok(Answer::word(device())),
        CL_QUEUE_PROPERTIES => Ok(Answer::word(queue.properties)),
        CL_QUEUE_REFERENCE_COUNT => Ok(Answer::word(1u32)),
        CL_QUEUE_CONTEXT => Ok(Answer::word(0usize)),
        _ => Err(CL_INVALID_VALUE),
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { Answer::give(answer, size, value, needed) }
}
