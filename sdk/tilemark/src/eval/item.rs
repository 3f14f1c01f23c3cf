//! What is kept of a sample once the app answered: enough to make every number of it, and nothing that shows it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tilemark_bundle::{Digest, sha256};
use tilemark_pipeline::{Image, Outcome, Picture};

use super::data::{Classes, Content, Truth};
use super::metric::Metric;
use super::metric::classes::Confusion;
use super::metric::detect::{self, Find, Matches};
use super::metric::pixels::{Differences, Overlaps};
use super::metric::text::Edits;
use super::stats::Extremes;

/// One sample's part of a metric.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Item {
    /// What class it is, and the classes that the app names, best first.
    Class {
        /// What it is.
        truth: u32,
        /// At most five.
        found: Best,
    },
    /// The finds on an image.
    Things(Matches),
    /// The errors in a text.
    Edits(Edits),
    /// The pixels of two masks.
    Overlaps(Overlaps),
    /// The pixels of two pictures.
    Differences(Differences),
    /// It could not be evaluated, and why.
    Failed(String),
}

/// Labels that are looked at.
const BEST: usize = 5;

/// The best labels, best first, without memory of their own: there may be millions of these.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Vec<u32>", into = "Vec<u32>")]
pub(super) struct Best {
    count: u8,
    labels: [u32; BEST],
}

impl Best {
    fn as_slice(&self) -> &[u32] {
        &self.labels[..usize::from(self.count).min(BEST)]
    }
}

impl FromIterator<u32> for Best {
    fn from_iter<I: IntoIterator<Item = u32>>(labels: I) -> Self {
        let mut best = Self::default();
        for (place, label) in best.labels.iter_mut().zip(labels) {
            (*place, best.count) = (label, best.count + 1);
        }
        best
    }
}

impl From<Best> for Vec<u32> {
    fn from(best: Best) -> Self {
        best.as_slice().to_vec()
    }
}

impl TryFrom<Vec<u32>> for Best {
    type Error = String;

    fn try_from(labels: Vec<u32>) -> Result<Self, String> {
        match labels.len() {
            count if count <= BEST => Ok(labels.into_iter().collect()),
            count => Err(format!("{count} labels, at most {BEST} are kept")),
        }
    }
}

impl Item {
    /// A class, and those that the app names.
    pub(super) fn class(truth: u32, found: impl IntoIterator<Item = u32>) -> Self {
        Self::Class { truth, found: found.into_iter().collect() }
    }

    /// Compares what an app answers with what is true. `asked` is what a metric needs that the answer has not.
    ///
    /// # Errors
    /// What the answer lacks: it is of another kind than the metric.
    pub(super) fn of(
        metric: Metric,
        truth: &Truth,
        content: &Content,
        outcome: &Outcome,
        classes: &Classes,
    ) -> Result<Self, String> {
        match (truth, content) {
            (Truth::Class(truth, _), _) => {
                let labels = outcome.labels.as_ref().ok_or("it names no labels")?;
                let found =
                    labels.iter().take(BEST).map(|label| u32::try_from(label.index).unwrap_or(u32::MAX));
                Ok(Self::class(*truth, found))
            }
            (Truth::Text(_), _) | (Truth::TextFile(_), Content::Text(_)) => {
                let text: &str = match (truth, content) {
                    (Truth::Text(text), _) => text,
                    (_, Content::Text(text)) => text,
                    _ => "",
                };
                let lines = outcome.lines.as_ref().ok_or("it reads no text")?;
                let lines: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
                // Some editors begin a file with a mark that nobody reads.
                let text = text.strip_prefix('\u{feff}').unwrap_or(text);
                let edits = Edits::between(&text.lines().collect::<Vec<_>>().join(" "), &lines.join(" "));
                Ok(edits.map_or_else(|| Self::Failed("a text too long to compare".into()), Self::Edits))
            }
            (Truth::Things(things), _) => {
                let found = outcome.detections.as_ref().ok_or("it finds no boxes")?;
                let finds: Vec<Find> = found.iter().map(|detection| find(detection, classes)).collect();
                Ok(Self::Things(Matches::of(&things.0, &finds)))
            }
            (Truth::Picture(_), Content::Picture(bytes)) => {
                let fits = |made: &&Picture| metric != Metric::Iou || made.channels == 1;
                let made: Vec<&Picture> = outcome.pictures.values().filter(fits).collect();
                match made.as_slice() {
                    [made] => Ok(picture(metric, bytes, made)),
                    [] if metric == Metric::Iou => {
                        Err("it makes no mask: no picture of one channel".to_owned())
                    }
                    [] => Err("it makes no picture".to_owned()),
                    several => Err(format!(
                        "it makes {} pictures, and which is meant nobody can tell",
                        several.len()
                    )),
                }
            }
            (Truth::TextFile(_) | Truth::Picture(_), _) => Ok(Self::Failed("its label was not read".into())),
        }
    }

