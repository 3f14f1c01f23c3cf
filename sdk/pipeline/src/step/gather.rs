//! What the crops of a step, or the frames of a sound, make together.

use std::collections::BTreeMap;

use super::StepValue;
use crate::outcome::Label;
use crate::post::best_first;
use crate::value::{Detection, FoundRegion, Kind, Line, Made, Quad, around, corners};

/// A box or region to be cut out.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) quad: Quad,
    pub(super) score: f32,
    pub(super) detection: Option<Detection>,
}

pub(super) fn items(value: Option<&StepValue>) -> Vec<Item> {
    match value.and_then(|value| value.made.as_ref()) {
        Some(Made::Detections(found)) => {
            let item =
                |d: &Detection| Item { quad: corners(d.frame), score: d.score, detection: Some(d.clone()) };
            found.iter().map(item).collect()
        }
        Some(Made::Regions(found)) => {
            found.iter().map(|r| Item { quad: r.quad, score: r.score, detection: None }).collect()
        }
        _ => Vec::new(),
    }
}

/// What is heard in any frame of a sound: each label with its highest score, and as many as the frame with most has.
#[derive(Default)]
pub(super) struct Heard {
    labels: BTreeMap<usize, Label>,
    most: usize,
}

impl Heard {
    pub(super) fn add(&mut self, labels: Vec<Label>) {
        self.most = self.most.max(labels.len());
        for label in labels {
            let known = self.labels.entry(label.index).or_insert_with(|| label.clone());
            if best_first(label.score, known.score).is_lt() {
                *known = label;
            }
        }
    }

    pub(super) fn best(self) -> Vec<Label> {
        let mut labels: Vec<Label> = self.labels.into_values().collect();
        labels.sort_by(|a, b| best_first(a.score, b.score)); // stable: equal scores in the order of the classes
        labels.truncate(self.most);
        labels
    }
}

/// What the crops of a step make together.
pub(super) struct Gathered(pub(super) Made);

impl Gathered {
    pub(super) fn new(kind: Kind) -> Self {
        Self(match kind {
            Kind::Lines => Made::Lines(Vec::new()),
            Kind::Regions => Made::Regions(Vec::new()),
            _ => Made::Detections(Vec::new()),
        })
    }

    pub(super) fn add(&mut self, item: &Item, made: Option<Made>) {
        let quad = item.quad;
        match (&mut self.0, made) {
            (Made::Lines(lines), Some(Made::Text(Some((text, score))))) => {
                lines.push(Line { text, score, frame: around(&quad), quad });
            }
            (Made::Regions(regions), Some(Made::Turn(turned))) => {
                let [a, b, c, d] = quad;
                let quad = if turned { [c, d, a, b] } else { quad };
                regions.push(FoundRegion { score: item.score, quad });
            }
            (Made::Detections(found), Some(Made::Labels(labels))) => {
                if let Some(best) = labels.into_iter().next() {
                    let frame = item.detection.as_ref().map_or_else(|| around(&quad), |d| d.frame);
                    let points = item.detection.as_ref().map(|d| d.points.clone()).unwrap_or_default();
                    found.push(Detection { label: best.name, score: best.score, frame, points });
                }
            }
            (Made::Detections(found), Some(Made::Detections(inside))) => found.extend(inside),
            _ => {}
        }
    }
}
