//! A store, its publisher and a buyer, for one test.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tilemark_bundle::{Algorithm, AppIdentity, AppName, BundleWriter, Floors, SigningKey};

use crate::error::Result;
use crate::limits::Patience;
use crate::metadata::{Document, FileInfo, Signed, Snapshot, Timestamp};
use crate::repository::{Operator, Repository, RootKeys, Validity};
use crate::transport::{Folder, Opened, Transport};
use crate::{Installation, Offer, Outcome, Store};

pub(crate) use tilemark_bundle::calendar::DAY;

pub(crate) struct Shop {
    pub(crate) folder: TempDir,
    pub(crate) roots: [SigningKey; 3],
    pub(crate) targets: SigningKey,
    pub(crate) online: SigningKey,
    pub(crate) acme: SigningKey,
}

pub(crate) fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Ed25519).unwrap()
}

impl Shop {
    /// A store with the publisher acme and release 1 of acme/tagger.
    pub(crate) fn open() -> Self {
        let shop = Self {
            folder: TempDir::new().unwrap(),
            roots: [(); 3].map(|()| key()),
            targets: key(),
            online: key(),
            acme: key(),
        };
        let root: Vec<_> = shop.roots.iter().collect();
        let keys = RootKeys { root: &root, threshold: 2, targets: &shop.targets, online: &shop.online };
        std::fs::create_dir(shop.path("store")).unwrap();
        Operator::init(&shop.path("store"), &shop.path("office"), &keys, Validity::default()).unwrap();
        shop.operator().invite("acme", &[shop.acme.public().clone()], 1, &shop.targets).unwrap();
        shop.publish(1);
        shop
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn repository(&self) -> Repository {
        Repository::open(&self.path("store")).unwrap()
    }

    pub(crate) fn operator(&self) -> Operator {
        Operator::open(&self.path("store"), &self.path("office")).unwrap()
    }

    /// The timestamp as it is served.
    pub(crate) fn timestamp(&self) -> String {
        std::fs::read_to_string(self.path("store/metadata/timestamp.json")).unwrap()
    }

    /// The operator's refresh is refused, and nothing was signed: every file of the store is as it was.
    #[track_caller]
    pub(crate) fn refuses_to_sign(&self) -> &'static str {
        let before = files(&self.path("store"));
        let code = self.operator().refresh(&self.online).expect_err("nothing is signed").code();
        assert!(before == files(&self.path("store")), "nothing is written");
        code
    }

    /// Offers a release of acme/tagger: a large blob that stays, and one that changes.
    pub(crate) fn publish(&self, release: u64) {
        self.repository().publish(&self.bundle("acme/tagger", release, &self.acme), &[&self.acme]).unwrap();
        let done = self.operator().refresh(&self.online).unwrap();
        assert!(done.refused.is_empty(), "{:?}", done.refused);
    }

    pub(crate) fn bundle(&self, app: &str, release: u64, key: &SigningKey) -> PathBuf {
        let path = self.path(&format!("{}-{release}.tmk", app.replace('/', "-")));
        let identity =
            AppIdentity::new(app, &format!("1.{release}.0"), release, "MIT", "Names things").unwrap();
        let writer = BundleWriter::new(identity).blob("weights", vec![7; 300_000]);
        let file = writer.blob("graph", release.to_string().into_bytes()).sign(&[key]).unwrap();
        std::fs::write(&path, file).unwrap();
        path
    }

    /// Keeps the store as it is now under another name: what a mirror may serve later.
    pub(crate) fn keep(&self, name: &str) {
        copy(&self.path("store"), &self.path(name));
    }

    /// Puts what was kept in the store's place, from where the buyer fetches.
    pub(crate) fn serve(&self, name: &str) {
        std::fs::remove_dir_all(self.path("store")).unwrap();
        copy(&self.path(name), &self.path("store"));
    }

    /// A document of the store as it is served, changed, signed by these keys and put under a name.
    pub(crate) fn forge<D: Document>(
        &self,
        from: &str,
        to: &str,
        keys: &[&SigningKey],
        change: impl FnOnce(&mut D),
    ) {
        let bytes = std::fs::read(self.path("store/metadata").join(from)).unwrap();
        let mut document: D = Signed::parse(from, &bytes).unwrap().unverified(from).unwrap();
        change(&mut document);
        let bytes = Signed::seal(&document, keys).unwrap().to_bytes().unwrap();
        std::fs::write(self.path("store/metadata").join(to), bytes).unwrap();
    }

