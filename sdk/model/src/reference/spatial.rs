//! Convolutions and pools over one to three axes, plain and transposed. Fewer axes are axes of one element in front.

use crate::error::Error;
use crate::graph::{ConvTranspose, PoolKind, PoolNd, WindowNd};
use crate::shape::{NdAxis, transposed_axes, window_axes};
use crate::tensor::Tensor;

/// Along one axis, for every output the taps that meet the image: kernel place and image place, in the kernel's order.
type Meetings = Vec<Vec<(usize, usize)>>;

/// Where a kernel meets an image, axis by axis.
struct Grid {
    axes: [Meetings; 3],
    kernel: [usize; 3],
    image: [usize; 3],
}

impl Grid {
    fn new(kernel: &[usize], image: &[usize], along: impl Fn(usize) -> Meetings) -> Self {
        let missing = 3 - kernel.len();
        let filled = |of: &[usize]| std::array::from_fn(|i| if i < missing { 1 } else { of[i - missing] });
        let axes = std::array::from_fn(|i| if i < missing { vec![vec![(0, 0)]] } else { along(i - missing) });
        Self { axes, kernel: filled(kernel), image: filled(image) }
    }

    fn plain(window: &WindowNd, axes: &[NdAxis], image: &[usize]) -> Self {
        Self::new(&window.kernel, image, |axis| {
            let place = |o: usize, k: usize| {
                (o * window.strides[axis] + k * window.dilations[axis])
                    .checked_sub(axes[axis].before)
                    .filter(|&i| i < image[axis])
            };
            let taps = |o| (0..window.kernel[axis]).filter_map(|k| Some((k, place(o, k)?))).collect();
            (0..axes[axis].output).map(taps).collect()
        })
    }

    fn transposed(window: &WindowNd, axes: &[NdAxis], image: &[usize]) -> Self {
        Self::new(&window.kernel, image, |axis| {
            let place = |o: usize, k: usize| {
                let reached = (o + axes[axis].before).checked_sub(k * window.dilations[axis])?;
                let i = reached / window.strides[axis];
                (reached % window.strides[axis] == 0 && i < image[axis]).then_some(i)
            };
            let taps = |o| (0..window.kernel[axis]).filter_map(|k| Some((k, place(o, k)?))).collect();
            (0..axes[axis].output).map(taps).collect()
        })
    }

    fn kernel_len(&self) -> usize {
        self.kernel.iter().product()
    }

    fn image_len(&self) -> usize {
        self.image.iter().product()
    }

    /// Shows `visit` the meetings of every output in row-major order: places in the kernel and in the image.
    fn outputs(&self, mut visit: impl FnMut(&[(usize, usize)])) {
        let [_, kernel_h, kernel_w] = self.kernel;
        let [_, height, width] = self.image;
        let mut taps = Vec::new();
        for planes in &self.axes[0] {
            for rows in &self.axes[1] {
                for columns in &self.axes[2] {
                    taps.clear();
                    for &(kz, z) in planes {
                        for &(ky, y) in rows {
                            for &(kx, x) in columns {
                                let kernel = (kz * kernel_h + ky) * kernel_w + kx;
                                taps.push((kernel, (z * height + y) * width + x));
                            }
                        }
                    }
                    visit(&taps);
                }
            }
        }
    }
}

/// Products are added to the bias one by one: channel, then the taps in order.
pub(super) fn conv(window: &WindowNd, groups: usize, operands: &[&Tensor]) -> Result<Vec<f32>, Error> {
    let (x, w) = (operands[0], operands[1]);
    let image = &x.shape()[2..];
    let axes = window_axes(window, image, false).ok_or_else(|| no_fit("Conv"))?;
    let (outputs, group_channels) = (w.shape()[0], w.shape()[1]);
    let group_outputs = outputs / groups;
    let weight = |o: usize, c: usize| o * group_channels + c;
    let grid = Grid::plain(window, &axes, image);
    accumulate(&grid, operands, outputs, group_outputs, group_channels, weight)
}

