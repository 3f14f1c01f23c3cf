//! What tests of several crates share. Nothing here is shipped.
//!
//! [`catalogue`] writes stores of many listings, [`emulation`] makes targets for the simulated FPGA and Intel's emulator, [`onnx`] builds small ONNX models in a few lines, [`random`] gives the same numbers in Rust and in the Python
//! oracles, [`tagger`] holds the committed network's inputs and what ONNX Runtime computed from them, and
//! [`node_tests`] runs ONNX's own conformance cases.

pub mod catalogue;
pub mod console;
pub mod emulation;
pub mod fuzz;
pub mod metadata;
pub mod networks;
pub mod node_tests;
pub mod onnx;
pub mod opencl;
pub mod operators;
pub mod random;
pub mod tagger;
pub mod temp;
