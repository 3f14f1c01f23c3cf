//! A record of use in which little was used is copied from another device.

use tilemark_examples::attack::{Breach, Refusal};
use tilemark_examples::market::{Market, trial};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let (buyer, friend) = (market.buyer("buyer")?, market.buyer("friend")?);
    for device in [&buyer, &friend] {
        device.install(&market.sell(device, &trial(2))?)?;
    }
    buyer.runs()?;
    buyer.runs()?;
    let witness = "license/witness.json";
    std::fs::copy(friend.state(witness), buyer.state(witness))
        .map_err(|error| Breach::Stage(error.to_string()))?;
    buyer.must_not_run("TM0536")
}
