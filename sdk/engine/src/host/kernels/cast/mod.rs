//! Another element type: to f32 from what networks count in, from f32 to integers, and between the wide integers.

mod portable;

use tilemark_model::DType;

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("cast", portable::build);

/// Whether these kernels turn elements of type `x` into `y`.
pub(crate) fn applies(x: DType, y: DType) -> bool {
    use DType::{Bool, F32, I8, I32, I64, U8};
    match (x, y) {
        (U8 | I8 | I32 | I64 | F32 | Bool, F32) | (F32, U8 | I8 | I32 | I64) => true,
        (x, y) => matches!((x, y), (I32, I64) | (I64, I32)),
    }
}
