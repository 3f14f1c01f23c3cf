//! `(x - mean) / sqrt(variance + epsilon)` line by line, sums in the contract's eight lanes.

use tilemark_model::Op;
use tilemark_model::graph::FloatOp;

use super::first_axis;
use crate::error::Error;
use crate::host::kernels::Planned;
use crate::host::kernels::softmax::sum;
use crate::host::kernels::strided::{OfLine, line_by_line};
use crate::host::vectorize::Vectorizer;
use crate::plan::Lowering;

struct Normalize {
    epsilon: f32,
    affine: Affine,
}

/// What normalized numbers are multiplied by, and what is added then.
enum Affine {
    /// Of every place of a line.
    Places { scale: Vec<f32>, bias: Option<Vec<f32>> },
    /// Of the channel of a line; lines go through all channels again and again.
    Channels { scale: Vec<f32>, bias: Vec<f32> },
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let unplanned = || Error::internal(&step.node.name, "planned as a normalization");
    let x = &step.inputs[0];
    let rank = x.shape.len();
    let axis = first_axis(&step.node.op, rank).ok_or_else(unplanned)?;
    let operand = |i: usize| step.constant(i).ok_or_else(unplanned);
    let along_line = |i: usize| -> Result<Vec<f32>, Error> {
        let tensor = operand(i)?;
        Ok(stretched(tensor.as_f32()?, tensor.shape(), &x.shape[axis..]))
    };
    let (epsilon, affine) = match step.node.op {
        Op::Float(FloatOp::LayerNorm { epsilon, .. }) => {
            let bias = (step.node.inputs.len() > 2).then(|| along_line(2)).transpose()?;
            (epsilon, Affine::Places { scale: along_line(1)?, bias })
        }
        Op::Float(FloatOp::InstanceNorm { epsilon }) => {
            let of_channels = |i: usize| Ok::<_, Error>(operand(i)?.as_f32()?.to_vec());
            (epsilon, Affine::Channels { scale: of_channels(1)?, bias: of_channels(2)? })
        }
        _ => return Err(unplanned()),
    };
    let axes = [(axis..rank).collect(), (0..axis).collect()];
    Ok(line_by_line(step, axes, Normalize { epsilon, affine }, vectorizer))
}

/// Elements of `shape` as they are read when they are stretched to `line`; axes before those of the line are ones.
fn stretched(elements: &[f32], shape: &[usize], line: &[usize]) -> Vec<f32> {
    let own = &shape[shape.len().saturating_sub(line.len())..];
    let missing = line.len() - own.len();
    let at = |mut i: usize| {
        let (mut at, mut stride) = (0, 1);
        for axis in (0..line.len()).rev() {
            let size = if axis < missing { 1 } else { own[axis - missing] };
            at += i % line[axis] % size * stride;
            stride *= size;
            i /= line[axis];
        }
        at
    };
    (0..line.iter().product()).map(|i| elements[at(i)]).collect()
}

impl OfLine for Normalize {
    #[inline(always)]
    fn line<'a>(&self, number: usize, line: &'a mut [f32], squares: &'a mut [f32]) -> &'a [f32] {
        let n = line.len() as f32;
        let mean = sum(line) / n;
        for (square, x) in squares.iter_mut().zip(&*line) {
            *square = (x - mean) * (x - mean);
        }
        let deviation = (sum(squares) / n + self.epsilon).sqrt();
        for x in line.iter_mut() {
            *x = (*x - mean) / deviation;
        }
        match &self.affine {
            Affine::Places { scale, bias } => {
                for (x, scale) in line.iter_mut().zip(scale) {
                    *x *= scale;
                }
                for (x, bias) in line.iter_mut().zip(bias.iter().flatten()) {
                    *x += bias;
                }
            }
            Affine::Channels { scale, bias } => {
                let (scale, bias) = (scale[number % scale.len()], bias[number % scale.len()]);
                for x in line.iter_mut() {
                    *x = *x * scale + bias;
                }
            }
        }
        line
    }
}
