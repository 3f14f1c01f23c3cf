//! Large pictures in parts: a step whose model runs once for each tile, and what the tiles give put together.
//!
//! Tiles begin every `side - overlap` pixels, and the last one ends at the picture's edge; a picture that is smaller is one tile of
//! its own size. Every pixel belongs to one tile: what two share is cut in its middle.

use crate::error::{Error, Result};
use crate::image::{Frame, check_size};
use crate::limits::{MAX_FOUND, MAX_IMAGE_SIDE, MAX_TILES};
use crate::post::best_first;
use crate::spec::{PreStage, Tiles};
use crate::value::{Detection, Made, Picture};

/// The declared tiles.
#[derive(Debug)]
pub(super) struct Tiling {
    /// Across and down.
    sides: [usize; 2],
    overlap: usize,
    merge: f32,
}

/// One tile: what the model sees, and the part of it that counts where tiles overlap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tile {
    pub(super) frame: Frame,
    own: Frame,
}

/// Along one axis: where a tile and what it owns begin, and how long they are.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    length: usize,
    own: usize,
    own_length: usize,
}

impl Tiling {
    /// The `tiles` stage, if there is one: it is the first.
    pub(super) fn new(stages: &[PreStage]) -> Result<Option<Self>> {
        let Some(PreStage::Tiles(Tiles { width, height, overlap, merge })) = stages.first() else {
            return Ok(None);
        };
        let wrong = |field: &str, found: String, expected: String| {
            Err(Error::Value { at: format!("pre[0].tiles.{field}"), found, expected })
        };
        for (field, side) in [("width", *width), ("height", *height)] {
            if !(8..=MAX_IMAGE_SIDE).contains(&side) {
                return wrong(field, side.to_string(), format!("8 to {MAX_IMAGE_SIDE} pixels"));
            }
        }
        let most = width.min(height) / 2;
        if *overlap > most {
            return wrong("overlap", overlap.to_string(), format!("at most {most}, half of a tile"));
        }
        if !(0.0..=1.0).contains(merge) {
            return wrong("merge", merge.to_string(), "0 to 1".to_owned());
        }
        let sides = [*width as usize, *height as usize];
        Ok(Some(Self { sides, overlap: *overlap as usize, merge: *merge }))
    }

    /// The tiles of a picture of this size: rows from the top, from left to right.
    pub(super) fn tiles(&self, size: [usize; 2]) -> Result<Vec<Tile>> {
        let [columns, rows] = [0, 1].map(|axis| spans(size[axis], self.sides[axis], self.overlap));
        let found = columns.len() * rows.len();
        if found > MAX_TILES {
            return Err(Error::TooManyTiles { found, limit: MAX_TILES });
        }
        let tile = |(y, x): (Span, Span)| Tile {
            frame: Frame { x: x.start, y: y.start, width: x.length, height: y.length },
            own: Frame { x: x.own, y: y.own, width: x.own_length, height: y.own_length },
        };
        let places = rows.iter().flat_map(|&y| columns.iter().map(move |&x| (y, x)));
        Ok(places.map(tile).collect())
    }

    /// What a picture of this size has, of what each of its tiles gave.
    pub(super) fn put_together(&self, size: [usize; 2], parts: Vec<(Tile, Option<Made>)>) -> Result<Made> {
        let (mut found, mut pictures, mut classes) = (Vec::new(), Vec::new(), None);
        for (i, (tile, made)) in parts.into_iter().enumerate() {
            match made {
                Some(Made::Detections(inside)) => found.extend(inside.into_iter().map(|d| (i, d))),
                Some(Made::Mask(picture, shares)) => {
                    classes = Some(shares.len());
                    pictures.push((tile, picture));
                }
                Some(Made::Picture(picture)) => pictures.push((tile, picture)),
                _ => {}
            }
        }
        if pictures.is_empty() {
            return Ok(Made::Detections(merged(found, self.merge)));
        }
        let picture = stitched(size, &pictures)?;
        Ok(match classes {
            Some(classes) => {
                let shares = shares(&picture.samples, classes);
                Made::Mask(picture, shares)
            }
            None => Made::Picture(picture),
        })
    }
}

