//! Limits on what a model may ask for. Each bounds memory or time that a hostile file could otherwise claim.

/// Largest ONNX file read, in bytes: several times the largest CNN in use, far below what exhausts a machine.
pub const MAX_ONNX_BYTES: usize = 1 << 30;
/// Most elements (and so at least as many bytes) in one tensor.
pub const MAX_TENSOR_BYTES: usize = 1 << 29;
/// Bytes of all activations of one inference together, in the reference interpreter.
pub const MAX_ACTIVATION_BYTES: usize = 1 << 32;
/// Bytes of all tensors of one inference whose shapes depend on values: no plan can reckon with them. Far above the boxes
/// of any detector.
pub const MAX_LATE_BYTES: u64 = 1 << 28;
/// Most axes of a tensor; ONNX models in use have at most 6.
pub const MAX_RANK: usize = 8;
/// Most nodes in a graph; the largest CNN exports have a few thousand.
pub const MAX_NODES: usize = 65_536;
/// Fields of an ONNX file that make strings or structures in memory (64 and more bytes from 2 in the file); the largest
/// CNN exports have a tenth.
pub const MAX_ONNX_MESSAGES: usize = 1 << 20;
/// All other fields of an ONNX file.
pub const MAX_ONNX_FIELDS: usize = 1 << 24;
/// Bytes of packed integers in an ONNX file, each of which can become 8 in memory. Weights come as raw bytes.
pub const MAX_ONNX_PACKED_BYTES: usize = 1 << 27;
/// Bytes of all constants of a model while it is imported, those that import makes included: a small file can name one
/// constant many times.
pub const MAX_CONSTANT_BYTES: u64 = 1 << 31;
/// How much larger than the model's own constants those may be, all together, that import computes from constants. Weights
/// that are dequantized and turned come to 9 times their bytes.
pub const MAX_FOLDED_GROWTH: u64 = 16;
/// Bytes that import computes from constants whatever the model's own: tables and grids.
pub const SMALL_FOLDED_BYTES: u64 = 1 << 24;
/// Multiply-accumulates, or elements moved, that import spends on computing constants: seconds.
pub const MAX_FOLDED_WORK: u64 = 1 << 32;
/// Most inputs, and most outputs.
pub const MAX_PORTS: usize = 1024;
/// Most values (tensors) in a graph.
pub const MAX_VALUES: usize = 262_144;
/// Longest name of a node or value kept, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;
/// Multiply-accumulates, and elements looked at by pooling windows, of one inference: 10^13, minutes of work on one core.
pub const MAX_MACS: u64 = 10_000_000_000_000;
/// Smallest scale. Together with the checks that multipliers are normal and scale ratios moderate, no product of a
/// nonzero integer is subnormal, so flushing denormals cannot change a result.
pub const MIN_SCALE: f32 = 7.888_609e-31; // 2^-100
/// Largest scale, for the same reason at the other end.
pub const MAX_SCALE: f32 = 1.267_650_6e30; // 2^100
/// Longest sum of a matrix product of two activations: 33,025 products of 255 * 255 stay below 2^31.
pub const MAX_MATMUL_INNER: usize = 33_025;
/// Largest multiplier of an 8-bit value in additions and products, and of a sum in means: with it every result is far
/// inside 32 bits, where all machines convert floats to integers alike.
pub const MAX_RATIO: f32 = 4_194_304.0; // 2^22
