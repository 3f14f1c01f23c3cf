//! An 8-bit tensor that is an element-wise function of one other 8-bit tensor becomes a table of that tensor: whatever
//! stands between (f32 functions, constants, Quantize and Dequantize with their roundings, even sums of several
//! branches) is computed once for all 256 bytes, by the very operations that it replaces.
//!
//! Exporters spell HardSwish as Add, Clip, Mul and Div with a rounding after each; that becomes one look-up.

use std::collections::{HashMap, HashSet};

use super::alone::alone;
use super::ranks::ranks;
use crate::error::Error;
use crate::graph::{Draft, Node, Op, ValueId};
use crate::reference;
use crate::tensor::{DType, Data, Quant, Tensor};

/// What is known of a value.
enum Known {
    /// The same single element, whatever the input.
    Scalar(Tensor),
    /// A function of the bytes of one tensor, tabulated.
    Function { root: ValueId, column: Tensor },
}

pub(super) fn collapse_elementwise(draft: &mut Draft) -> Result<usize, Error> {
    draft.sort()?;
    let known = Tabulation::of(draft)?.known;
    let mut rewrites = 0;
    let mut same: HashMap<ValueId, ValueId> = HashMap::new();
    for i in needed(draft, &known) {
        let output = draft.nodes[i].output;
        let Some(Known::Function { root, column }) = known.get(&output) else { continue };
        if draft.nodes[i].op == Op::Table && draft.nodes[i].inputs[0] == *root {
            continue;
        }
        rewrites += 1;
        if kind(draft, output) == kind(draft, *root) && *column == every_byte(draft.value(*root).dtype)? {
            same.insert(output, *root);
            continue;
        }
        let name = format!("{}.table", draft.value(output).name);
        let table = draft.constant(name, column.clone());
        draft.nodes[i].op = Op::Table;
        draft.nodes[i].inputs = vec![*root, table];
    }
    draft.rename_uses(&same);
    Ok(rewrites)
}

/// Goes through a sorted draft once and tabulates what can be.
struct Tabulation<'a> {
    draft: &'a Draft,
    ranks: HashMap<ValueId, usize>,
    known: HashMap<ValueId, Known>,
}

impl<'a> Tabulation<'a> {
    fn of(draft: &'a Draft) -> Result<Self, Error> {
        let mut tabulation = Self { draft, ranks: ranks(draft), known: HashMap::new() };
        for node in draft.nodes.iter().filter(|node| node.op.is_elementwise()) {
            if let Some(known) = tabulation.tabulate(node)? {
                tabulation.known.insert(node.output, known);
            }
        }
        Ok(tabulation)
    }

    /// Computes one node on columns and scalars, if its operands are nothing else and share one root.
    fn tabulate(&self, node: &Node) -> Result<Option<Known>, Error> {
        let mut root = None;
        let mut operands: HashMap<ValueId, Tensor> = HashMap::new();
        // A table's second input, and scales and zero points, belong to the operation.
        let read = if matches!(node.op, Op::Table | Op::Quantize { .. } | Op::Dequantize { .. }) {
            1
        } else {
            node.inputs.len()
        };
        for &id in &node.inputs[..read] {
            let (from, tensor) = match self.operand(id)? {
                Some(found) => found,
                None => return Ok(None),
            };
            if let Some(from) = from
                && *root.get_or_insert(from) != from
            {
                return Ok(None);
            }
            operands.insert(id, tensor);
        }
        if let Some(root) = root
            && !node.inputs[..read].iter().all(|id| self.keeps_rank(root, *id))
        {
            return Ok(None);
        }
        let alone = alone(self.draft, node, |id| operands.get(&id).cloned()).freeze()?;
        let Some(tensor) = reference::run(&alone, Vec::new())?.into_iter().next() else { return Ok(None) };
        Ok(Some(match root {
            // A scalar with axes of one element has given the column its rank.
            Some(root) => Known::Function { root, column: tensor.reshaped([256])? },
            None => Known::Scalar(tensor),
        }))
    }

    /// The column or scalar of an operand, and the tensor that a column belongs to.
    fn operand(&self, id: ValueId) -> Result<Option<(Option<ValueId>, Tensor)>, Error> {
        let value = self.draft.value(id);
        if let Some(tensor) = &value.constant {
            return Ok((tensor.len() == 1).then(|| (None, tensor.clone())));
        }
        match self.known.get(&id) {
            Some(Known::Scalar(tensor)) => Ok(Some((None, tensor.clone()))),
            Some(Known::Function { root, column }) => Ok(Some((Some(*root), column.clone()))),
            None if value.quant.is_some() => Ok(Some((Some(id), every_byte(value.dtype)?))),
            None => Ok(None),
        }
    }