fn spans(length: usize, tile: usize, overlap: usize) -> Vec<Span> {
    if length <= tile {
        return vec![Span { start: 0, length, own: 0, own_length: length }];
    }
    let step = tile - overlap;
    let count = (length - overlap).div_ceil(step);
    let start = |i: usize| (i * step).min(length - tile);
    // Where tile `i` begins to own: the middle of what it shares with the one before it.
    let own = |i: usize| match i {
        0 => 0,
        i if i == count => length,
        i => (start(i) + start(i - 1) + tile) / 2,
    };
    let span =
        |i: usize| Span { start: start(i), length: tile, own: own(i), own_length: own(i + 1) - own(i) };
    (0..count).map(span).collect()
}

/// Detections of one label from different tiles show the same thing if their intersection is more than `limit` of the smaller one:
/// the best stays. At most [`MAX_FOUND`], best first.
fn merged(mut found: Vec<(usize, Detection)>, limit: f32) -> Vec<Detection> {
    found.sort_by(|a, b| best_first(a.1.score, b.1.score)); // stable: equal scores in the order of tiles
    let mut kept: Vec<(usize, Detection)> = Vec::new();
    for (tile, detection) in found {
        let same = |(other, best): &(usize, Detection)| {
            *other != tile && best.label == detection.label && shared(&best.frame, &detection.frame) > limit
        };
        if kept.len() < MAX_FOUND as usize && !kept.iter().any(same) {
            kept.push((tile, detection));
        }
    }
    kept.into_iter().map(|(_, detection)| detection).collect()
}

/// The share of the smaller box that lies in the other one.
fn shared(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |[left, top, right, bottom]: &[f32; 4]| (right - left) * (bottom - top);
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    width * height / area(a).min(area(b))
}

/// One picture of what each tile owns; all at the same whole multiple of the tiles' size.
fn stitched([width, height]: [usize; 2], parts: &[(Tile, Picture)]) -> Result<Picture> {
    let scale = |(tile, picture): &(Tile, Picture)| {
        let sides =
            [(picture.width as usize, tile.frame.width), (picture.height as usize, tile.frame.height)];
        let [across, down] = sides.map(|(made, side)| (made % side == 0).then_some(made / side));
        across.filter(|_| across == down)
    };
    let first = parts.first().and_then(scale);
    let Some(times) = first.filter(|_| parts.iter().all(|part| scale(part) == first)) else {
        let (tile, picture) = &parts[0]; // the caller has seen one
        let made = format!("{} x {} pixels", picture.width, picture.height);
        let shape = format!("{made} of a tile of {} x {}", tile.frame.width, tile.frame.height);
        let (at, output) = ("pre[0].tiles".to_owned(), "image".to_owned());
        return Err(Error::OutputShape {
            at,
            output,
            shape,
            expected: "a whole multiple, the same for all tiles".to_owned(),
        });
    };
    let channels = parts[0].1.channels as usize;
    let (across, down) = (width * times, height * times);
    check_size("what the tiles make", across as u64, down as u64)?;
    let mut samples = vec![0; across * down * channels];
    for (Tile { frame, own }, picture) in parts {
        let row = own.width * times * channels;
        for y in 0..own.height * times {
            let from = ((own.y - frame.y) * times + y) * frame.width * times + (own.x - frame.x) * times;
            let to = (own.y * times + y) * across + own.x * times;
            samples[to * channels..][..row].copy_from_slice(&picture.samples[from * channels..][..row]);
        }
    }
    let side = |n: usize| n as u32; // at most MAX_IMAGE_SIDE
    Ok(Picture { width: side(across), height: side(down), channels: side(channels), samples })
}

