//! Limits on what a model may ask for. Each bounds memory or time that a hostile file could otherwise claim.

/// Largest ONNX file read, in bytes: several times the largest CNN in use, far below what exhausts a machine.
pub const MAX_ONNX_BYTES: usize = 1 << 30;
/// Most elements (and so at least as many bytes) in one tensor.
pub const MAX_TENSOR_BYTES: usize = 1 << 29;
/// Bytes of all activations of one inference together, in the reference interpreter.
pub const MAX_ACTIVATION_BYTES: usize = 1 << 32;
/// Most axes of a tensor; ONNX models in use have at most 6.
pub const MAX_RANK: usize = 8;
/// Most nodes in a graph; the largest CNN exports have a few thousand.
pub const MAX_NODES: usize = 65_536;
/// Most values (tensors) in a graph.
pub const MAX_VALUES: usize = 262_144;
/// Longest name of a node or value kept, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;
/// Multiply-accumulates of one inference: 10^13, minutes of work on one core.
pub const MAX_MACS: u64 = 10_000_000_000_000;
/// Smallest scale: with it no product of scales is subnormal, so flushing denormals cannot change a result.
pub const MIN_SCALE: f32 = 7.888_609e-31; // 2^-100
/// Largest scale, for the same reason at the other end.
pub const MAX_SCALE: f32 = 1.267_650_6e30; // 2^100
