//! Which operations vanish into others.

use tilemark_model::{Graph, Op, ValueId};

/// What vanished into what.
#[derive(Debug)]
pub(crate) struct Fusion {
    /// For each node the one that its epilogue ends with: a table of bytes, the quantization of an f32 result, or the
    /// function of one float that a dequantization applies.
    pub(crate) end_of: Vec<Option<usize>>,
    /// For each node the addition that is its last part.
    pub(crate) sum_of: Vec<Option<Sum>>,
    /// For each node whether it vanished.
    pub(crate) vanished: Vec<bool>,
}

/// An addition of what a node computes and what another one has computed before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum {
    /// The addition's node.
    pub(crate) node: usize,
    /// The other operand.
    pub(crate) other: ValueId,
    /// Whether what the node computes is the second operand.
    pub(crate) is_second: bool,
}

/// What fusion must know of the nodes' kernels.
pub(crate) trait Epilogues {
    /// Whether the node `end`, which reads only the result of `node`, can be the end of that node's kernel.
    fn takes_end(&self, node: usize, end: usize) -> bool;
    /// Whether the addition `sum` of equal shapes can be the last part of the node's kernel.
    fn takes_sum(&self, node: usize, sum: usize) -> bool;
}

impl Fusion {
    /// A table that alone reads the result of a convolution, a fully connected layer or an addition becomes part of its
    /// epilogue, as does a quantization that alone reads an f32 step's result; and then an addition that alone reads such
    /// a result becomes part of the one that runs last of its operands. The intermediate bytes are the same, they just
    /// never reach memory.
    pub(crate) fn new(graph: &Graph, epilogues: &impl Epilogues) -> Self {
        let mut readers = vec![0usize; graph.values.len()];
        let ports = graph.outputs.iter().map(|port| port.value);
        for id in graph.nodes.iter().flat_map(|node| node.inputs.iter().copied()).chain(ports) {
            readers[id.index()] += 1;
        }
        let n = graph.nodes.len();
        let mut fusion = Self { end_of: vec![None; n], sum_of: vec![None; n], vanished: vec![false; n] };
        // For each value the node whose step writes it.
        let mut writer = vec![None; graph.values.len()];
        for (i, node) in graph.nodes.iter().enumerate() {
            let source = node.inputs.first().and_then(|id| writer[id.index()]);
            if let Some(source) = source
                && readers[node.inputs[0].index()] == 1
                && fusion.ends_in(source, graph) == node.inputs[0]
                && fusion.takes_end(source, i, epilogues)
            {
                let last = fusion.sum_of[source].map_or(source, |sum| sum.node);
                fusion.end_of[last] = Some(i);
                fusion.vanished[i] = true;
                writer[node.output.index()] = Some(source);
                continue;
            }
            writer[node.output.index()] = Some(i);
            if let Some((host, sum)) = fusion.host(graph, i, &readers, &writer, epilogues) {
                fusion.sum_of[host] = Some(sum);
                fusion.vanished[i] = true;
                writer[node.output.index()] = Some(host);
            }
        }
        fusion
    }

    /// The value that a node's step writes, with all that became part of it.
    pub(crate) fn ends_in(&self, node: usize, graph: &Graph) -> ValueId {
        let last = self.sum_of[node].map_or(node, |sum| sum.node);
        graph.nodes[self.end_of[last].unwrap_or(last)].output
    }

    fn takes_end(&self, source: usize, end: usize, epilogues: &impl Epilogues) -> bool {
        let last = self.sum_of[source].map_or(source, |sum| sum.node);
        self.end_of[last].is_none() && epilogues.takes_end(last, end)
    }

    /// The step that an addition becomes part of: it computes one operand, for nobody else, when the other is there.
    fn host(
        &self,
        graph: &Graph,
        sum: usize,
        readers: &[usize],
        writer: &[Option<usize>],
        epilogues: &impl Epilogues,
    ) -> Option<(usize, Sum)> {
        let node = &graph.nodes[sum];
        let (Op::Add(_), &[a, b]) = (&node.op, &node.inputs[..]) else { return None };
        [(a, b, false), (b, a, true)].into_iter().find_map(|(own, other, is_second)| {
            let host = writer[own.index()]?;
            let is_there = writer[other.index()].is_none_or(|writer| writer < host);
            let is_own = readers[own.index()] == 1 && self.sum_of[host].is_none();
            let fits = self.ends_in(host, graph) == own && epilogues.takes_sum(host, sum);
            (is_there && is_own && fits).then_some((host, Sum { node: sum, other, is_second }))
        })
    }
}
