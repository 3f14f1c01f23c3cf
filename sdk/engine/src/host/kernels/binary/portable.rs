//! Functions of two floats, line by line; an operand that broadcasts is stretched to a line first.

use tilemark_model::graph::{BinaryOp, FloatOp};
use tilemark_model::{Op, reference};

use crate::error::Error;
use crate::host::kernels::operand::{Operand, each_line};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct Binary {
    op: BinaryOp,
    operands: [Operand<f32>; 2],
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let Op::Float(FloatOp::Binary(op)) = step.node.op else {
        return Err(Error::internal(&step.node.name, "planned as a function of two floats"));
    };
    let operands = [Operand::new(step, 0, "binary:a")?, Operand::new(step, 1, "binary:b")?];
    let work = Box::new(Binary { op, operands, vectorizer });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Binary {
    fn scratch_bytes(&self) -> usize {
        self.operands.iter().map(Operand::scratch_len).sum::<usize>() * size_of::<f32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let scratch = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        each_line(self.operands.each_ref(), inputs, tile, scratch, |[a, b], y| {
            self.vectorizer.run(Line { op: self.op, a, b, y });
        });
        Ok(())
    }
}

struct Line<'a> {
    op: BinaryOp,
    a: &'a [f32],
    b: &'a [f32],
    y: &'a mut [f32],
}

impl Line<'_> {
    #[inline(always)]
    fn each(self, f: impl Fn(f32, f32) -> f32) {
        self.y.iter_mut().zip(self.a).zip(self.b).for_each(|((y, &a), &b)| *y = f(a, b));
    }

    /// Whether the second operand is 2 throughout.
    #[inline(always)]
    fn squares(&self) -> bool {
        self.op == BinaryOp::Pow && self.b.iter().all(|&b| b == 2.0)
    }
}

impl Loop for Line<'_> {
    #[inline(always)]
    fn run(self) {
        if self.squares() {
            // libm's power of 2 is `x * x` in f64: exact, so that rounding it once is f32's product.
            return self.each(|a, _| a * a);
        }
        match self.op {
            BinaryOp::Add => self.each(|a, b| a + b),
            BinaryOp::Sub => self.each(|a, b| a - b),
            BinaryOp::Mul => self.each(|a, b| a * b),
            BinaryOp::Div => self.each(|a, b| a / b),
            op => self.each(|a, b| reference::of_two(op, a, b)),
        }
    }
}