    /// Whether combining `id` with a tensor of the root's shape leaves that shape: a scalar must not have more axes.
    fn keeps_rank(&self, root: ValueId, id: ValueId) -> bool {
        let rank = match self.known.get(&id) {
            Some(Known::Function { .. }) => return true,
            Some(Known::Scalar(tensor)) => tensor.shape().len(),
            None => self.draft.tensor(id).map_or(0, |tensor| tensor.shape().len()),
        };
        rank == 0 || self.ranks.get(&root).is_some_and(|&root| rank <= root)
    }
}

/// Indices of the nodes that write an 8-bit function which something else than functions of it reads. What only leads
/// to such a node is not needed any more once the node is a table.
fn needed(draft: &Draft, known: &HashMap<ValueId, Known>) -> Vec<usize> {
    let is_function = |id: &ValueId| matches!(known.get(id), Some(Known::Function { .. }));
    let mut wanted: HashSet<ValueId> = draft.outputs.iter().map(|port| port.value).collect();
    let mut tables = Vec::new();
    for (i, node) in draft.nodes.iter().enumerate().rev() {
        if is_function(&node.output) && !wanted.contains(&node.output) {
            continue;
        }
        if is_function(&node.output) && draft.value(node.output).quant.is_some() {
            tables.push(i);
        } else {
            wanted.extend(&node.inputs);
        }
    }
    tables.reverse();
    tables
}

fn kind(draft: &Draft, id: ValueId) -> (DType, Option<Quant>) {
    (draft.value(id).dtype, draft.value(id).quant)
}

