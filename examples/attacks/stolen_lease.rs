//! A seat that was lent to a friend is taken by a third device, as it is and rewritten for the thief.

use tilemark::{GrantClass, Offer};
use tilemark_bundle::limits::MAX_LEASE_BYTES;
use tilemark_bundle::{Envelope, Lease, json};
use tilemark_examples::attack::{Breach, Refusal};
use tilemark_examples::market::{DAY, Market, START};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let (holder, friend, thief) = (market.buyer("holder")?, market.buyer("friend")?, market.buyer("thief")?);
    let seats = Offer { seats: Some(1), ..Offer::new(GrantClass::Floating) };
    holder.install(&market.sell(&holder, &seats)?)?;
    let lease = holder.lend(&friend, START + DAY)?;
    friend.install(&lease)?;
    friend.runs()?;

    thief.request()?; // so that it is a device at all
    thief.must_not_install(&lease, "TM0178")?;
    let device = thief.licenses().device()?.ok_or_else(|| Breach::Stage("the thief has no key".into()))?;
    let envelope = Envelope::parse(&lease, Lease::PAYLOAD_TYPE)?;
    let claims: Lease = json::from_slice("lease", envelope.payload(), MAX_LEASE_BYTES)?;
    let rewritten = Lease { device: device.public().id(), ..claims };
    thief.must_not_install(&rewritten.sign(&device)?, "TM0177")
}
