//! A trial of one inference is edited to a million, and the vendor's signature kept.

use tilemark::Grant;
use tilemark_bundle::{Algorithm, Envelope, SigningKey};
use tilemark_examples::attack::{Breach, Refusal};
use tilemark_examples::market::{Market, trial};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let buyer = market.buyer("buyer")?;
    let genuine = market.sell(&buyer, &trial(1))?;
    let claims = Envelope::parse(&genuine, Grant::PAYLOAD_TYPE)?.payload().to_vec();
    let edited = String::from_utf8_lossy(&claims).replacen("\"inferences\":1,", "\"inferences\":1000000,", 1);
    // Any key gives the envelope its form; then the vendor's own signature takes the place of the attacker's.
    let mallory = SigningKey::generate(Algorithm::Ed25519)?;
    let forged = Envelope::seal(Grant::PAYLOAD_TYPE, edited.into_bytes(), &[&mallory])?;
    let (forged, genuine) =
        (String::from_utf8_lossy(&forged.to_json()).into_owned(), String::from_utf8_lossy(&genuine));
    let split = |json: &str| json.find(",\"signatures\"").unwrap_or(json.len());
    let grant = [&forged[..split(&forged)], &genuine[split(&genuine)..]].concat();
    buyer.must_not_install(grant.as_bytes(), "TM0130")
}
