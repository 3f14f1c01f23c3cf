//! Casts, comparisons, shapes and rankings.

use crate::error::Error;
use crate::graph::{BinaryOp, Comparison, FloatOp, GeneralOp, LogicOp, Op, Ranking, ReduceOp};
use crate::import::lowering::Lowered;
use crate::onnx;
use crate::tensor::{DType, Tensor};

pub(super) fn cast(node: &mut Lowered) -> Result<(), Error> {
    let x = node.input(0)?;
    let code = node.attributes.int("to", 0)?;
    let to = i32::try_from(code).ok().and_then(onnx::dtype).ok_or_else(|| {
        let name = i32::try_from(code).map_or_else(|_| code.to_string(), onnx::type_name);
        node.unsupported(format!("a cast to {name}"), "numbers and truth values")
    })?;
    let saturate = node.attributes.flag("saturate", true)?;
    if to == node.dtype(x) {
        return node.alias(x);
    }
    node.emit(Op::General(GeneralOp::Cast { saturate }), vec![x], to, None)
}

/// Min, Max and Sum of any number of tensors: two at a time, from the left.
pub(super) fn variadic(node: &mut Lowered) -> Result<(), Error> {
    let op = match node.node.op_type.as_str() {
        "Min" => BinaryOp::Min,
        "Max" => BinaryOp::Max,
        _ => BinaryOp::Add,
    };
    let inputs = (0..node.node.input.len()).map(|i| node.input(i)).collect::<Result<Vec<_>, _>>()?;
    let Some((&first, rest)) = inputs.split_first() else {
        return Err(node.malformed("has no inputs"));
    };
    let Some((&last, between)) = rest.split_last() else { return node.alias(first) };
    let mut joined = first;
    for &x in between {
        let dtype = node.dtype(joined);
        let (op, dtype) = pairwise(node, op, [joined, x], dtype)?;
        joined = node.step(op, vec![joined, x], dtype);
    }
    binary_of(node, op, [joined, last])
}

/// Lowers the node to a function of two tensors of one type.
pub(super) fn binary_of(node: &mut Lowered, op: BinaryOp, inputs: [crate::ValueId; 2]) -> Result<(), Error> {
    let dtype = node.dtype(inputs[0]);
    let (op, dtype) = pairwise(node, op, inputs, dtype)?;
    node.emit(op, inputs.to_vec(), dtype, None)
}

fn pairwise(
    node: &Lowered,
    op: BinaryOp,
    inputs: [crate::ValueId; 2],
    dtype: DType,
) -> Result<(Op, DType), Error> {
    let [a, b] = inputs.map(|id| node.dtype(id));
    if a != b {
        return Err(node.malformed(format!("its inputs have types {a} and {b}")));
    }
    match (dtype, op) {
        (DType::F32, op) => Ok((Op::Float(FloatOp::Binary(op)), dtype)),
        (DType::Bool, _) | (_, BinaryOp::PRelu) => {
            Err(node.unsupported(format!("an input has type {a}"), "f32 tensors"))
        }
        (_, op) => Ok((Op::General(GeneralOp::Binary(op)), dtype)),
    }
}

/// The exponent may be of another type than the base.
pub(super) fn pow(node: &mut Lowered) -> Result<(), Error> {
    let (x, mut exponent) = (node.input(0)?, node.input(1)?);
    let dtype = node.dtype(x);
    if node.dtype(exponent) != dtype {
        exponent = node.step(Op::General(GeneralOp::Cast { saturate: true }), vec![exponent], dtype);
    }
    binary_of(node, BinaryOp::Pow, [x, exponent])
}

pub(super) fn modulo(node: &mut Lowered) -> Result<(), Error> {
    let like_c = node.attributes.flag("fmod", false)?;
    let inputs = [node.input(0)?, node.input(1)?];
    if node.dtype(inputs[0]).is_float() && !like_c {
        return Err(node.malformed("floats need fmod"));
    }
    binary_of(node, if like_c { BinaryOp::Remainder } else { BinaryOp::Mod }, inputs)
}

