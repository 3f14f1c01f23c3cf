//! Who may import whom, and which dependencies there may be: over `cargo metadata` and the sources.
//! What DESIGN calls the layering is the table [`MAY_IMPORT`]; a violation prints the edge.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tilemark_testkit::metadata::{Dependency, Metadata, Package};
use tilemark_testkit::tagger::root;

/// The crates of ours that each crate of ours may have among its dependencies. A crate that is not here is refused, so a new
/// one takes its place in this table first.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("tilemark-bundle", &[]),
    ("tilemark-model", &[]),
    ("tilemark-pipeline", &["tilemark-model"]),
    ("tilemark-slots", &["tilemark-model"]),
    ("tilemark-kernels", &[]),
    ("tilemark-bitstreams", &[]),
    ("tilemark-engine", &["tilemark-model", "tilemark-kernels", "tilemark-bitstreams"]),
    ("tilemark-simfpga", &["tilemark-bitstreams"]),
    // Of the last it reads manifests, when it packs.
    (
        "tilemark",
        &[
            "tilemark-bundle",
            "tilemark-model",
            "tilemark-pipeline",
            "tilemark-engine",
            "tilemark-slots",
            "tilemark-bitstreams",
        ],
    ),
    ("tilemark-store", &["tilemark-bundle"]),
    ("tilemark-cli", &["tilemark", "tilemark-store"]),
    // Not shipped.
    (
        "tilemark-testkit",
        &[
            "tilemark-bundle",
            "tilemark-model",
            "tilemark-pipeline",
            "tilemark-engine",
            "tilemark-bitstreams",
            "tilemark-store",
        ],
    ),
    ("tilemark-shim", &[]),
    ("tilemark-xtask", &["tilemark-bundle", "tilemark-bitstreams", "tilemark-testkit"]),
    ("tilemark-examples", PUBLIC),
    ("tilemark-benches", PUBLIC),
];

/// What integrators and those who measure may use.
const PUBLIC: &[&str] =
    &["tilemark", "tilemark-bundle", "tilemark-model", "tilemark-pipeline", "tilemark-engine"];

/// Beyond [`MAY_IMPORT`], tests may use these: to make inputs, and to check what is written through the codec.
const TESTS_MAY_IMPORT: &[(&str, &[&str])] = &[
    ("tilemark-model", &["tilemark-testkit", "tilemark-bundle"]),
    // The engine's RTL is compared with the reference; committed bitstreams with their hashes.
    ("tilemark-bitstreams", &["tilemark-bundle", "tilemark-model", "tilemark-testkit"]),
    ("tilemark-engine", &["tilemark-testkit", "tilemark-shim"]),
    ("tilemark-pipeline", &["tilemark-testkit"]),
    ("tilemark", &["tilemark-testkit"]),
    // `docs/errors.md` is compared with every crate's list of codes.
    (
        "tilemark-cli",
        &[
            "tilemark-testkit",
            "tilemark-shim",
            "tilemark-bundle",
            "tilemark-model",
            "tilemark-pipeline",
            "tilemark-engine",
            "tilemark-slots",
        ],
    ),
    ("tilemark-testkit", &["tilemark"]),
];

/// Crates of others that only some of ours may depend on directly.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("ring", &["tilemark-bundle"]),
    ("hpke", &["tilemark-bundle"]),
    ("zeroize", &["tilemark-bundle"]),
    ("cryptoki", &["tilemark"]),
    ("bincode", &["tilemark-bundle"]),
    ("clap", &["tilemark-cli", "tilemark-xtask"]),
    ("anyhow", &["tilemark-cli", "tilemark-xtask"]),
    ("indicatif", &["tilemark-cli", "tilemark-xtask"]),
    ("criterion", &["tilemark-benches"]),
    ("ureq", &["tilemark-store"]),
];

/// Crates that nothing may bring in, with the reason.
const NEVER: &[(&str, &str)] = &[
    ("tokio", "nothing here is async, the store neither: docs/adr/0009-store.md"),
    ("async-std", "nothing here is async, the store neither: docs/adr/0009-store.md"),
    ("smol", "nothing here is async, the store neither: docs/adr/0009-store.md"),
    ("openssl-sys", "links a system library; ring does what is needed"),
    ("native-tls", "links a system library"),
    ("aws-lc-sys", "a second implementation of what ring does"),
];

/// Lines of a source file; who needs more splits it.
const MAX_LINES: usize = 500;

static METADATA: LazyLock<Metadata> = LazyLock::new(Metadata::read);

fn members() -> impl Iterator<Item = &'static Package> {
    METADATA.members()
}

fn entry<'a>(table: &[(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(key, _)| *key == name).map(|(_, list)| *list)
}

