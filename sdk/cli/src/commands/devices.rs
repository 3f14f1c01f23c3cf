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
    pub(super) passes: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Lists every device and whether it computes right.
pub(crate) fn run(args: &Devices) -> Result<()> {
    let rows = list();
    if args.json {
        return text::json(&rows);
    }
    print(&rows)
}

pub(super) fn list() -> Vec<Row> {
    Device::all().iter().map(row).collect()
}

pub(super) fn print(rows: &[Row]) -> Result<()> {
    let cells: Vec<[String; 4]> = rows
        .iter()
        .map(|row| {
            let answer = match &row.reason {
                None => "passes the known-answer test".to_owned(),
                Some(reason) => format!("FAILS: {reason}"),
            };
            [row.id.clone(), row.kind.clone(), format!("{}, {}", row.name, row.driver), answer]
        })
        .collect();
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
