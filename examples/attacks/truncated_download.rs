//! The connection broke at nine tenths; the file looks like one.

use tilemark_examples::attack::{Breach, Refusal, Scene};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let mut file = scene.file();
    file.truncate(file.len() / 10 * 9);
    scene.victim()?.must_refuse(&file, "TM0102")
}
