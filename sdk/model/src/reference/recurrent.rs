//! Recurrent layers in f32. Every gate's sum starts with the two biases; then come the products with the input and those
//! with the hidden state, one by one.

use super::float::of_one;
use crate::error::Error;
use crate::graph::{Direction, Recurrent, State, UnaryOp};
use crate::tensor::Tensor;

/// One direction's view of the operands.
struct Layer<'a> {
    op: &'a Recurrent,
    gates: usize,
    inputs: usize,
    /// `[gates * hidden, inputs]`
    weights: &'a [f32],
    /// `[gates * hidden, hidden]`
    recurrent: &'a [f32],
    /// `[2 * gates * hidden]`
    bias: &'a [f32],
    /// `[3 * hidden]`; LSTM only.
    peepholes: &'a [f32],
}

/// One sequence's state.
struct Cell {
    hidden: Vec<f32>,
    cell: Vec<f32>,
}

impl<'a> Layer<'a> {
    fn new(
        op: &'a Recurrent,
        gates: usize,
        operands: &[&'a Tensor],
        direction: usize,
    ) -> Result<Self, Error> {
        let part = |i: usize| -> Result<&'a [f32], Error> {
            let all = operands[i].as_f32()?;
            let each = all.len() / op.directions();
            Ok(&all[direction * each..][..each])
        };
        Ok(Self {
            op,
            gates,
            inputs: operands[0].shape()[2],
            weights: part(1)?,
            recurrent: part(2)?,
            bias: part(3)?,
            peepholes: if gates == 4 { part(6)? } else { &[] },
        })
    }

    /// The biases, the products with x, and with `h` those with it, of one unit of one gate.
    fn gate(&self, gate: usize, unit: usize, x: &[f32], h: Option<&[f32]>) -> f32 {
        let hidden = self.op.hidden;
        let row = gate * hidden + unit;
        let mut acc = self.bias[row];
        if h.is_some() {
            acc += self.bias[self.gates * hidden + row];
        }
        for (x, w) in x.iter().zip(&self.weights[row * self.inputs..][..self.inputs]) {
            acc += x * w;
        }
        for (h, r) in h.unwrap_or(&[]).iter().zip(&self.recurrent[row * hidden..][..hidden]) {
            acc += h * r;
        }
        acc
    }

    /// Gates in the order input, output, forget, cell; peepholes input, output, forget.
    fn lstm_step(&self, x: &[f32], state: &mut Cell) {
        let hidden = self.op.hidden;
        let peephole = |gate: usize, unit: usize, cell: f32| self.peepholes[gate * hidden + unit] * cell;
        let mut next = Vec::with_capacity(hidden);
        for unit in 0..hidden {
            let of = |gate| self.gate(gate, unit, x, Some(&state.hidden));
            let before = state.cell[unit];
            let input = of_one(UnaryOp::Sigmoid, of(0) + peephole(0, unit, before));
            let forget = of_one(UnaryOp::Sigmoid, of(2) + peephole(2, unit, before));
            let candidate = of_one(UnaryOp::Tanh, of(3));
            let cell = forget * before + input * candidate;
            let output = of_one(UnaryOp::Sigmoid, of(1) + peephole(1, unit, cell));
            state.cell[unit] = cell;
            next.push(output * of_one(UnaryOp::Tanh, cell));
        }
        state.hidden = next;
    }

    /// Gates in the order update, reset, hidden.
    fn gru_step(&self, x: &[f32], state: &mut Cell) {
        let hidden = self.op.hidden;
        let h = &state.hidden;
        let sigmoids = |gate: usize| -> Vec<f32> {
            (0..hidden).map(|unit| of_one(UnaryOp::Sigmoid, self.gate(gate, unit, x, Some(h)))).collect()
        };
        let (update, reset) = (sigmoids(0), sigmoids(1));
        let gated: Vec<f32> = reset.iter().zip(h).map(|(r, h)| r * h).collect();
        let candidate = |unit: usize| {
            if !self.op.linear_before_reset {
                return self.gate(2, unit, x, Some(&gated));
            }
            let row = 2 * hidden + unit;
            let mut recurrent = self.bias[self.gates * hidden + row];
            for (h, r) in h.iter().zip(&self.recurrent[row * hidden..][..hidden]) {
                recurrent += h * r;
            }
            self.gate(2, unit, x, None) + reset[unit] * recurrent
        };
        let blend = |unit: usize| {
            let fresh = of_one(UnaryOp::Tanh, candidate(unit));
            (1.0 - update[unit]) * fresh + update[unit] * h[unit]
        };
        state.hidden = (0..hidden).map(blend).collect();
    }
}

