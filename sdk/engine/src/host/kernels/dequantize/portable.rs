//! `f32(q - zero_point) * scale`, in a loop that vectorizes; or a function of that, looked up.

use tilemark_model::graph::FloatOp;
use tilemark_model::{Node, Op, reference};

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
    /// What becomes of each byte, where a function follows.
    function: Option<Box<[f32; 256]>>,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let x = step.node.inputs[0];
    let (zero_point, scale) = (stored_zero_point(step.graph, x)?, step.graph.quant(x)?.scale);
    let function = step.end.map(|end| table(end, zero_point, scale)).transpose()?;
    let x = Operand::new(step, 0, "dequantize:x")?;
    let work = Box::new(Dequantize { x, zero_point, scale, function, vectorizer });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

/// The node's function of every byte's real number.
fn table(node: &Node, zero_point: i32, scale: f32) -> Result<Box<[f32; 256]>, Error> {
    let Op::Float(FloatOp::Unary(op)) = node.op else {
        return Err(Error::internal(&node.name, "planned as a function of what was dequantized"));
    };
    let entry = |byte: usize| reference::of_one(op, real(byte as u8, zero_point, scale));
    Ok(Box::new(std::array::from_fn(entry)))
}

#[inline(always)]
fn real(byte: u8, zero_point: i32, scale: f32) -> f32 {
    (i32::from(byte) - zero_point) as f32 * scale
}

impl Work for Dequantize {
    fn scratch_bytes(&self) -> usize {
        self.x.scratch_len()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        each_line([&self.x], inputs, tile, scratch, |[x], y: &mut [f32]| match &self.function {
            Some(table) => y.iter_mut().zip(x).for_each(|(y, &x)| *y = table[usize::from(x)]),
            None => self.vectorizer.run(Line { step: self, x, y }),
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
        self.y.iter_mut().zip(self.x).for_each(|(y, &x)| *y = real(x, zero_point, scale));
    }
}
