//! The index: one line an app, in shards, signed by the store's operator. It is for finding apps. What it says is not trusted:
//! whatever is installed comes by its publisher's own listing.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};
use tilemark_bundle::{AppName, AppTarget};

use crate::error::{Error, Result};
use crate::gate::Price;
use crate::listing::Listing;
use crate::metadata::Targets;

/// The newest release of one app.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// `publisher/name`.
    pub app: AppName,
    /// For people.
    pub version: Version,
    /// What is compared.
    pub release: u64,
    /// An SPDX expression.
    pub license: String,
    /// Bytes of the bundle's file.
    pub size: u64,
    /// Device classes that it ships something for. What most rows have is left out of all of them: an index is fetched by everybody.
    #[serde(default = "host_alone", skip_serializing_if = "is_host_alone")]
    pub targets: Vec<String>,
    /// What its bitstreams were built for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub built_for: Vec<AppTarget>,
    /// The oldest SDK that runs it.
    pub min_sdk: Version,
    /// What it is offered for.
    #[serde(default, skip_serializing_if = "is_free")]
    pub price: Price,
    /// `image -> labels`; empty where nothing was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task: String,
    /// Microseconds of a run by device class, as its publisher measured them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub speeds: BTreeMap<String, u64>,
    /// One or two lines.
    pub description: String,
}

#[derive(Deserialize, Serialize)]
struct Shard<Rows> {
    schema: u64,
    apps: Rows,
}

/// Most bytes of a row. What an app was built for and how fast it is are left out of a longer one.
const MAX_ROW_BYTES: usize = 4096;

impl Row {
    /// What everybody's index says of a listing.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what no reader would take.
    pub fn of(listing: &Listing) -> Result<Self> {
        let mut row = Self::whole(listing);
        if row.bytes() > MAX_ROW_BYTES {
            row.built_for.clear();
            row.speeds.clear();
        }
        match row.is_fit() {
            true => Ok(row),
            false => Err(Error::invalid(
                row.app.to_string(),
                "its row of the index is too long or has control characters",
            )),
        }
    }

    fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |bytes| bytes.len())
    }

    /// Whether it takes no more than its part of the index. People look at it, and nobody's manifest has lines of its own in these.
    fn is_fit(&self) -> bool {
        let clean = |text: &String| !text.chars().any(char::is_control);
        let facts =
            self.built_for.iter().flat_map(|AppTarget { target, platform, part }| [target, platform, part]);
        let own = [&self.license, &self.description, &self.task];
        own.into_iter().chain(&self.targets).chain(facts).chain(self.speeds.keys()).all(clean)
            && self.bytes() <= MAX_ROW_BYTES
    }

    fn whole(listing: &Listing) -> Self {
        let contract = listing.contract.as_ref();
        let speeds = contract.into_iter().flat_map(|contract| &contract.speeds);
        Self {
            app: listing.app.clone(),
            version: listing.version.clone(),
            release: listing.release,
            license: listing.license.clone(),
            size: listing.size,
            targets: listing.targets.clone(),
            built_for: contract.map(|contract| contract.app.targets.clone()).unwrap_or_default(),
            min_sdk: listing.min_sdk.clone(),
            price: listing.price,
            task: contract.map(|contract| contract.app.task.clone()).unwrap_or_default(),
            speeds: speeds.map(|speed| (speed.device.clone(), speed.microseconds)).collect(),
            description: listing.description.clone(),
        }
    }
}

fn host_alone() -> Vec<String> {
    vec!["host".to_owned()]
}

fn is_host_alone(targets: &[String]) -> bool {
    matches!(targets, [target] if target == "host")
}

fn is_free(price: &Price) -> bool {
    *price == Price::Free
}

/// Bytes of all shards together.
pub(crate) fn length_of(index: &Targets) -> u64 {
    index.targets.values().fold(0, |sum, file| sum.saturating_add(file.length))
}

