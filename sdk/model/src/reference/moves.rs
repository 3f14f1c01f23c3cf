//! Operations that move or select elements: each says for every output element which input element it is.

use super::places::places;
use super::strides;
use crate::error::Error;
use crate::graph::{MoveOp, Node, Op};
use crate::numerics::narrow::number;
use crate::shape::{Shapes, normalize_axis};
use crate::tensor::{DType, Data, Tensor};

/// The elements of `data` at `sources`.
pub(super) fn pick(data: &Data, sources: impl Iterator<Item = usize>) -> Data {
    match data {
        Data::U8(v) => Data::U8(sources.map(|i| v[i]).collect()),
        Data::I8(v) => Data::I8(sources.map(|i| v[i]).collect()),
        Data::I32(v) => Data::I32(sources.map(|i| v[i]).collect()),
        Data::I64(v) => Data::I64(sources.map(|i| v[i]).collect()),
        Data::F32(v) => Data::F32(sources.map(|i| v[i]).collect()),
        Data::Coded(coded) => {
            let (size, bytes) = (coded.dtype().size(), coded.bytes());
            Data::Coded(coded.moved(sources.flat_map(|i| &bytes[i * size..][..size]).copied().collect()))
        }
    }
}

/// The elements of `data`, then those of `fill`, which must have its type.
pub(super) fn joined(data: &Data, fill: &Data) -> Result<Data, Error> {
    Ok(match (data, fill) {
        (Data::U8(v), Data::U8(fill)) => Data::U8([&v[..], fill].concat()),
        (Data::I8(v), Data::I8(fill)) => Data::I8([&v[..], fill].concat()),
        (Data::I32(v), Data::I32(fill)) => Data::I32([&v[..], fill].concat()),
        (Data::I64(v), Data::I64(fill)) => Data::I64([&v[..], fill].concat()),
        (Data::F32(v), Data::F32(fill)) => Data::F32([&v[..], fill].concat()),
        (Data::Coded(v), Data::Coded(fill)) if v.dtype() == fill.dtype() => {
            Data::Coded(v.moved([v.bytes(), fill.bytes()].concat()))
        }
        (data, fill) => {
            return Err(Error::DTypeMismatch {
                what: "an operand".into(),
                expected: data.dtype().to_string(),
                found: fill.dtype(),
            });
        }
    })
}

/// The zero of a type; of a quantized tensor its zero point.
fn zero(dtype: DType, zero_point: i32) -> Result<Data, Error> {
    use crate::numerics::narrow::{Number, collect};
    collect(dtype, 1, true, &|_| Number::Int(zero_point.into()))
}

pub(super) fn evaluate(
    op: &MoveOp,
    node: &Node,
    zero_point: i32,
    operands: &[&Tensor],
    shapes: &Shapes,
) -> Result<Tensor, Error> {
    let x = operands[0];
    let shape = shapes.of(node.output);
    let sources = match op {
        MoveOp::Reshape { .. } => return x.clone().reshaped(shape),
        MoveOp::Gather { axis } => gather(node, *axis, x, operands[1])?,
        MoveOp::GatherElements { axis } => gather_elements(node, *axis, x, operands[1])?,
        MoveOp::GatherNd { batch_dims } => gather_nd(node, *batch_dims, x, operands[1])?,
        _ => return by_places(node, zero_point, operands, shapes),
    };
    Tensor::new(shape, pick(x.data(), sources.into_iter()))
}

/// A movement of which [`places`] knows the places.
pub(super) fn by_places(
    node: &Node,
    zero_point: i32,
    operands: &[&Tensor],
    shapes: &Shapes,
) -> Result<Tensor, Error> {
    let (x, shape) = (operands[0], shapes.of(node.output));
    let unknown = || Error::invalid_graph(&node.name, "moves elements to places unknown");
    let places = places(node, shapes, &strides(x.shape()))?.ok_or_else(unknown)?;
    let fill = match operands.get(1).filter(|_| matches!(node.op, Op::Move(MoveOp::Pad { filled: true, .. })))
    {
        Some(fill) => fill.data().clone(),
        None => zero(x.dtype(), zero_point)?,
    };
    let mut sources = Vec::with_capacity(shape.iter().product());
    super::walk_index(shape, |index| {
        let place: Option<usize> = index.iter().zip(&places).map(|(&i, places)| places[i]).sum();
        sources.push(place.unwrap_or(x.len())); // the fill, which comes after the elements
    });
    Tensor::new(shape, pick(&joined(x.data(), &fill)?, sources.into_iter()))
}

