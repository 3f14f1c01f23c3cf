//! Pixels of a row that the same taps reach go together, output channels in lanes; of depthwise convolutions all channels.

use std::ops::Range;
use std::sync::Arc;

use tilemark_model::Tensor;
use tilemark_model::shape::output_extent;

use super::attributes;
use crate::error::Error;
use crate::host::kernels::matmul::stored_byte;
use crate::host::kernels::sums::{
    Arithmetic, Block, Integers, LANES, Reals, TAPS, Waiting, add_pairs, packed_line,
};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

/// Sums of a block: with the weights of a pass they stay in the first cache.
const SUMS: usize = 2048;
/// Output channels of a block.
const LINE: usize = 64;
/// Most pixels of a block.
const PIXELS: usize = SUMS / LANES;

struct Sliding<A: Arithmetic> {
    packed: Arc<Packed<A>>,
    zero: Zero<A::Sum>,
    /// For every output row and column the kernel's rows and columns that meet the image.
    taps: [Vec<Range<usize>>; 2],
    input: Input,
    kernel: [usize; 2],
    vectorizer: Vectorizer,
}

/// Where outputs find the elements of their windows. Rows first, then columns.
struct Input {
    /// Elements from one image to the next.
    image: usize,
    /// Elements from one output's window to the next one's, and from one tap to the next.
    steps: [usize; 2],
    taps: [usize; 2],
    /// Elements of the padding above and left.
    padding: usize,
    /// Elements before the first one.
    origin: usize,
}

impl Input {
    /// The place of the first channel of a tap that meets the image.
    #[inline(always)]
    fn element(&self, [image, row, column]: [usize; 3], [ky, kx]: [usize; 2]) -> usize {
        let [rows, columns] =
            [row * self.steps[0] + ky * self.taps[0], column * self.steps[1] + kx * self.taps[1]];
        self.origin + image * self.image + rows + columns - self.padding
    }
}

/// What is taken off every element.
enum Zero<S> {
    Is(S),
    /// The only element of the step's input of this number.
    Input(usize),
}

/// Weights, product by product.
struct Packed<A: Arithmetic> {
    /// Group by group a line for every product: channel, row, column. Depthwise a line for every tap.
    weights: Vec<A::Weight>,
    /// Group by group.
    bias: Vec<A::Sum>,
    /// Weights of a line: the outputs of a group, filled up; depthwise the channels.
    line: usize,
    groups: usize,
    /// Channels of a group that go in and that come out.
    inputs: usize,
    outputs: usize,
}

impl<A: Arithmetic> Packed<A> {
    /// From weights `[O, C / groups, rows, columns]`, of which `weight` gives one by its place and output channel.
    fn new(
        [outputs, inputs, height, width]: [usize; 4],
        groups: usize,
        weight: impl Fn(usize, usize) -> A::Weight,
        bias: Option<&[A::Sum]>,
    ) -> Self {
        let taps = height * width;
        let outputs = outputs / groups;
        let mut packed = Self { weights: Vec::new(), bias: Vec::new(), line: 0, groups, inputs, outputs };
        let of_bias = |o: usize| bias.map_or(A::Sum::default(), |bias| bias[o]);
        if packed.is_depthwise() {
            packed.line = groups;
            let places =
                (0..taps).flat_map(|tap| (0..groups).map(move |channel| (channel * taps + tap, channel)));
            packed.weights = places.map(|(place, channel)| weight(place, channel)).collect();
            packed.bias = (0..groups).map(of_bias).collect();
            return packed;
        }
        packed.line = packed_line(outputs, groups * inputs * taps);
        packed.weights.reserve_exact(groups * inputs * taps * packed.line);
        for (group, product) in (0..groups).flat_map(|group| (0..inputs * taps).map(move |p| (group, p))) {
            let end = packed.weights.len() + packed.line;
            let channels = group * outputs..(group + 1) * outputs;
            packed.weights.extend(channels.map(|o| weight(o * inputs * taps + product, o)));
            packed.weights.resize(end, bytemuck::Zeroable::zeroed());
        }
        for group in 0..groups {
            packed.bias.extend((group * outputs..(group + 1) * outputs).map(of_bias));
            packed.bias.resize((group + 1) * packed.line, A::Sum::default());
        }
        packed
    }

    /// Whether every channel has one filter.
    fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.inputs == 1 && self.outputs == 1
    }
}

/// A convolution in f32.
pub(super) fn build_reals(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let (_, groups) = attributes(step.node)?;
    let packed = step.packed("conv_f32", || {
        let (weights, shape) = weights(step)?;
        let weights = weights.as_f32()?;
        let bias = step.constant(2);
        let bias = bias.as_ref().map(Tensor::as_f32).transpose()?;
        Ok(Packed::<Reals>::new(shape, groups, |place, _| weights[place], bias))
    })?;
    build(step, packed, Zero::Is(0.0), vectorizer)
}

