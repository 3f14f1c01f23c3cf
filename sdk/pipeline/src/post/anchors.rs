//! Boxes from offsets to anchors, the way of SSD with one size of anchor: BlazeFace, "BlazeFace: Sub-millisecond Neural Face
//! Detection on Mobile GPUs" (2019).
//!
//! Anchor `i` is the middle of a cell: levels in order, rows, columns, anchors of the cell. With offsets `o`, the middle of
//! the box is `anchor + o / scale` and its size `o / scale`, in sides of the model's picture, in f32.

use super::outputs::Reads;
use super::{Checks, Stage, State, known};
use crate::error::{Error, Result};
use crate::interface::Interface;
use crate::place::Place;
use crate::spec;
use crate::value::{Detection, Made};

/// Most anchors of a model: the largest detectors have 100,000.
pub(super) const MAX_ANCHORS: usize = 1 << 18;
/// Most levels; detectors have three to seven.
pub(super) const MAX_LEVELS: usize = 16;
/// Most key points of a box.
const MAX_POINTS: u32 = 64;

#[derive(Debug)]
pub(super) struct Anchors {
    boxes: Reads,
    scores: Reads,
    /// Middles, in sides of the model's picture.
    anchors: Vec<[f32; 2]>,
    points: usize,
    scale: f32,
    min_score: f32,
    label: String,
}

impl Anchors {
    pub(super) fn new(stage: &spec::Anchors, checks: &Checks) -> Result<Self> {
        let boxes = Reads::new(checks, Some(&stage.boxes))?;
        let scores = Reads::new(checks, Some(&stage.scores))?;
        let scale = checks.within("scale", stage.scale, [1.0, 65_536.0])?;
        let min_score = checks.within("min_score", stage.min_score, [f32::MIN, f32::MAX])?;
        if stage.points > MAX_POINTS {
            return Err(checks.wrong("points", stage.points, format!("at most {MAX_POINTS}")));
        }
        let label = checks.label(&stage.label)?;
        let anchors = anchors(stage, checks)?;
        let points = stage.points as usize;
        let each = [(&boxes, 4 + 2 * points), (&scores, 1)];
        for (reads, numbers) in each {
            let info = reads.info(checks.interface)?;
            let known: usize = info.shape.iter().flatten().product();
            let expected = anchors.len() * numbers;
            if info.shape.iter().skip(1).all(Option::is_some) && known != expected {
                let text = format!("[1, {}, {numbers}], as the levels say", anchors.len());
                return Err(reads.shape(checks.interface, info.shape_text(), text));
            }
        }
        Ok(Self { boxes, scores, anchors, points, scale, min_score, label })
    }
}

impl Stage for Anchors {
    fn run(&self, state: &mut State, interface: &Interface, place: Option<&Place>) -> Result<()> {
        let place = known(place)?;
        let (shape, boxes) = self.boxes.real(interface, &state.outputs)?;
        let (score_shape, scores) = self.scores.real(interface, &state.outputs)?;
        let numbers = 4 + 2 * self.points;
        if boxes.len() != self.anchors.len() * numbers {
            return Err(self.boxes.shape(
                interface,
                format!("{shape:?}"),
                format!("{numbers} numbers an anchor"),
            ));
        }
        if scores.len() != self.anchors.len() {
            return Err(self.scores.shape(interface, format!("{score_shape:?}"), "one score an anchor"));
        }
        let each = self.anchors.iter().zip(boxes.chunks_exact(numbers)).zip(scores.iter());
        // A score that is no number is no better than any.
        let good = each.filter(|(_, score)| **score >= self.min_score);
        let found =
            good.filter_map(|((anchor, offsets), &score)| self.detection(*anchor, offsets, score, place));
        state.made = Some(Made::Detections(found.collect()));
        Ok(())
    }
}

