//! Any axes, in the contract's eight partial sums: element `i` of a result goes to sum `i % 8`. Results that lie side by side,
//! whose elements do so too, are in lanes.

use tilemark_model::numerics::{self, SUM_LANES};

use super::Reduced;
use crate::error::Error;
use crate::host::kernels::epilogue::{Clamp, clamp};
use crate::host::kernels::strided::Axes;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling, stored_zero_point};

/// Results that are summed at once.
const LANES: usize = 64;

struct Reduce {
    reduced: Axes,
    /// Those of the input and of the output.
    kept: Axes,
    /// Results side by side.
    lanes: usize,
    /// Where the first elements lie.
    origins: [usize; 2],
    finish: Finish,
    vectorizer: Vectorizer,
}

/// What becomes of a sum.
#[derive(Clone, Copy)]
enum Finish {
    /// Of floats: divided by this, or nothing.
    Reals(Option<f32>),
    /// Of bytes: their zero points taken off, multiplied and rounded.
    Bytes { zeros: i32, multiplier: f32, clamp: Clamp },
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "sums wrap, as the contract's do"
)]
pub(super) fn build(
    step: &Lowering<'_>,
    axes: &[i64],
    is_mean: bool,
    vectorizer: Vectorizer,
) -> Result<Planned, Error> {
    let (graph, node, x, y) = (step.graph, step.node, &step.inputs[0], step.output);
    let (reduced, from, to) = (Reduced::new(axes, x, y), x.strides(), y.strides());
    let kept_axes = reduced.kept().map(|(axis, of_y)| [x.shape[axis], from[axis], to[of_y]]);
    let mut kept = Axes::of(kept_axes.collect());
    let lanes = kept.take_lanes().unwrap_or(1);
    let reduced = Axes::new(x, x, reduced.axes);
    let n = reduced.len();
    let finish = match graph.value(node.inputs[0]).quant {
        Some(quant) => Finish::Bytes {
            zeros: (n as i32).wrapping_mul(stored_zero_point(graph, node.inputs[0])?),
            multiplier: numerics::mean_multiplier(quant.scale, graph.quant(node.output)?.scale, n),
            clamp: clamp(graph, node.output, None)?,
        },
        None => Finish::Reals(is_mean.then_some(n as f32)),
    };
    let origins = [x.origin(), y.origin()];
    let work = Box::new(Reduce { reduced, kept, lanes, origins, finish, vectorizer });
    Ok(Planned { work, tiling: Tiling::single(y) })
}

impl Work for Reduce {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let (x, y) = (inputs.view(0).bytes, tile.whole());
        match self.finish {
            Finish::Reals(count) => {
                let finish = |sums: [f32; SUM_LANES]| {
                    let sum = numerics::sum_lanes(sums);
                    count.map_or(sum, |count| sum / count)
                };
                let add = |sum: f32, x: f32| sum + x;
                let (x, y) = (bytemuck::cast_slice(x), bytemuck::cast_slice_mut(y));
                self.vectorizer.run(Sums { step: self, x, y, zero: 0.0, add, finish });
            }
            Finish::Bytes { zeros, multiplier, clamp } => {
                let finish = |sums: [i32; SUM_LANES]| {
                    let sum = sums.into_iter().fold(0i32, i32::wrapping_add);
                    clamp.byte(sum.wrapping_sub(zeros), multiplier)
                };
                let add = |sum: i32, x: u8| sum.wrapping_add(x.into());
                self.vectorizer.run(Sums { step: self, x, y, zero: 0, add, finish });
            }
        }
        Ok(())
    }
}

struct Sums<'a, X, Y, S, A, F> {
    step: &'a Reduce,
    x: &'a [X],
    y: &'a mut [Y],
    zero: S,
    add: A,
    finish: F,
}

impl<X: Copy, Y, S: Copy, A: Fn(S, X) -> S, F: Fn([S; SUM_LANES]) -> Y> Loop for Sums<'_, X, Y, S, A, F> {
    #[inline(always)]
    fn run(self) {
        let Reduce { reduced, kept, lanes, origins, .. } = self.step;
        let mut sums = [[self.zero; LANES]; SUM_LANES];
        kept.each(|from, to| {
            for first in (0..*lanes).step_by(LANES) {
                let n = (lanes - first).min(LANES);
                for sums in &mut sums {
                    sums[..n].fill(self.zero);
                }
                let mut place = 0;
                reduced.each(|offset, _| {
                    let x = &self.x[origins[0] + from + offset + first..][..n];
                    for (sum, &x) in sums[place % SUM_LANES].iter_mut().zip(x) {
                        *sum = (self.add)(*sum, x);
                    }
                    place += 1;
                });
                let y = &mut self.y[origins[1] + to + first..][..n];
                for (lane, y) in y.iter_mut().enumerate() {
                    *y = (self.finish)(std::array::from_fn(|i| sums[i][lane]));
                }
            }
        });
    }
}