pub(crate) fn read(path: &str, bytes: &[u8]) -> Result<Vec<Row>> {
    // Unknown fields are for newer SDKs.
    let shard: Shard<Vec<Row>> = serde_json::from_slice(bytes)
        .map_err(|error| Error::malformed(path, tilemark_bundle::text::excerpt(&error.to_string())))?;
    match shard.schema {
        // One publisher's row is no reason to find nobody's apps.
        1 => Ok(shard.apps.into_iter().filter(Row::is_fit).collect()),
        found => Err(Error::malformed(path, format!("schema {found}, this SDK reads schema 1"))),
    }
}

/// A shard of these rows. If it would be longer than `limit`, which integrators do not read, the publishers with most in it are
/// left out; their names.
pub(crate) fn write(mut rows: Vec<Row>, limit: u64) -> Result<(Vec<u8>, Vec<String>)> {
    rows.sort_by(|a, b| a.app.cmp(&b.app));
    let mut left_out = Vec::new();
    loop {
        let bytes = serde_json::to_vec(&Shard { schema: 1, apps: &rows })
            .map_err(|error| Error::invalid("index", error.to_string()))?;
        if bytes.len() as u64 <= limit {
            return Ok((bytes, left_out));
        }
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &rows {
            *sizes.entry(row.app.publisher()).or_default() += row.bytes();
        }
        let Some((largest, _)) = sizes.into_iter().max_by_key(|(_, size)| *size) else {
            return Err(Error::invalid("index", "no shard is that short"));
        };
        let largest = largest.to_owned();
        rows.retain(|row| row.app.publisher() != largest);
        left_out.push(largest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(app: &str, field: &str, value: serde_json::Value) -> serde_json::Value {
        let mut row = serde_json::json!({ "app": app, "version": "1.0.0", "release": 1, "license": "MIT", "size": 1,
            "targets": ["host"], "min_sdk": "0.1.0", "description": "Names things" });
        row[field] = value;
        row
    }

    fn apps(rows: Vec<serde_json::Value>) -> Vec<String> {
        let shard = serde_json::json!({ "schema": 1, "apps": rows }).to_string();
        read("shard", shard.as_bytes()).unwrap().iter().map(|row| row.app.to_string()).collect()
    }

    #[test]
    fn a_row_that_draws_on_the_terminal_is_left_out_and_no_other() {
        let value = |field: &str, text: &str| match field {
            "targets" => serde_json::json!([text]),
            "speeds" => serde_json::json!({ text: 1 }),
            "built_for" => serde_json::json!([{ "target": text, "platform": "a", "part": "b" }]),
            _ => serde_json::json!(text),
        };
        let other = || row("zeta/b", "size", 2.into());
        for field in ["license", "description", "task", "targets", "speeds", "built_for"] {
            let mine = |text: &str| row("acme/a", field, value(field, text));
            assert_eq!(apps(vec![mine("Names things"), other()]), ["acme/a", "zeta/b"], "{field}");
            for hostile in ["a\nacme/evil  1.0.0", "\u{1b}[2J", "\u{9b}2J", "\r"] {
                assert_eq!(apps(vec![mine(hostile), other()]), ["zeta/b"], "{field}");
            }
        }
        let long = row("acme/a", "description", "long ".repeat(MAX_ROW_BYTES / 5).into());
        assert_eq!(apps(vec![long, other()]), ["zeta/b"]);
    }

    #[test]
    fn a_publisher_that_fills_a_shard_is_left_out_and_no_other() {
        let rows = |names: &[(&str, usize)]| -> Vec<Row> {
            let rows = names.iter().flat_map(|&(publisher, count)| {
                (0..count).map(move |n| row(&format!("{publisher}/app-{n}"), "size", n.into()))
            });
            rows.map(|row| serde_json::from_value(row).unwrap()).collect()
        };
        let all = rows(&[("acme", 2), ("zeta", 50), ("beta", 3)]);
        let (whole, none) = write(all.clone(), 1 << 20).unwrap();
        assert_eq!((read("shard", &whole).unwrap().len(), none), (55, Vec::new()));
        let (bytes, left_out) = write(all, whole.len() as u64 - 1).unwrap();
        assert_eq!((read("shard", &bytes).unwrap().len(), left_out), (5, vec!["zeta".to_owned()]));
        assert!(write(rows(&[("acme", 1)]), 10).is_err());
    }
}
