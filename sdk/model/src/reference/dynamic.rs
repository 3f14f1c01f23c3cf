//! Integer products whose zero points are only known when the model runs, and the quantization that finds them.

use super::{matmul_lines, spatial};
use crate::error::Error;
use crate::graph::{DynamicPart, WindowNd};
use crate::numerics;
use crate::tensor::{DType, Data, Tensor};

/// ONNX's ConvInteger: x, weights, their zero points.
pub(super) fn conv(window: &WindowNd, groups: usize, operands: &[&Tensor]) -> Result<Vec<i32>, Error> {
    let [x, w, ..] = operands else { return Err(missing("ConvInteger")) };
    let per_channel = w.len() / w.shape()[0].max(1);
    let xs = centred(x, operands[2], |_| 0)?;
    let ws = centred(w, operands[3], |i| i / per_channel.max(1))?;
    spatial::integer_sums(window, groups, [x.shape(), w.shape()], [&xs, &ws])
}

/// ONNX's MatMulInteger: a, b, their zero points.
pub(super) fn matmul(operands: &[&Tensor]) -> Result<Vec<i32>, Error> {
    let [a, b, ..] = operands else { return Err(missing("MatMulInteger")) };
    let inner = a.shape().last().copied().unwrap_or(1).max(1);
    let rows = a.shape().iter().rev().nth(1).copied().unwrap_or(1).max(1);
    let columns = b.shape().last().copied().unwrap_or(1).max(1);
    let xs = centred(a, operands[2], |i| i / inner % rows)?;
    let ws = centred(b, operands[3], |i| i % columns)?;
    let mut y = Vec::new();
    matmul_lines(a.shape(), b.shape(), |row, column| {
        let products = row.zip(column).map(|(i, j)| xs[i] * ws[j]); // of at most 9 bits each
        y.push(products.fold(0, i32::wrapping_add));
    })
    .ok_or_else(|| missing("MatMulInteger"))?;
    Ok(y)
}

/// Elements with their zero point taken off: the only one, or that of the line which `line` says.
fn centred(x: &Tensor, zeros: &Tensor, line: impl Fn(usize) -> usize) -> Result<Vec<i32>, Error> {
    let zeros = zeros.widened()?;
    let zero = |i: usize| if zeros.len() == 1 { zeros[0] } else { zeros[line(i)] };
    Ok(x.widened()?.into_iter().enumerate().map(|(i, q)| q - zero(i)).collect())
}

/// ONNX's DynamicQuantizeLinear, in f32: quantization by the range of x, widened to hold 0. NaN is no part of it.
pub(super) fn quantize(part: DynamicPart, x: &[f32]) -> Data {
    let min = x.iter().copied().fold(0.0, f32::min);
    let max = x.iter().copied().fold(0.0, f32::max);
    let quant = numerics::dynamic_quant([min, max]);
    match part {
        DynamicPart::Scale => Data::F32(vec![quant.scale]),
        DynamicPart::ZeroPoint => crate::graph::eight_bit(DType::U8, std::iter::once(quant.zero_point)),
        DynamicPart::Integers => {
            crate::graph::eight_bit(DType::U8, x.iter().map(|&x| numerics::quantize(x, quant, DType::U8)))
        }
    }
}

fn missing(op: &str) -> Error {
    Error::invalid_graph(op, "lacks an operand")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantized(x: &[f32]) -> (f32, u8, Vec<u8>) {
        let [scale, zero, ints] =
            [DynamicPart::Scale, DynamicPart::ZeroPoint, DynamicPart::Integers].map(|part| quantize(part, x));
        match (scale, zero, ints) {
            (Data::F32(scale), Data::U8(zero), Data::U8(ints)) => (scale[0], zero[0], ints),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_range_always_holds_zero() {
        assert_eq!(quantized(&[1.0, 255.0]), (1.0, 0, vec![1, 255]));
        assert_eq!(quantized(&[-255.0, -1.0]), (1.0, 255, vec![0, 254]));
        assert_eq!(quantized(&[0.0, 0.0]), (1.0, 0, vec![0, 0]));
        assert_eq!(quantized(&[]), (1.0, 0, vec![]));
    }

    #[test]
    fn no_value_makes_a_scale_of_zero_nan_or_infinity() {
        for x in [[f32::INFINITY, -1.0], [f32::MAX, f32::MIN], [f32::NAN, 2.0], [1e-45, -1e-45]] {
            let (scale, ..) = quantized(&x);
            assert!(scale.is_normal(), "{x:?}: {scale:e}");
        }
    }

    #[test]
    fn each_line_has_its_own_zero_point() {
        let of = |shape: [usize; 2], data: Vec<u8>| Tensor::u8(shape, data).unwrap();
        let zeros = |data: Vec<u8>| Tensor::u8([data.len()], data).unwrap();
        let (a, b) = (of([2, 2], vec![1, 2, 3, 4]), of([2, 2], vec![5, 6, 7, 8]));
        let y = matmul(&[&a, &b, &zeros(vec![1, 2]), &zeros(vec![5, 6])]).unwrap();
        // [[0, 1], [1, 2]] times [[0, 0], [2, 2]]
        assert_eq!(y, [2, 2, 4, 4]);
    }
}
