//! All gates of a step at once: units in lanes, each sum in the contract's order (both biases, products with x, products with
//! the hidden state).

use std::sync::Arc;

use tilemark_model::graph::{Direction, Recurrent, State, UnaryOp};
use tilemark_model::reference::of_one;

use super::layer;
use crate::error::Error;
use crate::host::kernels::exponential::sigmoid;
use crate::host::kernels::sums::{Block, Reals, Waiting};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct Layer {
    op: Recurrent,
    gates: usize,
    /// Steps, sequences, elements of an input.
    extent: [usize; 3],
    /// For each direction.
    weights: Arc<Vec<Weights>>,
    /// First hidden and cell state.
    states: Vec<First>,
    /// Elements of the output between steps, directions, sequences and units.
    strides: [usize; 4],
    vectorizer: Vectorizer,
}

/// One direction's weights, a line for each element that is multiplied: all units of all gates.
struct Weights {
    input: Vec<f32>,
    hidden: Vec<f32>,
    /// With x, then with the hidden state.
    bias: Vec<f32>,
    peepholes: Vec<f32>,
}

/// A first state `[directions, sequences or one, hidden]`.
struct First {
    source: Result<Vec<f32>, usize>,
    sequences: usize,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let unplanned = || Error::internal(&step.node.name, "planned as a recurrent layer");
    let (op, gates) = layer(&step.node.op).ok_or_else(unplanned)?;
    let extent: [usize; 3] = step.inputs[0].shape[..].try_into().map_err(|_| unplanned())?;
    let weights = step.packed("recurrent", || {
        (0..op.directions()).map(|direction| Weights::new(step, op, gates, direction)).collect()
    })?;
    let state = |i: usize| -> Result<First, Error> {
        let source = match step.input(i) {
            Some(input) => Err(input),
            None => Ok(step.constant(i).ok_or_else(unplanned)?.as_f32()?.to_vec()),
        };
        Ok(First { source, sequences: step.shapes.of(step.node.inputs[i])[1].max(1) })
    };
    let states = (4..if gates == 4 { 6 } else { 5 }).map(state).collect::<Result<_, Error>>()?;
    let strides = match (op.state, &step.output.strides()[..]) {
        (State::Sequence, &[steps, directions, sequences, units]) => [steps, directions, sequences, units],
        (_, &[directions, sequences, units]) => [0, directions, sequences, units],
        _ => return Err(unplanned()),
    };
    let work = Layer { op: *op, gates, extent, weights, states, strides, vectorizer };
    Ok(Planned { work: Box::new(work), tiling: Tiling::single(step.output) })
}

impl Weights {
    fn new(step: &Lowering<'_>, op: &Recurrent, gates: usize, direction: usize) -> Result<Self, Error> {
        let missing = || Error::internal(&step.node.name, "lacks its weights");
        let part = |i: usize| -> Result<Vec<f32>, Error> {
            let tensor = step.constant(i).ok_or_else(missing)?;
            let each = tensor.len() / op.directions();
            Ok(tensor.as_f32()?[direction * each..][..each].to_vec())
        };
        let rows = gates * op.hidden;
        let turned = |matrix: Vec<f32>| -> Vec<f32> {
            let columns = matrix.len() / rows;
            (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c)).map(|i| matrix[i]).collect()
        };
        Ok(Self {
            input: turned(part(1)?),
            hidden: turned(part(2)?),
            bias: part(3)?,
            peepholes: if gates == 4 { part(6)? } else { Vec::new() },
        })
    }
}

impl Work for Layer {
    fn scratch_bytes(&self) -> usize {
        (self.gates + 4) * self.op.hidden * size_of::<f32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let scratch: &mut [f32] = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        let x = bytemuck::cast_slice(inputs.view(0).bytes);
        let y = bytemuck::cast_slice_mut(tile.whole());
        let hidden = self.op.hidden;
        for direction in 0..self.op.directions() {
            for sequence in 0..self.extent[1] {
                let (sums, rest) = scratch.split_at_mut(self.gates * hidden);
                let (state, rest) = rest.split_at_mut(hidden);
                let (cell, spare) = rest.split_at_mut(hidden);
                for (first, state) in self.states.iter().zip([&mut *state, &mut *cell]) {
                    let elements = match &first.source {
                        Ok(elements) => elements.as_slice(),
                        Err(input) => bytemuck::cast_slice(inputs.view(*input).bytes),
                    };
                    let at = (direction * first.sequences + sequence % first.sequences) * hidden;
                    state.copy_from_slice(&elements[at..at + hidden]);
                }
                let place = [direction, sequence];
                self.vectorizer.run(Sequence { layer: self, place, x, y: &mut *y, sums, state, cell, spare });
            }
        }
        Ok(())
    }
}

/// One sequence in one direction.
struct Sequence<'a> {
    layer: &'a Layer,
    /// Direction and sequence.
    place: [usize; 2],
    x: &'a [f32],
    y: &'a mut [f32],
    sums: &'a mut [f32],
    /// Hidden and cell state.
    state: &'a mut [f32],
    cell: &'a mut [f32],
    /// Twice as long as the states.
    spare: &'a mut [f32],
}

