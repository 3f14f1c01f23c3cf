//! An OpenCL driver that fails: every call in turn. What comes of it is an error with a code, or the right result; the session can be
//! used again or says what is wrong again; nothing is leaked, nothing panics.
#![allow(unsafe_code, reason = "the shim is a C library")]

use std::ffi::CString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use crate::build::{Case, Random};
use crate::cases;
use tilemark_engine::{Compiled, Device, Error, TuningRecord, TuningStore, survey};
use tilemark_model::graph::eight_bit;
use tilemark_model::{Tensor, reference};
use tilemark_shim as _; // built as a library of its own, too

const CHILD: &str = "TILEMARK_TEST_SHIMMED";
const OUT_OF_RESOURCES: i32 = -5;
const DEVICE_LOST: i32 = -2;

/// The shim, where cargo builds what tests depend on.
fn library() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let library = folder.join("libtilemark_shim.so");
    assert!(library.is_file(), "{} was not built", library.display());
    library
}

/// Controls of the shim that the engine has loaded.
struct Shim {
    arm: unsafe extern "C" fn(i64, i32),
    state: unsafe extern "C" fn(*mut i64, *mut i64),
}

impl Shim {
    fn new() -> Self {
        let path = CString::new(library().into_os_string().into_encoded_bytes()).unwrap();
        // SAFETY: the library is ours, and its functions have these types.
        unsafe {
            let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
            let [arm, state] =
                [c"tm_shim_arm", c"tm_shim_state"].map(|name| libc::dlsym(handle, name.as_ptr()));
            assert!(!arm.is_null() && !state.is_null());
            Self {
                arm: std::mem::transmute::<*mut libc::c_void, unsafe extern "C" fn(i64, i32)>(arm),
                state: std::mem::transmute::<*mut libc::c_void, unsafe extern "C" fn(*mut i64, *mut i64)>(
                    state,
                ),
            }
        }
    }

    fn arm(&self, calls: i64, status: i32) {
        // SAFETY: takes numbers.
        unsafe { (self.arm)(calls, status) }
    }

    /// Objects alive, and whether the armed call is still to come.
    fn state(&self) -> (i64, bool) {
        let (mut live, mut armed) = (0, 0);
        // SAFETY: both are numbers.
        unsafe { (self.state)(&raw mut live, &raw mut armed) };
        (live, armed != 0)
    }
}

/// Keeps nothing, so that everything is timed every time.
#[derive(Debug)]
struct Forgetful;

impl TuningStore for Forgetful {
    fn load(&self) -> TuningRecord {
        TuningRecord::default()
    }

    fn is_writable(&self) -> bool {
        true
    }

    fn add(&self, _: &TuningRecord) {}
}

/// All of a session's life.
fn life(case: &Case, device: &Device, tuned: bool, expected: &[Tensor]) -> Result<(), Error> {
    let graph = Arc::new(case.graph.clone());
    let compiled = match tuned {
        true => Compiled::tuned(graph, device, Arc::new(Forgetful))?,
        false => Compiled::new(graph, device)?,
    };
    let mut session = compiled.session()?;
    let first = session.run(&case.inputs);
    if let Ok(outputs) = &first {
        assert_eq!(outputs, expected);
    }
    // Whatever happened, the session can be used again: the fault is over by now, or comes now.
    let second = session.run(&case.inputs);
    if let Ok(outputs) = &second {
        assert_eq!(outputs, expected);
    }
    assert!(first.is_ok() || second.is_ok(), "{first:?}, then {second:?}");
    let timed = session.run_timed(&case.inputs).map(|(outputs, _)| assert_eq!(outputs, expected));
    first.map(drop).and(second.map(drop)).and(timed)
}

/// Runs after each other with inputs of their own: the next ones are on their way while one runs.
fn stream(
    case: &Case,
    device: &Device,
    requests: &[Vec<Tensor>],
    expected: &[Vec<Tensor>],
) -> Result<(), Error> {
    let mut session = Compiled::new(case.graph.clone(), device)?.session()?;
    let first = session.run_many(requests).map(|answers| assert!(answers == expected, "answers of others"));
    let second = session.run_many(&requests[1..]);
    let second = second.map(|answers| assert!(answers == expected[1..], "answers of others"));
    assert!(first.is_ok() || second.is_ok(), "{first:?}, then {second:?}");
    first.and(second)
}

