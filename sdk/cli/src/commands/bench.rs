mod layers;

use std::time::{Duration, Instant};

use serde::Serialize;
use tilemark::eval::meters::Latency;
use tilemark::{App, Device, Fleet, Input, Output, Session, StageTime, Tuning};

use self::layers::Layers;

use crate::args::Bench;
use crate::failure::{Failure, Result};
use crate::text;

/// How long `--tune` may time kernels: every variant of every layer of the largest networks, on the slowest devices.
const TUNE: Duration = Duration::from_secs(60);

/// The JSON of a measurement; times in milliseconds.
#[derive(Serialize)]
struct Report {
    device: String,
    threads: usize,
    batch: u32,
    runs: u32,
    /// The whole app: pre-processing, model, post-processing.
    ms: Times,
    /// The model alone.
    model_ms: Times,
    images_per_second: f64,
    /// With `--layers`: the stages of one input by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stages: Vec<Stage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Layers>,
}

/// One stage of one step.
#[derive(Clone, Serialize)]
struct Stage {
    step: String,
    stage: &'static str,
    /// How often it runs for one input.
    calls: u64,
    /// The median of all calls for one input together, in milliseconds.
    ms: f64,
}

#[derive(Serialize)]
struct Times {
    min: f64,
    median: f64,
    p99: f64,
}

/// Measures the app on its first golden input, after a warm-up.
pub(crate) fn run(args: &Bench) -> Result<()> {
    let (app, device) = super::open(&args.on.bundle, &args.on.at)?;
    let device = if args.tune { device.with_tuning(Tuning::Within(TUNE)) } else { device };
    let mut runner = Runner::new(&app, &device, args.throughput)?;
    let sample = app.sample_input().ok_or(Failure::NothingToMeasure)?;
    let inputs: Vec<Input> = vec![sample; args.batch as usize];
    let progress = text::progress(u64::from(args.runs), "measuring");
    let (mut whole, mut model, mut stages) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..args.runs + warm_up(args.runs) {
        let call = inputs.clone();
        let start = Instant::now();
        let outputs = runner.run(call)?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        if run >= warm_up(args.runs) {
            whole.push(ms);
            model.push(outputs.iter().map(|output| output.ms().infer).sum());
            stages.extend(outputs.iter().map(|output| output.stages().to_vec()));
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    let ms = Times::of(whole);
    let images_per_second = 1e3 * f64::from(args.batch) / ms.median;
    let report = Report {
        device: device.id(),
        threads: device.threads(),
        batch: args.batch,
        runs: args.runs,
        ms,
        model_ms: Times::of(model),
        images_per_second,
        stages: if args.layers { Stage::medians(&stages) } else { Vec::new() },
        layers: match &mut runner {
            Runner::Session(session) if args.layers && app.pipeline().is_single() => {
                Some(Layers::measure(session, &inputs[0], args.runs, &device)?)
            }
            _ => None,
        },
    };
    if args.json { text::json(&report) } else { print(&report, &device.description()) }
}

/// What runs the inputs of a call: all threads on one after the other, or one thread on each.
enum Runner {
    Session(Box<Session>),
    Fleet(Fleet),
}

impl Runner {
    fn new(app: &App, device: &Device, at_once: bool) -> Result<Self> {
        let compiled = app.compile(device)?;
        Ok(if at_once {
            Self::Fleet(compiled.fleet()?)
        } else {
            Self::Session(Box::new(compiled.session()?))
        })
    }

    fn run(&mut self, inputs: Vec<Input>) -> Result<Vec<Output>> {
        Ok(match self {
            Runner::Session(session) => session.run_batch(inputs)?,
            Runner::Fleet(fleet) => fleet.run_many(inputs)?,
        })
    }
}

/// Calls before the first that counts: caches, page tables and clock speed settle.
fn warm_up(runs: u32) -> u32 {
    (runs / 10).clamp(2, 20)
}

fn print(report: &Report, device: &str) -> Result<()> {
    text::line(format_args!("{device}, batch {}, {} calls", report.batch, report.runs))?;
    let row = |name: &str, times: &Times| {
        [
            name.to_owned(),
            format!("{:.2} ms", times.min),
            format!("{:.2} ms", times.median),
            format!("{:.2} ms", times.p99),
        ]
    };
    let head = ["", "min", "median", "p99"].map(str::to_owned);
    text::table(&[head, row("whole app", &report.ms), row("model", &report.model_ms)], &[1, 2, 3])?;
    text::line(format_args!("{:.1} images/s", report.images_per_second))?;
    if !report.stages.is_empty() {
        print_stages(&report.stages)?;
    }
    report.layers.as_ref().map_or(Ok(()), Layers::print)
}

fn print_stages(stages: &[Stage]) -> Result<()> {
    let mut rows = vec![["step", "stage", "calls", "time"].map(str::to_owned)];
    let row =
        |s: &Stage| [s.step.clone(), s.stage.to_owned(), s.calls.to_string(), format!("{:.3} ms", s.ms)];
    rows.extend(stages.iter().map(row));
    text::line("")?;
    text::table(&rows, &[2, 3])
}

impl Stage {
    /// Each stage of several runs of the same input.
    fn medians(runs: &[Vec<StageTime>]) -> Vec<Self> {
        let Some(first) = runs.first() else { return Vec::new() };
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let median =
            |i: usize| Times::of(runs.iter().filter_map(|run| Some(ms(run.get(i)?.time))).collect()).median;
        let stage = |(i, of): (usize, &StageTime)| Self {
            step: of.step.clone(),
            stage: of.stage,
            calls: of.calls,
            ms: median(i),
        };
        first.iter().enumerate().map(stage).collect()
    }
}

impl Times {
    fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let Latency { median, p99, .. } = Latency::of(&samples);
        Self { min: samples.first().copied().unwrap_or_default(), median, p99 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_samples() {
        let times = Times::of((1..=101).rev().map(f64::from).collect());
        assert_eq!((times.min, times.median, times.p99), (1.0, 51.0, 100.0));
        let one = Times::of(vec![3.0]);
        assert_eq!((one.min, one.median, one.p99), (3.0, 3.0, 3.0));
    }
}
