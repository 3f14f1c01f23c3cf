//! Operations that move or select elements without changing them; one body for every element type.

use super::taps;
use crate::error::Error;
use crate::graph::Pool;
use crate::shape::{normalize_axis, output_extent};
use crate::tensor::{Data, Tensor};

/// Runs `$body` on the elements of `$data`, whatever their type, and wraps the result in the same variant. `$lowest`
/// is the type's smallest value.
macro_rules! each_type {
    ($data:expr, $elements:ident, $lowest:ident => $body:expr) => {
        match $data {
            Data::U8($elements) => Data::U8(each_type!(@with $lowest, u8::MIN, $body)),
            Data::I8($elements) => Data::I8(each_type!(@with $lowest, i8::MIN, $body)),
            Data::I32($elements) => Data::I32(each_type!(@with $lowest, i32::MIN, $body)),
            Data::I64($elements) => Data::I64(each_type!(@with $lowest, i64::MIN, $body)),
            Data::F32($elements) => Data::F32(each_type!(@with $lowest, f32::NEG_INFINITY, $body)),
            Data::Coded(coded) => {
                return Err(Error::DTypeMismatch {
                    what: "a pooled tensor".into(),
                    expected: "u8, i8, i32, i64 or f32".into(),
                    found: coded.dtype(),
                });
            }
        }
    };
    (@with $lowest:ident, $value:expr, $body:expr) => {{
        let $lowest = $value;
        $body
    }};
}

/// Joins along one axis: for each outer index, one run of every input in turn.
pub(super) fn concat(axis: i64, operands: &[&Tensor], shape: &[usize]) -> Result<Tensor, Error> {
    let axis = normalize_axis(axis, shape.len()).unwrap_or(0);
    let outer: usize = shape[..axis].iter().product();
    let run = |tensor: &Tensor| tensor.shape()[axis..].iter().product::<usize>();
    let other_type = |tensor: &Tensor| Error::DTypeMismatch {
        what: "an input of Concat".into(),
        expected: operands[0].dtype().to_string(),
        found: tensor.dtype(),
    };
    let mut data = operands[0].data().clone();
    macro_rules! join {
        ($variant:ident, $out:ident) => {{
            $out.clear();
            for i in 0..outer {
                for tensor in operands {
                    let Data::$variant(elements) = tensor.data() else { return Err(other_type(tensor)) };
                    $out.extend_from_slice(&elements[i * run(tensor)..][..run(tensor)]);
                }
            }
        }};
    }
    match &mut data {
        Data::U8(out) => join!(U8, out),
        Data::I8(out) => join!(I8, out),
        Data::I32(out) => join!(I32, out),
        Data::I64(out) => join!(I64, out),
        Data::F32(out) => join!(F32, out),
        Data::Coded(first) => {
            let mut bytes = Vec::new();
            for i in 0..outer {
                for tensor in operands {
                    let Data::Coded(coded) = tensor.data() else { return Err(other_type(tensor)) };
                    let run = run(tensor) * first.dtype().size();
                    bytes.extend_from_slice(&coded.bytes()[i * run..][..run]);
                }
            }
            data = Data::Coded(first.moved(bytes));
        }
    }
    Tensor::new(shape, data)
}

/// Largest element of each window; padding counts as the type's smallest value, so it never wins over an element.
pub(super) fn max_pool(pool: &Pool, x: &Tensor, shape: &[usize]) -> Result<Tensor, Error> {
    let image = [x.shape()[2], x.shape()[3]];
    let no_fit = || Error::invalid_graph("MaxPool", "has a window that inference would have refused");
    let before = output_extent(&pool.window, image, pool.ceil_mode).ok_or_else(no_fit)?.before;
    let data = each_type!(x.data(), elements, lowest => {
        let mut y = Vec::with_capacity(shape.iter().product());
        for plane in elements.chunks_exact(image[0] * image[1]) {
            for oy in 0..shape[2] {
                for ox in 0..shape[3] {
                    let inside = taps(&pool.window, before, [oy, ox], image);
                    let values = inside.map(|(_, [iy, ix])| plane[iy * image[1] + ix]);
                    y.push(values.fold(lowest, |best, v| if v > best { v } else { best }));
                }
            }
        }
        y
    });
    Tensor::new(shape, data)
}