    /// How bad an answer it is, for the list of the worst: larger is worse, 0 is right.
    #[must_use]
    pub(super) fn badness(&self) -> f64 {
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        match self {
            Self::Class { truth, found } => {
                found.as_slice().iter().position(|class| class == truth).unwrap_or(BEST) as f64
            }
            Self::Things(matches) => {
                let (all, _) = detect::mean_average_precision([matches]);
                if all.is_nan() { 0.0 } else { 1.0 - all }
            }
            Self::Edits(edits) => share(edits.characters, edits.of_characters),
            Self::Overlaps(overlaps) => 1.0 - overlaps.mean(),
            Self::Differences(apart) => share(apart.squares, apart.samples),
            Self::Failed(_) => f64::INFINITY,
        }
    }

    /// The best label, where it is of classes and one was named.
    #[must_use]
    pub(super) fn best(&self) -> Option<u32> {
        match self {
            Self::Class { found, .. } => found.as_slice().first().copied(),
            _ => None,
        }
    }

    /// Whether it counts as right, where a sample is right or wrong.
    #[must_use]
    pub(super) fn is_hit(&self, metric: Metric) -> Option<bool> {
        match (self, metric) {
            (Self::Class { truth, found }, Metric::Accuracy) => Some(found.as_slice().first() == Some(truth)),
            (Self::Class { truth, found }, Metric::Top5) => Some(found.as_slice().contains(truth)),
            _ => None,
        }
    }
}

/// The metric over samples that did not fail; no number of none.
#[must_use]
pub(super) fn value<'i>(metric: Metric, items: impl Iterator<Item = &'i Item> + Clone) -> f64 {
    match metric {
        Metric::Accuracy | Metric::Top5 => {
            let (hits, count) = items
                .filter_map(|item| item.is_hit(metric))
                .fold((0u64, 0u64), |(hits, count), hit| (hits + u64::from(hit), count + 1));
            hits as f64 / count as f64
        }
        Metric::F1 => confusion(items).macro_f1(),
        Metric::Map => map(items).0,
        Metric::Iou => {
            let mut sums = Overlaps::default();
            for item in items {
                if let Item::Overlaps(overlaps) = item {
                    sums.add(overlaps);
                }
            }
            sums.mean()
        }
        Metric::Cer | Metric::Wer => {
            let sums = edits(items);
            let [errors, of] = match metric {
                Metric::Cer => [sums.characters, sums.of_characters],
                _ => [sums.words, sums.of_words],
            };
            errors as f64 / of as f64
        }
        Metric::Psnr | Metric::Mae => {
            let (mut sum, mut count) = (0.0, 0.0);
            for item in items {
                if let Item::Differences(apart) = item {
                    sum += if metric == Metric::Psnr { apart.psnr() } else { apart.mean_absolute() };
                    count += 1.0;
                }
            }
            sum / count
        }
    }
}

/// A digest of what is kept of each sample. Why one failed is left out: it may name a folder.
pub(super) fn digest<'i>(items: impl Iterator<Item = &'i Item>) -> Digest {
    let mut chained = sha256(b"");
    for item in items {
        let json = match item {
            Item::Failed(_) => b"failed".to_vec(),
            // What is kept is numbers and maps of numbers, which are always written.
            item => serde_json::to_vec(item).unwrap_or_default(),
        };
        chained = sha256(&[&chained.as_bytes()[..], sha256(&json).as_bytes()].concat());
    }
    chained
}

/// What was taken for what; what got no label is a class of its own, the last.
pub(super) fn confusion<'i>(items: impl Iterator<Item = &'i Item>) -> Confusion {
    let pair = |item: &Item| match item {
        Item::Class { truth, .. } => Some((*truth, item.best().unwrap_or(u32::MAX))),
        _ => None,
    };
    items.filter_map(pair).collect()
}

