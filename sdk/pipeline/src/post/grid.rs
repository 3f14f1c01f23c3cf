//! Boxes from the rows of YOLO heads: four numbers of the box, perhaps one that says whether there is anything, one for each class.
//!
//! Without `strides` the box is its middle, width and height in pixels of the model's picture, as YOLOv5 and YOLOv8 export it.
//! With them it is offsets from cells, as YOLOX has it ("YOLOX: Exceeding YOLO Series in 2021"): levels in order, rows, columns;
//! `middle = (offset + cell) * stride`, `size = exp(offset) * stride`. All in f32, the exponential that of the contract.

use tilemark_model::numerics::exp;

use super::anchors::{MAX_ANCHORS, MAX_LEVELS, model_size};
use super::outputs::Reads;
use super::scores::best_first;
use super::{Checks, Stage, State, known};
use crate::error::{Error, Result};
use crate::interface::Interface;
use crate::labels::Labels;
use crate::place::Place;
use crate::spec;
use crate::value::{Detection, Made};

#[derive(Debug)]
pub(super) struct Grid {
    reads: Reads,
    labels: Labels,
    min_score: f32,
    objectness: bool,
    transposed: bool,
    /// Column, row and stride of each box's cell; none where boxes are in pixels already.
    cells: Vec<[f32; 3]>,
}

impl Grid {
    pub(super) fn new(stage: &spec::Grid, checks: &Checks) -> Result<Self> {
        let grid = Self {
            reads: Reads::new(checks, stage.output.as_deref())?,
            labels: checks.lines(&stage.labels)?,
            min_score: checks.within("min_score", stage.min_score, [f32::MIN, f32::MAX])?,
            objectness: stage.objectness,
            transposed: stage.transposed,
            cells: cells(&stage.strides, checks)?,
        };
        let info = grid.reads.info(checks.interface)?;
        if let Some(shape) = info.shape.iter().skip(1).copied().collect::<Option<Vec<usize>>>() {
            grid.sizes(&[vec![1], shape].concat())
                .ok_or_else(|| grid.wrong(checks.interface, info.shape_text()))?;
        }
        Ok(grid)
    }

    fn numbers(&self) -> usize {
        4 + usize::from(self.objectness) + self.labels.len()
    }

    /// The number of boxes of an output of this shape.
    fn sizes(&self, shape: &[usize]) -> Option<usize> {
        let (boxes, numbers) = match (shape, self.transposed) {
            (&[1, boxes, numbers], false) | (&[1, numbers, boxes], true) => (boxes, numbers),
            _ => return None,
        };
        let as_many = self.cells.is_empty() || boxes == self.cells.len();
        (numbers == self.numbers() && as_many).then_some(boxes)
    }

    fn wrong(&self, interface: &Interface, shape: String) -> Error {
        let boxes = if self.cells.is_empty() { "boxes".to_owned() } else { self.cells.len().to_string() };
        let numbers = self.numbers();
        let expected = match self.transposed {
            true => format!("[1, {numbers}, {boxes}]"),
            false => format!("[1, {boxes}, {numbers}]"),
        };
        self.reads.shape(interface, shape, expected)
    }

    /// The box of these numbers on the user's picture; `None` if its score is low, or it is none.
    fn detection(
        &self,
        cell: Option<&[f32; 3]>,
        number: impl Fn(usize) -> f32,
        place: &Place,
    ) -> Option<Detection> {
        let first = 4 + usize::from(self.objectness);
        let class = |c: usize| number(first + c);
        let order = |a: &usize, b: &usize| best_first(class(*a), class(*b)).then(a.cmp(b));
        let best = (0..self.labels.len()).min_by(order)?;
        let score = if self.objectness { number(4) * class(best) } else { class(best) };
        // A score that is no number is no better than any.
        if score < self.min_score || score.is_nan() {
            return None;
        }
        let (middle, size) = match cell {
            Some([x, y, stride]) => (
                [(number(0) + x) * stride, (number(1) + y) * stride],
                [2, 3].map(|n| exp(number(n)) * stride),
            ),
            None => ([number(0), number(1)], [number(2), number(3)]),
        };
        let frame = place.frame_on_picture(middle, size)?;
        Some(Detection { label: self.labels.name(best).to_owned(), score, frame, points: Vec::new() })
    }
}

impl Stage for Grid {
    fn run(&self, state: &mut State, interface: &Interface, place: Option<&Place>) -> Result<()> {
        let place = known(place)?;
        let (shape, values) = self.reads.real(interface, &state.outputs)?;
        let boxes = self.sizes(shape).ok_or_else(|| self.wrong(interface, format!("{shape:?}")))?;
        let numbers = self.numbers();
        let found = (0..boxes).filter_map(|i| {
            let number =
                |n: usize| if self.transposed { values[n * boxes + i] } else { values[i * numbers + n] };
            self.detection(self.cells.get(i), number, place)
        });
        state.made = Some(Made::Detections(found.collect()));
        Ok(())
    }
}

/// The cells of every level.
fn cells(strides: &[u32], checks: &Checks) -> Result<Vec<[f32; 3]>> {
    if strides.is_empty() {
        return Ok(Vec::new());
    }
    if strides.len() > MAX_LEVELS {
        return Err(checks.wrong(
            "strides",
            format!("{} levels", strides.len()),
            format!("at most {MAX_LEVELS}"),
        ));
    }
    let [width, height] = model_size(checks)?;
    let mut cells = Vec::new();
    for &stride in strides {
        let side = |pixels: usize| pixels / stride.max(1) as usize;
        let (columns, rows) = (side(width), side(height));
        if stride == 0 || columns.saturating_mul(rows) > MAX_ANCHORS - cells.len() {
            let expected = format!("at least 1 each, and {MAX_ANCHORS} cells in all");
            return Err(checks.wrong("strides", stride, expected));
        }
        let each = (0..rows).flat_map(|y| (0..columns).map(move |x| [x as f32, y as f32, stride as f32]));
        cells.extend(each);
    }
    Ok(cells)
}
