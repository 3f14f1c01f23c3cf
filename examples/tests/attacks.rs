//! Every attack of `attacks/` is refused for what it is, and the untouched bundle opens.

use std::path::Path;

use tilemark::{Device, FactKind, Input};
use tilemark_examples::app_folder;
use tilemark_examples::attack::{Breach, Refusal, Scene};

#[path = "../attacks/clock_set_back.rs"]
mod clock_set_back;
#[path = "../attacks/copied_grant.rs"]
mod copied_grant;
#[path = "../attacks/copied_state.rs"]
mod copied_state;
#[path = "../attacks/duplicate_key.rs"]
mod duplicate_key;
#[path = "../attacks/edited_grant.rs"]
mod edited_grant;
#[path = "../attacks/edited_manifest.rs"]
mod edited_manifest;
#[path = "../attacks/expired_lease.rs"]
mod expired_lease;
#[path = "../attacks/flipped_weight.rs"]
mod flipped_weight;
#[path = "../attacks/grant_of_another_release.rs"]
mod grant_of_another_release;
#[path = "../attacks/lease_beyond_seats.rs"]
mod lease_beyond_seats;
#[path = "../attacks/overlong_lease.rs"]
mod overlong_lease;
#[path = "../attacks/publisher_impersonation.rs"]
mod publisher_impersonation;
#[path = "../attacks/replayed_grant.rs"]
mod replayed_grant;
#[path = "../attacks/replayed_release.rs"]
mod replayed_release;
#[path = "../attacks/resigned_ciphertext.rs"]
mod resigned_ciphertext;
#[path = "../attacks/restored_state.rs"]
mod restored_state;
#[path = "../attacks/revoked_key.rs"]
mod revoked_key;
#[path = "../attacks/rotated_out_key.rs"]
mod rotated_out_key;
#[path = "../attacks/second_successor.rs"]
mod second_successor;
#[path = "../attacks/self_issued_grant.rs"]
mod self_issued_grant;
#[path = "../attacks/skipped_generation.rs"]
mod skipped_generation;
#[path = "../attacks/stolen_lease.rs"]
mod stolen_lease;
#[path = "../attacks/stripped_signature.rs"]
mod stripped_signature;
#[path = "../attacks/swapped_blob.rs"]
mod swapped_blob;
#[path = "../attacks/swapped_chunks.rs"]
mod swapped_chunks;
#[path = "../attacks/trailing_bytes.rs"]
mod trailing_bytes;
#[path = "../attacks/truncated_download.rs"]
mod truncated_download;
#[path = "../attacks/truncated_last_chunk.rs"]
mod truncated_last_chunk;
#[path = "../attacks/unknown_signer.rs"]
mod unknown_signer;

type Attack = fn() -> Result<Refusal, Breach>;

/// Name, program, code, and the fact that does not hold; none where there is no verdict, since no bundle was opened.
const ATTACKS: &[(&str, Attack, &str, Option<FactKind>)] = &[
    ("clock_set_back", clock_set_back::main, "TM0534", Some(FactKind::Entitled)),
    ("copied_grant", copied_grant::main, "TM0178", None),
    ("copied_state", copied_state::main, "TM0536", Some(FactKind::Entitled)),
    ("duplicate_key", duplicate_key::main, "TM0111", Some(FactKind::ManifestValid)),
    ("edited_grant", edited_grant::main, "TM0130", None),
    ("edited_manifest", edited_manifest::main, "TM0130", Some(FactKind::Signature)),
    ("expired_lease", expired_lease::main, "TM0532", Some(FactKind::Entitled)),
    ("flipped_weight", flipped_weight::main, "TM0152", Some(FactKind::BlobsIntact)),
    ("grant_of_another_release", grant_of_another_release::main, "TM0179", Some(FactKind::Entitled)),
    ("lease_beyond_seats", lease_beyond_seats::main, "TM0540", None),
    ("overlong_lease", overlong_lease::main, "TM0188", None),
    ("publisher_impersonation", publisher_impersonation::main, "TM0134", Some(FactKind::PublisherAllowed)),
    ("replayed_grant", replayed_grant::main, "TM0539", None),
    ("replayed_release", replayed_release::main, "TM0136", Some(FactKind::NotRolledBack)),
    ("resigned_ciphertext", resigned_ciphertext::main, "TM0157", Some(FactKind::ManifestValid)),
    ("restored_state", restored_state::main, "TM0535", Some(FactKind::Entitled)),
    ("revoked_key", revoked_key::main, "TM0132", Some(FactKind::NotRevoked)),
    ("rotated_out_key", rotated_out_key::main, "TM0132", Some(FactKind::NotRevoked)),
    ("second_successor", second_successor::main, "TM0187", None),
    ("self_issued_grant", self_issued_grant::main, "TM0183", Some(FactKind::Entitled)),
    ("skipped_generation", skipped_generation::main, "TM0134", None),
    ("stolen_lease", stolen_lease::main, "TM0177", None),
    ("stripped_signature", stripped_signature::main, "TM0123", Some(FactKind::WellFormed)),
    ("swapped_blob", swapped_blob::main, "TM0152", Some(FactKind::BlobsIntact)),
    ("swapped_chunks", swapped_chunks::main, "TM0155", Some(FactKind::PlaintextIntact)),
    ("trailing_bytes", trailing_bytes::main, "TM0103", Some(FactKind::WellFormed)),
    ("truncated_download", truncated_download::main, "TM0102", Some(FactKind::WellFormed)),
    ("truncated_last_chunk", truncated_last_chunk::main, "TM0156", Some(FactKind::ManifestValid)),
    ("unknown_signer", unknown_signer::main, "TM0131", Some(FactKind::Signature)),
];

#[test]
fn every_attack_is_refused_for_what_it_is() {
    for (name, attack, code, fact) in ATTACKS {
        let refusal = attack().unwrap_or_else(|breach| panic!("{name}: {breach:?}"));
        assert_eq!((refusal.code, refusal.fact), (*code, *fact), "{name}: {refusal}");
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
