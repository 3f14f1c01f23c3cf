//! The app is changed and signed again, properly, by a key of the attacker's own. Beside the vendor's signature that
//! signature would be harmless; alone it is worth nothing.

use tilemark::{Algorithm, SigningKey, Untrusted};
use tilemark_examples::attack::{Breach, Refusal, Scene};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let attacker = SigningKey::generate(Algorithm::Ed25519)?;
    let beside = Untrusted::from_bytes(scene.file())?.with_signature(&attacker)?;
    scene.victim()?.open(&beside)?; // reported in the verdict, and counts for nothing

    let file = scene.repacked(scene.identity(), &attacker, |name, bytes| {
        if name == "weights" {
            bytes.reverse();
        }
    })?;
    scene.victim()?.must_refuse(&file, "TM0131")
}
