//! The vendor has a second app with the same classes in another order. Its labels are genuine and signed, and just as
//! long; put into the first app they give every object another's name.

use tilemark_bundle::AppIdentity;
use tilemark_examples::attack::{Breach, Refusal, Scene};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let name = "resources/labels.txt";
    let other = AppIdentity::new("tilemark/sorted-tagger", "1.0.0", 1, "Apache-2.0", "The same, sorted")?;
    let sorted = scene.repacked(other, scene.vendor(), |blob, bytes| {
        if blob == name {
            *bytes = sorted_lines(bytes);
        }
    })?;
    scene.victim()?.open(&sorted)?; // genuine, where it belongs

    let mut file = scene.file();
    let (place, labels) = (scene.place(name)?, sorted_lines(scene.blob(name)?));
    file[place].copy_from_slice(&labels);
    scene.victim()?.must_refuse(&file, "TM0152")
}

fn sorted_lines(text: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    lines.concat()
}
