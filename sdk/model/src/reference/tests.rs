//! Worked examples: small enough to compute by hand, chosen so that a wrong order, sign, edge or axis shows.

use super::run;
use crate::graph::{
    Bounds, Conv, Dim, Draft, FloatOp, Graph, MatMul, Op, Pads, Pool, Port, ReduceOp, Window,
};
use crate::tensor::{DType, Data, Quant, Tensor};

const FULL: Bounds = Bounds { lo: 0, hi: 255 };

fn quant(scale: f32, zero_point: i32) -> Option<Quant> {
    Some(Quant { scale, zero_point })
}

fn window(kernel: [usize; 2], strides: [usize; 2], pads: [usize; 4]) -> Window {
    Window { kernel, strides, dilations: [1, 1], pads: Pads::Explicit(pads) }
}

/// One operation: its inputs in order (tensors to be given, and constants), and its output's type.
struct One {
    draft: Draft,
    ids: Vec<crate::ValueId>,
    given: Vec<Tensor>,
}

impl One {
    fn new() -> Self {
        Self { draft: Draft::default(), ids: Vec::new(), given: Vec::new() }
    }

    fn given(mut self, tensor: Tensor, quant: Option<Quant>) -> Self {
        let name = format!("x{}", self.ids.len());
        let value = self.draft.activation(&name, tensor.dtype(), quant);
        let shape = tensor.shape().iter().map(|&n| Dim::Fixed(n)).collect();
        self.draft.inputs.push(Port { name, value, dtype: tensor.dtype(), shape });
        self.ids.push(value);
        self.given.push(tensor);
        self
    }

    fn constant(mut self, tensor: Tensor) -> Self {
        let id = self.draft.constant(format!("c{}", self.ids.len()), tensor);
        self.ids.push(id);
        self
    }

    /// Weights, bias and multipliers of a convolution or matrix product.
    fn weights(self, shape: &[usize], weights: Vec<i8>, bias: Vec<i32>, multipliers: Vec<f32>) -> Self {
        let n = bias.len();
        self.constant(Tensor::new(shape, Data::I8(weights)).unwrap())
            .constant(Tensor::new([n], Data::I32(bias)).unwrap())
            .constant(Tensor::f32([n], multipliers).unwrap())
    }

    fn run(mut self, op: Op, dtype: DType, quant: Option<Quant>) -> Tensor {
        let value = self.draft.activation("y", dtype, quant);
        self.draft.node("node", op, self.ids, value);
        self.draft.outputs.push(Port { name: "y".into(), value, dtype, shape: Vec::new() });
        run(&self.draft.freeze().unwrap(), self.given).unwrap().swap_remove(0)
    }

    fn bytes(self, op: Op, quant: Option<Quant>) -> Vec<u8> {
        self.run(op, DType::U8, quant).to_bytes()
    }

    fn floats(self, op: FloatOp) -> Vec<f32> {
        self.run(Op::Float(op), DType::F32, None).as_f32().unwrap().to_vec()
    }
}

fn u8(shape: &[usize], data: &[u8]) -> Tensor {
    Tensor::u8(shape, data.to_vec()).unwrap()
}

fn f32(shape: &[usize], data: &[f32]) -> Tensor {
    Tensor::f32(shape, data.to_vec()).unwrap()
}

#[test]
fn padding_of_a_convolution_is_the_zero_point() {
    // x - 10 is [[1, 2], [3, 4]]; a 3x3 kernel of 1..9 with its middle (5) on each element in turn.
    let y = One::new()
        .given(u8(&[1, 1, 2, 2], &[11, 12, 13, 14]), quant(1.0, 10))
        .weights(&[1, 1, 3, 3], (1..=9).collect(), vec![3], vec![1.0])
        .bytes(Op::Conv(Conv { window: window([3, 3], [1, 1], [1; 4]), groups: 1 }, FULL), quant(1.0, 100));
    // 1*5 + 2*6 + 3*8 + 4*9 = 77 and so on, + bias 3 + zero point 100.
    assert_eq!(y, [180, 170, 150, 140]);
}