/// An index of any integer type, counted from the end if negative; refused outside `n`.
pub(super) fn index(node: &Node, indices: &Tensor, i: usize, n: usize) -> Result<usize, Error> {
    let given = number(indices.data(), i).int();
    let counted = if given < 0 { given + n as i128 } else { given };
    usize::try_from(counted).ok().filter(|&i| i < n).ok_or_else(|| Error::Shape {
        node: node.name.clone(),
        op: node.op.name().into(),
        reason: format!("index {given} of an axis of {n}"),
    })
}

fn gather(node: &Node, axis: i64, x: &Tensor, indices: &Tensor) -> Result<Vec<usize>, Error> {
    let axis = normalize_axis(axis, x.shape().len()).unwrap_or(0);
    let n = x.shape()[axis];
    let inner: usize = x.shape()[axis + 1..].iter().product();
    let outer: usize = x.shape()[..axis].iter().product();
    let picked = (0..indices.len()).map(|i| index(node, indices, i, n)).collect::<Result<Vec<_>, _>>()?;
    let mut sources = Vec::with_capacity(outer * picked.len() * inner);
    for o in 0..outer {
        for &i in &picked {
            sources.extend((o * n + i) * inner..(o * n + i + 1) * inner);
        }
    }
    Ok(sources)
}

fn gather_elements(node: &Node, axis: i64, x: &Tensor, indices: &Tensor) -> Result<Vec<usize>, Error> {
    let axis = normalize_axis(axis, x.shape().len()).unwrap_or(0);
    let own = strides(x.shape());
    let mut sources = Vec::with_capacity(indices.len());
    let mut failed = None;
    super::walk_index(indices.shape(), |place| match index(node, indices, sources.len(), x.shape()[axis]) {
        Ok(i) => {
            let all = place.iter().zip(&own).enumerate();
            sources.push(all.map(|(a, (&p, stride))| if a == axis { i } else { p } * stride).sum());
        }
        Err(error) => {
            failed.get_or_insert(error);
            sources.push(0);
        }
    });
    failed.map_or(Ok(sources), Err)
}

