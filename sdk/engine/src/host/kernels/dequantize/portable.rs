//! `f32(q - zero_point) * scale`, in a loop that vectorizes.

use crate::error::Error;
use crate::host::kernels::operand::{Operand, each_line};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling, stored_zero_point};

struct Dequantize {
    x: Operand<u8>,
    zero_point: i32,
    scale: f32,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let x = step.node.inputs[0];
    let (zero_point, scale) = (stored_zero_point(step.graph, x)?, step.graph.quant(x)?.scale);
    let x = Operand::new(step, 0, "dequantize:x")?;
    let work = Box::new(Dequantize { x, zero_point, scale, vectorizer });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Dequantize {
    fn scratch_bytes(&self) -> usize {
        self.x.scratch_len()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        each_line([&self.x], inputs, tile, scratch, |[x], y| {
            self.vectorizer.run(Line { step: self, x, y });
        });
        Ok(())
    }
}

struct Line<'a> {
    step: &'a Dequantize,
    x: &'a [u8],
    y: &'a mut [f32],
}

impl Loop for Line<'_> {
    #[inline(always)]
    fn run(self) {
        let Dequantize { zero_point, scale, .. } = *self.step;
        let real = |x: u8| (i32::from(x) - zero_point) as f32 * scale;
        self.y.iter_mut().zip(self.x).for_each(|(y, &x)| *y = real(x));
    }
}
