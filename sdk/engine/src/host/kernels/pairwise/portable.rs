//! The contract's formulas, in loops that vectorize where a fused multiply-add is an instruction.

use tilemark_model::graph::Bounds;
use tilemark_model::numerics::{self, AddCoefficients};
use tilemark_model::{Graph, Node, Op};

use super::scalar;
#[cfg(target_arch = "x86_64")]
use super::simd::Combiner;
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
    combination: Combination,
}

/// The function of two bytes.
pub(super) struct Combination {
    pub(super) formula: Formula,
    /// What a stored byte 0 stands for: of both operands and of the result.
    pub(super) lowest: [i32; 3],
    /// Bounds of the result, in its own units.
    pub(super) bounds: [f32; 2],
    table: Option<Lookup>,
    vectorizer: Vectorizer,
    /// The same with instructions of its own, where there are some.
    #[cfg(target_arch = "x86_64")]
    combiner: Option<Combiner>,
}

/// The contract's function of two quantized numbers, with its coefficients.
#[derive(Clone, Copy)]
pub(crate) enum Formula {
    Add(AddCoefficients),
    Multiply { zeros: [i32; 2], multiplier: f32, zero: f32 },
}

impl Formula {
    /// That of an addition or multiplication, with the bounds of its result. `None` if it can make a NaN: only an absurd model
    /// does.
    pub(crate) fn new(graph: &Graph, node: &Node) -> Result<Option<(Self, Bounds)>, Error> {
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

impl Combination {
    /// The node's function, then that of `table`. `None` where this form of it does not apply: without instructions for
    /// fused multiply-adds, and in absurd models.
    pub(super) fn new(
        graph: &Graph,
        node: &Node,
        table: Option<&Node>,
        level: CpuLevel,
    ) -> Result<Option<Self>, Error> {
        let vectorizer = Vectorizer::new(level);
        let (Some((formula, Bounds { lo, hi })), true) = (Formula::new(graph, node)?, vectorizer.has_fma())
        else {
            return Ok(None);
        };
        let table = table.map(|table| stored_table(graph, table)).transpose()?;
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "the combiner is added below"))]
        let mut combination = Self {
            formula,
            lowest: [node.inputs[0], node.inputs[1], node.output].map(|id| stored_lowest(graph, id)),
            bounds: [lo as f32, hi as f32],
            table: table.map(|table| Lookup::new(table, level)),
            vectorizer,
            #[cfg(target_arch = "x86_64")]
            combiner: None,
        };
        #[cfg(target_arch = "x86_64")]
        {
            combination.combiner = Combiner::new(&combination, level);
        }
        Ok(Some(combination))
    }

    #[cfg(target_arch = "x86_64")]
    fn combiner(&self) -> Option<&Combiner> {
        self.combiner.as_ref()
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn combiner(&self) -> Option<&std::convert::Infallible> {
        None
    }

    /// Combines as many bytes as all have.
    fn line(&self, a: &[u8], b: &[u8], y: &mut [u8]) {
        match self.combiner() {
            #[cfg(target_arch = "x86_64")]
            Some(combiner) => combiner.line(a, b, y),
            _ => self.vectorizer.run(Line { step: self, a, b, y }),
        }
        if let Some(table) = &self.table {
            table.apply(y);
        }
    }

    /// Combines the bytes of `y` with those of `other`; `y` is the second operand if `is_second` says so.
    pub(super) fn in_place(&self, y: &mut [u8], other: &[u8], is_second: bool) {
        match self.combiner() {
            #[cfg(target_arch = "x86_64")]
            Some(combiner) => combiner.in_place(y, other, is_second),
            _ => self.vectorizer.run(InPlace { step: self, y, other, is_second }),
        }
        if let Some(table) = &self.table {
            table.apply(y);
        }
    }
}

pub(super) fn build(step: &Lowering<'_>, level: CpuLevel) -> Result<Planned, Error> {
    let Some(combination) = Combination::new(step.graph, step.node, step.table(), level)? else {
        return scalar::build(step);
    };
    let operands = [Operand::new(step, 0, "pairwise:a")?, Operand::new(step, 1, "pairwise:b")?];
    let work = Box::new(Pairwise { operands, combination });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Pairwise {
    fn scratch_bytes(&self) -> usize {
        self.operands.iter().map(Operand::scratch_len).sum()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        each_line(self.operands.each_ref(), inputs, tile, scratch, |[a, b], y| {
            self.combination.line(a, b, y);
        });
        Ok(())
    }
}

struct Line<'a> {
    step: &'a Combination,
    a: &'a [u8],
    b: &'a [u8],
    y: &'a mut [u8],
}

struct InPlace<'a> {
    step: &'a Combination,
    y: &'a mut [u8],
    other: &'a [u8],
    is_second: bool,
}

impl Combination {
    /// The stored byte of `f` of two stored bytes: taken in their own units; the result is bounded, rounded and stored.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded to the type's range")]
    fn byte(&self, a: u8, b: u8, f: impl Fn(i32, i32) -> f32) -> u8 {
        let ([low_a, low_b, low_y], [lo, hi]) = (self.lowest, self.bounds);
        let result = f(i32::from(a) + low_a, i32::from(b) + low_b);
        // The bounds are integers and rounding is monotone: bounded first, the cheap rounding is exact.
        let result = if result < lo { lo } else { result };
        let result = if result > hi { hi } else { result };
        (nearest(result) - low_y) as u8
    }
}

impl Loop for Line<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { step, a, b, y } = self;
        let bytes = y.iter_mut().zip(a).zip(b);
        match step.formula {
            Formula::Add(add) => {
                bytes.for_each(|((y, &a), &b)| *y = step.byte(a, b, |a, b| add.sum(a, b)));
            }
            Formula::Multiply { zeros, multiplier, zero } => bytes.for_each(|((y, &a), &b)| {
                let f = |a, b| ((a - zeros[0]) * (b - zeros[1])) as f32 * multiplier + zero;
                *y = step.byte(a, b, f);
            }),
        }
    }
}

impl Loop for InPlace<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { step, y, other, is_second } = self;
        let bytes = y.iter_mut().zip(other);
        match (step.formula, is_second) {
            (Formula::Add(add), false) => {
                bytes.for_each(|(y, &b)| *y = step.byte(*y, b, |a, b| add.sum(a, b)));
            }
            (Formula::Add(add), true) => {
                bytes.for_each(|(y, &a)| *y = step.byte(a, *y, |a, b| add.sum(a, b)));
            }
            (Formula::Multiply { zeros, multiplier, zero }, _) => bytes.for_each(|(y, &other)| {
                let (a, b) = if is_second { (other, *y) } else { (*y, other) };
                let f = |a, b| ((a - zeros[0]) * (b - zeros[1])) as f32 * multiplier + zero;
                *y = step.byte(a, b, f);
            }),
        }
    }
}
