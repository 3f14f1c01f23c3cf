use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tilemark::{
    App, CpuLevel, Device, DeviceCacheState, Home, KernelInfo, Replay, Tuning, TuningState, all_kernels,
};

use crate::args::Doctor;
use crate::drivers;
use crate::failure::{Failure, Result};
use crate::{files, text};

use super::devices::{self, Row};

/// The JSON of an examination.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    cpu_level: String,
    /// The level with what was found below it.
    cpu_flavour: &'static str,
    cpu_level_why: String,
    levels: Vec<Level>,
    home: String,
    home_usable: bool,
    tuning: Measurements,
    devices: Vec<Row>,
    /// Why there are no more.
    device_problems: Vec<String>,
    /// What is kept of OpenCL devices.
    device_cache: DeviceCacheState,
    kernels: Vec<KernelInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<Checkup>,
}

/// How kernels are timed, and what is kept of it.
#[derive(Serialize)]
struct Measurements {
    /// Milliseconds that timing may take for an app; `None` if it is off.
    budget_ms: Option<f64>,
    #[serde(flatten)]
    kept: TuningState,
}

/// A level of the host.
#[derive(Serialize)]
struct Level {
    level: CpuLevel,
    in_use: bool,
    /// Whether this CPU can run it, and the operating system lets it.
    supported: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    obstacle: Option<String>,
    /// Whether this build has kernels for it.
    built: bool,
}

/// An app on every device of this machine.
#[derive(Serialize)]
struct Checkup {
    name: String,
    identity: String,
    replays: Vec<Replay>,
    chosen: Vec<Chosen>,
}

/// A kernel that the host's plan uses.
#[derive(Default, Serialize)]
struct Chosen {
    kernel: String,
    steps: usize,
    macs: u64,
    why: BTreeSet<String>,
}

/// Examines the machine, and an app on it.
pub(crate) fn run(args: &Doctor) -> Result<()> {
    let home = Home::from_env()?;
    let level = Device::host().level().map_err(tilemark::Error::from)?;
    let tuning = Device::host().tuning().map_err(tilemark::Error::from)?;
    let app = match &args.bundle {
        None => None,
        Some(bundle) => Some(checkup(&tilemark::open(bundle, &files::trust(args.trust.as_deref())?)?)?),
    };
    let (devices, device_problems) = devices::list();
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        cpu_level: level.to_string(),
        cpu_flavour: level.flavour(),
        cpu_level_why: Device::host().level_reason(),
        levels: CpuLevel::ALL.into_iter().map(|other| Level::of(other, level)).collect(),
        home: home.path().display().to_string(),
        home_usable: home.is_usable(),
        tuning: Measurements::new(tuning, home.tuning().state()),
        devices,
        device_problems,
        device_cache: home.devices().state(),
        kernels: all_kernels().collect(),
        app,
    };
    text::unless_closed(if args.json { text::json(&report) } else { print(&report) })?;
    let mut replays = report.app.iter().flat_map(|checkup| &checkup.replays);
    match replays.find_map(|replay| replay.check().err()) {
        Some(error) => Err(Failure::Reported(error)),
        None => Ok(()),
    }
}

fn checkup(app: &App) -> Result<Checkup> {
    let devices = drivers::all();
    let plan = app.session(Device::host())?.plan()?;
    let mut chosen = BTreeMap::<&str, Chosen>::new();
    for step in plan.steps() {
        let kernel = chosen.entry(&step.kernel).or_default();
        kernel.kernel.clone_from(&step.kernel);
        kernel.steps += 1;
        kernel.macs += step.macs;
        kernel.why.insert(step.why.clone());
    }
    Ok(Checkup {
        name: app.manifest().app.name.to_string(),
        identity: app.identity().to_string(),
        replays: devices.iter().map(|device| app.replay(device)).collect::<std::result::Result<_, _>>()?,
        chosen: chosen.into_values().collect(),
    })
}

