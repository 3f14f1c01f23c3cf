//! Which OpenCL devices there are, and why there are no more.

use std::sync::{Arc, Mutex, PoisonError};

use opencl3::error_codes::{
    CL_CONTEXT_TERMINATED_KHR, CL_DEVICE_NOT_AVAILABLE, CL_DEVICE_NOT_FOUND,
    CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_OUT_OF_HOST_MEMORY, CL_OUT_OF_RESOURCES,
    DLOPEN_FUNCTION_NOT_AVAILABLE, DLOPEN_RUNTIME_LOAD_FAILED,
};
use opencl3::types::cl_device_id;
use opencl3::{device, platform};
use serde::Serialize;

use super::api::{Call, Fault};
use crate::device::DeviceKind;
use crate::error::Error;

/// What NVIDIA's driver gives for any call after a kernel or the device failed.
const NVIDIA_LOST: i32 = -9999;

/// What a driver says about a device.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Facts {
    /// Number of its platform.
    pub platform_index: usize,
    /// Its number in the platform.
    pub device_index: usize,
    /// The platform's name.
    pub platform: String,
    /// Its class.
    pub kind: DeviceKind,
    /// The hardware's name.
    pub name: String,
    /// The driver's version.
    pub driver: String,
    /// The version of OpenCL.
    pub version: String,
    /// Extensions, all of them.
    pub extensions: Vec<String>,
    /// Bytes of memory.
    pub memory: u64,
    /// Most bytes of one buffer.
    pub max_buffer: u64,
    /// Bytes of local memory of a work-group.
    pub local_memory: u64,
    /// Most work items of a work-group.
    pub max_work_group: usize,
    /// Processors.
    pub compute_units: u32,
    /// Whether programs can be built from source.
    pub has_compiler: bool,
    /// NVIDIA's compute capability.
    pub compute_capability: Option<[u32; 2]>,
    /// Whether its memory is its own, and not the host's: copies to it take time that it can compute in.
    pub has_own_memory: bool,
    /// Whether floats are rounded to nearest.
    pub rounds_to_nearest: bool,
    #[serde(skip)]
    handle: Handle,
}

/// A device's handle: valid for the life of the process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Handle(usize);

/// One platform and its devices, or what stands against it.
#[derive(Clone, Debug)]
pub struct PlatformReport {
    /// Its number.
    pub index: usize,
    /// Its name; empty if it does not say.
    pub name: String,
    /// Its devices.
    pub devices: Vec<Arc<Facts>>,
    /// What is wrong with it, or with devices that are not listed.
    pub problems: Vec<String>,
}

/// All platforms.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The platforms.
    pub platforms: Vec<PlatformReport>,
    /// Why there are none.
    pub problem: Option<String>,
}

impl Survey {
    /// What stands against platforms and devices that are not listed, with their names.
    pub fn problems(&self) -> Vec<String> {
        let of = |platform: &PlatformReport| {
            let name = platform.name.clone();
            platform
                .problems
                .clone()
                .into_iter()
                .map(move |problem| match name.as_str() {
                    "" => format!("a platform without a name: {problem}"),
                    name => format!("platform `{name}`: {problem}"),
                })
                .collect::<Vec<_>>()
        };
        self.problem.iter().cloned().chain(self.platforms.iter().flat_map(of)).collect()
    }

    /// All devices.
    pub fn devices(&self) -> impl Iterator<Item = &Arc<Facts>> {
        self.platforms.iter().flat_map(|platform| &platform.devices)
    }
}

/// Drivers load when they are first asked, and not every one can do that on two threads at once (PoCL 3.1 crashes).
static ASKING: Mutex<()> = Mutex::new(());

/// Asks every driver for its devices.
pub fn survey() -> Survey {
    let _asking = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
    let ids = match platform::platform::get_platform_ids() {
        Ok(ids) => ids,
        // The second: a library without OpenCL's functions.
        Err(DLOPEN_RUNTIME_LOAD_FAILED | DLOPEN_FUNCTION_NOT_AVAILABLE) => {
            let problem = "there is no OpenCL loader (libOpenCL.so.1) on this machine";
            return Survey { problem: Some(problem.to_owned()), ..Survey::default() };
        }
        Err(status) => {
            let fault = Fault { call: "clGetPlatformIDs", status };
            let problem = format!("the OpenCL loader knows no platform: {} ({status})", fault.name());
            return Survey { problem: Some(problem), ..Survey::default() };
        }
    };
    let platforms = ids.into_iter().enumerate().map(|(index, id)| report(index, id)).collect();
    Survey { platforms, problem: None }
}

fn report(index: usize, id: opencl3::types::cl_platform_id) -> PlatformReport {
    let name = platform::platform::get_platform_data(id, platform::platform::CL_PLATFORM_NAME);
    let name = name.map(|bytes| text(&bytes)).unwrap_or_default();
    let mut report = PlatformReport { index, name, devices: Vec::new(), problems: Vec::new() };
    match device::get_device_ids(id, device::CL_DEVICE_TYPE_ALL) {
        Ok(ids) if ids.is_empty() => report.problems.push("it has no devices".to_owned()),
        Ok(ids) => {
            for (device_index, id) in ids.into_iter().enumerate() {
                match facts(&report, device_index, id) {
                    Ok(facts) => report.devices.push(Arc::new(facts)),
                    Err(fault) => report.problems.push(format!(
                        "device {device_index} does not answer: {} gives {}",
                        fault.call,
                        fault.name()
                    )),
                }
            }
        }
        Err(CL_DEVICE_NOT_FOUND) => report.problems.push("it has no devices".to_owned()),
        Err(status) => {
            let fault = Fault { call: "clGetDeviceIDs", status };
            report.problems.push(format!("it does not list devices: {}", fault.name()));
        }
    }
    report
}

