//! A genuine old release, with a fault that a newer one mended, is served again to somebody who has the newer one.

use tilemark_examples::attack::{Breach, Refusal, Scene};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let (old, mut identity) = (scene.file(), scene.identity());
    identity.release += 1;
    let new = scene.repacked(identity, scene.vendor(), |_, _| {})?;
    let victim = scene.victim()?;
    victim.open(&old)?; // good, while it was the newest
    victim.open(&new)?;
    victim.must_refuse(&old, "TM0136")
}
