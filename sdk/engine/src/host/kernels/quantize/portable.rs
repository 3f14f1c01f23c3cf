//! The contract's division, then the epilogue's clamp and rounding, in a loop that vectorizes.

use tilemark_model::{Graph, ValueId};

use crate::error::Error;
use crate::host::kernels::epilogue::{Clamp, clamp};
use crate::host::kernels::operand::{Operand, each_line};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

/// f32 to the stored bytes of one quantized value.
#[derive(Clone, Copy)]
pub(crate) struct Quantizer {
    scale: f32,
    clamp: Clamp,
    vectorizer: Vectorizer,
}

impl Quantizer {
    /// For the elements of `value`.
    ///
    /// # Errors
    /// [`Error::Model`] if it is not quantized.
    pub(crate) fn new(graph: &Graph, value: ValueId, vectorizer: Vectorizer) -> Result<Self, Error> {
        Ok(Self { scale: graph.quant(value)?.scale, clamp: clamp(graph, value, None)?, vectorizer })
    }

    /// Quantizes as many elements as both have.
    #[inline]
    pub(crate) fn line(&self, x: &[f32], y: &mut [u8]) {
        self.vectorizer.run(Line { step: self, x, y });
    }
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let quantizer = Quantizer::new(step.graph, step.node.output, vectorizer)?;
    let work = Box::new(Quantize { x: Operand::new(step, 0, "quantize:x")?, quantizer });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

struct Quantize {
    x: Operand<f32>,
    quantizer: Quantizer,
}

impl Work for Quantize {
    fn scratch_bytes(&self) -> usize {
        self.x.scratch_len() * size_of::<f32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let scratch = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        each_line([&self.x], inputs, tile, scratch, |[x], y| self.quantizer.line(x, y));
        Ok(())
    }
}

struct Line<'a> {
    step: &'a Quantizer,
    x: &'a [f32],
    y: &'a mut [u8],
}

impl Loop for Line<'_> {
    #[inline(always)]
    fn run(self) {
        let Quantizer { scale, clamp, .. } = *self.step;
        for (y, &real) in self.y.iter_mut().zip(self.x) {
            let steps = real / scale;
            *y = clamp.round(if steps.is_nan() { 0.0 } else { steps });
        }
    }
}
