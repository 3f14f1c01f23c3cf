//! A trial that was used up is installed once more.

use tilemark_examples::attack::{Breach, Refusal};
use tilemark_examples::market::{Market, trial};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let buyer = market.buyer("buyer")?;
    let grant = market.sell(&buyer, &trial(1))?;
    buyer.install(&grant)?;
    buyer.runs()?;
    buyer.must_not_run("TM0531")?;
    buyer.must_not_install(&grant, "TM0539")
}
