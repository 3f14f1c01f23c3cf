//! What integrators look for, and what they are shown of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tilemark::text::milliseconds;
use tilemark::{AppPort, Device};
use tilemark_store::{Contract, Hardware, Offer, Query, Reported, Row};

use super::{look, open};
use crate::args::store::{FindSubstitute, Info, Search};
use crate::failure::{Failure, Result};
use crate::{drivers, files, text};

/// Any device of this machine.
const HERE: &str = "here";

pub(super) fn search(args: &Search) -> Result<()> {
    let query = query(args)?;
    let store = open(&args.of.named)?;
    let view = look(&store, args.offline)?;
    print(&view.search(&query)?, args.of.json)
}

/// Listings that are looked at for one substitute, at most.
const MOST_CANDIDATES: usize = 500;

/// So many of the rows, one of every publisher in turn: nobody's many apps keep another one's from being looked at.
fn in_turn(rows: Vec<Row>, most: usize) -> Vec<Row> {
    let mut turns: BTreeMap<String, usize> = BTreeMap::new();
    let mut numbered: Vec<(usize, Row)> = rows
        .into_iter()
        .map(|row| {
            let turn = turns.entry(row.app.publisher().to_owned()).or_default();
            *turn += 1;
            (*turn, row)
        })
        .collect();
    numbered.sort_by_key(|(turn, _)| *turn);
    numbered.into_iter().take(most).map(|(_, row)| row).collect()
}

/// Finds apps of the same contract by their publishers' own listings: the index alone does not know classes and shapes.
pub(super) fn substitute(args: &FindSubstitute) -> Result<()> {
    let app = tilemark::open(&args.bundle, &files::trust(args.trust.as_deref())?)?;
    let wanted = app.contract()?;
    let store = open(&args.of.named)?;
    let view = look(&store, args.offline)?;
    let query = Query::parse([wanted.task.as_str()])?.runs_on(vec![hardware(&Device::host())]);
    let mut rows = view.search(&query)?;
    rows.retain(|row| row.app != app.manifest().app.name);
    if rows.len() > MOST_CANDIDATES {
        text::note(format_args!(
            "{} apps do {}; {MOST_CANDIDATES} are looked at, of each publisher as many",
            rows.len(),
            wanted.task
        ));
    }
    let mut found = Vec::new();
    for row in in_turn(rows, MOST_CANDIDATES) {
        let listed = view.offer(&row.app, Some(row.release)).and_then(|offer| {
            let contract = offer.listing().contract.as_ref();
            let same = contract.is_some_and(|contract| contract.app.is_equal_to(&wanted));
            // What is shown is the publisher's word: the operator's may be another one.
            same.then(|| Row::of(offer.listing())).transpose()
        });
        match listed {
            Ok(listed) => found.extend(listed.filter(|row| query.accepts(row))),
            // Others may do.
            Err(error) => text::note(format_args!("{}: {error}", row.app)),
        }
    }
    found.sort_by(|a, b| a.app.cmp(&b.app));
    print(&found, args.of.json)
}

fn print(found: &[Row], as_json: bool) -> Result<()> {
    if as_json {
        return text::json(&found);
    }
    let row = |row: &Row| {
        let (license, price, task) = (row.license.clone(), row.price.to_string(), row.task.clone());
        let (app, version, size) = (row.app.to_string(), row.version.to_string(), text::bytes(row.size));
        [app, version, size, license, price, task, row.description.clone()]
    };
    text::table(&found.iter().map(row).collect::<Vec<_>>(), &[2])?;
    if found.is_empty() {
        text::note("nothing found");
    }
    Ok(())
}

fn query(args: &Search) -> Result<Query> {
    let mut query = Query::parse(args.words.iter().map(String::as_str))?;
    if let Some(word) = &args.runs_on {
        let devices = match word == HERE {
            true => [drivers::all(), drivers::fpgas()].concat(),
            false => vec![drivers::named(word)?],
        };
        query = query.runs_on(devices.iter().map(hardware).collect());
    }
    if let Some(ms) = args.max_ms {
        if !(ms > 0.0 && ms <= 1e9) {
            return Err(Failure::usage(format!("--max-ms {ms}"), "give milliseconds, more than 0"));
        }
        query = query.within((ms * 1e3) as u64);
    }
    if let Some(license) = &args.license {
        query = query.under(license)?;
    }
    Ok(args.price.map_or(query.clone(), |price| query.at(price.into())))
}

/// A device as stores know devices: by what it takes.
pub(super) fn hardware(device: &Device) -> Hardware {
    match device.facts() {
        None => Hardware::Source { class: "host".to_owned() },
        Some(facts) if facts.takes_bitstreams() => {
            Hardware::Bitstream { platform: facts.platform.clone(), name: facts.name.clone() }
        }
        Some(facts) => Hardware::Source { class: format!("opencl-{}", facts.kind) },
    }
}

