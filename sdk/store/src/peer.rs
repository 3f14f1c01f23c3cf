//! python-tuf as a peer: it reads what this crate writes, this crate reads what it writes, and where a store is wrong both refuse
//! it. `cargo xtask interop` fetches it; with `--mutations 10000` it takes longer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tilemark_bundle::{SigningKey, sha256};

use crate::attacks::shop::Shop;
use crate::metadata::{FileInfo, Signed, Timestamp};
use crate::{Result, Store};

/// A process of `tuf_peer.py client`.
struct Peer {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start() -> Self {
        let mut child = script().arg("client").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    /// The SHA-256 of a target, or why it is not accepted.
    fn download(&mut self, store: &Path, root: &Path, target: &str) -> Result<String, String> {
        let request = json!({ "store": store, "root": root, "target": target });
        writeln!(self.child.stdin.as_mut().unwrap(), "{request}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).expect("python-tuf answers");
        let text = |field: &str| answer[field].as_str().map(str::to_owned);
        text("accepted").ok_or_else(|| text("refused").unwrap())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn script() -> Command {
    let python = std::env::var_os("TILEMARK_INTEROP_PYTHON").expect("run `cargo xtask interop`");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/python/tuf_peer.py");
    let mut command = Command::new(python);
    command.arg(script);
    command
}

/// The same by this crate, with nothing known but the root.
fn download(store: &Path, root: &Path, target: &str) -> Result<String, String> {
    let home = TempDir::new().unwrap();
    let root = std::fs::read(root).unwrap();
    let address = [store.display().to_string()];
    let found = Store::add(&home.path().join("state"), &home.path().join("cache"), &root, &address)
        .and_then(|store| store.refresh()?.target(target));
    found.map(|bytes| sha256(&bytes).to_string()).map_err(|error| format!("{}: {error}", error.code()))
}

const LISTING: &str = "acme/tagger/1.listing";

#[test]
#[ignore = "needs python-tuf of PyPI: `cargo xtask interop`"]
fn interop_python_tuf_reads_our_store() {
    let shop = Shop::open();
    shop.publish(2);
    let [first, second, _] = &shop.roots;
    shop.operator().renew_root(&[first, second], &[]).unwrap();
    let (store, root, mut peer) =
        (shop.path("store"), shop.path("store/metadata/1.root.json"), Peer::start());
    let shard = crate::layout::shard(&crate::layout::shard_of("acme"));
    for target in [LISTING, "acme/tagger/2.listing", &shard] {
        assert_eq!(peer.download(&store, &root, target).unwrap(), download(&store, &root, target).unwrap());
    }
    let none = peer.download(&store, &root, "acme/tagger/3.listing").unwrap_err();
    assert_eq!(none, "no such target");
    std::fs::write(shop.path("store/metadata/timestamp.json"), "{}").unwrap();
    peer.download(&store, &root, LISTING).unwrap_err();
}

#[test]
#[ignore = "needs python-tuf of PyPI: `cargo xtask interop`"]
fn interop_we_read_python_tufs_store() {
    let home = TempDir::new().unwrap();
    let store = home.path().join("store");
    assert!(script().arg("repository").arg(&store).status().unwrap().success());
    let (root, mut peer) = (store.join("metadata/1.root.json"), Peer::start());
    for target in ["top.txt", "acme/tool/1.bin", "file-0.txt", "file-3.txt", "file-7.txt"] {
        assert_eq!(download(&store, &root, target).unwrap(), peer.download(&store, &root, target).unwrap());
    }
    for target in ["acme/tool/2.bin", "file-8.txt", "none"] {
        assert!(download(&store, &root, target).unwrap_err().starts_with("TM0820"));
    }
}

#[test]
#[ignore = "needs python-tuf of PyPI: `cargo xtask interop`"]
fn interop_mutated_stores_are_accepted_by_both_or_by_neither() {
    let count = std::env::var("TILEMARK_MUTATIONS").map_or(300, |text| text.parse().expect("a number"));
    let shop = Shop::open();
    shop.operator().invite("zeta", &[shop.acme.public().clone()], 1, &shop.targets).unwrap();
    shop.operator().refresh(&shop.online).unwrap();
    let (root, mut peer) = (shop.path("root.json"), Peer::start());
    std::fs::copy(shop.path("store/metadata/1.root.json"), &root).unwrap();
    shop.keep("good");
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..count {
        if seed > 0 && seed % 1000 == 0 {
            println!("{seed} of {count}: {accepted} accepted by both, {refused} by neither");
        }
        shop.serve("good");
        let what = Mutation { shop: &shop, seed, drawn: 0 }.apply();
        let store = shop.path("store");
        match (download(&store, &root, LISTING), peer.download(&store, &root, LISTING)) {
            (Ok(ours), Ok(theirs)) if ours == theirs => accepted += 1,
            (Err(_), Err(_)) => refused += 1,
            (ours, theirs) => panic!("mutation {seed}, {what}: ours {ours:?}, python-tuf's {theirs:?}"),
        }
    }
    // Both must have happened, or nothing was compared.
    assert!(accepted * 20 > count && refused * 5 > count, "{accepted} accepted, {refused} refused");
    println!("{accepted} accepted by both, {refused} by neither");
}

/// A change to the store of a shop.
struct Mutation<'a> {
    shop: &'a Shop,
    seed: u64,
    drawn: u64,
}

impl Mutation<'_> {
    /// A number below `n`, which follows from the seed and how many were drawn.
    fn below(&mut self, n: usize) -> usize {
        self.drawn += 1;
        let digest = sha256(format!("{} {}", self.seed, self.drawn).as_bytes());
        let first = u64::from_le_bytes(digest.as_bytes()[..8].try_into().unwrap());
        usize::try_from(first % n as u64).unwrap()
    }

    fn file(&mut self) -> PathBuf {
        let mut files: Vec<_> = std::fs::read_dir(self.shop.path("store/metadata"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files.swap_remove(self.below(files.len()))
    }

    /// Does something, and says what.
    fn apply(&mut self) -> String {
        let file = self.file();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let mut bytes = std::fs::read(&file).unwrap();
        match self.below(12) {
            0 => {
                let (at, bit) = (self.below(bytes.len()), self.below(8));
                bytes[at] ^= 1 << bit;
                std::fs::write(&file, &bytes).unwrap();
                let listed = self.below(2) == 0 && self.relist(&name, &bytes);
                format!("bit {bit} of byte {at} of {name} flipped, listed: {listed}")
            }
            1 => {
                let other = self.file();
                copy_file(&other, &file);
                format!("{name} replaced by {}", other.display())
            }
            2 => {
                std::fs::remove_file(&file).unwrap();
                format!("{name} removed")
            }
            3 => {
                bytes.truncate(self.below(bytes.len()));
                std::fs::write(&file, bytes).unwrap();
                format!("{name} cut short")
            }
            _ => self.edit(&file, &name),
        }
    }

    /// Changes a value, and signs the document again by the right keys, or another one's; then mostly what names it.
    fn edit(&mut self, file: &Path, name: &str) -> String {
        let mut json: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let mut pointers = Vec::new();
        collect(&json["signed"], "/signed".into(), &mut pointers);
        // A key of an unknown kind counts for nothing here, as the specification lets it; python-tuf refuses the whole document.
        pointers.retain(|pointer| !pointer.ends_with("/keytype") && !pointer.ends_with("/scheme"));
        let pointer = pointers.swap_remove(self.below(pointers.len()));
        let what = self.change(&mut json, &pointer);
        let keys = self.keys(name);
        let signed = json["signed"].clone();
        let bytes = Signed::seal_value(signed, &keys).unwrap().to_bytes().unwrap();
        std::fs::write(file, &bytes).unwrap();
        let follow = self.below(4) > 0;
        if follow && name.ends_with(".snapshot.json") {
            self.follow(file);
        } else if follow {
            self.relist(name, &bytes);
        }
        format!("{pointer} of {name} {what}, followed: {follow}")
    }

    fn change(&mut self, json: &mut Value, pointer: &str) -> String {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        if self.below(8) == 0 {
            match json.pointer_mut(parent).unwrap() {
                Value::Object(entries) => drop(entries.remove(&key)),
                Value::Array(items) => drop(items.remove(key.parse().unwrap())),
                _ => {}
            }
            return "removed".into();
        }
        let choice = self.below(6);
        let value = json.pointer_mut(pointer).unwrap();
        *value = match &*value {
            Value::Number(number) => {
                let number = number.as_u64().unwrap();
                json!([number + 1, number.saturating_sub(1), 0, 2, 1 << 40, number][choice])
            }
            Value::Bool(value) => json!(!value),
            Value::String(text) => {
                let mut text = text.clone();
                match choice {
                    0 => text.clear(),
                    1 => text.push('0'),
                    2 => text = "2020-01-01T00:00:00Z".into(),
                    3 => text = "acme/*/*".into(),
                    4 => text = text.to_uppercase(),
                    _ => text = "*".into(),
                }
                json!(text)
            }
            Value::Array(items) => {
                let mut items = items.clone();
                match (choice, items.first().cloned()) {
                    (0, _) => items.clear(),
                    (1, Some(first)) => items.push(first),
                    (2, _) => items.reverse(),
                    _ => items.push(json!("acme/*/*")),
                }
                json!(items)
            }
            Value::Object(_) if choice == 0 => json!({}),
            Value::Object(_) if choice == 1 => json!([]),
            other => other.clone(),
        };
        format!("made {value}")
    }

    /// The keys of a file's role, seldom those of another one.
    fn keys(&mut self, name: &str) -> Vec<&SigningKey> {
        let shop = self.shop;
        let [first, second, third] = &shop.roots;
        if self.below(10) == 0 {
            return vec![third, &shop.acme];
        }
        match name {
            _ if name.ends_with("root.json") => vec![first, second],
            _ if name.ends_with("targets.json") || name.contains("bin-") => vec![&shop.targets],
            _ if name.contains(".p.") => vec![&shop.acme],
            _ => vec![&shop.online],
        }
    }

    /// A snapshot with length and hash of a changed document, if it lists that one.
    fn relist(&self, name: &str, bytes: &[u8]) -> bool {
        let (version, role) = name.split_once('.').unwrap();
        let Ok(version) = version.parse() else { return false };
        let mut listed = false;
        if !["root.json", "snapshot.json"].contains(&role) {
            self.shop.list(|snapshot| {
                let info = snapshot.meta.get_mut(role).filter(|info| info.version == version);
                listed = info.map(|info| *info = FileInfo::of(version, bytes)).is_some();
            });
        }
        listed
    }

    /// A timestamp that names a changed snapshot.
    fn follow(&self, file: &Path) {
        let bytes = std::fs::read(file).unwrap();
        let version =
            serde_json::from_slice::<Value>(&bytes).unwrap()["signed"]["version"].as_u64().unwrap_or(1);
        let online = [&self.shop.online];
        self.shop.forge::<Timestamp>("timestamp.json", "timestamp.json", &online, |timestamp| {
            timestamp.meta.snapshot = FileInfo::of(version, &bytes);
        });
    }
}

fn copy_file(from: &Path, to: &Path) {
    let bytes = std::fs::read(from).unwrap();
    std::fs::write(to, bytes).unwrap();
}

/// JSON pointers to everything below a value.
fn collect(value: &Value, at: String, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(n, item)| (n.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        let pointer = format!("{at}/{key}");
        found.push(pointer.clone());
        collect(child, pointer, found);
    }
}
