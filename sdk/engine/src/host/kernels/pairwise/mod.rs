//! Quantized addition and multiplication of two values of the same images and channels; the second may have one pixel
//! that serves for all (squeeze and excitation).

mod scalar;

use super::Kernel;
use crate::host::CpuLevel;
use crate::plan::Layout;

pub(crate) const KERNELS: &[Kernel] = &[Kernel {
    name: "pairwise/scalar",
    operation: "pairwise",
    level: CpuLevel::Scalar,
    build: scalar::build,
}];

/// Whether these kernels take operands `a` and `b` that lie so.
pub(crate) fn applies(a: &Layout, b: &Layout) -> bool {
    let one_pixel = a.shape.len() == 4
        && b.shape.len() == 4
        && (b.grid.images, b.grid.channels) == (a.grid.images, a.grid.channels)
        && (b.grid.rows, b.grid.columns) == (1, 1);
    a.shape == b.shape || one_pixel
}
