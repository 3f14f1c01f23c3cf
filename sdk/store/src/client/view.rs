//! A state of the store, and what is in it: targets found by walking delegations, listings of publishers, the index.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::Path;
use std::rc::Rc;

use tilemark_bundle::{AppName, sha256};

use crate::client::Store;
use crate::client::cache::file_name;
use crate::client::mirrors::Mirrors;
use crate::client::refresh::{Trusted, named};
use crate::client::state::read_bounded;
use crate::error::{Error, Result};
use crate::index::{self, Row};
use crate::layout;
use crate::limits::{
    MAX_DELEGATIONS, MAX_INDEX_BYTES, MAX_LISTING_BYTES, MAX_SHARD_BYTES, MAX_TARGETS_BYTES,
};
use crate::listing::{Offer, Signers};
use crate::metadata::{Keyring, RoleKeys, Signed, TargetFile, Targets, is_safe_path};
use crate::search::{self, Catalogue, Query};
use crate::time;

/// The store as it was at one snapshot. Every file that is taken from it belongs to that snapshot.
#[derive(Debug)]
pub struct View<'s> {
    store: &'s Store,
    pub(crate) trusted: Trusted,
    freshness: Freshness,
    /// Whether mirrors may be asked for what is not kept here.
    asks: bool,
    roles: RefCell<BTreeMap<String, Known>>,
}

/// A role's document, and who had to sign it: another role may pass on to the same name with other keys.
#[derive(Debug)]
struct Known {
    targets: Rc<Targets>,
    keys: RoleKeys,
    ring: Keyring,
}

/// How old what is known of a store is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Freshness {
    /// When a mirror was last asked with success; seconds since 1970-01-01.
    pub refreshed: Option<u64>,
    /// When its metadata expires, or expired.
    pub expires: u64,
    /// Why new apps are not installed from it; none if they are.
    pub stale: Option<String>,
}

/// A role on the way to a target: its document and who had to sign it.
struct Signer {
    name: String,
    targets: Rc<Targets>,
    keys: RoleKeys,
    ring: Keyring,
}

impl<'s> View<'s> {
    pub(crate) fn new(store: &'s Store, trusted: Trusted, stale: Option<String>) -> Result<Self> {
        let freshness =
            Freshness { refreshed: store.state.last_refresh()?, expires: trusted.expires(), stale };
        Ok(Self { store, trusted, freshness, asks: true, roles: RefCell::default() })
    }

    /// The same where nobody is asked.
    pub(crate) fn of_what_is_kept(self) -> Self {
        Self { asks: false, ..self }
    }

    /// The mirrors, to be asked for a file.
    fn mirrors(&self, path: &str) -> Result<&Mirrors> {
        match self.asks {
            true => Ok(&self.store.mirrors),
            false => Err(Error::NotKept { what: path.to_owned() }),
        }
    }

    /// How old it is.
    #[must_use]
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Whether new apps are installed from it: it may have been looked at for a long time.
    ///
    /// # Errors
    /// [`Error::Stale`].
    pub(crate) fn check_fresh(&self) -> Result<()> {
        if let Some(reason) = &self.freshness.stale {
            return Err(Error::Stale { reason: reason.clone() });
        }
        let expires = self.freshness.expires;
        if expires <= self.store.now()? {
            return Err(Error::Stale {
                reason: format!("from before it expired at {}", time::format(expires)),
            });
        }
        Ok(())
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        self.store
    }

