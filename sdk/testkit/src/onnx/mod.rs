//! Builds ONNX models on the message types of `tilemark_model::onnx`, one line an operator.
//!
//! ```
//! use tilemark_testkit::onnx::{Builder, Quantization};
//! use tilemark_testkit::random::SplitMix64;
//!
//! let mut random = SplitMix64::new(7);
//! let mut net = Builder::new(13);
//! let x = net.input("x", &[1, 3, 8, 8]);
//! let x = net.qdq(&x, Quantization::u8(0.02, 128));
//! let y = net.conv(&x, &mut random, [4, 3, 3, 3]).pads([1; 4]).strides([2, 2]).add();
//! let y = net.unary("Relu", &y);
//! let y = net.qdq(&y, Quantization::u8(0.1, 0));
//! net.output(&y);
//! let graph = tilemark_model::import(&net.encode()).unwrap();
//! assert!(graph.nodes.iter().any(|node| node.op.name() == "Conv"));
//! ```

pub mod float_net;
mod layers;
mod messages;

use prost::Message;
use tilemark_model::onnx::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto,
    from_tensor,
};
use tilemark_model::{DType, Tensor};

pub use layers::ConvLayer;
pub use messages::{float, int, ints, port, string, tensor};

/// Scale, zero point and element type of an activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// `U8` or `I8`.
    pub dtype: DType,
    /// Real units per step.
    pub scale: f32,
    /// The integer that stands for 0.0.
    pub zero_point: i32,
}

impl Quantization {
    /// For unsigned bytes.
    #[must_use]
    pub const fn u8(scale: f32, zero_point: i32) -> Self {
        Self { dtype: DType::U8, scale, zero_point }
    }

    /// For signed bytes.
    #[must_use]
    pub const fn i8(scale: f32, zero_point: i32) -> Self {
        Self { dtype: DType::I8, scale, zero_point }
    }
}

/// A model under construction. Methods that add a node return the name of what it writes.
#[derive(Clone, Debug)]
pub struct Builder {
    opset: i64,
    graph: GraphProto,
    made: usize,
}

impl Builder {
    /// An empty model of an opset.
    #[must_use]
    pub fn new(opset: i64) -> Self {
        let graph = GraphProto { name: "test".into(), ..GraphProto::default() };
        Self { opset, graph, made: 0 }
    }

    /// Adds an f32 input of fixed shape.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> String {
        self.typed_input(name, DType::F32, shape)
    }

    /// Adds an input of fixed shape and any type.
    pub fn typed_input(&mut self, name: &str, dtype: DType, shape: &[usize]) -> String {
        let dims =
            shape.iter().map(|&n| DimensionProto { dim_value: i64::try_from(n).ok(), dim_param: None });
        self.graph.input.push(port(name, dtype, dims.collect()));
        name.to_owned()
    }

    /// Adds an f32 input whose first axis is dynamic, under the name `batch`.
    pub fn batched_input(&mut self, name: &str, rest: &[usize]) -> String {
        self.dynamic_input(name, &[&[0], rest].concat(), &[(0, "batch")])
    }

    /// Adds an f32 input of which some axes are dynamic, under these names.
    pub fn dynamic_input(&mut self, name: &str, shape: &[usize], axes: &[(usize, &str)]) -> String {
        self.input(name, shape);
        let shape = self.graph.input.last_mut().and_then(|port| port.r#type.as_mut());
        if let Some(shape) = shape.and_then(|t| t.tensor_type.as_mut()).and_then(|t| t.shape.as_mut()) {
            for &(axis, name) in axes {
                shape.dim[axis] = DimensionProto { dim_value: None, dim_param: Some(name.into()) };
            }
        }
        name.to_owned()
    }

    /// Declares an output.
    pub fn output(&mut self, name: &str) {
        self.graph.output.push(ValueInfoProto { name: name.to_owned(), r#type: None });
    }

    /// Adds a constant under a name made for it.
    pub fn constant(&mut self, tensor: &Tensor) -> String {
        let name = self.name("const");
        self.graph.initializer.push(from_tensor(&name, tensor));
        name
    }

    /// Adds a scalar f32 constant.
    pub fn scalar(&mut self, value: f32) -> String {
        let tensor = Tensor::f32([], vec![value]).expect("a scalar has one element");
        self.constant(&tensor)
    }

    /// Adds a node of one output.
    pub fn node(&mut self, op: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> String {
        let output = self.name(&op.to_lowercase());
        self.graph.node.push(NodeProto {
            name: format!("{output}.node"),
            op_type: op.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.clone()],
            attribute,
            domain: String::new(),
        });
        output
    }

    /// Adds a node of several outputs.
    pub fn outputs_of<const N: usize>(
        &mut self,
        op: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) -> [String; N] {
        let first = self.node(op, inputs, attribute);
        let names = std::array::from_fn(|k| if k == 0 { first.clone() } else { format!("{first}.{k}") });
        if let Some(node) = self.graph.node.last_mut() {
            node.output = names.to_vec();
        }
        names
    }

    /// Gives the value that a node wrote another name, for tests that look it up.
    pub fn rename(&mut self, from: &str, to: &str) -> String {
        let nodes = self.graph.node.iter_mut();
        for name in nodes.flat_map(|node| node.input.iter_mut().chain(&mut node.output)) {
            if name == from {
                to.clone_into(name);
            }
        }
        to.to_owned()
    }

    /// The model as messages, for tests that damage it.
    #[must_use]
    pub fn model(&self) -> ModelProto {
        ModelProto {
            ir_version: 8,
            producer_name: "tilemark-testkit".into(),
            graph: Some(self.graph.clone()),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: self.opset }],
        }
    }

    /// The model as a file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.model().encode_to_vec()
    }

    fn name(&mut self, stem: &str) -> String {
        self.made += 1;
        format!("{stem}_{}", self.made)
    }
}
