//! The range in one pass, the integers in another.

use tilemark_model::graph::{DynamicPart, GeneralOp};
use tilemark_model::{Op, numerics};

use crate::error::Error;
use crate::host::kernels::epilogue::Clamp;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct DynamicQuantize {
    part: DynamicPart,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let Op::General(GeneralOp::DynamicQuantize(part)) = step.node.op else {
        return Err(Error::internal(&step.node.name, "planned as a quantization by the tensor's own range"));
    };
    // Nothing is known before all of the input was seen.
    let work = Box::new(DynamicQuantize { part, vectorizer });
    Ok(Planned { work, tiling: Tiling::single(step.output) })
}

impl Work for DynamicQuantize {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        let grid = x.layout.grid;
        let lines = || (0..grid.images).flat_map(|image| (0..grid.rows).map(move |row| (image, row)));
        let mut range = [0.0; 2];
        for (image, row) in lines() {
            self.vectorizer.run(Range { x: bytemuck::cast_slice(x.row(image, row)), range: &mut range });
        }
        let quant = numerics::dynamic_quant(range);
        match self.part {
            DynamicPart::Scale => bytemuck::cast_slice_mut(tile.row(0, 0))[0] = quant.scale,
            DynamicPart::ZeroPoint => {
                tile.row(0, 0)[0] = Clamp::new(0, 255, quant.zero_point).round(0.0);
            }
            DynamicPart::Integers => {
                let clamp = Clamp::new(0, 255, quant.zero_point);
                for (image, row) in lines() {
                    let x = bytemuck::cast_slice(x.row(image, row));
                    self.vectorizer.run(Line { scale: quant.scale, clamp, x, y: tile.row(image, row) });
                }
            }
        }
        Ok(())
    }
}

/// Widens a range, lowest and highest, by the elements of a line that are numbers.
struct Range<'a> {
    x: &'a [f32],
    range: &'a mut [f32; 2],
}

impl Loop for Range<'_> {
    #[inline(always)]
    fn run(self) {
        let [lowest, highest] = *self.range;
        let (mut low, mut high) = ([lowest; 16], [highest; 16]);
        let (blocks, rest) = self.x.as_chunks::<16>();
        for block in blocks {
            for (i, &x) in block.iter().enumerate() {
                low[i] = if x < low[i] { x } else { low[i] };
                high[i] = if x > high[i] { x } else { high[i] };
            }
        }
        let each = || rest.iter().copied();
        let lowest = low.into_iter().chain(each()).fold(lowest, |low, x| if x < low { x } else { low });
        let highest = high.into_iter().chain(each()).fold(highest, |high, x| if x > high { x } else { high });
        *self.range = [lowest, highest];
    }
}

struct Line<'a> {
    scale: f32,
    clamp: Clamp,
    x: &'a [f32],
    y: &'a mut [u8],
}

impl Loop for Line<'_> {
    #[inline(always)]
    fn run(self) {
        for (y, &real) in self.y.iter_mut().zip(self.x) {
            let steps = real / self.scale;
            *y = self.clamp.round(if steps.is_nan() { 0.0 } else { steps });
        }
    }
}
