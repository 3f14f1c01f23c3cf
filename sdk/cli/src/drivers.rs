//! OpenCL drivers, asked where they can do no harm: in another process of this program, under a time limit.
//!
//! A driver may crash or hang when it is asked for its devices, or in the known-answer test, and takes the process with it. So this
//! process loads drivers only after another one has come through: `tilemark drivers` lists devices, `--test` tests one. If the
//! first dies, every driver is asked alone, and this program starts itself again with those that live; which they are is
//! remembered.

mod crash;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tilemark::{Device, DeviceCache, Home, Survey, survey};

use self::crash::{Crash, VENDORS};
use crate::failure::Result;
use crate::text;

/// For a list of devices; usual drivers take a tenth of a second, with cold disks some seconds.
const LISTING: Duration = Duration::from_secs(20);
/// For a known-answer test; compilers of usual drivers take some seconds for its programs.
const TESTING: Duration = Duration::from_secs(180);
/// Bytes that a process may print: its list has some kilobytes for each device.
const MAX_OUTPUT: u64 = 4 * 1024 * 1024;
/// What stands before the answer: drivers print to stdout too.
const MARK: &str = "tilemark-drivers: ";
/// Set where this program was started again with the drivers that live.
const AGAIN: &str = "TILEMARK_DRIVERS_AGAIN";
/// For tests: milliseconds in place of the limits above.
const LIMIT_VARIABLE: &str = "TILEMARK_DRIVERS_MS";

/// The OpenCL devices of this machine and what is wrong with others.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Listing {
    pub(crate) devices: Vec<Listed>,
    pub(crate) problems: Vec<String>,
    /// The drivers that may be loaded, where not all may.
    #[serde(skip)]
    vendors: Option<PathBuf>,
}

/// A device as its driver describes it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) platform: String,
    pub(crate) name: String,
    pub(crate) driver: String,
    pub(crate) version: String,
    pub(crate) extensions: Vec<String>,
    pub(crate) memory: u64,
    pub(crate) compute_units: u32,
    /// Whether it gave the known answers; nothing if that is not known yet.
    pub(crate) passes: Option<bool>,
    /// Why not.
    pub(crate) reason: Option<String>,
}

/// What another process is asked to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Drivers {
    /// Test this device
    #[arg(long, value_name = "ID")]
    test: Option<String>,
    /// Keep that this device failed, for --reason
    #[arg(long, value_name = "ID", requires = "reason")]
    condemn: Option<String>,
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// What the other process does: loads all drivers, and answers on stdout.
pub(crate) fn run(args: &Drivers) -> Result<()> {
    let (survey, cache) = (survey(), cache());
    let mut listing = Listing { problems: survey.problems(), ..Listing::default() };
    for device in survey.devices().map(Device::opencl) {
        let device = keeping(device, cache.as_ref());
        let id = device.id();
        if args.condemn.as_ref() == Some(&id) {
            device.condemn(args.reason.as_deref().unwrap_or_default());
        }
        let tested = args.test.as_ref() == Some(&id);
        let outcome = if tested { Some(tilemark::known_answer(&device)) } else { device.kept_answer() };
        listing.devices.extend(Listed::new(&device, outcome));
    }
    text::paragraph(format_args!("{MARK}{}", serde_json::json!(listing)))
}

impl Listed {
    fn new(device: &Device, outcome: Option<std::result::Result<(), tilemark::EngineError>>) -> Option<Self> {
        let facts = device.facts()?;
        Some(Self {
            id: facts.id(),
            kind: facts.kind.to_string(),
            platform: facts.platform.clone(),
            name: facts.name.clone(),
            driver: facts.driver.clone(),
            version: facts.version.clone(),
            extensions: facts.extensions.clone(),
            memory: facts.memory,
            compute_units: facts.compute_units,
            passes: outcome.as_ref().map(|outcome| outcome.is_ok()),
            reason: outcome.and_then(|outcome| Some(reason(&outcome.err()?))),
        })
    }
}

/// Why a device cannot be used, without its name.
fn reason(error: &tilemark::EngineError) -> String {
    match error {
        tilemark::EngineError::DeviceFails { reason, .. } => reason.clone(),
        tilemark::EngineError::NoBitstream { .. } => {
            "it takes bitstreams alone, and is tested when an app has brought one".to_owned()
        }
        error => error.to_string(),
    }
}

