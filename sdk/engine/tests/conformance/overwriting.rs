//! Element-wise steps that write their result over an operand.

use tilemark_engine::{Compiled, Device};
use tilemark_model::graph::{BinaryOp, FloatOp, UnaryOp};
use tilemark_model::{DType, Op};

use super::build::{Builder, Built, Case, Fill};
use super::{check, device, levels};

fn cases() -> Vec<Case> {
    let shapes: [&[usize]; 5] = [&[2, 5, 7, 3], &[1, 33, 4, 4], &[6, 17], &[3000, 1], &[2, 3, 4, 5, 2]];
    (0..).zip(shapes).map(|(seed, shape)| floats(seed, shape)).collect()
}

fn unary(builder: &mut Builder, op: UnaryOp, x: &Built) -> Built {
    builder.node("unary", Op::Float(FloatOp::Unary(op)), vec![x.id], x)
}

/// Every step but the first and the last overwrites what it reads: as either operand, as both, beside one that broadcasts.
fn floats(seed: u64, shape: &[usize]) -> Case {
    let mut builder = Builder::new(seed);
    let x = builder.input(shape, DType::U8, Fill::Any);
    let row = builder.input(&shape[shape.len() - 1..], DType::F32, Fill::Any);
    let mut value = builder.dequantize(&x);
    let binary = |builder: &mut Builder, op, a: &Built, b: &Built, y: &Built| {
        builder.node("binary", Op::Float(FloatOp::Binary(op)), vec![a.id, b.id], y)
    };
    value = unary(&mut builder, UnaryOp::Sigmoid, &value);
    value = binary(&mut builder, BinaryOp::Sub, &row, &value, &value);
    value = binary(&mut builder, BinaryOp::Mul, &value, &value, &value);
    value = binary(&mut builder, BinaryOp::Div, &value, &row, &value);
    // Read twice: the first of these steps must leave it.
    let kept = unary(&mut builder, UnaryOp::Neg, &value);
    value = binary(&mut builder, BinaryOp::Add, &kept, &value, &value);
    let y = builder.quantize(&value, DType::U8);
    builder.finish(format!("floats of {shape:?}"), &[&y])
}

/// More lines than are held at once, and every kind of tile.
#[test]
fn lines_are_taken_before_they_are_overwritten() {
    for level in levels() {
        for (i, case) in cases().iter().enumerate() {
            check(case, &device(level, 1 + i % 3));
        }
    }
}

#[test]
fn an_operand_that_dies_gives_its_memory() {
    let mut builder = Builder::new(1);
    let x = builder.input(&[1, 64, 16, 16], DType::U8, Fill::Any);
    let mut value = builder.dequantize(&x);
    for op in [UnaryOp::Relu, UnaryOp::Neg, UnaryOp::Abs] {
        value = unary(&mut builder, op, &value);
    }
    let y = builder.quantize(&value, DType::U8);
    let case = builder.finish("a chain", &[&y]);
    let compiled = Compiled::new(case.graph, &Device::host()).unwrap();
    let plan = compiled.plan(&[vec![1, 64, 16, 16]]).unwrap();
    // One f32 value and the bytes before or after it, each with its slack.
    assert_eq!(plan.arena_bytes(), (4 + 1) * 64 * 16 * 16 + 2 * 256);
}