/// Comparisons and logic.
pub(super) fn truth(node: &mut Lowered) -> Result<(), Error> {
    let op = match node.node.op_type.as_str() {
        "Equal" => GeneralOp::Compare(Comparison::Equal),
        "Greater" => GeneralOp::Compare(Comparison::Greater),
        "GreaterOrEqual" => GeneralOp::Compare(Comparison::GreaterOrEqual),
        "Less" => GeneralOp::Compare(Comparison::Less),
        "LessOrEqual" => GeneralOp::Compare(Comparison::LessOrEqual),
        "And" => GeneralOp::Logic(LogicOp::And),
        "Or" => GeneralOp::Logic(LogicOp::Or),
        "Xor" => GeneralOp::Logic(LogicOp::Xor),
        _ => GeneralOp::Not,
    };
    let mut inputs = vec![node.input(0)?];
    if op != GeneralOp::Not {
        inputs.push(node.input(1)?);
    }
    node.emit(Op::General(op), inputs, DType::Bool, None)
}

pub(super) fn select(node: &mut Lowered) -> Result<(), Error> {
    let inputs = vec![node.input(0)?, node.input(1)?, node.input(2)?];
    let [condition, a, b] = [0, 1, 2].map(|i| node.dtype(inputs[i]));
    if condition != DType::Bool || a != b {
        return Err(node.malformed(format!("its inputs have types {condition}, {a} and {b}")));
    }
    node.emit(Op::General(GeneralOp::Where), inputs, a, None)
}

pub(super) fn shape(node: &mut Lowered) -> Result<(), Error> {
    let start = node.attributes.int("start", 0)?;
    let end = node.attributes.has("end").then(|| node.attributes.int("end", 0)).transpose()?;
    let x = node.input(0)?;
    node.emit(Op::General(GeneralOp::Shape { start, end }), vec![x], DType::I64, None)
}

pub(super) fn size(node: &mut Lowered) -> Result<(), Error> {
    let x = node.input(0)?;
    node.emit(Op::General(GeneralOp::Size), vec![x], DType::I64, None)
}

pub(super) fn constant_of_shape(node: &mut Lowered) -> Result<(), Error> {
    let value = match node.attributes.tensor("value")? {
        Some(proto) => onnx::to_tensor(proto)?,
        None => Tensor::f32([1], vec![0.0])?,
    };
    if value.len() != 1 {
        return Err(node.malformed(format!("a value of {} elements", value.len())));
    }
    let dtype = value.dtype();
    let mut inputs = vec![node.add_constant("value", value)];
    let shape = node.ints_operand(0, &mut inputs)?.ok_or_else(|| node.malformed("input 0 is missing"))?;
    node.emit(Op::General(GeneralOp::Fill { shape }), inputs, dtype, None)
}

pub(super) fn range(node: &mut Lowered) -> Result<(), Error> {
    let inputs = vec![node.input(0)?, node.input(1)?, node.input(2)?];
    let dtype = node.dtype(inputs[0]);
    node.emit(Op::General(GeneralOp::Range), inputs, dtype, None)
}

pub(super) fn arg_extreme(node: &mut Lowered) -> Result<(), Error> {
    let ranking = Ranking { axis: node.attributes.int("axis", 0)?, largest: node.node.op_type == "ArgMax" };
    let keep_dims = node.attributes.flag("keepdims", true)?;
    let last = node.attributes.flag("select_last_index", false)?;
    let x = node.input(0)?;
    node.emit(Op::General(GeneralOp::ArgExtreme { ranking, keep_dims, last }), vec![x], DType::I64, None)
}

