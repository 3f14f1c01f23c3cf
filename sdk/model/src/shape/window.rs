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
        let stride = window.strides[axis];
        let span = (window.kernel[axis] - 1).checked_mul(window.dilations[axis])?.checked_add(1)?;
        let (before, after) = match window.pads {
            Pads::Explicit(pads) => (pads[axis], pads[axis + 2]),
            same => {
                let outputs = input[axis].div_ceil(stride);
                let total = (outputs.checked_sub(1)?.checked_mul(stride)? + span).saturating_sub(input[axis]);
                let less = total / 2;
                if same == Pads::SameUpper { (less, total - less) } else { (total - less, less) }
            }
        };
        let room = input[axis].checked_add(before)?.checked_add(after)?.checked_sub(span);
        let mut outputs = match room {
            Some(room) if ceil => room.div_ceil(stride) + 1,
            Some(room) => room / stride + 1,
            None => return None,
        };
        if ceil && (outputs - 1).checked_mul(stride)? >= input[axis] + before {
            outputs -= 1;
        }
        extent.output[axis] = outputs;
        extent.before[axis] = before;
        extent.after[axis] = after;
    }
    (input[0] > 0 && input[1] > 0 && !extent.output.contains(&0)).then_some(extent)
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