pub(super) fn info(args: &Info) -> Result<()> {
    let store = open(&args.of.named)?;
    let view = look(&store, args.offline)?;
    let offer = view.offer(&args.app, args.release)?;
    let (listing, freshness) = (offer.listing(), view.freshness());
    let (ruling, reports) = (offer.ruling(), offer.reports()?);
    if args.of.json {
        let mut shown = json!(listing);
        if let Value::Object(fields) = &mut shown {
            fields.remove("envelope"); // base64 for machines that read the listing itself
            fields.insert("duties".into(), json!(ruling.duties));
            fields.insert("reports".into(), json!(reports));
            fields.insert("releases".into(), json!(view.releases(&args.app)?));
            fields.insert("freshness".into(), json!(freshness.describe()));
        }
        return text::json(&shown);
    }
    let releases: Vec<String> = view.releases(&args.app)?.iter().map(u64::to_string).collect();
    let line = |name: &str, text: String| [name.to_owned(), text];
    let mut rows = vec![
        line("app", listing.app.to_string()),
        line("version", format!("{}, release {}", listing.version, listing.release)),
        line("releases", releases.join(", ")),
        line("description", listing.description.clone()),
        line("license", listing.license.clone()),
        line("price", listing.price.to_string()),
    ];
    rows.extend(ruling.duties.iter().map(|duty| line("duty", duty.to_string())));
    rows.extend(of_contract(&offer, &reports));
    let size = format!("{} in {}", text::bytes(listing.size), text::plural(listing.blobs.len(), "blob"));
    rows.extend([
        line("targets", listing.targets.join(", ")),
        line("size", size),
        line("identity", listing.identity.to_string()),
        line("store", freshness.describe()),
    ]);
    text::table(&rows, &[])
}

/// What the app does, how fast, and what was said of its quality.
fn of_contract(offer: &Offer, reports: &[Reported]) -> Vec<[String; 2]> {
    let line = |name: &str, text: String| [name.to_owned(), text];
    let Some(contract) = &offer.listing().contract else { return Vec::new() };
    let mut rows = vec![line("task", contract.app.task.clone())];
    rows.extend(contract.app.inputs.iter().map(|port| line("input", end(port))));
    rows.extend(contract.app.outputs.iter().map(|port| line("output", end(port))));
    for speed in &contract.speeds {
        rows.push(line(
            "speed",
            format!("{} on {}: {}", milliseconds(speed.microseconds), speed.device, speed.name),
        ));
    }
    for report in reports {
        let by = match report.by_publisher {
            true => "signed by the publisher".to_owned(),
            false => format!("by key {}, which nobody checked", report.unchecked.join(", ")),
        };
        let (samples, counts) = (text::count(report.samples), report.counts.join(", "));
        let whose = &report.whose;
        rows.push(line(
            "report",
            format!("{}: {counts}; {samples} samples of the {whose}'s, {by}", report.metric),
        ));
    }
    rows
}

fn end(port: &AppPort) -> String {
    let length = |length: &u64| if *length == 0 { "any".to_owned() } else { length.to_string() };
    let shape: Vec<String> = port.shape.iter().map(length).collect();
    let range = port.range.map(|[least, most]| format!(", {least} to {most}")).unwrap_or_default();
    let classes = port.classes.map(|classes| format!(", classes {classes}")).unwrap_or_default();
    text::shorten_digests(&format!("{} {}[{}]{range}{classes}", port.name, port.dtype, shape.join(", ")))
}

/// The measured times in one line.
pub(super) fn speeds(contract: &Contract) -> String {
    let speed =
        |speed: &tilemark_store::Speed| format!("{} on {}", milliseconds(speed.microseconds), speed.device);
    let all: Vec<String> = contract.speeds.iter().map(speed).collect();
    if all.is_empty() { "not measured".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_publishers_many_apps_keep_no_other_out() {
        let row = |app: String| -> Row {
            serde_json::from_value(
                json!({ "app": app, "version": "1.0.0", "release": 1, "license": "MIT", "size": 1,
                "min_sdk": "0.1.0", "description": "" }),
            )
            .unwrap()
        };
        let rows = |names: Vec<String>| names.into_iter().map(row).collect::<Vec<_>>();
        let many = (0..600).map(|n| format!("acme/app-{n}")).chain(["zeta/a", "zeta/b"].map(str::to_owned));
        let taken = in_turn(rows(many.collect()), MOST_CANDIDATES);
        assert_eq!(taken.len(), MOST_CANDIDATES);
        let zetas = taken.iter().filter(|row| row.app.publisher() == "zeta").count();
        assert_eq!((zetas, taken[1].app.as_str()), (2, "zeta/a"));
    }
}