/// Every byte once, in the order of its pattern, which is how tables are indexed.
fn every_byte(dtype: DType) -> Result<Tensor, Error> {
    let bytes = 0..=255u8;
    Tensor::new(
        [256],
        match dtype {
            DType::I8 => Data::I8(bytes.map(u8::cast_signed).collect()),
            _ => Data::U8(bytes.collect()),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{BinaryOp, UnaryOp};
    use crate::passes::testing::{Q, Sketch, every_byte};

    const FUNCTIONS: [UnaryOp; 7] = [
        UnaryOp::Relu,
        UnaryOp::Clip { lo: -1.5, hi: 6.0 },
        UnaryOp::LeakyRelu { alpha: 0.1 },
        UnaryOp::Sigmoid,
        UnaryOp::Tanh,
        UnaryOp::HardSigmoid { alpha: 0.2, beta: 0.5 },
        UnaryOp::HardSwish,
    ];

    /// A table and the f32 operations that it replaces agree on every byte, under scales that are no powers of two.
    #[test]
    fn a_table_equals_its_functions_on_every_byte() {
        let (qx, qy) = (Quant { scale: 0.037, zero_point: 131 }, Quant { scale: 0.0121, zero_point: 17 });
        for function in FUNCTIONS {
            let mut net = Sketch::default();
            let x = net.input(DType::U8, Some(qx), &[256]);
            let real = net.dequantize(x);
            let y = net.unary(function, real);
            let y = net.unary(UnaryOp::HardSwish, y);
            let y = net.quantize(y, qy);
            net.output(y);
            assert_eq!(net.apply(collapse_elementwise, &[every_byte()]), 1, "{function:?}");
            net.draft.drop_dead_nodes();
            assert_eq!(net.ops(), ["Table"]);
        }
    }

    #[test]
    fn another_scale_becomes_a_table_and_the_same_scale_nothing() {
        for (to, left) in [(Quant { scale: 0.3, zero_point: 3 }, &["Table"][..]), (Q, &[])] {
            let mut net = Sketch::default();
            let x = net.input(DType::U8, Some(Q), &[256]);
            let real = net.dequantize(x);
            let y = net.quantize(real, to);
            net.output(y);
            assert_eq!(net.apply(collapse_elementwise, &[every_byte()]), 1);
            net.draft.drop_dead_nodes();
            assert_eq!(net.ops(), left);
        }
    }

    #[test]
    fn a_function_of_two_tensors_is_no_table() {
        let mut net = Sketch::default();
        let (a, b) = (net.input(DType::U8, Some(Q), &[256]), net.input(DType::U8, Some(Q), &[256]));
        let (a, b) = (net.dequantize(a), net.dequantize(b));
        let difference = net.binary(BinaryOp::Sub, a, b);
        let y = net.quantize(difference, Q);
        net.output(y);
        assert_eq!(net.apply(collapse_elementwise, &[every_byte(), every_byte()]), 0);
    }

    /// HardSwish as exporters spell it, a rounding after each step and the tensor read twice.
    #[test]
    fn a_spelled_out_hard_swish_becomes_one_table() {
        let quants = [0.031, 0.043, 0.027, 0.19, 0.033].map(|scale| Quant { scale, zero_point: 113 });
        let mut net = Sketch::default();
        let x = net.input(DType::U8, Some(quants[0]), &[1, 4, 8, 8]);
        let real = net.dequantize(x);
        let [three, six] =
            [3.0, 6.0].map(|c| net.draft.constant(format!("c{c}"), Tensor::f32([1], vec![c]).unwrap()));
        let mut y = net.binary(BinaryOp::Add, real, three);
        for (i, quant) in quants.into_iter().enumerate().skip(1) {
            y = net.quantize(y, quant);
            if i == 4 {
                break;
            }
            y = net.dequantize(y);
            y = match i {
                1 => net.unary(UnaryOp::Clip { lo: 0.0, hi: 6.0 }, y),
                2 => net.binary(BinaryOp::Mul, real, y),
                _ => net.binary(BinaryOp::Div, y, six),
            };
        }
        net.output(y);
        let given = Tensor::u8([1, 4, 8, 8], (0..=255).collect()).unwrap();
        assert_eq!(net.apply(collapse_elementwise, &[given]), 1);
        net.draft.drop_dead_nodes();
        assert_eq!(net.ops(), ["Table"]);
    }

    /// Exporters give a bias the rank of what it is added to; a table has one axis all the same.
    #[test]
    fn a_scalar_with_as_many_axes_becomes_part_of_a_table_of_one_axis() {
        let mut net = Sketch::default();
        let x = net.input(DType::U8, Some(Q), &[1, 1, 16, 16]);
        let real = net.dequantize(x);
        let bias = net.draft.constant("bias", Tensor::f32([1, 1, 1, 1], vec![0.7]).unwrap());
        let sum = net.binary(BinaryOp::Add, real, bias);
        let y = net.quantize(sum, Quant { scale: 0.3, zero_point: 3 });
        net.output(y);
        let given = Tensor::u8([1, 1, 16, 16], (0..=255).collect()).unwrap();
        assert_eq!(net.apply(collapse_elementwise, &[given]), 1);
        net.draft.drop_dead_nodes();
        assert_eq!(net.ops(), ["Table"]);
        net.draft.freeze().unwrap();
    }

    /// A scalar of more axes than the tensor would give the result another shape.
    #[test]
    fn a_scalar_with_more_axes_stays() {
        let mut net = Sketch::default();
        let x = net.input(DType::U8, Some(Q), &[256]);
        let one = net.draft.constant("one", Tensor::f32([1, 1, 1], vec![1.0]).unwrap());
        let real = net.dequantize(x);
        let sum = net.binary(BinaryOp::Add, real, one);
        let y = net.quantize(sum, Q);
        net.output(y);
        assert_eq!(net.apply(collapse_elementwise, &[super::every_byte(DType::U8).unwrap()]), 0);
    }

    /// An intermediate tensor that something else reads stays a tensor, by a table of its own.
    #[test]
    fn what_others_read_stays() {
        let mut net = Sketch::default();
        let x = net.input(DType::U8, Some(Q), &[1, 1, 16, 16]);
        let real = net.dequantize(x);
        let y = net.unary(UnaryOp::Sigmoid, real);
        let middle = net.quantize(y, Quant { scale: 1.0 / 256.0, zero_point: 0 });
        let pooled = net.add(Op::GlobalAveragePool, &[middle], DType::U8, Some(Q));
        let real = net.dequantize(middle);
        let y = net.unary(UnaryOp::Tanh, real);
        let end = net.quantize(y, Q);
        net.output(pooled);
        net.output(end);
        let given = Tensor::u8([1, 1, 16, 16], (0..=255).collect()).unwrap();
        assert_eq!(net.apply(collapse_elementwise, &[given]), 2);
        net.draft.drop_dead_nodes();
        assert_eq!(net.ops(), ["Table", "GlobalAveragePool", "Table"]);
    }

    #[test]
    fn signed_bytes_index_by_their_pattern() {
        let quant = Quant { scale: 1.0, zero_point: 0 };
        let mut net = Sketch::default();
        let x = net.input(DType::I8, Some(quant), &[256]);
        let real = net.dequantize(x);
        let y = net.unary(UnaryOp::Relu, real);
        let y = net.add(Op::Quantize { axis: None }, &[y], DType::I8, Some(quant));
        net.output(y);
        assert_eq!(net.apply(collapse_elementwise, &[super::every_byte(DType::I8).unwrap()]), 1);
        let table = net.draft.nodes.iter().find(|node| node.op == Op::Table).unwrap().inputs[1];
        let Some(Data::I8(entries)) = net.draft.tensor(table).map(Tensor::data) else { panic!() };
        assert_eq!((entries[5], entries[127], entries[128], entries[255]), (5, 127, 0, 0));
    }
}
