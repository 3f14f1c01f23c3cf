//! A trial has ended; the clock is set back to a day on which it had not.

use tilemark::{GrantClass, Offer};
use tilemark_examples::attack::{Breach, Refusal};
use tilemark_examples::market::{DAY, Market, START};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let buyer = market.buyer("buyer")?;
    let offer = Offer { not_after: Some(START + 10 * DAY), ..Offer::new(GrantClass::Trial) };
    buyer.install(&market.sell(&buyer, &offer)?)?;
    market.set_clock(START + 9 * DAY);
    buyer.runs()?;
    market.set_clock(START + 11 * DAY);
    buyer.must_not_run("TM0532")?;
    market.set_clock(START + 5 * DAY);
    buyer.must_not_run("TM0534")
}