fn gather_nd(node: &Node, batch_dims: usize, x: &Tensor, indices: &Tensor) -> Result<Vec<usize>, Error> {
    let tuple = indices.shape().last().copied().unwrap_or(0);
    let own = strides(x.shape());
    let inner: usize = x.shape()[batch_dims + tuple..].iter().product();
    let batches: usize = x.shape()[..batch_dims].iter().product();
    let batch_size: usize = x.shape()[batch_dims..].iter().product();
    let tuples: usize = indices.shape()[..indices.shape().len() - 1].iter().product();
    let per_batch = (tuples / batches.max(1)).max(1);
    let mut sources = Vec::with_capacity(tuples * inner);
    for t in 0..tuples {
        let mut at = t / per_batch * batch_size;
        for k in 0..tuple {
            let n = x.shape()[batch_dims + k];
            at += index(node, indices, t * tuple + k, n)? * own[batch_dims + k];
        }
        sources.extend(at..at + inner);
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Dim, Draft, Ints, PadMode, Port};
    use crate::reference::run;
    use crate::tensor::Quant;

    /// Runs one operation on a tensor and constants.
    fn moved(op: MoveOp, x: Tensor, quant: Option<Quant>, others: &[Tensor]) -> Tensor {
        let mut draft = Draft::default();
        let dtype = x.dtype();
        let value = draft.activation("x", dtype, quant);
        let shape = x.shape().iter().map(|&n| Dim::Fixed(n)).collect();
        draft.inputs.push(Port { name: "x".into(), value, dtype, shape });
        let mut inputs = vec![value];
        inputs.extend(others.iter().map(|other| draft.constant("c", other.clone())));
        let y = draft.activation("y", dtype, quant);
        draft.node("n", Op::Move(op), inputs, y);
        draft.outputs.push(Port { name: "y".into(), value: y, dtype, shape: Vec::new() });
        run(&draft.freeze().unwrap(), vec![x]).unwrap().remove(0)
    }

    fn bytes(shape: &[usize], values: &[u8]) -> Tensor {
        Tensor::u8(shape, values.to_vec()).unwrap()
    }

    fn indices(shape: &[usize], values: &[i64]) -> Tensor {
        Tensor::new(shape, Data::I64(values.to_vec())).unwrap()
    }

    fn given(ints: &[i64]) -> Ints {
        Ints::Given(ints.to_vec())
    }

    #[test]
    fn pads_are_the_zero_point_or_what_the_mode_says() {
        let x = bytes(&[4], &[1, 2, 3, 4]);
        let quant = Quant { scale: 0.5, zero_point: 9 };
        let pad = |mode, pads: &[i64]| {
            let op = MoveOp::Pad { mode, pads: given(pads), axes: None, filled: false };
            moved(op, x.clone(), Some(quant), &[]).to_bytes()
        };
        assert_eq!(pad(PadMode::Constant, &[2, 1]), [9, 9, 1, 2, 3, 4, 9]);
        assert_eq!(pad(PadMode::Reflect, &[2, 3]), [3, 2, 1, 2, 3, 4, 3, 2, 1]);
        assert_eq!(pad(PadMode::Edge, &[2, 1]), [1, 1, 1, 2, 3, 4, 4]);
        assert_eq!(pad(PadMode::Wrap, &[2, 5]), [3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1]);
        assert_eq!(pad(PadMode::Constant, &[-1, -2]), [2]);
    }

    #[test]
    fn a_fill_and_axes_can_be_named() {
        let op =
            MoveOp::Pad { mode: PadMode::Constant, pads: given(&[1, 0]), axes: Some(vec![-1]), filled: true };
        let y = moved(op, bytes(&[2, 2], &[1, 2, 3, 4]), None, &[bytes(&[], &[7])]);
        assert_eq!((y.shape(), y.to_bytes()), (&[2, 3][..], vec![7, 1, 2, 7, 3, 4]));
    }

    #[test]
    fn slices_step_backwards_and_parts_may_be_short() {
        let x = bytes(&[2, 5], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let slice = MoveOp::Slice {
            starts: given(&[-1, 0]),
            ends: given(&[0, 1]),
            axes: Some(vec![1, 0]),
            steps: Some(vec![-2, 1]),
        };
        assert_eq!(moved(slice, x.clone(), None, &[]).to_bytes(), [4, 2]);
        let part = |index| MoveOp::Part { axis: 1, index, count: 2 };
        assert_eq!(moved(part(0), x.clone(), None, &[]).to_bytes(), [0, 1, 2, 5, 6, 7]);
        assert_eq!(moved(part(1), x, None, &[]).to_bytes(), [3, 4, 8, 9]);
    }

    #[test]
    fn indices_count_from_the_end_and_are_checked() {
        let x = bytes(&[3, 2], &[0, 1, 2, 3, 4, 5]);
        let rows = moved(MoveOp::Gather { axis: 0 }, x.clone(), None, &[indices(&[2], &[-1, 0])]);
        assert_eq!(rows.to_bytes(), [4, 5, 0, 1]);
        let elements =
            moved(MoveOp::GatherElements { axis: 1 }, x.clone(), None, &[indices(&[2, 2], &[1, 1, 0, -1])]);
        assert_eq!(elements.to_bytes(), [1, 1, 2, 3]);
        let places = moved(MoveOp::GatherNd { batch_dims: 0 }, x, None, &[indices(&[2, 2], &[2, 0, 0, 1])]);
        assert_eq!(places.to_bytes(), [4, 1]);
        let node = Node {
            name: "n".into(),
            op: Op::Move(MoveOp::Gather { axis: 0 }),
            inputs: vec![],
            output: crate::ValueId(0),
        };
        assert!(matches!(index(&node, &indices(&[1], &[3]), 0, 3), Err(Error::Shape { .. })));
        assert!(index(&node, &indices(&[1], &[-4]), 0, 3).is_err());
    }

    #[test]
    fn wholes_and_lines_are_repeated() {
        let x = bytes(&[2, 1], &[1, 2]);
        let expanded = moved(MoveOp::Expand { shape: given(&[2, 1, 2]) }, x.clone(), None, &[]);
        assert_eq!((expanded.shape(), expanded.to_bytes()), (&[2, 2, 2][..], vec![1, 1, 2, 2, 1, 1, 2, 2]));
        let tiled = moved(MoveOp::Tile { repeats: given(&[2, 2]) }, x, None, &[]);
        assert_eq!((tiled.shape(), tiled.to_bytes()), (&[4, 2][..], vec![1, 1, 2, 2, 1, 1, 2, 2]));
    }

    #[test]
    fn blocks_of_channels_become_pixels_and_back() {
        let x = bytes(&[1, 8, 1, 1], &[0, 1, 2, 3, 4, 5, 6, 7]);
        let depth = |column_row_depth| MoveOp::DepthToSpace { block: 2, column_row_depth };
        let pixels = moved(depth(false), x.clone(), None, &[]);
        assert_eq!((pixels.shape(), pixels.to_bytes()), (&[1, 2, 2, 2][..], vec![0, 2, 4, 6, 1, 3, 5, 7]));
        assert_eq!(moved(depth(true), x.clone(), None, &[]).to_bytes(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(moved(MoveOp::SpaceToDepth { block: 2 }, pixels, None, &[]), x);
    }
}
