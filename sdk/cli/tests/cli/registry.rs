//! Bundles in a registry of containers: Debian's, read again by skopeo. `cargo xtask interop` installs both.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::workshop::{TINY_TOML, Workshop};

/// A registry of this machine, until it is dropped.
struct Registry {
    process: Child,
    address: String,
}

impl Registry {
    fn start(shop: &Workshop) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let folder = shop.path("registry");
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            folder.display()
        );
        shop.write("registry.yml", config);
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(shop.path("registry.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("docker-registry is there: run `cargo xtask interop`");
        let (started, registry) = (Instant::now(), Self { process, address });
        while TcpStream::connect(&registry.address).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "docker-registry does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What skopeo says.
#[track_caller]
fn skopeo(shop: &Workshop, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo").args(arguments).current_dir(shop.path("")).output();
    let output = output.expect("skopeo is there: run `cargo xtask interop`");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn pack(shop: &Workshop, release: u64) -> String {
    let text = TINY_TOML.replace("release = 7", &format!("release = {release}"));
    shop.write("app.toml", text.replace("Five made-up", &format!("Release {release}: five made-up")));
    let file = format!("tiny-{release}.tmk");
    shop.tilemark(&format!("pack app.toml --key vendor.key -o {file}")).ok();
    file
}

#[test]
#[ignore = "needs Debian's docker-registry and skopeo: `cargo xtask interop`"]
fn interop_a_registry_keeps_bundles_and_skopeo_reads_them() {
    let shop = Workshop::with_sources();
    let registry = Registry::start(&shop);
    let image = format!("{}/acme/tiny", registry.address);
    let push = |release: u64| {
        let file = pack(&shop, release);
        let line = format!("store push {file} {image}:r{release} --trust vendor.pub --json");
        (shop.read(&file), shop.tilemark(&line).ok().json())
    };
    let (first_file, first) = push(7);
    let (second_file, second) = push(8);
    let number = |json: &Value, field: &str| json[field].as_u64().unwrap();
    // Envelopes, configs and their manifests are new, the app's blobs are not.
    assert!(number(&second, "shared") > 0, "{second}");
    assert!(number(&second, "sent") < number(&first, "sent") - number(&second, "shared"), "{first} {second}");
    println!("first: {first}\nsecond: {second}");

    let pull = format!("store pull {image}:r7 -o copy.tmk --trust vendor.pub");
    shop.tilemark(&pull).ok().prints("acme/tiny 1.2.0, release 7");
    assert_eq!(shop.read("copy.tmk"), first_file);
    let done =
        shop.tilemark(&format!("store pull {image}:r8 -o copy.tmk --trust vendor.pub --json")).ok().json();
    assert_eq!(shop.read("copy.tmk"), second_file);
    assert_eq!(number(&done, "fetched"), 0, "only the envelope is new: {done}");
    shop.tilemark(&pull).fails(3, "TM0136");
    let digest = second["image"].as_str().unwrap();
    shop.tilemark(&format!("store pull {digest} -o again.tmk --trust vendor.pub")).ok();
    assert_eq!(shop.read("again.tmk"), second_file);

    // Other people's tool sees the same manifest, and carries all of it elsewhere and back.
    let raw = skopeo(&shop, &["inspect", "--raw", "--tls-verify=false", &format!("docker://{image}:r8")]);
    assert_eq!(second["digest"], format!("sha256:{}", tilemark::sha256(&raw)));
    let manifest: Value = serde_json::from_slice(&raw).unwrap();
    assert_eq!(manifest["artifactType"], "application/vnd.cncf.model.manifest.v1+json");
    let from = format!("docker://{image}:r8");
    skopeo(&shop, &["copy", "--preserve-digests", "--src-tls-verify=false", &from, "oci:layout:r8"]);
    for layer in manifest["layers"].as_array().unwrap() {
        let hex = layer["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        assert_eq!(tilemark::sha256(&shop.read(&format!("layout/blobs/sha256/{hex}"))).to_string(), hex);
    }
    let to = format!("docker://{}/other/name:r8", registry.address);
    skopeo(&shop, &["copy", "--preserve-digests", "--dest-tls-verify=false", "oci:layout:r8", &to]);
    let there = to.strip_prefix("docker://").unwrap();
    shop.tilemark(&format!("store pull {there} -o carried.tmk --trust vendor.pub")).ok();
    assert_eq!(shop.read("carried.tmk"), second_file);
}

#[test]
#[ignore = "needs Debian's docker-registry and skopeo: `cargo xtask interop`"]
fn interop_evaluations_go_with_an_image() {
    let shop = crate::eval::with_data(20);
    let registry = Registry::start(&shop);
    let image = format!("{}/acme/tiny:r7", registry.address);
    shop.tilemark("keygen --out lab").ok();
    shop.tilemark("eval tiny.tmk --trust vendor.pub --device host --data data --buyer-data --report claim.json --key lab.key").ok();
    shop.tilemark(&format!("store push tiny.tmk {image} --trust vendor.pub --report claim.json")).ok();
    let pull = format!("store pull {image} -o copy.tmk --trust vendor.pub --reports claims --json");
    let done = shop.tilemark(&pull).ok().json();
    let reports = done["reports"].as_array().unwrap();
    assert_eq!(reports.len(), 1, "{done}");
    let claim = String::from_utf8(shop.read("claim.json")).unwrap();
    assert_eq!(shop.read(reports[0].as_str().unwrap()), claim.trim().as_bytes());
    // The registry has no list of referrers, so a tag has it: skopeo sees it as any index.
    let tag = done["digest"].as_str().unwrap().replace(':', "-");
    let name = image.strip_suffix(":r7").unwrap();
    let raw = skopeo(&shop, &["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}:{tag}")]);
    let index: Value = serde_json::from_slice(&raw).unwrap();
    let kinds: Vec<_> =
        index["manifests"].as_array().unwrap().iter().map(|one| one["artifactType"].clone()).collect();
    assert_eq!(kinds, ["application/vnd.tilemark.signature.v1", "application/vnd.tilemark.report.v1"]);
}