    /// Lists something else: the next snapshot with a change, and a timestamp that names it, by the online key.
    pub(crate) fn list(&self, change: impl FnOnce(&mut Snapshot)) {
        let bytes = self.timestamp().into_bytes();
        let timestamp: Timestamp =
            Signed::parse("timestamp", &bytes).unwrap().unverified("timestamp").unwrap();
        let version = timestamp.meta.snapshot.version;
        let next = format!("{}.snapshot.json", version + 1);
        self.forge::<Snapshot>(&format!("{version}.snapshot.json"), &next, &[&self.online], |snapshot| {
            snapshot.common.version = version + 1;
            change(snapshot);
        });
        let bytes = std::fs::read(self.path("store/metadata").join(next)).unwrap();
        self.forge::<Timestamp>("timestamp.json", "timestamp.json", &[&self.online], |timestamp| {
            timestamp.common.version += 1;
            timestamp.meta.snapshot = FileInfo::of(version + 1, &bytes);
        });
    }

    /// A mirror that the buyer asks alone.
    pub(crate) fn buyer_at(&self, mirror: impl Transport + 'static) -> Store {
        self.buyer().with_transports(vec![Box::new(mirror)], impatient())
    }

    /// The buyer's store; the first time it is added by the first root.
    pub(crate) fn buyer(&self) -> Store {
        let (state, cache) = (self.path("home/stores/main"), self.path("cache"));
        if state.exists() {
            return Store::open(&state, &cache).unwrap();
        }
        let root = std::fs::read(self.path("store/metadata/1.root.json")).unwrap();
        Store::add(&state, &cache, &root, &[self.path("store").display().to_string()]).unwrap()
    }

    pub(crate) fn installation(&self) -> Installation {
        Installation::new(self.path("home/apps"), Floors::open(self.path("home/floors")).unwrap())
    }

    /// Refreshes and installs the newest release of acme/tagger.
    pub(crate) fn install(&self, store: &Store) -> Result<Outcome> {
        let view = store.refresh()?;
        let offer: Offer = view.offer(&tagger(), None)?;
        self.installation().install(&view, &offer, |_| Ok(()), &mut |_, _| ())
    }

    /// The code that a refresh is refused with.
    #[track_caller]
    pub(crate) fn refused(&self) -> &'static str {
        self.buyer().refresh().expect_err("it is refused").code()
    }
}

pub(crate) fn tagger() -> AppName {
    "acme/tagger".parse().unwrap()
}

/// Every file below a folder and its content.
pub(crate) fn files(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(&path).unwrap_or_default())),
        }
    }
    found
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A mirror that does to files whose path contains `about` what `attack` says.
pub(crate) struct Hostile {
    pub(crate) inner: Folder,
    pub(crate) about: &'static str,
    pub(crate) attack: Attack,
    /// Bytes that it was asked for, of blobs alone.
    pub(crate) sent: Arc<AtomicU64>,
    /// How often it was asked for anything.
    pub(crate) asked: Arc<AtomicU64>,
}

#[derive(Clone, Copy)]
pub(crate) enum Attack {
    None,
    Endless,
    Garbage,
    /// The files are cut short.
    Cut(u64),
    /// The connection breaks after so many bytes.
    Broken(u64),
    Unreachable,
}

impl Hostile {
    pub(crate) fn new(shop: &Shop, about: &'static str, attack: Attack) -> Self {
        Self {
            inner: Folder::new(shop.path("store")),
            about,
            attack,
            sent: Arc::default(),
            asked: Arc::default(),
        }
    }

    pub(crate) fn boxed(self) -> Box<dyn Transport> {
        Box::new(self)
    }
}

impl Transport for Hostile {
    fn name(&self) -> &str {
        "hostile"
    }

    fn open(&self, path: &str, offset: u64, patience: Duration) -> Result<Option<Opened>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let Some(opened) = self.inner.open(path, offset, patience)? else { return Ok(None) };
        let is_blob = path.starts_with("blobs/");
        let reader: Box<dyn Read + Send> = match self.attack {
            _ if !path.contains(self.about) => opened.reader,
            Attack::None => opened.reader,
            Attack::Endless => Box::new(std::io::repeat(b' ')),
            Attack::Garbage => Box::new(std::io::repeat(b'x').take(300_000)),
            Attack::Cut(bytes) => Box::new(opened.reader.take(bytes)),
            Attack::Broken(bytes) => Box::new(opened.reader.take(bytes).chain(Reset)),
            Attack::Unreachable => {
                let (url, reason) = (path.to_owned(), "connection refused".to_owned());
                return Err(crate::Error::Network { url, reason });
            }
        };
        let reader = Counted { reader, sent: if is_blob { Arc::clone(&self.sent) } else { Arc::default() } };
        Ok(Some(Opened { from: opened.from, reader: Box::new(reader) }))
    }
}

/// A connection that was reset.
struct Reset;

impl Read for Reset {
    fn read(&mut self, _buffer: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::ConnectionReset.into())
    }
}

struct Counted {
    reader: Box<dyn Read + Send>,
    sent: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Short, so that a test of slowness ends soon.
pub(crate) fn impatient() -> Patience {
    Patience { grace: Duration::from_millis(300), min_rate: 1 << 20 }
}
