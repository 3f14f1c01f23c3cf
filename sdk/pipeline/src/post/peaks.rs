//! Points from heat maps, one map for each class: all that are higher than what is around them (`peaks`, as CenterNet finds them,
//! "Objects as Points", 2019), or the highest of each map together (`points`, the key points of one thing).
//!
//! A point is the middle of its cell. With `refine` it moves by a quarter of a cell towards the higher neighbour on each axis, as
//! "Simple Baselines for Human Pose Estimation" (2018) has it.

use super::outputs::Reads;
use super::scores::best_first;
use super::{Checks, Stage, State, known};
use crate::error::{Error, Result};
use crate::interface::Interface;
use crate::labels::Labels;
use crate::place::Place;
use crate::spec;
use crate::value::{Detection, Made};

/// Most maps: key points of hands and faces are below 500.
const MAX_MAPS: usize = 1024;

/// Which output holds the maps, and in which order.
#[derive(Debug)]
struct Maps {
    reads: Reads,
    /// Whether the model has its channels before rows and columns.
    channels_first: bool,
}

/// The maps of one run.
struct Heat<'a> {
    values: &'a [f32],
    channels_first: bool,
    maps: usize,
    height: usize,
    width: usize,
}

impl Maps {
    /// `maps` says how many there must be.
    fn new(output: Option<&str>, maps: Option<usize>, checks: &Checks) -> Result<Self> {
        let reads = Reads::new(checks, output)?;
        let input = checks.interface.inputs.first();
        let channels_first = input.is_some_and(|input| matches!(input.shape.get(1), Some(Some(1 | 3))));
        let made = Self { reads, channels_first };
        let info = made.reads.info(checks.interface)?;
        if let Some(shape) = info.shape.iter().skip(1).copied().collect::<Option<Vec<usize>>>() {
            let [found, ..] = made
                .sizes(&[vec![1], shape].concat())
                .ok_or_else(|| made.wrong(checks.interface, info.shape_text()))?;
            if maps.is_some_and(|maps| maps != found) {
                return Err(made.wrong(checks.interface, info.shape_text()));
            }
        }
        Ok(made)
    }

    /// Maps, rows and columns.
    fn sizes(&self, shape: &[usize]) -> Option<[usize; 3]> {
        let sizes = match (shape, self.channels_first) {
            (&[1, c, h, w], true) | (&[1, h, w, c], false) => [c, h, w],
            _ => return None,
        };
        ((1..=MAX_MAPS).contains(&sizes[0]) && sizes[1] > 0 && sizes[2] > 0).then_some(sizes)
    }

    fn wrong(&self, interface: &Interface, shape: String) -> Error {
        self.reads.shape(interface, shape, format!("1 to {MAX_MAPS} maps, one for each label"))
    }

    fn run<T>(&self, state: &State, interface: &Interface, with: impl FnOnce(&Heat) -> T) -> Result<T> {
        let (shape, values) = self.reads.real(interface, &state.outputs)?;
        let [maps, height, width] =
            self.sizes(shape).ok_or_else(|| self.wrong(interface, format!("{shape:?}")))?;
        Ok(with(&Heat { values: &values, channels_first: self.channels_first, maps, height, width }))
    }
}

impl Heat<'_> {
    fn at(&self, map: usize, x: usize, y: usize) -> f32 {
        let pixel = y * self.width + x;
        match self.channels_first {
            true => self.values[map * self.width * self.height + pixel],
            false => self.values[pixel * self.maps + map],
        }
    }

    /// Whether nothing around a cell is higher; equal neighbours are peaks both.
    fn is_peak(&self, map: usize, x: usize, y: usize) -> bool {
        let value = self.at(map, x, y);
        let (columns, rows) =
            (x.saturating_sub(1)..(x + 2).min(self.width), y.saturating_sub(1)..(y + 2).min(self.height));
        rows.flat_map(|y| columns.clone().map(move |x| (x, y)))
            .all(|(x, y)| self.at(map, x, y) <= value || self.at(map, x, y).is_nan())
    }

    /// The highest cell of a map, the first of equal ones; what is no number is below all.
    fn highest(&self, map: usize) -> (usize, usize) {
        let value = |i: usize| self.at(map, i % self.width, i / self.width);
        let order = |a: &usize, b: &usize| best_first(value(*a), value(*b)).then(a.cmp(b));
        let best = (0..self.width * self.height).min_by(order).unwrap_or(0);
        (best % self.width, best / self.width)
    }

    /// The position of a cell's point, in pixels of the model's picture.
    fn point(&self, map: usize, (x, y): (usize, usize), refine: bool, place: &Place) -> [f64; 2] {
        let towards = |least: Option<usize>, most: usize, limit: usize, value: &dyn Fn(usize) -> f32| {
            let (Some(least), true) = (least.filter(|_| refine), most < limit) else { return 0.0 };
            let (before, after) = (value(least), value(most));
            if after > before {
                0.25
            } else if before > after {
                -0.25
            } else {
                0.0
            }
        };
        let dx = towards(x.checked_sub(1), x + 1, self.width, &|x| self.at(map, x, y));
        let dy = towards(y.checked_sub(1), y + 1, self.height, &|y| self.at(map, x, y));
        let cell = |i: usize, by: f64, cells: usize, axis: usize| {
            (i as f64 + 0.5 + by) * place.frame[axis] as f64 / cells as f64
        };
        [cell(x, dx, self.width, 0), cell(y, dy, self.height, 1)]
    }
}

