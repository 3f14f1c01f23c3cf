//! The order of tiles, the same for all layers with a window.

use std::ops::Range;

use super::region::{Geometry, Part, Region, bank_pitch};
use super::{Compiler, Constants, Refused, Requant};
use crate::descriptor::{Descriptor, Op};
use crate::memory::Tensor;

/// Fewer pixels than this for a load of weights leave the array waiting for memory.
const WORTHWHILE_PIXELS: usize = 16;

/// Some output blocks that are computed from the same planes.
pub(super) struct Run<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) x: &'a Tensor,
    pub(super) y: &'a Tensor,
    pub(super) outputs: Region,
    pub(super) blocks: Range<usize>,
    /// The first of the planes.
    pub(super) plane: usize,
    /// Parameters of a block.
    pub(super) params: &'a dyn Fn(usize) -> Vec<u8>,
    /// Weights of a block for a part's steps.
    pub(super) weights: &'a dyn Fn(usize, &Part) -> Vec<u8>,
    pub(super) requant: &'a Requant<'a>,
}

/// What fits: regions of outputs, parts of steps, and whether the input stays for all blocks and parts of a region.
struct Cut {
    regions: Vec<Region>,
    parts: Vec<Part>,
    stays: bool,
}

impl Run<'_> {
    fn cut(&self, compiler: &Compiler) -> Result<Cut, Refused> {
        let (config, geometry) = (&compiler.config, self.geometry);
        // A maximum has no weights, and is never cut into parts.
        let is_max = geometry.op == Op::Max;
        let half = if is_max { usize::MAX } else { config.weights / 2 };
        let pixels = |parts: &[Part]| if parts.len() > 1 { config.sums } else { usize::MAX };
        let total = self.outputs[0].len() * self.outputs[1].len();
        let parts = geometry.parts(half, geometry.planes)?;
        let whole = 0..geometry.steps[0];
        let steps = geometry.steps[0] * geometry.steps[1] * geometry.planes;
        let constants = self.blocks.len() * steps * config.lanes;
        let most = pixels(&parts);
        let regions = geometry.regions(config, &self.outputs, &whole, geometry.planes, most, constants);
        if let Some(regions) = regions {
            let size = |region: &Region| region[0].len() * region[1].len();
            if is_max || regions.first().map_or(0, size) >= total.min(WORTHWHILE_PIXELS) {
                return Ok(Cut { regions, parts, stays: true });
            }
        }
        if is_max {
            return Err(Refused::TooLarge("activations"));
        }
        // Too many planes for the banks: each part loads its own, the fewer the more pixels; and at last some kernel rows alone.
        let mut planes = geometry.planes;
        let mut rows = geometry.steps[0];
        loop {
            (planes, rows) = if planes > 1 { (planes.div_ceil(2), rows) } else { (1, rows.div_ceil(2)) };
            let weights = if planes > 1 { half } else { half.min(rows * geometry.steps[1]) };
            let parts = geometry.parts(weights, planes)?;
            let longest = parts.iter().map(|part| part.rows.len()).max().unwrap_or(1);
            let regions =
                geometry.regions(config, &self.outputs, &(0..longest), planes, config.sums, constants);
            if let Some(regions) = regions {
                return Ok(Cut { regions, parts, stays: false });
            }
            if planes == 1 && rows == 1 {
                return Err(Refused::TooLarge("activations"));
            }
        }
    }

    /// Appends the tiles. `table` is loaded by the first of them.
    pub(super) fn emit(&self, compiler: &mut Compiler, table: &mut Option<Vec<u8>>) -> Result<(), Refused> {
        let Cut { regions, parts, stays } = self.cut(compiler)?;
        let config = compiler.config;
        let mut addresses = vec![None; self.blocks.len() * parts.len()];
        let changing = addresses.len() > 1;
        for (r, region) in regions.iter().enumerate() {
            for (b, block) in self.blocks.clone().enumerate() {
                for (p, part) in parts.iter().enumerate() {
                    let mut tile = Descriptor { slack: 1, tag: compiler.tag, ..Descriptor::default() };
                    tile.first = p == 0;
                    tile.last = p + 1 == parts.len();
                    self.requant.apply(&mut tile);
                    let constants = if changing || r == 0 {
                        self.constants(
                            compiler,
                            block,
                            part,
                            p == 0,
                            table,
                            &mut addresses[b * parts.len() + p],
                        )?
                    } else {
                        Constants::default()
                    };
                    let loaded = if stays {
                        Part { rows: 0..self.geometry.steps[0], planes: 0..self.geometry.planes }
                    } else {
                        part.clone()
                    };
                    let at =
                        self.geometry.place(&config, &mut tile, [self.x, self.y], block, region, &loaded);
                    let at = at + (self.plane + loaded.planes.start) * self.x.plane_bytes(&config);
                    compiler.load_input(
                        &mut tile,
                        !stays || (b == 0 && p == 0),
                        self.x,
                        at,
                        loaded.planes.len(),
                    );
                    if stays {
                        // The same input, but of it this part's planes and kernel rows.
                        let plane = bank_pitch(&config, tile.x_extent.map(usize::from))[1];
                        tile.bases[0] += (part.planes.start * plane) as u16;
                        tile.origin[0] += (part.rows.start * self.geometry.pitch[0]) as i16;
                        tile.kernel[0] = part.rows.len() as u8;
                        tile.planes = part.planes.len() as u16;
                    }
                    compiler.load_constants(&mut tile, constants);
                    compiler.push(&tile);
                }
            }
        }
        Ok(())
    }

    fn constants(
        &self,
        compiler: &mut Compiler,
        block: usize,
        part: &Part,
        params: bool,
        table: &mut Option<Vec<u8>>,
        address: &mut Option<(u32, u16)>,
    ) -> Result<Constants, Refused> {
        if compiler.judges {
            let steps = part.rows.len() * self.geometry.steps[1] * part.planes.len();
            let weights = if self.geometry.op == Op::Max { 0 } else { steps as u16 };
            return Ok(Constants { address: 0, params, table: table.take().is_some(), weights });
        }
        let build = |table: Option<Vec<u8>>| {
            let mut bytes = if params { (self.params)(block) } else { Vec::new() };
            bytes.extend(table.unwrap_or_default());
            let weights = (self.weights)(block, part);
            let words = weights.len() / compiler.config.lanes.pow(2);
            bytes.extend(weights);
            (bytes, words as u16)
        };
        if let Some(table) = table.take() {
            let (bytes, weights) = build(Some(table));
            let address = compiler.constant(&bytes)?;
            return Ok(Constants { address, params, table: true, weights });
        }
        let (address, weights) = match *address {
            Some(known) => known,
            None => {
                let (bytes, weights) = build(None);
                *address.insert((compiler.constant(&bytes)?, weights))
            }
        };
        Ok(Constants { address, params, table: false, weights })
    }
}
