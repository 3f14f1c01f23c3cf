//! The holder signs a lease that is longer than its grant, with a changed SDK.

use tilemark::{GrantClass, Offer, SignedGrant, Trust};
use tilemark_bundle::Lease;
use tilemark_examples::attack::{Breach, Refusal};
use tilemark_examples::market::{DAY, Market, START};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let (holder, friend) = (market.buyer("holder")?, market.buyer("friend")?);
    let week = Offer { seats: Some(1), not_after: Some(START + 7 * DAY), ..Offer::new(GrantClass::Floating) };
    let text = market.sell(&holder, &week)?;
    holder.install(&text)?;

    let device = holder.licenses().device()?.ok_or_else(|| Breach::Stage("the holder has no key".into()))?;
    let grant = SignedGrant::verify(&text, &Trust::key(market.vendor().public().clone()))?;
    let within = Lease::make((&grant, &text), &friend.request()?, (START, START + DAY), &device)?;
    let longer = Lease { until: START + 365 * DAY, ..within.clone() };
    let refusal = friend.must_not_install(&longer.sign(&device)?, "TM0188")?;
    friend.install(&within.sign(&device)?)?; // the length is all that is wrong with it
    friend.runs()?;
    Ok(refusal)
}
