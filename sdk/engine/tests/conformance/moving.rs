//! Adversarial vectors for movements: every one, of every element size, over edges, halos and odd orders.

use tilemark_model::graph::{
    Coordinates, Interpolation, Ints, MoveOp, Nearest, PadMode, Policy, Resize, Target,
};
use tilemark_model::{DType, Data, Op, Tensor};

use super::build::{Builder, Built, Case, ConvSpec, Fill, window};
use super::cases::EDGES;

const TYPES: [DType; 5] = [DType::U8, DType::I8, DType::F32, DType::I32, DType::I64];

pub(crate) fn movement() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, dtype) in TYPES.into_iter().enumerate() {
        let seed = i as u64;
        cases.extend(transposes(seed, dtype));
        cases.extend(reshapes(seed, dtype));
        cases.extend(selections(seed, dtype));
        cases.extend(resizes(seed, dtype));
        cases.extend(joins(seed, dtype));
        cases.extend(gathers(seed, dtype));
    }
    cases.push(padded_before_a_convolution());
    cases
}

/// One movement of an input of `shape` to `to`.
fn moved(name: &str, seed: u64, dtype: DType, shape: &[usize], op: Op, to: &[usize]) -> Case {
    let mut builder = Builder::new(seed);
    let x = builder.input(shape, dtype, Fill::Any);
    let y = builder.node("move", op, vec![x.id], &Built { shape: to.to_vec(), ..x.clone() });
    builder.finish(format!("{name} of {shape:?} {dtype}"), &[&y])
}

fn transposes(seed: u64, dtype: DType) -> Vec<Case> {
    let perms: [&[usize]; 7] =
        [&[0, 2, 3, 1], &[0, 3, 1, 2], &[3, 2, 1, 0], &[0, 1, 3, 2], &[1, 0], &[0, 2, 1], &[4, 2, 0, 3, 1]];
    let mut cases = Vec::new();
    for perm in perms {
        for n in EDGES {
            let shape: Vec<usize> = [2, n, 3, 5, 2][..perm.len()].to_vec();
            let to: Vec<usize> = perm.iter().map(|&axis| shape[axis]).collect();
            let op = Op::Transpose { perm: perm.to_vec() };
            cases.push(moved(&format!("order {perm:?}"), seed, dtype, &shape, op, &to));
        }
    }
    cases
}

fn reshapes(seed: u64, dtype: DType) -> Vec<Case> {
    let shapes: [(&[usize], &[usize]); 9] = [
        (&[2, 3, 4, 5], &[2, 60]),
        (&[2, 60], &[2, 3, 4, 5]),
        (&[2, 3, 4, 5], &[2, 12, 5, 1]),
        (&[2, 12, 1, 5], &[2, 3, 20, 1]),
        (&[1, 8, 1, 17], &[8, 17]),
        (&[2, 3, 4, 5], &[6, 20]),
        (&[2, 3, 4, 5], &[5, 4, 3, 2]), // no common refinement
        (&[6, 4, 1, 3], &[2, 3, 2, 6]),
        (&[1, 1, 1, 1], &[1]),
    ];
    let case = |(from, to): (&[usize], &[usize])| {
        let op = Op::Reshape { shape: to.iter().map(|&n| n as i64).collect(), allow_zero: false };
        moved(&format!("shape {to:?}"), seed, dtype, from, op, to)
    };
    shapes.into_iter().map(case).collect()
}

