//! Which steps write their result over an operand that nobody reads afterwards. The arena is as large as the largest step and
//! what is alive beside it; where a network has f32 parts that is an element-wise step, which so takes half.

use tilemark_model::ValueId;

use super::choose::Choice;
use super::lower::Lower;
use crate::host::kernels;

/// For every node the operand that its step overwrites: of the same layout, read here for the last time, without other
/// names, and neither a part of another value nor made of parts.
pub(super) fn of_steps(lower: &Lower<'_>) -> Vec<Option<ValueId>> {
    let graph = lower.source.graph;
    let mut overwritten = vec![None; graph.nodes.len()];
    // Values that a step writes, read by steps that run a kernel alone; which of these comes last.
    let mut is_free = vec![false; graph.values.len()];
    let mut last = vec![None; graph.values.len()];
    for &i in &lower.order {
        let written = lower.fusion.ends_in(i, graph);
        let is_own = matches!(lower.choices[i], Choice::Kernels(..) | Choice::Reference(_));
        is_free[written.index()] = is_own && lower.places.home(written) == (written, 0);
        for id in lower.reads(i) {
            is_free[id.index()] &= !matches!(lower.choices[i], Choice::Alias);
            last[id.index()] = Some(i);
        }
    }
    lower.needed_on_host().for_each(|id| is_free[id.index()] = false);
    for &i in &lower.order {
        let Choice::Kernels([kernel, ..], _) = &lower.choices[i] else { continue };
        let written = lower.fusion.ends_in(i, graph);
        let layout = &lower.layouts[written.index()];
        let dies = |id: &ValueId| {
            is_free[id.index()] && last[id.index()] == Some(i) && lower.layouts[id.index()] == *layout
        };
        if kernels::overwrites(kernel.operation) && is_free[written.index()] {
            overwritten[i] = lower.reads(i).find(dies);
        }
    }
    overwritten
}
