//! Which operands of a Concat lie inside its result, so that it costs nothing: the steps that compute them write them there.
//!
//! Joined along the outermost axis that is longer than 1, operands lie one after the other, as any value does. Joined along
//! channels, each has its channels in every pixel of the result, so that its own pixels lie apart ([`Layout::apart`]), inside
//! the result's halo. A result may itself lie inside another one's: its operands then lie in that one.

use tilemark_model::shape::normalize_axis;
use tilemark_model::{Graph, Op, ValueId};

use super::choose::Choice;
use super::layout::{Halo, Layout};
use super::lower::Lower;

/// Steps that may read an operand: bounds the time that a graph with many Concats of one value can cost.
const MAX_READERS: usize = 16;
/// A result of so many bytes stays in the second cache while its operands are written.
const CACHED_BYTES: usize = 256 << 10;
/// Bytes of an operand's pixel, on average, from which a result that does not stay there is written in place: each operand
/// fetches a cache line for every pixel of the result, however few bytes it writes there. docs/engine.md has the numbers.
const LINE_BYTES: usize = 64;
/// Operands of more bytes that would need working memory to be written are copied instead.
const MAX_STAGED_BYTES: usize = 16 << 20;

/// Where a value lies inside another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    into: ValueId,
    /// Bytes from the first of the other value.
    offset: usize,
}

/// The places of all values.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Option<Place>>);

impl Places {
    /// Gives operands places, and says of the nodes of which all operands have one that they are there in place.
    pub(super) fn new(lower: &mut Lower<'_>) -> Self {
        let mut joins = Joins::new(lower);
        // The last one first: what lies inside it decides how its operands lie.
        for i in (0..joins.lower.order.len()).rev() {
            let node = joins.lower.order[i];
            if joins.place(node).is_some() {
                joins.lower.choices[node] = Choice::InPlace;
            }
        }
        joins.places
    }

    /// The value whose buffer holds a value, and where, in bytes.
    pub(super) fn home(&self, mut value: ValueId) -> (ValueId, usize) {
        let mut at = 0;
        while let Some(place) = self.0.get(value.index()).copied().flatten() {
            (value, at) = (place.into, at + place.offset);
        }
        (value, at)
    }
}

struct Joins<'l, 'a> {
    lower: &'l mut Lower<'a>,
    graph: &'a Graph,
    /// For each value the node whose step writes it, and those whose steps read it.
    writer: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
    /// For each value the one whose buffer holds it, as far as it is known: itself, or a join's result.
    home: Vec<ValueId>,
    places: Places,
}

/// An operand of a join on its way to a place.
struct Part {
    /// What a step writes: the operand itself, or the value of which it is another name.
    value: ValueId,
    layout: Layout,
    offset: usize,
}

impl<'l, 'a> Joins<'l, 'a> {
    fn new(lower: &'l mut Lower<'a>) -> Self {
        let graph: &'a Graph = lower.source.graph;
        let count = graph.values.len();
        let (mut writer, mut readers) = (vec![None; count], vec![Vec::new(); count]);
        for &i in &lower.order {
            writer[lower.fusion.ends_in(i, graph).index()] = Some(i);
            lower.reads(i).for_each(|id| readers[id.index()].push(i));
        }
        let home = (0..).take(count).map(ValueId).collect();
        Self { lower, graph, writer, readers, home, places: Places(vec![None; count]) }
    }

    /// Gives the operands of a node places in its result, or leaves everything as it is.
    fn place(&mut self, node: usize) -> Option<()> {
        let (Op::Concat { axis }, Choice::Kernels(..)) =
            (&self.graph.nodes[node].op, &self.lower.choices[node])
        else {
            return None;
        };
        let result = self.graph.nodes[node].output;
        let layout = self.lower.layouts[result.index()].clone()?;
        let axis = normalize_axis(*axis, layout.shape.len())?;
        let axes = layout.memory_axes();
        let outermost = axes.iter().copied().find(|&axis| layout.shape[axis] > 1);
        let (parts, layout) = if outermost == Some(axis) {
            (self.one_after_the_other(node, axis, &layout)?, layout)
        } else if axes.last() == Some(&axis) {
            self.in_every_pixel(node, &layout)?
        } else {
            return None;
        };
        self.adopt(node, result, &parts)?;
        self.lower.layouts[result.index()] = Some(layout);
        for Part { value, layout, offset } in parts {
            self.lower.layouts[value.index()] = Some(layout);
            self.places.0[value.index()] = Some(Place { into: result, offset });
        }
        Some(())
    }

    /// Operands as parts of a result that lies row after row without anything between.
    fn one_after_the_other(&self, node: usize, axis: usize, result: &Layout) -> Option<Vec<Part>> {
        let is_whole = |layout: &Layout| layout.halo == Halo::default() && layout.is_dense();
        let mut offset = 0;
        let part = |&operand: &ValueId| {
            let own = self.lower.layouts[operand.index()].as_ref()?;
            let fits = is_whole(own) && own.order == result.order && own.dtype == result.dtype;
            // Another name for the same bytes may lead to the value that a step writes.
            let value = self.written(operand)?;
            let layout = self.lower.layouts[value.index()].clone()?;
            let at = offset;
            offset += result.bytes().ok()? / result.shape[axis] * own.shape[axis];
            (fits && is_whole(&layout) && self.is_free(value)).then_some(Part { value, layout, offset: at })
        };
        is_whole(result).then_some(())?;
        self.graph.nodes[node].inputs.iter().map(part).collect()
    }

