//! Where the elements of one input go: for every place along an axis of the output, in memory order, the offset that it
//! adds in the input.

use crate::host::kernels::copy::copy;
use crate::plan::Layout;

/// What the places along one axis add to the offset in the input; `None` where the input has no element.
pub(crate) type Places = Vec<Option<usize>>;

/// The way from one input to the output.
#[derive(Debug)]
pub(super) struct Routes {
    /// Offset of the input's first element.
    origin: usize,
    /// The axes around a line of the output, the outermost first.
    outer: Vec<Places>,
    /// The axes inside a line, but for the innermost.
    inner: Vec<Places>,
    innermost: Innermost,
    /// Whether every element of the output comes from here.
    is_complete: bool,
}

/// The last axis of a line.
#[derive(Debug)]
enum Innermost {
    /// Runs of elements that lie side by side in both: place in the output, offset in the input, length.
    Runs(Vec<[usize; 3]>),
    /// The offset of every element.
    Each(Vec<usize>),
}

/// Runs shorter than this on average are moved element by element.
const SHORT_RUN: usize = 3;

impl Routes {
    /// Routes by the places of the output's logical axes.
    pub(super) fn new(origin: usize, places: &[Places], output: &Layout) -> Self {
        let axes = output.memory_axes().into_iter().map(|axis| places[axis].clone());
        let line_axes = if output.shape.len() == 4 { 2 } else { output.shape.len().min(1) };
        Self::in_order(origin, axes.collect(), line_axes)
    }

    /// Routes of the same elements under another shape.
    pub(super) fn reshaped(input: &Layout, output: &Layout) -> Option<Self> {
        let (sizes, strides) = refined_strides(input, output)?;
        let of_axis = parts(&output.shape, &sizes);
        let line_axes = if output.shape.len() == 4 { 2 } else { output.shape.len().min(1) };
        let order = output.memory_axes();
        let table = |i: usize| (0..sizes[i]).map(|place| Some(place * strides[i])).collect::<Places>();
        let tables = |axes: &[usize]| -> Vec<Places> {
            axes.iter().flat_map(|&axis| of_axis[axis].clone()).map(table).collect()
        };
        let (outer, inner) = order.split_at(order.len() - line_axes);
        let (outer, inner) = (tables(outer), tables(inner));
        let line_axes = inner.len();
        Some(Self::in_order(input.origin(), [outer, inner].concat(), line_axes))
    }

    fn in_order(origin: usize, mut axes: Vec<Places>, line_axes: usize) -> Self {
        let is_complete = axes.iter().flatten().all(Option::is_some);
        let mut inner = axes.split_off(axes.len() - line_axes);
        while let [.., outer, last] = inner.as_slice()
            && let Some(merged) = merged(outer, last)
        {
            inner.truncate(inner.len() - 2);
            inner.push(merged);
        }
        let innermost = Innermost::new(&inner.pop().unwrap_or_else(|| vec![Some(0)]));
        Self { origin, outer: axes, inner, innermost, is_complete }
    }

    /// Whether every element of the output comes from here.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Copies the elements of `x` that belong into line number `line`.
    pub(super) fn copy<E: Copy>(&self, line: usize, x: &[E], y: &mut [E]) {
        let mut rest = line;
        let mut at = Some(self.origin);
        for places in self.outer.iter().rev() {
            at = at.zip(places[rest % places.len()]).map(|(at, place)| at + place);
            rest /= places.len();
        }
        if let Some(at) = at {
            self.along(&self.inner, at, x, y);
        }
    }

    fn along<E: Copy>(&self, axes: &[Places], at: usize, x: &[E], y: &mut [E]) {
        let Some((places, axes)) = axes.split_first() else { return self.innermost.copy(at, x, y) };
        for (place, part) in places.iter().zip(y.chunks_exact_mut(y.len() / places.len())) {
            if let Some(place) = place {
                self.along(axes, at + place, x, part);
            }
        }
    }
}

impl Innermost {
    fn new(places: &Places) -> Self {
        let mut runs: Vec<[usize; 3]> = Vec::new();
        for (i, place) in places.iter().enumerate() {
            let Some(place) = *place else { continue };
            match runs.last_mut() {
                Some([start, from, len]) if *start + *len == i && *from + *len == place => *len += 1,
                _ => runs.push([i, place, 1]),
            }
        }
        let each: Option<Vec<usize>> = places.iter().copied().collect();
        match each {
            Some(each) if each.len() < SHORT_RUN * runs.len() => Innermost::Each(each),
            _ => Innermost::Runs(runs),
        }
    }

    #[inline]
    fn copy<E: Copy>(&self, at: usize, x: &[E], y: &mut [E]) {
        match self {
            Innermost::Runs(runs) => {
                for &[to, from, len] in runs {
                    copy(&x[at + from..][..len], &mut y[to..to + len]);
                }
            }
            Innermost::Each(places) => {
                let x = &x[at..];
                y.iter_mut().zip(places).for_each(|(y, &place)| *y = x[place]);
            }
        }
    }
}

