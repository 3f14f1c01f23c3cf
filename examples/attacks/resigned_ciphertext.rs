//! Another publisher, trusted too, takes the vendor's ciphertext into a bundle of its own: buyers of the vendor's app would run
//! it under the thief's name.

use tilemark::{Trust, Untrusted};
use tilemark_bundle::{Algorithm, Envelope, PayloadType, SigningKey};
use tilemark_examples::attack::{Breach, Refusal, Scene};
use tilemark_examples::market::Market;

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let thief = SigningKey::generate(Algorithm::Ed25519)?;
    let vendor = Trust::key(market.vendor().public().clone());
    let manifest =
        Scene::manifest_of(market.file())?.replacen("\"name\":\"tilemark/", "\"name\":\"thief/", 1);
    let envelope = Envelope::seal(PayloadType::MANIFEST, manifest.into_bytes(), &[&thief])?;
    let stolen = Scene::with_envelope(market.file(), &String::from_utf8_lossy(&envelope.to_json()));
    Untrusted::from_bytes(market.file().to_vec())?.verify(&vendor).map_err(tilemark_bundle::Error::from)?;
    let buyer = market.buyer("buyer")?.trusting(Trust::key(thief.public().clone()));
    buyer.receive(&stolen)?;
    buyer.must_not_run("TM0157")
}
