//! A whole copy of a store: for a web server of one's own, or for a drive that is carried to where there is no network.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tilemark_bundle::{Digest, durable, sha256};

use crate::client::blobs::{self, Wanted};
use crate::client::refresh::{Trusted, next_root};
use crate::client::state::{Kept, open_regular, read_bounded};
use crate::client::{View, create_dirs};
use crate::error::{Error, Result, io};
use crate::layout;
use crate::limits::{MAX_LISTING_BYTES, MAX_ROOT_BYTES};
use crate::listing::{Offer, Signers};
use crate::metadata::{Keyring, RoleKeys, Signed, TargetFile};
use crate::repository::{Repository, listed_release};

/// What a copy did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Copied {
    /// Files that the copy has.
    pub files: usize,
    /// Bytes that were fetched.
    pub fetched: u64,
    /// Bytes that were there already, whole.
    pub reused: u64,
    /// What was left out, and why: publishers' roles, listings and blobs that no integrator would accept either.
    pub refused: Vec<(String, Error)>,
}

/// A copy in the making.
struct Copy<'a> {
    view: &'a View<'a>,
    folder: &'a Path,
    to: Repository,
    seen: BTreeSet<String>,
    done: Copied,
    written: Vec<(String, Digest)>,
    progress: &'a mut dyn FnMut(&Copied),
}

impl View<'_> {
    /// Copies the store, as it is in this view, into a folder that is then a store's address like any other. Everything is checked
    /// before it is written; what an earlier, interrupted copy left is checked and kept. The timestamp comes last: until it is
    /// there, the folder is the copy that it was before.
    ///
    /// # Errors
    /// [`Error::Stale`], [`Error::StoreExists`] if another store is in the folder, [`Error::Io`], or why files were refused.
    pub fn copy_to(&self, folder: &Path, progress: &mut dyn FnMut(&Copied)) -> Result<Copied> {
        Ok(self.copy(folder, progress)?.done)
    }

    /// The same, and reads all of it again: for a drive. Before that the system is asked to forget what it still has of the files in
    /// memory. Linux does so where the drive keeps them; elsewhere, and on a drive whose own cache holds them yet, that says less.
    ///
    /// # Errors
    /// As [`copy_to`](Self::copy_to); [`Error::WrongHash`] for a drive that does not keep what it is given.
    pub fn copy_and_read_again(&self, folder: &Path, progress: &mut dyn FnMut(&Copied)) -> Result<Copied> {
        let copy = self.copy(folder, progress)?;
        for (path, expected) in &copy.written {
            let at = folder.join(path);
            let mut file = open_regular(&at).map_err(io("open", &at))?;
            forget(&file);
            let found = blobs::digest(&mut file, &at)?;
            if found != *expected {
                return Err(Error::WrongHash { what: path.clone(), expected: expected.to_string(), found });
            }
        }
        Ok(copy.done)
    }

    fn copy<'a>(&'a self, folder: &'a Path, progress: &'a mut dyn FnMut(&Copied)) -> Result<Copy<'a>> {
        self.check_fresh()?;
        create_dirs(folder)?;
        let _lock = durable::lock(folder)?;
        let (seen, written) = (BTreeSet::new(), Vec::new());
        let (to, done) = (Repository::at(folder), Copied::default());
        let mut copy = Copy { view: self, folder, to, seen, done, written, progress };
        let roots = copy.roots()?;
        let root = &self.trusted.root;
        copy.role("targets", &root.roles.targets, &root.keys)?;
        let [snapshot, timestamp] = self.kept_of_this_view()?;
        copy.put(&self.trusted.path("snapshot", self.version()), &snapshot)?;
        for (version, bytes) in (1..).zip(&roots) {
            copy.put(&layout::root(version), bytes)?;
        }
        // Last: with it the copy is seen.
        copy.put(layout::TIMESTAMP, &timestamp)?;
        if copy.done.refused.is_empty() {
            let _ = fs::remove_dir_all(folder.join(PARTS)); // empty but for its lock
        }
        Ok(copy)
    }
}

