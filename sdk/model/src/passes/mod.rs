//! Rewrites of a draft, each exact: none changes a bit of any result that the model defines in integers. One decides what
//! an f32 form means: a batch normalization is part of the weights before it, as exporters and other runtimes have it.
//!
//! They run in the order of [`PASSES`]; each is a function of its own module and is tested there.

mod alone;
pub(crate) use alone::alone;
mod elementwise;
mod fold;
mod hoist;
mod islands;
mod lift;
mod movement;
mod normalization;
mod operators;
mod ports;
mod ranks;
mod requantize;
#[cfg(test)]
mod testing;

use crate::error::Error;
use crate::graph::Draft;

/// A pass: its name, what it does, and the function, which returns how many places it rewrote.
pub struct Pass {
    /// Name, as `tilemark inspect --passes` shows it.
    pub name: &'static str,
    /// One line on what it does.
    pub summary: &'static str,
    run: fn(&mut Draft) -> Result<usize, Error>,
}

/// What a pass changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The pass.
    pub name: &'static str,
    /// How many places.
    pub rewrites: usize,
}

/// Every pass, in the order they run.
pub const PASSES: &[Pass] = &[
    Pass {
        name: "lift-lines",
        summary: "convolutions and pools over one axis become ones over images of height 1",
        run: lift::lift_lines,
    },
    Pass {
        name: "fold-normalization",
        summary: "BatchNormalization becomes part of the weights and bias before it",
        run: normalization::fold_normalization,
    },
    Pass {
        name: "drop-requantization",
        summary: "integers quantized again by the same parameters stay, and readers share one Quantize or Dequantize",
        run: requantize::drop_requantization,
    },
    Pass {
        name: "sink-dequantize",
        summary: "operations that only move or select elements work on the integers",
        run: movement::sink_dequantize,
    },
    Pass {
        name: "hoist-quantize",
        summary: "a Quantize behind a reshape, transpose or join moves before it",
        run: hoist::hoist_quantize,
    },
    Pass {
        name: "collapse-elementwise",
        summary: "element-wise operations on one 8-bit tensor, every rounding between them kept, become one table",
        run: elementwise::collapse_elementwise,
    },
    Pass {
        name: "quantize-operators",
        summary: "an operation between Dequantize and Quantize becomes an 8-bit one; Relu and Clip become its bounds",
        run: operators::quantize_operators,
    },
    Pass {
        name: "fold-constants",
        summary: "operations on constants alone are computed",
        run: fold::fold_constants,
    },
    Pass {
        name: "quantize-ports",
        summary: "Quantize of an input and Dequantize of an output move to the graph's edge",
        run: ports::quantize_ports,
    },
    Pass { name: "drop-dead", summary: "operations that no output needs are dropped", run: drop_dead },
];

/// Runs every pass.
pub(crate) fn run(draft: &mut Draft) -> Result<Vec<Applied>, Error> {
    PASSES.iter().map(|pass| Ok(Applied { name: pass.name, rewrites: (pass.run)(draft)? })).collect()
}

fn drop_dead(draft: &mut Draft) -> Result<usize, Error> {
    Ok(draft.drop_dead_nodes())
}
