//! The record of use is put back as it was before the trial was used.

use tilemark_examples::attack::{Breach, Refusal};
use tilemark_examples::market::{Market, trial};

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let buyer = market.buyer("buyer")?;
    buyer.install(&market.sell(&buyer, &trial(2))?)?;
    let witness = buyer.state("license/witness.json");
    let fresh = std::fs::read(&witness).map_err(|error| Breach::Stage(error.to_string()))?;
    buyer.runs()?;
    buyer.runs()?;
    std::fs::write(&witness, fresh).map_err(|error| Breach::Stage(error.to_string()))?;
    buyer.must_not_run("TM0535")
}