fn selections(seed: u64, dtype: DType) -> Vec<Case> {
    let mut cases = Vec::new();
    let given = |ints: &[i64]| Ints::Given(ints.to_vec());
    let mut add = |name: &str, shape: &[usize], op: MoveOp, to: &[usize]| {
        cases.push(moved(name, seed, dtype, shape, Op::Move(op), to));
    };
    let slice = |starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]| MoveOp::Slice {
        starts: given(starts),
        ends: given(ends),
        axes: Some(axes.to_vec()),
        steps: Some(steps.to_vec()),
    };
    add("slice", &[2, 5, 6, 7], slice(&[1, 0], &[4, 6], &[1, 2], &[1, 2]), &[2, 3, 3, 7]);
    add("slice back", &[2, 5, 6, 7], slice(&[-1, 5], &[-6, 0], &[1, 3], &[-1, -2]), &[2, 5, 6, 3]);
    add("slice rows", &[9, 33], slice(&[3], &[33], &[1], &[1]), &[9, 30]);
    add("second part", &[2, 7, 3, 3], MoveOp::Part { axis: 1, index: 1, count: 2 }, &[2, 3, 3, 3]);
    add("part of lines", &[4, 6], MoveOp::Part { axis: -1, index: 2, count: 3 }, &[4, 2]);
    add("expand", &[3, 1, 5], MoveOp::Expand { shape: given(&[2, 1, 4, 5]) }, &[2, 3, 4, 5]);
    add("expand images", &[1, 3, 1, 1], MoveOp::Expand { shape: given(&[2, 3, 4, 5]) }, &[2, 3, 4, 5]);
    add("tile", &[1, 2, 3, 2], MoveOp::Tile { repeats: given(&[2, 3, 1, 2]) }, &[2, 6, 3, 4]);
    for column_row_depth in [false, true] {
        let op = MoveOp::DepthToSpace { block: 2, column_row_depth };
        add("depth to space", &[2, 12, 3, 5], op, &[2, 3, 6, 10]);
    }
    add("space to depth", &[2, 3, 6, 4], MoveOp::SpaceToDepth { block: 2 }, &[2, 12, 3, 2]);
    for mode in [PadMode::Constant, PadMode::Reflect, PadMode::Edge, PadMode::Wrap] {
        let pad = |pads: &[i64]| MoveOp::Pad { mode, pads: given(pads), axes: None, filled: false };
        add("image padded", &[2, 5, 4, 6], pad(&[0, 0, 1, 2, 0, 0, 2, 1]), &[2, 5, 7, 9]);
        add("channels padded", &[2, 7, 3, 3], pad(&[0, 2, 0, 0, 0, 3, 0, 0]), &[2, 12, 3, 3]);
        add("channels padded at the end", &[1, 7, 3, 3], pad(&[0, 0, 0, 0, 0, 4, 0, 0]), &[1, 11, 3, 3]);
        add("lines padded", &[5, 9], pad(&[1, 0, 0, 4]), &[6, 13]);
    }
    let cut = MoveOp::Pad {
        mode: PadMode::Constant,
        pads: given(&[0, 0, -1, 2, 0, 0, 3, -2]),
        axes: None,
        filled: false,
    };
    add("cut and padded", &[1, 3, 5, 6], cut, &[1, 3, 7, 6]);
    cases
}

/// By constant indices: from the end, repeated, none left of the axis; and of two axes, which runs as the reference does.
fn gathers(seed: u64, dtype: DType) -> Vec<Case> {
    /// Shape of x, axis, shape of the indices, indices.
    type Picked<'a> = (&'a [usize], i64, &'a [usize], &'a [i64]);
    let shapes: [Picked<'_>; 9] = [
        (&[2, 17, 3, 5], 1, &[4], &[16, 0, -1, 3]),
        (&[2, 3, 5, 4], 2, &[1], &[-2]),
        (&[2, 3, 5, 4], -1, &[33], &[1; 33]),
        (&[3, 9, 20], 1, &[], &[0]), // a token of each line
        (&[3, 9, 20], 2, &[], &[-20]),
        (&[40, 18], 0, &[1, 3, 1], &[39, 7, -40]),
        (&[7, 6], 1, &[2, 2], &[0, 1, 5, 2]),
        (&[2, 3, 2, 4, 5], 0, &[1, 1], &[1]),
        (&[9], 0, &[20], &[8; 20]),
    ];
    let case = |(shape, axis, of_indices, indices): Picked<'_>| {
        let mut builder = Builder::new(seed);
        let x = builder.input(shape, dtype, Fill::Any);
        let data = match seed % 2 {
            0 => Data::I64(indices.to_vec()),
            _ => Data::I32(indices.iter().map(|&index| index as i32).collect()),
        };
        let constant = builder.constant(Tensor::new(of_indices, data).unwrap());
        let at = axis.rem_euclid(shape.len() as i64) as usize;
        let to = [&shape[..at], of_indices, &shape[at + 1..]].concat();
        let op = Op::Move(MoveOp::Gather { axis });
        let y = builder.node("gather", op, vec![x.id, constant], &Built { shape: to, ..x.clone() });
        builder.finish(format!("{indices:?} of axis {axis} of {shape:?} {dtype}"), &[&y])
    };
    shapes.into_iter().map(case).collect()
}

