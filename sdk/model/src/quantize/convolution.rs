//! A float convolution that is quick enough to calibrate with: several hundred times the reference's speed, and its bits,
//! since each output's products are added in the same order.

use crate::error::Error;
use crate::graph::{Conv, Window};
use crate::shape::output_extent;
use crate::tensor::Tensor;

/// Output pixels whose inputs are gathered at once: with the longest kernels in use they still fit a second-level cache.
const CHUNK: usize = 256;
/// Outputs computed together, in registers: channels by pixels.
const ROWS: usize = 4;
const LANES: usize = 8;

/// Convolves `x` `[N,C,H,W]` with `weights` `[O,C/groups,KH,KW]` to `shape`, starting from `bias` `[O]`.
///
/// # Errors
/// [`Error::DTypeMismatch`] if an operand is not f32; the shapes are those of inference.
pub(super) fn convolve(
    conv: &Conv,
    x: &Tensor,
    weights: &Tensor,
    bias: Option<&Tensor>,
    shape: &[usize],
) -> Result<Tensor, Error> {
    let (&[_, channels, height, width], &[_, outputs, out_h, out_w]) = (x.shape(), shape) else {
        return Err(misshapen(x));
    };
    let before = output_extent(&conv.window, [height, width], false).ok_or_else(|| misshapen(x))?.before;
    let geometry = Geometry { window: &conv.window, before, input: [height, width], output: [out_h, out_w] };
    let (xs, ws) = (x.as_f32()?, weights.as_f32()?);
    let bias = bias.map(Tensor::as_f32).transpose()?;
    let (plane, pixels) = (height * width, out_h * out_w);
    let (group_in, group_out) = (channels / conv.groups, outputs / conv.groups);
    let inner = group_in * conv.window.kernel[0] * conv.window.kernel[1];
    let mut y = vec![0.0; shape.iter().product()];
    let mut gathered = vec![0.0; inner * CHUNK];
    for (image, group) in (0..shape[0]).flat_map(|n| (0..conv.groups).map(move |g| (n, g))) {
        let x = &xs[(image * channels + group * group_in) * plane..][..group_in * plane];
        let first = group * group_out;
        let y = &mut y[(image * outputs + first) * pixels..][..group_out * pixels];
        for start in (0..pixels).step_by(CHUNK) {
            let count = CHUNK.min(pixels - start);
            let columns = if geometry.is_pointwise() {
                Columns { values: &x[start..], stride: plane, count }
            } else {
                geometry.gather(x, plane, start, count, &mut gathered);
                Columns { values: &gathered, stride: CHUNK, count }
            };
            let sums = Sums { columns, inner, y: &mut *y, pixels, start };
            sums.of(&ws[first * inner..][..group_out * inner], bias.map(|b| &b[first..][..group_out]));
        }
    }
    Tensor::f32(shape, y)
}

fn misshapen(x: &Tensor) -> Error {
    let (node, op) = ("calibration".to_owned(), "Conv".to_owned());
    Error::Shape { node, op, reason: format!("input {:?} does not fit", x.shape()) }
}

struct Geometry<'a> {
    window: &'a Window,
    before: [usize; 2],
    input: [usize; 2],
    output: [usize; 2],
}

impl Geometry<'_> {
    fn is_pointwise(&self) -> bool {
        self.window.kernel == [1, 1] && self.window.strides == [1, 1] && self.input == self.output
    }

    /// For each channel and tap a row of `CHUNK` inputs, those of the output pixels from `start` on; padding is zero.
    fn gather(&self, x: &[f32], plane: usize, start: usize, count: usize, gathered: &mut [f32]) {
        let [rows, columns] = self.window.kernel;
        let taps = x
            .chunks_exact(plane)
            .flat_map(|channel| (0..rows).flat_map(move |ky| (0..columns).map(move |kx| (channel, ky, kx))));
        for ((channel, ky, kx), row) in taps.zip(gathered.chunks_exact_mut(CHUNK)) {
            let mut pixel = start;
            while pixel < start + count {
                let (oy, ox) = (pixel / self.output[1], pixel % self.output[1]);
                let length = (self.output[1] - ox).min(start + count - pixel);
                let target = &mut row[pixel - start..][..length];
                match self.inside(0, oy, ky) {
                    Some(iy) => {
                        self.gather_line(&channel[iy * self.input[1]..][..self.input[1]], ox, kx, target)
                    }
                    None => target.fill(0.0),
                }
                pixel += length;
            }
        }
    }

    fn gather_line(&self, line: &[f32], ox: usize, kx: usize, target: &mut [f32]) {
        let step = self.window.strides[1];
        let offset = kx * self.window.dilations[1];
        // The first and the last output that read inside the line.
        let first = self.before[1].saturating_sub(offset).div_ceil(step).clamp(ox, ox + target.len());
        let end = (line.len() + self.before[1]).saturating_sub(offset).div_ceil(step);
        let end = end.clamp(first, ox + target.len());
        target[..first - ox].fill(0.0);
        target[end - ox..].fill(0.0);
        if first == end {
            return;
        }
        let from = &line[first * step + offset - self.before[1]..];
        let target = &mut target[first - ox..end - ox];
        if step == 1 {
            target.copy_from_slice(&from[..target.len()]);
        } else {
            target.iter_mut().zip(from.iter().step_by(step)).for_each(|(to, from)| *to = *from);
        }
    }

    fn inside(&self, axis: usize, o: usize, k: usize) -> Option<usize> {
        let at = o * self.window.strides[axis] + k * self.window.dilations[axis];
        at.checked_sub(self.before[axis]).filter(|&i| i < self.input[axis])
    }
}

