//! Detection: mean average precision as COCO defines it (`pycocotools`' bounding boxes: ten overlaps from 0.50 to 0.95, 101 recalls,
//! all sizes, at most 100 finds an image).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Overlaps that are asked for.
const OVERLAPS: usize = 10;
/// Recalls at which precision is read.
const RECALLS: usize = 101;
/// Finds of one class that count on one image, best first.
pub const MAX_FINDS: usize = 100;

/// Left, top, width and height.
pub type Frame = [f64; 4];

/// A thing that is on an image.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Thing {
    /// Which of the app's classes.
    pub class: u32,
    /// Where.
    pub frame: Frame,
    /// Whether it is many things together: finds within are neither right nor wrong.
    pub crowd: bool,
}

/// A thing that an app found.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Find {
    /// Which of its classes.
    pub class: u32,
    /// How sure it is.
    pub score: f64,
    /// Where.
    pub frame: Frame,
}

/// One image's finds, told right from wrong; small enough to keep of each image.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Matches(BTreeMap<u32, ClassMatches>);

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct ClassMatches {
    /// Things of the class that have to be found.
    things: u32,
    /// Best first: the score, and at which overlaps (bits) it is right, and at which it does not count.
    finds: Vec<(f64, u16, u16)>,
}

impl Matches {
    /// Tells an image's finds right from wrong.
    #[must_use]
    pub fn of(things: &[Thing], finds: &[Find]) -> Self {
        let classes: BTreeSet<u32> =
            things.iter().map(|thing| thing.class).chain(finds.iter().map(|find| find.class)).collect();
        let one = |class: u32| {
            let mut things: Vec<&Thing> = things.iter().filter(|thing| thing.class == class).collect();
            things.sort_by_key(|thing| thing.crowd);
            let mut finds: Vec<&Find> = finds.iter().filter(|find| find.class == class).collect();
            finds.sort_by(|a, b| b.score.total_cmp(&a.score));
            finds.truncate(MAX_FINDS);
            (class, match_class(&things, &finds))
        };
        Self(classes.into_iter().map(one).collect())
    }

    /// Classes of which there are things to find.
    pub(in crate::eval) fn classes(&self) -> impl Iterator<Item = u32> {
        self.0.iter().filter(|(_, matches)| matches.things > 0).map(|(class, _)| *class)
    }
}

/// Each find takes the thing that it overlaps most and that none before it took.
fn match_class(things: &[&Thing], finds: &[&Find]) -> ClassMatches {
    let mut marks = vec![(0u16, 0u16); finds.len()];
    let overlaps: Vec<Vec<f64>> =
        finds.iter().map(|find| things.iter().map(|thing| overlap(find.frame, thing)).collect()).collect();
    for step in 0..OVERLAPS {
        let mut taken = vec![false; things.len()];
        for (mark, overlaps) in marks.iter_mut().zip(&overlaps) {
            let Some(best) = best_thing(asked(step), things, &taken, overlaps) else { continue };
            taken[best] = true;
            if things[best].crowd { mark.1 |= 1 << step } else { mark.0 |= 1 << step }
        }
    }
    let count = things.iter().filter(|thing| !thing.crowd).count();
    let finds = finds.iter().zip(marks).map(|(find, (right, ignored))| (find.score, right, ignored));
    ClassMatches { things: u32::try_from(count).unwrap_or(u32::MAX), finds: finds.collect() }
}

/// Crowds are last among things, taken only by what fits nothing else, and by any number of finds.
fn best_thing(asked: f64, things: &[&Thing], taken: &[bool], overlaps: &[f64]) -> Option<usize> {
    let mut least = asked.min(1.0 - 1e-10);
    let mut best: Option<usize> = None;
    for (at, thing) in things.iter().enumerate() {
        if taken[at] && !thing.crowd {
            continue;
        }
        if thing.crowd && best.is_some_and(|best| !things[best].crowd) {
            break;
        }
        if overlaps[at] >= least {
            least = overlaps[at];
            best = Some(at);
        }
    }
    best
}

/// The overlap that step `step` asks for.
fn asked(step: usize) -> f64 {
    if step + 1 == OVERLAPS { 0.95 } else { 0.5 + step as f64 * ((0.95 - 0.5) / (OVERLAPS - 1) as f64) }
}

