//! What the inputs of an app's vendor look like, so that a buyer can see whether theirs do: how often each part of the range of the first
//! model's first input was there, after pre-processing.

use serde::{Deserialize, Serialize};
use tilemark_bundle::{Bundle, json};
use tilemark_model::{Data, Tensor};
use tilemark_pipeline::Pipeline;

use crate::error::Error;
use crate::input::Input;
use crate::session::given_to;

/// The blob's name.
pub(crate) const STATISTICS: &str = "statistics.json";
/// Parts of the range of 8 bits, each as wide.
pub(crate) const PARTS: usize = 16;
/// Channels that are told apart; more are counted as one.
const MAX_CHANNELS: usize = 4;
/// Most inputs that a vendor counts: far more say no more.
pub(crate) const MAX_INPUTS: usize = 100_000;
/// The largest document: four channels of sixteen numbers have less.
const MAX_BYTES: usize = 1 << 16;
const SCHEMA: u64 = 1;

/// How often each part of the range was there, for each channel.
pub(crate) type Histogram = Vec<[u64; PARTS]>;

/// The statistics that a bundle has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Statistics {
    schema: u64,
    /// Inputs that were counted.
    pub(crate) inputs: u64,
    /// One row a channel, of as many numbers as there are parts.
    channels: Vec<Vec<u64>>,
}

impl Statistics {
    /// Of a vendor's inputs.
    ///
    /// # Errors
    /// Those of pre-processing; [`Error::Contents`] if the first model takes no 8-bit integers.
    pub(crate) fn of(
        pipeline: &Pipeline,
        inputs: impl Iterator<Item = Result<Input, Error>>,
    ) -> Result<Self, Error> {
        let (mut sum, mut count): (Option<Histogram>, u64) = (None, 0);
        for input in inputs {
            let found = first_input(pipeline, &input?)?;
            let found = found.as_ref().and_then(histogram).ok_or_else(|| {
                let reason = "statistics are of 8-bit inputs, and the first model takes others".to_owned();
                Error::Contents { what: "input", reason }
            })?;
            match &mut sum {
                Some(sum) => add(sum, &found),
                None => sum = Some(found),
            }
            count += 1;
        }
        let channels = sum.unwrap_or_default().into_iter().map(|channel| channel.to_vec()).collect();
        Ok(Self { schema: SCHEMA, inputs: count, channels })
    }

    /// The blob.
    ///
    /// # Errors
    /// [`Error::Contents`] never: it is numbers.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|error| invalid(error.to_string()))
    }

    /// Those of a bundle; `None` where the vendor ships none.
    ///
    /// # Errors
    /// [`Error::Bundle`], [`Error::Contents`] for some that cannot be.
    pub(crate) fn read(bundle: &Bundle) -> Result<Option<Self>, Error> {
        if !bundle.blobs().any(|(name, _)| name == STATISTICS) {
            return Ok(None);
        }
        let found: Self = json::from_slice(STATISTICS, bundle.blob(STATISTICS)?, MAX_BYTES)?;
        found.check().map(Some)
    }

    fn check(self) -> Result<Self, Error> {
        if self.schema != SCHEMA {
            return Err(invalid(format!("schema {}, this version reads {SCHEMA}", self.schema)));
        }
        let channels = self.channels.len();
        if !(1..=MAX_CHANNELS).contains(&channels) || self.channels.iter().any(|parts| parts.len() != PARTS) {
            return Err(invalid(format!(
                "1 to {MAX_CHANNELS} channels of {PARTS} parts are expected, found {channels} of {:?}",
                self.channels.iter().map(Vec::len).collect::<Vec<_>>()
            )));
        }
        if self.inputs == 0 || self.channels.iter().any(|parts| parts.iter().all(|count| *count == 0)) {
            return Err(invalid("nothing was counted".to_owned()));
        }
        Ok(self)
    }

    pub(crate) fn channels(&self) -> Histogram {
        let parts =
            |channel: &Vec<u64>| std::array::from_fn(|part| channel.get(part).copied().unwrap_or_default());
        self.channels.iter().map(parts).collect()
    }
}

fn invalid(reason: String) -> Error {
    Error::Contents { what: STATISTICS, reason }
}

