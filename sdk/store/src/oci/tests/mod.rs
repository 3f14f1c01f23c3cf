//! Registries that keep to the specification, and hostile ones.

mod fake;
mod hostile;

use std::path::PathBuf;

use tempfile::TempDir;
use tilemark_bundle::{
    AppIdentity, Bundle, BundleWriter, Digest, Envelope, Floors, PayloadType, SigningKey, Trust, Untrusted,
};

use super::{Access, Pulled, Registry};
use crate::attacks::shop::{impatient, key};
use crate::contract::Report;
use crate::error::Result;
use fake::Fake;

/// A vendor's machine and a buyer's, and a registry between them.
struct Fair {
    folder: TempDir,
    acme: SigningKey,
    fake: Fake,
}

impl Fair {
    fn open() -> Self {
        Self::with(true)
    }

    fn with(has_referrers: bool) -> Self {
        Self { folder: TempDir::new().unwrap(), acme: key(), fake: Fake::start(has_referrers) }
    }

    /// A fair with release 1 in the registry, under the tag `v1`.
    fn with_release() -> Self {
        let fair = Self::open();
        fair.push(1, "v1", &[]);
        fair
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn trust(&self) -> Trust {
        Trust::key(self.acme.public().clone())
    }

    /// A large blob that stays, one that changes, one without bytes and one that is there twice.
    fn file(&self, release: u64) -> Vec<u8> {
        let identity =
            AppIdentity::new("acme/tagger", &format!("1.{release}.0"), release, "MIT", "Names things");
        let writer = BundleWriter::new(identity.unwrap()).blob("weights", vec![7; 300_000]);
        let writer = writer.blob("graph", release.to_string().into_bytes()).blob("golden/0/record", &[][..]);
        writer.blob("weights-again", vec![7; 300_000]).sign(&[&self.acme]).unwrap()
    }

    fn bundle(&self, release: u64) -> Bundle {
        Untrusted::from_bytes(self.file(release)).unwrap().verify(&self.trust()).unwrap()
    }

    fn registry(&self, version: &str) -> Registry {
        self.registry_as(version, Access::default())
    }

    fn registry_as(&self, version: &str, access: Access) -> Registry {
        let image = format!("{}/acme/tagger{version}", self.fake.address);
        Registry::with_patience(image.parse().unwrap(), access, impatient()).unwrap()
    }

    fn push(&self, release: u64, tag: &str, reports: &[Report]) -> super::Pushed {
        self.registry(&format!(":{tag}")).push(&self.bundle(release), reports, &mut |_, _| ()).unwrap()
    }

    fn pull(&self, version: &str) -> Result<Pulled> {
        self.pull_as(version, Access::default())
    }

    fn pull_as(&self, version: &str, access: Access) -> Result<Pulled> {
        let floors = Floors::open(self.path("floors")).unwrap();
        let (output, parts) = (self.path("app.tmk"), self.path("parts"));
        self.registry_as(version, access).pull(&self.trust(), &floors, &output, &parts, &mut |_, _| ())
    }

    /// What was pulled.
    fn pulled(&self) -> Vec<u8> {
        std::fs::read(self.path("app.tmk")).unwrap()
    }

    /// The pull is refused with this code, and nothing takes the place of a bundle.
    #[track_caller]
    fn refuses(&self, version: &str, code: &str) -> String {
        let error = self.pull(version).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        let beside = std::fs::read_dir(self.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = beside.filter(|name| name.to_string_lossy().starts_with("app.tmk")).collect();
        assert!(left.is_empty(), "{left:?}");
        error.to_string()
    }
}

fn report(identity: Digest, key: &SigningKey) -> Report {
    let claim = serde_json::json!({ "identity": identity, "metric": "accuracy", "whose": "seller", "samples": 10,
        "counts": [{ "name": "hits", "value": 9 }] });
    let kind = PayloadType::EVALUATION;
    Report::new(&Envelope::seal(kind, serde_json::to_vec(&claim).unwrap(), &[key]).unwrap().to_json())
        .unwrap()
}

#[test]
fn the_same_file_comes_back_and_versions_share_layers() {
    let fair = Fair::open();
    let first = fair.push(1, "v1", &[]);
    assert!(first.sent > 300_000 && first.sent < 310_000, "each content once: {first:?}");
    let done = fair.pull(":v1").unwrap();
    assert_eq!(fair.pulled(), fair.file(1));
    assert_eq!((done.image, done.fetched), (first.image, 300_001));
    assert_eq!(done.identity, fair.bundle(1).identity());

    let again = fair.push(1, "v1", &[]);
    assert_eq!((again.image, again.sent), (first.image, 0), "the same bundle is the same image");
    let second = fair.push(2, "latest", &[]);
    assert!(second.sent < 5000 && second.shared >= 300_000, "{second:?}");
    let done = fair.pull("").unwrap();
    assert_eq!(fair.pulled(), fair.file(2));
    assert_eq!(done.fetched, 1);

    // An older release is an older release, wherever it comes from; to look at it elsewhere is no use of it.
    assert_eq!(fair.pull(":v1").unwrap_err().code(), "TM0136");
    assert_eq!(fair.pulled(), fair.file(2));
    assert_eq!(fair.pull(&format!("@sha256:{}", second.image)).unwrap().image, second.image);
    assert_eq!(fair.pull(":none").unwrap_err().code(), "TM0820");
}

#[test]
fn signatures_and_reports_refer_to_the_image() {
    for has_referrers in [true, false] {
        let fair = Fair::with(has_referrers);
        let reports = [report(fair.bundle(1).identity(), &key()), report(fair.bundle(1).identity(), &key())];
        let image = fair.push(1, "v1", &reports).image;
        assert_eq!(fair.push(1, "v1", &reports).sent, 0);
        let registry = fair.registry(":v1");
        let mut found = registry.reports(image, fair.bundle(1).identity()).unwrap().reports;
        let mut expected = reports.to_vec();
        for reports in [&mut found, &mut expected] {
            reports.sort_by(|a, b| a.envelope.cmp(&b.envelope));
        }
        assert_eq!(found, expected);
        let signatures = registry.referring(super::image::SIGNATURE, &image).unwrap();
        let signatures: Vec<_> = signatures.into_iter().map(|one| one.envelope.unwrap()).collect();
        assert_eq!(signatures, [fair.bundle(1).envelope()]);
        let tag = format!("sha256-{image}");
        assert_eq!(fair.fake.state.lock().unwrap().manifests.contains_key(&tag), !has_referrers);
        // Of another bundle nothing is attached.
        let other = report(fair.bundle(2).identity(), &key());
        let error = registry.push(&fair.bundle(1), &[other], &mut |_, _| ()).unwrap_err();
        assert_eq!(error.code(), "TM0835");
    }
}

#[test]
fn what_others_say_in_the_list_of_referrers_stays() {
    let fair = Fair::with(false);
    let image = fair.push(1, "v1", &[]).image;
    let tag = format!("sha256-{image}");
    fair.fake.change_manifest(&tag, |index| {
        index["annotations"] = serde_json::json!({ "by": "another tool" });
        index["manifests"][0]["platform"] = serde_json::json!({ "os": "linux" });
    });
    fair.push(1, "v1", &[report(fair.bundle(1).identity(), &key())]);
    let state = fair.fake.state.lock().unwrap();
    let index: serde_json::Value = serde_json::from_slice(&state.manifests[&tag].1).unwrap();
    assert_eq!(index["annotations"]["by"], "another tool");
    assert_eq!(index["manifests"][0]["platform"]["os"], "linux");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn an_image_is_what_other_tools_expect_of_a_model() {
    let fair = Fair::with_release();
    let state = fair.fake.state.lock().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&state.manifests["v1"].1).unwrap();
    assert_eq!(manifest["artifactType"], "application/vnd.cncf.model.manifest.v1+json");
    let layers = manifest["layers"].as_array().unwrap();
    let files: Vec<_> = layers
        .iter()
        .map(|layer| layer["annotations"]["org.cncf.model.filepath"].as_str().unwrap())
        .collect();
    assert_eq!(files, ["manifest.dsse.json", "weights", "graph"]);
    assert_eq!(layers[1]["mediaType"], "application/vnd.cncf.model.weight.v1.raw");
    let config: serde_json::Value =
        serde_json::from_slice(&state.blobs[manifest["config"]["digest"].as_str().unwrap()]).unwrap();
    assert_eq!(config["descriptor"]["name"], "tagger");
    let digests: Vec<_> = layers.iter().map(|layer| layer["digest"].clone()).collect();
    assert_eq!(config["modelfs"], serde_json::json!({ "type": "layers", "diffIds": digests }));
}
