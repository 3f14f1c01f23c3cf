//! Events: what became of a command, and when by the card's clock.

use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use opencl_sys::{
    CL_COMPLETE, CL_EVENT_COMMAND_EXECUTION_STATUS, CL_EVENT_COMMAND_QUEUE, CL_EVENT_COMMAND_TYPE,
    CL_EVENT_CONTEXT, CL_EVENT_REFERENCE_COUNT, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST,
    CL_INVALID_EVENT, CL_INVALID_EVENT_WAIT_LIST, CL_INVALID_VALUE, CL_PROFILING_COMMAND_END,
    CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_SUBMIT,
    CL_PROFILING_INFO_NOT_AVAILABLE, CL_QUEUED, CL_RUNNING, CL_SUBMITTED, cl_command_type, cl_event,
    cl_event_info, cl_int, cl_profiling_info, cl_uint,
};

use crate::info::Answer;
use crate::object::{self, Kind, Outcome, Status};

/// A command's state, shared by its event and its queue.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// `CL_QUEUED` down to `CL_COMPLETE`, or what went wrong.
    status: cl_int,
    /// Nanoseconds of the card's clock: begun and ended.
    span: [u64; 2],
}

impl Progress {
    pub(crate) fn new() -> Arc<Self> {
        let state = State { status: CL_QUEUED, span: [0; 2] };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue's thread has taken the command up.
    pub(crate) fn begin(&self) {
        self.set(State { status: CL_RUNNING, span: [0; 2] });
    }

    /// The command has ended: with the card's times, or badly.
    pub(crate) fn end(&self, outcome: Outcome<[u64; 2]>) {
        self.set(match outcome {
            Ok(span) => State { status: CL_COMPLETE, span },
            Err(status) => State { status, span: [0; 2] },
        });
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.changed.notify_all();
    }

    /// Waits for the end.
    pub(crate) fn wait(&self) -> Outcome {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.changed.wait_while(state, |state| state.status > CL_COMPLETE);
        match ended.unwrap_or_else(PoisonError::into_inner).status {
            status if status < 0 => Err(status),
            _ => Ok(()),
        }
    }
}

/// An event's value.
pub(crate) struct Event {
    pub(crate) progress: Arc<Progress>,
    pub(crate) command: cl_command_type,
    pub(crate) is_timed: bool,
}

impl Kind for Event {
    const TAG: u64 = 0x746d_2d65_7665_6e74;
    const INVALID: Status = CL_INVALID_EVENT;
}

/// The commands that a command waits for.
///
/// # Safety
/// `events` points to `count` handles.
pub(crate) unsafe fn wait_list(count: cl_uint, events: *const cl_event) -> Outcome<Vec<Arc<Progress>>> {
    if (count == 0) != events.is_null() {
        return Err(CL_INVALID_EVENT_WAIT_LIST);
    }
    let progress = |at| {
        // SAFETY: the caller's promise.
        let event = unsafe { object::value::<Event>(*events.add(at)) };
        event.map(|event| Arc::clone(&event.progress)).map_err(|_| CL_INVALID_EVENT_WAIT_LIST)
    };
    (0..count as usize).map(progress).collect()
}

pub(crate) unsafe extern "C" fn wait(count: cl_uint, events: *const cl_event) -> cl_int {
    if count == 0 || events.is_null() {
        return CL_INVALID_VALUE;
    }
    // SAFETY: the caller keeps OpenCL's contract.
    object::status(unsafe { wait_list(count, events) }.map_err(|_| CL_INVALID_EVENT).and_then(|events| {
        // All of them end before the first failure is told.
        let ended: Vec<Outcome> = events.iter().map(|progress| progress.wait()).collect();
        ended.into_iter().collect::<Outcome>().map_err(|_| CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
    }))
}

pub(crate) unsafe extern "C" fn info(
    event: cl_event,
    what: cl_event_info,
    size: usize,
    value: *mut c_void,
    needed: *mut usize,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    let answer = unsafe { object::value::<Event>(event) }.and_then(|event| match what {
        CL_EVENT_COMMAND_EXECUTION_STATUS => Ok(Answer::word(event.progress.state().status)),
        CL_EVENT_COMMAND_TYPE => Ok(Answer::word(event.command)),
        CL_EVENT_REFERENCE_COUNT => Ok(Answer::word(1u32)),
        CL_EVENT_COMMAND_QUEUE | CL_EVENT_CONTEXT => Ok(Answer::word(0usize)),
        _ => Err(CL_INVALID_VALUE),
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { Answer::give(answer, size, value, needed) }
}

pub(crate) unsafe extern "C" fn profiling(
    event: cl_event,
    what: cl_profiling_info,
    size: usize,
    value: *mut c_void,
    needed: *mut usize,
) -> cl_int {
    // SAFETY: the caller keeps OpenCL's contract.
    let answer = unsafe { object::value::<Event>(event) }.and_then(|event| {
        let State { status, span: [start, end] } = event.progress.state();
        if !event.is_timed || status != CL_COMPLETE {
            return Err(CL_PROFILING_INFO_NOT_AVAILABLE);
        }
        match what {
            CL_PROFILING_COMMAND_QUEUED | CL_PROFILING_COMMAND_SUBMIT | CL_PROFILING_COMMAND_START => {
                Ok(Answer::word(start))
            }
            CL_PROFILING_COMMAND_END => Ok(Answer::word(end)),
            _ => Err(CL_INVALID_VALUE),
        }
    });
    // SAFETY: the caller keeps OpenCL's contract.
    unsafe { Answer::give(answer, size, value, needed) }
}

const _: () = assert!(CL_QUEUED > CL_SUBMITTED && CL_SUBMITTED > CL_RUNNING && CL_RUNNING > CL_COMPLETE);
