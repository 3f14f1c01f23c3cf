//! Operations whose operands are all constant are computed once, by the reference interpreter. Those that would make much out
//! of little stay: a file of a hundred bytes must not become gigabytes.

use super::alone::alone;
use crate::error::Error;
use crate::graph::Draft;
use crate::limits::{MAX_FOLDED_GROWTH, MAX_FOLDED_WORK, SMALL_FOLDED_BYTES};
use crate::tensor::element_count;
use crate::{reference, shape};

pub(super) fn fold_constants(draft: &mut Draft) -> Result<usize, Error> {
    draft.drop_dead_nodes();
    draft.sort()?;
    let mut rewrites = 0;
    let mut work = 0u64;
    let most_bytes = draft.constant_bytes.saturating_mul(MAX_FOLDED_GROWTH).max(SMALL_FOLDED_BYTES);
    let mut folded_bytes = 0u64;
    let mut kept = Vec::with_capacity(draft.nodes.len());
    for node in std::mem::take(&mut draft.nodes) {
        if node.inputs.is_empty() || !node.inputs.iter().all(|&id| draft.tensor(id).is_some()) {
            kept.push(node);
            continue;
        }
        let output = node.output;
        let alone = alone(draft, &node, |_| None).freeze()?;
        // A small file can ask for any amount of computing here, before anyone has chosen to run it.
        let shapes = shape::infer(&alone, &[])?;
        let result = &alone.outputs[0].value;
        let bytes = (element_count(shapes.of(*result))? * alone.value(*result).dtype.size()) as u64;
        if folded_bytes + bytes > most_bytes {
            kept.push(node);
            continue;
        }
        work = work.saturating_add(shape::work(&alone, &shapes));
        if work > MAX_FOLDED_WORK {
            let what = "multiply-accumulates or elements in operations on constants";
            return Err(Error::LimitExceeded { what, found: work, limit: MAX_FOLDED_WORK });
        }
        draft.check_constants(bytes)?;
        let result = reference::run(&alone, Vec::new())?.into_iter().next();
        draft.constant_bytes += bytes;
        folded_bytes += bytes;
        draft.values[output.index()].constant = result;
        rewrites += 1;
    }
    draft.nodes = kept;
    Ok(rewrites)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::graph::{BinaryOp, GeneralOp, Ints, Op};
    use crate::passes::testing::Sketch;
    use crate::tensor::{DType, Data, Tensor};

    #[test]
    fn a_chain_of_constants_becomes_one() {
        let mut net = Sketch::default();
        let x = net.input(DType::F32, None, &[2]);
        let weights = net.dequantized(Tensor::new([2], Data::I8(vec![3, -4])).unwrap(), &[0.5], 1);
        let turned =
            net.add(Op::Reshape { shape: vec![-1], allow_zero: false }, &[weights], DType::F32, None);
        let y = net.binary(BinaryOp::Mul, x, turned);
        net.output(y);
        let given = Tensor::f32([2], vec![10.0, 100.0]).unwrap();
        assert_eq!(net.run(std::slice::from_ref(&given))[0].as_f32().unwrap(), [10.0, -250.0]);
        assert_eq!(net.apply(fold_constants, &[given]), 2);
        assert_eq!(net.ops(), ["Mul (f32)"]);
        assert_eq!(net.draft.tensor(turned).unwrap().as_f32().unwrap(), [1.0, -2.5]);
    }

    /// A hundred bytes that say "a tensor of this shape, all zeros" are imported as that, not as the zeros.
    #[test]
    fn much_out_of_little_is_left_for_the_run() {
        for (side, left) in [(64, 0), (1 << 13, 1)] {
            let mut net = Sketch::default();
            let zero = net.draft.constant("zero", Tensor::f32([1], vec![0.0]).unwrap());
            let op = Op::General(GeneralOp::Fill { shape: Ints::Given(vec![side, side]) });
            let y = net.add(op, &[zero], DType::F32, None);
            net.output(y);
            fold_constants(&mut net.draft).unwrap();
            assert_eq!(net.draft.nodes.len(), left, "{side} x {side}");
        }
    }

    #[test]
    fn work_without_end_is_refused() {
        let mut net = Sketch::default();
        let side = 2048;
        let mut x = net.draft.constant("a", Tensor::f32([side, side], vec![0.0; side * side]).unwrap());
        let m = crate::graph::MatMul { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
        // 2048^3 products are beyond what import computes.
        x = net.float(crate::graph::FloatOp::MatMul(m), &[x, x]);
        net.output(x);
        let error = fold_constants(&mut net.draft).unwrap_err();
        assert!(matches!(error, Error::LimitExceeded { limit: MAX_FOLDED_WORK, .. }), "{error}");
    }
}
