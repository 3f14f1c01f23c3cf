//! Shapes of convolutions and pools over any number of axes.

use super::NodeShapes;
use super::window::line;
use crate::error::Error;
use crate::graph::{AutoPad, ConvTranspose, PoolNd, WindowNd};

/// A window along one axis: outputs, padding before, and padding after as declared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NdAxis {
    pub(crate) output: usize,
    pub(crate) before: usize,
    pub(crate) after: usize,
}

/// Lays a window over an image; `None` if no output fits.
pub(crate) fn window_axes(window: &WindowNd, input: &[usize], ceil: bool) -> Option<Vec<NdAxis>> {
    let n = window.kernel.len();
    if input.len() != n || input.contains(&0) {
        return None;
    }
    (0..n)
        .map(|i| {
            let pads = match window.auto_pad {
                AutoPad::Explicit => Some((window.pads[i], window.pads[i + n])),
                AutoPad::SameUpper | AutoPad::SameLower => None,
            };
            let upper = window.auto_pad == AutoPad::SameUpper;
            let (output, before, after) = line(
                [window.kernel[i], window.strides[i], window.dilations[i]],
                pads,
                upper,
                input[i],
                ceil,
            )?;
            (output > 0).then_some(NdAxis { output, before, after })
        })
        .collect()
}

/// The outputs of a transposed convolution, and how much of its full extent is cut off at each end.
pub(crate) fn transposed_axes(conv: &ConvTranspose, input: &[usize]) -> Option<Vec<NdAxis>> {
    let (window, n) = (&conv.window, conv.window.kernel.len());
    if input.len() != n || input.contains(&0) {
        return None;
    }
    (0..n)
        .map(|i| {
            let span = (window.kernel[i] - 1).checked_mul(window.dilations[i])?.checked_add(1)?;
            let full = window.strides[i]
                .checked_mul(input[i] - 1)?
                .checked_add(span)?
                .checked_add(conv.output_padding[i])?;
            let wanted = match (&conv.output_size, window.auto_pad) {
                (Some(size), _) => size[i],
                (None, AutoPad::Explicit) => {
                    let (before, after) = (window.pads[i], window.pads[i + n]);
                    let output = full.checked_sub(before.checked_add(after)?)?;
                    return (output > 0).then_some(NdAxis { output, before, after });
                }
                (None, _) => input[i].checked_mul(window.strides[i])?,
            };
            // An output larger than the whole extent gets zeros at its end.
            let total = full.saturating_sub(wanted);
            let less = total / 2;
            let before = if window.auto_pad == AutoPad::SameUpper { less } else { total - less };
            (wanted > 0).then_some(NdAxis { output: wanted, before, after: total - before })
        })
        .collect()
}

impl NodeShapes<'_> {
    fn image(&self, axes: usize) -> Result<&[usize], Error> {
        let x = self.input(0);
        self.require(x.len() == axes + 2, || format!("a window of {axes} axes over {x:?}"))?;
        Ok(&x[2..])
    }

    pub(super) fn pool_nd(&self, pool: &PoolNd) -> Result<Vec<usize>, Error> {
        let image = self.image(pool.window.kernel.len())?;
        let axes = window_axes(&pool.window, image, pool.ceil_mode)
            .ok_or_else(|| self.fail(format!("a window {:?} does not fit {image:?}", pool.window.kernel)))?;
        Ok(self.input(0)[..2].iter().copied().chain(axes.iter().map(|axis| axis.output)).collect())
    }

    pub(super) fn conv_nd(&self, window: &WindowNd, groups: usize) -> Result<Vec<usize>, Error> {
        let shape = self.windows(window, groups)?;
        self.channel_bias(shape[1])?;
        Ok(shape)
    }

    /// The output of a convolution of the first input by the second.
    pub(super) fn windows(&self, window: &WindowNd, groups: usize) -> Result<Vec<usize>, Error> {
        let (image, x, w) = (self.image(window.kernel.len())?, self.input(0), self.input(1));
        let fits = w.len() == x.len()
            && w[1].checked_mul(groups) == Some(x[1])
            && w[0] % groups == 0
            && w[2..] == window.kernel;
        self.require(fits, || format!("input {x:?} does not fit weights {w:?} in {groups} groups"))?;
        let axes = window_axes(window, image, false)
            .ok_or_else(|| self.fail(format!("a window {:?} does not fit {image:?}", window.kernel)))?;
        Ok([x[0], w[0]].into_iter().chain(axes.iter().map(|axis| axis.output)).collect())
    }

    pub(super) fn conv_transpose(&self, conv: &ConvTranspose) -> Result<Vec<usize>, Error> {
        let (image, x, w) = (self.image(conv.window.kernel.len())?, self.input(0), self.input(1));
        let fits =
            w.len() == x.len() && w[0] == x[1] && w[0] % conv.groups == 0 && w[2..] == conv.window.kernel;
        self.require(fits, || format!("input {x:?} does not fit weights {w:?} in {} groups", conv.groups))?;
        let outputs = w[1].saturating_mul(conv.groups);
        self.channel_bias(outputs)?;
        let axes = transposed_axes(conv, image)
            .ok_or_else(|| self.fail(format!("a window {:?} does not fit {image:?}", conv.window.kernel)))?;
        Ok([x[0], outputs].into_iter().chain(axes.iter().map(|axis| axis.output)).collect())
    }

    fn channel_bias(&self, channels: usize) -> Result<(), Error> {
        let fits = self.node.inputs.len() < 3 || self.input(2) == [channels];
        self.require(fits, || format!("bias {:?} for {channels} channels", self.input(2)))
    }
}
