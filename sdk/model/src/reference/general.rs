//! Operations on other element types. Elements are computed as exact integers or f64 and rounded once, to their type.

use super::moves::pick;
use super::{broadcast_strides, detect, dynamic, reduced_groups, spatial, strides, walk};
use crate::error::Error;
use crate::graph::{BinaryOp, Comparison, GeneralOp, LogicOp, Node, Ranking, ReduceOp};
use crate::numerics::narrow::{Number, collect, number};
use crate::shape::{Shapes, normalize_axis, shape_range};
use crate::tensor::{DType, Data, Tensor};

/// Computes one operation whose output has this type.
pub(super) fn evaluate(
    op: &GeneralOp,
    node: &Node,
    dtype: DType,
    operands: &[&Tensor],
    shapes: &Shapes,
) -> Result<Tensor, Error> {
    let shape = shapes.of(node.output);
    let x = operands[0];
    let element = |i: usize| number(x.data(), i);
    let len = shape.iter().product();
    match op {
        GeneralOp::Cast { saturate } => Tensor::new(shape, collect(dtype, len, *saturate, &element)?),
        GeneralOp::Binary(op) => pairwise(operands, shape, dtype, |a, b| binary(*op, a, b)),
        GeneralOp::Compare(op) => pairwise(operands, shape, dtype, |a, b| truth(compare(*op, a, b))),
        GeneralOp::Logic(op) => pairwise(operands, shape, dtype, |a, b| {
            let (a, b) = (a.int() != 0, b.int() != 0);
            truth(match op {
                LogicOp::And => a && b,
                LogicOp::Or => a || b,
                LogicOp::Xor => a != b,
            })
        }),
        GeneralOp::Not => Tensor::new(shape, collect(dtype, len, true, &|i| truth(element(i).int() == 0))?),
        GeneralOp::Neg => {
            Tensor::new(shape, collect(dtype, len, true, &|i| unary(element(i), |n| -n, |x| -x))?)
        }
        GeneralOp::Abs => {
            Tensor::new(shape, collect(dtype, len, true, &|i| unary(element(i), i128::abs, f64::abs))?)
        }
        GeneralOp::Where => select(operands, shape),
        GeneralOp::Shape { .. } | GeneralOp::Size => shape_value(&node.op, x.shape()),
        GeneralOp::Reduce { op, axes, .. } => reduce(*op, axes, x, dtype, shape),
        GeneralOp::ArgExtreme { ranking, last, .. } => {
            Tensor::new(shape, Data::I64(arg_extreme(*ranking, *last, x)))
        }
        GeneralOp::TopK { ranking, indices, .. } => top_k(*ranking, *indices, x, shape),
        GeneralOp::Fill { .. } => Tensor::new(shape, pick(x.data(), std::iter::repeat_n(0, len))),
        GeneralOp::Range => range(operands, dtype, len),
        GeneralOp::NonZero => non_zero(x, shape),
        GeneralOp::NonMaxSuppression { .. } => {
            let kept = detect::suppress(op, x, operands[1])?;
            Tensor::new(shape, Data::I64(kept.into_flattened()))
        }
        GeneralOp::ArgMaxPool { pool, column_major } => {
            Tensor::new(shape, Data::I64(spatial::arg_max_pool(pool, *column_major, x)?))
        }
        GeneralOp::ConvInteger { window, groups } => {
            Tensor::new(shape, Data::I32(dynamic::conv(window, *groups, operands)?))
        }
        GeneralOp::MatMulInteger => Tensor::new(shape, Data::I32(dynamic::matmul(operands)?)),
        GeneralOp::DynamicQuantize(part) => Tensor::new(shape, dynamic::quantize(*part, x.as_f32()?)),
    }
}

fn truth(holds: bool) -> Number {
    Number::Int(holds.into())
}

fn unary(x: Number, of_int: fn(i128) -> i128, of_real: fn(f64) -> f64) -> Number {
    match x {
        Number::Int(n) => Number::Int(of_int(n)),
        Number::Real(x) => Number::Real(of_real(x)),
    }
}

fn pairwise(
    operands: &[&Tensor],
    shape: &[usize],
    dtype: DType,
    op: impl Fn(Number, Number) -> Number,
) -> Result<Tensor, Error> {
    let (a, b) = (operands[0], operands[1]);
    let mut pairs = Vec::with_capacity(shape.iter().product());
    walk(shape, [&broadcast_strides(a.shape(), shape), &broadcast_strides(b.shape(), shape)], |pair| {
        pairs.push(pair);
    });
    let element = |i: usize| op(number(a.data(), pairs[i][0]), number(b.data(), pairs[i][1]));
    Tensor::new(shape, collect(dtype, pairs.len(), true, &element)?)
}

fn binary(op: BinaryOp, a: Number, b: Number) -> Number {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => Number::Int(integers(op, a, b)),
        (a, b) => Number::Real(reals(op, a.real(), b.real())),
    }
}

