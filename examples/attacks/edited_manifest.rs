//! The manifest is edited (here: a higher release, to get past a rollback floor) and the vendor's signature kept.

use tilemark_bundle::{Envelope, PayloadType};
use tilemark_examples::attack::{Breach, Refusal, Scene};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let edited = scene.manifest()?.replacen("\"release\":1", "\"release\":9", 1);
    // Any key gives the envelope its form; then the vendor's own signatures take the place of the attacker's.
    let forged = Envelope::seal(PayloadType::MANIFEST, edited.into_bytes(), &[scene.vendor()])?;
    let forged = String::from_utf8_lossy(&forged.to_json()).into_owned();
    let genuine = scene.envelope();
    let split = |json: &str| json.find(",\"signatures\"").unwrap_or(json.len());
    let envelope = [&forged[..split(&forged)], &genuine[split(&genuine)..]].concat();
    scene.victim()?.must_refuse(&scene.file_with_envelope(&envelope), "TM0130")
}
