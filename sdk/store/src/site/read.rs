//! What a site is made of, read and checked as any client does: publishers, their apps, each app's releases.

use std::collections::BTreeMap;

use serde_json::Value;
use tilemark_bundle::{AppName, Digest};

use crate::client::View;
use crate::contract::Reported;
use crate::error::{Error, Result};
use crate::gate::Ruling;
use crate::index::Row;
use crate::layout;
use crate::limits::MAX_LISTING_BYTES;
use crate::listing::{Offer, Signers};
use crate::metadata::{Delegation, Keyring, TargetFile};
use crate::repository::listed_release;
use crate::time;

/// Releases that a page tells of; older ones are counted.
const MAX_RELEASES: usize = 20;

/// A publisher that the store delegates to.
pub(super) struct Publisher {
    pub(super) name: String,
    role: Delegation,
    ring: Keyring,
    /// The operator's delegation on the way to it.
    bin: Delegation,
}

/// An app whose publisher lists it.
pub(super) struct Listed {
    name: AppName,
    signers: Signers,
    /// By release.
    files: BTreeMap<u64, (String, TargetFile)>,
}

/// All that is known of an app.
pub(super) struct App {
    pub(super) row: Row,
    pub(super) offer: Offer,
    pub(super) reports: Vec<Reported>,
    pub(super) ruling: Ruling,
    /// The newest first.
    pub(super) releases: Vec<Release>,
    /// Older ones, which are not in `releases`.
    pub(super) older: usize,
    /// Older ones that no integrator would accept.
    pub(super) refused: Vec<(String, Error)>,
}

/// One release.
pub(super) struct Release {
    pub(super) version: String,
    pub(super) release: u64,
    pub(super) size: u64,
    pub(super) identity: Digest,
    /// When its publisher says that it was offered first.
    pub(super) published: Option<u64>,
}

impl View<'_> {
    /// The publishers, by name. One is wherever a delegation of the operator's leads to a role of its name.
    pub(super) fn publishers(&self) -> Result<Vec<Publisher>> {
        let root = &self.trusted.root;
        let (targets, _) = self.document("targets", &root.roles.targets, &root.keys)?;
        let top = targets.delegations.unwrap_or_default();
        let mut publishers = Vec::new();
        for bin in top.roles {
            if bin.name == layout::INDEX {
                continue;
            }
            let below = match self.document(&bin.name, &bin.keys, &top.keys) {
                Err(Error::NotInSnapshot { .. }) => continue,
                found => found?.0.delegations.unwrap_or_default(),
            };
            for role in below.roles {
                if let Some(name) = role.name.strip_prefix("p.") {
                    let (name, ring, bin) = (name.to_owned(), below.keys.clone(), bin.clone());
                    publishers.push(Publisher { name, role, ring, bin });
                }
            }
        }
        publishers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(publishers)
    }
}

impl Publisher {
    /// What it lists, by name; nothing where nothing was published yet.
    pub(super) fn apps(&self, view: &View<'_>) -> Result<Vec<Listed>> {
        let targets = match view.document(&self.role.name, &self.role.keys, &self.ring) {
            Err(Error::NotInSnapshot { .. }) => return Ok(Vec::new()),
            found => found?.0.targets,
        };
        let signers = Signers::of(&self.role.keys, &self.ring, &self.name, None)?;
        let mut apps: BTreeMap<AppName, Listed> = BTreeMap::new();
        for (path, file) in targets {
            let Some((name, release)) = listed_release(&path) else { continue };
            // Whatever else a publisher writes there, no client is led to it.
            if name.publisher() != self.name || !self.role.is_about(&path) || !self.bin.is_about(&path) {
                continue;
            }
            let app = apps.entry(name.clone()).or_insert_with(|| Listed {
                name,
                signers: signers.clone(),
                files: BTreeMap::new(),
            });
            app.files.insert(release, (path, file));
        }
        Ok(apps.into_values().collect())
    }
}

/// An app's listings as they were fetched, the newest first. Who checks them needs the store no more.
pub(super) struct Fetched {
    listed: Listed,
    files: Vec<(u64, Result<Vec<u8>>)>,
}

impl Listed {
    /// What is shown of it: the newest release, and some before.
    pub(super) fn fetch(self, view: &View<'_>) -> Fetched {
        let newest = self.files.iter().rev().take(MAX_RELEASES);
        let fetch = |(release, (path, file)): (&u64, &(String, TargetFile))| {
            (*release, view.file_once(path, file, MAX_LISTING_BYTES))
        };
        let files = newest.map(fetch).collect();
        Fetched { listed: self, files }
    }
}

impl Fetched {
    /// Its name.
    pub(super) fn name(&self) -> &AppName {
        &self.listed.name
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        self.files.iter().map(|(_, bytes)| bytes.as_ref().map_or(0, Vec::len)).sum()
    }

    /// Checks it: the newest release whole, and what is shown of those before.
    pub(super) fn read(self) -> Result<App> {
        let Listed { name, signers, files } = self.listed;
        let mut newest = None;
        let (mut releases, mut refused) = (Vec::new(), Vec::new());
        for (release, bytes) in self.files {
            let Some((path, file)) = files.get(&release) else { continue };
            let offer =
                match bytes.and_then(|bytes| Offer::read(path, &bytes, &name, release, signers.clone())) {
                    Err(error) if newest.is_some() => {
                        refused.push((path.clone(), of_publisher(error)?));
                        continue;
                    }
                    offer => offer?,
                };
            releases.push(Release {
                version: offer.listing().version.to_string(),
                release,
                size: offer.listing().size,
                identity: offer.listing().identity,
                published: published(file),
            });
            newest.get_or_insert(offer);
        }
        let offer = newest.ok_or_else(|| Error::NotFound { what: name.to_string() })?;
        let older = files.len().saturating_sub(MAX_RELEASES);
        let (row, reports, ruling) = (Row::of(offer.listing())?, offer.reports()?, offer.ruling());
        Ok(App { row, offer, reports, ruling, releases, older, refused })
    }
}

/// The date in what TUF calls a target's custom data.
fn published(file: &TargetFile) -> Option<u64> {
    time::parse(file.custom.as_ref().and_then(|custom| custom.get("published")).and_then(Value::as_str)?)
}

/// An error that is one publisher's, so that the others' pages are made all the same.
///
/// # Errors
/// The error itself where it is of the network or the disk: a site without those apps would say that they were withdrawn.
pub(super) fn of_publisher(error: Error) -> Result<Error> {
    let of_disk = matches!(error, Error::Io { .. });
    if of_disk || error.is_unreachable() { Err(error) } else { Ok(error) }
}
