//! The signatures are taken off, in the hope that "nothing to check" passes for "nothing wrong".

use tilemark_examples::attack::{Breach, Refusal, Scene};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let genuine = scene.envelope();
    let end = genuine.find(",\"signatures\"").unwrap_or(genuine.len());
    let envelope = format!("{},\"signatures\":[]}}", &genuine[..end]);
    scene.victim()?.must_refuse(&scene.file_with_envelope(&envelope), "TM0123")
}
