//! How long each step of a model takes, and how near that is to what the cores can do.

use serde::Serialize;
use tilemark::{Device, EngineInfo, Input, Session, StepInfo};

use crate::commands::plan;
use crate::failure::Result;
use crate::text;

/// The steps of a plan with the fastest time of each.
#[derive(Serialize)]
pub(super) struct Layers {
    /// Integer multiply-accumulates that the threads reach together when nothing else takes time; `None` for a level
    /// without vector instructions.
    peak_macs_per_second: Option<f64>,
    /// Sum of the steps.
    ms: f64,
    /// The FPGA's engine, where one runs the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<Engine>,
    steps: Vec<Step>,
}

/// What an FPGA's engine did. It is simulated or its clock is an estimate: clocks are counted, times are not measured.
#[derive(Serialize)]
struct Engine {
    #[serde(flatten)]
    info: EngineInfo,
    /// Clocks of all its steps.
    cycles: u64,
    /// Products of those steps, over what it could form in these clocks.
    utilization: f64,
    /// Bytes that it read and wrote of its memory.
    bytes: u64,
}

#[derive(Serialize)]
struct Step {
    #[serde(flatten)]
    info: StepInfo,
    ms: f64,
    /// Clocks of an FPGA's engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    cycles: Option<u64>,
    /// Of what the engine could do in these clocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    utilization: Option<f64>,
}

impl Step {
    fn new(info: StepInfo, ms: f64, engine: Option<&EngineInfo>) -> Self {
        let engine = engine.filter(|engine| engine.kilohertz > 0 && info.kernel == "fpga");
        let cycles = engine.map(|engine| (ms * f64::from(engine.kilohertz)).round() as u64);
        let peak = |engine: &EngineInfo| engine.products_a_clock as f64;
        let utilization = engine
            .zip(cycles)
            .filter(|_| info.macs > 0)
            .map(|(engine, cycles)| info.macs as f64 / cycles.max(1) as f64 / peak(engine));
        Self { info, ms, cycles, utilization }
    }
}

impl Engine {
    fn new(info: EngineInfo, steps: &[Step]) -> Option<Self> {
        let of_engine = || steps.iter().filter(|step| step.cycles.is_some());
        let cycles = of_engine().filter_map(|step| step.cycles).sum::<u64>();
        let macs: u64 = of_engine().map(|step| step.info.macs).sum();
        let utilization = macs as f64 / (cycles.max(1) * info.products_a_clock) as f64;
        let bytes = of_engine().map(|step| step.info.bytes).sum();
        (info.kilohertz > 0).then_some(Self { info, cycles, utilization, bytes })
    }
}

impl Layers {
    /// The fastest of `runs` runs, step by step.
    pub(super) fn measure(session: &mut Session, input: &Input, runs: u32, device: &Device) -> Result<Self> {
        let inputs = session.prepare_input(input.clone())?;
        let plan = session.plan()?;
        let (infos, engine): (Vec<StepInfo>, _) = (plan.steps().cloned().collect(), plan.engine_info());
        let mut fastest = vec![f64::INFINITY; infos.len()];
        for _ in 0..runs {
            let (_, times) = session.run_timed(&inputs)?;
            for (fastest, time) in fastest.iter_mut().zip(times) {
                *fastest = fastest.min(1e3 * time.as_secs_f64());
            }
        }
        let ms = fastest.iter().sum();
        let step = |(info, ms)| Step::new(info, ms, engine.as_ref());
        let steps: Vec<Step> = infos.into_iter().zip(fastest).map(step).collect();
        Ok(Self {
            peak_macs_per_second: plan::peak(device)?,
            ms,
            engine: engine.and_then(|info| Engine::new(info, &steps)),
            steps,
        })
    }

    pub(super) fn print(&self) -> Result<()> {
        let head = [
            "node",
            "output",
            "kernel",
            "variant",
            "time",
            if self.engine.is_some() { "clocks" } else { "predicted" },
            "share",
            "MACs",
            "MACs/s",
            "of peak",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.steps.iter().map(|step| self.row(step)));
        text::line("")?;
        text::table(&rows, &[4, 5, 6, 7, 8, 9])?;
        if let Some(engine) = &self.engine {
            return text::line(format_args!(
                "{} steps; {}: {} clocks, {:.1}% of its products, {} of its memory read and written",
                self.steps.len(),
                plan::describe(&engine.info),
                engine.cycles,
                100.0 * engine.utilization,
                text::bytes(engine.bytes),
            ));
        }
        let macs: u64 = self.steps.iter().map(|step| step.info.macs).sum();
        let rate = per_second(macs, self.ms);
        text::line(format_args!(
            "{} steps, {:.2} ms, {}MACs/s{}",
            self.steps.len(),
            self.ms,
            text::count(rate as u64) + " ",
            self.share(rate).map_or(String::new(), |share| format!(", {share} of the peak at this level")),
        ))
    }

    fn row(&self, step: &Step) -> [String; 10] {
        let info = &step.info;
        let rate = per_second(info.macs, step.ms);
        let counted = info.macs > 0;
        let integer = counted && !info.float;
        [
            info.node.clone(),
            info.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x"),
            info.kernel.clone(),
            info.variant.clone(),
            plan::microseconds(Some(step.ms)),
            match step.cycles {
                Some(cycles) => cycles.to_string(),
                None => plan::microseconds(info.predicted_ms),
            },
            format!("{:.1}%", 100.0 * step.ms / self.ms.max(f64::MIN_POSITIVE)),
            if counted { text::count(info.macs) } else { String::new() },
            if counted { text::count(rate as u64) } else { String::new() },
            match (step.utilization, &self.engine) {
                (Some(utilization), _) => format!("{:.0}%", 100.0 * utilization),
                (None, None) if integer => self.share(rate).unwrap_or_default(),
                _ => String::new(),
            },
        ]
    }

    fn share(&self, rate: f64) -> Option<String> {
        self.peak_macs_per_second.map(|peak| format!("{:.0}%", 100.0 * rate / peak))
    }
}

fn per_second(macs: u64, ms: f64) -> f64 {
    1e3 * macs as f64 / ms.max(1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_per_second_and_never_infinite() {
        assert_eq!(per_second(3_000, 1.5), 2e6);
        assert!(per_second(u64::MAX, 0.0).is_finite());
    }
}
