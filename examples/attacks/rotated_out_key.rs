//! A key was followed by another and taken out of use by a list that the new one signed; then the old one signs again.

use tilemark::{Algorithm, Lineage, Revocations, RevokedKey, SigningKey};
use tilemark_examples::attack::{Breach, Refusal, Scene};
use tilemark_examples::market::START;

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let victim = scene.victim()?;
    victim.open(&scene.file())?; // until then the old key is good
    let publisher = scene.identity().name.publisher().to_owned();
    let new = SigningKey::generate(Algorithm::Ed25519)?;
    victim.follow(&Lineage::sign(&publisher, scene.vendor(), new.public(), START)?)?;
    let mut list = Revocations::new(&publisher, 1, START);
    list.keys.push(RevokedKey { keyid: scene.vendor().public().id(), note: "rotated out".into() });
    victim.take_list(&list.sign(&[&new])?)?;

    let mut identity = scene.identity();
    identity.release += 1;
    victim.open(&scene.repacked(identity.clone(), &new, |_, _| {})?)?;
    identity.release += 1;
    let by_old = scene.repacked(identity, scene.vendor(), |_, _| {})?;
    victim.must_refuse(&by_old, "TM0132")
}