/// Fails with every violation at once.
#[track_caller]
fn none(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// Edges between crates of ours that the tables do not have.
fn forbidden_imports(name: &str, dependencies: &[Dependency], ours: &BTreeSet<&str>) -> Vec<String> {
    let Some(allowed) = entry(MAY_IMPORT, name) else {
        return vec![format!("{name} has no place in the layering: put it into MAY_IMPORT")];
    };
    let in_tests = entry(TESTS_MAY_IMPORT, name).unwrap_or_default();
    let permitted = |dependency: &&Dependency| {
        let test = dependency.kind.as_deref() == Some("dev") && in_tests.contains(&dependency.name.as_str());
        test || allowed.contains(&dependency.name.as_str())
    };
    let internal = dependencies.iter().filter(|dependency| ours.contains(dependency.name.as_str()));
    let bad = internal.filter(|dependency| !permitted(dependency));
    bad.map(|bad| format!("{name} -> {} ({})", bad.name, bad.kind.as_deref().unwrap_or("normal"))).collect()
}

#[test]
fn crates_import_downwards_only() {
    let ours: BTreeSet<&str> = members().map(|package| package.name.as_str()).collect();
    assert!(ours.len() >= 8, "{ours:?}");
    none(members().flat_map(|member| forbidden_imports(&member.name, &member.dependencies, &ours)).collect());
}

#[test]
fn a_forbidden_edge_is_printed() {
    let ours = BTreeSet::from(["tilemark", "tilemark-bundle", "tilemark-model", "tilemark-testkit"]);
    let on = |name: &str, kind: Option<&str>| {
        let kind = kind.map(str::to_owned);
        vec![Dependency { name: name.into(), req: "*".into(), kind }]
    };
    let check = |from: &str, to: Vec<Dependency>| forbidden_imports(from, &to, &ours);
    assert_eq!(
        check("tilemark-bundle", on("tilemark-model", None)),
        ["tilemark-bundle -> tilemark-model (normal)"]
    );
    assert_eq!(check("tilemark", on("tilemark-testkit", None)), ["tilemark -> tilemark-testkit (normal)"]);
    assert!(check("tilemark", on("tilemark-testkit", Some("dev"))).is_empty());
    assert!(check("tilemark", on("tilemark-bundle", None)).is_empty());
    assert!(check("tilemark-bundle", on("serde", None)).is_empty());
    assert_eq!(check("tilemark-new", vec![]).len(), 1);
}

#[test]
fn some_dependencies_have_one_home() {
    let homeless = |package: &'static Package| {
        package.dependencies.iter().filter_map(|dependency| {
            let homes = entry(ONLY_IN, &dependency.name)?;
            let at_home = homes.contains(&package.name.as_str());
            (!at_home).then(|| format!("{} -> {}: only {homes:?} may", package.name, dependency.name))
        })
    };
    none(members().flat_map(homeless).collect());
}

#[test]
fn some_dependencies_are_never_brought_in() {
    let reason = |package: &Package| NEVER.iter().find(|(name, _)| *name == package.name);
    let found = METADATA.packages.iter().filter_map(|package| Some((package, reason(package)?.1)));
    none(found.map(|(package, reason)| format!("{} {}: {reason}", package.name, package.version)).collect());
}

#[test]
fn bincode_is_pinned_exactly() {
    let uses: Vec<_> = members().flat_map(|m| &m.dependencies).filter(|d| d.name == "bincode").collect();
    assert!(!uses.is_empty(), "nothing uses bincode: drop this test and the decision record");
    assert!(uses.iter().all(|dependency| dependency.req == "=2.0.1"), "{:?}", uses[0].req);
}

#[test]
fn jpeg_decoding_is_scalar() {
    let names: BTreeMap<&str, &str> =
        METADATA.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
    let decoders: Vec<_> = METADATA
        .resolve
        .nodes
        .iter()
        .filter(|node| names.get(node.id.as_str()) == Some(&"zune-jpeg"))
        .collect();
    assert!(!decoders.is_empty(), "nothing decodes JPEG");
    // Its SIMD paths give other pixels (docs/pipeline.md); a feature that anybody turns on is on for all.
    for decoder in decoders {
        let simd = decoder.features.iter().find(|f| ["x86", "neon", "portable_simd"].contains(&f.as_str()));
        assert_eq!(simd, None, "{}", decoder.id);
    }
}

/// Rust files below a folder of the repository, without build outputs.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the checkout") {
        let path = entry.expect("a listed file").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    for folder in ["sdk", "examples", "benches"] {
        sources(&root().join(folder), &mut paths);
    }
    assert!(paths.len() > 100, "{} files", paths.len());
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a source file is text");
        let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        (name, text)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn one_file_knows_bincode() {
    let path = concat!("bin", "code::"); // not a use of it
    let users: Vec<_> =
        all_sources().into_iter().filter(|(_, text)| text.contains(path)).map(|f| f.0).collect();
    assert_eq!(users, ["sdk/bundle/src/codec.rs"]);
}

#[test]
fn source_files_stay_readable() {
    let long = |(name, text): &(String, String)| {
        let lines = text.lines().count();
        let shipped = name.starts_with("sdk/") && name.contains("/src/");
        (shipped && lines > MAX_LINES).then(|| format!("{name}: {lines} lines, the limit is {MAX_LINES}"))
    };
    none(all_sources().iter().filter_map(long).collect());
}