    /// Operands as channels of the result's pixels, and the result with the halo that all want.
    fn in_every_pixel(&self, node: usize, result: &Layout) -> Option<(Vec<Part>, Layout)> {
        let (inputs, output) = (&self.graph.nodes[node].inputs, self.graph.nodes[node].output);
        let layouts = inputs.iter().map(|id| self.lower.layouts[id.index()].as_ref());
        let layouts: Vec<&Layout> = layouts.collect::<Option<_>>()?;
        let halo = layouts.iter().fold(result.halo, |halo, own| halo.union(own.halo));
        let whole = Layout { halo, ..result.clone() };
        let is_narrow = whole.pixel_bytes() < inputs.len() * LINE_BYTES;
        if is_narrow && whole.bytes().is_ok_and(|bytes| bytes > CACHED_BYTES) {
            return None;
        }
        // A halo would part the result from its other names, and from the value in which it lies.
        let is_bound = self.places.0[output.index()].is_some() || self.has_other_names(output);
        if (halo != result.halo && is_bound) || whole.bytes().is_err() {
            return None;
        }
        let mut channel = 0;
        let part = |(&value, own): (&ValueId, &Layout)| {
            let layout = Layout { halo, ..own.clone() }.apart(whole.pixel);
            let at = channel * own.dtype.size();
            channel += own.grid.channels;
            let fits = own.is_dense() && own.order == result.order && own.dtype == result.dtype;
            let takes_part = fits && self.is_free(value) && self.may_lie_apart(value, own, node);
            takes_part.then_some(Part { value, layout, offset: at })
        };
        let parts = inputs.iter().zip(layouts).map(part).collect::<Option<_>>()?;
        Some((parts, whole))
    }

    /// The value that a step writes, of which this one may be another name.
    fn written(&self, mut value: ValueId) -> Option<ValueId> {
        loop {
            let node = self.writer[value.index()]?;
            match self.lower.choices[node] {
                Choice::Alias => value = self.graph.nodes[node].inputs[0],
                _ => return Some(value),
            }
        }
    }

    /// Whether a value has no place yet.
    fn is_free(&self, value: ValueId) -> bool {
        self.places.0[value.index()].is_none() && self.home[value.index()] == value
    }

    fn has_other_names(&self, value: ValueId) -> bool {
        let of = |node: &usize| matches!(self.lower.choices[*node], Choice::Alias);
        self.writer[value.index()].iter().chain(&self.readers[value.index()]).any(of)
    }

    /// Whether all steps around an operand of `join` take pixels that lie apart.
    fn may_lie_apart(&self, value: ValueId, own: &Layout, join: usize) -> bool {
        let Some(writer) = self.writer[value.index()] else { return false };
        let Choice::Kernels([kernel, ..], _) = &self.lower.choices[writer] else { return false };
        let channels = own.grid.channels;
        let writes = self.lower.writes_apart(writer, kernel.operation, channels)
            || own.bytes().is_ok_and(|bytes| bytes <= MAX_STAGED_BYTES);
        let reads = |&node: &usize| node == join || self.lower.choices[node].reads_apart(channels);
        writes && self.readers[value.index()].iter().all(reads)
    }

    /// Makes the result's buffer that of its operands, unless a step would read it and write it, or the operands are not
    /// all different.
    fn adopt(&mut self, node: usize, result: ValueId, parts: &[Part]) -> Option<()> {
        let home = self.home[result.index()];
        let mut members = Vec::new();
        let mut fits = true;
        for part in parts {
            fits &= self.graph.value(part.value).quant == self.graph.value(result).quant
                && self.home[part.value.index()] == part.value
                && self.collect(part.value, &mut members);
            members.iter().for_each(|id| self.home[id.index()] = home);
        }
        let is_safe = fits
            && members.iter().all(|id| {
                let around = self.writer[id.index()].iter().chain(&self.readers[id.index()]);
                around.filter(|&&step| step != node).all(|&step| self.is_apart(step, home))
            });
        if !is_safe {
            members.iter().for_each(|id| self.home[id.index()] = *id);
            return None;
        }
        Some(())
    }

    /// A value and its other names, as far as they have few readers.
    fn collect(&self, value: ValueId, members: &mut Vec<ValueId>) -> bool {
        let first = members.len();
        members.push(value);
        let mut next = first;
        while let Some(&member) = members.get(next) {
            let readers = &self.readers[member.index()];
            if readers.len() > MAX_READERS || members.len() - first > MAX_READERS {
                return false;
            }
            let aliases = readers.iter().filter(|&&node| matches!(self.lower.choices[node], Choice::Alias));
            members.extend(aliases.map(|&node| self.graph.nodes[node].output));
            next += 1;
        }
        true
    }

    /// Whether a step that does anything does not both read and write in the buffer of `home`.
    fn is_apart(&self, step: usize, home: ValueId) -> bool {
        if matches!(self.lower.choices[step], Choice::Alias | Choice::InPlace) {
            return true;
        }
        let is_there = |id: ValueId| self.home[id.index()] == home;
        !(is_there(self.lower.fusion.ends_in(step, self.graph)) && self.lower.reads(step).any(is_there))
    }
}