/// For every axis of `output`, in the shape's order, what its places add to the offset in `input`, which has the same elements
/// under another shape. `None` if the shapes' axes have no common refinement.
pub(super) fn reshaped(input: &Layout, output: &Layout) -> Option<Vec<Places>> {
    let (sizes, strides) = refined_strides(input, output)?;
    let along = |part: std::ops::Range<usize>| {
        part.fold(vec![Some(0)], |outer: Places, i| {
            let (size, stride) = (sizes[i], strides[i]);
            let inner = |at: Option<usize>| (0..size).map(move |place| at.map(|at| at + place * stride));
            outer.into_iter().flat_map(inner).collect()
        })
    };
    Some(parts(&output.shape, &sizes).into_iter().map(along).collect())
}

/// Sizes of which both shapes' axes are products of neighbours, and the steps of each in `input`.
fn refined_strides(input: &Layout, output: &Layout) -> Option<(Vec<usize>, Vec<usize>)> {
    let sizes = refined(&input.shape, &output.shape)?;
    let mut strides = vec![0; sizes.len()];
    for (part, stride) in parts(&input.shape, &sizes).into_iter().zip(input.strides()) {
        let mut step = stride;
        for i in part.rev() {
            strides[i] = step;
            step *= sizes[i];
        }
    }
    Some((sizes, strides))
}

/// Two axes as one, where the step of the outer one continues the inner one: the runs of a line become longer.
fn merged(outer: &Places, inner: &Places) -> Option<Places> {
    let whole = |places: &Places| places.iter().copied().collect::<Option<Vec<usize>>>();
    let (outer, inner) = (whole(outer)?, whole(inner)?);
    let (first, n) = (*inner.first()?, inner.len());
    let is_run = inner.iter().enumerate().all(|(i, &place)| place == first + i);
    let continues = outer.iter().enumerate().all(|(i, &place)| place == outer[0] + i * n);
    (is_run && continues).then(|| (0..outer.len() * n).map(|i| Some(outer[0] + first + i)).collect())
}

/// Sizes of which both shapes' axes are products of neighbours; axes of 1 left out. `None` if there are none.
pub(super) fn refined(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let mut sizes = Vec::new();
    let (mut a, mut b) = (a.iter().copied().filter(|&n| n != 1), b.iter().copied().filter(|&n| n != 1));
    let (mut x, mut y) = (1, 1);
    loop {
        if x == 1 {
            x = a.next().unwrap_or(1);
        }
        if y == 1 {
            y = b.next().unwrap_or(1);
        }
        let size = x.min(y);
        if size <= 1 {
            return (x == y).then_some(sizes);
        }
        if x % size != 0 || y % size != 0 {
            return None;
        }
        sizes.push(size);
        (x, y) = (x / size, y / size);
    }
}

/// For every axis of a shape, which of the refined sizes make it up.
fn parts(shape: &[usize], sizes: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut next = 0;
    let part = |&n: &usize| {
        let start = next;
        let mut product = 1;
        while product < n {
            product *= sizes[next];
            next += 1;
        }
        start..next
    };
    shape.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_a_common_refinement_where_their_axes_nest() {
        assert_eq!(refined(&[1, 16, 4, 6], &[1, 384]), Some(vec![16, 4, 6]));
        assert_eq!(refined(&[2, 12], &[8, 3]), Some(vec![2, 4, 3]));
        assert_eq!(refined(&[6, 4], &[4, 6]), None);
        assert_eq!(refined(&[1, 1], &[]), Some(vec![]));
    }

    /// Found on BlazeFace, which pads channels at their end: what the memory held before showed through.
    #[test]
    fn elements_missing_at_the_end_of_a_line_are_missed() {
        let line =
            |missing: &[usize]| -> Places { (0..4).map(|i| (!missing.contains(&i)).then_some(i)).collect() };
        let is_complete = |inner: Places| Routes::in_order(0, vec![vec![Some(0); 2], inner], 1).is_complete();
        assert!(is_complete(line(&[])));
        for missing in [[0, 0], [1, 1], [3, 3], [2, 3]] {
            assert!(!is_complete(line(&missing)), "{missing:?}");
        }
    }

    #[test]
    fn neighbouring_runs_become_one() {
        let all = |n: usize, step: usize| (0..n).map(|i| Some(i * step)).collect::<Places>();
        assert_eq!(merged(&all(3, 4), &all(4, 1)), Some(all(12, 1)));
        assert_eq!(merged(&all(3, 5), &all(4, 1)), None);
        assert_eq!(merged(&all(3, 4), &all(4, 2)), None);
    }
}