/// A convolution of bytes.
pub(super) fn build_integers(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let (_, groups) = attributes(step.node)?;
    let missing = || Error::internal(&step.node.name, "lacks a zero point");
    let packed = step.packed("conv_integer", || {
        let (weights, shape) = weights(step)?;
        let weights = weights.widened()?;
        let zeros = step.constant(3).ok_or_else(missing)?.widened()?;
        let zero = |output: usize| if zeros.len() == 1 { zeros[0] } else { zeros[output] };
        let weight = |place: usize, output: usize| difference(weights[place], zero(output));
        Ok(Packed::<Integers>::new(shape, groups, weight, None))
    })?;
    let zero = match step.input(2) {
        Some(input) => Zero::Input(input),
        None => Zero::Is(stored_byte(&step.constant(2).ok_or_else(missing)?)?),
    };
    build(step, packed, zero, vectorizer)
}

/// A byte without its zero point: nine bits.
#[allow(clippy::cast_possible_truncation, reason = "both are bytes")]
fn difference(weight: i32, zero: i32) -> i16 {
    (weight - zero) as i16
}

fn weights(step: &Lowering<'_>) -> Result<(Tensor, [usize; 4]), Error> {
    let missing = || Error::internal(&step.node.name, "lacks its weights");
    let weights = step.constant(1).ok_or_else(missing)?;
    let shape = weights.shape().try_into().map_err(|_| missing())?;
    Ok((weights, shape))
}

fn build<A: Arithmetic>(
    step: &Lowering<'_>,
    packed: Arc<Packed<A>>,
    zero: Zero<A::Sum>,
    vectorizer: Vectorizer,
) -> Result<Planned, Error> {
    let (window, groups) = attributes(step.node)?;
    let x = &step.inputs[0];
    let image = [x.grid.rows, x.grid.columns];
    let misfit = || Error::internal(&step.node.name, "has a window that fits nowhere");
    let extent = output_extent(&window, image, false).ok_or_else(misfit)?;
    let inside = |axis: usize, place: usize| {
        let start = place * window.strides[axis];
        // Tap k reaches `start + k * dilation` of the padded image.
        let beyond = |edge: usize| {
            edge.saturating_sub(start).div_ceil(window.dilations[axis]).min(window.kernel[axis])
        };
        let first = beyond(extent.before[axis]);
        first..beyond(extent.before[axis] + image[axis]).max(first)
    };
    let size = size_of::<A::X>();
    let [row, column] = [x.row_stride() / size, x.column_stride() / size];
    let input = Input {
        image: x.image_stride() / size,
        steps: [window.strides[0] * row, window.strides[1] * column],
        taps: [window.dilations[0] * row, window.dilations[1] * column],
        padding: extent.before[0] * row + extent.before[1] * column,
        origin: x.origin(),
    };
    let tiling = match groups {
        1 => Tiling::by_rows_and_channels(step.output, step.macs, LINE),
        _ => Tiling::by_rows(step.output, step.macs),
    };
    let taps = [0, 1].map(|axis| (0..extent.output[axis]).map(|place| inside(axis, place)).collect());
    let work = Sliding { packed, zero, taps, input, kernel: window.kernel, vectorizer };
    Ok(Planned { work: Box::new(work), tiling })
}

impl<A: Arithmetic> Work for Sliding<A> {
    fn scratch_bytes(&self) -> usize {
        SUMS * size_of::<A::Sum>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        let zero = match self.zero {
            Zero::Is(zero) => zero,
            Zero::Input(input) => {
                let zero = inputs.view(input);
                let elements: &[A::X] = bytemuck::cast_slice(zero.bytes);
                A::number(elements[zero.layout.origin()], A::Sum::default())
            }
        };
        let sums = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        for image in tile.region().images.clone() {
            let (sums, tile) = (&mut *sums, &mut *tile);
            let x = bytemuck::cast_slice(x.bytes);
            self.vectorizer.run(Image { step: self, x, zero, image, sums, tile });
        }
        Ok(())
    }
}

/// The tile's part of one image.
struct Image<'a, 'b, A: Arithmetic> {
    step: &'a Sliding<A>,
    x: &'a [A::X],
    zero: A::Sum,
    image: usize,
    sums: &'a mut [A::Sum],
    tile: &'a mut Tile<'b>,
}

/// Outputs that the same taps reach.
struct Patch {
    rows: Range<usize>,
    columns: Range<usize>,
    taps: [Range<usize>; 2],
}