/// All peaks.
#[derive(Debug)]
pub(super) struct Peaks {
    maps: Maps,
    labels: Labels,
    min_score: f32,
    refine: bool,
    most: usize,
}

impl Peaks {
    pub(super) fn new(stage: &spec::Peaks, checks: &Checks) -> Result<Self> {
        let labels = checks.lines(&stage.labels)?;
        Ok(Self {
            maps: Maps::new(stage.output.as_deref(), Some(labels.len()), checks)?,
            labels,
            min_score: checks.within("min_score", stage.min_score, [f32::MIN, f32::MAX])?,
            refine: stage.refine,
            most: checks.most(stage.most)?,
        })
    }

    fn of(&self, heat: &Heat, place: &Place) -> Vec<Detection> {
        let cells = (0..heat.maps).flat_map(|map| (0..heat.width * heat.height).map(move |i| (map, i)));
        let cells = cells.map(|(map, i)| (map, i % heat.width, i / heat.width));
        let high =
            cells.filter(|&(map, x, y)| heat.at(map, x, y) >= self.min_score && heat.is_peak(map, x, y));
        let mut peaks: Vec<(usize, usize, usize)> = high.collect();
        // Stable: equal scores stay in the order of maps, rows, columns.
        peaks.sort_by(|a, b| best_first(heat.at(a.0, a.1, a.2), heat.at(b.0, b.1, b.2)));
        peaks.truncate(self.most);
        let detection = |(map, x, y): (usize, usize, usize)| {
            let middle = heat.point(map, (x, y), self.refine, place);
            let half = [
                place.frame[0] as f64 / heat.width as f64 / 2.0,
                place.frame[1] as f64 / heat.height as f64 / 2.0,
            ];
            let corner =
                |sign: f64| place.on_picture([middle[0] + sign * half[0], middle[1] + sign * half[1]]);
            let ([left, top], [right, bottom]) = (corner(-1.0), corner(1.0));
            Detection {
                label: self.labels.name(map).to_owned(),
                score: heat.at(map, x, y),
                frame: [left, top, right, bottom],
                points: vec![place.on_picture(middle)],
            }
        };
        peaks.into_iter().map(detection).collect()
    }
}

impl Stage for Peaks {
    fn run(&self, state: &mut State, interface: &Interface, place: Option<&Place>) -> Result<()> {
        let place = known(place)?;
        // The number of maps is seen here where only a run shows the shape.
        let found = self
            .maps
            .run(state, interface, |heat| (heat.maps == self.labels.len()).then(|| self.of(heat, place)))?;
        let found = found.ok_or_else(|| self.maps.wrong(interface, "another number of maps".to_owned()))?;
        state.made = Some(Made::Detections(found));
        Ok(())
    }
}

/// The highest of each map: one thing.
#[derive(Debug)]
pub(super) struct Points {
    maps: Maps,
    label: String,
    min_score: f32,
    refine: bool,
}

impl Points {
    pub(super) fn new(stage: &spec::Points, checks: &Checks) -> Result<Self> {
        Ok(Self {
            maps: Maps::new(stage.output.as_deref(), None, checks)?,
            label: checks.label(&stage.label)?,
            min_score: checks.within("min_score", stage.min_score, [f32::MIN, f32::MAX])?,
            refine: stage.refine,
        })
    }

    /// Nothing where the mean of the maps' highest scores is low.
    fn of(&self, heat: &Heat, place: &Place) -> Option<Detection> {
        let cells: Vec<(usize, usize)> = (0..heat.maps).map(|map| heat.highest(map)).collect();
        let sum = cells.iter().enumerate().fold(0.0, |sum, (map, &(x, y))| sum + heat.at(map, x, y));
        let score = sum / heat.maps as f32;
        let point = |(map, &cell): (usize, &(usize, usize))| {
            place.on_picture(heat.point(map, cell, self.refine, place))
        };
        let points: Vec<[f32; 2]> = cells.iter().enumerate().map(point).collect();
        let side = |axis: usize| points.iter().map(move |point| point[axis]);
        let (least, most) = (f32::INFINITY, f32::NEG_INFINITY);
        let frame = [
            side(0).fold(least, f32::min),
            side(1).fold(least, f32::min),
            side(0).fold(most, f32::max),
            side(1).fold(most, f32::max),
        ];
        (score >= self.min_score).then(|| Detection { label: self.label.clone(), score, frame, points })
    }
}

impl Stage for Points {
    fn run(&self, state: &mut State, interface: &Interface, place: Option<&Place>) -> Result<()> {
        let place = known(place)?;
        let found = self.maps.run(state, interface, |heat| self.of(heat, place))?;
        state.made = Some(Made::Detections(found.into_iter().collect()));
        Ok(())
    }
}
