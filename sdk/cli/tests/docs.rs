//! The examples in the documentation are run: what a reader types gives what the page shows.

use std::path::{Path, PathBuf};
use std::process::Command;

use tilemark::npy;
use tilemark_testkit::console;
use tilemark_testkit::onnx::float_net::{classifier, pictures};
use tilemark_testkit::tagger::root;
use tilemark_testkit::temp::{TempFolder, copy_folder};

/// Pages that must have examples; a page that lost them would otherwise pass unnoticed.
const WITH_EXAMPLES: [&str; 3] = ["cli.md", "quickstart.md", "store-walkthrough.md"];

#[test]
fn examples_in_the_documentation_give_what_it_shows() {
    let pages = pages();
    for name in WITH_EXAMPLES {
        assert!(pages.iter().any(|page| page.ends_with(name)), "{name} has no examples");
    }
    let failures: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = pages.iter().map(|page| scope.spawn(|| failures(page))).collect();
        running.into_iter().flat_map(|page| page.join().expect("no panic in a page")).collect()
    });
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn links_in_the_documentation_lead_somewhere() {
    let mut broken = Vec::new();
    for page in all_pages() {
        let text = std::fs::read_to_string(&page).expect("a listed page can be read");
        let folder = page.parent().expect("a page is in a folder");
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let is_path = |target: &str| {
            !target.is_empty() && target.chars().all(|c| c.is_ascii_alphanumeric() || "./_-".contains(c))
        };
        for target in targets.filter(|target| is_path(target)) {
            if !folder.join(target).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// `README.md` and the pages in `docs/`.
fn all_pages() -> Vec<PathBuf> {
    let list = std::fs::read_dir(root().join("docs")).expect("there is documentation");
    let docs = list.map(|entry| entry.expect("a listed file").path());
    let docs = docs.filter(|page| page.extension().is_some_and(|extension| extension == "md"));
    docs.chain([root().join("README.md")]).collect()
}

/// The pages that have examples.
fn pages() -> Vec<PathBuf> {
    let has_examples =
        |page: &PathBuf| std::fs::read_to_string(page).is_ok_and(|text| text.contains("```console"));
    all_pages().into_iter().filter(has_examples).collect()
}

fn failures(page: &Path) -> Vec<String> {
    let folder = TempFolder::new();
    for app in ["tagger", "garment"] {
        copy_folder(&root().join("examples/apps").join(app), &folder.path().join(app));
    }
    float_model(&folder);
    let binary = Path::new(env!("CARGO_BIN_EXE_tilemark"));
    let mut path = vec![binary.parent().expect("the binary is in a folder").to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let path = std::env::join_paths(path).expect("folders without colons");
    let home = folder.path().join("home");
    // The same devices everywhere: an OpenCL loader that finds no driver.
    let drivers = folder.path().join("no-drivers");
    let environment = [
        ("PATH", path.to_str().expect("UTF-8")),
        ("TILEMARK_HOME", home.to_str().expect("UTF-8")),
        ("OCL_ICD_VENDORS", drivers.to_str().expect("UTF-8")),
    ];
    let text = std::fs::read_to_string(page).expect("the page was read before");
    if !text.contains("$ tilemark keygen") {
        // The first screen of a page may take a key pair for granted.
        let keygen =
            Command::new(binary).args(["keygen", "--out", "vendor"]).current_dir(folder.path()).output();
        assert!(keygen.is_ok_and(|output| output.status.success()), "no key pair for {}", page.display());
    }
    let name = page.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failures = console::failures(&text, folder.path(), &environment);
    failures.into_iter().map(|failure| format!("{name}, {failure}")).collect()
}

/// A small float model and data to calibrate it with, for the pages that quantize one.
fn float_model(folder: &TempFolder) {
    folder.file("float.onnx", classifier().encode());
    std::fs::create_dir(folder.path().join("calibration")).expect("a folder can be made");
    for (i, picture) in pictures(16, 1).iter().enumerate() {
        folder.file(&format!("calibration/{i:02}.npy"), npy::write(picture));
    }
}