impl<A: Arithmetic> Loop for Image<'_, '_, A> {
    #[inline(always)]
    fn run(mut self) {
        let [rows, columns] = &self.step.taps;
        let region = self.tile.region().rows.clone();
        let mut row = region.start;
        while row < region.end {
            let rows_end = row + alike(&rows[row..region.end]);
            let mut column = 0;
            while column < columns.len() {
                let columns_end = column + alike(&columns[column..]);
                let taps = [rows[row].clone(), columns[column].clone()];
                let patch = Patch { rows: row..rows_end, columns: column..columns_end, taps };
                if self.step.packed.is_depthwise() {
                    self.depthwise(&patch);
                } else {
                    for group in 0..self.step.packed.groups {
                        self.dense(&patch, group);
                    }
                }
                column = columns_end;
            }
            row = rows_end;
        }
    }
}

/// How many of them, from the first, are the same.
fn alike(taps: &[Range<usize>]) -> usize {
    taps.iter().take_while(|other| **other == taps[0]).count()
}

impl<A: Arithmetic> Image<'_, '_, A> {
    /// The outputs of one group that belong to the tile.
    #[inline(always)]
    fn dense(&mut self, patch: &Patch, group: usize) {
        let packed = &*self.step.packed;
        let (first, region) = (group * packed.outputs, self.tile.region().channels.clone());
        let mut lane = region.start.saturating_sub(first);
        let lanes = (region.end - first).min(packed.outputs);
        let (width, count) = (patch.columns.len(), patch.rows.len() * patch.columns.len());
        while lane < lanes {
            let channels = (lanes - lane).min(LINE);
            let line = channels.next_multiple_of(LANES).min(packed.line - lane);
            let mut done = 0;
            while done < count {
                let mut pixels = [[0; 2]; PIXELS];
                let pixels = &mut pixels[..(count - done).min(SUMS / line).min(PIXELS)];
                for (i, pixel) in (done..).zip(pixels.iter_mut()) {
                    *pixel = [patch.rows.start + i / width, patch.columns.start + i % width];
                }
                self.sum(&patch.taps, pixels, [group, lane], line);
                for (&[row, column], sums) in pixels.iter().zip(self.sums.chunks_exact(line)) {
                    let pixel = bytemuck::cast_slice_mut(self.tile.pixel(self.image, row, column));
                    pixel[first + lane - region.start..][..channels].copy_from_slice(&sums[..channels]);
                }
                done += pixels.len();
            }
            lane += channels;
        }
    }

    /// The sums of some pixels, for a line of a group's outputs.
    #[inline(always)]
    fn sum(
        &mut self,
        taps: &[Range<usize>; 2],
        pixels: &[[usize; 2]],
        [group, lane]: [usize; 2],
        line: usize,
    ) {
        let (input, packed, [height, width]) = (&self.step.input, &*self.step.packed, self.step.kernel);
        let sums = &mut self.sums[..pixels.len() * line];
        let bias = &packed.bias[group * packed.line + lane..][..line];
        for sums in sums.chunks_exact_mut(line) {
            sums.copy_from_slice(bias);
        }
        let window = |[row, column]: [usize; 2]| row * input.steps[0] + column * input.steps[1];
        let mut places = [0; PIXELS];
        for (place, &pixel) in places.iter_mut().zip(pixels) {
            *place = window(pixel) - window(pixels[0]);
        }
        let (places, first) = (&places[..pixels.len()], [self.image, pixels[0][0], pixels[0][1]]);
        let (x, zero, weights) = (self.x, self.zero, packed.weights.as_slice());
        let mut block = Block::<A> { x, places, zero, weights, line, sums };
        let mut waiting = Waiting::default();
        for channel in group * packed.inputs..(group + 1) * packed.inputs {
            for ky in taps[0].clone() {
                for kx in taps[1].clone() {
                    let product = (channel * height + ky) * width + kx;
                    let at = input.element(first, [ky, kx]) + channel;
                    block.push(&mut waiting, [at, product * packed.line + lane]);
                }
            }
        }
        block.finish(&mut waiting);
    }

    /// A convolution with one filter a channel, pixel by pixel.
    #[inline(always)]
    fn depthwise(&mut self, patch: &Patch) {
        let (step, packed) = (self.step, &*self.step.packed);
        for row in patch.rows.clone() {
            for column in patch.columns.clone() {
                let sums = bytemuck::cast_slice_mut(self.tile.pixel(self.image, row, column));
                sums.copy_from_slice(&packed.bias);
                let (mut x, mut weights, mut count) = ([&self.x[..0]; TAPS], [&packed.weights[..0]; TAPS], 0);
                for ky in patch.taps[0].clone() {
                    for kx in patch.taps[1].clone() {
                        x[count] = &self.x[step.input.element([self.image, row, column], [ky, kx])..];
                        weights[count] = &packed.weights[(ky * step.kernel[1] + kx) * packed.line..];
                        count += 1;
                        if count == TAPS {
                            add_pairs::<A, TAPS>(sums, x, weights, self.zero);
                            count = 0;
                        }
                    }
                }
                for i in 0..count {
                    add_pairs::<A, 1>(sums, [x[i]], [weights[i]], self.zero);
                }
            }
        }
    }
}
