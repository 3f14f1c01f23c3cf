//! Operations that run on the host alone: types, numbers of inputs, and attributes that shapes rely on.

use super::{MAX_EXTENT, NodeCheck};
use crate::error::Error;
use crate::graph::{
    AutoPad, BinaryOp, ConvTranspose, Coordinates, DynamicPart, FloatOp, GeneralOp, Interpolation, Ints,
    MoveOp, PoolNd, Recurrent, ReduceOp, Resize, State, Target, WindowNd,
};
use crate::limits::{MAX_RANK, MAX_TENSOR_BYTES};
use crate::tensor::DType;

/// Most hidden units of a recurrent layer.
const MAX_HIDDEN: usize = 1 << 20;

/// Two 8-bit operands, zero points of their types, sums of 32 bits.
fn integer_product(types: &[DType], output: DType) -> bool {
    let eight_bits = types.iter().all(|dtype| dtype.range().is_some());
    eight_bits && types[0] == types[2] && types[1] == types[3] && output == DType::I32
}

impl NodeCheck<'_> {
    pub(super) fn hosted_float(&self, op: &FloatOp) -> Result<(), Error> {
        match op {
            FloatOp::ScaleShift | FloatOp::InstanceNorm { .. } => self.arity(3..=3),
            FloatOp::LayerNorm { .. } => self.arity(2..=3),
            FloatOp::LogSoftmax { .. } | FloatOp::GlobalMaxPool => self.arity(1..=1),
            FloatOp::ConvNd { window, groups } => {
                self.arity(2..=3)?;
                self.require(*groups > 0, "has no group")?;
                self.window_nd(window)
            }
            FloatOp::ConvTranspose(conv) => self.conv_transpose(conv),
            FloatOp::PoolNd(pool) => self.pool_nd(pool),
            FloatOp::Resize(resize) => self.resize(resize),
            FloatOp::Lrn { size, .. } => {
                self.arity(1..=1)?;
                self.require((1..=MAX_EXTENT).contains(size), "sums an impossible number of channels")
            }
            FloatOp::Lstm(layer) => self.recurrent(layer, 7),
            FloatOp::Gru(layer) => self.recurrent(layer, 5),
            FloatOp::RoiAlign(roi) => {
                self.arity(3..=3)?;
                let sides = roi.output.iter().all(|side| (1..=MAX_EXTENT).contains(side));
                self.require(sides && roi.sampling <= MAX_EXTENT, "has impossible bins")
            }
            _ => Ok(()),
        }
    }

    /// Operands of an f32 operation that are not f32: indices and sizes.
    pub(super) fn index_operands(&self, op: &FloatOp) -> std::ops::Range<usize> {
        match op {
            FloatOp::RoiAlign(_) => 2..3,
            FloatOp::Resize(Resize { target: Target::Sizes(Ints::Input(i), _), .. }) => {
                *i..i.saturating_add(1)
            }
            _ => 0..0,
        }
    }

    pub(super) fn moved(&self, op: &MoveOp) -> Result<(), Error> {
        let mut least = op.carried();
        match op {
            MoveOp::Pad { pads, axes, .. } => {
                self.ints(pads, 2 * MAX_RANK)?;
                self.optional_axes(axes.as_deref())?;
            }
            MoveOp::Slice { starts, ends, axes, steps } => {
                self.ints(starts, MAX_RANK)?;
                self.ints(ends, MAX_RANK)?;
                self.optional_axes(axes.as_deref())?;
                self.optional_axes(steps.as_deref())?;
            }
            MoveOp::Part { index, count, .. } => {
                self.require(index < count, "takes a part that there is not")?
            }
            MoveOp::Gather { .. } | MoveOp::GatherElements { .. } | MoveOp::GatherNd { .. } => {
                least = 2;
                self.indices(1)?;
            }
            MoveOp::Expand { shape: ints } | MoveOp::Tile { repeats: ints } => self.ints(ints, MAX_RANK)?,
            MoveOp::Reshape { .. } => {
                least = 2;
                self.ints(&Ints::Input(1), MAX_RANK)?;
            }
            MoveOp::DepthToSpace { block, .. } | MoveOp::SpaceToDepth { block } => {
                self.require((1..=MAX_EXTENT).contains(block), "has impossible blocks")?;
            }
            MoveOp::Resize(resize) => {
                self.resize(resize)?;
                let nearest = matches!(resize.interpolation, Interpolation::Nearest(_));
                self.require(
                    nearest && resize.coordinates != Coordinates::Crop,
                    "does more than select elements",
                )?;
            }
        }
        self.arity(least..=5)?;
        let output = self.graph.value(self.node.output);
        let kept = self.node.inputs[..op.carried()].iter().all(|&id| {
            let input = self.graph.value(id);
            input.dtype == output.dtype && input.quant == output.quant
        });
        self.require(kept, "must keep type and quantization")
    }

    pub(super) fn general(&self, op: &GeneralOp) -> Result<(), Error> {
        // These compute with the integers as they are; a quantization of the output is how later nodes read it.
        let output = self.graph.value(self.node.output);
        let inputs = match op {
            GeneralOp::Binary(_) | GeneralOp::Compare(_) | GeneralOp::Logic(_) => 2..=2,
            GeneralOp::Where | GeneralOp::Range => 3..=3,
            GeneralOp::NonMaxSuppression { .. } => 2..=2,
            GeneralOp::ConvInteger { .. } | GeneralOp::MatMulInteger => 4..=4,
            GeneralOp::TopK { k, .. } => {
                self.ints(k, 1)?;
                1..=2
            }
            GeneralOp::Fill { shape } => {
                self.ints(shape, MAX_RANK)?;
                1..=2
            }
            _ => 1..=1,
        };
        self.arity(inputs)?;
        let types: Vec<DType> = self.node.inputs.iter().map(|&id| self.graph.value(id).dtype).collect();
        let alike = types.windows(2).all(|pair| pair[0] == pair[1]);
        let (x, y) = (types[0], output.dtype);
        let fits = match op {
            GeneralOp::Cast { .. } => true,
            GeneralOp::Binary(BinaryOp::PRelu) => false,
            GeneralOp::Binary(_) | GeneralOp::Range => alike && x == y && x != DType::Bool,
            GeneralOp::Compare(_) => alike && y == DType::Bool,
            GeneralOp::Logic(_) | GeneralOp::Not => alike && x == DType::Bool && y == DType::Bool,
            GeneralOp::Neg | GeneralOp::Abs => x == y && x != DType::Bool,
            GeneralOp::Where => x == DType::Bool && types[1] == types[2] && types[1] == y,
            GeneralOp::Shape { .. } | GeneralOp::Size | GeneralOp::NonZero => y == DType::I64,
            GeneralOp::Reduce { op, axes, .. } => {
                self.rank(axes.len())?;
                let of_floats = [ReduceOp::L2, ReduceOp::LogSum, ReduceOp::LogSumExp].contains(op);
                x == y && !x.is_float() && !of_floats
            }
            GeneralOp::ArgExtreme { .. } => y == DType::I64,
            GeneralOp::TopK { indices, .. } => y == if *indices { DType::I64 } else { x },
            GeneralOp::Fill { .. } => x == y,
            GeneralOp::NonMaxSuppression { .. } => alike && x == DType::F32 && y == DType::I64,
            GeneralOp::ArgMaxPool { pool, .. } => {
                self.pool_nd(pool)?;
                x == DType::F32 && y == DType::I64
            }
            GeneralOp::ConvInteger { window, groups } => {
                self.window_nd(window)?;
                self.require(*groups > 0, "has no group")?;
                integer_product(&types, y)
            }
            GeneralOp::MatMulInteger => integer_product(&types, y),
            GeneralOp::DynamicQuantize(DynamicPart::Scale) => x == DType::F32 && y == DType::F32,
            GeneralOp::DynamicQuantize(_) => x == DType::F32 && y == DType::U8,
        };
        self.require(fits, &format!("takes no {types:?} to {y}"))
    }

    fn conv_transpose(&self, conv: &ConvTranspose) -> Result<(), Error> {
        self.arity(2..=3)?;
        self.require(conv.groups > 0, "has no group")?;
        self.window_nd(&conv.window)?;
        let n = conv.window.kernel.len();
        let extents =
            |sizes: &[usize]| sizes.len() == n && sizes.iter().all(|&size| size <= MAX_TENSOR_BYTES);
        let fits = extents(&conv.output_padding) && conv.output_size.as_deref().is_none_or(extents);
        self.require(fits, "has an impossible output size")
    }

    fn pool_nd(&self, pool: &PoolNd) -> Result<(), Error> {
        self.arity(1..=1)?;
        self.window_nd(&pool.window)
    }

    fn window_nd(&self, window: &WindowNd) -> Result<(), Error> {
        let n = window.kernel.len();
        let positive =
            |sizes: &[usize]| sizes.len() == n && sizes.iter().all(|s| (1..=MAX_EXTENT).contains(s));
        let pads = window.auto_pad != AutoPad::Explicit
            || (window.pads.len() == 2 * n && window.pads.iter().all(|&pad| pad <= MAX_EXTENT));
        let area = window.kernel.iter().try_fold(1usize, |n, &k| n.checked_mul(k));
        let fits = (1..=3).contains(&n)
            && positive(&window.kernel)
            && positive(&window.strides)
            && positive(&window.dilations)
            && area.is_some_and(|area| area <= MAX_TENSOR_BYTES);
        self.require(fits && pads, "has an impossible window")
    }

    fn resize(&self, resize: &Resize) -> Result<(), Error> {
        match &resize.target {
            Target::Scales(scales) => {
                self.arity(1..=1)?;
                self.rank(scales.len())?;
            }
            Target::ScalesInput => {
                self.arity(2..=2)?;
                self.require(
                    self.graph.value(self.input(1)).dtype == DType::F32,
                    "needs scales of type f32",
                )?;
            }
            Target::Sizes(sizes, _) => {
                self.arity(1..=2)?;
                self.ints(sizes, MAX_RANK)?;
            }
        }
        self.optional_axes(resize.axes.as_deref())?;
        self.require(resize.region.len() <= 2 * MAX_RANK, "has a region of too many axes")
    }

    fn recurrent(&self, layer: &Recurrent, inputs: usize) -> Result<(), Error> {
        self.arity(inputs..=inputs)?;
        let state = inputs == 7 || layer.state != State::Cell;
        self.require(state && (1..=MAX_HIDDEN).contains(&layer.hidden), "has impossible hidden units")
    }

    fn optional_axes(&self, axes: Option<&[i64]>) -> Result<(), Error> {
        self.rank(axes.map_or(0, <[i64]>::len))
    }

    /// Integers in the graph, or an i64 input.
    fn ints(&self, ints: &Ints, most: usize) -> Result<(), Error> {
        match ints {
            Ints::Given(ints) => self.require(ints.len() <= most, "has too many integers"),
            Ints::Input(i) => {
                let dtype = self.node.inputs.get(*i).map(|&id| self.graph.value(id).dtype);
                self.require(dtype == Some(DType::I64), "needs an i64 input for its shape")
            }
        }
    }

    fn indices(&self, i: usize) -> Result<(), Error> {
        let dtype = self.node.inputs.get(i).map(|&id| self.graph.value(id).dtype);
        self.require(matches!(dtype, Some(DType::I64 | DType::I32)), "needs indices of type i64 or i32")
    }
}
