//! Non-maximum suppression: boxes that show the same thing become one.
//!
//! `iou = intersection / (area_a + area_b - intersection)` in f32, in this order; boxes overlap if it is above the limit.
//! Detections are taken best first, equal scores in the order in which they were found. The cost is at most the number of
//! detections times `most`.

use super::scores::best_first;
use super::{Checks, Stage, State};
use crate::error::Result;
use crate::interface::Interface;
use crate::place::Place;
use crate::spec::{self, NmsKind};
use crate::value::{Detection, Made};

#[derive(Debug)]
pub(super) struct Nms {
    iou: f32,
    kind: NmsKind,
    most: usize,
}

impl Nms {
    pub(super) fn new(stage: &spec::Nms, checks: &Checks) -> Result<Self> {
        let iou = checks.within("iou", stage.iou, [0.0, 1.0])?;
        Ok(Self { iou, kind: stage.kind, most: checks.most(stage.most)? })
    }
}

impl Stage for Nms {
    fn run(&self, state: &mut State, _interface: &Interface, _place: Option<&Place>) -> Result<()> {
        if let Some(Made::Detections(found)) = &mut state.made {
            found.retain(|detection| detection.frame.iter().all(|side| side.is_finite()));
            let groups = groups(found, self.iou, self.most);
            *found = match self.kind {
                NmsKind::Classic => groups.iter().map(|group| found[group[0]].clone()).collect(),
                NmsKind::Weighted => groups.iter().map(|group| merged(found, group)).collect(),
            };
        }
        Ok(())
    }
}

/// The detections that are kept, best first, each followed by those that it suppresses, in order of their scores.
fn groups(found: &[Detection], iou: f32, most: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by(|&a, &b| best_first(found[a].score, found[b].score).then(a.cmp(&b)));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for i in order {
        let same = |group: &Vec<usize>| {
            let best = &found[group[0]];
            best.label == found[i].label && overlap(&best.frame, &found[i].frame) > iou
        };
        match groups.iter().position(same) {
            Some(group) => groups[group].push(i),
            None if groups.len() < most => groups.push(vec![i]),
            None => {}
        }
    }
    groups
}

/// Intersection over union; NaN of two boxes without area, which is above nothing.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |[left, top, right, bottom]: &[f32; 4]| (right - left) * (bottom - top);
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let intersection = width * height;
    intersection / (area(a) + area(b) - intersection)
}

/// The mean of a group, weighted with the scores: sums in f32 in the order of the group, divided by the sum of scores.
fn merged(found: &[Detection], group: &[usize]) -> Detection {
    let best = &found[group[0]];
    let total: f32 = group.iter().fold(0.0, |sum, &i| sum + found[i].score);
    // Scores below zero, as logits have them, are no weights.
    if group.len() == 1 || !(total.is_normal() && total > 0.0) {
        return best.clone();
    }
    let mean = |value: &dyn Fn(&Detection) -> f32| {
        group.iter().fold(0.0, |sum, &i| sum + value(&found[i]) * found[i].score) / total
    };
    let frame = std::array::from_fn(|side| mean(&|detection| detection.frame[side]));
    let point = |p: usize| [0, 1].map(|axis| mean(&|detection| detection.points[p][axis]));
    Detection { frame, points: (0..best.points.len()).map(point).collect(), ..best.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(score: f32, frame: [f32; 4]) -> Detection {
        Detection { label: "x".into(), score, frame, points: vec![[frame[0], frame[1]]] }
    }

    #[test]
    fn the_best_of_overlapping_boxes_is_kept() {
        let found = [
            detection(0.5, [0.0, 0.0, 10.0, 10.0]),
            detection(0.9, [1.0, 0.0, 11.0, 10.0]),
            detection(0.7, [20.0, 0.0, 30.0, 10.0]),
            detection(f32::NAN, [21.0, 0.0, 31.0, 10.0]),
        ];
        assert_eq!(groups(&found, 0.5, 9), [vec![1, 0], vec![2, 3]]);
        assert_eq!(groups(&found, 0.9, 9), [[1], [2], [0], [3]]);
        assert_eq!(groups(&found, 0.5, 1), [[1, 0]]);
        assert!(groups(&[], 0.5, 9).is_empty());
    }

    /// `sdk/testkit/python/stages_expected.py` made the file: what OpenCV's `NMSBoxes` keeps of 1,000 random sets, index by index.
    #[test]
    fn a_thousand_sets_are_opencvs() {
        let mut sets = 0;
        for line in include_str!("../../tests/data/nms.txt").lines() {
            let mut words = line.split(' ').map(|word| word.parse::<u32>().unwrap());
            let mut state = words.next().unwrap();
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state >> 16
            };
            let (count, limit) = (1 + next() % 60, (f64::from(1 + next() % 9) / 10.0 + 0.0137) as f32);
            let found: Vec<Detection> = (0..count)
                .map(|_| {
                    let [x, y, w, h, s] = [(); 5].map(|()| next());
                    let (left, top) = ((x % 400) as f32 / 4.0, (y % 400) as f32 / 4.0);
                    let (right, bottom) =
                        (left + 1.0 + (w % 160) as f32 / 4.0, top + 1.0 + (h % 160) as f32 / 4.0);
                    detection((1 + s % 512) as f32 / 512.0, [left, top, right, bottom])
                })
                .collect();
            let kept = groups(&found, limit, 1000).into_iter().map(|group| group[0] as u32);
            assert!(kept.eq(words), "set {sets}");
            sets += 1;
        }
        assert_eq!(sets, 1000);
    }

    #[test]
    fn labels_do_not_suppress_each_other() {
        let mut found = [detection(0.5, [0.0, 0.0, 1.0, 1.0]), detection(0.9, [0.0, 0.0, 1.0, 1.0])];
        found[0].label = "y".into();
        assert_eq!(groups(&found, 0.5, 9), [[1], [0]]);
    }

    #[test]
    fn a_weighted_mean_leans_to_the_better_box() {
        let found = [detection(0.75, [0.0, 0.0, 8.0, 8.0]), detection(0.25, [4.0, 0.0, 12.0, 8.0])];
        let merged = merged(&found, &[0, 1]);
        assert_eq!(
            (merged.score, merged.frame, &merged.points[..]),
            (0.75, [1.0, 0.0, 9.0, 8.0], &[[1.0, 0.0]][..])
        );
    }

    #[test]
    fn boxes_without_area_suppress_nothing() {
        let found = [detection(0.9, [5.0; 4]), detection(0.8, [5.0; 4])];
        assert_eq!(groups(&found, 0.0, 9).len(), 2);
    }

    #[test]
    fn a_hundred_thousand_boxes_cost_no_more_than_those_that_are_kept() {
        let found: Vec<Detection> = (0..100_000u32)
            .map(|i| {
                let x = (i.wrapping_mul(2_654_435_761) >> 12) as f32;
                detection((i % 997) as f32, [x, 0.0, x + 1.0, 1.0])
            })
            .collect();
        let kept = groups(&found, 0.5, 100);
        assert_eq!(kept.len(), 100);
        assert!(kept.iter().all(|group| found[group[0]].score >= 990.0));
    }
}