#[test]
fn groups_strides_and_uneven_pads() {
    // Two channels, each with its own 1x2 kernel, stride 2, one column of padding on the left.
    let y = One::new()
        .given(u8(&[1, 2, 1, 3], &[1, 2, 3, 10, 20, 30]), quant(1.0, 0))
        .weights(&[2, 1, 1, 2], vec![1, 2, 3, -1], vec![0, 0], vec![1.0, 0.5])
        .bytes(
            Op::Conv(Conv { window: window([1, 2], [1, 2], [0, 1, 0, 0]), groups: 2 }, FULL),
            quant(1.0, 20),
        );
    // Channel 0: 2*1, 2*1+3*2 = 8. Channel 1: -10 -> -5, 20*3 - 30 = 30 -> 15.
    assert_eq!(y, [22, 28, 15, 35]);
}

#[test]
fn dilation_skips_and_bounds_clamp() {
    let dilated = Window { kernel: [1, 2], strides: [1, 1], dilations: [1, 2], pads: Pads::Explicit([0; 4]) };
    let y = One::new()
        .given(u8(&[1, 1, 1, 4], &[1, 50, 3, 60]), quant(1.0, 0))
        .weights(&[1, 1, 1, 2], vec![1, 1], vec![0], vec![1.0])
        .bytes(Op::Conv(Conv { window: dilated, groups: 1 }, Bounds { lo: 5, hi: 90 }), quant(1.0, 0));
    assert_eq!(y, [5, 90]); // 1 + 3 = 4 and 50 + 60 = 110
}

#[test]
fn a_bias_next_to_the_end_wraps() {
    let y = One::new()
        .given(u8(&[1, 2], &[10, 0]), quant(1.0, 0))
        .weights(&[1, 2], vec![-1, 1], vec![i32::MIN], vec![1e-9])
        .bytes(Op::FullyConnected(FULL), quant(1.0, 10));
    assert_eq!(y, [12]); // i32::MIN - 10 is 2147483638, times 1e-9 is 2.1
}

#[test]
fn rows_of_a_matrix_product() {
    let y = One::new()
        .given(u8(&[2, 2], &[1, 2, 3, 4]), quant(1.0, 1))
        .weights(&[3, 2], vec![1, 0, 0, 1, 10, 10], vec![0, 0, 1], vec![1.0, 1.0, 0.5])
        .bytes(Op::FullyConnected(FULL), quant(1.0, 0));
    assert_eq!(y, [0, 1, 6, 2, 3, 26]); // (0,1): 11 * .5 = 5.5 -> 6; (2,3): 51 * .5 = 25.5 -> 26
}

#[test]
fn additions_broadcast_and_round_with_the_zero_point_inside() {
    let y = One::new()
        .given(u8(&[2, 2], &[1, 2, 3, 4]), quant(0.5, 0))
        .given(u8(&[2, 1], &[0, 1]), quant(1.0, 0))
        .bytes(Op::Add(FULL), quant(1.0, 1));
    assert_eq!(y, [2, 2, 4, 4]); // 0.5+1 -> 2, 1+1, 1.5+1+1 = 3.5 -> 4, 2+1+1
}

#[test]
fn an_average_divides_by_what_is_inside() {
    let pool = |count_include_pad| {
        let window = window([2, 2], [2, 2], [1, 1, 0, 0]);
        Op::AveragePool(Pool { window, ceil_mode: false, count_include_pad })
    };
    let x = || One::new().given(u8(&[1, 1, 3, 3], &[8, 1, 3, 2, 4, 4, 6, 4, 4]), quant(1.0, 0));
    assert_eq!(x().bytes(pool(false), quant(1.0, 0)), [8, 2, 4, 4]);
    assert_eq!(x().bytes(pool(true), quant(1.0, 0)), [2, 1, 2, 4]);
}

#[test]
fn ceil_mode_averages_what_is_left() {
    let window = window([2, 2], [2, 2], [0; 4]);
    let pool = Op::AveragePool(Pool { window, ceil_mode: true, count_include_pad: true });
    let x = One::new().given(u8(&[1, 1, 3, 3], &[1, 1, 9, 1, 1, 7, 4, 8, 5]), quant(1.0, 0));
    assert_eq!(x.bytes(pool, quant(1.0, 0)), [1, 8, 6, 5]);
}

#[test]
fn the_largest_of_a_window_even_below_the_padding() {
    let window = window([2, 2], [1, 1], [1, 0, 0, 0]);
    let pool = Op::MaxPool(Pool { window, ceil_mode: false, count_include_pad: false });
    let ints = Data::I8(vec![-5, -7, -9, -3]);
    let y = One::new().given(Tensor::new([1, 1, 2, 2], ints).unwrap(), quant(1.0, 0)).run(
        pool,
        DType::I8,
        quant(1.0, 0),
    );
    assert_eq!(y.data(), &Data::I8(vec![-5, -3])); // a padding of 0 would win
}

