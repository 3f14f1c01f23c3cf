//! Functions of one float. Those of plain arithmetic and exponentials vectorize; the others run the specification's own
//! code, element by element.

use tilemark_model::graph::{FloatOp, UnaryOp};
use tilemark_model::{Op, reference};

use crate::error::Error;
use crate::host::kernels::exponential;
use crate::host::kernels::operand::{Operand, each_line};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct Unary {
    op: UnaryOp,
    x: Operand<f32>,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let Op::Float(FloatOp::Unary(op)) = step.node.op else {
        return Err(Error::internal(&step.node.name, "planned as a function of one float"));
    };
    let work = Box::new(Unary { op, x: Operand::new(step, 0, "unary:x")?, vectorizer });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Unary {
    fn scratch_bytes(&self) -> usize {
        self.x.scratch_len() * size_of::<f32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let scratch = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        each_line([&self.x], inputs, tile, scratch, |[x], y| {
            self.vectorizer.run(Line { op: self.op, x, y });
        });
        Ok(())
    }
}

struct Line<'a> {
    op: UnaryOp,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Line<'_> {
    #[inline(always)]
    fn each(self, f: impl Fn(f32) -> f32) {
        self.y.iter_mut().zip(self.x).for_each(|(y, &x)| *y = f(x));
    }
}

impl Loop for Line<'_> {
    #[inline(always)]
    fn run(self) {
        match self.op {
            UnaryOp::Relu => self.each(|x| if x > 0.0 { x } else { 0.0 }),
            UnaryOp::Clip { lo, hi } => self.each(|x| {
                let x = if x > lo { x } else { lo };
                if x < hi { x } else { hi }
            }),
            UnaryOp::LeakyRelu { alpha } => self.each(|x| if x < 0.0 { alpha * x } else { x }),
            UnaryOp::HardSigmoid { alpha, beta } => self.each(|x| (alpha * x + beta).clamp(0.0, 1.0)),
            UnaryOp::HardSwish => self.each(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
            UnaryOp::Neg => self.each(|x| -x),
            UnaryOp::Abs => self.each(f32::abs),
            UnaryOp::Reciprocal => self.each(|x| 1.0 / x),
            UnaryOp::Sqrt => self.each(f32::sqrt),
            UnaryOp::Exp => self.each(exponential::exp),
            UnaryOp::Sigmoid => self.each(exponential::sigmoid),
            op => self.each(|x| reference::of_one(op, x)),
        }
    }
}