/// How far a metric may lie from what was seen because of what was not: its bounds, and how many samples each number has that it is a mean of.
pub(super) fn extremes(metric: Metric, items: &[&Item]) -> Extremes {
    let count = items.len() as u64;
    let worst_rate = |rate: fn(&Edits) -> (u64, u64)| {
        let rates = items.iter().filter_map(|item| match item {
            Item::Edits(edits) => Some(rate(edits)),
            _ => None,
        });
        rates.map(|(errors, of)| errors as f64 / of.max(1) as f64).fold(1.0, f64::max)
    };
    let (low, high, groups) = match metric {
        Metric::Accuracy | Metric::Top5 => (0.0, 1.0, vec![count]),
        Metric::F1 | Metric::Map | Metric::Iou => (0.0, 1.0, groups(items)),
        // More errors than letters are possible; than were seen of any text they are not taken to be.
        Metric::Cer => (0.0, worst_rate(|edits| (edits.characters, edits.of_characters)), vec![count]),
        Metric::Wer => (0.0, worst_rate(|edits| (edits.words, edits.of_words)), vec![count]),
        Metric::Mae => (0.0, 255.0, vec![count]),
        Metric::Psnr => {
            let best = items.iter().filter_map(|item| match item {
                Item::Differences(apart) => Some(apart.best_psnr()),
                _ => None,
            });
            (0.0, best.fold(0.0, f64::max), vec![count])
        }
    };
    Extremes { low, high, groups }
}

/// How many samples each class is on, or was found on.
fn groups(items: &[&Item]) -> Vec<u64> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for item in items {
        let classes: BTreeSet<u32> = match item {
            Item::Class { truth, .. } => [*truth, item.best().unwrap_or(u32::MAX)].into_iter().collect(),
            Item::Things(matches) => matches.classes().collect(),
            Item::Overlaps(overlaps) => overlaps.classes().map(|(class, ..)| u32::from(class)).collect(),
            _ => BTreeSet::new(),
        };
        classes.into_iter().for_each(|class| *counts.entry(class).or_default() += 1);
    }
    counts.into_values().collect()
}

/// Mean average precision over all overlaps, and at one half.
pub(super) fn map<'i>(items: impl Iterator<Item = &'i Item>) -> (f64, f64) {
    detect::mean_average_precision(items.filter_map(|item| match item {
        Item::Things(matches) => Some(matches),
        _ => None,
    }))
}

pub(super) fn edits<'i>(items: impl Iterator<Item = &'i Item>) -> Edits {
    let mut sums = Edits::default();
    for item in items {
        if let Item::Edits(edits) = item {
            sums += *edits;
        }
    }
    sums
}

/// A class that data has no name for is one that nothing is of.
fn find(detection: &tilemark_pipeline::Detection, classes: &Classes) -> Find {
    let [left, top, right, bottom] = detection.frame.map(f64::from);
    Find {
        class: classes.find_name(&detection.label).unwrap_or(u32::MAX),
        // A journal has no infinities.
        score: f64::from(detection.score).clamp(f64::MIN, f64::MAX),
        frame: [left, top, right - left, bottom - top],
    }
}

/// Compares a picture that the app made with an encoded one of the same size.
fn picture(metric: Metric, encoded: &[u8], made: &Picture) -> Item {
    let truth = match Image::decode(encoded) {
        Ok(truth) => truth,
        Err(error) => return Item::Failed(format!("its target: {error}")),
    };
    if (truth.width(), truth.height()) != (made.width, made.height) {
        let (wide, high) = (made.width, made.height);
        let reason = format!(
            "the target has {} x {} pixels, the app made {wide} x {high}",
            truth.width(),
            truth.height()
        );
        return Item::Failed(reason);
    }
    let gray: Vec<u8>;
    let pixels = match made.channels {
        3 if metric != Metric::Iou => truth.pixels(),
        // A decoded gray picture has the same byte three times; of another one no byte would be what it is a mask of.
        _ if truth.pixels().chunks_exact(3).any(|pixel| pixel[0] != pixel[1] || pixel[1] != pixel[2]) => {
            return Item::Failed(
                "the target has colours, and a gray one is expected: a byte a pixel".to_owned(),
            );
        }
        _ => {
            gray = truth.pixels().iter().step_by(3).copied().collect();
            &gray
        }
    };
    if pixels.len() != made.samples.len() {
        return Item::Failed(format!("a mask has one channel, the app made {}", made.channels));
    }
    match metric {
        Metric::Iou => Item::Overlaps(Overlaps::of(pixels, &made.samples)),
        _ => Item::Differences(Differences::between(pixels, &made.samples)),
    }
}

#[cfg(test)]
mod tests {
    use tilemark_pipeline::{Detection, Label};