fn print(report: &Report) -> Result<()> {
    text::line(format_args!("tilemark   {}", report.version))?;
    let state = if report.home_usable { "usable" } else { "NOT WRITABLE: rollback floors cannot be kept" };
    text::line(format_args!("state      {}, {state}", report.home))?;
    text::line(format_args!("tuning     {}", report.tuning))?;
    text::line(format_args!("cpu level  {}, {}", report.cpu_flavour, report.cpu_level_why))?;
    let levels: Vec<_> =
        report.levels.iter().map(|l| [format!("  {}", l.level), l.state().to_owned()]).collect();
    text::table(&levels, &[])?;
    text::line("devices")?;
    devices::print(&report.devices, "  ")?;
    report.device_problems.iter().try_for_each(|problem| text::line(format_args!("  OpenCL: {problem}")))?;
    text::line(format_args!("device cache {}", Cache(&report.device_cache)))?;
    text::line("kernels of this build; those in brackets need another CPU")?;
    text::table(&kernels(&report.kernels), &[])?;
    report.app.as_ref().map_or(Ok(()), print_app)
}

/// One row an operation, with its levels.
fn kernels(kernels: &[KernelInfo]) -> Vec<[String; 2]> {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut seen = BTreeSet::new();
    for kernel in kernels.iter().filter(|kernel| seen.insert((kernel.operation, kernel.level))) {
        let operation = format!("  {}", kernel.operation);
        let variant = if kernel.supported { kernel.level.to_string() } else { format!("({})", kernel.level) };
        match rows.last_mut().filter(|[name, _]| *name == operation) {
            Some([_, variants]) => *variants += &format!(", {variant}"),
            None => rows.push([operation, variant]),
        }
    }
    rows
}

fn print_app(app: &Checkup) -> Result<()> {
    text::line(format_args!("app        {}", app.name))?;
    text::line(format_args!("  identity {}", app.identity))?;
    for replay in &app.replays {
        text::line(format_args!("  replay   {replay}"))?;
    }
    let head = ["  kernel", "steps", "MACs", "why"].map(str::to_owned);
    let row = |kernel: &Chosen| {
        let why: Vec<&str> = kernel.why.iter().map(String::as_str).collect();
        let name = format!("  {}", kernel.kernel);
        [name, kernel.steps.to_string(), text::count(kernel.macs), why.join("; ")]
    };
    let rows: Vec<_> = std::iter::once(head).chain(app.chosen.iter().map(row)).collect();
    text::table(&rows, &[1, 2])
}

impl Measurements {
    fn new(tuning: Tuning, kept: TuningState) -> Self {
        let budget_ms = match tuning {
            Tuning::Off => None,
            Tuning::Within(budget) => Some(1e3 * budget.as_secs_f64()),
        };
        Self { budget_ms, kept }
    }
}

impl std::fmt::Display for Measurements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { budget_ms, kept } = self;
        let TuningState { models, layers, unusable, .. } = kept;
        match budget_ms {
            None => return f.write_str("off (TILEMARK_TUNE): kernels are chosen by prediction"),
            Some(_) if !kept.is_writable => {
                let folder = kept.folder.display();
                return write!(f, "NOT KEPT, {folder} cannot be written: kernels are chosen by prediction");
            }
            Some(ms) => write!(f, "{} layers of {} plans measured, {ms} ms for a new one", layers, models)?,
        }
        if *unusable > 0 {
            write!(f, "; {unusable} files of other versions or damaged are not used")?;
        }
        write!(f, "; {}", kept.folder.display())
    }
}

/// What is kept of OpenCL devices, for people.
struct Cache<'a>(&'a DeviceCacheState);

impl std::fmt::Display for Cache<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let DeviceCacheState { folder, is_writable, entries, bytes, unusable } = self.0;
        let folder = folder.display();
        if !is_writable {
            return write!(f, "NOT KEPT, {folder} cannot be written: programs are built at every start");
        }
        write!(f, "{entries} known answers and programs, {}", text::bytes(*bytes))?;
        if *unusable > 0 {
            write!(f, "; {unusable} files of other versions or damaged are not used")?;
        }
        write!(f, "; {folder}")
    }
}

impl Level {
    fn of(level: CpuLevel, in_use: CpuLevel) -> Self {
        let (obstacle, built) = (level.obstacle(), level.has_kernels());
        Self { level, in_use: level == in_use, supported: obstacle.is_none(), obstacle, built }
    }

    fn state(&self) -> &str {
        match self {
            Self { in_use: true, .. } => "in use",
            Self { obstacle: Some(obstacle), .. } => obstacle,
            Self { built: false, .. } => "this CPU has it, this build has no kernels for it",
            _ => "usable",
        }
    }
}
