//! A store as a web site: static pages of what its verified catalogue offers.
//!
//! Everything is read as any client reads it, and checked before a word of it is written. The pages need no server, ask no
//! network, and are readable without scripts. The same catalogue gives the same bytes. What a page of a listing says follows
//! from its publisher's documents alone, so that a refresh of the store rewrites few files: how old the catalogue is, is in one
//! of them (`data/state.js`) and on the first page.

mod catalogue;
mod data;
mod folder;
mod listing;
mod page;
mod plots;
mod quality;
mod read;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tilemark_bundle::AppName;

use crate::client::View;
use crate::error::{Error, Result};
use crate::index::Row;
use crate::transport;

use folder::Folder;
use listing::Gone;
use page::Frame;
use read::Fetched;

/// How a site is called, and where its store is.
#[derive(Clone, Debug)]
pub struct Site {
    title: String,
    address: Option<String>,
}

/// What was made.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SiteMade {
    /// Apps on offer, each with a page.
    pub apps: usize,
    /// Apps that had a page and are not on offer, withdrawn or unavailable: their pages say which.
    pub withdrawn: usize,
    /// Files that were written.
    pub written: usize,
    /// Files that were as they should be, and were left alone.
    pub unchanged: usize,
    /// What was left out, and why: roles and listings that no integrator would accept either.
    pub refused: Vec<(String, Error)>,
}

/// Apps whose listings are in memory at once: as many, and about as many bytes.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 64 << 20;

/// Characters of a site's title.
const MAX_TITLE: usize = 80;

impl Site {
    /// A site of this title. `address` is what people give to `tilemark store add`; without, they are told to ask for it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a title that is none or too long, or no address.
    pub fn new(title: &str, address: Option<&str>) -> Result<Self> {
        let length = title.chars().count();
        if title.trim().is_empty() || length > MAX_TITLE || title.chars().any(char::is_control) {
            let expected = format!("1 to {MAX_TITLE} characters without line ends are expected");
            return Err(Error::invalid("the title", expected));
        }
        if let Some(address) = address {
            transport::check_address(address)?;
            if !["https://", "http://"].iter().any(|scheme| address.starts_with(scheme)) {
                return Err(Error::invalid(
                    format!("the address {address}"),
                    "https:// or http:// is expected",
                ));
            }
        }
        Ok(Self { title: title.to_owned(), address: address.map(str::to_owned) })
    }
}

impl View<'_> {
    /// Writes the site of this view's catalogue into a folder: a new or empty one, or one that it wrote before, in which only what
    /// changed is written again. `progress` is told how many apps are done.
    ///
    /// # Errors
    /// [`Error::NotASite`] for a folder with anything else in it, [`Error::Io`], or why the operator's metadata were refused; what
    /// is wrong with one publisher's is in [`SiteMade::refused`].
    pub fn write_site(
        &self,
        folder: &Path,
        site: &Site,
        progress: &mut dyn FnMut(usize),
    ) -> Result<SiteMade> {
        let mut making = Making::new(self, Folder::open(folder)?, site)?;
        making.listings(progress)?;
        making.withdrawn()?;
        making.catalogue()?;
        let Making { folder, mut made, .. } = making;
        (made.written, made.unchanged) = (folder.written, folder.unchanged);
        Ok(made)
    }
}

/// A site in the making.
struct Making<'a> {
    view: &'a View<'a>,
    folder: Folder,
    frame: Frame<'a>,
    /// Apps with a page of before, as far as they were not met yet.
    before: BTreeSet<AppName>,
    /// Publishers that there are, and what is wrong with them.
    publishers: BTreeMap<String, Option<&'static str>>,
    rows: Vec<Row>,
    gone: Vec<(AppName, String)>,
    made: SiteMade,
}

impl<'a> Making<'a> {
    fn new(view: &'a View<'a>, folder: Folder, site: &'a Site) -> Result<Self> {
        let before = folder.apps()?;
        let store = view.store().id()?;
        let frame = Frame { title: &site.title, address: site.address.as_deref(), store };
        let (publishers, rows, gone) = (BTreeMap::new(), Vec::new(), Vec::new());
        Ok(Self { view, folder, frame, before, publishers, rows, gone, made: SiteMade::default() })
    }

