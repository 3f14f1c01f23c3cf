//! Documentation that says what is in the sources: every variable of the environment, and every name on the walks of
//! `docs/architecture.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).expect("a page of the documentation")
}

/// Files below a folder that end in one of these, without build outputs.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the checkout") {
        let path = entry.expect("a listed file").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, endings, found);
        } else if path.extension().is_some_and(|ending| endings.iter().any(|e| ending == *e)) {
            found.push(path);
        }
    }
}

/// The text of every source file with one of these endings.
fn sources(endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["sdk", "bitstreams", "kernels", "examples", "benches"] {
        files(&root().join(folder), endings, &mut found);
    }
    assert!(found.len() > 100, "{} files", found.len());
    found.iter().map(|path| std::fs::read_to_string(path).expect("a source file is text")).collect()
}

/// The variables of ours that a text names.
fn variables(text: &str) -> BTreeSet<String> {
    let begin = concat!("TILE", "MARK_");
    let rest = |at: usize| {
        let more = text[at + begin.len()..].find(|c: char| !c.is_ascii_uppercase() && c != '_');
        text[at..][..begin.len() + more.unwrap_or(0)].trim_end_matches('_').to_owned()
    };
    text.match_indices(begin).map(|(at, _)| rest(at)).filter(|name| name.len() > begin.len()).collect()
}

#[test]
fn every_variable_is_in_the_table() {
    let text = page("environment.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    // Others' variables are there too, for whoever looks for them.
    let ours = rows.filter(|(name, _)| name.starts_with(concat!("TILE", "MARK_")));
    let documented: BTreeSet<String> = ours.map(|(name, _)| name.to_owned()).collect();
    let named: BTreeSet<String> =
        sources(&["rs", "py", "cpp", "sv"]).iter().flat_map(|text| variables(text)).collect();
    let difference =
        |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
    assert_eq!(difference(&named, &documented), [""; 0], "not in docs/environment.md");
    assert_eq!(difference(&documented, &named), [""; 0], "in docs/environment.md, and in no source");
}

/// Whether a source defines this name: as an item, a module, a variant or a field.
fn is_defined(name: &str, sources: &[String]) -> bool {
    let definition = |line: &str| {
        let words: Vec<&str> =
            line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
        let item = words.windows(2).any(|pair| {
            pair[1] == name
                && matches!(
                    pair[0],
                    "fn" | "struct" | "enum" | "trait" | "mod" | "type" | "const" | "macro_rules"
                )
        });
        let line = line.trim_start().trim_start_matches("pub ");
        item || line.strip_prefix(name).is_some_and(|rest| rest.starts_with([':', ',', '(']))
    };
    sources.iter().any(|text| text.contains(name) && text.lines().any(definition))
}

#[test]
fn every_name_on_a_walk_is_in_the_sources() {
    let (text, sources) = (page("architecture.md"), sources(&["rs"]));
    let (mut walked, mut unknown) = (0, Vec::new());
    for section in text
        .split("\n## ")
        .filter(|section| ["A photo", "A byte", "A layer"].iter().any(|s| section.starts_with(s)))
    {
        walked += 1;
        // Every other piece between backticks; command lines have spaces.
        for code in section.split('`').skip(1).step_by(2).filter(|code| !code.contains(' ')) {
            let names = code.split("::").map(|name| name.trim_end_matches("()"));
            unknown.extend(
                names.filter(|name| !is_crate(name) && !is_defined(name, &sources)).map(str::to_owned),
            );
        }
    }
    assert_eq!((walked, unknown), (3, Vec::new()), "docs/architecture.md walks through what is not there");
}

/// A crate of ours, as the page calls it.
fn is_crate(name: &str) -> bool {
    root().join("sdk").join(name).join("Cargo.toml").exists()
}

#[test]
fn a_name_that_is_gone_is_found() {
    let source = ["pub(crate) fn run_now() {}\n    /// Text.\n    Variant(u8),\n    field: u8,\n".to_owned()];
    assert!(["run_now", "Variant", "field"].iter().all(|name| is_defined(name, &source)));
    assert!(!["run", "Text", "u8"].iter().any(|name| is_defined(name, &source)));
    let text = concat!("env(\"TILE", "MARK_A_B\") TILE", "MARK_");
    assert_eq!(variables(text).into_iter().collect::<Vec<_>>(), [concat!("TILE", "MARK_A_B")]);
}
