use serde::Serialize;
use tilemark::{Device, TargetFit, known_answer};

use crate::args::Devices;
use crate::drivers::{self, Listed, Listing};
use crate::failure::Result;
use crate::{files, targets, text};

/// One device, as the JSON lists it.
#[derive(Serialize)]
pub(super) struct Row {
    id: String,
    kind: String,
    platform: String,
    name: String,
    driver: String,
    /// Whether it gave the known answers.
    passes: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    opencl: Option<Opencl>,
    /// Of an FPGA, where a bundle was named: what its bitstreams are for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<Vec<TargetFit>>,
}

/// What else there is to say about an OpenCL device.
#[derive(Serialize)]
struct Opencl {
    /// Of OpenCL.
    version: String,
    /// Bytes.
    memory: u64,
    compute_units: u32,
    /// Those that matter to the kernels.
    extensions: Vec<String>,
}

/// Lists every device and whether it computes right.
pub(crate) fn run(args: &Devices) -> Result<()> {
    Device::host().level().map_err(tilemark::Error::from)?; // TILEMARK_CPU may ask for the impossible
    if args.retest {
        drivers::forget();
    }
    let (mut rows, problems) = list();
    if let Some(bundle) = &args.bundle {
        let app = tilemark::open(bundle, &files::trust(args.trust.as_deref())?)?;
        for fits in targets::of(&app) {
            let row = rows.iter_mut().find(|row| row.id == fits.device);
            row.into_iter().for_each(|row| row.targets = Some(fits.targets.clone()));
        }
    }
    if args.json {
        text::json(&rows)?;
    } else {
        print(&rows, "")?;
    }
    if !args.json {
        for (id, targets) in rows.iter().filter_map(|row| Some((&row.id, row.targets.as_ref()?))) {
            text::line(format_args!("{id}: {}", targets::describe(targets)))?;
        }
    }
    problems.iter().for_each(|problem| text::note(format_args!("OpenCL: {problem}")));
    Ok(())
}

/// The devices, and why there are no more.
pub(super) fn list() -> (Vec<Row>, Vec<String>) {
    let spinner = text::spinner("asking the OpenCL drivers");
    let mut listing = Listing::ask();
    listing.test();
    spinner.finish_and_clear();
    let rows = [host()].into_iter().chain(listing.devices.into_iter().map(Row::from)).collect();
    (rows, listing.problems)
}

pub(super) fn print(rows: &[Row], indent: &str) -> Result<()> {
    let head = [format!("{indent}id"), "kind".into(), "name".into(), "driver".into(), "known answer".into()];
    let row = |row: &Row| {
        let word = if row.kind.starts_with("fpga") { "untested" } else { "FAILS" };
        let answer = row.reason.as_ref().map_or("passes".to_owned(), |reason| format!("{word}: {reason}"));
        let driver = match &row.opencl {
            Some(opencl) => {
                format!("{}, driver {}, {}", opencl.version, row.driver, text::bytes(opencl.memory))
            }
            None => row.driver.clone(),
        };
        [format!("{indent}{}", row.id), row.kind.clone(), row.name.clone(), driver, answer]
    };
    let cells: Vec<[String; 5]> = std::iter::once(head).chain(rows.iter().map(row)).collect();
    text::table(&cells, &[])
}

fn host() -> Row {
    let device = Device::host();
    let answer = known_answer(&device);
    Row {
        id: device.id(),
        kind: device.kind().to_string(),
        platform: device.platform(),
        name: device.name(),
        driver: device.driver(),
        passes: answer.is_ok(),
        reason: answer.err().map(|error| error.to_string()),
        opencl: None,
        targets: None,
    }
}

/// Extensions that kernels, queues or copies can use.
const RELEVANT: [&str; 10] = [
    "cl_khr_integer_dot_product",
    "cl_khr_command_buffer",
    "cl_khr_subgroups",
    "cl_khr_subgroup_shuffle",
    "cl_khr_il_program",
    "cl_intel_subgroups",
    "cl_intel_channels",
    "cl_nv_device_attribute_query",
    "cl_arm_integer_dot_product_int8",
    "cl_khr_fp16",
];

impl From<Listed> for Row {
    fn from(listed: Listed) -> Self {
        let Listed { id, kind, platform, name, driver, version, memory, compute_units, .. } = listed;
        let mut extensions = listed.extensions;
        extensions.retain(|extension| RELEVANT.contains(&extension.as_str()));
        let passes = listed.passes == Some(true);
        let opencl = Some(Opencl { version, memory, compute_units, extensions });
        Self { id, kind, platform, name, driver, passes, reason: listed.reason, opencl, targets: None }
    }
}