    fn listings(&mut self, progress: &mut dyn FnMut(usize)) -> Result<()> {
        for publisher in self.view.publishers()? {
            let name = publisher.name.clone();
            let apps = match publisher.apps(self.view) {
                Ok(apps) => apps,
                Err(error) => {
                    let error = read::of_publisher(error)?;
                    self.publishers.insert(name.clone(), Some(error.code()));
                    self.made.refused.push((name, error));
                    continue;
                }
            };
            self.publishers.insert(name, None);
            let mut apps = apps.into_iter().peekable();
            while apps.peek().is_some() {
                let mut batch: Vec<Fetched> = Vec::new();
                while batch.len() < BATCH
                    && batch.iter().map(Fetched::size).sum::<usize>() < BATCH_BYTES
                    && let Some(app) = apps.next()
                {
                    batch.push(app.fetch(self.view));
                }
                self.pages(batch)?;
                progress(self.rows.len());
            }
        }
        self.rows.sort_by(|a, b| a.app.cmp(&b.app));
        self.made.apps = self.rows.len();
        Ok(())
    }

    /// Checks listings and makes their pages, on all processors, and writes them in order.
    fn pages(&mut self, batch: Vec<Fetched>) -> Result<()> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (share, frame) = (batch.len().div_ceil(threads).max(1), &self.frame);
        let make = |app: Fetched| {
            let name = app.name().clone();
            let made = app.read().map(|app| (listing::page(frame, &app), app.row, app.refused));
            (name, made)
        };
        let mut batch = batch.into_iter();
        let done: Vec<_> = std::thread::scope(|scope| {
            let shares = std::iter::from_fn(|| {
                let share: Vec<Fetched> = batch.by_ref().take(share).collect();
                (!share.is_empty()).then_some(share)
            });
            let running: Vec<_> = shares
                .map(|share| scope.spawn(move || share.into_iter().map(make).collect::<Vec<_>>()))
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<_>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            running.into_iter().flat_map(join).collect()
        });
        for (name, made) in done {
            match made {
                Ok((page, row, refused)) => {
                    self.before.remove(&name);
                    self.folder.put(&page::path_of(&name), page.as_bytes())?;
                    self.made.refused.extend(refused);
                    self.rows.push(row);
                }
                Err(error) => self.made.refused.push((name.to_string(), read::of_publisher(error)?)),
            }
        }
        Ok(())
    }

    /// The pages of apps that are not offered any more, or whose files are missing or damaged, say so: links to them are out in the world.
    fn withdrawn(&mut self) -> Result<()> {
        for app in std::mem::take(&mut self.before) {
            let failed = self.made.refused.iter().find(|(what, _)| *what == app.as_str());
            let (state, why) = match (self.publishers.get(app.publisher()), failed) {
                (None, _) => (
                    Gone::Withdrawn,
                    format!(
                        "The publisher {} is not in this store any more: the operator took its invitation back.",
                        app.publisher()
                    ),
                ),
                (Some(Some(code)), _) => (
                    Gone::Unreadable,
                    format!(
                        "What the publisher {} signed cannot be accepted at present ({code}).",
                        app.publisher()
                    ),
                ),
                (_, Some((_, error))) => (
                    Gone::Unreadable,
                    format!("Its newest release cannot be accepted at present ({}).", error.code()),
                ),
                (Some(None), None) => {
                    (Gone::Withdrawn, "Its publisher does not offer it any more.".to_owned())
                }
            };
            let page = listing::gone(&self.frame, &app, state, &why);
            self.folder.put(&page::path_of(&app), page.as_bytes())?;
            self.gone.push((app, why));
        }
        self.made.withdrawn = self.gone.len();
        Ok(())
    }

    fn catalogue(&mut self) -> Result<()> {
        let Self { view, folder, frame, rows, gone, .. } = self;
        let shards = data::write(folder, rows, view)?;
        catalogue::write(folder, frame, rows, gone.len(), shards, view)?;
        folder.put("withdrawn.html", catalogue::withdrawn(frame, gone).as_bytes())?;
        for (path, text) in ASSETS {
            folder.put(path, text.as_bytes())?;
        }
        Ok(())
    }
}

/// What is the same in every site.
const ASSETS: [(&str, &str); 3] = [
    ("site.css", include_str!("assets/site.css")),
    ("site.js", include_str!("assets/site.js")),
    ("catalogue.js", include_str!("assets/catalogue.js")),
];
