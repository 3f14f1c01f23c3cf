//! Something is carried along behind the signed file, for another program that reads from the end (as zip readers do).

use tilemark_examples::attack::{Breach, Refusal, Scene};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let mut file = scene.file();
    file.extend(b"PK\x05\x06");
    scene.victim()?.must_refuse(&file, "TM0103")
}
