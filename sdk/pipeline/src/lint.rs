//! What is probably not as meant in a pipeline that fits: nothing of it keeps the app from running.

use tilemark_model::Quant;

use crate::error::Result;
use crate::image::Image;
use crate::interface::TensorInfo;
use crate::pipeline::Pipeline;
use crate::run::{Clock, Times};

/// How much of a picture a model's quantized input cannot hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Saturation {
    /// The step.
    pub step: String,
    /// The model's input.
    pub input: String,
    /// The share of the samples, 0 to 1, whose value after `normalize` is beyond the input's range.
    pub share: f64,
}

/// A quantized output that becomes another model's quantized input.
#[derive(Clone, Debug, PartialEq)]
pub struct Requantized {
    /// The step that makes it, and its output.
    pub output: String,
    /// The step that takes it, and its input.
    pub input: String,
    /// The least and the largest number that the output can hold.
    pub made: [f64; 2],
    /// The same of the input.
    pub taken: [f64; 2],
}

impl Requantized {
    /// The share of the output's range that the input cannot hold, 0 to 1.
    pub fn lost(&self) -> f64 {
        1.0 - self.common() / (self.made[1] - self.made[0])
    }

    /// The share of the input's range that the output can reach, 0 to 1.
    pub fn used(&self) -> f64 {
        self.common() / (self.taken[1] - self.taken[0])
    }

    fn common(&self) -> f64 {
        (self.made[1].min(self.taken[1]) - self.made[0].max(self.taken[0])).max(0.0)
    }
}

impl Pipeline {
    /// For each step that sees pictures, how much of this one its model's input cannot hold. Steps that cut regions out are
    /// judged by the whole picture.
    ///
    /// # Errors
    /// Those of the stages before the models, as in [`Pipeline::run`].
    pub fn saturation(&self, image: &Image) -> Result<Vec<Saturation>> {
        let mut times = Times::default();
        let mut found = Vec::new();
        for step in self.steps() {
            let Some(pre) = &step.pre else { continue };
            let mut clock = Clock { times: &mut times, step: &step.name };
            let share = pre.saturation(image.raster(), &mut clock)?;
            let input = step.interface().inputs.first().map(|input| input.name.clone()).unwrap_or_default();
            found.push(Saturation { step: step.name.clone(), input, share });
        }
        Ok(found)
    }

    /// Where a quantized output becomes a quantized input: both ranges.
    pub fn requantized(&self) -> Vec<Requantized> {
        let joins =
            self.steps().iter().filter_map(|step| Some((self.steps().get(step.reads_tensors()?)?, step)));
        let pairs = joins.flat_map(|(from, to)| {
            let ends = from.interface().outputs.iter().zip(&to.interface().inputs);
            ends.map(move |(output, input)| (from, output, to, input))
        });
        let join = |(from, output, to, input): (
            &crate::step::Step,
            &TensorInfo,
            &crate::step::Step,
            &TensorInfo,
        )| {
            Some(Requantized {
                output: format!("{}.{}", from.name, output.name),
                input: format!("{}.{}", to.name, input.name),
                made: range(output)?,
                taken: range(input)?,
            })
        };
        pairs.filter_map(join).collect()
    }
}

/// The real numbers that a quantized tensor can hold.
fn range(info: &TensorInfo) -> Option<[f64; 2]> {
    let (Some(Quant { scale, zero_point }), Some((least, most))) = (info.quant, info.dtype.range()) else {
        return None;
    };
    Some([least, most].map(|q| f64::from(q - zero_point) * f64::from(scale)))
}
