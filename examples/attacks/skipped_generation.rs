//! A vendor's key was followed by a second one. The thief of the first names itself the successor of the second, whose
//! signature is missing.

use tilemark::{Algorithm, Lineage, SigningKey};
use tilemark_bundle::Envelope;
use tilemark_examples::attack::{Breach, Refusal, Scene};
use tilemark_examples::market::START;

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let victim = scene.victim()?;
    let publisher = scene.identity().name.publisher().to_owned();
    let (second, thief) =
        (SigningKey::generate(Algorithm::Ed25519)?, SigningKey::generate(Algorithm::Ed25519)?);
    victim.follow(&Lineage::sign(&publisher, scene.vendor(), second.public(), START)?)?;

    let genuine = Lineage::sign(&publisher, &second, thief.public(), START)?;
    let payload = Envelope::parse(&genuine, Lineage::PAYLOAD_TYPE)?.payload().to_vec();
    let skipped = Envelope::seal(Lineage::PAYLOAD_TYPE, payload, &[scene.vendor()])?.to_json();
    victim.must_not_follow(&skipped, "TM0134")
}
