//! Convolutions and matrix products.

use super::region::{Geometry, Part};
use super::run::Run;
use super::{Compiler, Refused, Requant, Window, byte_table, params};
use crate::descriptor::Op;
use crate::memory::Tensor;

/// A convolution; a matrix product is one of a pixel.
#[derive(Clone, Copy, Debug)]
pub struct Conv<'a> {
    /// The input.
    pub x: Tensor,
    /// The output.
    pub y: Tensor,
    /// The window.
    pub window: Window,
    /// Groups.
    pub groups: usize,
    /// `[outputs][channels / groups][kernel rows][kernel columns]`.
    pub weights: &'a [i8],
    /// One for each output.
    pub bias: &'a [i32],
    /// One for each output.
    pub multipliers: &'a [f32],
    /// How sums become bytes.
    pub requant: Requant<'a>,
}

impl Conv<'_> {
    fn check(&self) -> Result<(), Refused> {
        let (inputs, outputs) = (self.x.channels, self.y.channels);
        let groups = self.groups;
        if groups == 0 || inputs % groups != 0 || outputs % groups != 0 {
            return Err(Refused::Mismatch("the channels are not a multiple of the groups"));
        }
        let [rows, cols] = self.window.kernel;
        let weights = [inputs / groups, rows, cols].iter().try_fold(outputs, |n, &m| n.checked_mul(m));
        if weights != Some(self.weights.len())
            || self.bias.len() != outputs
            || self.multipliers.len() != outputs
        {
            return Err(Refused::Mismatch(
                "weights, biases or multipliers are not as many as the channels say",
            ));
        }
        Ok(())
    }

    /// A weight, 0 where the output's group does not have the channel or the kernel ends.
    fn weight(&self, output: usize, channel: usize, [row, col]: [usize; 2]) -> i8 {
        let [rows, cols] = self.window.kernel;
        let group_inputs = self.x.channels / self.groups;
        let group_outputs = self.y.channels / self.groups;
        if output >= self.y.channels || row >= rows || col >= cols {
            return 0;
        }
        match channel.checked_sub(output / group_outputs * group_inputs) {
            Some(c) if c < group_inputs => {
                self.weights[((output * group_inputs + c) * rows + row) * cols + col]
            }
            _ => 0,
        }
    }

    /// The bias with the input's zero point folded in, and the multiplier.
    fn params(&self, output: usize) -> (i32, f32) {
        let (Some(&bias), Some(&multiplier)) = (self.bias.get(output), self.multipliers.get(output)) else {
            return (0, 1.0);
        };
        let each = self.weights.len() / self.y.channels;
        let sum =
            self.weights[output * each..][..each].iter().fold(0i32, |sum, &w| sum.wrapping_add(w.into()));
        (bias.wrapping_sub(sum.wrapping_mul(self.requant.pad().into())), multiplier)
    }

    /// The planes that an output block's groups touch.
    fn planes(&self, block: usize, lanes: usize) -> std::ops::Range<usize> {
        let group = |output: usize| output / (self.y.channels / self.groups);
        let last = (block * lanes + lanes - 1).min(self.y.channels - 1);
        let inputs = self.x.channels / self.groups;
        let (from, to) = (group(block * lanes) * inputs, (group(last) + 1) * inputs);
        from / lanes..to.div_ceil(lanes)
    }

    fn geometry(&self, op: Op, covers: [usize; 2], planes: usize) -> Geometry {
        let Window { kernel, strides, dilations, before } = self.window;
        let windows = covers != [1, 1];
        Geometry {
            op,
            x: self.x.extent,
            y: self.y.extent,
            steps: [kernel[0].div_ceil(covers[0]), kernel[1].div_ceil(covers[1])],
            pitch: [0, 1].map(|i| if windows && covers[i] > 1 { covers[i] } else { dilations[i] }),
            covers,
            strides,
            before,
            planes,
            row_step: 1,
        }
    }
}