fn resizes(seed: u64, dtype: DType) -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, nearest) in [Nearest::RoundPreferFloor, Nearest::RoundPreferCeil, Nearest::Floor, Nearest::Ceil]
        .into_iter()
        .enumerate()
    {
        for coordinates in [Coordinates::HalfPixel, Coordinates::Asymmetric, Coordinates::AlignCorners] {
            for (from, to) in [([3, 5], [6, 10]), ([4, 7], [9, 3]), ([1, 1], [16, 17]), ([33, 2], [11, 8])] {
                let channels = [1, 3, 16, 33][i];
                let sizes = [2, channels, to[0], to[1]];
                let op = resize(coordinates, Interpolation::Nearest(nearest), &sizes);
                let shape = [2, channels, from[0], from[1]];
                cases.push(moved("nearest", seed, dtype, &shape, Op::Move(MoveOp::Resize(op)), &sizes));
            }
        }
    }
    cases
}

/// Resizing to these sizes.
pub(crate) fn resize(coordinates: Coordinates, interpolation: Interpolation, sizes: &[usize]) -> Resize {
    let sizes = sizes.iter().map(|&n| n as i64).collect();
    Resize {
        target: Target::Sizes(Ints::Given(sizes), Policy::Stretch),
        axes: None,
        coordinates,
        interpolation,
        antialias: false,
        exclude_outside: false,
        region: Vec::new(),
        outside: 0.0,
    }
}

fn joins(seed: u64, dtype: DType) -> Vec<Case> {
    let mut cases = Vec::new();
    for (shape, axis) in
        [(vec![2, 5, 3, 4], 0), (vec![2, 5, 3, 4], 2), (vec![2, 5, 3, 4], 3), (vec![2, 3, 5], 1)]
    {
        let mut builder = Builder::new(seed);
        let parts: Vec<Built> = [1, 16, 3]
            .into_iter()
            .map(|size| {
                let mut shape = shape.clone();
                shape[axis] = size;
                builder.input(&shape, dtype, Fill::Any)
            })
            .collect();
        let quant = parts[0].quant;
        parts.iter().for_each(|part| builder.set_quant(part.id, quant));
        let y = builder.concat(&parts.iter().collect::<Vec<_>>(), axis);
        cases.push(builder.finish(format!("axis {axis} of {shape:?} {dtype}"), &[&y]));
    }
    cases
}

/// Movements between values that have halos: what a movement reads and what it writes.
fn padded_before_a_convolution() -> Case {
    let mut builder = Builder::new(3);
    let x = builder.input(&[2, 9, 8, 7], DType::I8, Fill::Any);
    let spec = ConvSpec {
        outputs: 5,
        groups: 1,
        window: window([3, 3], [1, 1], [1, 1], [1; 4]),
        weights: Fill::Any,
        multiplier: 0.002,
        narrow: 0,
        dtype: DType::U8,
        zero: 131,
    };
    let a = builder.conv(&x, &spec);
    let turned = builder.transpose(&x, &[0, 1, 3, 2]);
    let b = builder.conv(&turned, &spec);
    let op = resize(Coordinates::Asymmetric, Interpolation::Nearest(Nearest::Floor), &[2, 5, 16, 14]);
    let larger = Built { shape: vec![2, 5, 16, 14], ..a.clone() };
    let larger = builder.node("resize", Op::Move(MoveOp::Resize(op)), vec![a.id], &larger);
    let c = builder.conv(&larger, &spec);
    builder.finish("halos around what is moved", &[&a, &b, &c])
}
