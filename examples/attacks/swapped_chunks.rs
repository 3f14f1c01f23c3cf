//! Somebody who may sign for the vendor, but has not got its vault, swaps two chunks of the encrypted weights.

use tilemark::{GrantClass, Offer};
use tilemark_examples::attack::{Breach, Refusal, Scene};
use tilemark_examples::market::Market;

/// A chunk of 256 KiB and what authenticates it.
const CHUNK: usize = (256 << 10) + 16;

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let buyer = market.buyer("buyer")?;
    let swapped = Scene::resealed(market.file(), "weights", market.vendor(), |weights| {
        let (first, rest) = weights.split_at_mut(CHUNK);
        first.swap_with_slice(&mut rest[..CHUNK]);
    })?;
    // The vendor grants it in good faith: this is its bundle, as far as it can see.
    market.register(&swapped)?;
    buyer.receive(&swapped)?;
    buyer.install(&market.sell(&buyer, &Offer::new(GrantClass::Owned))?)?;
    buyer.must_not_run("TM0155")
}