impl View<'_> {
    /// Snapshot and timestamp as bytes, both of this view: another process may have refreshed the store since it was made.
    fn kept_of_this_view(&self) -> Result<[Vec<u8>; 2]> {
        let state = &self.store().state;
        let missing = || Error::NotFound { what: "kept metadata".into() };
        let kept = [Kept::Snapshot, Kept::Timestamp].map(|what| state.read(what)?.ok_or_else(missing));
        let [snapshot, timestamp] = kept;
        let (snapshot, timestamp) = (snapshot?, timestamp?);
        match Trusted::kept(state)?.is_some_and(|now| now.is(&self.trusted)) {
            true => Ok([snapshot, timestamp]),
            false => Err(Error::NotFound {
                what: "snapshot of before: another process refreshed this store meanwhile; copy again".into(),
            }),
        }
    }
}

/// Where downloads are in the copy's folder until they are whole. A name that nobody else has, since it is removed with all that is in it.
const PARTS: &str = ".tilemark-parts";

impl Copy<'_> {
    /// All roots from the first on, each signed by the one before, to the one that is trusted: whoever trusts an older one follows.
    fn roots(&self) -> Result<Vec<Vec<u8>>> {
        let store = self.view.store();
        let mut roots: Vec<Vec<u8>> = Vec::new();
        let mut last = None;
        for version in 1..=self.view.trusted.root.common.version {
            let accept = |bytes: Vec<u8>| {
                let root = match &last {
                    None => Signed::parse("root", &bytes)?.trusted_root()?,
                    Some(last) => next_root(last, &bytes)?,
                };
                Ok((root, bytes))
            };
            let found = store.mirrors.get(&layout::root(version), MAX_ROOT_BYTES, accept)?;
            let (root, bytes) = found.ok_or_else(|| Error::NotFound { what: format!("root {version}") })?;
            last = Some(root);
            roots.push(bytes);
        }
        if roots.last() != store.state.read(Kept::Root)?.as_ref() {
            return Err(Error::malformed(
                "root",
                "the mirror's roots do not lead to the one that is trusted",
            ));
        }
        let first = read_bounded(&self.folder.join(layout::root(1)), MAX_ROOT_BYTES)?;
        match first.is_some_and(|first| roots.first() != Some(&first)) {
            true => Err(Error::StoreExists { path: self.folder.to_owned() }),
            false => Ok(roots),
        }
    }

    /// What a role offers, what the roles offer that it passes on to, and then its document.
    fn role(&mut self, name: &str, keys: &RoleKeys, ring: &Keyring) -> Result<()> {
        if !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let (view, of_publisher) = (self.view, layout::is_publisher_role(name));
        let (targets, bytes) = match view.document(name, keys, ring) {
            // Invited, and nothing published yet; or not since the keys are new.
            Err(Error::NotInSnapshot { .. }) => return Ok(()),
            Err(error) if of_publisher => return self.leave_out(name, error),
            found => found?,
        };
        // A publisher passes on to nobody: it could name another one's role, or the operator's, by keys of its own.
        if let Some(below) = targets.delegations.as_ref().filter(|_| !of_publisher) {
            for role in &below.roles {
                self.role(&role.name, &role.keys, &below.keys)?;
            }
        }
        for (path, file) in &targets.targets {
            match self.target(path, file, keys, ring) {
                Err(error) if of_publisher => self.leave_out(path, error)?,
                copied => copied?,
            }
        }
        self.put(&view.trusted.path(name, targets.common.version), &bytes)
    }

    fn target(&mut self, path: &str, file: &TargetFile, keys: &RoleKeys, ring: &Keyring) -> Result<()> {
        let view = self.view;
        let max = MAX_LISTING_BYTES.max(file.length.min(crate::limits::MAX_SHARD_BYTES));
        let bytes = view.file_once(path, file, max)?;
        if let Some((app, release)) = listed_release(path) {
            let offer = Signers::of(keys, ring, app.publisher(), None)
                .and_then(|signers| Offer::read(path, &bytes, &app, release, signers));
            match offer {
                Ok(offer) => self.blobs(&offer)?,
                Err(error) => self.done.refused.push((path.to_owned(), error)),
            }
        }
        let consistent = view.trusted.root.consistent_snapshot == Some(true);
        self.put(&layout::target_file(path, file.sha256().unwrap_or_default(), consistent), &bytes)
    }

    /// Goes on without what one publisher let expire, took away or damaged: the others' apps are copied all the same. A mirror that
    /// does so gains nothing, since it is told.
    ///
    /// # Errors
    /// The error itself where it says nothing of the publisher's files: a network or a disk that fails.
    fn leave_out(&mut self, what: &str, error: Error) -> Result<()> {
        if !is_about_the_file(&error) {
            return Err(error);
        }
        self.done.refused.push((what.to_owned(), error));
        Ok(())
    }

    fn blobs(&mut self, offer: &Offer) -> Result<()> {
        let parts = self.folder.join(PARTS);
        self.to.refuse_links(&format!("{PARTS}/"))?;
        create_dirs(&parts)?;
        for blob in &offer.manifest().blobs {
            let relative = layout::blob(&blob.sha256);
            if !self.seen.insert(relative.clone()) {
                continue;
            }
            let path = self.folder.join(&relative);
            if self.to.has_blob(&blob.sha256, blob.size)? {
                self.done.reused += blob.size;
            } else {
                let wanted = Wanted {
                    path: &layout::blob(&blob.sha256),
                    sha256: &blob.sha256,
                    size: blob.size,
                    start: 0,
                };
                let part = blobs::fetch(&self.view.store().mirrors, wanted, &parts, &mut |_| ())?;
                self.to.refuse_links(&relative)?;
                place(&part, &path)?;
                self.done.fetched += blob.size;
            }
            self.note(relative, blob.sha256);
        }
        Ok(())
    }

    fn put(&mut self, relative: &str, bytes: &[u8]) -> Result<()> {
        let size = bytes.len() as u64;
        let there = read_bounded(&self.folder.join(relative), size)
            .is_ok_and(|found| found.as_deref() == Some(bytes));
        if there {
            self.done.reused += size;
        } else {
            self.to.write(relative, bytes)?;
            self.done.fetched += size;
        }
        self.note(relative.to_owned(), sha256(bytes));
        Ok(())
    }

    fn note(&mut self, relative: String, digest: Digest) {
        self.done.files += 1;
        self.written.push((relative, digest));
        (self.progress)(&self.done);
    }
}

/// Asks the system to drop what it has of a file in memory, so that it is read from the drive. What is not written yet stays there:
/// every file was written through before.
#[cfg(target_os = "linux")]
fn forget(file: &fs::File) {
    // Where it is not dropped, reading it again says less; it is no failure.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
fn forget(_file: &fs::File) {}

fn is_about_the_file(error: &Error) -> bool {
    match error {
        Error::Mirrors { first, .. } => is_about_the_file(first),
        Error::Unsigned { .. }
        | Error::Malformed { .. }
        | Error::Expired { .. }
        | Error::MixedUp { .. }
        | Error::NotFound { .. }
        | Error::EndlessData { .. }
        | Error::WrongLength { .. }
        | Error::WrongHash { .. } => true,
        _ => false,
    }
}

/// Moves a whole download to where it belongs.
fn place(part: &Path, path: &PathBuf) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    create_dirs(folder)?;
    fs::File::open(part).and_then(|file| file.sync_all()).map_err(io("write", part))?;
    fs::rename(part, path).map_err(io("replace", path))?;
    durable::sync_dir(folder).map_err(io("write", folder))
}