impl Listing {
    /// Asks every driver for its devices, in another process.
    pub(crate) fn ask() -> Self {
        let again = std::env::var_os(AGAIN).is_some();
        if let Some(crash) = if again { None } else { Crash::remembered() } {
            return crash.listing();
        }
        match ask(&[], None, LISTING) {
            Ok(listing) => listing,
            Err(end) if again => Self::failed(&end),
            Err(end) => Crash::find(&end).listing(),
        }
    }

    fn failed(end: &str) -> Self {
        Self {
            problems: vec![format!("the OpenCL drivers {end} when they were asked for devices")],
            ..Self::default()
        }
    }

    /// Tests the devices that were not tested yet, in other processes.
    pub(crate) fn test(&mut self) {
        let vendors = self.vendors.clone();
        for device in self.devices.iter_mut().filter(|device| device.passes.is_none()) {
            *device = test(device.clone(), vendors.as_deref());
        }
    }

    /// The devices, loaded into this process: only after others came through that. Where some drivers must not be loaded, this
    /// program starts again without them.
    fn load(&self) -> Survey {
        match &self.vendors {
            Some(vendors) => {
                start_again(vendors);
                Survey::default() // it could not be started: no device is better than a crash
            }
            None if self.devices.is_empty() => Survey::default(),
            None => survey(),
        }
    }

    fn complain(&self) {
        self.problems.iter().for_each(|problem| text::note(format_args!("OpenCL: {problem}")));
    }
}

/// Forgets what became of drivers and devices: all are asked and tested again.
pub(crate) fn forget() {
    Crash::forget();
    cache().iter().for_each(DeviceCache::clear);
}

/// Where what is learned of devices is kept, if there is a place.
fn cache() -> Option<DeviceCache> {
    Home::from_env().ok().map(|home| home.devices())
}

/// The device, with what is learned of it kept there.
fn keeping(device: Device, cache: Option<&DeviceCache>) -> Device {
    match cache {
        Some(cache) => cache.keeps(device),
        None => device,
    }
}

