//! Operands of element-wise steps: read line by line, as if they had been broadcast to the output.

use std::any::Any;
use std::sync::Arc;

use tilemark_model::{Data, Tensor};

use crate::error::Error;
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Layout, Lowering};

/// An element as it is stored: 8-bit values as `u8` (see [`Layout`]), or f32.
pub(crate) trait Element: bytemuck::Pod + Send + Sync {
    /// The elements of a constant in row-major order, as they would be stored.
    fn of(tensor: &Tensor) -> Option<Vec<Self>>;
}

impl Element for u8 {
    fn of(tensor: &Tensor) -> Option<Vec<Self>> {
        match tensor.data() {
            Data::U8(v) => Some(v.clone()),
            Data::I8(v) => Some(v.iter().map(|&byte| byte.cast_unsigned() ^ 0x80).collect()),
            _ => None,
        }
    }
}

impl Element for f32 {
    fn of(tensor: &Tensor) -> Option<Vec<Self>> {
        tensor.as_f32().ok().map(<[f32]>::to_vec)
    }
}

/// Elements of the output that are held at once while they are overwritten: they stay in the first cache.
const HELD: usize = 2048;

/// Elements of a line into which a constant is stretched when a step is planned.
const MAX_STRETCHED: usize = 16_384;

/// One operand of a step whose output it broadcasts to. A line is a row of the output's grid: columns x channels.
pub(crate) struct Operand<T> {
    source: Source<T>,
    /// Offset of the first element.
    origin: usize,
    /// Sizes and strides of the axes around a line, the outermost first.
    outer: Vec<[usize; 2]>,
    /// Size and stride of the columns, then of the channels.
    inner: [[usize; 2]; 2],
}

enum Source<T> {
    Input(usize),
    /// The output, which the step overwrites line by line.
    Output,
    Constant(Arc<Vec<T>>),
}

impl<T: Element + Any> Operand<T> {
    /// The node's operand of number `i`. Constants are kept with the packed weights, under the name `constant`.
    pub(crate) fn new(step: &Lowering<'_>, i: usize, constant: &'static str) -> Result<Self, Error> {
        match step.input(i) {
            Some(input) if step.overwritten == step.node.inputs.get(i).copied() => {
                Ok(Self::laid_out(Source::Output, &step.inputs[input], step.output))
            }
            Some(input) => Ok(Self::laid_out(Source::Input(input), &step.inputs[input], step.output)),
            None => {
                let missing = || Error::internal(&step.node.name, "lacks a constant of its type");
                let tensor = step.constant(i).ok_or_else(missing)?;
                let elements = step.packed(constant, || T::of(&tensor).ok_or_else(missing))?;
                Ok(Self::constant(elements, tensor.shape(), step.output))
            }
        }
    }

    /// A constant of `shape`, in row-major order.
    pub(crate) fn constant(elements: Arc<Vec<T>>, shape: &[usize], output: &Layout) -> Self {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        let constant = Self::strided(Source::Constant(elements), 0, shape, &strides, output);
        constant.stretched().unwrap_or(constant)
    }

    /// A constant of which all lines are the same, as that line: what every tile would otherwise make of it.
    fn stretched(&self) -> Option<Self> {
        let Source::Constant(elements) = &self.source else { return None };
        let is_one_line = self.outer.iter().all(|&[n, stride]| n == 1 || stride == 0);
        if !is_one_line || self.is_contiguous() || self.line_len() > MAX_STRETCHED {
            return None;
        }
        let mut line = vec![T::zeroed(); self.line_len()];
        Reader { operand: self, elements, scratch: &mut line, held: None }.stretch(self.origin);
        let [[columns, _], [channels, _]] = self.inner;
        let source = Source::Constant(Arc::new(line));
        Some(Self {
            source,
            origin: 0,
            outer: self.outer.clone(),
            inner: [[columns, channels], [channels, 1]],
        })
    }

    fn laid_out(source: Source<T>, layout: &Layout, output: &Layout) -> Self {
        Self::strided(source, layout.origin(), &layout.shape, &layout.strides(), output)
    }

    fn strided(
        source: Source<T>,
        origin: usize,
        shape: &[usize],
        strides: &[usize],
        output: &Layout,
    ) -> Self {
        let missing = output.shape.len() - shape.len();
        let along = |axis: usize| {
            let stretched = axis < missing || shape[axis - missing] == 1;
            [output.shape[axis], if stretched { 0 } else { strides[axis - missing] }]
        };
        let mut outer: Vec<[usize; 2]> = output.memory_axes().into_iter().map(along).collect();
        let channels = outer.pop().unwrap_or([1, 0]);
        let columns = if output.shape.len() == 4 { outer.pop().unwrap_or([1, 0]) } else { [1, 0] };
        Self { source, origin, outer, inner: [columns, channels] }
    }

    /// Elements of a line.
    pub(crate) fn line_len(&self) -> usize {
        self.inner[0][0] * self.inner[1][0]
    }

    /// Elements that a thread must offer to read lines through.
    pub(crate) fn scratch_len(&self) -> usize {
        match self.is_output() {
            true => self.held_lines() * self.line_len(),
            false if self.is_contiguous() => 0,
            false => self.line_len(),
        }
    }

    /// Lines that are taken out of the output at once.
    fn held_lines(&self) -> usize {
        (HELD / self.line_len().max(1)).max(1)
    }

    fn is_output(&self) -> bool {
        matches!(self.source, Source::Output)
    }

    /// Whether lines lie in memory as they are read.
    fn is_contiguous(&self) -> bool {
        let [[columns, column_stride], [channels, channel_stride]] = self.inner;
        (columns == 1 || column_stride == channels) && (channels == 1 || channel_stride == 1)
    }

