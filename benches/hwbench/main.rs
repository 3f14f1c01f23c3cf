//! Every kernel on every layer of a list, in turn: `hwbench [LEVEL]`. Fails if what a plan takes after timing its kernels is
//! over a tenth slower than the best of them.

#![allow(clippy::print_stdout, reason = "a command line tool")]

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tilemark_benches::layer::Layer;
use tilemark_benches::networks;
use tilemark_engine::{
    Compiled, CpuLevel, Device, Session, StepInfo, Tuning, TuningRecord, TuningStore, all_kernels,
};
use tilemark_model::Tensor;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A pick may be slower than the best by this factor.
const TOLERANCE: f64 = 1.1;
/// Machines are noisy: a layer that fails is measured again, with more turns each time.
const ATTEMPTS: usize = 4;
/// What all kernels together may take for a layer in one attempt.
const SPENDING: Duration = Duration::from_millis(60);

fn main() -> ExitCode {
    let level = std::env::args().nth(1).map_or_else(CpuLevel::from_environment, |word| word.parse());
    match level.map_err(Failure::from).and_then(run) {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(slow) => eprintln!("error: {slow} layers take over {TOLERANCE} times as long as they could"),
        Err(error) => eprintln!("error: {error}"),
    }
    ExitCode::FAILURE
}

/// How many layers are slower than they should be.
fn run(level: CpuLevel) -> Result<usize, Failure> {
    let device = Device::host().with_level(level.usable()?).with_threads(1)?;
    println!("{}", device.description());
    println!(
        "{:40} {:>8} {:>7}  {:23} {:>5}  {:23} {:>5} {:>8}  all, us",
        "layer", "us", "GMAC/s", "predicted pick", "ratio", "timed pick", "ratio", "model us"
    );
    let (mut slow, mut ratios) = (0, [0.0, 0.0]);
    let layers = [networks::dense(), networks::products(), networks::depthwise()].concat();
    for layer in &layers {
        let outcome = Outcome::of(layer, &device)?;
        outcome.print(layer);
        slow += usize::from(outcome.timed.1 > TOLERANCE);
        ratios[0] += outcome.predicted.1.ln() / layers.len() as f64;
        ratios[1] += outcome.timed.1.ln() / layers.len() as f64;
    }
    let [predicted, timed] = ratios.map(f64::exp);
    println!(
        "{} layers; geometric mean over the best: predicted {predicted:.3}, timed {timed:.3}",
        layers.len()
    );
    Ok(slow)
}

/// What was found for one layer.
struct Outcome {
    macs: u64,
    /// Microseconds that the cost model says for its pick.
    model_us: f64,
    /// What is picked, and how much longer than the best it takes.
    predicted: (String, f64),
    timed: (String, f64),
    rivals: Vec<Rival>,
}

/// One kernel on the layer.
struct Rival {
    name: String,
    session: Session,
    fastest: f64,
}