#[test]
fn every_call_may_fail() {
    if std::env::var_os(CHILD).is_some() {
        return shimmed();
    }
    if survey().devices().next().is_none() {
        println!("skipped: no OpenCL device here");
        let wanted = std::env::var_os("TILEMARK_TEST_OPENCL");
        assert!(wanted.is_none_or(|wanted| wanted == "none"), "there must be one");
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "faults::every_call_may_fail", "--nocapture"]);
    child.env(CHILD, "1").env("OPENCL_DYLIB_PATH", library()).env("TILEMARK_SHIM_MEMORY", "1");
    let child = child.output().unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    println!("{said}{}", String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && said.contains("calls failed in turn"), "{}", child.status);
}

fn shimmed() {
    let shim = Shim::new();
    let facts = survey().devices().next().cloned().unwrap();
    let device = Device::opencl(&facts).with_threads(1).unwrap();
    assert_eq!(shim.state().0, 0, "the survey leaves nothing behind");
    // From nothing: context and programs too, with few of them, since every life builds them anew.
    let conv = cases::all().into_iter().find(|(operation, _)| *operation == "conv");
    let small = conv.unwrap().1.into_iter().next().unwrap();
    let expected = reference::run(&small.graph, small.inputs.clone()).unwrap();
    each_call_fails(&shim, "from nothing", OUT_OF_RESOURCES, || life(&small, &device, false, &expected));
    // With the device open and the programs built, a network with steps on either side.
    let network = cases::network(1);
    let _open = Compiled::new(small.graph.clone(), &device).unwrap();
    let expected = reference::run(&network.graph, network.inputs.clone()).unwrap();
    for (tuned, status) in [(false, OUT_OF_RESOURCES), (false, DEVICE_LOST), (true, OUT_OF_RESOURCES)] {
        let life = || life(&network, &device, tuned, &expected);
        life().unwrap(); // builds what is missing
        each_call_fails(&shim, &format!("tuned: {tuned}"), status, life);
    }
    // Several runs, on a device that the shim says has memory of its own.
    assert!(facts.has_own_memory);
    let mut random = Random(3);
    let request = |_| small.inputs.iter().map(|input| varied(input, &mut random)).collect();
    let requests: Vec<Vec<Tensor>> = (0..5).map(request).collect();
    let answer = |request: &Vec<Tensor>| reference::run(&small.graph, request.clone()).unwrap();
    let answers: Vec<Vec<Tensor>> = requests.iter().map(answer).collect();
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]));
    let stream = || stream(&small, &device, &requests, &answers);
    stream().unwrap();
    each_call_fails(&shim, "streamed", OUT_OF_RESOURCES, stream);
}

/// A tensor of the same shape and type with other bytes.
fn varied(tensor: &Tensor, random: &mut Random) -> Tensor {
    let (lo, _) = tensor.dtype().range().unwrap();
    let data = eight_bit(tensor.dtype(), (0..tensor.len()).map(|_| lo + random.below(256) as i32));
    Tensor::new(tensor.shape(), data).unwrap()
}

/// Lives a session's life once for every call of it, which fails.
fn each_call_fails(shim: &Shim, what: &str, status: i32, life: impl Fn() -> Result<(), Error>) {
    let before = shim.state().0;
    let mut failed = 0;
    for calls in 0.. {
        shim.arm(calls, status);
        let lived = life();
        let (live, armed) = shim.state();
        assert_eq!(live, before, "{what}, call {calls}: objects were leaked");
        match lived {
            Err(error) => {
                assert!(error.code() > "TM0410" && error.code() < "TM0420", "{}: {error}", error.code());
                assert!(!error.hint().is_empty());
                failed += 1;
            }
            Ok(()) if armed => break, // there is no such call
            Ok(()) => {}              // a release, or a variant that was given up
        }
    }
    shim.arm(-1, 0);
    println!("{failed} calls failed in turn ({what}, status {status})");
    assert!(failed > 20);
}
