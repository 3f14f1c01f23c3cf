use std::sync::Mutex;

use indicatif::ProgressBar;
use tilemark::quantize::{
    self, Evaluation, FloatModel, KeepFloat, LayerReport, Options, Progress, Quality, Report, Samples, Stage,
};

use crate::args::{self, Quantize};
use crate::failure::Result;
use crate::outputs::Outputs;
use crate::{files, text};

/// Layers with more noise than the others that the summary names.
const NAMED: usize = 5;

/// Quantizes a model and says what that cost.
pub(crate) fn run(args: &Quantize) -> Result<()> {
    Outputs::default()
        .reads(&[("the model", Some(&args.model)), ("--labels", args.labels.as_ref())])
        .writes("--output", Some(&args.output), |_| true)?
        .writes("--report", args.report.as_ref(), |_| true)?;
    let model = FloatModel::read(&files::read(&args.model)?).map_err(tilemark::Error::from)?;
    let steps = steps(&args.pixels, &model)?;
    let open = |path| Samples::open(path, model.graph(), steps.as_ref());
    let calibration = open(&args.calibration)?;
    let evaluation = match &args.evaluation {
        Some(path) => {
            let samples = open(path)?;
            let labels = args.labels.as_deref().map(|path| quantize::read_labels(path, samples.count()));
            Some(Evaluation { samples, labels: labels.transpose()? })
        }
        None => None,
    };
    let options = Options {
        activations: args.activations,
        ranges: args.ranges,
        bias_correction: !args.no_bias_correction,
        equalize: args.equalize,
        keep_float: match (args.keep_float, args.min_snr) {
            (Some(count), _) => KeepFloat::Layers(count),
            (None, Some(wanted)) => KeepFloat::UntilSnr(wanted),
            (None, None) => KeepFloat::None,
        },
    };
    let bars = Bars::default();
    let quantized = quantize::quantize(model, &calibration, evaluation.as_ref(), &options, &bars)?;
    files::write(&args.output, &quantized.onnx)?;
    if let Some(path) = &args.report {
        files::write(path, quantize::html(&quantized.report).as_bytes())?;
    }
    if args.json { text::json(&quantized.report) } else { print(args, &quantized.report) }
}

/// The stages that make the model's input of a picture, as far as they are said.
fn steps(pixels: &args::Pixels, model: &FloatModel) -> Result<Option<quantize::Steps>> {
    if let Some(app) = &pixels.app {
        return Ok(Some(quantize::steps_of_app(app)?));
    }
    if pixels.mean.is_empty() {
        return Ok(None);
    }
    let usual = quantize::Pixels {
        channels: pixels.channels,
        fit: pixels.fit,
        mean: pixels.mean.clone(),
        std: pixels.std.clone(),
        divide: pixels.divide,
    };
    Ok(Some(usual.steps(model.graph())?))
}

fn print(args: &Quantize, report: &Report) -> Result<()> {
    let size = [report.float_bytes, report.int8_bytes].map(|n| text::bytes(n as u64));
    text::line(format_args!("{}, {} from {} of float weights", args.output.display(), size[1], size[0]))?;
    let share = 100.0 * report.integer_macs as f64 / report.macs.max(1) as f64;
    text::line(format_args!("work      {} MACs, {share:.1}% of them integer", text::count(report.macs)))?;
    let corrected = if report.bias_corrected { ", biases corrected" } else { "" };
    let equalized = report.equalized_pairs.map(|n| format!(", {} equalized", text::plural(n, "pair")));
    text::line(format_args!(
        "ranges    {}{corrected}{}, from {}",
        report.ranges,
        equalized.unwrap_or_default(),
        text::plural(report.calibration_samples, "sample")
    ))?;
    for candidate in &report.candidates {
        text::line(format_args!("          {:5.1} dB  {}", candidate.snr_db, candidate.name))?;
    }
    print_quality(&report.quality)?;
    print_layers(&report.layers)?;
    for name in &report.kept_float {
        let layer = report.layers.iter().find(|layer| layer.name == *name);
        let alone = layer.and_then(|layer| layer.alone_snr_db).unwrap_or_default();
        text::line(format_args!("kept      {name}: alone it would leave {alone:.1} dB"))?;
    }
    for node in &report.float_nodes {
        text::line(format_args!("in float  {} ({}): {}", node.node, node.op, node.reason))?;
    }
    report.notes.iter().try_for_each(|note| text::line(format_args!("note      {note}")))
}

fn print_quality(quality: &Quality) -> Result<()> {
    let of = format!("{} {} samples", quality.samples, quality.data);
    text::line(format_args!("outputs   {:.1} dB, cosine {:.5} over {of}", quality.snr_db, quality.cosine))?;
    if let Some(share) = quality.top1_agreement {
        text::line(format_args!("top-1     {:.2}% as the float model", 100.0 * share))?;
    }
    if let Some(accuracy) = quality.accuracy {
        let [float, int8] = [accuracy.float, accuracy.int8].map(|share| 100.0 * share);
        text::line(format_args!("accuracy  {int8:.2}%, float {float:.2}%"))?;
    }
    Ok(())
}

/// The layers whose outputs have most noise.
fn print_layers(layers: &[LayerReport]) -> Result<()> {
    let mut worst: Vec<&LayerReport> = layers.iter().collect();
    worst.sort_by(|a, b| a.snr_db.total_cmp(&b.snr_db));
    let row = |layer: &&LayerReport| {
        let mark = if layer.quantized { "" } else { "float" };
        [format!("  {:.1} dB", layer.snr_db), layer.name.clone(), layer.what.clone(), mark.to_owned()]
    };
    text::line(format_args!("layers    {}, those with most noise:", layers.len()))?;
    text::table(&worst.iter().take(NAMED).map(row).collect::<Vec<_>>(), &[0])
}

/// One progress bar a stage.
#[derive(Default)]
struct Bars(Mutex<Option<ProgressBar>>);

impl Bars {
    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        // A thread that panicked left nothing here that could be wrong.
        act(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl Progress for Bars {
    fn begin(&self, stage: Stage, steps: usize) {
        self.with(|bar| *bar = Some(text::progress(steps as u64, stage.name())));
    }

    fn advance(&self) {
        self.with(|bar| bar.iter().for_each(|bar| bar.inc(1)));
    }

    fn end(&self) {
        self.with(|bar| bar.take().iter().for_each(ProgressBar::finish_and_clear));
    }
}
