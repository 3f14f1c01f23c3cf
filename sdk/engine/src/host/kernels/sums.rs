//! Sums of products that are added one by one, in the contract's order: a number times a line of weights is added to a line
//! of sums, so that different sums are in lanes. Shared by everything that multiplies floats, and integers whose zero points
//! are only known when the model runs.

use bytemuck::Pod;

/// Products that one pass adds to each sum: that many weights are loaded for one load and store of the sum.
pub(crate) const TAPS: usize = 4;
/// Sums that a pass keeps in registers. Packed lines of weights are filled up to a multiple of it; see [`packed_line`].
pub(crate) const LANES: usize = 16;
/// Weights that may be filled up whatever it costs.
const FEW_WEIGHTS: usize = 1 << 18;

/// How long lines of `outputs` weights are packed, of which there are `count`: filled up, so that no line ends inside a
/// register, unless that would make much more of a large matrix.
pub(crate) fn packed_line(outputs: usize, count: usize) -> usize {
    let filled = outputs.next_multiple_of(LANES);
    let is_cheap = filled <= 2 * outputs || count.checked_mul(filled).is_some_and(|n| n <= FEW_WEIGHTS);
    if is_cheap { filled } else { outputs }
}

/// What is multiplied, and how.
pub(crate) trait Arithmetic: Send + Sync + 'static {
    /// An element as it is stored.
    type X: Pod;
    /// A weight as it is packed.
    type Weight: Pod + Send + Sync;
    /// A sum, and an element with its zero point off.
    type Sum: Pod + Default + Send + Sync;

    /// An element without its zero point.
    fn number(x: Self::X, zero: Self::Sum) -> Self::Sum;
    /// The sum with one more product.
    fn add(sum: Self::Sum, x: Self::Sum, weight: Self::Weight) -> Self::Sum;
}

/// f32: a product is rounded, then the sum.
pub(crate) struct Reals;

impl Arithmetic for Reals {
    type X = f32;
    type Weight = f32;
    type Sum = f32;

    #[inline(always)]
    fn number(x: f32, _: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn add(sum: f32, x: f32, weight: f32) -> f32 {
        sum + x * weight
    }
}

/// Bytes times differences of bytes, in 32 bits that wrap.
pub(crate) struct Integers;

impl Arithmetic for Integers {
    type X = u8;
    type Weight = i16;
    type Sum = i32;

    #[inline(always)]
    fn number(x: u8, zero: i32) -> i32 {
        i32::from(x) - zero
    }

    #[inline(always)]
    fn add(sum: i32, x: i32, weight: i16) -> i32 {
        sum.wrapping_add(x * i32::from(weight))
    }
}

/// Lines of sums that one walk over the products completes.
pub(crate) struct Block<'a, A: Arithmetic> {
    pub(crate) x: &'a [A::X],
    /// For every line, how far after the first line's number in `x` its own lies.
    pub(crate) places: &'a [usize],
    pub(crate) zero: A::Sum,
    pub(crate) weights: &'a [A::Weight],
    /// Sums of a line, and so weights of a product.
    pub(crate) line: usize,
    /// One line after the other.
    pub(crate) sums: &'a mut [A::Sum],
}

/// Products that wait until there are enough for a pass: where in `x` the first line's number lies, and where the line of
/// weights begins.
#[derive(Default)]
pub(crate) struct Waiting {
    products: [[usize; 2]; TAPS],
    count: usize,
}