/// The same of a transposed convolution.
pub(super) fn conv_transpose(conv: &ConvTranspose, operands: &[&Tensor]) -> Result<Vec<f32>, Error> {
    let (x, w) = (operands[0], operands[1]);
    let image = &x.shape()[2..];
    let axes = transposed_axes(conv, image).ok_or_else(|| no_fit("ConvTranspose"))?;
    let (group_channels, group_outputs) = (w.shape()[0] / conv.groups, w.shape()[1]);
    let weight = |o: usize, c: usize| {
        let group = o / group_outputs;
        (group * group_channels + c) * group_outputs + o % group_outputs
    };
    let grid = Grid::transposed(&conv.window, &axes, image);
    accumulate(&grid, operands, group_outputs * conv.groups, group_outputs, group_channels, weight)
}

fn accumulate(
    grid: &Grid,
    operands: &[&Tensor],
    outputs: usize,
    group_outputs: usize,
    group_channels: usize,
    weight: impl Fn(usize, usize) -> usize,
) -> Result<Vec<f32>, Error> {
    let (x, w) = (operands[0], operands[1]);
    let bias = operands.get(2).map(|b| b.as_f32()).transpose()?;
    let (xs, ws) = (x.as_f32()?, w.as_f32()?);
    let (plane, kernel) = (grid.image_len(), grid.kernel_len());
    let mut y = Vec::new();
    for n in 0..x.shape()[0] {
        for o in 0..outputs {
            let first = n * x.shape()[1] + o / group_outputs * group_channels;
            grid.outputs(|taps| {
                let mut acc = bias.map_or(0.0, |b| b[o]);
                for c in 0..group_channels {
                    let image = &xs[(first + c) * plane..][..plane];
                    let weights = &ws[weight(o, c) * kernel..][..kernel];
                    for &(k, i) in taps {
                        acc += image[i] * weights[k];
                    }
                }
                y.push(acc);
            });
        }
    }
    Ok(y)
}

/// Taps in order in one sum, divided by their number; or the largest.
pub(super) fn pool(pool: &PoolNd, x: &Tensor) -> Result<Vec<f32>, Error> {
    let image = &x.shape()[2..];
    let axes = window_axes(&pool.window, image, pool.ceil_mode).ok_or_else(|| no_fit("a pool"))?;
    let grid = Grid::plain(&pool.window, &axes, image);
    let counts = declared_counts(&pool.window, &axes, image);
    let mut y = Vec::new();
    for plane in x.as_f32()?.chunks_exact(grid.image_len()) {
        let mut output = 0;
        grid.outputs(|taps| {
            let values = taps.iter().map(|&(_, i)| plane[i]);
            y.push(match pool.kind {
                PoolKind::Max => values.fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a }),
                PoolKind::Average { count_include_pad } => {
                    let n = if count_include_pad { counts[output] } else { taps.len() };
                    values.fold(0.0, |sum, x| sum + x) / n.max(1) as f32
                }
            });
            output += 1;
        });
    }
    Ok(y)
}

/// For each output the taps that lie in the image or its declared padding.
fn declared_counts(window: &WindowNd, axes: &[NdAxis], image: &[usize]) -> Vec<usize> {
    let along = |axis: usize| {
        let end = axes[axis].before + image[axis] + axes[axis].after;
        let inside = |o: usize| {
            let places =
                (0..window.kernel[axis]).map(|k| o * window.strides[axis] + k * window.dilations[axis]);
            places.filter(|&place| place < end).count()
        };
        (0..axes[axis].output).map(inside).collect::<Vec<_>>()
    };
    (0..image.len()).map(along).fold(vec![1], |counts, axis| {
        counts.iter().flat_map(|&count| axis.iter().map(move |&n| count * n)).collect()
    })
}