/// Intersection over union; over the find alone where the thing is a crowd.
fn overlap(find: Frame, thing: &Thing) -> f64 {
    let side = |axis: usize| {
        let end = (find[axis] + find[axis + 2]).min(thing.frame[axis] + thing.frame[axis + 2]);
        end - find[axis].max(thing.frame[axis])
    };
    let (width, height) = (side(0), side(1));
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let shared = width * height;
    let area = |frame: Frame| frame[2] * frame[3];
    let whole = if thing.crowd { area(find) } else { area(find) + area(thing.frame) - shared };
    shared / whole
}

/// Mean average precision over images: over all overlaps, and at 0.50 alone. No number where no image has a thing to find.
pub fn mean_average_precision<'m>(images: impl IntoIterator<Item = &'m Matches>) -> (f64, f64) {
    type Joined = (u64, Vec<(f64, u16, u16)>);
    let mut classes: BTreeMap<u32, Joined> = BTreeMap::new();
    for image in images {
        for (class, matches) in &image.0 {
            let joined = classes.entry(*class).or_default();
            joined.0 += u64::from(matches.things);
            joined.1.extend(&matches.finds);
        }
    }
    let (mut all, mut at_half, mut count) = (0.0, 0.0, 0.0);
    for (things, mut finds) in classes.into_values() {
        if things == 0 {
            continue;
        }
        finds.sort_by(|a, b| b.0.total_cmp(&a.0));
        let precisions: Vec<f64> =
            (0..OVERLAPS).map(|step| average_precision(things, &finds, step)).collect();
        all += precisions.iter().sum::<f64>() / OVERLAPS as f64;
        at_half += precisions[0];
        count += 1.0;
    }
    (all / count, at_half / count)
}

/// The mean over recalls of the best precision at that recall or a higher one.
fn average_precision(things: u64, finds: &[(f64, u16, u16)], step: usize) -> f64 {
    let bit = 1 << step;
    let (mut right, mut wrong) = (0u64, 0u64);
    let mut curve: Vec<(f64, f64)> = Vec::with_capacity(finds.len()); // recall, precision
    for (_, rights, ignored) in finds {
        if ignored & bit == 0 {
            if rights & bit != 0 { right += 1 } else { wrong += 1 }
        }
        let (hits, shown) = (right as f64, (right + wrong) as f64);
        curve.push((hits / things as f64, hits / (shown + f64::EPSILON)));
    }
    let mut best = 0.0f64;
    for (_, precision) in curve.iter_mut().rev() {
        best = best.max(*precision);
        *precision = best;
    }
    let mut sum = 0.0;
    for step in 0..RECALLS {
        let recall = if step + 1 == RECALLS { 1.0 } else { step as f64 * 0.01 };
        let at = curve.partition_point(|(reached, _)| *reached < recall);
        sum += curve.get(at).map_or(0.0, |(_, precision)| *precision);
    }
    sum / RECALLS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(class: u32, frame: Frame) -> Thing {
        Thing { class, frame, crowd: false }
    }

    #[test]
    fn all_found_is_one_and_none_found_is_zero() {
        let things = [thing(1, [0.0, 0.0, 10.0, 10.0]), thing(2, [5.0, 5.0, 10.0, 20.0])];
        let finds = things.map(|thing| Find { class: thing.class, score: 0.9, frame: thing.frame });
        let (all, half) = mean_average_precision([&Matches::of(&things, &finds)]);
        assert!((all - 1.0).abs() < 1e-12 && (half - 1.0).abs() < 1e-12, "{all} {half}");
        assert_eq!(mean_average_precision([&Matches::of(&things, &[])]), (0.0, 0.0));
        assert!(mean_average_precision([&Matches::of(&[], &finds)]).0.is_nan());
    }

    #[test]
    fn a_find_in_a_crowd_does_not_count_and_a_second_find_is_wrong() {
        let mut things = [thing(1, [0.0, 0.0, 10.0, 10.0]), thing(1, [20.0, 0.0, 50.0, 50.0])];
        things[1].crowd = true;
        let find = |score, frame| Find { class: 1, score, frame };
        let in_crowd = find(0.95, [30.0, 10.0, 5.0, 5.0]);
        let (first, second) = (find(0.9, [0.0, 0.0, 10.0, 10.0]), find(0.99, [1.0, 0.0, 10.0, 10.0]));
        let of = |finds: &[Find]| mean_average_precision([&Matches::of(&things, finds)]);
        assert!((of(&[in_crowd, first]).0 - 1.0).abs() < 1e-12);
        assert!(of(&[second, first]).0 < 1.0);
    }
}
