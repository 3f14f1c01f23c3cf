//! A grant that was bought for one device is installed on another.

use tilemark::{GrantClass, Offer};
use tilemark_examples::attack::{Breach, Refusal};
use tilemark_examples::market::Market;

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let (buyer, friend) = (market.buyer("buyer")?, market.buyer("friend")?);
    let grant = market.sell(&buyer, &Offer::new(GrantClass::Owned))?;
    buyer.install(&grant)?;
    buyer.runs()?;
    friend.request()?; // so that it is a device at all
    friend.must_not_install(&grant, "TM0178")
}