/// Index of the largest element of each window in the whole tensor; the first of equal ones.
pub(super) fn arg_max_pool(pool: &PoolNd, column_major: bool, x: &Tensor) -> Result<Vec<i64>, Error> {
    let image = &x.shape()[2..];
    let axes = window_axes(&pool.window, image, pool.ceil_mode).ok_or_else(|| no_fit("MaxPool"))?;
    let grid = Grid::plain(&pool.window, &axes, image);
    let index = |i: usize| match *image {
        [height, width] if column_major => i % width * height + i / width,
        _ => i,
    };
    let mut y = Vec::new();
    for (n, plane) in x.as_f32()?.chunks_exact(grid.image_len()).enumerate() {
        grid.outputs(|taps| {
            let best = taps.iter().map(|tap| tap.1).reduce(|a, b| if plane[b] > plane[a] { b } else { a });
            y.push((n * grid.image_len() + best.map_or(0, index)) as i64);
        });
    }
    Ok(y)
}

fn no_fit(op: &str) -> Error {
    Error::invalid_graph(op, "has a window that inference would have refused")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::AutoPad;

    fn window(kernel: &[usize], strides: &[usize], pads: &[usize]) -> WindowNd {
        WindowNd {
            kernel: kernel.to_vec(),
            strides: strides.to_vec(),
            dilations: vec![1; kernel.len()],
            pads: pads.to_vec(),
            auto_pad: AutoPad::Explicit,
        }
    }

    #[test]
    fn a_line_is_convolved() {
        let x = Tensor::f32([1, 1, 4], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let w = Tensor::f32([1, 1, 3], vec![1.0, 0.0, -1.0]).unwrap();
        let b = Tensor::f32([1], vec![10.0]).unwrap();
        let y = conv(&window(&[3], &[1], &[1, 1]), 1, &[&x, &w, &b]).unwrap();
        assert_eq!(y, [8.0, 8.0, 8.0, 13.0]);
    }

    #[test]
    fn transposed_taps_spread_each_input() {
        let x = Tensor::f32([1, 1, 2], vec![1.0, 10.0]).unwrap();
        let w = Tensor::f32([1, 1, 3], vec![1.0, 2.0, 3.0]).unwrap();
        let of = |strides: usize, pads: &[usize], padding: usize| {
            let window = window(&[3], &[strides], pads);
            let conv = ConvTranspose { window, groups: 1, output_padding: vec![padding], output_size: None };
            conv_transpose(&conv, &[&x, &w]).unwrap()
        };
        assert_eq!(of(1, &[0, 0], 0), [1.0, 12.0, 23.0, 30.0]);
        assert_eq!(of(2, &[0, 0], 1), [1.0, 2.0, 13.0, 20.0, 30.0, 0.0]);
        assert_eq!(of(2, &[1, 0], 0), [2.0, 13.0, 20.0, 30.0]);
    }

    #[test]
    fn groups_of_a_transposed_convolution_do_not_mix() {
        let x = Tensor::f32([1, 2, 1], vec![1.0, 2.0]).unwrap();
        let w = Tensor::f32([2, 2, 1], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let window = window(&[1], &[1], &[0, 0]);
        let conv = ConvTranspose { window, groups: 2, output_padding: vec![0], output_size: None };
        assert_eq!(conv_transpose(&conv, &[&x, &w]).unwrap(), [1.0, 2.0, 6.0, 8.0]);
    }

    #[test]
    fn a_cube_is_pooled_over_three_axes() {
        let x = Tensor::f32([1, 1, 2, 2, 2], (0..8).map(|i| i as f32).collect()).unwrap();
        let of = |kind| {
            let window = window(&[2, 2, 2], &[1, 1, 1], &[0, 0, 0, 0, 0, 1]);
            pool(&PoolNd { kind, window, ceil_mode: false }, &x).unwrap()
        };
        assert_eq!(of(PoolKind::Max), [7.0, 7.0]);
        assert_eq!(of(PoolKind::Average { count_include_pad: false }), [3.5, 4.0]);
        assert_eq!(of(PoolKind::Average { count_include_pad: true }), [3.5, 2.0]);
    }
}
