//! Eight partial sums of each line, as the contract has it.

use tilemark_model::numerics::{SUM_LANES, sum_lanes};

use crate::error::Error;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct Reduce {
    is_mean: bool,
    /// Elements of a line.
    line: usize,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, is_mean: bool, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let work = Box::new(Reduce { is_mean, line: step.inputs[0].grid.channels, vectorizer });
    // One number a line: too little to share.
    Ok(Planned { work, tiling: Tiling::single(step.output) })
}

impl Work for Reduce {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x: &[f32] = bytemuck::cast_slice(inputs.view(0).bytes);
        let y = tile.rows(0).ok_or_else(|| Error::internal("a reduction", "writes to lines apart"))?;
        self.vectorizer.run(Lines { step: self, x, y: bytemuck::cast_slice_mut(y) });
        Ok(())
    }
}

struct Lines<'a> {
    step: &'a Reduce,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Loop for Lines<'_> {
    #[inline(always)]
    fn run(self) {
        let Reduce { is_mean, line, .. } = *self.step;
        for (y, line) in self.y.iter_mut().zip(self.x.chunks_exact(line)) {
            let (chunks, rest) = line.as_chunks::<SUM_LANES>();
            let mut lanes = [0.0; SUM_LANES];
            for chunk in chunks {
                lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += x);
            }
            lanes.iter_mut().zip(rest).for_each(|(lane, x)| *lane += x);
            let sum = sum_lanes(lanes);
            *y = if is_mean { sum / line.len() as f32 } else { sum };
        }
    }
}
