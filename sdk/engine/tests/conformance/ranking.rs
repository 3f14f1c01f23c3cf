//! Adversarial vectors for bytes in order, which devices have kernels for and the host has not: ties, all equal, any axis.

use tilemark_model::graph::{GeneralOp, Ints, Ranking};
use tilemark_model::{DType, Op};

use super::build::{Builder, Built, Case, Fill};
use super::cases::EDGES;

/// Around the items that share a line, and more than any of them.
const SIZES: [usize; 5] = [64, 65, 255, 257, 1000];

/// Shapes with an axis of `n`, and which it is.
fn shapes(n: usize) -> [(Vec<usize>, i64); 8] {
    [
        (vec![n], 0),
        (vec![3, n], -1),
        (vec![n, 5], 0),
        (vec![2, n, 3], 1),
        (vec![1, n, 3, 5], 1),
        (vec![2, 3, n, 2], 2),
        (vec![2, 17, 2, n], 3),
        (vec![2, 2, 3, n, 2], -2),
    ]
}

fn cases(of: impl Fn(&mut Builder, &Built, i64) -> Vec<Built>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (seed, n) in (0..).zip(EDGES.into_iter().chain(SIZES)) {
        for (dtype, fill) in [(DType::U8, Fill::Any), (DType::I8, Fill::Any), (DType::I8, Fill::Lowest)] {
            for (shape, axis) in shapes(n) {
                if fill == Fill::Lowest && shape.len() != 2 {
                    continue;
                }
                let mut builder = Builder::new(seed);
                let x = builder.input(&shape, dtype, fill);
                let outputs = of(&mut builder, &x, axis);
                let name = format!("axis {axis} of {shape:?}, {dtype} {fill:?}");
                cases.push(builder.finish(name, &outputs.iter().collect::<Vec<_>>()));
            }
        }
    }
    cases
}

fn place(axis: i64, rank: usize) -> usize {
    axis.rem_euclid(rank as i64) as usize
}

pub(crate) fn arg_extreme() -> Vec<Case> {
    cases(|builder, x, axis| {
        let mut outputs = Vec::new();
        for (largest, last, keep_dims) in [(true, false, true), (true, true, false), (false, false, false)] {
            let mut shape = x.shape.clone();
            shape[place(axis, x.shape.len())] = 1;
            if !keep_dims {
                shape.remove(place(axis, x.shape.len()));
            }
            let op = GeneralOp::ArgExtreme { ranking: Ranking { axis, largest }, keep_dims, last };
            let y = Built { id: x.id, shape, dtype: DType::I64, quant: None };
            outputs.push(builder.node("arg", Op::General(op), vec![x.id], &y));
        }
        outputs
    })
}

pub(crate) fn top_k() -> Vec<Case> {
    cases(|builder, x, axis| {
        let n = x.shape[place(axis, x.shape.len())];
        let mut outputs = Vec::new();
        for (largest, indices, k) in
            [(true, false, n.min(5)), (true, true, n), (false, true, n.div_ceil(2)), (false, false, n)]
        {
            let mut shape = x.shape.clone();
            shape[place(axis, x.shape.len())] = k;
            let k = Ints::Given(vec![k as i64]);
            let op = GeneralOp::TopK { ranking: Ranking { axis, largest }, k, indices };
            let dtype = if indices { DType::I64 } else { x.dtype };
            let y = Built { id: x.id, shape, dtype, quant: x.quant.filter(|_| !indices) };
            outputs.push(builder.node("top", Op::General(op), vec![x.id], &y));
        }
        outputs
    })
}
