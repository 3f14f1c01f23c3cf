//! Quantized products of two activations.

use tilemark_kernels::MATMUL;
use tilemark_model::{Op, numerics};

use super::walk::{Strided, runs};
use super::{Arg, Kernel, Launch, Needs, Site, Suits, int};
use crate::error::Error;
use crate::host::kernels::clamp;
use crate::opencl::launch::ProgramKey;
use crate::plan::{Slot, stored_zero_point};

pub(super) const KERNELS: &[Kernel] =
    &[Kernel { name: "matmul/opencl", needs: Needs::Nothing, suits: Suits::Any, build }];

/// A batch of matrices: offset of the first byte, sizes and bytes from one to the next of two axes of the batch, of rows and
/// of columns.
struct Matrices {
    first: usize,
    sizes: [usize; 4],
    strides: [usize; 4],
}

impl Matrices {
    /// Those of a value of at least two axes. The batch of four axes has two of its own; any other is one.
    fn of(slot: &Slot) -> Option<Self> {
        let layout = &slot.layout;
        let first = slot.offset + layout.offset(0, 0, 0);
        if let ([a, b, rows, columns], [sa, sb, sr, sc]) = (&layout.shape[..], &layout.strides()[..]) {
            let (sizes, strides) = ([*a, *b, *rows, *columns], [*sa, *sb, *sr, *sc]);
            return Some(Self { first, sizes, strides });
        }
        let (&[ref batch @ .., rows, columns], &[.., row, column]) =
            (&layout.shape[..], &layout.strides()[..])
        else {
            return None;
        };
        let sizes = [batch.iter().product(), 1, rows, columns];
        Some(Self { first, sizes, strides: [rows * row, 0, row, column] })
    }
}

fn build(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let (graph, node) = (site.step.graph, site.step.node);
    let inconsistent = || Error::internal(&node.name, "planned as a matrix product");
    let Op::MatMul(bounds) = node.op else { return Err(inconsistent()) };
    let [a, b] = [0, 1].map(|i| Matrices::of(&site.inputs[site.step.input(i)?]));
    let (Some(a), Some(b), Some(y)) = (a, b, Matrices::of(site.output)) else { return Err(inconsistent()) };
    // Lanes are neighbours in memory: of a row, or of the inner batch.
    let is_row = y.strides[3] == 1;
    let strided = |x: &Matrices, [batch, inner, row, column]: [usize; 4]| {
        let strides = if is_row { [batch, inner, row, column] } else { [batch, row, column, inner] };
        Strided { first: x.first, strides }
    };
    let sizes = strided(&y, y.sizes).strides;
    let a_at = strided(&a, [a.strides[0], a.strides[1], a.strides[2], 0]);
    let b_at = strided(&b, [b.strides[0], b.strides[1], 0, b.strides[3]]);
    let y_at = strided(&y, y.strides);
    let scale = |id| graph.quant(id).map(|quant| quant.scale);
    let [sa, sb, sy] = [scale(node.inputs[0])?, scale(node.inputs[1])?, scale(node.output)?];
    let zeros = [stored_zero_point(graph, node.inputs[0])?, stored_zero_point(graph, node.inputs[1])?];
    let [lo, hi, zero] = clamp(graph, node.output, Some(bounds))?.bytes();
    let args = vec![
        Arg::Arena,
        Arg::Int4(sizes.map(int)),
        a_at.at(),
        b_at.at(),
        y_at.at(),
        Arg::Int2([int(a_at.strides[3]), int(b_at.strides[3])]),
        Arg::Int4([int(a.sizes[3]), int(a.strides[3]), int(b.strides[2]), 0]),
        Arg::Int2(zeros),
        Arg::Float(numerics::multiplier(sa, sb, sy)),
        Arg::Int4([lo, hi, zero, 0]),
    ];
    let (global, local) = runs(sizes);
    Ok(Some(vec![Launch { program: ProgramKey::new(MATMUL, ""), entry: "matmul_run", args, global, local }]))
}