impl Loop for Sequence<'_> {
    #[inline(always)]
    fn run(mut self) {
        let Layer { op, gates, extent: [steps, sequences, width], .. } = self.layer;
        let [direction, sequence] = self.place;
        let backwards = op.direction == Direction::Reverse || direction == 1;
        for step in 0..*steps {
            let step = if backwards { steps - 1 - step } else { step };
            let x = &self.x[(step * sequences + sequence) * width..][..*width];
            if *gates == 4 {
                self.lstm(x);
            } else {
                self.gru(x);
            }
            if op.state == State::Sequence {
                self.write(step, State::Hidden);
            }
        }
        if op.state != State::Sequence {
            self.write(0, op.state);
        }
    }
}

impl Sequence<'_> {
    #[inline(always)]
    fn write(&mut self, step: usize, state: State) {
        let [steps, directions, sequences, units] = self.layer.strides;
        let at = step * steps + self.place[0] * directions + self.place[1] * sequences;
        let state = if state == State::Cell { &*self.cell } else { &*self.state };
        for (unit, &value) in state.iter().enumerate() {
            self.y[at + unit * units] = value;
        }
    }

    #[inline(always)]
    fn lstm(&mut self, x: &[f32]) {
        let (weights, hidden) = (&self.layer.weights[self.place[0]], self.layer.op.hidden);
        let lines = 4 * hidden;
        start(self.sums, &weights.bias, lines);
        add(self.sums, x, &weights.input, [lines, 0]);
        add(self.sums, self.state, &weights.hidden, [lines, 0]);
        for unit in 0..hidden {
            let sum = |gate: usize| self.sums[gate * hidden + unit];
            let peephole = |gate: usize, cell: f32| weights.peepholes[gate * hidden + unit] * cell;
            let before = self.cell[unit];
            let input = sigmoid(sum(0) + peephole(0, before));
            let forget = sigmoid(sum(2) + peephole(2, before));
            let cell = forget * before + input * of_one(UnaryOp::Tanh, sum(3));
            let output = sigmoid(sum(1) + peephole(1, cell));
            self.cell[unit] = cell;
            self.state[unit] = output * of_one(UnaryOp::Tanh, cell);
        }
    }

    #[inline(always)]
    fn gru(&mut self, x: &[f32]) {
        let (weights, hidden) = (&self.layer.weights[self.place[0]], self.layer.op.hidden);
        let lines = 3 * hidden;
        let (gates, candidate) = self.sums.split_at_mut(2 * hidden);
        let (gated, recurrent) = self.spare.split_at_mut(hidden);
        start(gates, &weights.bias, lines);
        add(gates, x, &weights.input, [lines, 0]);
        add(gates, self.state, &weights.hidden, [lines, 0]);
        for gate in gates.iter_mut() {
            *gate = sigmoid(*gate);
        }
        let (update, reset) = gates.split_at(hidden);
        if self.layer.op.linear_before_reset {
            candidate.copy_from_slice(&weights.bias[2 * hidden..lines]);
            add(candidate, x, &weights.input, [lines, 2 * hidden]);
            recurrent.copy_from_slice(&weights.bias[lines + 2 * hidden..]);
            add(recurrent, self.state, &weights.hidden, [lines, 2 * hidden]);
            for (unit, sum) in candidate.iter_mut().enumerate() {
                *sum += reset[unit] * recurrent[unit];
            }
        } else {
            for (unit, gated) in gated.iter_mut().enumerate() {
                *gated = reset[unit] * self.state[unit];
            }
            start(candidate, &weights.bias[2 * hidden..], lines);
            add(candidate, x, &weights.input, [lines, 2 * hidden]);
            add(candidate, gated, &weights.hidden, [lines, 2 * hidden]);
        }
        for unit in 0..hidden {
            let fresh = of_one(UnaryOp::Tanh, candidate[unit]);
            self.state[unit] = (1.0 - update[unit]) * fresh + update[unit] * self.state[unit];
        }
    }
}

/// Begins sums with both biases, the second of which lies `apart` from the first.
#[inline(always)]
fn start(sums: &mut [f32], bias: &[f32], apart: usize) {
    let (input, hidden) = (&bias[..sums.len()], &bias[apart..][..sums.len()]);
    for (sum, (input, hidden)) in sums.iter_mut().zip(input.iter().zip(hidden)) {
        *sum = input + hidden;
    }
}

/// Adds the products of every element of `x` with its line of weights, of which sums take those from `first` on.
#[inline(always)]
fn add(sums: &mut [f32], x: &[f32], weights: &[f32], [line, first]: [usize; 2]) {
    let mut block = Block::<Reals> { x, places: &[0], zero: 0.0, weights, line: sums.len(), sums };
    let mut waiting = Waiting::default();
    for i in 0..x.len() {
        block.push(&mut waiting, [i, i * line + first]);
    }
    block.finish(&mut waiting);
}
