//! Where values lie in the engine's memory, and the way there and back.

use tilemark_bitstreams::{Config, Tensor};
use tilemark_model::DType;

use crate::plan::{Grid, Halo, Layout, Slot};

/// A value's extents, as a plan's layouts have them: what has no four axes is one image of one column.
pub(super) fn grid(shape: &[usize]) -> Grid {
    Layout::new(shape, DType::U8, Halo::default()).grid
}

/// One image of a value.
pub(super) fn of(grid: Grid, address: u32) -> Tensor {
    Tensor { address, channels: grid.channels, extent: [grid.rows, grid.columns] }
}

/// Bytes of all images of a value.
pub(super) fn bytes(grid: Grid, config: &Config) -> usize {
    grid.images * of(grid, 0).bytes(config)
}

/// The bytes of the engine's memory for a value in the host's arena.
pub(super) fn pack(slot: &Slot, arena: &[u8], config: &Config) -> Vec<u8> {
    let mut packed = vec![0; bytes(slot.layout.grid, config)];
    walk(slot, config, |here, there| packed[there] = arena[here] ^ flip(slot));
    packed
}

/// The reverse of [`pack`].
pub(super) fn unpack(slot: &Slot, packed: &[u8], arena: &mut [u8], config: &Config) {
    walk(slot, config, |here, there| arena[here] = packed[there] ^ flip(slot));
}

/// The host stores signed bytes with 128 added, the engine's memory has them as they are.
fn flip(slot: &Slot) -> u8 {
    if slot.layout.dtype == DType::I8 { 0x80 } else { 0 }
}

/// Calls `visit` with the place of every element in the host's buffer and in the engine's.
fn walk(slot: &Slot, config: &Config, mut visit: impl FnMut(usize, usize)) {
    let layout = &slot.layout;
    let Grid { images, rows, columns, channels } = layout.grid;
    let tensor = of(layout.grid, 0);
    let (image_bytes, plane_bytes) = (tensor.bytes(config), tensor.plane_bytes(config));
    for image in 0..images {
        for row in 0..rows {
            for column in 0..columns {
                let here = layout.offset(image, row, column);
                let there = image * image_bytes + (row * columns + column) * config.lanes;
                for channel in 0..channels {
                    let in_plane = channel / config.lanes * plane_bytes + channel % config.lanes;
                    visit(here + channel, there + in_plane);
                }
            }
        }
    }
}
