//! The integrator's side: a store that this machine trusts by its root, asked through mirrors that it does not trust.

mod assembly;
mod blobs;
mod cache;
mod copy;
mod countersigners;
mod install;
mod mirrors;
mod refresh;
mod state;
mod view;

use std::fs;
use std::path::{Path, PathBuf};

use tilemark_bundle::{Digest, durable, sha256};

use crate::error::{Error, Result, io};
use crate::limits::{MAX_MIRRORS, MAX_ROOT_BYTES, Patience};
use crate::metadata::Signed;
use crate::{time, transport};

pub(crate) use assembly::Assembly;
pub(crate) use blobs::digest;
pub(crate) use cache::prune_parts;
pub use copy::Copied;
pub use countersigners::Countersigners;
pub(crate) use countersigners::asking;
pub use install::{Installation, Installed, Outcome, Progress};
pub(crate) use refresh::{metadata_path, named, next_root, no_role_older, not_older};
pub(crate) use state::{Kept, State, open_regular, read_bounded};
pub use view::{Freshness, View};

pub(crate) use mirrors::Mirrors;
use refresh::Trusted;

/// A store as this machine knows it.
///
/// Two folders: the state (root, floors, when it was asked) must stay; the cache may go.
#[derive(Debug)]
pub struct Store {
    state: State,
    cache: PathBuf,
    mirrors: Mirrors,
    addresses: Vec<String>,
    time: Option<u64>,
}

/// Where the mirrors' addresses are kept, beside the state.
const MIRRORS: &str = "mirrors";

impl Store {
    /// Begins to trust a store by its root, which came from its operator by a way that is trusted already. `addresses` are those of
    /// mirrors: `https://`, `http://`, `file:///`, or folders. A store that is known by this very root gets them as further mirrors;
    /// what is known of it stays.
    ///
    /// # Errors
    /// [`Error::StoreExists`] where another store is known, [`Error::Malformed`], [`Error::Unsigned`], [`Error::Invalid`],
    /// [`Error::Io`].
    pub fn add(state: &Path, cache: &Path, root: &[u8], addresses: &[String]) -> Result<Self> {
        if root.len() as u64 > MAX_ROOT_BYTES {
            return Err(Error::EndlessData { what: "root".into(), max: MAX_ROOT_BYTES });
        }
        let id = sha256(root);
        if let Some(known) = State::at(state.to_owned()).read(Kept::Root)? {
            let store = Self::open(state, cache)?;
            return match store.id()? == id || known == root {
                true => store.with_mirrors(addresses),
                false => Err(Error::StoreExists { path: state.to_owned() }),
            };
        }
        Signed::parse("root", root)?.trusted_root()?;
        addresses.iter().try_for_each(|address| transport::check_address(address))?;
        let store = Self::with(state, cache, addresses)?;
        store.write_mirrors()?;
        store.state.set_id(id)?;
        // Last: with it the store is added.
        store.state.write(Kept::Root, root)?;
        Ok(store)
    }

    /// The same store with further mirrors, which need no trust.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Io`].
    pub fn with_mirrors(self, addresses: &[String]) -> Result<Self> {
        addresses.iter().try_for_each(|address| transport::check_address(address))?;
        let _lock = self.state.lock()?;
        let mut all = self.addresses.clone();
        all.extend(addresses.iter().filter(|address| !self.addresses.contains(address)).cloned());
        let store = Self::with(self.state.path(), &self.cache, &all)?;
        store.write_mirrors()?;
        Ok(store)
    }

    fn write_mirrors(&self) -> Result<()> {
        self.state.write_file(MIRRORS, (self.addresses.join("\n") + "\n").as_bytes())
    }

    /// What this machine knows the store by: the SHA-256 of the root that it was added by. Addresses and keys may change.
    ///
    /// # Errors
    /// [`Error::StateDamaged`], [`Error::Io`].
    pub fn id(&self) -> Result<Digest> {
        self.state.id()
    }