/// Wraps around in 128 bits, and then to the type; a division by 0 gives 0.
fn integers(op: BinaryOp, a: i128, b: i128) -> i128 {
    match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul | BinaryOp::PRelu => a.wrapping_mul(b),
        BinaryOp::Div => a.checked_div(b).unwrap_or(0),
        BinaryOp::Min => a.min(b),
        BinaryOp::Max => a.max(b),
        BinaryOp::Remainder => a.checked_rem(b).unwrap_or(0),
        BinaryOp::Mod => {
            let rest = a.checked_rem(b).unwrap_or(0);
            if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
        }
        BinaryOp::Pow => match u32::try_from(b) {
            Ok(exponent) => a.wrapping_pow(exponent),
            // Of negative powers only those of 1 and -1 are integers.
            Err(_) if a == 1 || (a == -1 && b % 2 == 0) => 1,
            Err(_) if a == -1 => -1,
            Err(_) => 0,
        },
    }
}

/// The functions of two floats, in f64; f32 operands use [`super::float::of_two`], which rounds every step to f32.
pub(super) fn reals(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Pow => libm::pow(a, b),
        BinaryOp::PRelu => {
            if a < 0.0 {
                a * b
            } else {
                a
            }
        }
        BinaryOp::Min | BinaryOp::Max if a.is_nan() || b.is_nan() => f64::NAN,
        BinaryOp::Min => a.min(b),
        BinaryOp::Max => a.max(b),
        BinaryOp::Remainder => a % b,
        BinaryOp::Mod => {
            let rest = a % b;
            if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
        }
    }
}

fn compare(op: Comparison, a: Number, b: Number) -> bool {
    let order = match (a, b) {
        (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
        (a, b) => a.real().partial_cmp(&b.real()),
    };
    // NaN compares as nothing.
    order.is_some_and(|order| match op {
        Comparison::Equal => order.is_eq(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
    })
}

/// Elements of the second operand where the first is true, else of the third.
fn select(operands: &[&Tensor], shape: &[usize]) -> Result<Tensor, Error> {
    let [condition, a, b] = operands else {
        return Err(Error::invalid_graph("Where", "lacks an operand"));
    };
    let both = super::moves::joined(a.data(), b.data())?;
    let truths = condition.as_bools()?;
    let mut sources = Vec::with_capacity(shape.iter().product());
    let own = [condition, a, b].map(|tensor| broadcast_strides(tensor.shape(), shape));
    walk(shape, [&own[0], &own[1], &own[2]], |[c, i, j]| {
        sources.push(if truths[c] != 0 { i } else { a.len() + j });
    });
    Tensor::new(shape, pick(&both, sources.into_iter()))
}

/// The value of Shape or Size of a tensor of this shape.
///
/// # Errors
/// [`Error::InvalidGraph`] for another operation.
pub(crate) fn shape_value(op: &crate::graph::Op, of: &[usize]) -> Result<Tensor, Error> {
    let lengths = |range: std::ops::Range<usize>| of[range].iter().map(|&n| n as i64).collect::<Vec<_>>();
    match op {
        crate::graph::Op::General(GeneralOp::Shape { start, end }) => {
            let lengths = lengths(shape_range(of.len(), *start, *end));
            Tensor::new([lengths.len()], Data::I64(lengths))
        }
        crate::graph::Op::General(GeneralOp::Size) => {
            Tensor::new([], Data::I64(vec![of.iter().product::<usize>() as i64]))
        }
        other => Err(Error::invalid_graph(other.name(), "does not tell of a shape")),
    }
}

fn reduce(op: ReduceOp, axes: &[i64], x: &Tensor, dtype: DType, shape: &[usize]) -> Result<Tensor, Error> {
    let mut results: Vec<Number> = Vec::new();
    reduced_groups(x.shape(), axes, |group| {
        let values = group.iter().map(|&i| number(x.data(), i).int());
        let n = group.len() as i128;
        results.push(Number::Int(match op {
            ReduceOp::Sum => values.fold(0, i128::wrapping_add),
            ReduceOp::Mean => values.fold(0, i128::wrapping_add) / n.max(1),
            ReduceOp::Prod => values.fold(1, i128::wrapping_mul),
            ReduceOp::Min => values.min().unwrap_or(0),
            ReduceOp::Max => values.max().unwrap_or(0),
            ReduceOp::L1 => values.fold(0, |sum, x| sum.wrapping_add(x.abs())),
            // The others are defined for floats alone; a graph with them is refused.
            ReduceOp::SumSquare | ReduceOp::L2 | ReduceOp::LogSum | ReduceOp::LogSumExp => {
                values.fold(0, |sum, x| sum.wrapping_add(x.wrapping_mul(x)))
            }
        }));
    });
    Tensor::new(shape, collect(dtype, results.len(), true, &|i| results[i])?)
}

/// Every line along an axis: its offsets in order.
fn lines(shape: &[usize], axis: i64) -> (usize, usize, usize, usize) {
    let axis = normalize_axis(axis, shape.len()).unwrap_or(0);
    let own = strides(shape);
    let outer: usize = shape[..axis].iter().product();
    (outer, shape[axis], own[axis], shape[axis] * own[axis])
}

fn arg_extreme(ranking: Ranking, last: bool, x: &Tensor) -> Vec<i64> {
    let (outer, n, inner, block) = lines(x.shape(), ranking.axis);
    let better = if ranking.largest { Comparison::Greater } else { Comparison::Less };
    let mut indices = Vec::with_capacity(outer * inner);
    for start in (0..outer).flat_map(|o| (0..inner).map(move |i| o * block + i)) {
        let at = |i: usize| number(x.data(), start + i * inner);
        let mut best = 0;
        for i in 1..n {
            let (fresh, old) = (at(i), at(best));
            let nan = old.real().is_nan() && !fresh.real().is_nan();
            if nan || compare(better, fresh, old) || (last && compare(Comparison::Equal, fresh, old)) {
                best = i;
            }
        }
        indices.push(best as i64);
    }
    indices
}

fn top_k(ranking: Ranking, indices: bool, x: &Tensor, shape: &[usize]) -> Result<Tensor, Error> {
    let (outer, n, inner, block) = lines(x.shape(), ranking.axis);
    let (_, k, _, out_block) = lines(shape, ranking.axis);
    let mut sources = vec![0; shape.iter().product()];
    let mut places = vec![0; sources.len()];
    for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
        let start = o * block + i;
        // Adding 0 makes one zero of both.
        let key = |place: usize| number(x.data(), start + place * inner).real() + 0.0;
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| {
            let ascending = key(a).total_cmp(&key(b));
            if ranking.largest { ascending.reverse() } else { ascending }
        });
        for (rank, &place) in order.iter().take(k).enumerate() {
            let at = o * out_block + rank * inner + i;
            sources[at] = start + place * inner;
            places[at] = place as i64;
        }
    }
    let data = if indices { Data::I64(places) } else { pick(x.data(), sources.into_iter()) };
    Tensor::new(shape, data)
}

