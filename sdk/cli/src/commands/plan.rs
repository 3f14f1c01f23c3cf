use serde::Serialize;
use tilemark::{Device, EngineInfo, StepInfo, TargetFit, peak_macs_per_second};

use crate::args::Plan;
use crate::failure::Result;
use crate::{targets, text};

/// The JSON of a plan.
#[derive(Serialize)]
struct Report {
    device: String,
    threads: usize,
    macs: u64,
    integer_macs: u64,
    arena_bytes: usize,
    /// Integer multiply-accumulates that the threads reach together when nothing else takes time; `None` for a level
    /// without vector instructions.
    peak_macs_per_second: Option<f64>,
    /// Sum of what the kernels are predicted to take, without the steps that no kernel runs.
    predicted_ms: f64,
    /// The FPGA's engine, where one runs the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<EngineInfo>,
    /// What each of the app's bitstreams is for that FPGA.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targets: Vec<TargetFit>,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    #[serde(flatten)]
    info: StepInfo,
    /// What part of the peak the step reaches in the measured time, else in the predicted one.
    share_of_peak: Option<f64>,
}

/// Shows every step: what, with which kernel, and why.
pub(crate) fn run(args: &Plan) -> Result<()> {
    let (app, device) = super::open(&args.on.bundle, &args.on.at)?;
    let mut session = app.session(device.clone())?;
    let plan = session.plan()?;
    let (engine, peak) = (plan.engine_info(), peak(&device)?);
    let facts = device.facts().filter(|_| engine.is_some());
    let report = Report {
        device: device.id(),
        threads: device.threads(),
        macs: plan.macs(),
        integer_macs: plan.integer_macs(),
        arena_bytes: plan.arena_bytes(),
        peak_macs_per_second: peak,
        predicted_ms: plan.steps().filter_map(|step| step.predicted_ms).fold(0.0, |sum, ms| sum + ms), // no sum is -0
        engine,
        targets: facts.map_or(Vec::new(), |facts| app.target_fits(facts)),
        steps: plan.steps().map(|info| Step::new(info.clone(), peak)).collect(),
    };
    if args.json { text::json(&report) } else { print(&report) }
}

/// What the threads of a device reach together at most; 20 ms of work.
pub(super) fn peak(device: &Device) -> Result<Option<f64>> {
    let one_core = peak_macs_per_second(device.level().map_err(tilemark::Error::from)?);
    Ok(one_core.map(|peak| peak * device.threads() as f64))
}

impl Step {
    fn new(info: StepInfo, peak: Option<f64>) -> Self {
        let ms = info.measured_ms.or(info.predicted_ms).filter(|&ms| ms > 0.0);
        let counts = info.macs > 0 && !info.float;
        let share = |(ms, peak): (f64, f64)| 1e3 * info.macs as f64 / ms / peak;
        let share_of_peak = ms.zip(peak).filter(|_| counts).map(share);
        Self { info, share_of_peak }
    }

    fn row(&self) -> [String; 12] {
        let info = &self.info;
        let op = match info.fused.as_slice() {
            [] => info.op.clone(),
            fused => format!("{} + {}", info.op, fused.join(" + ")),
        };
        [
            info.node.clone(),
            op,
            by(&info.shape),
            text::count(info.macs),
            text::bytes(info.bytes),
            info.kernel.clone(),
            info.variant.clone(),
            match (info.tiles, by(&info.tile)) {
                (0, _) => String::new(),
                (tiles, extent) if extent.is_empty() => tiles.to_string(), // an FPGA's differ in size
                (tiles, extent) => format!("{tiles} of {extent}"),
            },
            microseconds(info.predicted_ms),
            microseconds(info.measured_ms),
            self.share_of_peak.map_or(String::new(), |share| format!("{:.0}%", 100.0 * share)),
            why(info),
        ]
    }
}

/// Why an operation's kernels take it, what this one of them was chosen by, and what goes between host and device.
fn why(info: &StepInfo) -> String {
    use tilemark::Basis;
    let basis = match info.basis {
        Some(Basis::Measured) => "; fastest when timed",
        Some(Basis::Predicted) => "; fastest by prediction",
        Some(Basis::Forced) => "; asked for",
        _ => "",
    };
    let copies =
        [(info.moved, "before"), (info.returned, "after")].into_iter().filter(|(bytes, _)| *bytes > 0);
    let copies: String =
        copies.map(|(bytes, when)| format!("; {} copied {when}", text::bytes(bytes))).collect();
    format!("{}{basis}{copies}", info.why)
}

fn by(extents: &[usize]) -> String {
    extents.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

pub(super) fn microseconds(ms: Option<f64>) -> String {
    ms.map_or(String::new(), |ms| format!("{:.1} us", 1e3 * ms))
}

fn print(report: &Report) -> Result<()> {
    let head = [
        "node",
        "op",
        "output",
        "MACs",
        "bytes",
        "kernel",
        "variant",
        "tiles",
        "predicted",
        "measured",
        "of peak",
        "why",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(report.steps.iter().map(Step::row));
    text::table(&rows, &[3, 4, 8, 9, 10])?;
    let share = 100.0 * report.integer_macs as f64 / report.macs.max(1) as f64;
    text::line(format_args!(
        "{} steps, {} MACs ({share:.1}% integer), {:.2} ms predicted, {} of activations",
        report.steps.len(),
        text::count(report.macs),
        report.predicted_ms,
        text::bytes(report.arena_bytes as u64),
    ))?;
    if let Some(engine) = &report.engine {
        text::line(format_args!("{}. {}", describe(engine), targets::describe(&report.targets)))?;
    }
    print_copies(&report.steps)
}

/// An engine in words; its clock is an estimate, since no bitstream ran on an FPGA.
pub(super) fn describe(engine: &EngineInfo) -> String {
    let EngineInfo { target, products_a_clock, kilohertz } = engine;
    let clock = match kilohertz {
        0 => "without a clock".to_owned(),
        kilohertz => format!("at the routed estimate of {:.1} MHz", f64::from(*kilohertz) / 1e3),
    };
    format!("engine {target}: {products_a_clock} products a clock, {clock}")
}

/// What goes between host and device, where there is one.
fn print_copies(steps: &[Step]) -> Result<()> {
    let count = |holds: fn(&StepInfo) -> bool| {
        text::plural(steps.iter().filter(|step| holds(&step.info)).count(), "step")
    };
    let bytes = |of: fn(&StepInfo) -> u64| steps.iter().map(|step| of(&step.info)).sum::<u64>();
    let (moved, returned) = (bytes(|info| info.moved), bytes(|info| info.returned));
    if moved + returned == 0 {
        return Ok(());
    }
    text::line(format_args!(
        "{} on the device; {} copied between host and device: {} before {}, {} at the end",
        count(|info| info.kernel.ends_with("/opencl") || info.kernel == "fpga"),
        text::bytes(moved + returned),
        text::bytes(moved),
        count(|info| info.moved > 0),
        text::bytes(returned),
    ))
}
