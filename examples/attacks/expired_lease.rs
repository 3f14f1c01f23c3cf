//! A lent seat is kept beyond its day.

use tilemark::{GrantClass, Offer};
use tilemark_examples::attack::{Breach, Refusal};
use tilemark_examples::market::{DAY, Market, START};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let (holder, friend) = (market.buyer("holder")?, market.buyer("friend")?);
    let seats = Offer { seats: Some(1), ..Offer::new(GrantClass::Floating) };
    holder.install(&market.sell(&holder, &seats)?)?;
    friend.install(&holder.lend(&friend, START + DAY)?)?;
    market.set_clock(START + DAY);
    friend.runs()?;
    market.set_clock(START + DAY + 1);
    friend.must_not_run("TM0532")
}