/// The share of the pixels that the only thing has, or each of several classes.
fn shares(samples: &[u8], classes: usize) -> Vec<f64> {
    let mut counts = [0u64; 256];
    samples.iter().for_each(|&sample| counts[usize::from(sample)] += 1);
    let pixels = samples.len() as f64;
    match classes {
        1 => vec![counts[255] as f64 / pixels],
        classes => counts.iter().take(classes).map(|&count| count as f64 / pixels).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiling(side: usize, overlap: usize) -> Tiling {
        Tiling { sides: [side; 2], overlap, merge: 0.5 }
    }

    #[test]
    fn tiles_cover_every_pixel_and_own_each_once() {
        for (size, side, overlap) in [
            ([100, 40], 32, 8),
            ([33, 32], 32, 16),
            ([32, 32], 32, 0),
            ([7, 500], 64, 32),
            ([129, 65], 64, 0),
        ] {
            let tiles = tiling(side, overlap).tiles(size).unwrap();
            let mut owners = vec![0; size[0] * size[1]];
            for Tile { frame, own } in &tiles {
                assert!(
                    frame.width <= side
                        && frame.x + frame.width <= size[0]
                        && frame.y + frame.height <= size[1]
                );
                assert!(
                    own.x >= frame.x && own.x + own.width <= frame.x + frame.width,
                    "{size:?} {frame:?} {own:?}"
                );
                assert!(
                    own.y >= frame.y && own.y + own.height <= frame.y + frame.height,
                    "{size:?} {frame:?} {own:?}"
                );
                for y in own.y..own.y + own.height {
                    owners[y * size[0] + own.x..][..own.width].iter_mut().for_each(|n| *n += 1);
                }
            }
            assert!(owners.iter().all(|&n| n == 1), "{size:?} in {side}, {overlap}");
        }
        let starts: Vec<usize> = spans(100, 32, 8).iter().map(|span| span.start).collect();
        assert_eq!(starts, [0, 24, 48, 68]);
        let many = tiling(8, 0).tiles([16_384, 4_096]).unwrap_err();
        assert!(many.is_input(), "{many}");
    }

    #[test]
    fn a_picture_stitched_of_its_own_tiles_is_the_picture() {
        let (size, times) = ([50, 30], 2);
        let whole: Vec<u8> = (0..size[0] * size[1] * times * times).map(|i| (i * 7 % 251) as u8).collect();
        let part = |tile: Tile| {
            let Frame { x, y, width, height } = tile.frame;
            let rows = (y * times..(y + height) * times)
                .flat_map(|row| &whole[row * size[0] * times + x * times..][..width * times]);
            let picture = Picture {
                width: (width * times) as u32,
                height: (height * times) as u32,
                channels: 1,
                samples: rows.copied().collect(),
            };
            (tile, picture)
        };
        let parts: Vec<_> = tiling(16, 6).tiles(size).unwrap().into_iter().map(part).collect();
        let made = stitched(size, &parts).unwrap();
        assert_eq!((made.width, made.height, made.samples == whole), (100, 60, true));
        let mut other = parts.clone();
        other[1].1.width -= 1;
        assert_eq!(stitched(size, &other).unwrap_err().code(), "TM0365");
    }

    #[test]
    fn one_thing_in_two_tiles_is_found_once() {
        let detection =
            |score: f32, frame: [f32; 4]| Detection { label: "x".into(), score, frame, points: vec![] };
        let whole = detection(0.9, [10.0, 10.0, 40.0, 30.0]);
        let part = detection(0.6, [32.0, 10.0, 40.0, 30.0]);
        let beside = detection(0.5, [39.0, 10.0, 80.0, 30.0]);
        let kept = merged(vec![(1, part.clone()), (0, whole.clone()), (1, beside.clone())], 0.5);
        assert_eq!(kept, [whole.clone(), beside]);
        // Of one tile, the app's own `nms` has the say.
        assert_eq!(merged(vec![(0, part.clone()), (0, whole.clone())], 0.5), [whole, part]);
        assert!(merged(vec![], 0.5).is_empty());
    }
}
