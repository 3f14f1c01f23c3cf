//! Small graphs with inputs, made from a seed.

use std::collections::HashMap;

use tilemark_model::graph::{
    BinaryOp, Bounds, Conv, Dim, Draft, FloatOp, Pads, Pool, UnaryOp, Window, eight_bit,
};
use tilemark_model::shape::output_extent;
use tilemark_model::{DType, Data, Graph, Op, Port, Quant, Tensor, ValueId};

/// A fixed pseudo-random sequence.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A graph, inputs for it, and a name for messages.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) graph: Graph,
    pub(crate) inputs: Vec<Tensor>,
}

impl Case {
    /// The same, declared for batches of this size alone: there is no plan of one image.
    pub(crate) fn declared(&self) -> Self {
        let mut graph = self.graph.clone();
        for (port, tensor) in graph.inputs.iter_mut().zip(&self.inputs) {
            port.shape = tensor.shape().iter().map(|&n| Dim::Fixed(n)).collect();
        }
        Self { name: format!("{}, declared", self.name), graph, inputs: self.inputs.clone() }
    }
}

/// What the elements of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fill {
    /// Anything of the type.
    Any,
    /// The type's smallest value.
    Lowest,
    /// The type's largest value; for f32 half of them NaN, infinities and ties.
    Highest,
    /// -1, 0 or 1 (weights only): sums stay small, so that ties are frequent.
    Unit,
}

/// A convolution to test.
#[derive(Clone, Debug)]
pub(crate) struct ConvSpec {
    pub(crate) outputs: usize,
    pub(crate) groups: usize,
    pub(crate) window: Window,
    pub(crate) weights: Fill,
    pub(crate) multiplier: f32,
    /// How far the bounds lie inside the type's range.
    pub(crate) narrow: i32,
    pub(crate) dtype: DType,
    pub(crate) zero: i32,
}

/// A value of the graph under construction.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) id: ValueId,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
    pub(crate) quant: Option<Quant>,
}

pub(crate) struct Builder {
    pub(crate) random: Random,
    draft: Draft,
    inputs: Vec<Tensor>,
    names: HashMap<&'static str, usize>,
}

impl Builder {
    pub(crate) fn new(seed: u64) -> Self {
        let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Self { random, draft: Draft::default(), inputs: Vec::new(), names: HashMap::new() }
    }

    pub(crate) fn finish(mut self, name: impl Into<String>, outputs: &[&Built]) -> Case {
        for (i, output) in outputs.iter().enumerate() {
            let shape = output.shape.iter().map(|&n| Dim::Fixed(n)).collect();
            let port = Port { name: format!("y{i}"), value: output.id, dtype: output.dtype, shape };
            self.draft.outputs.push(port);
        }
        let name = name.into();
        let graph = self.draft.freeze().unwrap_or_else(|error| panic!("{name}: {error}"));
        Case { name, graph, inputs: self.inputs }
    }

    fn name(&mut self, stem: &'static str) -> String {
        let n = self.names.entry(stem).or_default();
        *n += 1;
        format!("{stem}{n}")
    }

    pub(crate) fn quant(&mut self, dtype: DType) -> Quant {
        let (lo, hi) = dtype.range().unwrap();
        let zero_point = lo + self.random.below((hi - lo + 1) as usize) as i32;
        Quant { scale: self.random.pick(&[0.5, 0.25, 0.1, 0.037, 1.0 / 3.0]), zero_point }
    }

    /// An input of the graph; its first axis may be fed any number.
    pub(crate) fn input(&mut self, shape: &[usize], dtype: DType, fill: Fill) -> Built {
        let quant = dtype.range().map(|_| self.quant(dtype));
        let name = self.name("x");
        let id = self.draft.activation(&name, dtype, quant);
        let mut dims: Vec<Dim> = shape.iter().map(|&n| Dim::Fixed(n)).collect();
        if let Some(first) = dims.first_mut() {
            *first = Dim::Dynamic("batch".into());
        }
        self.draft.inputs.push(Port { name, value: id, dtype, shape: dims });
        let tensor = self.tensor(shape, dtype, fill);
        self.inputs.push(tensor);
        Built { id, shape: shape.to_vec(), dtype, quant }
    }

