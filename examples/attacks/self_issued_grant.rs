//! A buyer trusts a key of its own, and makes an owned grant of its trial with it: the wrapped content key is in there already.

use tilemark::{GrantClass, SignedGrant, Trust};
use tilemark_bundle::{Algorithm, SigningKey};
use tilemark_examples::attack::{Breach, Refusal};
use tilemark_examples::market::{Market, trial};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let buyer = market.buyer("buyer")?;
    let genuine = market.sell(&buyer, &trial(1))?;
    let own = SigningKey::generate(Algorithm::Ed25519)?;
    let keys = [market.vendor().public().clone(), own.public().clone()];
    let ids = [keys[0].id(), keys[1].id()];
    let both = keys
        .into_iter()
        .fold(Trust::builder(), |trust, key| trust.key(key))
        .any_publisher(&ids, 1)
        .build()?;
    let mut grant = SignedGrant::verify(&genuine, &both)?.grant().clone();
    (grant.class, grant.inferences) = (GrantClass::Owned, None);
    let buyer = buyer.trusting(both);
    buyer.install(&grant.sign(&own)?)?; // its own policy says that this signature counts
    buyer.must_not_run("TM0183")
}
