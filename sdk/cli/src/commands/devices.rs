use serde::Serialize;
use tilemark::{Device, known_answer};

use crate::args::Devices;
use crate::failure::Result;
use crate::text;

/// One device, as the JSON lists it.
#[derive(Serialize)]
pub(super) struct Row {
    id: String,
    kind: String,
    platform: String,
    name: String,
    driver: String,
    /// Whether it gave the known answer.
    passes: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Lists every device and whether it computes right.
pub(crate) fn run(args: &Devices) -> Result<()> {
    Device::host().level().map_err(tilemark::Error::from)?; // TILEMARK_CPU may ask for the impossible
    let rows = list();
    if args.json { text::json(&rows) } else { print(&rows, "") }
}

pub(super) fn list() -> Vec<Row> {
    Device::all().iter().map(row).collect()
}

pub(super) fn print(rows: &[Row], indent: &str) -> Result<()> {
    let head = [format!("{indent}id"), "kind".into(), "name".into(), "driver".into(), "known answer".into()];
    let row = |row: &Row| {
        let answer = row.reason.as_ref().map_or("passes".to_owned(), |reason| format!("FAILS: {reason}"));
        [format!("{indent}{}", row.id), row.kind.clone(), row.name.clone(), row.driver.clone(), answer]
    };
    let cells: Vec<[String; 5]> = std::iter::once(head).chain(rows.iter().map(row)).collect();
    text::table(&cells, &[])
}

fn row(device: &Device) -> Row {
    let answer = known_answer(device);
    Row {
        id: device.id(),
        kind: device.kind().to_string(),
        platform: device.platform(),
        name: device.name(),
        driver: device.driver(),
        passes: answer.is_ok(),
        reason: answer.err().map(|error| error.to_string()),
    }
}