/// `k` is an attribute before opset 10 and an input since. The elements are always in order, sorted or not asked for.
pub(super) fn top_k(node: &mut Lowered) -> Result<(), Error> {
    let largest = node.attributes.flag("largest", true)?;
    node.attributes.ignore("sorted");
    let ranking = Ranking { axis: node.attributes.int("axis", -1)?, largest };
    let mut inputs = vec![node.input(0)?];
    let k = if node.opset() < 10 {
        crate::graph::Ints::Given(vec![node.attributes.int("k", 0)?])
    } else {
        node.ints_operand(1, &mut inputs)?.ok_or_else(|| node.malformed("input 1 is missing"))?
    };
    let dtype = node.dtype(inputs[0]);
    for (i, indices) in [false, true].into_iter().enumerate() {
        let op = Op::General(GeneralOp::TopK { ranking, k: k.clone(), indices });
        let dtype = if indices { DType::I64 } else { dtype };
        node.write(i, op, inputs.clone(), dtype, None)?;
    }
    node.finish()
}

pub(super) fn non_zero(node: &mut Lowered) -> Result<(), Error> {
    let x = node.input(0)?;
    node.emit(Op::General(GeneralOp::NonZero), vec![x], DType::I64, None)
}

/// Axes are an attribute in older opsets (ReduceSum before 13, the others before 18) and an input since.
pub(super) fn reduce(node: &mut Lowered) -> Result<(), Error> {
    let op = match node.node.op_type.as_str() {
        "ReduceMax" => ReduceOp::Max,
        "ReduceMean" => ReduceOp::Mean,
        "ReduceMin" => ReduceOp::Min,
        "ReduceProd" => ReduceOp::Prod,
        "ReduceL1" => ReduceOp::L1,
        "ReduceL2" => ReduceOp::L2,
        "ReduceSumSquare" => ReduceOp::SumSquare,
        "ReduceLogSum" => ReduceOp::LogSum,
        "ReduceLogSumExp" => ReduceOp::LogSumExp,
        _ => ReduceOp::Sum,
    };
    let x = node.input(0)?;
    let axes = node.int_list(1, "axes")?.unwrap_or_default();
    let keep_dims = node.attributes.flag("keepdims", true)?;
    let noop_with_empty_axes = node.attributes.flag("noop_with_empty_axes", false)?;
    if axes.is_empty() && noop_with_empty_axes {
        return node.alias(x);
    }
    let dtype = node.dtype(x);
    let of_floats = [ReduceOp::L2, ReduceOp::LogSum, ReduceOp::LogSumExp].contains(&op);
    if dtype == DType::F32 || dtype.is_float() || of_floats {
        return node.emit_float(FloatOp::Reduce { op, axes, keep_dims }, vec![x]);
    }
    node.emit(Op::General(GeneralOp::Reduce { op, axes, keep_dims }), vec![x], dtype, None)
}

/// Clip of what is not f32, or to bounds that are not constants: Max, then Min.
pub(super) fn clip(node: &mut Lowered) -> Result<(), Error> {
    let mut x = node.input(0)?;
    let bounds = [node.optional(1)?, node.optional(2)?].into_iter().zip([BinaryOp::Max, BinaryOp::Min]);
    let bounds: Vec<_> = bounds.filter_map(|(bound, op)| Some((bound?, op))).collect();
    let Some((&(last, last_op), before)) = bounds.split_last() else { return node.alias(x) };
    for &(bound, op) in before {
        let dtype = node.dtype(x);
        let (op, dtype) = pairwise(node, op, [x, bound], dtype)?;
        x = node.step(op, vec![x, bound], dtype);
    }
    binary_of(node, last_op, [x, last])
}

/// Neg and Abs of integers; `None` for other functions.
pub(super) fn of_integers(node: &Lowered, dtype: DType) -> Option<Op> {
    match node.node.op_type.as_str() {
        "Neg" if dtype != DType::Bool => Some(Op::General(GeneralOp::Neg)),
        "Abs" if dtype != DType::Bool => Some(Op::General(GeneralOp::Abs)),
        _ => None,
    }
}
