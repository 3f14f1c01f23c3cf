//! The index: one line an app, in shards, signed by the store's operator. It is for finding apps. What it says is not trusted:
//! whatever is installed comes by its publisher's own listing.

use semver::Version;
use serde::{Deserialize, Serialize};
use tilemark_bundle::AppName;

use crate::error::{Error, Result};
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
    /// Device classes that it ships something for.
    pub targets: Vec<String>,
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
        Self {
            app: listing.app.clone(),
            version: listing.version.clone(),
            release: listing.release,
            license: listing.license.clone(),
            size: listing.size,
            targets: listing.targets.clone(),
            description: listing.description.clone(),
        }
    }

    /// Whether every word of a query is somewhere in its name, description, licence or targets.
    #[must_use]
    pub fn matches(&self, query: &str) -> bool {
        let has = |text: &str, word: &str| text.to_lowercase().contains(word);
        query.to_lowercase().split_whitespace().all(|word| {
            has(self.app.as_str(), word)
                || has(&self.description, word)
                || has(&self.license, word)
                || self.targets.iter().any(|target| has(target, word))
        })
    }
}

pub(crate) fn read(path: &str, bytes: &[u8]) -> Result<Vec<Row>> {
    // Unknown fields are for newer SDKs.
    let shard: Shard = serde_json::from_slice(bytes)
        .map_err(|error| Error::malformed(path, crate::metadata::excerpt(&error.to_string())))?;
    // People look at it, and nobody's manifest has lines of its own in these.
    let clean = |text: &String| !text.chars().any(char::is_control);
    let all = |row: &Row| clean(&row.license) && clean(&row.description) && row.targets.iter().all(clean);
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
        let shard = |description: &str| {
            let row = serde_json::json!({ "app": "acme/a", "version": "1.0.0", "release": 1, "license": "MIT", "size": 1,
                "targets": ["host"], "description": description });
            super::read("shard", serde_json::json!({ "schema": 1, "apps": [row] }).to_string().as_bytes())
        };
        assert_eq!(shard("Names things").unwrap().len(), 1);
        for hostile in ["a\nacme/evil  1.0.0", "\u{1b}[2J", "\u{9b}2J", "\r"] {
            assert_eq!(shard(hostile).unwrap_err().code(), "TM0810");
        }
    }
}
