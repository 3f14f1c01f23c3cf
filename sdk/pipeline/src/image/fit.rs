//! Where a picture goes when its shape is not the one wanted. All in integers; `docs/pipeline.md` states the rules.

use crate::spec::{Align, Fit};

/// A rectangle inside a picture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Frame {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// What a resize does to a picture of a given size: cut `source` out, stretch it to `size`, and put that at
/// `corner` of a picture of `canvas` size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Placement {
    pub(crate) source: Frame,
    pub(crate) size: (u64, u64),
    pub(crate) corner: (usize, usize),
    pub(crate) canvas: (u64, u64),
}

/// Places a picture of `from` = (width, height) pixels, all at least 1 and within the limits, into `to`.
pub(crate) fn fit(rule: Fit, align: Align, from: (usize, usize), to: (usize, usize)) -> Placement {
    let (sw, sh, w, h) = (from.0 as u64, from.1 as u64, to.0 as u64, to.1 as u64);
    let whole = Frame { x: 0, y: 0, width: from.0, height: from.1 };
    let stretched = Placement { source: whole, size: (w, h), corner: (0, 0), canvas: (w, h) };
    let wider = sw * h >= w * sh; // than the target, or just as wide
    match rule {
        Fit::Stretch => stretched,
        Fit::Crop => {
            let (cw, ch) =
                if wider { (rounded(sh * w, h).min(sw), sh) } else { (sw, rounded(sw * h, w).min(sh)) };
            let source = centred(from, (cw.max(1) as usize, ch.max(1) as usize));
            Placement { source, ..stretched }
        }
        Fit::Letterbox => {
            let (nw, nh) =
                if wider { (w, rounded(sh * w, sw).min(h)) } else { (rounded(sw * h, sh).min(w), h) };
            let size = (nw.max(1), nh.max(1));
            let corner = match align {
                Align::Centre => (((w - size.0) / 2) as usize, ((h - size.1) / 2) as usize),
                Align::Start => (0, 0),
            };
            Placement { size, corner, ..stretched }
        }
        Fit::Shortest => {
            let size = if wider { (sw * h / sh, h) } else { (w, sh * w / sw) };
            Placement { size, canvas: size, ..stretched }
        }
    }
}

/// The pixels that a region, in fractions of a picture of `from` pixels, touches: at least one.
pub(crate) fn fraction(from: (usize, usize), [left, top, right, bottom]: &[f64; 4]) -> Frame {
    // At most MAX_IMAGE_SIDE times a number from 0 to 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the picture's side")]
    let side = |from: f64, to: f64, side: usize| {
        let pixels = side as f64;
        let first = ((from * pixels).floor() as usize).min(side.saturating_sub(1));
        let end = ((to * pixels).ceil() as usize).clamp(first + 1, side);
        (first, end - first)
    };
    let ((x, width), (y, height)) = (side(*left, *right, from.0), side(*top, *bottom, from.1));
    Frame { x, y, width, height }
}

/// The middle of a picture of `from` pixels; `None` if it is smaller than `size`.
pub(crate) fn centre_crop(from: (usize, usize), size: (usize, usize)) -> Option<Frame> {
    (size.0 <= from.0 && size.1 <= from.1).then(|| centred(from, size))
}

/// `size` is at most `from`; an odd pixel is left over at the right and at the bottom.
fn centred(from: (usize, usize), size: (usize, usize)) -> Frame {
    Frame { x: (from.0 - size.0) / 2, y: (from.1 - size.1) / 2, width: size.0, height: size.1 }
}