fn range(operands: &[&Tensor], dtype: DType, len: usize) -> Result<Tensor, Error> {
    let (start, delta) = (number(operands[0].data(), 0), number(operands[2].data(), 0));
    let at = |i: usize| binary(BinaryOp::Add, start, binary(BinaryOp::Mul, Number::Int(i as i128), delta));
    Tensor::new([len], collect(dtype, len, true, &at)?)
}

fn non_zero(x: &Tensor, shape: &[usize]) -> Result<Tensor, Error> {
    let own = strides(x.shape());
    let found: Vec<usize> = (0..x.len()).filter(|&i| number(x.data(), i).real() != 0.0).collect();
    let indices = (0..x.shape().len())
        .flat_map(|axis| found.iter().map(|&i| (i / own[axis] % x.shape()[axis]) as i64).collect::<Vec<_>>())
        .collect();
    Tensor::new(shape, Data::I64(indices))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_divide_towards_zero_and_never_trap() {
        assert_eq!(integers(BinaryOp::Div, -7, 2), -3);
        assert_eq!(integers(BinaryOp::Div, 7, 0), 0);
        assert_eq!(integers(BinaryOp::Mod, -7, 3), 2);
        assert_eq!(integers(BinaryOp::Remainder, -7, 3), -1);
        assert_eq!(integers(BinaryOp::Pow, 2, 10), 1024);
        assert_eq!(integers(BinaryOp::Pow, 2, -1), 0);
        assert_eq!(integers(BinaryOp::Pow, -1, -3), -1);
        let bytes = [Tensor::u8([1], vec![200]).unwrap(), Tensor::u8([1], vec![100]).unwrap()];
        let sum = pairwise(&[&bytes[0], &bytes[1]], &[1], DType::U8, |a, b| binary(BinaryOp::Add, a, b));
        assert_eq!(sum.unwrap().to_bytes(), [44]);
    }

    #[test]
    fn the_first_of_equal_elements_ranks_first() {
        let x = Tensor::f32([2, 3], vec![1.0, 3.0, 3.0, -0.0, 0.0, f32::NAN]).unwrap();
        let largest = Ranking { axis: 1, largest: true };
        assert_eq!(arg_extreme(largest, false, &x), [1, 0]);
        assert_eq!(arg_extreme(largest, true, &x), [2, 1]);
        let x = Tensor::f32([2, 2], vec![1.0, 5.0, 1.0, 7.0]).unwrap();
        let rows = Ranking { axis: 0, largest: true };
        assert_eq!(top_k(rows, true, &x, &[1, 2]).unwrap().as_i64().unwrap(), [0, 1]);
        assert_eq!(top_k(rows, false, &x, &[1, 2]).unwrap().as_f32().unwrap(), [1.0, 7.0]);
        let smallest = Ranking { axis: 1, largest: false };
        assert_eq!(top_k(smallest, true, &x, &[2, 2]).unwrap().as_i64().unwrap(), [0, 1, 0, 1]);
    }

    #[test]
    fn comparisons_with_nan_fail_and_large_integers_are_exact() {
        assert!(!compare(Comparison::Equal, Number::Real(f64::NAN), Number::Real(f64::NAN)));
        assert!(compare(
            Comparison::Less,
            Number::Int(i128::from(u64::MAX) - 1),
            Number::Int(u64::MAX.into())
        ));
    }
}
