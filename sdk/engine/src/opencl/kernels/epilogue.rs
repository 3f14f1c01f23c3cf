//! The end of a convolution or fully connected layer, as the prelude's `tm_finish` wants it.

use std::sync::Arc;

use tilemark_model::Op;
use tilemark_model::graph::Bounds;
use tilemark_model::numerics::AddCoefficients;

use super::{Arg, Site};
use crate::error::Error;
use crate::host::kernels::Requant;
use crate::opencl::api::Buffer;
use crate::plan::{stored_lowest, stored_table};

/// As in `prelude.cl`.
const TABLE: i32 = 1;
const SUM: i32 = 2;
const SUM_TABLE: i32 = 4;
const SUM_SECOND: i32 = 8;

/// Constants of a step's epilogue.
pub(super) struct Epilogue {
    channels: Arc<Buffer>,
    tables: Arc<Buffer>,
    /// The arguments after the geometry: clamp, numbers, lowest, bounds.
    tail: [Arg; 4],
}

impl Epilogue {
    /// For a node with inputs x, weights, bias, multipliers; `padded` output channels, of which those beyond the layer's own
    /// have zeros.
    pub(super) fn new(site: &Site<'_>, bounds: Bounds, padded: usize) -> Result<Self, Error> {
        let (step, graph) = (site.step, site.step.graph);
        let requant = Requant::new(step, bounds)?;
        let pack = || {
            let mut words: Vec<u32> = Vec::with_capacity(2 * padded);
            for channel in 0..requant.len() {
                let (bias, multiplier) = requant.channel(channel);
                words.extend([bias.cast_unsigned(), multiplier.to_bits()]);
            }
            words.resize(2 * padded, 0);
            site.opened.constants(bytemuck::cast_slice(&words))
        };
        let channels = step.packed("channels/opencl", pack)?;
        let second = site.sum.and_then(|sum| sum.table);
        let pack = || {
            let mut tables = [0u8; 512];
            if let Some(table) = requant.table() {
                tables[..256].copy_from_slice(table);
            }
            if let Some(table) = second {
                tables[256..].copy_from_slice(&stored_table(graph, table)?);
            }
            site.opened.constants(&tables)
        };
        let tables = step.packed("tables/opencl", pack)?;
        let [lo, hi, zero] = requant.clamp_bytes();
        let mut flags = if requant.table().is_some() { TABLE } else { 0 };
        let mut sum_part = [Arg::Float4([0.0; 4]), Arg::Int4([0; 4]), Arg::Int2([0; 2])];
        if let Some(sum) = site.sum {
            let missing = || Error::internal(&sum.node.name, "is no addition of two");
            let (Op::Add(bounds), &[a, b]) = (&sum.node.op, &sum.node.inputs[..]) else {
                return Err(missing());
            };
            let add = AddCoefficients::new(graph.quant(a)?, graph.quant(b)?, graph.quant(sum.node.output)?);
            let (own, theirs) = if sum.is_second { (b, a) } else { (a, b) };
            let lowest = [own, theirs, sum.node.output].map(|id| stored_lowest(graph, id));
            flags |= SUM
                | if second.is_some() { SUM_TABLE } else { 0 }
                | if sum.is_second { SUM_SECOND } else { 0 };
            sum_part = [
                Arg::Float4([add.ra, add.rb, add.c, 0.0]),
                Arg::Int4([lowest[0], lowest[1], lowest[2], 0]),
                Arg::Int2([bounds.lo, bounds.hi]),
            ];
        }
        let [numbers, lowest, bounds] = sum_part;
        Ok(Self { channels, tables, tail: [Arg::Int4([lo, hi, zero, flags]), numbers, lowest, bounds] })
    }

    /// `channels` and `tables`.
    pub(super) fn constants(&self) -> [Arg; 2] {
        [&self.channels, &self.tables].map(|buffer| Arg::Constants(Arc::clone(buffer)))
    }

    /// `clamp` to `other_at`, which is given.
    pub(super) fn tail(&self, other_at: Arg) -> impl Iterator<Item = Arg> + use<> {
        self.tail.clone().into_iter().chain([other_at])
    }
}