    /// The version of the snapshot.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.trusted.snapshot.common.version
    }

    /// The releases of an app that its publisher offers, ascending.
    ///
    /// # Errors
    /// [`Error::NotFound`], or why metadata was refused.
    pub fn releases(&self, app: &AppName) -> Result<Vec<u64>> {
        let none = || Error::NotFound { what: app.to_string() };
        let prefix = format!("{app}/");
        // Delegations are about paths: whoever would be asked for some release has all of them.
        let owner = self.signer(&layout::listing(app, 1), true)?.ok_or_else(none)?;
        let release = |path: &String| path.strip_prefix(&prefix)?.strip_suffix(".listing")?.parse().ok();
        let mut releases: Vec<u64> = owner.targets.targets.keys().filter_map(release).collect();
        releases.sort_unstable();
        if releases.is_empty() { Err(none()) } else { Ok(releases) }
    }

    /// What the publisher offers as a release of an app, or as its newest: the signed manifest, before anything else is fetched.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Listing`], what the bundle's envelope is refused for, or why metadata or file were refused.
    pub fn offer(&self, app: &AppName, release: Option<u64>) -> Result<Offer> {
        let release = match release {
            Some(release) => release,
            None => self.releases(app)?.last().copied().unwrap_or_default(),
        };
        let path = layout::listing(app, release);
        let none = || Error::NotFound { what: format!("release {release} of {app}") };
        let owner = self.signer(&path, false)?.ok_or_else(none)?;
        let file = owner.targets.targets.get(&path).ok_or_else(none)?;
        let bytes = self.file(&path, file, MAX_LISTING_BYTES)?;
        let countersigners = self.store.countersigners()?;
        let signers = Signers::of(&owner.keys, &owner.ring, app.publisher(), countersigners)?;
        Offer::read(&path, &bytes, app, release, signers)
    }

    /// The bytes of a target, whatever it is.
    ///
    /// # Errors
    /// [`Error::NotFound`], or why metadata or file were refused.
    pub fn target(&self, path: &str) -> Result<Vec<u8>> {
        let none = || Error::NotFound { what: tilemark_bundle::text::excerpt(path) };
        let owner = self.signer(path, false)?.ok_or_else(none)?;
        let file = owner.targets.targets.get(path).ok_or_else(none)?;
        self.file(path, file, MAX_LISTING_BYTES)
    }

    /// The newest release of every app, as the store's operator lists them: to search in, not to trust.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a store without an index, [`Error::EndlessData`] for one beyond all bounds, or why metadata or files were refused.
    pub fn index(&self) -> Result<Vec<Row>> {
        let targets = self.index_targets()?;
        self.rows(&targets)
    }

    /// Those of them that a query finds. What the index says is kept in a form that is searched in milliseconds.
    ///
    /// # Errors
    /// Those of [`index`](Self::index).
    pub fn search(&self, query: &Query) -> Result<Vec<Row>> {
        let targets = self.index_targets()?;
        let shards = targets.targets.iter();
        let state: String =
            shards.map(|(path, file)| format!("{path} {}\n", file.sha256().unwrap_or_default())).collect();
        let made_from = sha256(state.as_bytes());
        let path = self.store.cache.join("catalogue");
        // One that was damaged is made anew.
        if let Some(Ok(found)) = Catalogue::open(&path, made_from).map(|mut kept| kept.find(query)) {
            return Ok(found);
        }
        let bytes = search::build(&self.rows(&targets)?, made_from)?;
        self.store.cache_file(&path, &bytes);
        let made = Catalogue::read(Cursor::new(bytes), made_from);
        made.ok_or_else(|| Error::malformed("index", "no catalogue can be made of it"))?.find(query)
    }

    fn index_targets(&self) -> Result<Rc<Targets>> {
        let owner = self.signer(&layout::shard("00"), true)?.filter(|owner| owner.name == layout::INDEX);
        let targets = owner.ok_or_else(|| Error::NotFound { what: "index".into() })?.targets;
        let whole = index::length_of(&targets);
        match whole <= MAX_INDEX_BYTES {
            true => Ok(targets),
            false => {
                Err(Error::EndlessData { what: format!("index of {whole} bytes"), max: MAX_INDEX_BYTES })
            }
        }
    }

    fn rows(&self, index: &Targets) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (path, file) in &index.targets {
            rows.extend(index::read(path, &self.file(path, file, MAX_SHARD_BYTES)?)?);
        }
        Ok(rows)
    }

    /// A target's bytes, from the cache or a mirror.
    pub(crate) fn file(&self, path: &str, file: &TargetFile, max: u64) -> Result<Vec<u8>> {
        self.file_and(path, file, max, |cached, bytes| self.store.cache_file(cached, bytes))
    }

    /// The same for who reads a whole store: the cache is looked into, and not filled.
    pub(crate) fn file_once(&self, path: &str, file: &TargetFile, max: u64) -> Result<Vec<u8>> {
        self.file_and(path, file, max, |_, _| ())
    }

    fn file_and(
        &self,
        path: &str,
        file: &TargetFile,
        max: u64,
        keep: impl FnOnce(&Path, &[u8]),
    ) -> Result<Vec<u8>> {
        if !is_safe_path(path) {
            return Err(Error::malformed("targets", "a target's path leaves its folder"));
        }
        if file.length > max {
            return Err(Error::EndlessData { what: path.to_owned(), max });
        }
        let sha256 = file.sha256().unwrap_or_default();
        let cached = self.store.cache.join("targets").join(file_name(path));
        if let Some(bytes) = read_bounded(&cached, max)?
            && file.check_bytes(path, &bytes).is_ok()
        {
            return Ok(bytes);
        }
        let at = layout::target_file(path, sha256, self.trusted.root.consistent_snapshot == Some(true));
        let accept = |bytes: Vec<u8>| file.check_bytes(path, &bytes).map(|()| bytes);
        let bytes = self.mirrors(path)?.get(&at, file.length, accept)?;
        let bytes = bytes.ok_or_else(|| Error::NotFound { what: format!("file {at}") })?;
        keep(&cached, &bytes);
        Ok(bytes)
    }

    /// The first role that lists a path, in the order of delegations, depth first, a terminating one being the last that is asked
    /// (5.6.7); with `in_charge` the first that could list it and passes it on to nobody.
    fn signer(&self, path: &str, in_charge: bool) -> Result<Option<Signer>> {
        let roles = &self.trusted.root.roles;
        let mut to_visit =
            vec![("targets".to_owned(), roles.targets.clone(), self.trusted.root.keys.clone())];
        let mut visited = BTreeSet::new();
        while visited.len() <= MAX_DELEGATIONS
            && let Some((name, keys, ring)) = to_visit.pop()
        {
            if !visited.insert(name.clone()) {
                continue;
            }
            let targets = match self.role(&name, &keys, &ring) {
                // A publisher that was invited and has not published yet. One that vanished was refused with the snapshot.
                Err(Error::NotInSnapshot { .. }) => return Ok(None),
                outcome => outcome?,
            };
            let delegations = targets.delegations.clone().unwrap_or_default();
            let about: Vec<_> = delegations.roles.iter().filter(|role| role.is_about(path)).collect();
            if targets.targets.contains_key(path) || (in_charge && about.is_empty()) {
                return Ok(Some(Signer { name, targets, keys, ring }));
            }
            let last = about.iter().position(|role| role.terminating).map_or(about.len(), |at| at + 1);
            if last > 0 && about.get(last - 1).is_some_and(|role| role.terminating) {
                to_visit.clear();
            }
            let next = about.into_iter().take(last).rev();
            to_visit
                .extend(next.map(|role| (role.name.clone(), role.keys.clone(), delegations.keys.clone())));
        }
        Ok(None)
    }

    /// The targets of a role in the version that the snapshot names, from the cache or a mirror.
    fn role(&self, name: &str, keys: &RoleKeys, ring: &Keyring) -> Result<Rc<Targets>> {
        let ring: Keyring =
            keys.keyids.iter().filter_map(|id| Some((id.clone(), ring.get(id)?.clone()))).collect();
        if let Some(known) =
            self.roles.borrow().get(name).filter(|known| known.keys == *keys && known.ring == ring)
        {
            return Ok(Rc::clone(&known.targets));
        }
        let found = Rc::new(self.document(name, keys, &ring)?.0);
        let known = Known { targets: Rc::clone(&found), keys: keys.clone(), ring };
        self.roles.borrow_mut().insert(name.to_owned(), known);
        Ok(found)
    }

    /// The same with its bytes.
    pub(crate) fn document(&self, name: &str, keys: &RoleKeys, ring: &Keyring) -> Result<(Targets, Vec<u8>)> {
        let info = self.trusted.info(name)?;
        let max = info.length.unwrap_or(MAX_TARGETS_BYTES).min(MAX_TARGETS_BYTES);
        let accept = |bytes: Vec<u8>| {
            info.check_bytes(name, &bytes)?;
            let found: Targets = Signed::parse(name, &bytes)?.by(name, keys, ring)?;
            named(name, "the snapshot", info.version, found.common.version)?;
            Ok((found, bytes))
        };
        let path = self.trusted.path(name, info.version);
        let cached = self.store.cache.join(file_name(&path));
        let kept = read_bounded(&cached, max).ok().flatten().and_then(|bytes| accept(bytes).ok());
        let (found, bytes) = match kept {
            Some(kept) => kept,
            None => {
                let found = self.mirrors(&path)?.get(&path, max, accept)?;
                let (found, bytes) = found.ok_or(Error::NotFound { what: format!("file {path}") })?;
                self.store.cache_file(&cached, &bytes);
                (found, bytes)
            }
        };
        if self.freshness.stale.is_none() {
            found.common.check_expiry(name, self.store.now()?)?;
        }
        Ok((found, bytes))
    }
}

impl Freshness {
    /// In words: when it was refreshed, and until when it holds.
    #[must_use]
    pub fn describe(&self) -> String {
        let refreshed =
            self.refreshed.map_or("never refreshed".into(), |at| format!("refreshed {}", time::format(at)));
        match &self.stale {
            None => format!("{refreshed}, good until {}", time::format(self.expires)),
            Some(reason) => format!("{refreshed}, expires {}; stale: {reason}", time::format(self.expires)),
        }
    }
}