/// Runs an LSTM (4 gates) or GRU (3 gates).
pub(super) fn run(op: &Recurrent, gates: usize, operands: &[&Tensor]) -> Result<Vec<f32>, Error> {
    let &[steps, batch, width] = operands[0].shape() else {
        return Err(Error::invalid_graph(
            "a recurrent layer",
            "has an input that inference would have refused",
        ));
    };
    let xs = operands[0].as_f32()?;
    let (directions, hidden) = (op.directions(), op.hidden);
    let mut sequence = vec![0.0; steps * directions * batch * hidden];
    let (mut last_hidden, mut last_cell) = (Vec::new(), Vec::new());
    for direction in 0..directions {
        let layer = Layer::new(op, gates, operands, direction)?;
        for b in 0..batch {
            let initial = |i: usize| -> Result<Vec<f32>, Error> {
                let all = operands[i].as_f32()?;
                let of = operands[i].shape()[1]; // one state for all, or one for each
                Ok(all[(direction * of + b % of.max(1)) * hidden..][..hidden].to_vec())
            };
            let cell = if gates == 4 { initial(5)? } else { Vec::new() };
            let mut state = Cell { hidden: initial(4)?, cell };
            let backwards = op.direction == Direction::Reverse || direction == 1;
            for step in 0..steps {
                let step = if backwards { steps - 1 - step } else { step };
                let x = &xs[(step * batch + b) * width..][..width];
                if gates == 4 {
                    layer.lstm_step(x, &mut state);
                } else {
                    layer.gru_step(x, &mut state);
                }
                let at = ((step * directions + direction) * batch + b) * hidden;
                sequence[at..at + hidden].copy_from_slice(&state.hidden);
            }
            last_hidden.extend(state.hidden);
            last_cell.extend(state.cell);
        }
    }
    Ok(match op.state {
        State::Sequence => sequence,
        State::Hidden => last_hidden,
        State::Cell => last_cell,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeros(shape: &[usize]) -> Tensor {
        Tensor::f32(shape, vec![0.0; shape.iter().product()]).unwrap()
    }

    fn layer(direction: Direction, state: State) -> Recurrent {
        Recurrent { hidden: 1, direction, state, linear_before_reset: false }
    }

    #[test]
    fn an_lstm_without_weights_adds_half_of_a_candidate() {
        // Gates are sigmoid(0) = 0.5, the candidate tanh(bias): c = 0.5 c + 0.5 tanh(1).
        let mut bias = vec![0.0; 8];
        bias[3] = 1.0;
        let bias = Tensor::f32([1, 8], bias).unwrap();
        let (x, w, r) = (zeros(&[2, 1, 1]), zeros(&[1, 4, 1]), zeros(&[1, 4, 1]));
        let (h, c, p) = (zeros(&[1, 1, 1]), zeros(&[1, 1, 1]), zeros(&[1, 3]));
        let y = run(&layer(Direction::Forward, State::Cell), 4, &[&x, &w, &r, &bias, &h, &c, &p]).unwrap();
        let candidate = of_one(UnaryOp::Tanh, 1.0);
        assert_eq!(y, [0.5 * (0.5 * candidate) + 0.5 * candidate]);
        let y =
            run(&layer(Direction::Forward, State::Sequence), 4, &[&x, &w, &r, &bias, &h, &c, &p]).unwrap();
        assert_eq!(y[0], 0.5 * of_one(UnaryOp::Tanh, 0.5 * candidate));
    }

    #[test]
    fn a_gru_reads_its_sequence_in_both_directions() {
        // Update gate sigmoid(0) = 0.5, candidate tanh(x).
        let x = Tensor::f32([2, 1, 1], vec![1.0, 0.0]).unwrap();
        let w = Tensor::f32([2, 3, 1], vec![0.0, 0.0, 1.0, 0.0, 0.0, 1.0]).unwrap();
        let (r, b, h) = (zeros(&[2, 3, 1]), zeros(&[2, 6]), zeros(&[2, 1, 1]));
        let y = run(&layer(Direction::Both, State::Sequence), 3, &[&x, &w, &r, &b, &h]).unwrap();
        let half = 0.5 * of_one(UnaryOp::Tanh, 1.0);
        assert_eq!(y, [half, half, 0.5 * half, 0.0]);
        let y = run(&layer(Direction::Both, State::Hidden), 3, &[&x, &w, &r, &b, &h]).unwrap();
        assert_eq!(y, [0.5 * half, half]);
    }
}
