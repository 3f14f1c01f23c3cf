//! Look-up of a line of bytes at once.

use crate::error::Error;
use crate::host::CpuLevel;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::Lookup;
use crate::plan::{Lowering, Tiling, stored_table};

struct Table(Lookup);

pub(super) fn build(step: &Lowering<'_>, level: CpuLevel) -> Result<Planned, Error> {
    let table = Lookup::new(stored_table(step.graph, step.node)?, level);
    Ok(Planned { work: Box::new(Table(table)), tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Table {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        for (image, row) in tile.region().clone().lines() {
            let y = tile.row(image, row);
            y.copy_from_slice(x.row(image, row));
            self.0.apply(y);
        }
        Ok(())
    }
}
