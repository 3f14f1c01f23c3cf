//! Convolutions and pools over one to three axes, plain and transposed. Fewer axes are axes of one element in front.

use crate::error::Error;
use crate::graph::{ConvTranspose, PoolKind, PoolNd, WindowNd};
use crate::shape::{NdAxis, transposed_axes, window_axes};
use crate::tensor::Tensor;

/// Along one axis, for every output the taps that meet the image: kernel place and image place, in the kernel's order.
pub type Meetings = Vec<Vec<(usize, usize)>>;

/// Where a transposed convolution's kernel meets an image, axis by axis. `None` if it fits nowhere.
pub fn transposed_taps(conv: &ConvTranspose, image: &[usize]) -> Option<Vec<Meetings>> {
    let axes = transposed_axes(conv, image)?;
    Some((0..image.len()).map(|axis| transposed_along(&conv.window, &axes, image, axis)).collect())
}

fn transposed_along(window: &WindowNd, axes: &[NdAxis], image: &[usize], axis: usize) -> Meetings {
    let place = |o: usize, k: usize| {
        let reached = (o + axes[axis].before).checked_sub(k * window.dilations[axis])?;
        let i = reached / window.strides[axis];
        (reached % window.strides[axis] == 0 && i < image[axis]).then_some(i)
    };
    let taps = |o| (0..window.kernel[axis]).filter_map(|k| Some((k, place(o, k)?))).collect();
    (0..axes[axis].output).map(taps).collect()
}

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
        Self::new(&window.kernel, image, |axis| transposed_along(window, axes, image, axis))
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
    let grid = Grid::plain(window, &axes, image);
    let channels = Channels::plain(x.shape(), w.shape(), groups);
    float_sums(&grid, &channels, operands)
}

/// The sums of a convolution of integers, of which zero points are off, in 32 bits that wrap around.
pub(super) fn integer_sums(
    window: &WindowNd,
    groups: usize,
    [x, w]: [&[usize]; 2],
    [xs, ws]: [&[i32]; 2],
) -> Result<Vec<i32>, Error> {
    let axes = window_axes(window, &x[2..], false).ok_or_else(|| no_fit("ConvInteger"))?;
    let grid = Grid::plain(window, &axes, &x[2..]);
    let add = |acc: i32, x: i32, w: i32| acc.wrapping_add(x * w); // of at most 9 bits each
    Ok(sums(&grid, &Channels::plain(x, w, groups), [xs, ws], |_| 0, add))
}

/// The same of a transposed convolution.
pub(super) fn conv_transpose(conv: &ConvTranspose, operands: &[&Tensor]) -> Result<Vec<f32>, Error> {
    let (x, w) = (operands[0], operands[1]);
    let image = &x.shape()[2..];
    let axes = transposed_axes(conv, image).ok_or_else(|| no_fit("ConvTranspose"))?;
    let channels = Channels {
        images: x.shape()[0],
        inputs: x.shape()[1],
        outputs: w.shape()[1] * conv.groups,
        group_inputs: w.shape()[0] / conv.groups,
        group_outputs: w.shape()[1],
        transposed: true,
    };
    float_sums(&Grid::transposed(&conv.window, &axes, image), &channels, operands)
}

/// Which channels of the input meet which of the output.
struct Channels {
    images: usize,
    inputs: usize,
    outputs: usize,
    group_inputs: usize,
    group_outputs: usize,
    /// Whether weights lie as `[C, O/groups, ...]` instead of `[O, C/groups, ...]`.
    transposed: bool,
}

impl Channels {
    fn plain(x: &[usize], w: &[usize], groups: usize) -> Self {
        let (outputs, group_inputs) = (w[0], w[1]);
        let group_outputs = outputs / groups;
        Self { images: x[0], inputs: x[1], outputs, group_inputs, group_outputs, transposed: false }
    }

    /// Number of the kernel between output `o` and the `c`-th input of its group.
    fn kernel(&self, o: usize, c: usize) -> usize {
        if self.transposed {
            let group = o / self.group_outputs;
            (group * self.group_inputs + c) * self.group_outputs + o % self.group_outputs
        } else {
            o * self.group_inputs + c
        }
    }
}

fn float_sums(grid: &Grid, channels: &Channels, operands: &[&Tensor]) -> Result<Vec<f32>, Error> {
    let bias = operands.get(2).map(|b| b.as_f32()).transpose()?;
    let both = [operands[0].as_f32()?, operands[1].as_f32()?];
    Ok(sums(grid, channels, both, |o| bias.map_or(0.0, |b| b[o]), |acc, x, w| acc + x * w))
}

fn sums<T: Copy>(
    grid: &Grid,
    channels: &Channels,
    [xs, ws]: [&[T]; 2],
    start: impl Fn(usize) -> T,
    add: impl Fn(T, T, T) -> T,
) -> Vec<T> {
    let (plane, kernel) = (grid.image_len(), grid.kernel_len());
    let mut y = Vec::new();
    for n in 0..channels.images {
        for o in 0..channels.outputs {
            let first = n * channels.inputs + o / channels.group_outputs * channels.group_inputs;
            grid.outputs(|taps| {
                let mut acc = start(o);
                for c in 0..channels.group_inputs {
                    let image = &xs[(first + c) * plane..][..plane];
                    let weights = &ws[channels.kernel(o, c) * kernel..][..kernel];
                    for &(k, i) in taps {
                        acc = add(acc, image[i], weights[k]);
                    }
                }
                y.push(acc);
            });
        }
    }
    y
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
