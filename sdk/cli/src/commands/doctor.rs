use serde::Serialize;
use tilemark::{Device, Home, KernelInfo, Replay, all_kernels};

use crate::args::Doctor;
use crate::failure::{Failure, Result};
use crate::{files, text};

use super::devices::{self, Row};

/// The JSON of an examination.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    cpu_level: String,
    cpu_level_why: String,
    home: String,
    home_usable: bool,
    devices: Vec<Row>,
    kernels: Vec<KernelInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<Checkup>,
}

/// An app on every device of this machine.
#[derive(Serialize)]
struct Checkup {
    name: String,
    identity: String,
    replays: Vec<Replay>,
}

/// Examines the machine, and an app on it.
pub(crate) fn run(args: &Doctor) -> Result<()> {
    let home = Home::from_env()?;
    let app = match &args.bundle {
        None => None,
        Some(bundle) => Some(tilemark::open(bundle, &files::trust(args.trust.as_deref())?)?),
    };
    let level = Device::host().level().map_err(tilemark::Error::from)?;
    let checkup = app.map(|app| {
        let replays =
            Device::all().iter().map(|device| app.replay(device)).collect::<std::result::Result<_, _>>()?;
        let name = app.manifest().app.name.to_string();
        Ok::<_, Failure>(Checkup { name, identity: app.identity().to_string(), replays })
    });
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        cpu_level: level.to_string(),
        cpu_level_why: Device::host().level_reason(),
        home: home.path().display().to_string(),
        home_usable: home.is_usable(),
        devices: devices::list(),
        kernels: all_kernels().collect(),
        app: checkup.transpose()?,
    };
    if args.json {
        text::json(&report)?
    } else {
        print(&report)?
    }
    let mut replays = report.app.iter().flat_map(|checkup| &checkup.replays);
    match replays.find_map(|replay| replay.check().err()) {
        Some(error) => Err(Failure::Refused(error)),
        None => Ok(()),
    }
}

fn print(report: &Report) -> Result<()> {
    text::line(format_args!("tilemark {}", report.version))?;
    text::line(format_args!("cpu level {}: {}", report.cpu_level, report.cpu_level_why))?;
    let state = if report.home_usable { "usable" } else { "NOT WRITABLE: rollback floors cannot be kept" };
    text::line(format_args!("state in {}: {state}", report.home))?;
    text::line("\ndevices")?;
    devices::print(&report.devices)?;
    text::line("\nkernels")?;
    let rows: Vec<[String; 3]> = report
        .kernels
        .iter()
        .map(|kernel| {
            let state = if kernel.supported { "runs here" } else { "not on this CPU" };
            [kernel.operation.to_owned(), kernel.name.to_owned(), state.to_owned()]
        })
        .collect();
    text::table(&rows, &[])?;
    let Some(app) = &report.app else { return Ok(()) };
    text::line(format_args!("\n{}  {}", app.name, app.identity))?;
    app.replays.iter().try_for_each(|replay| text::line(format_args!("  {}: {replay}", replay.device)))
}