impl Anchors {
    /// The box at an anchor, on the user's picture; `None` if it is none there: not finite, or without an inside.
    fn detection(&self, anchor: [f32; 2], offsets: &[f32], score: f32, place: &Place) -> Option<Detection> {
        let &[x, y, width, height, ref points @ ..] = offsets else { return None };
        let middle = self.position(anchor, [x, y]);
        let half = [width / self.scale / 2.0, height / self.scale / 2.0];
        let corner = |sign: f32| {
            let at =
                [0, 1].map(|axis| f64::from(middle[axis] + sign * half[axis]) * place.frame[axis] as f64);
            (at[0].is_finite() && at[1].is_finite()).then(|| place.on_picture(at))
        };
        let ([left, top], [right, bottom]) = (corner(-1.0)?, corner(1.0)?);
        let inside = right > left && bottom > top;
        let on_picture = |point: &[f32; 2]| {
            let at = self.position(anchor, *point);
            place.on_picture([0, 1].map(|axis| f64::from(at[axis]) * place.frame[axis] as f64))
        };
        inside.then(|| Detection {
            label: self.label.clone(),
            score,
            frame: [left, top, right, bottom],
            points: points.as_chunks::<2>().0.iter().map(on_picture).collect(),
        })
    }

    fn position(&self, anchor: [f32; 2], offset: [f32; 2]) -> [f32; 2] {
        [0, 1].map(|axis| offset[axis] / self.scale + anchor[axis])
    }
}

/// The middles of every level's cells.
fn anchors(stage: &spec::Anchors, checks: &Checks) -> Result<Vec<[f32; 2]>> {
    if stage.levels.is_empty() || stage.levels.len() > MAX_LEVELS {
        return Err(checks.wrong(
            "levels",
            format!("{} levels", stage.levels.len()),
            format!("1 to {MAX_LEVELS}"),
        ));
    }
    let [width, height] = model_size(checks)?;
    let mut anchors = Vec::new();
    for level in &stage.levels {
        let cells = |side: usize| side.div_ceil(level.stride.max(1) as usize);
        let (columns, rows, per_cell) = (cells(width), cells(height), level.per_cell as usize);
        let more = columns.saturating_mul(rows).saturating_mul(per_cell);
        if level.stride == 0 || per_cell == 0 || more > MAX_ANCHORS - anchors.len() {
            let found = format!("stride {}, {} a cell", level.stride, level.per_cell);
            return Err(checks.wrong(
                "levels",
                found,
                format!("at least 1 each, and {MAX_ANCHORS} anchors in all"),
            ));
        }
        for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
            let middle = [(x as f32 + 0.5) / columns as f32, (y as f32 + 0.5) / rows as f32];
            anchors.extend(std::iter::repeat_n(middle, per_cell));
        }
    }
    Ok(anchors)
}

