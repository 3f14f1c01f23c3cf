//! Under which licences everything is that Tilemark is built from; `docs/licenses.md` lists what is shipped.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use tilemark_testkit::metadata::{Metadata, Package};
use tilemark_testkit::tagger::root;

/// Licences that an integrator can live with without asking a lawyer.
const LICENSES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What is handed out, with all that is in it: the program, and the library that integrators depend on.
const SHIPPED: &str = "tilemark-cli";

static METADATA: LazyLock<Metadata> = LazyLock::new(Metadata::read);

#[test]
fn every_licence_is_one_that_integrators_can_live_with() {
    let refused = |package: &Package| {
        let license = package.license.as_deref().unwrap_or("none");
        (!permitted(license)).then(|| format!("{} {}: {license}", package.name, package.version))
    };
    let refused: Vec<String> = METADATA.packages.iter().filter_map(refused).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

/// Whether the licences of the list satisfy an expression. `/` is how some old crates write `OR`.
fn permitted(expression: &str) -> bool {
    let parsed = spdx::Expression::parse(&expression.replace('/', " OR "));
    parsed.is_ok_and(|parsed| {
        parsed.evaluate(|requirement| LICENSES.contains(&requirement.to_string().as_str()))
    })
}

#[test]
fn licence_expressions_are_evaluated() {
    for good in ["MIT", "MIT/Apache-2.0", "MIT OR GPL-3.0-only", "(MIT OR GPL-2.0-only) AND Unicode-3.0"] {
        assert!(permitted(good), "{good}");
    }
    for bad in
        ["GPL-3.0-only", "MIT AND GPL-3.0-only", "none", "", "MPL-2.0", "Apache-2.0 WITH GCC-exception-3.1"]
    {
        assert!(!permitted(bad), "{bad}");
    }
}

/// What a shipped program has in it, or is built with: no crate of ours, and no test's.
fn shipped() -> BTreeSet<(String, String, String)> {
    let first = METADATA.members().find(|member| member.name == SHIPPED).expect("a crate of ours");
    let (mut seen, mut left) = (BTreeSet::from([first.id.as_str()]), vec![first.id.as_str()]);
    while let Some(id) = left.pop() {
        let node = METADATA.resolve.nodes.iter().find(|node| node.id == id).expect("a resolved package");
        let edges = node
            .deps
            .iter()
            .filter(|edge| edge.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev")));
        left.extend(edges.map(|edge| edge.pkg.as_str()).filter(|id| seen.insert(id)));
    }
    let foreign = seen.into_iter().filter(|id| !METADATA.workspace_members.contains(*id));
    let row = |package: &Package| {
        let license = package.license.clone().unwrap_or_default().replace('/', " OR ");
        (license, package.name.clone(), package.version.clone())
    };
    foreign.filter_map(|id| METADATA.package(id)).map(row).collect()
}

#[test]
fn the_page_of_licences_is_up_to_date() {
    let mut page = "# Licences of what is in it

<!-- Made by a test: TILEMARK_BLESS=1 cargo test -p tilemark-testkit --test licenses -->

Tilemark is under Apache-2.0 or MIT, as you like. A build of it has crates of others in it, on one platform or another, or is built with
them; each is under a licence of the list in `sdk/testkit/tests/licenses.rs`, which a test holds them to. Whoever hands out a build passes on
their copyright notices. Apps have licences of their own ([origin](bundle-format.md#origin)).

| licence | crate | version |
|---|---|---|
"
    .to_owned();
    for (license, name, version) in shipped() {
        let _ = writeln!(page, "| {license} | `{name}` | {version} |");
    }
    let path = root().join("docs/licenses.md");
    if std::env::var_os("TILEMARK_BLESS").is_some() && METADATA.is_whole {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).expect("the page is there");
    let missing: Vec<&str> = page.lines().filter(|line| !written.contains(line)).collect();
    assert!(missing.is_empty(), "not in docs/licenses.md: {missing:#?}");
    assert!(written == page || !METADATA.is_whole, "docs/licenses.md lists more than there is");
}
