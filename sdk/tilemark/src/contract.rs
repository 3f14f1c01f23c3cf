//! What an app does for whoever uses it, in types: derived from its pipeline and models, and from what it makes of its first golden
//! input. Listings in stores carry it.

use std::time::{Duration, Instant};

use tilemark_bitstreams::Container;
use tilemark_bundle::{AppContract, AppPort, AppTarget, sha256};
use tilemark_engine::Device;
use tilemark_model::graph::Dim;
use tilemark_model::{DType, Port, shape};
use tilemark_pipeline::{Outcome, PostStage, Spec};

use crate::app::App;
use crate::error::Error;
use crate::targets;

/// Inferences that a time is the median of, and when it is enough of them.
const RUNS: usize = 21;
const LONG: Duration = Duration::from_secs(2);

impl App {
    /// What goes in and what comes out. The app runs once on this machine's processor; that counts for no grant.
    ///
    /// # Errors
    /// Whatever keeps it from running.
    pub fn contract(&self) -> Result<AppContract, Error> {
        let sample = self.sample_input().ok_or_else(no_sample)?;
        let output = self.unmetered().session(Device::host())?.run(sample)?;
        let (inputs, taken) = self.inputs();
        let (outputs, made) = self.outputs(output.outcome())?;
        let mut words = made;
        words.sort_unstable();
        words.dedup();
        let task = format!("{taken} -> {}", words.join("+"));
        Ok(AppContract { task, inputs, outputs, targets: self.built_for() })
    }

    /// How long one run takes on a device, all stages of it: the median of some on the first golden input. It counts for no grant.
    ///
    /// # Errors
    /// Whatever keeps it from running there.
    pub fn typical_time(&self, device: &Device) -> Result<Duration, Error> {
        let sample = self.sample_input().ok_or_else(no_sample)?;
        let mut session = self.unmetered().session(device.clone())?;
        session.run(sample.clone())?;
        let (begin, mut times) = (Instant::now(), Vec::with_capacity(RUNS));
        while times.len() < RUNS && (times.is_empty() || begin.elapsed() < LONG) {
            let start = Instant::now();
            session.run(sample.clone())?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        times.get(times.len() / 2).copied().ok_or_else(no_sample)
    }

    fn inputs(&self) -> (Vec<AppPort>, &'static str) {
        let spec = self.pipeline().spec();
        if spec.takes_image() {
            let image = port("image", "u8", vec![0, 0, 3]);
            return (vec![AppPort { range: Some([0, 255]), ..image }], "image");
        }
        if spec.takes_sound() {
            return (vec![port("sound", "f32", vec![0])], "sound");
        }
        (self.graph().inputs.iter().map(|input| tensor(input, None)).collect(), "tensors")
    }

    /// What the stages make; of an app without any, the tensors of its model.
    fn outputs(&self, outcome: &Outcome) -> Result<(Vec<AppPort>, Vec<&'static str>), Error> {
        let names = self.pipeline().class_names();
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        let classes = (!names.is_empty()).then(|| sha256(text.as_bytes()));
        let (mut ports, mut words) = (Vec::new(), Vec::new());
        let mut made = |word: &'static str, port: AppPort| {
            ports.push(port);
            words.push(word);
        };
        if outcome.labels.is_some() {
            made("labels", AppPort { classes, ..port("labels", "label", vec![names.len() as u64]) });
        }
        if outcome.detections.is_some() {
            made("detections", AppPort { classes, ..port("detections", "box", vec![0]) });
        }
        if outcome.regions.is_some() {
            made("regions", port("regions", "region", vec![0]));
        }
        if outcome.lines.is_some() {
            made("lines", port("lines", "line", vec![0]));
        }
        let picture = if masks(self.pipeline().spec()) { "mask" } else { "picture" };
        for name in outcome.pictures.keys() {
            made(picture, port(name, picture, vec![0, 0]));
        }
        if outcome.values.contains_key("hz") {
            made("pitch", port("hz", "f64", vec![0]));
        }
        if ports.is_empty() {
            return Ok((self.tensors()?, vec!["tensors"]));
        }
        Ok((ports, words))
    }

    /// The outputs of its model. An axis whose length follows from one that may have any length may have any, too.
    fn tensors(&self) -> Result<Vec<AppPort>, Error> {
        let graph = self.graph();
        let shapes = shape::infer(graph, &shape::declared(graph, 1))?;
        let others = shape::infer(graph, &shape::declared(graph, 2)).ok();
        let lengths = |output: &Port| {
            let others = others.as_ref().map(|others| others.of(output.value));
            let length = |(axis, length): (usize, &usize)| match others.and_then(|others| others.get(axis)) {
                Some(other) if other != length => 0,
                _ => *length as u64,
            };
            shapes.of(output.value).iter().enumerate().map(length).collect()
        };
        let known = |output: &Port| (!shapes.is_late(output.value)).then(|| lengths(output));
        Ok(graph.outputs.iter().map(|output| tensor(output, known(output))).collect())
    }

    /// Of a container that is damaged nothing is known: it is refused where it is chosen.
    fn built_for(&self) -> Vec<AppTarget> {
        let containers = self
            .bundle()
            .blobs()
            .filter_map(|(name, bytes)| Some((name.strip_prefix(targets::PREFIX)?, bytes)));
        let target = |(name, bytes): (&str, &[u8])| {
            let header = Container::parse(bytes).ok()?.header;
            Some(AppTarget { target: name.to_owned(), platform: header.platform, part: header.part })
        };
        containers.filter_map(target).collect()
    }
}

fn no_sample() -> Error {
    Error::Contents { what: "golden vectors", reason: "there are none".to_owned() }
}

fn masks(spec: &Spec) -> bool {
    let lists = std::iter::once(&spec.post).chain(spec.steps.iter().map(|step| &step.post));
    lists.flatten().any(|stage| matches!(stage, PostStage::Mask(_)))
}

fn port(name: &str, dtype: &str, shape: Vec<u64>) -> AppPort {
    AppPort { name: name.to_owned(), dtype: dtype.to_owned(), shape, ..AppPort::default() }
}

/// A model's own end: of the shape that follows, or else the declared one.
fn tensor(end: &Port, known: Option<Vec<u64>>) -> AppPort {
    let length = |dim: &Dim| match dim {
        Dim::Fixed(length) => *length as u64,
        Dim::Dynamic(_) => 0,
    };
    let shape = known.unwrap_or_else(|| end.shape.iter().map(length).collect());
    let range = match end.dtype {
        DType::U8 => Some([0, 255]),
        DType::I8 => Some([-128, 127]),
        _ => None,
    };
    AppPort { range, ..port(&end.name, &end.dtype.to_string(), shape) }
}