impl Outcome {
    fn of(layer: &Layer, device: &Device) -> Result<Self, Failure> {
        let graph = Arc::new(layer.graph());
        let inputs = [layer.input()];
        let mut rivals = rivals(&graph, device, &inputs)?;
        let step = |compiled: &Compiled| -> Result<StepInfo, Failure> {
            let plan = compiled.plan(&[inputs[0].shape().to_vec()])?;
            Ok(plan.steps().next().ok_or("a plan without steps")?.clone())
        };
        let predicted = step(&Compiled::new(Arc::clone(&graph), device)?)?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            measure(&mut rivals, &inputs, attempt)?;
            let tuned = device.clone().with_tuning(Tuning::Within(Duration::from_secs(2)));
            let timed = step(&Compiled::tuned(Arc::clone(&graph), &tuned, Arc::new(Shelf::default()))?)?;
            let best = rivals.iter().map(|rival| rival.fastest).fold(f64::INFINITY, f64::min);
            let ratio = |step: &StepInfo| {
                let name = name(step);
                let found = rivals.iter().find(|rival| rival.name == name);
                (name, found.map_or(f64::INFINITY, |rival| rival.fastest / best))
            };
            let (predicted_pick, timed_pick) = (ratio(&predicted), ratio(&timed));
            if timed_pick.1 <= TOLERANCE || attempt == ATTEMPTS {
                let model_us = 1e3 * predicted.predicted_ms.unwrap_or(0.0);
                let (macs, predicted, timed) = (predicted.macs, predicted_pick, timed_pick);
                return Ok(Self { macs, model_us, predicted, timed, rivals });
            }
        }
    }

    fn print(&self, layer: &Layer) {
        let best = self.rivals.iter().map(|rival| rival.fastest).fold(f64::INFINITY, f64::min);
        let all: Vec<String> =
            self.rivals.iter().map(|rival| format!("{} {:.1}", rival.name, 1e6 * rival.fastest)).collect();
        println!(
            "{:40} {:8.1} {:7.1}  {:23} {:5.2}  {:23} {:5.2} {:8.1}  {}",
            layer.name(),
            1e6 * best,
            1e-9 * self.macs as f64 / best,
            self.predicted.0,
            self.predicted.1,
            self.timed.0,
            self.timed.1,
            self.model_us,
            all.join(", ")
        );
    }
}

/// A session for each kernel that the layer could run on at the device's level, but the portable one.
fn rivals(
    graph: &Arc<tilemark_model::Graph>,
    device: &Device,
    inputs: &[Tensor],
) -> Result<Vec<Rival>, Failure> {
    let level = device.level()?;
    let mut rivals: Vec<Rival> = Vec::new();
    for kernel in all_kernels().filter(|kernel| level.includes(kernel.level)) {
        if kernel.level == CpuLevel::Scalar && level != CpuLevel::Scalar {
            continue;
        }
        let forced = device.clone().with_level(kernel.level).with_variant(kernel.variant);
        let mut session = Compiled::new(Arc::clone(graph), &forced)?.session()?;
        session.run(inputs)?;
        let step = session.plan().and_then(|plan| plan.steps().next()).ok_or("a plan without steps")?;
        let name = name(step);
        if step.kernel == kernel.name && rivals.iter().all(|rival| rival.name != name) {
            rivals.push(Rival { name, session, fastest: f64::INFINITY });
        }
    }
    Ok(rivals)
}

/// Level and variant.
fn name(step: &StepInfo) -> String {
    let level = step.kernel.rsplit('/').next().unwrap_or_default();
    format!("{level}:{}", step.variant)
}

/// Gives every kernel its turns, and keeps the fastest of each.
fn measure(rivals: &mut [Rival], inputs: &[Tensor], attempt: usize) -> Result<(), Failure> {
    let turn = |rivals: &mut [Rival]| -> Result<f64, Failure> {
        let mut spent = 0.0;
        for rival in rivals {
            // Of some calls in a row the later ones find their weights in cache, as a timing at load does.
            for _ in 0..3 {
                let (_, times) = rival.session.run_timed(inputs)?;
                let seconds = times.first().ok_or("a plan without steps")?.as_secs_f64();
                rival.fastest = rival.fastest.min(seconds);
                spent += seconds;
            }
        }
        Ok(spent)
    };
    let spending = SPENDING.as_secs_f64() * attempt as f64;
    let mut spent = turn(rivals)?;
    let mut turns = 1;
    while spent < spending && turns < 100 * attempt {
        spent += turn(rivals)?;
        turns += 1;
    }
    Ok(())
}

/// Measurements that nobody keeps.
#[derive(Debug, Default)]
struct Shelf(Mutex<TuningRecord>);

impl TuningStore for Shelf {
    fn load(&self) -> TuningRecord {
        self.0.lock().map(|record| record.clone()).unwrap_or_default()
    }

    fn is_writable(&self) -> bool {
        true
    }

    fn add(&self, record: &TuningRecord) {
        if let Ok(mut all) = self.0.lock() {
            all.merge(record);
        }
    }
}
