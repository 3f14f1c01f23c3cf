//! `x * scale[c] + shift[c]`, two roundings.

use std::sync::Arc;

use crate::error::Error;
use crate::host::kernels::operand::{Element, Operand, each_line};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct ScaleShift {
    /// x, scale, shift.
    operands: [Operand<f32>; 3],
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let per_channel = |i: usize, name: &'static str| -> Result<Operand<f32>, Error> {
        let missing = || Error::internal(&step.node.name, "lacks its constants");
        let tensor = step.constant(i).ok_or_else(missing)?;
        let values: Arc<Vec<f32>> = step.packed(name, || f32::of(&tensor).ok_or_else(missing))?;
        // Along the second axis of x: one value for all places on those after it.
        let mut shape = vec![1; step.output.shape.len() - 1];
        shape[0] = values.len();
        Ok(Operand::constant(values, &shape, step.output))
    };
    let operands = [
        Operand::new(step, 0, "scale_shift:x")?,
        per_channel(1, "scale_shift:scale")?,
        per_channel(2, "scale_shift:shift")?,
    ];
    let work = Box::new(ScaleShift { operands, vectorizer });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for ScaleShift {
    fn scratch_bytes(&self) -> usize {
        self.operands.iter().map(Operand::scratch_len).sum::<usize>() * size_of::<f32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let scratch = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        each_line(self.operands.each_ref(), inputs, tile, scratch, |[x, scale, shift], y| {
            self.vectorizer.run(Line { x, scale, shift, y });
        });
        Ok(())
    }
}

struct Line<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    y: &'a mut [f32],
}

impl Loop for Line<'_> {
    #[inline(always)]
    fn run(self) {
        let inputs = self.x.iter().zip(self.scale).zip(self.shift);
        self.y.iter_mut().zip(inputs).for_each(|(y, ((x, scale), shift))| *y = x * scale + shift);
    }
}
