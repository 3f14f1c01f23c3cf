//! Convolutions.

use std::sync::Arc;

use tilemark_kernels::CONV;
use tilemark_model::graph::{Bounds, Conv};
use tilemark_model::{Op, shape};

use super::epilogue::Epilogue;
use super::{Arg, Kernel, Launch, Needs, Site, every_element, int, place, size};
use crate::error::Error;
use crate::opencl::api::Buffer;
use crate::opencl::launch::ProgramKey;
use crate::plan::stored_zero_point;

pub(super) const KERNELS: &[Kernel] = &[Kernel { name: "conv/opencl", needs: Needs::Nothing, build: plain }];

/// One output element an item, for any geometry.
fn plain(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let (conv, bounds) = parts(site)?;
    let step = site.step;
    let pack = || {
        // [O, C, KH, KW] to [O, KH, KW, C]
        let [outputs, channels, height, width] = weight_shape(site)?;
        let weights = weights(site)?;
        let taps = height * width;
        let mut packed = vec![0u8; weights.len()];
        for o in 0..outputs {
            for c in 0..channels {
                for tap in 0..taps {
                    packed[(o * taps + tap) * channels + c] = weights[(o * channels + c) * taps + tap];
                }
            }
        }
        site.opened.constants(&packed)
    };
    let weights = step.packed("conv/opencl", pack)?;
    let epilogue = Epilogue::new(site, bounds, site.output.layout.grid.channels)?;
    let args = arguments(site, conv, weights, &epilogue)?;
    let program = ProgramKey::new(CONV, "");
    Ok(Some(vec![Launch {
        program,
        entry: "conv_plain",
        args,
        global: every_element(site.output),
        local: None,
    }]))
}

/// The arguments that all entry points of `conv.cl` have in common.
fn arguments(
    site: &Site<'_>,
    conv: &Conv,
    weights: Arc<Buffer>,
    epilogue: &Epilogue,
) -> Result<Vec<Arg>, Error> {
    let (x, y, step) = (&site.inputs[0], site.output, site.step);
    let [outputs, channels, height, width] = weight_shape(site)?;
    let grid = x.layout.grid;
    let missing = || Error::internal(&step.node.name, "has a window that does not fit");
    let extent = shape::output_extent(&conv.window, [grid.rows, grid.columns], false).ok_or_else(missing)?;
    let zero = stored_zero_point(step.graph, step.node.inputs[0])?;
    let ints = |numbers: [usize; 4]| Arg::Int4(numbers.map(int));
    let [strides, dilations] = [conv.window.strides, conv.window.dilations];
    let mut args = vec![Arg::Arena, Arg::Constants(weights)];
    args.extend(epilogue.constants());
    args.extend([size(x), place(x), size(y), place(y)]);
    args.push(ints([height, width, channels, outputs / conv.groups]));
    args.push(ints([strides[0], strides[1], dilations[0], dilations[1]]));
    args.push(Arg::Int4([int(extent.before[0]), int(extent.before[1]), zero, 0]));
    args.extend(epilogue.tail());
    Ok(args)
}

fn parts<'a>(site: &Site<'a>) -> Result<(&'a Conv, Bounds), Error> {
    match &site.step.node.op {
        Op::Conv(conv, bounds) => Ok((conv, *bounds)),
        _ => Err(Error::internal(&site.step.node.name, "is no convolution")),
    }
}

/// Output channels, input channels of a group, rows and columns of the kernel.
fn weight_shape(site: &Site<'_>) -> Result<[usize; 4], Error> {
    let shape = site.step.shapes.of(site.step.node.inputs[1]);
    shape.try_into().map_err(|_| Error::internal(&site.step.node.name, "has weights of another rank"))
}

fn weights<'a>(site: &Site<'a>) -> Result<&'a [u8], Error> {
    let missing = || Error::internal(&site.step.node.name, "lacks its weights");
    site.step.graph.constant_bytes(site.step.node.inputs[1]).ok_or_else(missing)
}
