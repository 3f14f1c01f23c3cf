//! The known-answer test: a small network with every hazard in it, on a device and on the reference interpreter.

use std::sync::Arc;

use tilemark_engine::{Compiled, Device};
use tilemark_model::graph::{Bounds, Conv, Draft, Pads, Window};
use tilemark_model::{DType, Data, Graph, Op, Port, Quant, Tensor, ValueId, graph, reference};

use crate::error::Error;

/// Side of the test picture.
const SIDE: usize = 9;
/// Channels of the test picture: odd, so that every vector width has a tail.
const CHANNELS: usize = 19;

/// Runs the test: a padded convolution, a depthwise one, a residual add and a mean, over extreme and tying values.
///
/// # Errors
/// [`Error::GoldenMismatch`] if the device computes anything else than the reference, [`Error::Engine`] if it fails.
pub fn known_answer(device: &Device) -> Result<(), Error> {
    let graph = Arc::new(network()?);
    let input = Tensor::u8([1, CHANNELS, SIDE, SIDE], bytes(CHANNELS * SIDE * SIDE).collect())?;
    let expected = reference::run(&graph, vec![input.clone()])?;
    let found = Compiled::new(graph, device)?.session()?.run(&[input])?;
    if found == expected {
        return Ok(());
    }
    Err(Error::GoldenMismatch {
        device: device.id(),
        vector: 0,
        tensor: "known answer".into(),
        element: String::new(),
    })
}

fn network() -> Result<Graph, Error> {
    let mut draft = Draft { name: "known-answer".into(), ..Draft::default() };
    let x = draft.activation("x", DType::U8, Some(Quant { scale: 0.5, zero_point: 127 }));
    draft.inputs.push(port("x", x, vec![1, CHANNELS, SIDE, SIDE]));
    let dense = convolution(&mut draft, "dense", x, 1)?;
    let depthwise = convolution(&mut draft, "depthwise", dense, CHANNELS)?;
    let sum = draft.activation("sum", DType::U8, Some(Quant { scale: 0.25, zero_point: 3 }));
    draft.node("sum", Op::Add(FULL), vec![dense, depthwise], sum);
    let mean = draft.activation("mean", DType::U8, Some(Quant { scale: 0.125, zero_point: 1 }));
    draft.node("mean", Op::GlobalAveragePool, vec![sum], mean);
    draft.outputs =
        [dense, depthwise, sum, mean].map(|id| port(&draft.value(id).name, id, Vec::new())).to_vec();
    Ok(draft.freeze()?)
}

const FULL: Bounds = Bounds { lo: 0, hi: 255 };

/// A padded 3x3 convolution of as many outputs as inputs. Multipliers are powers of two, so that ties are common.
fn convolution(draft: &mut Draft, name: &str, x: ValueId, groups: usize) -> Result<ValueId, Error> {
    let per_group = CHANNELS / groups;
    let weights: Vec<i8> = bytes(CHANNELS * per_group * 9).map(|b| b.cast_signed().max(-127)).collect();
    let constants = [
        Tensor::new([CHANNELS, per_group, 3, 3], Data::I8(weights))?,
        Tensor::new([CHANNELS], Data::I32((0..19).map(|i| (i - 9) * 1001).collect()))?,
        Tensor::f32([CHANNELS], (0..19).map(|i| 0.5f32.powi(6 + i % 7)).collect())?,
    ];
    let window = Window { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: Pads::Explicit([1; 4]) };
    let output = draft.activation(name, DType::U8, Some(Quant { scale: 0.5, zero_point: 64 }));
    let mut inputs = vec![x];
    for (tensor, part) in constants.into_iter().zip(["weights", "bias", "multipliers"]) {
        inputs.push(draft.constant(format!("{name}.{part}"), tensor));
    }
    draft.node(name, Op::Conv(Conv { window, groups }, FULL), inputs, output);
    Ok(output)
}

fn port(name: &str, value: ValueId, shape: Vec<usize>) -> Port {
    let shape = shape.into_iter().map(graph::Dim::Fixed).collect();
    Port { name: name.into(), value, dtype: DType::U8, shape }
}

/// All byte values, in an order without a pattern.
fn bytes(n: usize) -> impl Iterator<Item = u8> {
    (0..n).scan(7u32, |state, _| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(state.to_be_bytes()[0])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_passes() {
        known_answer(&Device::host()).unwrap();
    }

    #[test]
    fn the_network_is_no_constant() {
        let input = Tensor::u8([1, CHANNELS, SIDE, SIDE], bytes(CHANNELS * SIDE * SIDE).collect()).unwrap();
        for output in reference::run(&network().unwrap(), vec![input]).unwrap() {
            let distinct: std::collections::BTreeSet<u8> = output.to_bytes().into_iter().collect();
            assert!(distinct.len() > 10, "{} distinct values", distinct.len());
        }
    }
}
