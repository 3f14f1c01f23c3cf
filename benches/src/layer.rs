//! Single layers as networks of their own: what the suites about kernels measure.

use tilemark_model::graph::{Bounds, Conv, Dim, Draft, Pads, Window};
use tilemark_model::{DType, Data, Graph, Op, Port, Quant, Tensor};

use crate::bytes;

/// One layer with weights of every value. Multipliers bring sums into the range of a byte.
#[derive(Clone, Debug)]
pub enum Layer {
    /// A convolution, dense, grouped or depthwise, of one image.
    Conv {
        /// Window and groups.
        conv: Conv,
        /// Channels, height, width.
        input: [usize; 3],
        /// Channels of the output.
        outputs: usize,
    },
    /// A fully connected layer.
    FullyConnected {
        /// Rows of the input: the batch.
        rows: usize,
        /// Products of each output.
        depth: usize,
        /// Columns of the output.
        outputs: usize,
    },
}

impl Layer {
    /// A convolution of a square image with a square window, padded so that stride 1 keeps the size.
    #[must_use]
    pub fn conv(side: usize, channels: usize, outputs: usize, kernel: usize, stride: usize) -> Self {
        Self::square(side, channels, outputs, kernel, stride, 1)
    }

    /// The same with a window for each channel.
    #[must_use]
    pub fn depthwise(side: usize, channels: usize, kernel: usize, stride: usize) -> Self {
        Self::square(side, channels, channels, kernel, stride, channels)
    }

    fn square(
        side: usize,
        channels: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        groups: usize,
    ) -> Self {
        let window = Window {
            kernel: [kernel; 2],
            strides: [stride; 2],
            dilations: [1; 2],
            pads: Pads::Explicit([kernel / 2; 4]),
        };
        Layer::Conv { conv: Conv { window, groups }, input: [channels, side, side], outputs }
    }

    /// Its name: `kind/input -> outputs, kernel, stride`.
    #[must_use]
    pub fn name(&self) -> String {
        let (conv, [channels, height, width], outputs) = match self {
            Layer::Conv { conv, input, outputs } => (conv, *input, *outputs),
            Layer::FullyConnected { rows, depth, outputs } => {
                return format!("fully connected/{rows}x{depth} -> {outputs}");
            }
        };
        let Window { kernel, strides, .. } = &conv.window;
        let kind = match (conv.groups, kernel) {
            (groups, _) if groups > 1 && groups == channels => "depthwise",
            (1, [1, 1]) => "pointwise",
            (1, _) => "dense",
            _ => "grouped",
        };
        format!(
            "{kind}/{height}x{width}x{channels} -> {outputs}, {}x{}, {}",
            kernel[0], kernel[1], strides[0]
        )
    }

    /// An input of all byte values.
    ///
    /// # Panics
    /// If the layer is no layer.
    #[must_use]
    pub fn input(&self) -> Tensor {
        let shape = self.input_shape();
        let count = shape.iter().product();
        Tensor::u8(shape, bytes(count).collect()).expect("as many bytes as elements")
    }

    fn input_shape(&self) -> Vec<usize> {
        match self {
            Layer::Conv { input: [channels, height, width], .. } => vec![1, *channels, *height, *width],
            Layer::FullyConnected { rows, depth, .. } => vec![*rows, *depth],
        }
    }

    /// The layer alone.
    ///
    /// # Panics
    /// If its shapes do not fit each other.
    #[must_use]
    pub fn graph(&self) -> Graph {
        let bounds = Bounds { lo: 0, hi: 255 };
        let (op, weights, outputs) = match self {
            Layer::Conv { conv, input, outputs } => {
                let [height, width] = conv.window.kernel;
                let shape = vec![*outputs, input[0] / conv.groups, height, width];
                (Op::Conv(conv.clone(), bounds), shape, *outputs)
            }
            Layer::FullyConnected { depth, outputs, .. } => {
                (Op::FullyConnected(bounds), vec![*outputs, *depth], *outputs)
            }
        };
        let values = bytes(weights.iter().product()).map(|byte| byte.cast_signed().max(-127));
        let constants = [
            Tensor::new(weights, Data::I8(values.collect())),
            Tensor::new([outputs], Data::I32(bytes(outputs).map(i32::from).collect())),
            Tensor::f32([outputs], vec![1e-3; outputs]),
        ];
        let mut draft = Draft { name: "layer".into(), ..Draft::default() };
        let quant = Some(Quant { scale: 0.5, zero_point: 128 });
        let x = draft.activation("x", DType::U8, quant);
        let y = draft.activation("y", DType::U8, quant);
        let mut inputs = vec![x];
        for (tensor, name) in constants.into_iter().zip(["weights", "bias", "multipliers"]) {
            inputs.push(draft.constant(name, tensor.expect("as many elements as the shape says")));
        }
        draft.node("layer", op, inputs, y);
        let shape = self.input_shape().into_iter().map(Dim::Fixed).collect();
        draft.inputs.push(Port { name: "x".into(), value: x, dtype: DType::U8, shape });
        draft.outputs.push(Port { name: "y".into(), value: y, dtype: DType::U8, shape: Vec::new() });
        draft.freeze().expect("a valid graph")
    }
}
