//! Where a sliding window's outputs lie.

use crate::graph::{Pads, Window};

/// A window laid over an image: how many outputs, and how much padding before and after.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extent {
    /// Output height and width.
    pub output: [usize; 2],
    /// Rows above and columns left of the image.
    pub before: [usize; 2],
    /// Rows below and columns right of the image, as declared; a ceil-mode window may reach further.
    pub after: [usize; 2],
}

/// Lays `window` over an image of `input` rows and columns. `None` if no output fits.
///
/// With `ceil` the output size is rounded up, but a window that would start in the end padding is dropped, as ONNX
/// says for pooling.
pub fn output_extent(window: &Window, input: [usize; 2], ceil: bool) -> Option<Extent> {
    let mut extent = Extent { output: [0; 2], before: [0; 2], after: [0; 2] };
    for axis in 0..2 {
        let pads = match window.pads {
            Pads::Explicit(pads) => Some((pads[axis], pads[axis + 2])),
            Pads::SameUpper | Pads::SameLower => None,
        };
        let taps = [window.kernel[axis], window.strides[axis], window.dilations[axis]];
        let (output, before, after) = line(taps, pads, window.pads == Pads::SameUpper, input[axis], ceil)?;
        extent.output[axis] = output;
        extent.before[axis] = before;
        extent.after[axis] = after;
    }
    (input[0] > 0 && input[1] > 0 && !extent.output.contains(&0)).then_some(extent)
}

/// One axis: number of outputs, padding before and after. Without `pads` the output size is `ceil(input / stride)` and
/// an odd pad goes to the end if `upper`.
pub(super) fn line(
    [kernel, stride, dilation]: [usize; 3],
    pads: Option<(usize, usize)>,
    upper: bool,
    input: usize,
    ceil: bool,
) -> Option<(usize, usize, usize)> {
    let span = (kernel - 1).checked_mul(dilation)?.checked_add(1)?;
    let (before, after) = match pads {
        Some(pads) => pads,
        None => {
            let outputs = input.div_ceil(stride);
            let total =
                (outputs.checked_sub(1)?.checked_mul(stride)?.checked_add(span)?).saturating_sub(input);
            let less = total / 2;
            if upper { (less, total - less) } else { (total - less, less) }
        }
    };
    let room = input.checked_add(before)?.checked_add(after)?.checked_sub(span)?;
    let mut outputs = if ceil { room.div_ceil(stride) + 1 } else { room / stride + 1 };
    if ceil && (outputs - 1).checked_mul(stride)? >= input + before {
        outputs -= 1;
    }
    Some((outputs, before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel: usize, stride: usize, dilation: usize, pads: Pads) -> Window {
        Window { kernel: [kernel; 2], strides: [stride; 2], dilations: [dilation; 2], pads }
    }

    #[test]
    fn explicit_pads() {
        let w = window(3, 2, 1, Pads::Explicit([0, 0, 1, 1]));
        assert_eq!(output_extent(&w, [224, 224], false).unwrap().output, [112, 112]);
        let dilated = window(3, 1, 2, Pads::Explicit([2; 4]));
        assert_eq!(output_extent(&dilated, [7, 9], false).unwrap().output, [7, 9]);
        assert_eq!(output_extent(&window(5, 1, 1, Pads::Explicit([0; 4])), [4, 9], false), None);
    }

    #[test]
    fn same_puts_the_odd_pad_where_it_says() {
        let upper = output_extent(&window(3, 2, 1, Pads::SameUpper), [224, 224], false).unwrap();
        assert_eq!((upper.output, upper.before, upper.after), ([112; 2], [0; 2], [1; 2]));
        let lower = output_extent(&window(2, 1, 1, Pads::SameLower), [5, 5], false).unwrap();
        assert_eq!((lower.output, lower.before, lower.after), ([5; 2], [1; 2], [0; 2]));
    }

    #[test]
    fn ceil_mode_drops_a_window_that_starts_in_the_padding() {
        let w = window(2, 2, 1, Pads::Explicit([0, 0, 1, 1]));
        assert_eq!(output_extent(&w, [4, 5], true).unwrap().output, [2, 3]);
        assert_eq!(
            output_extent(&window(3, 2, 1, Pads::Explicit([0; 4])), [4, 4], true).unwrap().output,
            [2, 2]
        );
    }
}
