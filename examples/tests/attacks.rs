//! Every attack of `attacks/` is refused for what it is, and the untouched bundle opens.

use std::path::Path;

use tilemark::{Device, FactKind, Input};
use tilemark_examples::app_folder;
use tilemark_examples::attack::{Breach, Refusal, Scene};

#[path = "../attacks/duplicate_key.rs"]
mod duplicate_key;
#[path = "../attacks/edited_manifest.rs"]
mod edited_manifest;
#[path = "../attacks/flipped_weight.rs"]
mod flipped_weight;
#[path = "../attacks/publisher_impersonation.rs"]
mod publisher_impersonation;
#[path = "../attacks/replayed_release.rs"]
mod replayed_release;
#[path = "../attacks/revoked_key.rs"]
mod revoked_key;
#[path = "../attacks/stripped_signature.rs"]
mod stripped_signature;
#[path = "../attacks/swapped_blob.rs"]
mod swapped_blob;
#[path = "../attacks/trailing_bytes.rs"]
mod trailing_bytes;
#[path = "../attacks/truncated_download.rs"]
mod truncated_download;
#[path = "../attacks/unknown_signer.rs"]
mod unknown_signer;

type Attack = fn() -> Result<Refusal, Breach>;

/// Name, program, code, and the fact that does not hold; none where the file is refused before there is a verdict.
const ATTACKS: &[(&str, Attack, &str, FactKind)] = &[
    ("duplicate_key", duplicate_key::main, "TM0111", FactKind::ManifestValid),
    ("edited_manifest", edited_manifest::main, "TM0130", FactKind::Signature),
    ("flipped_weight", flipped_weight::main, "TM0152", FactKind::BlobsIntact),
    ("publisher_impersonation", publisher_impersonation::main, "TM0134", FactKind::PublisherAllowed),
    ("replayed_release", replayed_release::main, "TM0136", FactKind::NotRolledBack),
    ("revoked_key", revoked_key::main, "TM0132", FactKind::NotRevoked),
    ("stripped_signature", stripped_signature::main, "TM0123", FactKind::WellFormed),
    ("swapped_blob", swapped_blob::main, "TM0152", FactKind::BlobsIntact),
    ("trailing_bytes", trailing_bytes::main, "TM0103", FactKind::WellFormed),
    ("truncated_download", truncated_download::main, "TM0102", FactKind::WellFormed),
    ("unknown_signer", unknown_signer::main, "TM0131", FactKind::Signature),
];

#[test]
fn every_attack_is_refused_for_what_it_is() {
    for (name, attack, code, fact) in ATTACKS {
        let refusal = attack().unwrap_or_else(|breach| panic!("{name}: {breach:?}"));
        assert_eq!((refusal.code, refusal.fact), (*code, Some(*fact)), "{name}: {refusal}");
        assert!(!refusal.hint.is_empty(), "{name}");
    }
}

#[test]
fn the_untouched_bundle_opens_and_runs() {
    let scene = Scene::tagger().unwrap();
    let app = scene.victim().unwrap().open(&scene.file()).unwrap();
    let mut session = app.session(Device::host()).unwrap();
    let photo = Input::image(app_folder().join("samples/coffee.png")).unwrap();
    assert_eq!(session.run(photo).unwrap().labels()[0].name, "espresso");
    // The stage's own tools are faithful: what they put together again unchanged is the genuine file.
    assert_eq!(scene.file_with_envelope(&scene.envelope()), scene.file());
}

#[test]
fn every_program_is_run_here_and_described_in_the_readme() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut programs: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    programs.sort();
    assert_eq!(programs, ATTACKS.iter().map(|attack| attack.0).collect::<Vec<_>>());

    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let manifest = include_str!("../Cargo.toml");
    for (name, _, code, _) in ATTACKS {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        assert!(row.is_some_and(|row| row.ends_with(&format!("| {code} |"))), "{name}: {row:?}");
        assert!(manifest.contains(&format!("\"attack_{name}\"")), "{name} is no example in Cargo.toml");
    }
}