/// The device of a name, tested: an OpenCL device, or the host.
pub(crate) fn named(word: &str) -> Result<Device> {
    if word == "host" {
        return Ok(Device::host());
    }
    let listing = Listing::ask();
    let found = Device::named(word, &listing.load()).map_err(tilemark::Error::from);
    let found = found.inspect_err(|_| listing.complain())?;
    let mut failed = None;
    for device in found {
        match tested(device) {
            Ok(device) => return Ok(device),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let nothing = || tilemark::EngineError::NoSuchDevice { found: word.to_owned(), known: "host".to_owned() };
    Err(tilemark::Error::from(failed.unwrap_or_else(nothing)).into())
}

/// The graphics processors that give the known answers, the best first.
pub(crate) fn gpus() -> Vec<Device> {
    let listing = Listing::ask();
    if !listing.devices.iter().any(|device| device.kind == "gpu") {
        return Vec::new();
    }
    let usable = |device: Device| {
        let id = device.id();
        tested(device).inspect_err(|error| text::note(format_args!("not {id}: {error}"))).ok()
    };
    Device::gpus(&listing.load()).into_iter().filter_map(usable).collect()
}

/// The FPGAs, which are tested when an app has brought a bitstream.
pub(crate) fn fpgas() -> Vec<Device> {
    let survey = Listing::ask().load();
    survey.devices().filter(|facts| facts.takes_bitstreams()).map(Device::opencl).collect()
}

/// The host, and every OpenCL device that gives the known answers.
pub(crate) fn all() -> Vec<Device> {
    let survey = Listing::ask().load();
    // What takes bitstreams only is used where it is named: a simulation of an FPGA would take minutes here.
    let takes_source = survey.devices().filter(|facts| !facts.takes_bitstreams());
    let usable = takes_source.map(Device::opencl).filter_map(|device| tested(device).ok());
    [Device::host()].into_iter().chain(usable).collect()
}

/// A device that gives the known answers, by what is kept of it or by a test in another process. One that takes bitstreams only is
/// tested when an app has brought one.
fn tested(device: Device) -> std::result::Result<Device, tilemark::EngineError> {
    if device.facts().is_some_and(|facts| facts.takes_bitstreams()) {
        return Ok(device);
    }
    let device = keeping(device, cache().as_ref());
    if let Some(outcome) = device.kept_answer() {
        return outcome.map(|()| device);
    }
    let spinner = text::spinner(format!("testing {}", device.description()));
    let listed = Listed::new(&device, None).map(|listed| test(listed, None));
    spinner.finish_and_clear();
    match listed.and_then(|listed| listed.reason) {
        None => Ok(device),
        Some(reason) => Err(tilemark::EngineError::DeviceFails { device: device.id(), reason }),
    }
}

/// Tests a device in another process. If that dies, so does the device's good name: it is not tried again until it is told to.
fn test(device: Listed, vendors: Option<&Path>) -> Listed {
    match ask(&["--test", &device.id], vendors, TESTING) {
        Ok(listing) => listing.devices.into_iter().find(|other| other.id == device.id).unwrap_or(device),
        Err(end) => {
            let reason = format!("its driver {end} in the known-answer test");
            let _ = ask(&["--condemn", &device.id, "--reason", &reason], vendors, LISTING); // then it is tried next time
            Listed { passes: Some(false), reason: Some(reason), ..device }
        }
    }
}

/// Runs `tilemark drivers`; or what became of it, to follow the driver's name.
fn ask(arguments: &[&str], vendors: Option<&Path>, limit: Duration) -> std::result::Result<Listing, String> {
    let limit = std::env::var(LIMIT_VARIABLE)
        .ok()
        .and_then(|ms| ms.parse().ok())
        .map_or(limit, Duration::from_millis);
    let program = std::env::current_exe().map_err(|error| format!("cannot be asked ({error})"))?;
    let mut command = Command::new(program);
    command.arg("drivers").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(vendors) = vendors {
        command.env(VENDORS, vendors).env(AGAIN, "1");
    }
    let mut child = command.spawn().map_err(|error| format!("cannot be asked ({error})"))?;
    let (sender, answer) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        // Not joined: something that the driver started may hold the pipe open.
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout.take(MAX_OUTPUT)).lines().map_while(std::io::Result::ok);
            let answer = lines.filter_map(|line| line.strip_prefix(MARK).map(str::to_owned)).next();
            let _ = sender.send(answer); // nobody waits for it any more
        });
    }
    let start = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if start.elapsed() < limit => std::thread::sleep(Duration::from_millis(4)),
            _ => {
                let _ = child.kill().and_then(|()| child.wait()); // it may just have ended
                return Err(format!("gave no answer within {} s", limit.as_secs_f32()));
            }
        }
    };
    if !status.success() {
        return Err(ended(status));
    }
    let answer = answer.recv_timeout(Duration::from_secs(1)).ok().flatten();
    answer.and_then(|answer| serde_json::from_str(&answer).ok()).ok_or_else(|| "gave no answer".to_owned())
}

fn ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("crashed (signal {signal})");
    }
    format!("ended the process ({status})")
}

/// A folder with these drivers alone, named after them; `None` if there are none, or no place for it.
fn gather(living: &[PathBuf]) -> Option<PathBuf> {
    let names =
        living.iter().filter_map(|icd| icd.file_stem()).collect::<Vec<_>>().join(&OsString::from("+"));
    if names.is_empty() {
        return None;
    }
    let folder = Home::from_env().ok()?.path().join("drivers").join(names);
    fs::create_dir_all(&folder).ok()?;
    for icd in living {
        fs::copy(icd, folder.join(icd.file_name()?)).ok()?;
    }
    Some(folder)
}

/// Replaces this process by this program with the same arguments and other drivers. Returns if that is impossible.
fn start_again(vendors: &Path) {
    #[cfg(unix)]
    if let Ok(program) = std::env::current_exe() {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(program);
        command.args(std::env::args_os().skip(1)).env(VENDORS, vendors).env(AGAIN, "1");
        let error = command.exec();
        text::note(format_args!("OpenCL: this program cannot be started again: {error}"));
    }
    #[cfg(not(unix))]
    let _ = vendors;
}
