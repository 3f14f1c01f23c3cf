//! The index: one line an app, in shards, signed by the store's operator. It is for finding apps. What it says is not trusted:
//! whatever is installed comes by its publisher's own listing.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};
use tilemark_bundle::AppName;

use crate::contract::TargetFacts;
use crate::error::{Error, Result};
use crate::gate::Price;
use crate::listing::Listing;

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
    pub built_for: Vec<TargetFacts>,
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
struct Shard {
    schema: u64,
    apps: Vec<Row>,
}

impl Row {
    pub(crate) fn of(listing: &Listing) -> Self {
        let contract = listing.contract.as_ref();
        let speeds = contract.into_iter().flat_map(|contract| &contract.speeds);
        Self {
            app: listing.app.clone(),
            version: listing.version.clone(),
            release: listing.release,
            license: listing.license.clone(),
            size: listing.size,
            targets: listing.targets.clone(),
            built_for: contract.map(|contract| contract.targets.clone()).unwrap_or_default(),
            min_sdk: listing.min_sdk.clone(),
            price: listing.price,
            task: contract.map(|contract| contract.task.clone()).unwrap_or_default(),
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

pub(crate) fn read(path: &str, bytes: &[u8]) -> Result<Vec<Row>> {
    // Unknown fields are for newer SDKs.
    let shard: Shard = serde_json::from_slice(bytes)
        .map_err(|error| Error::malformed(path, crate::metadata::excerpt(&error.to_string())))?;
    // People look at it, and nobody's manifest has lines of its own in these.
    let clean = |text: &String| !text.chars().any(char::is_control);
    let all = |row: &Row| {
        let facts =
            row.built_for.iter().flat_map(|TargetFacts { target, platform, part }| [target, platform, part]);
        let own = [&row.license, &row.description, &row.task];
        own.into_iter().chain(&row.targets).chain(facts).chain(row.speeds.keys()).all(clean)
    };
    if let Some(row) = shard.apps.iter().find(|row| !all(row)) {
        return Err(Error::malformed(path, format!("{} has control characters", row.app)));
    }
    match shard.schema {
        1 => Ok(shard.apps),
        found => Err(Error::malformed(path, format!("schema {found}, this SDK reads schema 1"))),
    }
}

pub(crate) fn write(mut apps: Vec<Row>) -> Result<Vec<u8>> {
    apps.sort_by(|a, b| a.app.cmp(&b.app));
    serde_json::to_vec(&Shard { schema: 1, apps }).map_err(|error| Error::invalid("index", error.to_string()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_row_that_draws_on_the_terminal_is_refused() {
        let shard = |field: &str, text: &str| {
            let mut row = serde_json::json!({ "app": "acme/a", "version": "1.0.0", "release": 1, "license": "MIT", "size": 1,
                "targets": ["host"], "min_sdk": "0.1.0", "description": "Names things" });
            row[field] = match field {
                "targets" => serde_json::json!([text]),
                "speeds" => serde_json::json!({ text: 1 }),
                "built_for" => serde_json::json!([{ "target": text, "platform": "a", "part": "b" }]),
                _ => serde_json::json!(text),
            };
            super::read("shard", serde_json::json!({ "schema": 1, "apps": [row] }).to_string().as_bytes())
        };
        for field in ["license", "description", "task", "targets", "speeds", "built_for"] {
            assert_eq!(shard(field, "Names things").unwrap().len(), 1);
            for hostile in ["a\nacme/evil  1.0.0", "\u{1b}[2J", "\u{9b}2J", "\r"] {
                assert_eq!(shard(field, hostile).unwrap_err().code(), "TM0810", "{field}");
            }
        }
    }
}
