//! ONNX import, the integer graph, its exact semantics, and the reference interpreter.
//!
//! The scalar interpreter in [`mod@reference`] *is* the specification of every operation: each kernel of each
//! backend must equal its bytes. [`numerics`] holds the few formulas that decide those bytes.
//!
//! ```text
//! ONNX bytes --onnx--> ModelProto --import--> Draft (ONNX's own semantics, Q/DQ nodes)
//!            --passes--> Draft (8-bit operations) --freeze--> Graph --shape--> Shapes --reference--> tensors
//! ```

/// The examples of the page that states the numerics for users run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/numerics.md")]
pub mod contract {}

pub mod error;
pub mod explain;
pub mod graph;
pub mod import;
pub mod limits;
pub mod numerics;
pub mod onnx;
pub mod passes;
pub mod quantize;
pub mod random;
pub mod reference;
pub mod shape;
pub mod tensor;
pub mod view;

pub use error::Error;
pub use graph::{Graph, Node, Op, Port, Value, ValueId};
pub use import::import;
pub use shape::Shapes;
pub use tensor::{Coded, DType, Data, Quant, Tensor};
pub use view::{DataView, TensorView};