    pub(crate) fn tensor(&mut self, shape: &[usize], dtype: DType, fill: Fill) -> Tensor {
        let n: usize = shape.iter().product();
        let data = match dtype.range() {
            Some((lo, hi)) => {
                let values: Vec<i32> = (0..n)
                    .map(|_| match fill {
                        Fill::Any => lo + self.random.below(256) as i32,
                        Fill::Lowest => lo,
                        Fill::Highest => hi,
                        Fill::Unit => self.random.below(3) as i32 - 1,
                    })
                    .collect();
                eight_bit(dtype, values.into_iter())
            }
            None if dtype != DType::F32 => {
                let integers = (0..n).map(|_| self.random.next() as i64 - (1 << 30));
                match dtype {
                    DType::I32 => Data::I32(integers.map(|x| x as i32).collect()),
                    _ => Data::I64(integers.collect()),
                }
            }
            None => {
                let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1.0e30, 0.25, 0.75, -1.25];
                let real = |n: usize| match n {
                    n if fill == Fill::Highest && n < 1000 => special[n % special.len()],
                    n => (n as f32 - 1000.0) / 77.0,
                };
                Data::F32((0..n).map(|_| real(self.random.below(2001))).collect())
            }
        };
        Tensor::new(shape, data).unwrap()
    }

    /// Adds a node that writes a value of this type and shape.
    pub(crate) fn node(&mut self, stem: &'static str, op: Op, inputs: Vec<ValueId>, output: &Built) -> Built {
        let name = self.name(stem);
        let id = self.draft.activation(format!("{name}:y"), output.dtype, output.quant);
        self.draft.node(name, op, inputs, id);
        Built { id, ..output.clone() }
    }

    pub(crate) fn constant(&mut self, tensor: Tensor) -> ValueId {
        let name = self.name("w");
        self.draft.constant(name, tensor)
    }

    /// A constant activation.
    pub(crate) fn constant_like(&mut self, like: &Built, shape: &[usize]) -> Built {
        let tensor = self.tensor(shape, like.dtype, Fill::Any);
        let id = self.constant(tensor);
        self.draft.values[id.index()].quant = like.quant;
        Built { id, shape: shape.to_vec(), ..like.clone() }
    }

    /// Gives a value another quantization, where an operation wants a certain one.
    pub(crate) fn set_quant(&mut self, id: ValueId, quant: Option<Quant>) {
        self.draft.values[id.index()].quant = quant;
    }

    fn quantized(&mut self, shape: Vec<usize>, dtype: DType) -> Built {
        let quant = Some(self.quant(dtype));
        Built { id: ValueId(0), shape, dtype, quant }
    }

    /// Weights, bias and multipliers of a layer with `k` products per output.
    fn layer(&mut self, weights: &[usize], fill: Fill, multiplier: f32) -> [ValueId; 3] {
        let outputs = weights[0];
        let w = self.tensor(weights, DType::I8, fill);
        let bias = (0..outputs).map(|_| self.random.below(2001) as i32 - 1000).collect();
        let varied = (0..outputs).map(|i| if i % 3 == 2 { multiplier * 0.5 } else { multiplier }).collect();
        let bias = Tensor::new([outputs], Data::I32(bias)).unwrap();
        let multipliers = Tensor::f32([outputs], varied).unwrap();
        [w, bias, multipliers].map(|tensor| self.constant(tensor))
    }

    fn bounds(dtype: DType, narrow: i32) -> Bounds {
        let (lo, hi) = dtype.range().unwrap();
        Bounds { lo: lo + narrow, hi: hi - 2 * narrow }
    }

    pub(crate) fn conv(&mut self, x: &Built, spec: &ConvSpec) -> Built {
        let extent = output_extent(&spec.window, [x.shape[2], x.shape[3]], false).unwrap();
        let [kh, kw] = spec.window.kernel;
        let weights = [spec.outputs, x.shape[1] / spec.groups, kh, kw];
        let [w, b, m] = self.layer(&weights, spec.weights, spec.multiplier);
        let shape = vec![x.shape[0], spec.outputs, extent.output[0], extent.output[1]];
        let quant = Some(Quant { scale: 0.1, zero_point: spec.zero });
        let y = Built { id: x.id, shape, dtype: spec.dtype, quant };
        let conv = Conv { window: spec.window.clone(), groups: spec.groups };
        let bounds = Self::bounds(spec.dtype, spec.narrow);
        self.node("conv", Op::Conv(conv, bounds), vec![x.id, w, b, m], &y)
    }

    pub(crate) fn fully_connected(
        &mut self,
        x: &Built,
        outputs: usize,
        fill: Fill,
        multiplier: f32,
    ) -> Built {
        let (k, outer) = x.shape.split_last().unwrap();
        let [w, b, m] = self.layer(&[outputs, *k], fill, multiplier);
        let shape = outer.iter().copied().chain([outputs]).collect();
        let dtype = self.random.pick(&[DType::U8, DType::I8]);
        let y = self.quantized(shape, dtype);
        self.node("fc", Op::FullyConnected(Self::bounds(dtype, 0)), vec![x.id, w, b, m], &y)
    }

    /// Addition or multiplication; `shape` is the broadcast one.
    pub(crate) fn pair(
        &mut self,
        multiply: bool,
        a: &Built,
        b: &Built,
        shape: &[usize],
        narrow: i32,
    ) -> Built {
        let dtype = self.random.pick(&[DType::U8, DType::I8]);
        let y = self.quantized(shape.to_vec(), dtype);
        let bounds = Self::bounds(dtype, narrow);
        let op = if multiply { Op::Mul(bounds) } else { Op::Add(bounds) };
        self.node("pair", op, vec![a.id, b.id], &y)
    }

    /// Product of two activations.
    pub(crate) fn matmul(&mut self, a: &Built, b: &Built, shape: Vec<usize>) -> Built {
        let dtype = self.random.pick(&[DType::U8, DType::I8]);
        let mut y = self.quantized(shape, dtype);
        if let Some(quant) = &mut y.quant {
            quant.scale *= 64.0; // some outputs saturate, most do not
        }
        self.node("matmul", Op::MatMul(Self::bounds(dtype, 0)), vec![a.id, b.id], &y)
    }

    pub(crate) fn table(&mut self, x: &Built) -> Built {
        let dtype = self.random.pick(&[DType::U8, DType::I8]);
        let table = self.tensor(&[256], dtype, Fill::Any);
        let table = self.constant(table);
        let y = self.quantized(x.shape.clone(), dtype);
        self.node("table", Op::Table, vec![x.id, table], &y)
    }

    pub(crate) fn pool(&mut self, x: &Built, max: bool, pool: Pool) -> Built {
        let extent = output_extent(&pool.window, [x.shape[2], x.shape[3]], pool.ceil_mode).unwrap();
        let shape = vec![x.shape[0], x.shape[1], extent.output[0], extent.output[1]];
        match (max, x.dtype) {
            (true, _) => self.node("max", Op::MaxPool(pool), vec![x.id], &Built { shape, ..x.clone() }),
            (false, DType::F32) => {
                let op = Op::Float(FloatOp::AveragePool(pool));
                self.node("mean", op, vec![x.id], &Built { shape, ..x.clone() })
            }
            (false, dtype) => {
                let y = self.quantized(shape, dtype);
                self.node("mean", Op::AveragePool(pool), vec![x.id], &y)
            }
        }
    }

    pub(crate) fn global_pool(&mut self, x: &Built) -> Built {
        let shape = x.shape.iter().enumerate().map(|(i, &n)| if i < 2 { n } else { 1 }).collect();
        let y = self.quantized(shape, x.dtype);
        self.node("gap", Op::GlobalAveragePool, vec![x.id], &y)
    }

    pub(crate) fn concat(&mut self, parts: &[&Built], axis: usize) -> Built {
        let mut shape = parts[0].shape.clone();
        shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
        let ids = parts.iter().map(|part| part.id).collect();
        let negative = axis as i64 - shape.len() as i64;
        self.node("concat", Op::Concat { axis: negative }, ids, &Built { shape, ..parts[0].clone() })
    }

    pub(crate) fn reshape(&mut self, x: &Built, shape: &[usize]) -> Built {
        let op = Op::Reshape { shape: shape.iter().map(|&n| n as i64).collect(), allow_zero: false };
        self.node("reshape", op, vec![x.id], &Built { shape: shape.to_vec(), ..x.clone() })
    }

    pub(crate) fn flatten(&mut self, x: &Built) -> Built {
        let shape = vec![x.shape[0], x.shape[1..].iter().product()];
        self.node("flatten", Op::Flatten { axis: 1 }, vec![x.id], &Built { shape, ..x.clone() })
    }

    pub(crate) fn transpose(&mut self, x: &Built, perm: &[usize]) -> Built {
        let shape = perm.iter().map(|&axis| x.shape[axis]).collect();
        let op = Op::Transpose { perm: perm.to_vec() };
        self.node("transpose", op, vec![x.id], &Built { shape, ..x.clone() })
    }

    pub(crate) fn dequantize(&mut self, x: &Built) -> Built {
        let y = Built { dtype: DType::F32, quant: None, ..x.clone() };
        self.node("dq", Op::Dequantize { axis: None }, vec![x.id], &y)
    }

    pub(crate) fn quantize(&mut self, x: &Built, dtype: DType) -> Built {
        let y = self.quantized(x.shape.clone(), dtype);
        self.node("q", Op::Quantize { axis: None }, vec![x.id], &y)
    }

    pub(crate) fn float(&mut self, x: &Built) -> Built {
        let unary = |op| (Op::Float(FloatOp::Unary(op)), vec![x.id]);
        let (op, inputs) = match self.random.below(5) {
            0 => unary(UnaryOp::Sigmoid),
            1 => unary(UnaryOp::HardSwish),
            2 => (Op::Float(FloatOp::Binary(BinaryOp::Mul)), vec![x.id, x.id]),
            3 => (Op::Float(FloatOp::Softmax { axis: 1, to_end: false }), vec![x.id]),
            _ => (Op::Float(FloatOp::Binary(BinaryOp::Add)), vec![x.id, x.id]),
        };
        self.node("float", op, inputs, x)
    }
}

pub(crate) fn window(
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    pads: [usize; 4],
) -> Window {
    Window { kernel, strides, dilations, pads: Pads::Explicit(pads) }
}
