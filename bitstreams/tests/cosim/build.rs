//! Graphs of a few layers, with everything chosen by the caller.

use tilemark_model::graph::{Bounds, Conv, Dim, Draft, Pool, Window, eight_bit};
use tilemark_model::shape::output_extent;
use tilemark_model::{DType, Data, Op, Port, Quant, Tensor, ValueId};
use tilemark_testkit::random::SplitMix64;

use super::lower::Case;

/// What bytes are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fill {
    /// Anything.
    Any,
    /// The type's ends.
    Extreme,
    /// -1, 0, 1 of weights, so that sums are small and ties many; anything of activations.
    Small,
}

/// A value of the graph.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) id: ValueId,
    pub(crate) shape: Vec<usize>,
}

/// A convolution.
#[derive(Clone, Debug)]
pub(crate) struct ConvSpec {
    pub(crate) outputs: usize,
    pub(crate) groups: usize,
    pub(crate) window: Window,
    pub(crate) fill: Fill,
    pub(crate) dtype: DType,
}

pub(crate) struct Builder {
    pub(crate) random: SplitMix64,
    draft: Draft,
    inputs: Vec<Tensor>,
}

impl Builder {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: SplitMix64::new(seed), draft: Draft::default(), inputs: Vec::new() }
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len())]
    }

    pub(crate) fn dtype(&mut self) -> DType {
        self.pick(&[DType::U8, DType::I8])
    }

    fn bytes(&mut self, n: usize, dtype: DType, fill: Fill) -> Data {
        let (lo, hi) = dtype.range().unwrap();
        let random = &mut self.random;
        let values: Vec<i32> = (0..n)
            .map(|_| match fill {
                Fill::Extreme => [lo, hi][random.below(2)],
                _ => random.int(lo, hi),
            })
            .collect();
        eight_bit(dtype, values.into_iter())
    }

    fn quant(&mut self, dtype: DType) -> Quant {
        let (lo, hi) = dtype.range().unwrap();
        let zero_point = match self.random.below(4) {
            0 => lo,
            1 => hi,
            _ => self.random.int(lo, hi),
        };
        let scales = [0.5, 0.25, 0.1, 0.037, 1.0 / 3.0, 0.061_3];
        Quant { scale: self.pick(&scales), zero_point }
    }

    pub(crate) fn input(&mut self, shape: &[usize], dtype: DType, fill: Fill) -> Built {
        let quant = self.quant(dtype);
        let name = format!("x{}", self.inputs.len());
        let id = self.draft.activation(&name, dtype, Some(quant));
        let dims = shape.iter().map(|&n| Dim::Fixed(n)).collect();
        self.draft.inputs.push(Port { name, value: id, dtype, shape: dims });
        let data = self.bytes(shape.iter().product(), dtype, fill);
        self.inputs.push(Tensor::new(shape, data).unwrap());
        Built { id, shape: shape.to_vec() }
    }

    fn node(&mut self, op: Op, inputs: Vec<ValueId>, dtype: DType, shape: Vec<usize>, quant: Quant) -> Built {
        let name = format!("n{}", self.draft.nodes.len());
        let id = self.draft.activation(format!("{name}:y"), dtype, Some(quant));
        self.draft.node(name, op, inputs, id);
        Built { id, shape }
    }

    fn bounds(&mut self, dtype: DType) -> Bounds {
        let (lo, hi) = dtype.range().unwrap();
        match self.random.below(3) {
            0 => Bounds { lo: lo + 20, hi: hi - 31 },
            _ => Bounds { lo, hi },
        }
    }

    /// Multipliers that bring sums of `k` products to about the width of a byte; every third a power of two, for ties.
    fn multipliers(&mut self, outputs: usize, k: usize, fill: Fill) -> Vec<f32> {
        let spread = match fill {
            Fill::Small => 90.0 * (k as f32).sqrt(),
            Fill::Any => 5400.0 * (k as f32).sqrt(),
            Fill::Extreme => 16000.0 * k as f32,
        };
        (0..outputs)
            .map(|i| {
                let m = (0.5 + self.random.unit()) * 120.0 / spread;
                if i % 3 == 0 { f32::from_bits(m.to_bits() & 0xff80_0000) } else { m }
            })
            .collect()
    }

    fn layer(&mut self, weights: Vec<usize>, fill: Fill) -> [ValueId; 3] {
        let outputs = weights[0];
        let k: usize = weights[1..].iter().product();
        let n = outputs * k;
        let w: Vec<i8> = match fill {
            Fill::Any => (0..n).map(|_| self.random.int(-128, 127) as i8).collect(),
            Fill::Extreme => (0..n).map(|_| [-128, 127][self.random.below(2)]).collect(),
            Fill::Small => (0..n).map(|_| self.random.int(-1, 1) as i8).collect(),
        };
        let wild = self.random.below(12) == 0;
        let bias = (0..outputs)
            .map(|_| match wild {
                true => self.random.bits() as i32, // which may wrap
                false => self.random.int(-1000, 1000),
            })
            .collect();
        let multipliers = match wild {
            true => vec![1.0e-7; outputs],
            false => self.multipliers(outputs, k, fill),
        };
        let w = Tensor::new(weights, Data::I8(w)).unwrap();
        let bias = Tensor::new([outputs], Data::I32(bias)).unwrap();
        let multipliers = Tensor::f32([outputs], multipliers).unwrap();
        let name = self.draft.values.len();
        let mut i = 0;
        [w, bias, multipliers].map(|tensor| {
            i += 1;
            self.draft.constant(format!("c{name}.{i}"), tensor)
        })
    }

    pub(crate) fn conv(&mut self, x: &Built, spec: &ConvSpec) -> Built {
        let [kh, kw] = spec.window.kernel;
        let [w, b, m] = self.layer(vec![spec.outputs, x.shape[1] / spec.groups, kh, kw], spec.fill);
        let extent = output_extent(&spec.window, [x.shape[2], x.shape[3]], false).unwrap();
        let shape = vec![1, spec.outputs, extent.output[0], extent.output[1]];
        let conv = Conv { window: spec.window.clone(), groups: spec.groups };
        let (bounds, quant) = (self.bounds(spec.dtype), self.quant(spec.dtype));
        self.node(Op::Conv(conv, bounds), vec![x.id, w, b, m], spec.dtype, shape, quant)
    }

    pub(crate) fn fully_connected(&mut self, x: &Built, outputs: usize, fill: Fill) -> Built {
        let [w, b, m] = self.layer(vec![outputs, x.shape[1]], fill);
        let dtype = self.dtype();
        let (bounds, quant) = (self.bounds(dtype), self.quant(dtype));
        self.node(Op::FullyConnected(bounds), vec![x.id, w, b, m], dtype, vec![1, outputs], quant)
    }

    pub(crate) fn table(&mut self, x: &Built) -> Built {
        let dtype = self.dtype();
        let data = self.bytes(256, dtype, Fill::Any);
        let name = self.draft.values.len();
        let table = self.draft.constant(format!("t{name}"), Tensor::new([256], data).unwrap());
        let quant = self.quant(dtype);
        self.node(Op::Table, vec![x.id, table], dtype, x.shape.clone(), quant)
    }

    pub(crate) fn add(&mut self, a: &Built, b: &Built) -> Built {
        let dtype = self.dtype();
        let mut quant = self.quant(dtype);
        quant.scale *= self.pick(&[0.5, 1.0, 2.0, 4.0, 3.3]);
        let bounds = self.bounds(dtype);
        self.node(Op::Add(bounds), vec![a.id, b.id], dtype, a.shape.clone(), quant)
    }

    pub(crate) fn pool(&mut self, x: &Built, max: bool, pool: Pool) -> Built {
        let extent = output_extent(&pool.window, [x.shape[2], x.shape[3]], pool.ceil_mode).unwrap();
        let shape = vec![1, x.shape[1], extent.output[0], extent.output[1]];
        let of = self.draft.value(x.id).clone();
        if max {
            return self.node(Op::MaxPool(pool), vec![x.id], of.dtype, shape, of.quant.unwrap());
        }
        let (dtype, quant) = (self.dtype(), of.quant.unwrap());
        let zero_point = self.quant(dtype).zero_point;
        let scale = quant.scale * self.pick(&[1.0, 0.5, 0.7]);
        self.node(Op::AveragePool(pool), vec![x.id], dtype, shape, Quant { scale, zero_point })
    }

    pub(crate) fn global_pool(&mut self, x: &Built) -> Built {
        let dtype = self.dtype();
        let of = self.draft.value(x.id).quant.unwrap();
        let quant = Quant { scale: of.scale * 0.3, ..self.quant(dtype) };
        self.node(Op::GlobalAveragePool, vec![x.id], dtype, vec![1, x.shape[1], 1, 1], quant)
    }

    pub(crate) fn finish(mut self, name: impl Into<String>, outputs: &[&Built]) -> Case {
        for (i, output) in outputs.iter().enumerate() {
            let dims = output.shape.iter().map(|&n| Dim::Fixed(n)).collect();
            let dtype = self.draft.value(output.id).dtype;
            self.draft.outputs.push(Port { name: format!("y{i}"), value: output.id, dtype, shape: dims });
        }
        let name = name.into();
        let graph = self.draft.freeze().unwrap_or_else(|error| panic!("{name}: {error}"));
        Case { name, graph, inputs: self.inputs }
    }
}