/// Rows of inputs, `stride` apart, of which the first `count` elements count.
struct Columns<'a> {
    values: &'a [f32],
    stride: usize,
    count: usize,
}

/// Products of weights and columns, summed into the pixels from `start` on.
struct Sums<'a> {
    columns: Columns<'a>,
    inner: usize,
    y: &'a mut [f32],
    pixels: usize,
    start: usize,
}

impl Sums<'_> {
    fn of(mut self, weights: &[f32], bias: Option<&[f32]>) {
        let outputs = weights.len() / self.inner;
        let bias = |o: usize| bias.map_or(0.0, |bias| bias[o]);
        let mut o = 0;
        while o + ROWS <= outputs {
            self.rows::<ROWS>(weights, o, std::array::from_fn(|r| bias(o + r)));
            o += ROWS;
        }
        for o in o..outputs {
            self.rows::<1>(weights, o, [bias(o)]);
        }
    }

    fn rows<const R: usize>(&mut self, weights: &[f32], o: usize, bias: [f32; R]) {
        let weights: [&[f32]; R] = std::array::from_fn(|r| &weights[(o + r) * self.inner..][..self.inner]);
        let mut at = 0;
        while at + LANES <= self.columns.count {
            self.tile::<R, LANES>(weights, o, at, bias);
            at += LANES;
        }
        for at in at..self.columns.count {
            self.tile::<R, 1>(weights, o, at, bias);
        }
    }

    #[inline(always)]
    fn tile<const R: usize, const L: usize>(
        &mut self,
        weights: [&[f32]; R],
        o: usize,
        at: usize,
        bias: [f32; R],
    ) {
        let mut sums: [[f32; L]; R] = bias.map(|bias| [bias; L]);
        for k in 0..self.inner {
            let column = &self.columns.values[k * self.columns.stride + at..][..L];
            for (sums, weights) in sums.iter_mut().zip(weights) {
                let weight = weights[k];
                sums.iter_mut().zip(column).for_each(|(sum, x)| *sum += weight * x);
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            self.y[(o + r) * self.pixels + self.start + at..][..L].copy_from_slice(sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Dim, Draft, FloatOp, Op, Pads, Port};
    use crate::tensor::DType;
    use crate::{reference, shape};

    /// Input and output channels, kernel, strides, dilations, pads, groups, height and width.
    type Case = (usize, usize, [usize; 2], [usize; 2], [usize; 2], [usize; 4], usize, [usize; 2]);

    /// Strides, dilation, uneven pads, groups, rests of every block size.
    #[test]
    fn every_geometry_has_the_references_bits() {
        let mut state = 1u32;
        let mut unit = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0
        };
        let cases: [Case; 8] = [
            (3, 8, [1, 1], [1, 1], [1, 1], [0; 4], 1, [17, 19]),
            (5, 7, [3, 3], [1, 1], [1, 1], [1; 4], 1, [9, 31]),
            (6, 6, [3, 3], [2, 2], [1, 1], [0, 0, 1, 1], 6, [16, 16]),
            (8, 12, [3, 5], [2, 1], [2, 3], [2, 6, 2, 0], 4, [13, 40]),
            (2, 9, [5, 5], [3, 2], [1, 1], [4, 4, 0, 2], 1, [7, 7]),
            (4, 4, [1, 1], [2, 2], [1, 1], [0; 4], 2, [11, 6]),
            (1, 1, [7, 1], [1, 1], [1, 1], [3, 0, 3, 0], 1, [3, 300]),
            (3, 5, [2, 2], [1, 1], [4, 4], [3; 4], 1, [4, 4]),
        ];
        for (channels, outputs, kernel, strides, dilations, pads, groups, [h, w]) in cases {
            let window = Window { kernel, strides, dilations, pads: Pads::Explicit(pads) };
            let conv = Conv { window, groups };
            let mut reals = |shape: &[usize]| {
                let n = shape.iter().product();
                Tensor::f32(shape, (0..n).map(|_| unit() * 2.0 - 1.0).collect()).unwrap()
            };
            let x = reals(&[2, channels, h, w]);
            let weights = reals(&[outputs, channels / groups, kernel[0], kernel[1]]);
            let bias = reals(&[outputs]);
            let mut draft = Draft::default();
            let value = draft.activation("x", DType::F32, None);
            let shape = x.shape().iter().map(|&n| Dim::Fixed(n)).collect();
            draft.inputs.push(Port { name: "x".into(), value, dtype: DType::F32, shape });
            let constants = [draft.constant("w", weights.clone()), draft.constant("b", bias.clone())];
            let y = draft.activation("y", DType::F32, None);
            draft.node(
                "conv",
                Op::Float(FloatOp::Conv(conv.clone())),
                [&[value][..], &constants].concat(),
                y,
            );
            draft.outputs.push(Port { name: "y".into(), value: y, dtype: DType::F32, shape: vec![] });
            let graph = draft.freeze().unwrap();
            let expected = reference::run(&graph, vec![x.clone()]).unwrap().remove(0);
            let shapes = shape::infer(&graph, &[x.shape().to_vec()]).unwrap();
            let shape = shapes.of(graph.outputs[0].value);
            let found = convolve(&conv, &x, &weights, Some(&bias), shape).unwrap();
            assert!(found == expected, "{kernel:?} {strides:?} {dilations:?} {pads:?} {groups}");
        }
    }
}
