//! Installing: match before download, fetch what changed, put the bundle together, verify it as any other, and only then let it
//! take the place of the old one.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tilemark_bundle::limits::MAX_POLICY_BYTES;
use tilemark_bundle::{AppName, Bundle, Digest, Floors, Manifest, Untrusted, durable};

use crate::client::assembly::Assembly;
use crate::client::{Countersigners, Store, View, asking, create_dirs, read_bounded};
use crate::error::{Error, Result, io};
use crate::layout;
use crate::listing::Offer;

/// Where a publisher's apps come from, beside them.
#[derive(Deserialize, Serialize)]
struct Source {
    schema: u64,
    store: Digest,
    publisher: String,
}

const SOURCE: &str = "source.json";

/// Whose signatures a publisher's apps need, beside them.
const POLICY: &str = "trust.json";

const MAX_SOURCE_BYTES: u64 = 4096;

/// Where apps are installed: `publisher/name.tmk` below a folder, and the floors of their releases.
#[derive(Clone, Debug)]
pub struct Installation {
    folder: PathBuf,
    floors: Floors,
}

/// An app that is installed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Installed {
    /// The app.
    pub app: AppName,
    /// Its bundle.
    pub path: PathBuf,
    /// The highest release of it that was accepted here, and so the one that is installed.
    pub release: u64,
}

/// What an installation did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The app.
    pub installed: Installed,
    /// For people.
    pub version: semver::Version,
    /// Whether it was there already.
    pub unchanged: bool,
    /// Bytes of blobs that were fetched.
    pub fetched: u64,
    /// Bytes of blobs that the release before had already.
    pub reused: u64,
}

/// Told of a download: bytes that are there, and bytes that there will be.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

impl Installation {
    /// Apps in `folder`; both are made when they are needed.
    #[must_use]
    pub fn new(folder: PathBuf, floors: Floors) -> Self {
        Self { folder, floors }
    }

    /// Where an app's bundle is, or would be.
    #[must_use]
    pub fn path(&self, app: &AppName) -> PathBuf {
        self.folder.join(app.publisher()).join(format!("{}.tmk", app.name()))
    }

    /// The policy for a publisher's installed apps: the keys that the store named for it, when one of them was installed last, and the
    /// countersigners that are asked for besides.
    #[must_use]
    pub fn policy(&self, app: &AppName) -> PathBuf {
        self.folder.join(app.publisher()).join(POLICY)
    }

    /// What is installed, by name.
    ///
    /// # Errors
    /// [`Error::Io`], or a floor that is damaged.
    pub fn list(&self) -> Result<Vec<Installed>> {
        let mut found = Vec::new();
        for publisher in entries(&self.folder)? {
            for file in entries(&publisher)? {
                let name = file.file_name().and_then(|name| name.to_str()?.strip_suffix(".tmk"));
                let publisher = publisher.file_name().and_then(|name| name.to_str());
                let app = publisher
                    .zip(name)
                    .and_then(|(publisher, name)| format!("{publisher}/{name}").parse().ok());
                found.extend(app.map(|app: AppName| (app, file)));
            }
        }
        found.sort();
        found
            .into_iter()
            .map(|(app, path)| Ok(Installed { release: self.release(&app)?, app, path }))
            .collect()
    }

    /// Removes an app. The floor stays: an older release will not be installed later.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Io`].
    pub fn remove(&self, app: &AppName) -> Result<()> {
        let path = self.path(app);
        let _lock = durable::wait_for_lock(&self.folder)?;
        if !path.exists() {
            return Err(Error::NotFound { what: format!("{app} among the installed apps") });
        }
        fs::remove_file(&path).map_err(io("remove", &path))?;
        let folder = path.parent().unwrap_or(&self.folder);
        durable::sync_dir(folder).map_err(io("write", folder))
    }

    /// The store that a publisher's apps here come from, by its [`id`](crate::Store::id); none where there are none.
    ///
    /// # Errors
    /// [`Error::StateDamaged`], [`Error::Io`].
    pub fn source(&self, publisher: &str) -> Result<Option<Digest>> {
        let folder = self.folder.join(publisher);
        if !entries(&folder)?.iter().any(|file| file.extension().is_some_and(|end| end == "tmk")) {
            return Ok(None);
        }
        let path = folder.join(SOURCE);
        let damaged = |reason: &str| Error::StateDamaged { path: path.clone(), reason: reason.to_owned() };
        let bytes = read_bounded(&path, MAX_SOURCE_BYTES)?.ok_or_else(|| damaged("not there"))?;
        let source: Source = serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
        match source.schema == 1 && source.publisher == publisher {
            true => Ok(Some(source.store)),
            false => Err(damaged("it is about something else")),
        }
    }

    /// Two stores may both have a publisher of this name, and not the same one: whoever was first stays.
    fn check_source(&self, publisher: &str, store: Digest) -> Result<()> {
        match self.source(publisher)?.filter(|known| *known != store) {
            None => Ok(()),
            Some(known) => Err(Error::OtherStore {
                publisher: publisher.to_owned(),
                known: known.to_string(),
                found: store.to_string(),
            }),
        }
    }

    fn write_source(&self, publisher: &str, store: Digest) -> Result<()> {
        let source = Source { schema: 1, store, publisher: publisher.to_owned() };
        let bytes = serde_json::to_vec(&source).map_err(|error| Error::invalid(SOURCE, error.to_string()))?;
        Ok(durable::replace(&self.folder.join(publisher).join(SOURCE), &bytes, false, &|_| ())?)
    }

