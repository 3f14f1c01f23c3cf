//! The known-answer test's network: small, with every hazard in it, on a device and on the reference interpreter.

use std::sync::Arc;

use tilemark_model::graph::{Bounds, Conv, Draft, Pads, Window};
use tilemark_model::{DType, Data, Graph, Op, Port, Quant, Tensor, ValueId, graph, reference};

use crate::compiled::Compiled;
use crate::device::Device;
use crate::error::Error;
use crate::opencl::Opened;

/// Side of the test picture.
const SIDE: usize = 9;
/// Channels of the test picture: odd, so that every vector width has a tail.
const CHANNELS: usize = 19;

/// Makes sure that a device computes right: a padded convolution, a depthwise one, a residual add and a mean, over extreme and
/// tying values; on an OpenCL device first its arithmetic, operation by operation. There the outcome is kept, by the process and
/// in the device's store, and costs nothing the second time.
///
/// # Errors
/// [`Error::DeviceFails`] if the device computes anything else than the reference, otherwise what keeps it from computing.
pub fn known_answer(device: &Device) -> Result<(), Error> {
    if device.open()?.is_some() {
        return Ok(()); // opening is testing
    }
    let reason = |tensor| format!("it computes `{tensor}` of the test network wrongly");
    match differs(|graph| Compiled::new(graph, device))? {
        None => Ok(()),
        Some(tensor) => Err(Error::DeviceFails { device: device.id(), reason: reason(tensor) }),
    }
}

/// The first output of the network that an OpenCL device gives wrongly.
pub(crate) fn on_device(opened: &Arc<Opened>) -> Result<Option<String>, Error> {
    differs(|graph| Compiled::on(graph, opened))
}

fn differs(compile: impl FnOnce(Arc<Graph>) -> Result<Compiled, Error>) -> Result<Option<String>, Error> {
    let graph = Arc::new(network()?);
    let input = Tensor::u8([1, CHANNELS, SIDE, SIDE], bytes(CHANNELS * SIDE * SIDE).collect())?;
    let expected = reference::run(&graph, vec![input.clone()])?;
    let found = compile(Arc::clone(&graph))?.session()?.run(&[input])?;
    let mut outputs = graph.outputs.iter().zip(found.iter().zip(&expected));
    Ok(outputs.find(|(_, (found, expected))| found != expected).map(|(port, _)| port.name.clone()))
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
pub(crate) fn bytes(n: usize) -> impl Iterator<Item = u8> {
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
