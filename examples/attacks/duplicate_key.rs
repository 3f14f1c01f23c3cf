//! A manifest with one key twice, signed by a trusted vendor: a reader that takes the first sees release 1, one that takes
//! the last sees release 2. Two programs would disagree about what was signed.

use tilemark_bundle::{Envelope, PayloadType};
use tilemark_examples::attack::{Breach, Refusal, Scene};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let scene = Scene::tagger()?;
    let manifest = scene.manifest()?.replacen("\"release\":1", "\"release\":1,\"release\":2", 1);
    let envelope = Envelope::seal(PayloadType::MANIFEST, manifest.into_bytes(), &[scene.vendor()])?;
    let envelope = String::from_utf8_lossy(&envelope.to_json()).into_owned();
    scene.victim()?.must_refuse(&scene.file_with_envelope(&envelope), "TM0111")
}
