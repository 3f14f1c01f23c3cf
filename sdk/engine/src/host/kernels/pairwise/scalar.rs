//! Portable pairwise function: one look-up in a table of all 65,536 pairs.
//!
//! The contract's addition has two fused multiply-adds, which are calls of some nanoseconds each without the `fma`
//! feature. A table holds the contract's own results, so it is exact by construction, and a fused activation costs
//! nothing more.

use std::sync::Arc;

use tilemark_model::Op;
use tilemark_model::numerics::{self, AddCoefficients};

use crate::error::Error;
use crate::host::kernels::operand::{Operand, each_line};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling, stored_lowest, stored_table};

struct Pairwise {
    /// Results by `a * 256 + b`, all in stored bytes.
    results: Arc<Vec<u8>>,
    operands: [Operand<u8>; 2],
}

pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let results = step.packed("pairwise/scalar", || results(step))?;
    let operands = [Operand::new(step, 0, "pairwise:a")?, Operand::new(step, 1, "pairwise:b")?];
    Ok(Planned { work: Box::new(Pairwise { results, operands }), tiling: Tiling::by_rows(step.output, 0) })
}

#[allow(clippy::cast_possible_truncation, reason = "results lie in the output type's range")]
fn results(step: &Lowering<'_>) -> Result<Vec<u8>, Error> {
    let Lowering { graph, node, .. } = *step;
    let [a, b] = [node.inputs[0], node.inputs[1]];
    let (qa, qb, qy) = (graph.quant(a)?, graph.quant(b)?, graph.quant(node.output)?);
    let [low_a, low_b, low_y] = [a, b, node.output].map(|id| stored_lowest(graph, id));
    let add = AddCoefficients::new(qa, qb, qy);
    let result: Box<dyn Fn(i32, i32) -> i32> = match node.op {
        Op::Add(bounds) => Box::new(move |a, b| add.add(a, b, bounds.lo, bounds.hi)),
        Op::Mul(bounds) => Box::new(move |a, b| numerics::multiply(a, b, qa, qb, qy, bounds.lo, bounds.hi)),
        ref other => {
            return Err(Error::internal(&node.name, format!("{} planned as pairwise", other.name())));
        }
    };
    let pairs = (0..256).flat_map(|a| (0..256).map(move |b| (a, b)));
    let bytes = pairs.map(|(a, b)| (result(a + low_a, b + low_b) - low_y) as u8);
    Ok(match step.table().map(|table| stored_table(graph, table)).transpose()? {
        Some(table) => bytes.map(|byte| table[usize::from(byte)]).collect(),
        None => bytes.collect(),
    })
}

impl Work for Pairwise {
    fn scratch_bytes(&self) -> usize {
        self.operands.iter().map(Operand::scratch_len).sum()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let pairs: &[u8; 65536] = self
            .results
            .as_slice()
            .try_into()
            .map_err(|_| Error::internal("pairwise", "has no full table"))?;
        each_line(self.operands.each_ref(), inputs, tile, scratch, |[a, b], y: &mut [u8]| {
            for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                *y = pairs[usize::from(a) << 8 | usize::from(b)];
            }
        });
        Ok(())
    }
}
