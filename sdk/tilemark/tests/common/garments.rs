//! The 10,000 test images of Fashion-MNIST, and the app that names them.
#![allow(clippy::print_stdout, reason = "a test says what it skipped")]

use std::path::Path;
use std::process::Command;

use tilemark::pack::Package;
use tilemark::{App, Picture};
use tilemark_testkit::temp::TempFolder;

const LABELS: &str = include_str!("../../../../examples/apps/garment/labels.txt");
/// Where Debian's package `dataset-fashion-mnist` has them.
const DEBIAN: &str = "/usr/share/datasets/fashion-mnist";
/// The variable that makes their absence a failure.
const WANTED: &str = "TILEMARK_TEST_GARMENTS";

pub(crate) fn app() -> App {
    let description = super::examples::folder("garment").join("app.toml");
    super::load(&Package::from_description(description).unwrap())
}

/// The bytes of an array in MNIST's form, behind its heading.
fn array(name: &str, heading: usize) -> Option<Vec<u8>> {
    let path = Path::new(DEBIAN).join(name);
    let unpacked =
        Command::new("gzip").arg("-dc").arg(&path).output().ok().filter(|gzip| gzip.status.success());
    let Some(unpacked) = unpacked else {
        assert!(std::env::var_os(WANTED).is_none(), "{WANTED} is set, and {} cannot be read", path.display());
        println!("skipped: {} is not there; Debian's dataset-fashion-mnist has it", path.display());
        return None;
    };
    Some(unpacked.stdout[heading..].to_vec())
}

/// The images as PNG files, one folder a class; nothing where they are not there.
pub(crate) fn images() -> Option<TempFolder> {
    let (pixels, classes) = (array("t10k-images-idx3-ubyte.gz", 16)?, array("t10k-labels-idx1-ubyte.gz", 8)?);
    assert_eq!((pixels.len(), classes.len()), (10_000 * 28 * 28, 10_000));
    let folder = TempFolder::new();
    for name in LABELS.lines() {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    for (at, (image, class)) in pixels.chunks_exact(28 * 28).zip(&classes).enumerate() {
        let picture = Picture { width: 28, height: 28, channels: 1, samples: image.to_vec() };
        let name = LABELS.lines().nth(usize::from(*class)).unwrap();
        let path = folder.path().join(name).join(format!("{at:05}.png"));
        std::fs::write(path, picture.png().unwrap()).unwrap();
    }
    Some(folder)
}