fn facts(platform: &PlatformReport, device_index: usize, id: cl_device_id) -> Result<Facts, Fault> {
    let data = |what| device::get_device_data(id, what).of("clGetDeviceInfo");
    let string = |what| data(what).map(|bytes| text(&bytes));
    let number = |what| data(what).map(|bytes| little(&bytes));
    let (name, types) = (string(device::CL_DEVICE_NAME)?, number(device::CL_DEVICE_TYPE)?);
    let extensions = string(device::CL_DEVICE_EXTENSIONS)?;
    let has_compiler = number(device::CL_DEVICE_COMPILER_AVAILABLE)? != 0;
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Facts {
        platform_index: platform.index,
        device_index,
        platform: platform.name.clone(),
        kind: kind(types, &name, has_compiler),
        name,
        driver: string(device::CL_DRIVER_VERSION)?,
        version: string(device::CL_DEVICE_VERSION)?,
        extensions: extensions.split_whitespace().map(str::to_owned).collect(),
        memory: number(device::CL_DEVICE_GLOBAL_MEM_SIZE)?,
        max_buffer: number(device::CL_DEVICE_MAX_MEM_ALLOC_SIZE)?,
        local_memory: number(device::CL_DEVICE_LOCAL_MEM_SIZE)?,
        max_work_group: size(number(device::CL_DEVICE_MAX_WORK_GROUP_SIZE)?),
        compute_units: u32::try_from(number(device::CL_DEVICE_MAX_COMPUTE_UNITS)?).unwrap_or(u32::MAX),
        has_compiler,
        compute_capability: compute_capability(&extensions, id),
        has_own_memory: number(device::CL_DEVICE_HOST_UNIFIED_MEMORY)? == 0,
        rounds_to_nearest: number(device::CL_DEVICE_SINGLE_FP_CONFIG)? & device::CL_FP_ROUND_TO_NEAREST != 0,
        handle: Handle(id as usize),
    })
}

fn compute_capability(extensions: &str, id: cl_device_id) -> Option<[u32; 2]> {
    let says = extensions.split_whitespace().any(|name| name == "cl_nv_device_attribute_query");
    let number = |what| Some(u32::from_le_bytes(device::get_device_data(id, what).ok()?.try_into().ok()?));
    let [major, minor] =
        [device::CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV, device::CL_DEVICE_COMPUTE_CAPABILITY_MINOR_NV];
    if says { Some([number(major)?, number(minor)?]) } else { None }
}

fn kind(types: u64, name: &str, has_compiler: bool) -> DeviceKind {
    let name = name.to_lowercase();
    let is_accelerator = types & device::CL_DEVICE_TYPE_ACCELERATOR != 0;
    if name.contains("fpga") && name.contains("emulation") {
        DeviceKind::FpgaEmulation
    } else if is_accelerator && name.contains("simulated") {
        DeviceKind::FpgaSimulation
    } else if is_accelerator && !has_compiler {
        DeviceKind::Fpga
    } else if types & device::CL_DEVICE_TYPE_GPU != 0 && types & device::CL_DEVICE_TYPE_CPU == 0 {
        DeviceKind::Gpu
    } else if types & device::CL_DEVICE_TYPE_CPU != 0 {
        DeviceKind::Cpu
    } else {
        DeviceKind::Accelerator
    }
}

/// A driver's string: without its end, and without what could confuse a terminal.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end_matches('\0').trim().chars().filter(|c| !c.is_control()).collect()
}

fn little(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

impl Facts {
    /// The name by which `--device` finds it.
    pub fn id(&self) -> String {
        format!("opencl:{}:{}", self.platform_index, self.device_index)
    }

    /// Whether programs come from an app's bitstreams alone: it has no compiler, or one that an FPGA would not have.
    pub fn takes_bitstreams(&self) -> bool {
        let is_fpga = matches!(self.kind, DeviceKind::FpgaEmulation | DeviceKind::FpgaSimulation);
        !self.has_compiler || is_fpga
    }

    /// Whether its driver names this extension.
    pub fn has_extension(&self, name: &str) -> bool {
        self.extensions.iter().any(|extension| extension == name)
    }

    pub(super) fn handle(&self) -> cl_device_id {
        self.handle.0 as cl_device_id
    }

    pub(super) fn fault(&self, fault: Fault) -> Error {
        let (device, name) = (self.id(), fault.name());
        let Fault { call, status } = fault;
        match status {
            CL_MEM_OBJECT_ALLOCATION_FAILURE | CL_OUT_OF_RESOURCES | CL_OUT_OF_HOST_MEMORY => {
                Error::DeviceMemory { device, call, status, name }
            }
            CL_DEVICE_NOT_AVAILABLE | CL_CONTEXT_TERMINATED_KHR | NVIDIA_LOST => {
                Error::DeviceLost { device, call, status, name }
            }
            _ => Error::DeviceFault { device, call, status, name },
        }
    }
}