    /// A store that was added before.
    ///
    /// # Errors
    /// [`Error::StateDamaged`], [`Error::Io`].
    pub fn open(state: &Path, cache: &Path) -> Result<Self> {
        let kept = State::at(state.to_owned());
        let bytes = kept.read_file(MIRRORS)?.ok_or_else(|| kept.damaged(MIRRORS, "not there".into()))?;
        let text = String::from_utf8(bytes).map_err(|error| kept.damaged(MIRRORS, error.to_string()))?;
        let addresses: Vec<String> = text.lines().map(str::to_owned).collect();
        Self::with(state, cache, &addresses)
    }

    fn with(state: &Path, cache: &Path, addresses: &[String]) -> Result<Self> {
        let bad = addresses.iter().any(|address| address.is_empty() || address.contains(char::is_control));
        if bad || addresses.is_empty() || addresses.len() > MAX_MIRRORS {
            return Err(Error::invalid("mirrors", format!("a store needs 1 to {MAX_MIRRORS} addresses")));
        }
        let transports =
            addresses.iter().map(|address| transport::of_address(address)).collect::<Result<_>>()?;
        Ok(Self {
            state: State::at(state.to_owned()),
            cache: cache.to_owned(),
            mirrors: Mirrors::new(transports, Patience::default()),
            addresses: addresses.to_vec(),
            time: None,
        })
    }

    /// The same store at a time of the caller's choice, in seconds since 1970-01-01; without, it is this machine's.
    #[must_use]
    pub fn at_time(self, seconds: u64) -> Self {
        Self { time: Some(seconds), ..self }
    }

    /// The same store asked through these transports.
    #[must_use]
    pub fn with_transports(self, transports: Vec<Box<dyn transport::Transport>>, patience: Patience) -> Self {
        Self { mirrors: Mirrors::new(transports, patience), ..self }
    }

    /// Its mirrors' addresses.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Asks the mirrors what is new. Two processes do so one after the other.
    ///
    /// # Errors
    /// [`Error::Network`] and [`Error::Mirrors`] if none can be reached; else why what they sent was refused.
    pub fn refresh(&self) -> Result<View<'_>> {
        let _lock = self.state.lock()?;
        let now = self.now()?;
        let trusted = Trusted::refresh(&self.state, &self.mirrors, now)?;
        self.state.set_last_refresh(now)?;
        cache::prune(&self.cache, &trusted);
        View::new(self, trusted, None)
    }

    /// What is known without asking anybody, then or later: what is looked up in it and not kept here is [`Error::NotKept`]. Nothing is
    /// installed from it; its freshness says how old it is.
    ///
    /// # Errors
    /// [`Error::Stale`] if the store was never asked, [`Error::StateDamaged`].
    pub fn offline(&self) -> Result<View<'_>> {
        let trusted = Trusted::kept(&self.state)?;
        let trusted = trusted.ok_or(Error::Stale { reason: "nothing yet: it was never asked".into() })?;
        Ok(View::new(self, trusted, Some("no mirror was asked".into()))?.of_what_is_kept())
    }

    /// [`refresh`](Self::refresh), or else [`offline`](Self::offline) where no mirror can be reached. What a mirror said and was
    /// refused for is an error in either case.
    ///
    /// # Errors
    /// As both.
    pub fn look(&self) -> Result<View<'_>> {
        match self.refresh() {
            Err(error) if error.is_unreachable() => {
                let trusted = Trusted::kept(&self.state)?.ok_or_else(|| error_again(&error))?;
                View::new(self, trusted, Some(error.to_string()))
            }
            answer => answer,
        }
    }

    /// The time: this machine's clock, or the last time it was seen at, if that is later.
    pub(crate) fn now(&self) -> Result<u64> {
        Ok(self.time.unwrap_or_else(time::now).max(self.state.last_refresh()?.unwrap_or(0)))
    }

    /// Where downloads are until they are whole.
    pub(crate) fn parts_folder(&self) -> PathBuf {
        self.cache.join("parts")
    }

    /// Keeps what can be fetched again. Failing to is no failure.
    pub(crate) fn cache_file(&self, path: &Path, bytes: &[u8]) {
        let write = || -> Option<()> {
            fs::create_dir_all(path.parent()?).ok()?;
            durable::replace(path, bytes, false, &|_| ()).ok()
        };
        let _ = write();
    }
}

fn error_again(error: &Error) -> Error {
    Error::Stale { reason: format!("nothing: {error}") }
}

pub(crate) fn create_dirs(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(io("make the directory", path))
}
