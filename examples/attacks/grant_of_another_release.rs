//! A grant for the release that was bought is used for a newer one.

use tilemark::{GrantClass, Offer};
use tilemark_examples::attack::{Breach, Refusal};
use tilemark_examples::market::Market;

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let buyer = market.buyer("buyer")?;
    buyer.install(&market.sell(&buyer, &Offer::new(GrantClass::Owned))?)?;
    buyer.runs()?;
    let mut identity = market.scene().identity();
    identity.release += 1;
    let newer = market.scene().encrypted(identity, market.vault(), market.vendor())?;
    market.register(&newer)?;
    buyer.receive(&newer)?;
    buyer.must_not_run("TM0179")
}