impl<A: Arithmetic> Block<'_, A> {
    /// Adds a product to every sum, now or with the next ones.
    #[inline(always)]
    pub(crate) fn push(&mut self, waiting: &mut Waiting, product: [usize; 2]) {
        waiting.products[waiting.count] = product;
        waiting.count += 1;
        if waiting.count == TAPS {
            self.pass(waiting.products);
            waiting.count = 0;
        }
    }

    /// Adds what still waits.
    #[inline(always)]
    pub(crate) fn finish(&mut self, waiting: &mut Waiting) {
        for i in 0..waiting.count {
            self.pass([waiting.products[i]]);
        }
        waiting.count = 0;
    }

    #[inline(always)]
    fn pass<const N: usize>(&mut self, products: [[usize; 2]; N]) {
        let line = self.line;
        let weights = products.map(|[_, at]| &self.weights[at..at + line]);
        for (place, sums) in self.places.iter().zip(self.sums.chunks_exact_mut(line)) {
            let numbers = products.map(|[at, _]| A::number(self.x[at + place], self.zero));
            add_products::<A, N>(sums, numbers, weights);
        }
    }
}

/// Adds `numbers[0] * weights[0]`, then `numbers[1] * weights[1]`, and so on, to each sum.
#[inline(always)]
pub(crate) fn add_products<A: Arithmetic, const N: usize>(
    sums: &mut [A::Sum],
    numbers: [A::Sum; N],
    weights: [&[A::Weight]; N],
) {
    let (blocks, rest) = sums.as_chunks_mut::<LANES>();
    let weights = weights.map(|weights| weights.as_chunks::<LANES>());
    for (i, block) in blocks.iter_mut().enumerate() {
        // By value: LLVM does not know that sums and weights lie apart, and would take lane after lane.
        let mut sums = *block;
        for (number, (weights, _)) in numbers.iter().zip(weights) {
            let weights = weights[i];
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = A::add(*sum, *number, weight);
            }
        }
        *block = sums;
    }
    let done = blocks.len();
    for (lane, sum) in rest.iter_mut().enumerate() {
        for (number, (whole, tail)) in numbers.iter().zip(weights) {
            // Weights may go on where sums end.
            let weight = if done < whole.len() { whole[done][lane] } else { tail[lane] };
            *sum = A::add(*sum, *number, weight);
        }
    }
}

/// Adds the products of `x[0]` and `weights[0]`, then of `x[1]` and `weights[1]`, and so on: each sum has elements of its own.
#[inline(always)]
pub(crate) fn add_pairs<A: Arithmetic, const N: usize>(
    sums: &mut [A::Sum],
    x: [&[A::X]; N],
    weights: [&[A::Weight]; N],
    zero: A::Sum,
) {
    let n = sums.len();
    let (x, weights) = (x.map(|x| &x[..n]), weights.map(|weights| &weights[..n]));
    for (i, sum) in sums.iter_mut().enumerate() {
        for (x, weights) in x.iter().zip(weights) {
            *sum = A::add(*sum, A::number(x[i], zero), weights[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_added_in_their_order() {
        // Any other order, and any fused multiply-add, gives other bits.
        let numbers: Vec<f32> = (0..23).map(|i| 0.1 + i as f32 * 1.7).collect();
        for lanes in [1, 7, 16, 19, 32] {
            let weights: Vec<f32> = (0..10 * lanes).map(|i| (i as f32 * 0.37).sin() * 3.0e3).collect();
            let mut sums = vec![0.25; 3 * lanes];
            let mut block = Block::<Reals> {
                x: &numbers,
                places: &[0, 5, 10],
                zero: 0.0,
                weights: &weights,
                line: lanes,
                sums: &mut sums,
            };
            let mut waiting = Waiting::default();
            (0..10).for_each(|k| block.push(&mut waiting, [k, k * lanes]));
            block.finish(&mut waiting);
            for (i, &sum) in sums.iter().enumerate() {
                let (place, lane) = (i / lanes, i % lanes);
                let expected =
                    (0..10).fold(0.25, |sum, k| sum + numbers[k + 5 * place] * weights[k * lanes + lane]);
                assert_eq!(sum.to_bits(), f32::to_bits(expected));
            }
        }
    }

    #[test]
    fn integers_wrap() {
        let mut sums = [i32::MAX];
        add_products::<Integers, 1>(&mut sums, [255], [&[255]]);
        assert_eq!(sums, [i32::MAX.wrapping_add(65_025)]);
    }
}