    use super::super::metric::detect::Thing;
    use super::*;

    #[test]
    fn answers_are_compared_by_what_they_are() {
        let classes = Classes::new(["cat", "dog"].map(str::to_owned).to_vec());
        let label = |index, name: &str| Label { name: name.into(), index, score: 0.5 };
        let outcome = Outcome { labels: Some(vec![label(1, "dog"), label(0, "cat")]), ..Outcome::default() };
        let of =
            |metric, truth, outcome: &Outcome| Item::of(metric, &truth, &Content::None, outcome, &classes);
        let cat = Truth::Class(0, "cat".into());
        let item = of(Metric::Accuracy, cat.clone(), &outcome).unwrap();
        assert_eq!(item, Item::class(0, [1, 0]));
        let kept = serde_json::to_string(&item).unwrap();
        assert_eq!(kept, r#"{"class":{"truth":0,"found":[1,0]}}"#);
        assert_eq!(serde_json::from_str::<Item>(&kept).unwrap(), item);
        assert!(serde_json::from_str::<Item>(&kept.replace("[1,0]", "[1,2,3,4,5,6]")).is_err());
        assert!(size_of::<Item>() <= 40, "{} bytes a sample", size_of::<Item>());
        assert_eq!((item.is_hit(Metric::Accuracy), item.is_hit(Metric::Top5)), (Some(false), Some(true)));
        assert_eq!(value(Metric::Accuracy, [&item, &item].into_iter()), 0.0);
        assert_eq!(value(Metric::Top5, [&item].into_iter()), 1.0);
        assert_eq!(of(Metric::Accuracy, cat, &Outcome::default()), Err("it names no labels".to_owned()));

        let detection =
            Detection { label: "Dog".into(), score: 0.9, frame: [1.0, 2.0, 11.0, 12.0], points: vec![] };
        let found = Outcome { detections: Some(vec![detection]), ..Outcome::default() };
        let thing = Thing { class: 1, frame: [1.0, 2.0, 10.0, 10.0], crowd: false };
        let item = of(Metric::Map, Truth::Things(Box::new((vec![thing], sha256(b"said")))), &found).unwrap();
        assert!((value(Metric::Map, [&item].into_iter()) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_target_of_another_size_is_told() {
        let target = Picture { width: 2, height: 1, channels: 1, samples: vec![255, 0] }.png().unwrap();
        let made =
            |width, samples: &[u8]| Picture { width, height: 1, channels: 1, samples: samples.to_vec() };
        let Item::Overlaps(overlaps) = picture(Metric::Iou, &target, &made(2, &[255, 255])) else {
            panic!("masks")
        };
        assert_eq!(overlaps.classes().collect::<Vec<_>>(), [(0, 0, 1), (255, 1, 2)]);
        let Item::Failed(reason) = picture(Metric::Mae, &target, &made(3, &[0; 3])) else { panic!("sizes") };
        assert_eq!(reason, "the target has 2 x 1 pixels, the app made 3 x 1");
        // A mask of colours, as some tools paint them: its red is no class.
        let colours = Picture { width: 1, height: 1, channels: 3, samples: vec![128, 0, 0] }.png().unwrap();
        let Item::Failed(reason) = picture(Metric::Iou, &colours, &made(1, &[0])) else { panic!("colours") };
        assert!(reason.contains("has colours"), "{reason}");
        // Of several pictures the mask is the one of one channel.
        let classes = Classes::new(vec![]);
        let with = |made: &[(&str, u32)]| {
            let made = made.iter().map(|(name, channels)| {
                let samples = vec![0; 2 * *channels as usize];
                ((*name).to_owned(), Picture { width: 2, height: 1, channels: *channels as _, samples })
            });
            Outcome { pictures: made.collect(), ..Outcome::default() }
        };
        let of = |metric, outcome: &Outcome| {
            let (truth, content) = (Truth::Picture("a.png".into()), Content::Picture(target.clone()));
            Item::of(metric, &truth, &content, outcome, &classes)
        };
        assert!(matches!(of(Metric::Iou, &with(&[("cut", 3), ("mask", 1)])), Ok(Item::Overlaps(_))));
        assert_eq!(
            of(Metric::Iou, &with(&[("cut", 3)])),
            Err("it makes no mask: no picture of one channel".into())
        );
        let error = of(Metric::Mae, &with(&[("a", 1), ("b", 1)])).unwrap_err();
        assert!(error.starts_with("it makes 2 pictures"), "{error}");
    }
}
