//! A vendor's key was followed by another; who stole the old one names a successor of its own.

use tilemark::{Algorithm, Lineage, SigningKey};
use tilemark_examples::attack::{Breach, Refusal, Scene};
use tilemark_examples::market::START;

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let victim = scene.victim()?;
    let publisher = scene.identity().name.publisher().to_owned();
    let (next, thief) =
        (SigningKey::generate(Algorithm::Ed25519)?, SigningKey::generate(Algorithm::Ed25519)?);
    let lineage = |new: &SigningKey| Lineage::sign(&publisher, scene.vendor(), new.public(), START);
    victim.follow(&lineage(&next)?)?;
    victim.open(&scene.repacked(scene.identity(), &next, |_, _| {})?)?; // the successor signs
    victim.must_not_follow(&lineage(&thief)?, "TM0187")
}