/// Why a pipeline did not go on.
enum Ended {
    /// The first model's inputs are all that is wanted.
    Seen,
    Failed(Error),
}

impl From<tilemark_pipeline::Error> for Ended {
    fn from(error: tilemark_pipeline::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// What the first model gets first.
fn first_input(pipeline: &Pipeline, input: &Input) -> Result<Option<Tensor>, Error> {
    let mut seen = None;
    let run = pipeline.run(&given_to(pipeline, input)?, |_, inputs| {
        seen = inputs.into_iter().next();
        Err(Ended::Seen)
    });
    match run {
        Err(Ended::Failed(error)) => Err(error),
        Err(Ended::Seen) | Ok(_) => Ok(seen),
    }
}

/// Counts the elements of a tensor of 8-bit integers; `None` for others.
pub(crate) fn histogram(tensor: &Tensor) -> Option<Histogram> {
    let part: Box<dyn Fn(usize) -> usize> = match tensor.data() {
        Data::U8(bytes) => Box::new(|at| usize::from(bytes[at] >> 4)),
        Data::I8(bytes) => Box::new(|at| usize::from((bytes[at].cast_unsigned() ^ 0x80) >> 4)),
        _ => return None,
    };
    // Pictures have few channels, first or last; anything else is counted as one.
    let shape = tensor.shape();
    let few =
        |axis: usize| shape.get(axis).copied().filter(|n| shape.len() == 4 && (2..=MAX_CHANNELS).contains(n));
    let (channels, plane) = match (few(1), few(3)) {
        (Some(channels), _) => (channels, shape[2] * shape[3]),
        (None, Some(channels)) => (channels, 1),
        (None, None) => (1, 1),
    };
    let mut counts = vec![[0; PARTS]; channels];
    for at in 0..tensor.len() {
        counts[at / plane.max(1) % channels][part(at)] += 1;
    }
    Some(counts)
}

/// Adds one to another of as many channels.
pub(crate) fn add(sum: &mut Histogram, other: &Histogram) {
    for (sum, other) in sum.iter_mut().zip(other) {
        for (sum, other) in sum.iter_mut().zip(other) {
            *sum += other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(counts: &[(usize, u64)]) -> [u64; PARTS] {
        let mut parts = [0; PARTS];
        counts.iter().for_each(|(part, count)| parts[*part] = *count);
        parts
    }

    #[test]
    fn channels_are_counted_first_or_last_and_signs_in_order() {
        let planes = Tensor::u8(vec![1, 3, 1, 2], vec![0, 15, 16, 255, 128, 128]).unwrap();
        let expected = vec![parts(&[(0, 2)]), parts(&[(1, 1), (15, 1)]), parts(&[(8, 2)])];
        assert_eq!(histogram(&planes).unwrap(), expected);
        let last = Tensor::u8(vec![1, 1, 2, 3], vec![0, 16, 128, 15, 255, 128]).unwrap();
        assert_eq!(histogram(&last).unwrap(), expected);
        let signed = Tensor::new(vec![1, 4], Data::I8(vec![-128, -1, 0, 127])).unwrap();
        assert_eq!(histogram(&signed).unwrap(), [parts(&[(0, 1), (7, 1), (8, 1), (15, 1)])]);
        assert_eq!(histogram(&Tensor::f32(vec![1], vec![1.0]).unwrap()), None);
    }

    #[test]
    fn what_no_packer_writes_is_refused() {
        let good = Statistics { schema: 1, inputs: 2, channels: vec![vec![1; PARTS]; 3] };
        assert!(good.clone().check().is_ok());
        for bad in [
            Statistics { schema: 2, ..good.clone() },
            Statistics { inputs: 0, ..good.clone() },
            Statistics { channels: vec![], ..good.clone() },
            Statistics { channels: vec![vec![1; PARTS]; 9], ..good.clone() },
            Statistics { channels: vec![vec![1; PARTS - 1]], ..good.clone() },
            Statistics { channels: vec![vec![0; PARTS]], ..good },
        ] {
            assert_eq!(bad.check().unwrap_err().code(), "TM0503");
        }
    }
}