/// Width and height of the model's picture, which the levels divide.
pub(super) fn model_size(checks: &Checks) -> Result<[usize; 2]> {
    let input = checks.interface.inputs.first();
    let sides: Vec<usize> = input
        .iter()
        .flat_map(|input| input.shape.iter().skip(1).flatten().copied())
        .filter(|&n| n > 4)
        .collect();
    match sides.as_slice() {
        [height, width] => Ok([*width, *height]),
        _ => {
            let (at, name) = (checks.at.clone(), input.map(|input| input.name.clone()).unwrap_or_default());
            let shape = input.map(|input| input.shape_text()).unwrap_or_default();
            let expected = "a model of pictures of one size".to_owned();
            Err(Error::OutputShape { at, output: name, shape, expected })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::TensorInfo;
    use crate::parameters::Settings;
    use crate::pipeline::Resources;
    use tilemark_model::{DType, Tensor};

    fn port(name: &str, shape: &[usize]) -> TensorInfo {
        TensorInfo {
            name: name.into(),
            shape: shape.iter().copied().map(Some).collect(),
            dtype: DType::F32,
            quant: None,
        }
    }

    fn face() -> (spec::Anchors, Interface) {
        let level = |stride, per_cell| spec::Level { stride, per_cell };
        let stage = spec::Anchors {
            boxes: "boxes".into(),
            scores: "scores".into(),
            levels: vec![level(8, 2), level(16, 6)],
            points: 6,
            scale: 128.0,
            min_score: 0.5,
            label: "face".into(),
        };
        let interface = Interface {
            inputs: vec![port("image", &[1, 128, 128, 3])],
            outputs: vec![port("boxes", &[1, 896, 16]), port("scores", &[1, 896, 1])],
        };
        (stage, interface)
    }

    fn make(stage: &spec::Anchors, interface: &Interface) -> Result<Anchors> {
        let (resources, settings) = (Resources::new(), Settings::none());
        Anchors::new(
            stage,
            &Checks { at: "post[0].anchors".into(), interface, settings: &settings, resources: &resources },
        )
    }

    #[test]
    fn blazefaces_anchors_are_those_of_its_strides() {
        let (stage, interface) = face();
        let anchors = make(&stage, &interface).unwrap().anchors;
        assert_eq!(anchors.len(), 896);
        assert_eq!(
            (anchors[0], anchors[1], anchors[2]),
            ([1.0 / 32.0; 2], [1.0 / 32.0; 2], [3.0 / 32.0, 1.0 / 32.0])
        );
        assert_eq!((anchors[32], anchors[511]), ([1.0 / 32.0, 3.0 / 32.0], [31.0 / 32.0; 2]));
        assert_eq!(
            (anchors[512], anchors[517], anchors[518]),
            ([1.0 / 16.0; 2], [1.0 / 16.0; 2], [3.0 / 16.0, 1.0 / 16.0])
        );
        assert_eq!(anchors[895], [15.0 / 16.0; 2]);
    }

    #[test]
    fn offsets_become_boxes_on_the_users_picture_and_nonsense_none() {
        let (stage, interface) = face();
        let anchors = make(&stage, &interface).unwrap();
        let mut boxes = vec![0.0; 896 * 16];
        let mut scores = vec![0.0; 896];
        // Cell (1, 0) of stride 8: the middle is (12, 4); the box 8 x 4 around (14, 5); a point at (13, 6).
        boxes[2 * 16..2 * 16 + 6].copy_from_slice(&[2.0, 1.0, 8.0, 4.0, 1.0, 2.0]);
        scores[2] = 0.75;
        for (i, bad) in [(10, f32::NAN), (20, f32::INFINITY), (30, 0.0), (40, -5.0)] {
            boxes[i * 16 + 2] = bad;
            boxes[i * 16 + 3] = 4.0;
            scores[i] = 0.9;
        }
        scores[50] = f32::NAN;
        let outputs =
            vec![Tensor::f32([1, 896, 16], boxes).unwrap(), Tensor::f32([1, 896, 1], scores).unwrap()];
        let mut state = State { outputs, made: None, memory: crate::post::Memory::default() };
        let place = Place::whole([256, 256]).then([0; 2], [256; 2], [128; 2], [0; 2], [128; 2]);
        anchors.run(&mut state, &interface, Some(&place)).unwrap();
        let Some(Made::Detections(found)) = state.made else { panic!() };
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].score, found[0].frame), (0.75, [20.0, 6.0, 36.0, 14.0]));
        assert_eq!((found[0].points.len(), found[0].points[0]), (6, [26.0, 12.0]));
    }

    #[test]
    fn levels_that_do_not_fit_the_outputs_are_refused() {
        let (mut stage, interface) = face();
        stage.levels.pop();
        assert_eq!(make(&stage, &interface).unwrap_err().code(), "TM0365");
        stage.levels = vec![spec::Level { stride: 1, per_cell: u32::MAX }];
        assert_eq!(make(&stage, &interface).unwrap_err().code(), "TM0322");
        let (mut stage, interface) = face();
        stage.scores = "score".into();
        assert_eq!(make(&stage, &interface).unwrap_err().code(), "TM0364");
    }
}
