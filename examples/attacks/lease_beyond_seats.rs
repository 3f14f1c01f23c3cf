//! The holder of two seats lends three.

use tilemark::{GrantClass, Offer};
use tilemark_examples::attack::{Breach, Refusal};
use tilemark_examples::market::{DAY, Market, START};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let holder = market.buyer("holder")?;
    let seats = Offer { seats: Some(2), ..Offer::new(GrantClass::Floating) };
    holder.install(&market.sell(&holder, &seats)?)?;
    for name in ["one", "two"] {
        let friend = market.buyer(name)?;
        friend.install(&holder.lend(&friend, START + DAY)?)?;
        friend.runs()?;
    }
    let third = market.buyer("three")?;
    match holder.lend(&third, START + DAY) {
        Ok(_) => Err(Breach::Accepted),
        Err(error) => Refusal::expect("TM0540", &error, None),
    }
}
