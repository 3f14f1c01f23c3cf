//! Portable look-up, byte by byte.

use std::sync::Arc;

use crate::error::Error;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling, stored_table};

struct Table(Arc<[u8; 256]>);

pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let table = step.packed("table/scalar", || stored_table(step.graph, step.node))?;
    Ok(Planned { work: Box::new(Table(table)), tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Table {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        for (image, row) in tile.region().clone().lines() {
            for (y, &x) in tile.row(image, row).iter_mut().zip(x.row(image, row)) {
                *y = self.0[usize::from(x)];
            }
        }
        Ok(())
    }
}
