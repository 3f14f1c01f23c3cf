//! Look-up of a line of bytes at once, or of all of a tile's.

use crate::error::Error;
use crate::host::CpuLevel;
use crate::host::kernels::operand::{Operand, each_line};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::Lookup;
use crate::plan::{Lowering, Tiling, stored_table};

struct Table {
    x: Operand<u8>,
    table: Lookup,
}

pub(super) fn build(step: &Lowering<'_>, level: CpuLevel) -> Result<Planned, Error> {
    let table = Lookup::new(stored_table(step.graph, step.node)?, level);
    let work = Box::new(Table { x: Operand::new(step, 0, "table:x")?, table });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Table {
    fn scratch_bytes(&self) -> usize {
        self.x.scratch_len()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        each_line([&self.x], inputs, tile, scratch, |[x], y| {
            y.copy_from_slice(x);
            self.table.apply(y);
        });
        Ok(())
    }
}
