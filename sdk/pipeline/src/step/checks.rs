//! Whether a step fits its model and the steps above it.

use super::{Known, Source};
use crate::error::{Error, Result};
use crate::interface::{Interface, TensorInfo};
use crate::limits::MAX_STEP_NAME_BYTES;
use crate::spec::{INPUT, StepSpec};
use crate::value::Kind;

/// The kind that a step makes: of every crop's value, where it cuts crops out.
pub(super) fn makes(each: Kind, boxes: Option<Kind>, frames: bool, tiles: bool) -> Result<Kind> {
    if tiles && (boxes.is_some() || !matches!(each, Kind::Detections | Kind::Mask | Kind::Picture)) {
        let found = if boxes.is_some() { "crops" } else { each.words() }.to_owned();
        let expected = "detections, a mask or a picture of each tile of the user's picture";
        return Err(Error::ValueKind { at: "tiles".to_owned(), found, expected });
    }
    match (each, boxes) {
        (Kind::Pitch, None) if frames => Ok(Kind::Pitches),
        (Kind::Labels, None) if frames => Ok(Kind::Labels),
        (other, None) if frames || other == Kind::Pitch => Err(Error::ValueKind {
            at: if frames { "frames" } else { "pitch" }.to_owned(),
            found: other.words().to_owned(),
            expected: "labels or a pitch of each frame of a sound",
        }),
        (Kind::Text, _) => Ok(Kind::Lines),
        (Kind::Turn, Some(Kind::Regions)) => Ok(Kind::Regions),
        (Kind::Labels | Kind::Detections, Some(_)) => Ok(Kind::Detections),
        (Kind::Turn, _) => Err(Error::ValueKind {
            at: "turn".to_owned(),
            found: boxes.unwrap_or(Kind::Image).words().to_owned(),
            expected: "a step for each of some regions",
        }),
        (_, Some(_)) => Err(Error::ValueKind {
            at: "for_each".to_owned(),
            found: format!("{} of each crop", each.words()),
            expected: "labels, detections, text or a turn of each crop",
        }),
        (kind, None) => Ok(kind),
    }
}

pub(super) fn check_name(name: &str, before: &[Known]) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let why = if name.is_empty() || name.len() > MAX_STEP_NAME_BYTES || !name.chars().all(plain) {
        "expected 1 to 64 small letters, digits and _"
    } else if name == INPUT {
        "that is what the user gives"
    } else if before.iter().any(|step| step.name == name) {
        "another step has that name"
    } else {
        return Ok(());
    };
    let name = name.chars().take(MAX_STEP_NAME_BYTES).collect();
    Err(Error::StepName { at: format!("step {}", before.len()), name, why })
}

pub(super) fn source(of: &str, before: &[Known]) -> Result<Source> {
    if of == INPUT {
        return Ok(Source::Input);
    }
    let Some(i) = before.iter().position(|step| step.name == of) else {
        return Err(unknown("of", of, before));
    };
    match before[i].makes {
        Some(Kind::Tensors) | None => Ok(Source::Step(i)),
        Some(other) => Err(Error::ValueKind {
            at: "of".to_owned(),
            found: other.words().to_owned(),
            expected: "the input, or a step that makes tensors",
        }),
    }
}

pub(super) fn boxes_of(name: &str, before: &[Known]) -> Result<usize> {
    let i =
        before.iter().position(|step| step.name == name).ok_or_else(|| unknown("for_each", name, before))?;
    match before[i].makes {
        Some(Kind::Detections | Kind::Regions) | None => Ok(i),
        Some(other) => Err(Error::ValueKind {
            at: "for_each".to_owned(),
            found: other.words().to_owned(),
            expected: "detections or regions",
        }),
    }
}

fn unknown(at: &'static str, name: &str, before: &[Known]) -> Error {
    let expected = before.iter().map(|step| step.name.clone()).collect();
    Error::UnknownName { at, name: name.chars().take(MAX_STEP_NAME_BYTES).collect(), expected }
}

/// A step with `for_each` has a picture to cut out of.
pub(super) fn check_cuts(spec: &StepSpec, on_picture: bool, from_user: bool) -> Result<()> {
    if spec.for_each.is_none() || on_picture {
        return Ok(());
    }
    let found = if from_user { "tensors" } else { "the tensors of a step" }.to_owned();
    Err(Error::ValueKind { at: "for_each".to_owned(), found, expected: "a picture to cut out of" })
}

pub(super) fn check_turn(spec: &StepSpec) -> Result<Option<f32>> {
    let Some(ratio) = spec.turn_tall else { return Ok(None) };
    if spec.for_each.is_some() && (1.0..=100.0).contains(&ratio) {
        return Ok(Some(ratio));
    }
    let expected = "1 to 100, in a step with for_each".to_owned();
    Err(Error::Value { at: "turn_tall".to_owned(), found: ratio.to_string(), expected })
}

/// The tensors of one step as the inputs of another, in order: as many, of these shapes, and of a type that fits. Those of a
/// quantized input are quantized again, from real numbers.
pub(super) fn check_join(from: &Known, model: &str, interface: &Interface) -> Result<()> {
    let Some(outputs) = &from.outputs else { return Ok(()) };
    let join = |found: String, input: &TensorInfo| Error::Join {
        from: from.name.clone(),
        found,
        input: format!("{model}.{}", input.name),
        expected: format!("{} {}", input.dtype, input.shape_text()),
    };
    for (i, input) in interface.inputs.iter().enumerate() {
        let Some(output) = outputs.get(i) else { return Err(join("nothing".to_owned(), input)) };
        let fits = output.shape.len() == input.shape.len()
            && output
                .shape
                .iter()
                .zip(&input.shape)
                .all(|(made, taken)| made.is_none() || taken.is_none() || made == taken);
        let real = |info: &TensorInfo| info.dtype == tilemark_model::DType::F32 || info.quant.is_some();
        if !fits || !(output.dtype == input.dtype || (real(output) && real(input))) {
            return Err(join(format!("{} {}", output.dtype, output.shape_text()), input));
        }
    }
    match outputs.len() == interface.inputs.len() {
        true => Ok(()),
        false => Err(Error::OutputCount { expected: interface.inputs.len(), found: outputs.len() }),
    }
}