/// `n / d` rounded to nearest, halves up.
fn rounded(n: u64, d: u64) -> u64 {
    (2 * n + d) / (2 * d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_keeps_the_largest_centred_part() {
        let source = |from, to| fit(Fit::Crop, Align::Centre, from, to).source;
        assert_eq!(source((451, 300), (224, 224)), Frame { x: 75, y: 0, width: 300, height: 300 });
        assert_eq!(source((300, 451), (224, 224)), Frame { x: 0, y: 75, width: 300, height: 300 });
        assert_eq!(source((640, 480), (320, 240)), Frame { x: 0, y: 0, width: 640, height: 480 });
        // 5 * 3 / 2 = 7.5 rounds up; 10 - 8 leaves one on each side.
        assert_eq!(source((10, 5), (3, 2)), Frame { x: 1, y: 0, width: 8, height: 5 });
        assert_eq!(source((1, 9000), (9000, 1)), Frame { x: 0, y: 4499, width: 1, height: 1 });
    }

    #[test]
    fn a_letterbox_keeps_all_and_centres_it() {
        let placed = fit(Fit::Letterbox, Align::Centre, (451, 300), (640, 640));
        assert_eq!((placed.size, placed.corner, placed.canvas), ((640, 426), (0, 107), (640, 640)));
        let placed = fit(Fit::Letterbox, Align::Centre, (1, 9000), (32, 32));
        assert_eq!((placed.size, placed.corner), ((1, 32), (15, 0)));
    }

    #[test]
    fn shortest_covers_the_target() {
        for from in [(451, 300), (300, 451), (7, 7), (1, 50), (50, 1)] {
            let placed = fit(Fit::Shortest, Align::Centre, from, (256, 200));
            assert!(placed.size.0 >= 256 && placed.size.1 >= 200, "{placed:?}");
            assert!(placed.size.0 == 256 || placed.size.1 == 200, "{placed:?}");
        }
        assert_eq!(fit(Fit::Shortest, Align::Centre, (451, 300), (256, 256)).size, (384, 256)); // 384.85 cut off
    }

    #[test]
    fn no_fit_leaves_the_picture_or_the_canvas() {
        let sides = [1, 2, 3, 5, 16, 17, 224, 16_384];
        for rule in [Fit::Stretch, Fit::Crop, Fit::Letterbox, Fit::Shortest] {
            for from in sides.iter().flat_map(|&a| sides.iter().map(move |&b| (a, b))) {
                for to in sides.iter().flat_map(|&a| sides.iter().map(move |&b| (a, b))) {
                    let p = fit(rule, Align::Centre, from, to);
                    assert!(
                        p.source.width > 0 && p.source.x + p.source.width <= from.0,
                        "{from:?} {to:?} {p:?}"
                    );
                    assert!(
                        p.source.height > 0 && p.source.y + p.source.height <= from.1,
                        "{from:?} {to:?} {p:?}"
                    );
                    assert!(
                        p.size.0 > 0 && p.corner.0 as u64 + p.size.0 <= p.canvas.0,
                        "{from:?} {to:?} {p:?}"
                    );
                    assert!(
                        p.size.1 > 0 && p.corner.1 as u64 + p.size.1 <= p.canvas.1,
                        "{from:?} {to:?} {p:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_fraction_is_what_it_touches() {
        let frame = |x, y, width, height| Frame { x, y, width, height };
        assert_eq!(fraction((10, 4), &[0.0, 0.0, 1.0, 1.0]), frame(0, 0, 10, 4));
        assert_eq!(fraction((10, 4), &[0.25, 0.5, 0.75, 1.0]), frame(2, 2, 6, 2));
        assert_eq!(fraction((1, 1), &[0.9, 0.1, 0.95, 0.2]), frame(0, 0, 1, 1));
        assert_eq!(fraction((3, 3), &[0.999, 0.0, 1.0, 0.0001]), frame(2, 0, 1, 1));
    }

    #[test]
    fn a_centre_crop_needs_enough_pixels() {
        assert_eq!(centre_crop((5, 4), (2, 4)), Some(Frame { x: 1, y: 0, width: 2, height: 4 }));
        assert_eq!(centre_crop((5, 4), (6, 4)), None);
        assert_eq!(centre_crop((5, 4), (5, 5)), None);
    }
}
