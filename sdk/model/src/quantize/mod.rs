//! Post-training quantization, the part that needs no data: a float model is brought into a simple form, the tensors
//! that an integer network needs are found, and what calibration learnt is written as a standard QDQ model.
//!
//! ```text
//! ONNX bytes --FloatModel::read--> FloatModel (opset 13, constants inline, BatchNormalization folded)
//!            --Placement::of-----> Placement (layers, tensors that get Quantize and Dequantize, what stays float)
//!            --Range::quant, Histogram--> one scale and zero point a group of tensors
//!            --write-------------> ONNX with QuantizeLinear and DequantizeLinear
//! ```
//! Data and threads are the caller's business: it runs [`FloatModel::graph`], which keeps ONNX's names, with [`Forward`].

mod convolution;
mod edit;
mod equalize;
mod forward;
mod histogram;
mod normalization;
mod opset;
mod placement;
mod prepare;
mod range;
mod weights;
mod write;

pub use equalize::equalize;
pub use forward::Forward;
pub use histogram::{BINS, Histogram, Method};
pub use placement::{Layer, Placement, QuantizedTensor, StaysFloat};
pub use prepare::FloatModel;
pub use range::Range;
pub use weights::{QuantizedLayer, quantize_layer};
pub use write::{Parameters, write};
