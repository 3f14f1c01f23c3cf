//! The contract's formulas, in loops that vectorize where a fused multiply-add is an instruction.

use tilemark_model::Op;
use tilemark_model::graph::Bounds;
use tilemark_model::numerics::{self, AddCoefficients};

use super::scalar;
use crate::error::Error;
use crate::host::CpuLevel;
use crate::host::kernels::epilogue::nearest;
use crate::host::kernels::operand::{Operand, each_line};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Lookup, Loop, Vectorizer};
use crate::plan::{Lowering, Tiling, stored_lowest, stored_table};

struct Pairwise {
    operands: [Operand<u8>; 2],
    formula: Formula,
    /// What a stored byte 0 stands for: of both operands and of the result.
    lowest: [i32; 3],
    /// Bounds of the result, in its own units.
    bounds: [f32; 2],
    table: Option<Lookup>,
    vectorizer: Vectorizer,
}

#[derive(Clone, Copy)]
enum Formula {
    Add(AddCoefficients),
    Multiply { zeros: [i32; 2], multiplier: f32, zero: f32 },
}

impl Formula {
    /// `None` if it can make a NaN: only an absurd model does.
    fn new(step: &Lowering<'_>) -> Result<Option<(Self, Bounds)>, Error> {
        let Lowering { graph, node, .. } = *step;
        let [a, b, y] =
            [graph.quant(node.inputs[0])?, graph.quant(node.inputs[1])?, graph.quant(node.output)?];
        let (formula, bounds) = match node.op {
            Op::Add(bounds) => (Formula::Add(AddCoefficients::new(a, b, y)), bounds),
            Op::Mul(bounds) => {
                let multiplier = numerics::multiplier(a.scale, b.scale, y.scale);
                let zeros = [a.zero_point, b.zero_point];
                (Formula::Multiply { zeros, multiplier, zero: y.zero_point as f32 }, bounds)
            }
            ref other => {
                return Err(Error::internal(&node.name, format!("{} planned as pairwise", other.name())));
            }
        };
        let finite = match formula {
            // Sums of finite numbers far below the largest f32 are finite.
            Formula::Add(add) => add.largest() < 1.0e30,
            Formula::Multiply { multiplier, .. } => multiplier.is_finite(),
        };
        Ok(finite.then_some((formula, bounds)))
    }
}

pub(super) fn build(step: &Lowering<'_>, level: CpuLevel) -> Result<Planned, Error> {
    let Lowering { graph, node, .. } = *step;
    let vectorizer = Vectorizer::new(level);
    let formula = Formula::new(step)?;
    let (Some((formula, Bounds { lo, hi })), true) = (formula, vectorizer.has_fma()) else {
        return scalar::build(step);
    };
    let table = step.table.map(|table| stored_table(graph, table)).transpose()?;
    let work = Box::new(Pairwise {
        operands: [Operand::new(step, 0, "pairwise:a")?, Operand::new(step, 1, "pairwise:b")?],
        formula,
        lowest: [node.inputs[0], node.inputs[1], node.output].map(|id| stored_lowest(graph, id)),
        bounds: [lo as f32, hi as f32],
        table: table.map(|table| Lookup::new(table, level)),
        vectorizer,
    });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Pairwise {
    fn scratch_bytes(&self) -> usize {
        self.operands.iter().map(Operand::scratch_len).sum()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        each_line(self.operands.each_ref(), inputs, tile, scratch, |[a, b], y| {
            self.vectorizer.run(Line { step: self, a, b, y });
            if let Some(table) = &self.table {
                table.apply(y);
            }
        });
        Ok(())
    }
}

struct Line<'a> {
    step: &'a Pairwise,
    a: &'a [u8],
    b: &'a [u8],
    y: &'a mut [u8],
}

impl Line<'_> {
    /// `f` of the operands in their own units; its result is bounded, rounded and stored.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded to the type's range")]
    fn each(self, f: impl Fn(i32, i32) -> f32) {
        let ([low_a, low_b, low_y], [lo, hi]) = (self.step.lowest, self.step.bounds);
        for ((y, &a), &b) in self.y.iter_mut().zip(self.a).zip(self.b) {
            let result = f(i32::from(a) + low_a, i32::from(b) + low_b);
            // The bounds are integers and rounding is monotone: bounded first, the cheap rounding is exact.
            let result = if result < lo { lo } else { result };
            let result = if result > hi { hi } else { result };
            *y = (nearest(result) - low_y) as u8;
        }
    }
}

impl Loop for Line<'_> {
    #[inline(always)]
    fn run(self) {
        match self.step.formula {
            Formula::Add(add) => self.each(|a, b| add.sum(a, b)),
            Formula::Multiply { zeros, multiplier, zero } => {
                self.each(|a, b| ((a - zeros[0]) * (b - zeros[1])) as f32 * multiplier + zero);
            }
        }
    }
}
