//! A publisher whose key the policy trusts for its own apps signs one under another publisher's name.

use tilemark::{Algorithm, SigningKey, Trust};
use tilemark_bundle::AppIdentity;
use tilemark_examples::attack::{Breach, Refusal, Scene, Victim};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let (ours, mallory) = (scene.vendor(), SigningKey::generate(Algorithm::Ed25519)?);
    let trust = Trust::builder().key(ours.public().clone()).key(mallory.public().clone());
    let trust = trust
        .publisher("tilemark", &[ours.public().id()], 1)
        .publisher("mallory", &[mallory.public().id()], 1)
        .build()?;
    let victim = Victim::new(trust)?;
    victim.open(&scene.file())?;
    let own = AppIdentity::new("mallory/tagger", "1.0.0", 1, "Apache-2.0", "Its own app")?;
    victim.open(&scene.repacked(own, &mallory, |_, _| {})?)?; // its own name is its own affair

    let file = scene.repacked(scene.identity(), &mallory, |_, _| {})?;
    victim.must_refuse(&file, "TM0134")
}