#[test]
fn means_over_axes() {
    let x = || One::new().given(u8(&[1, 2, 1, 2], &[10, 13, 20, 27]), quant(1.0, 8));
    assert_eq!(x().bytes(Op::GlobalAveragePool, quant(1.0, 8)), [12, 24]); // 3.5 -> 4, 15.5 -> 16
    let mean = Op::ReduceMean { axes: vec![-3], keep_dims: false };
    assert_eq!(x().bytes(mean, quant(0.5, 0)), [14, 24]); // (2+12)/2 = 7, (5+19)/2 = 12
}

#[test]
fn elements_move() {
    let x = || One::new().given(u8(&[2, 3], &[1, 2, 3, 4, 5, 6]), quant(1.0, 0));
    assert_eq!(x().bytes(Op::Transpose { perm: vec![1, 0] }, quant(1.0, 0)), [1, 4, 2, 5, 3, 6]);
    let joined = x().given(u8(&[2, 1], &[7, 8]), quant(1.0, 0)).bytes(Op::Concat { axis: -1 }, quant(1.0, 0));
    assert_eq!(joined, [1, 2, 3, 7, 4, 5, 6, 8]);
}

#[test]
fn scales_of_an_axis() {
    let y = One::new()
        .given(Tensor::new([2, 2], Data::I32(vec![1, 2, 3, 4])).unwrap(), None)
        .constant(f32(&[2], &[0.5, 10.0]))
        .constant(Tensor::new([2], Data::I32(vec![0, 1])).unwrap())
        .run(Op::Dequantize { axis: Some(1) }, DType::F32, None);
    assert_eq!(y.as_f32().unwrap(), [0.5, 10.0, 1.5, 30.0]);
}

#[test]
fn float_products_and_reductions() {
    let m = MatMul { alpha: 2.0, beta: 10.0, trans_a: true, trans_b: false };
    let y = One::new()
        .given(f32(&[2, 1], &[1.0, 2.0]), None)
        .given(f32(&[2, 2], &[1.0, 3.0, 5.0, 7.0]), None)
        .given(f32(&[2], &[1.0, -1.0]), None)
        .floats(FloatOp::MatMul(m));
    assert_eq!(y, [32.0, 24.0]); // 2*(1+10) + 10, 2*(3+14) - 10
    let x = || One::new().given(f32(&[2, 2], &[1.0, 2.0, 3.0, 5.0]), None);
    let reduce = |op, axes| FloatOp::Reduce { op, axes, keep_dims: true };
    assert_eq!(x().floats(reduce(ReduceOp::Max, vec![0])), [3.0, 5.0]);
    assert_eq!(x().floats(reduce(ReduceOp::Mean, vec![1])), [1.5, 4.0]);
    assert_eq!(x().floats(reduce(ReduceOp::Sum, vec![])), [11.0]);
}

#[test]
fn softmax_along_one_axis_or_all_that_follow() {
    let x = || One::new().given(f32(&[1, 2, 2], &[0.0; 4]), None);
    assert_eq!(x().floats(FloatOp::Softmax { axis: -1, to_end: false }), [0.5; 4]);
    assert_eq!(x().floats(FloatOp::Softmax { axis: 1, to_end: true }), [0.25; 4]);
    let far = One::new().given(f32(&[2], &[1000.0, 0.0]), None);
    assert_eq!(far.floats(FloatOp::Softmax { axis: 0, to_end: false }), [1.0, 0.0]); // the largest is taken off first
}

#[test]
fn a_graph_read_back_computes_the_same() {
    let mut draft = Draft::default();
    let x = draft.activation("x", DType::U8, quant(0.5, 0));
    draft.inputs.push(Port { name: "x".into(), value: x, dtype: DType::F32, shape: vec![Dim::Fixed(2)] });
    draft.outputs.push(Port { name: "y".into(), value: x, dtype: DType::F32, shape: vec![] });
    let graph: Graph = draft.freeze().unwrap().with_weights(Vec::new()).unwrap();
    let outputs = run(&graph, vec![f32(&[2], &[1.0, 1000.0])]).unwrap();
    assert_eq!(outputs[0].to_bytes(), [2, 255]);
    assert_eq!(graph.declared(&graph.outputs[0], &outputs[0]).unwrap().as_f32().unwrap(), [1.0, 127.5]);
}