impl Compiler {
    /// Appends a convolution.
    ///
    /// # Errors
    /// [`Refused`]; the list is then as it was.
    pub fn conv(&mut self, conv: &Conv) -> Result<(), Refused> {
        conv.check()?;
        let channels = conv.x.channels;
        let undilated = conv.window.dilations == [1, 1];
        if conv.groups == channels && channels == conv.y.channels && channels > 1 {
            let covers = if undilated { self.config.banks } else { [1, 1] };
            return self.depthwise(conv, covers);
        }
        let few = channels <= 4 && conv.groups == 1 && conv.window.dilations[1] == 1 && self.config.lanes > 4;
        if few && self.config.quads {
            return self.dense(conv, Op::Quad, [1, self.config.lanes / 4]);
        }
        self.dense(conv, Op::Conv, [1, 1])
    }

    fn dense(&mut self, conv: &Conv, op: Op, covers: [usize; 2]) -> Result<(), Refused> {
        let config = self.config;
        let lanes = config.lanes;
        let blocks = config.blocks(conv.y.channels);
        let mut table = conv.requant.table.map(byte_table);
        self.layer(|compiler| {
            // Without groups all blocks have the same input.
            let together = if conv.groups == 1 { blocks } else { 1 };
            for from in (0..blocks).step_by(together) {
                let planes = conv.planes(from, lanes);
                let geometry = conv.geometry(op, covers, planes.len()).skip_rows();
                geometry.check()?;
                let weights = |block: usize, part: &Part| {
                    let mut bytes = Vec::new();
                    for row in part.rows.clone() {
                        for step in 0..geometry.steps[1] {
                            for plane in part.planes.clone() {
                                for word in 0..lanes * lanes {
                                    let (lane, input) = (word / lanes, word % lanes);
                                    let (channel, col) = if op == Op::Quad {
                                        (input % 4, step * covers[1] + input / 4)
                                    } else {
                                        ((planes.start + plane) * lanes + input, step)
                                    };
                                    let weight = conv.weight(block * lanes + lane, channel, [row, col]);
                                    bytes.push(weight.cast_unsigned());
                                }
                            }
                        }
                    }
                    bytes
                };
                let run = Run {
                    geometry: &geometry,
                    x: &conv.x,
                    y: &conv.y,
                    outputs: conv.y.extent.map(|extent| 0..extent),
                    blocks: from..from + together,
                    plane: planes.start,
                    params: &|block| params(&config, |lane| conv.params(block * lanes + lane)),
                    weights: &weights,
                    requant: &conv.requant,
                };
                run.emit(compiler, &mut table)?;
            }
            Ok(())
        })
    }

    fn depthwise(&mut self, conv: &Conv, covers: [usize; 2]) -> Result<(), Refused> {
        let config = self.config;
        let lanes = config.lanes;
        let mut table = conv.requant.table.map(byte_table);
        let geometry = conv.geometry(Op::Depthwise, covers, 1);
        geometry.check()?;
        let weights = |block: usize, part: &Part| {
            windows(lanes, config.banks, covers, &geometry, part, |lane, place| {
                let channel = block * lanes + lane;
                conv.weight(channel, channel, place)
            })
        };
        self.layer(|compiler| {
            for block in 0..config.blocks(conv.y.channels) {
                let run = Run {
                    geometry: &geometry,
                    x: &conv.x,
                    y: &conv.y,
                    outputs: conv.y.extent.map(|extent| 0..extent),
                    blocks: block..block + 1,
                    plane: block,
                    params: &|block| params(&config, |lane| conv.params(block * lanes + lane)),
                    weights: &weights,
                    requant: &conv.requant,
                };
                run.emit(compiler, &mut table)?;
            }
            Ok(())
        })
    }
}

/// Words of weights for windows of taps: `of` gives a lane's weight at a place of the kernel.
pub(super) fn windows(
    lanes: usize,
    banks: [usize; 2],
    covers: [usize; 2],
    geometry: &Geometry,
    part: &Part,
    of: impl Fn(usize, [usize; 2]) -> i8,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in part.rows.clone() {
        for col in 0..geometry.steps[1] {
            for word in 0..lanes * lanes {
                let (lane, tap) = (word / lanes, word % lanes);
                let [down, across] = [tap / banks[1], tap % banks[1]];
                let used = down < covers[0] && across < covers[1];
                let place = [row * covers[0] + down, col * covers[1] + across];
                bytes.push(if used { of(lane, place).cast_unsigned() } else { 0 });
            }
        }
    }
    bytes
}