    /// Whether line follows line without a gap.
    pub(crate) fn is_flat(&self) -> bool {
        let mut size = self.line_len();
        let follows = |&[n, stride]: &[usize; 2]| {
            let follows = n == 1 || stride == size;
            size *= n;
            follows
        };
        self.is_contiguous() && self.outer.iter().rev().all(follows)
    }

    /// Reads lines; `scratch` has at least [`Operand::scratch_len`] elements.
    pub(crate) fn reader<'a>(&'a self, inputs: &Inputs<'a>, scratch: &'a mut [T]) -> Reader<'a, T> {
        let elements: &[T] = match &self.source {
            Source::Output => &[],
            Source::Input(i) => bytemuck::cast_slice(inputs.view(*i).bytes),
            Source::Constant(elements) => elements,
        };
        Reader { operand: self, elements, scratch, held: None }
    }

    fn offset(&self, line: usize) -> usize {
        let mut rest = line;
        let along = |&[n, stride]: &[usize; 2]| {
            let place = rest % n;
            rest /= n;
            place * stride
        };
        self.origin + self.outer.iter().rev().map(along).sum::<usize>()
    }
}

/// Reads an operand's lines.
pub(crate) struct Reader<'a, T> {
    operand: &'a Operand<T>,
    elements: &'a [T],
    scratch: &'a mut [T],
    /// Offset of the line that was stretched into the scratch.
    held: Option<usize>,
}

impl<T: Element> Reader<'_, T> {
    /// Takes lines out of the output, before they are overwritten there.
    fn take(&mut self, lines: &[u8]) {
        if self.operand.is_output() {
            let lines = bytemuck::cast_slice(lines);
            self.scratch[..lines.len()].copy_from_slice(lines);
        }
    }

    /// Line `line`, counted over images and rows.
    pub(crate) fn line(&mut self, line: usize) -> &[T] {
        let at = self.operand.offset(line);
        let len = self.operand.line_len();
        if self.operand.is_output() {
            return &self.scratch[..len];
        }
        if self.operand.is_contiguous() {
            return &self.elements[at..at + len];
        }
        if self.held != Some(at) {
            self.stretch(at);
            self.held = Some(at);
        }
        &self.scratch[..len]
    }

    /// `count` lines of an operand that is flat.
    pub(crate) fn lines(&self, first: usize, count: usize) -> &[T] {
        let (at, len) = (self.operand.offset(first), count * self.operand.line_len());
        if self.operand.is_output() { &self.scratch[..len] } else { &self.elements[at..at + len] }
    }

    fn stretch(&mut self, at: usize) {
        let [[columns, column_stride], [channels, channel_stride]] = self.operand.inner;
        if column_stride == 0 && channel_stride == 1 {
            return repeat(&self.elements[at..at + channels], &mut self.scratch[..columns * channels]);
        }
        for (column, pixel) in self.scratch[..columns * channels].chunks_exact_mut(channels).enumerate() {
            let from = &self.elements[at + column * column_stride..];
            match channel_stride {
                0 => pixel.fill(from[0]),
                1 => pixel.copy_from_slice(&from[..channels]),
                stride => {
                    pixel.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, &from)| *to = from)
                }
            }
        }
    }
}

/// Fills `line` with copies of `pixel`, twice as much at a time.
fn repeat<T: Copy>(pixel: &[T], line: &mut [T]) {
    let mut done = pixel.len().min(line.len());
    line[..done].copy_from_slice(&pixel[..done]);
    while done < line.len() && done > 0 {
        let more = done.min(line.len() - done);
        line.copy_within(..more, done);
        done += more;
    }
}

/// Calls `visit` with the lines of a tile and those of its operands: one by one, or all lines of an image at once where
/// nothing lies between them. `scratch` has room for every operand's [`Operand::scratch_len`].
pub(crate) fn each_line<T: Element + Any, U: bytemuck::Pod, const N: usize>(
    operands: [&Operand<T>; N],
    inputs: &Inputs<'_>,
    tile: &mut Tile<'_>,
    scratch: &mut [T],
    mut visit: impl FnMut([&[T]; N], &mut [U]),
) {
    let mut rest = scratch;
    let mut readers = operands.map(|operand| {
        let (own, others) = std::mem::take(&mut rest).split_at_mut(operand.scratch_len());
        rest = others;
        operand.reader(inputs, own)
    });
    let region = tile.region().clone();
    let flat = operands.iter().all(|operand| operand.is_flat());
    let overwritten = operands.iter().find(|operand| operand.is_output());
    let at_once = overwritten.map_or(usize::MAX, |operand| operand.held_lines());
    for image in region.images.clone() {
        let first = image * tile.grid().rows;
        if flat && let Some(rows) = tile.rows(image) {
            let first = first + region.rows.start;
            let line = (rows.len() / region.rows.len().max(1)).max(1);
            for (i, part) in rows.chunks_mut(at_once.saturating_mul(line)).enumerate() {
                readers.iter_mut().for_each(|reader| reader.take(part));
                let (first, count) = (first + i * at_once.min(region.rows.len()), part.len() / line);
                visit(
                    readers.each_ref().map(|reader| reader.lines(first, count)),
                    bytemuck::cast_slice_mut(part),
                );
            }
            continue;
        }
        for row in region.rows.clone() {
            let y = tile.row(image, row);
            readers.iter_mut().for_each(|reader| reader.take(y));
            let lines = readers.each_mut().map(|reader| reader.line(first + row));
            visit(lines, bytemuck::cast_slice_mut(y));
        }
    }
}