    fn write_policy(&self, offer: &Offer) -> Result<()> {
        let path = self.policy(&offer.manifest().app.name);
        let policy = offer.policy();
        if read_bounded(&path, policy.len() as u64)
            .is_ok_and(|known| known.as_deref() == Some(policy.as_bytes()))
        {
            return Ok(());
        }
        Ok(durable::replace(&path, policy.as_bytes(), false, &|_| ())?)
    }

    /// Asks for these signatures of what came from a store already, or for none beside the publishers': what does not have them
    /// does not open any more. The number of publishers. What is damaged stops none of the others.
    ///
    /// # Errors
    /// [`Error::StateDamaged`], [`Error::Io`]: the first of them.
    pub fn require(&self, store: &Store, countersigners: Option<&Countersigners>) -> Result<usize> {
        let (id, mut count, mut first) = (store.id()?, 0, None);
        create_dirs(&self.folder)?;
        let _lock = durable::wait_for_lock(&self.folder)?;
        for folder in entries(&self.folder)?.into_iter().filter(|folder| folder.is_dir()) {
            match self.require_in(&folder, id, countersigners) {
                Ok(changed) => count += usize::from(changed),
                Err(error) => first = first.or(Some(error)),
            }
        }
        first.map_or(Ok(count), Err)
    }

    /// Whether the apps in a publisher's folder are of this store, and ask for these signatures now. Without a policy nothing there
    /// opens, which an installation mends.
    fn require_in(&self, folder: &Path, store: Digest, asked: Option<&Countersigners>) -> Result<bool> {
        let publisher = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if self.source(publisher)? != Some(store) {
            return Ok(false);
        }
        let path = folder.join(POLICY);
        let Some(known) = read_bounded(&path, MAX_POLICY_BYTES as u64)? else { return Ok(false) };
        let policy = String::from_utf8(known).ok().and_then(|known| asking(&known, asked));
        let reason = "it is no policy of an installation".to_owned();
        let policy = policy.ok_or_else(|| Error::StateDamaged { path: path.clone(), reason })?;
        durable::replace(&path, policy.as_bytes(), false, &|_| ())?;
        Ok(true)
    }

    /// Installs what is offered, if `fits` lets it: it is asked before anything is fetched, and says what speaks against it.
    ///
    /// What is there already is not fetched again: parts of an interrupted download, and the blobs that the installed release has.
    /// Whenever this ends, however it ends, the bundle at [`path`](Self::path) is whole: the old one or the new one.
    ///
    /// # Errors
    /// [`Error::Stale`], [`Error::DoesNotFit`], [`Error::NotNewer`], why blobs were refused, or what the bundle is refused for.
    pub fn install(
        &self,
        view: &View<'_>,
        offer: &Offer,
        fits: impl FnOnce(&Manifest) -> Result<(), String>,
        progress: Progress<'_>,
    ) -> Result<Outcome> {
        view.check_fresh()?;
        let manifest = offer.manifest();
        let app = &manifest.app.name;
        fits(manifest).map_err(|reason| Error::DoesNotFit { app: app.to_string(), reason })?;
        let path = self.path(app);
        create_dirs(path.parent().unwrap_or(&self.folder))?;
        // Others may install here from another store, or elsewhere from this one: one after the other.
        let _locks =
            [durable::wait_for_lock(&self.folder)?, durable::wait_for_lock(&view.store().parts_folder())?];
        // Somebody may have asked for other signatures while this one waited.
        if view.store().countersigners()?.as_ref() != offer.countersigners() {
            let reason = "other signatures are asked for than when it was looked up; install again";
            return Err(Error::invalid(app.to_string(), reason));
        }
        self.check_source(app.publisher(), view.store().id()?)?;
        self.floors.check(&manifest.app, offer.head().identity())?;
        remove_leftovers(path.parent().unwrap_or(&self.folder));
        let old = Self::installed_at(&path, offer);
        let outcome = |unchanged, fetched, reused| Outcome {
            installed: Installed { app: app.clone(), path: path.clone(), release: manifest.app.release },
            version: manifest.app.version.clone(),
            unchanged,
            fetched,
            reused,
        };
        if old.as_ref().is_some_and(|old| old.as_bytes().starts_with(offer.head().as_bytes())) {
            // A process that was killed before it came to this left the floor as it was.
            self.floors.record(&manifest.app, offer.head().identity())?;
            self.write_policy(offer)?;
            return Ok(outcome(true, 0, 0));
        }
        let (mirrors, parts) = (&view.store().mirrors, view.store().parts_folder());
        let assembly = Assembly {
            mirrors,
            at: layout::blob,
            head: offer.head(),
            trust: offer.trust(),
            old: old.as_ref(),
        };
        let made = assembly.make(&path, &parts, progress)?;
        // Before the first app of a publisher is there it is settled where its apps come from.
        self.write_source(app.publisher(), view.store().id()?)?;
        let (fetched, reused) = made.replace(&path, &self.floors)?;
        self.write_policy(offer)?;
        Ok(outcome(false, fetched, reused))
    }

    /// The bundle that is there, if it is whole and by the publisher; else there is nothing to take blobs from.
    fn installed_at(path: &Path, offer: &Offer) -> Option<Bundle> {
        Untrusted::from_path(path).ok()?.verify(offer.trust()).ok()
    }

    /// The highest release of an app that was accepted here; 0 for none.
    fn release(&self, app: &AppName) -> Result<u64> {
        Ok(self.floors.floor(app)?.map_or(0, |floor| floor.release))
    }
}

/// What processes that were killed left of bundles that they made.
fn remove_leftovers(folder: &Path) {
    for path in entries(folder).unwrap_or_default() {
        if path.extension().is_some_and(|end| end == "new") {
            let _ = fs::remove_file(path);
        }
    }
}

/// The names in a folder; none if it is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry.map_err(io("list", folder))?.path())).collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(io("list", folder)(error)),
    }
}
