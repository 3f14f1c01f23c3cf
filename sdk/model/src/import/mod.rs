//! ONNX to graph, in two steps: each node is lowered to what it says in ONNX's own terms (f32 operations between
//! Quantize and Dequantize), then [`crate::passes`] turn what is quantized into 8-bit operations.

mod attributes;
mod lowering;
mod ops;
mod qoperator;

pub use ops::SUPPORTED;

use crate::error::Error;
use crate::graph::Graph;
use crate::onnx;
use crate::passes::{self, Applied};

/// Oldest ONNX operator set read. What an operator meant before opset 7 is read where it means the same today; an attribute
/// that only older opsets have is refused by name.
pub const MIN_OPSET: i64 = 1;
/// Newest ONNX operator set read.
pub const MAX_OPSET: i64 = 21;

/// An imported model.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The graph.
    pub graph: Graph,
    /// What each pass changed, in the order they ran.
    pub passes: Vec<Applied>,
}

/// Imports an ONNX file.
///
/// # Errors
/// [`Error::UnsupportedOp`] names the first node that cannot be imported and what would be; the others say what is
/// wrong with the file.
pub fn import(bytes: &[u8]) -> Result<Graph, Error> {
    import_traced(bytes).map(|imported| imported.graph)
}

/// Imports an ONNX file and tells what the passes did.
///
/// # Errors
/// Those of [`import`].
pub fn import_traced(bytes: &[u8]) -> Result<Imported, Error> {
    import_model(&onnx::decode(bytes)?)
}

/// Imports a decoded ONNX model.
///
/// # Errors
/// Those of [`import`].
pub fn import_model(model: &onnx::ModelProto) -> Result<Imported, Error> {
    let mut draft = lowering::lower(model)?;
    let passes = passes::run(&mut draft)?;
    Ok(Imported { graph: draft.freeze()?, passes })
}
