//! How long an installation takes beside `curl` and a SHA-256 of the same bytes, from a web server of this machine:
//! `cargo run --release -p tilemark-store --example install_speed [MB] [ROUNDS]`.
//!
//! What is compared does less: curl writes one file that nobody vouches for, and nothing waits for the disk.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tilemark_bundle::{Algorithm, AppIdentity, BundleWriter, Floors, SigningKey};
use tilemark_store::{Installation, Operator, Repository, RootKeys, Store, Validity};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The releases are alike but for their blobs, so that each installation fetches all of it.
fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let (megabytes, rounds) = (arguments.next().unwrap_or(Ok(200))?, arguments.next().unwrap_or(Ok(9))?);
    let shop = Shop::open(megabytes << 20)?;
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    // One of each before, which nobody counts; then by turns, so that whatever else this machine does meets all alike.
    for round in 0..=rounds {
        let taken =
            [shop.install()?, shop.curl("openssl", &["dgst", "-sha256"])?, shop.curl("sha256sum", &[])?];
        if round > 0 {
            times.iter_mut().zip(taken).for_each(|(times, taken)| times.push(taken));
        }
    }
    let [install, openssl, coreutils] = times.map(statistics);
    println!("{megabytes} MB, {rounds} rounds       min     median");
    for (name, [min, median]) in
        [("install", install), ("curl + openssl dgst", openssl), ("curl + sha256sum", coreutils)]
    {
        println!("{name:22} {:7.3} s {:7.3} s", min.as_secs_f64(), median.as_secs_f64());
    }
    for (name, other) in [("openssl dgst", openssl), ("sha256sum", coreutils)] {
        let [min, median] = [0, 1].map(|at| install[at].as_secs_f64() / other[at].as_secs_f64());
        println!("install / curl + {name:12} {min:5.2}   {median:5.2}");
    }
    Ok(())
}

fn statistics(mut times: Vec<Duration>) -> [Duration; 2] {
    times.sort_unstable();
    [times[0], times[times.len() / 2]]
}

struct Shop {
    folder: TempDir,
    address: String,
    store: Store,
    blob: PathBuf,
}

impl Shop {
    /// A store with one app: a blob of this many bytes, and a small one.
    fn open(bytes: usize) -> Outcome<Self> {
        let folder = TempDir::new_in(std::env::current_dir()?)?;
        let path = |name: &str| folder.path().join(name);
        let key = || SigningKey::generate(Algorithm::Ed25519);
        let (root, targets, online, acme) = (key()?, key()?, key()?, key()?);
        let keys = RootKeys { root: &[&root], threshold: 1, targets: &targets, online: &online };
        fs::create_dir(path("store"))?;
        Operator::init(&path("store"), &path("office"), &keys, Validity::default())?;
        let operator = Operator::open(&path("store"), &path("office"))?;
        operator.invite("acme", &[acme.public().clone()], 1, &targets)?;
        let app = AppIdentity::new("acme/tagger", "1.0.0", 1, "MIT", "Names things")?;
        let writer = BundleWriter::new(app).blob("weights", noise(bytes)).blob("graph", &b"integers"[..]);
        fs::write(path("app.tmk"), writer.sign(&[&acme])?)?;
        Repository::open(&path("store"))?.publish(&path("app.tmk"), &[&acme])?;
        operator.refresh(&online)?;
        let address = serve(path("store"))?;
        let root = fs::read(path("store/metadata/1.root.json"))?;
        let store = Store::add(&path("state"), &path("cache"), &root, std::slice::from_ref(&address))?;
        let blob = largest(&path("store/blobs"))?;
        let blob = blob.strip_prefix(path("store"))?.to_owned();
        Ok(Self { folder, address, store, blob })
    }

    /// From nothing to an app that runs: metadata, blobs, verification, floors, all of it on the disk.
    fn install(&self) -> Outcome<Duration> {
        let home = self.folder.path().join("home");
        let _ = fs::remove_dir_all(&home);
        let start = Instant::now();
        let view = self.store.refresh()?;
        let offer = view.offer(&"acme/tagger".parse()?, None)?;
        let installation = Installation::new(home.join("apps"), Floors::open(home.join("floors"))?);
        let done = installation.install(&view, &offer, |_| Ok(()), &mut |_, _| ())?;
        let taken = start.elapsed();
        assert!(done.reused == 0 && done.fetched > 0, "all of it is fetched");
        Ok(taken)
    }

    /// The large blob by curl, and then its SHA-256.
    fn curl(&self, program: &str, arguments: &[&str]) -> Outcome<Duration> {
        let file = self.folder.path().join("curled");
        let _ = fs::remove_file(&file);
        let url = format!("{}/{}", self.address, self.blob.display());
        let start = Instant::now();
        let fetched = Command::new("curl").args(["-sf", "-o"]).arg(&file).arg(url).status()?;
        let hashed = Command::new(program).args(arguments).arg(&file).stdout(Stdio::null()).status()?;
        assert!(fetched.success() && hashed.success(), "curl and {program} work");
        Ok(start.elapsed())
    }
}

/// Bytes that nothing makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn largest(folder: &Path) -> Outcome<PathBuf> {
    let mut files = Vec::new();
    for shard in fs::read_dir(folder)? {
        for file in fs::read_dir(shard?.path())? {
            files.push(file?.path());
        }
    }
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
    files.into_iter().max_by_key(size).ok_or_else(|| "a store without blobs".into())
}

/// A web server of a folder, until the process ends; its address.
fn serve(folder: PathBuf) -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = answer(client, &folder); // a client may go away
        }
    });
    Ok(address)
}

fn answer(mut client: TcpStream, folder: &Path) -> std::io::Result<()> {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte)? == 1 {
        request.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&request);
    let path = text.split_whitespace().nth(1).unwrap_or("/").trim_start_matches('/');
    let Ok(mut file) = File::open(folder.join(path)) else {
        return client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let length = file.metadata()?.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    client.write_all(head.as_bytes())?;
    std::io::copy(&mut file, &mut client).map(drop)
}
