//! The vendor's key was stolen and is revoked; what it signs is still a valid signature.

use tilemark::Trust;
use tilemark_examples::attack::{Breach, Refusal, Scene, Victim};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let key = scene.vendor().public();
    let policy = || Trust::builder().key(key.clone()).publisher("tilemark", &[key.id()], 1);
    Victim::new(policy().build()?)?.open(&scene.file())?; // good, until the policy learns of the theft

    let informed = policy().revoke_key(key.id(), "laptop stolen").build()?;
    Victim::new(informed)?.must_refuse(&scene.file(), "TM0132")
}
