//! Which operations vanish into others.

use tilemark_model::{Graph, Op};

/// For each node the table node that its epilogue applies, and for each node whether it vanished so.
#[derive(Debug)]
pub(crate) struct Fusion {
    pub(crate) table_of: Vec<Option<usize>>,
    pub(crate) vanished: Vec<bool>,
}

impl Fusion {
    /// A table that alone reads the result of a convolution, a fully connected layer or an addition becomes part of its
    /// epilogue: the intermediate bytes are the same, they just never reach memory. `takes_table` says which nodes
    /// have a kernel with an epilogue.
    pub(crate) fn new(graph: &Graph, takes_table: impl Fn(usize) -> bool) -> Self {
        let mut readers = vec![0usize; graph.values.len()];
        let ports = graph.outputs.iter().map(|port| port.value);
        for id in graph.nodes.iter().flat_map(|node| node.inputs.iter().copied()).chain(ports) {
            readers[id.index()] += 1;
        }
        let mut producer = vec![None; graph.values.len()];
        let mut fusion =
            Self { table_of: vec![None; graph.nodes.len()], vanished: vec![false; graph.nodes.len()] };
        for (i, node) in graph.nodes.iter().enumerate() {
            if node.op == Op::Table
                && let Some(source) = producer[node.inputs[0].index()]
                && readers[node.inputs[0].index()] == 1
                && takes_table(source)
            {
                fusion.table_of[source] = Some(i);
                fusion.vanished[i] = true;
            }
            producer[node.output.index()] = Some(i);
        }
        fusion
    }
}
