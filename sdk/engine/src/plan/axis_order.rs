//! Which rank-4 values lie in the model's own order instead of channels last: those around a Transpose that is then only
//! another name for the same bytes. Models converted from TensorFlow begin with one and often end with some.

use tilemark_model::graph::MoveOp;
use tilemark_model::{Graph, Node, Op, ValueId};

use super::choose::Choice;
use super::layout::Order;

/// `[N,H,W,C]` to `[N,C,H,W]`.
const TO_CHANNELS_SECOND: [usize; 4] = [0, 3, 1, 2];
/// `[N,C,H,W]` to `[N,H,W,C]`.
const TO_CHANNELS_LAST: [usize; 4] = [0, 2, 3, 1];

/// The order of every value. A graph's input lies as it is if all its readers move elements from anywhere to anywhere
/// and one of them puts its channels second; so does what a Transpose to channels last writes for such readers.
pub(super) fn of_values(graph: &Graph, steps: &[usize], choices: &[Choice]) -> Vec<Order> {
    let mut is_free = vec![true; graph.values.len()];
    let mut is_turned = vec![false; graph.values.len()];
    for &i in steps {
        let node = &graph.nodes[i];
        for id in &node.inputs {
            is_free[id.index()] &= follows_strides(node, &choices[i]);
        }
        if let Some(input) = node.inputs.first() {
            is_turned[input.index()] |= has_permutation(node, TO_CHANNELS_SECOND);
        }
    }
    let mut orders = vec![Order::ChannelsLast; graph.values.len()];
    let mut keep = |id: ValueId| {
        if is_free[id.index()] {
            orders[id.index()] = Order::Own;
        }
    };
    graph.inputs.iter().map(|port| port.value).filter(|id| is_turned[id.index()]).for_each(&mut keep);
    let nodes = steps.iter().map(|&i| &graph.nodes[i]);
    nodes.filter(|node| has_permutation(node, TO_CHANNELS_LAST)).for_each(|node| keep(node.output));
    orders
}

/// Whether a Transpose of values of these orders leaves every byte where it is, given equal halos.
pub(super) fn is_alias(node: &Node, input: Order, output: Order) -> bool {
    match (input, output) {
        (Order::Own, Order::ChannelsLast) => has_permutation(node, TO_CHANNELS_SECOND),
        (Order::ChannelsLast, Order::Own) => has_permutation(node, TO_CHANNELS_LAST),
        _ => false,
    }
}

fn has_permutation(node: &Node, wanted: [usize; 4]) -> bool {
    matches!(&node.op, Op::Transpose { perm } if *perm == wanted)
}

/// Whether what computes the node finds its inputs' elements by their strides, or through tensors.
fn follows_strides(node: &Node, choice: &Choice) -> bool {
    match choice {
        Choice::Reference(_) => true,
        _ => matches!(
            node.op,
            Op::Transpose { .. }
                | Op::Reshape { .. }
                | Op::Flatten { .. }
                | Op::Squeeze { .. }
                | Op::Unsqueeze { .. }
                | Op::Move(MoveOp::Reshape { .. })
        ),
    }
}
