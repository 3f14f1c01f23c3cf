//! One bit of one weight changes, on the disk or on the way: a network that is a little wrong, and nobody notices.

use tilemark_examples::attack::{Breach, Refusal, Scene};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let mut file = scene.file();
    let weights = scene.place("weights")?;
    file[weights.start + weights.len() / 2] ^= 1;
    scene.victim()?.must_refuse(&file, "TM0152")
}
