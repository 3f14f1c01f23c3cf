//! Somebody who may sign for the vendor cuts the last chunk off the encrypted weights.

use tilemark_examples::attack::{Breach, Refusal, Scene};
use tilemark_examples::market::Market;

const CHUNK: usize = (256 << 10) + 16;

pub(crate) fn main() -> Result<Refusal, Breach> {
    let market = Market::open()?;
    let buyer = market.buyer("buyer")?;
    let cut = Scene::resealed(market.file(), "weights", market.vendor(), |weights| {
        weights.truncate((weights.len() - 1) / CHUNK * CHUNK);
    })?;
    buyer.receive(&cut)?;
    buyer.must_not_run("TM0156")
}
