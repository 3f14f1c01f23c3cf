//! How long each step of a model takes, and how near that is to what the cores can do.

use serde::Serialize;
use tilemark::{Device, Input, Session, StepInfo};

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
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    #[serde(flatten)]
    info: StepInfo,
    ms: f64,
}

impl Layers {
    /// The fastest of `runs` runs, step by step.
    pub(super) fn measure(session: &mut Session, input: &Input, runs: u32, device: &Device) -> Result<Self> {
        let inputs = session.prepare_input(input.clone())?;
        let infos: Vec<StepInfo> = session.plan()?.steps().cloned().collect();
        let mut fastest = vec![f64::INFINITY; infos.len()];
        for _ in 0..runs {
            let (_, times) = session.run_timed(&inputs)?;
            for (fastest, time) in fastest.iter_mut().zip(times) {
                *fastest = fastest.min(1e3 * time.as_secs_f64());
            }
        }
        Ok(Self {
            peak_macs_per_second: plan::peak(device)?,
            ms: fastest.iter().sum(),
            steps: infos.into_iter().zip(fastest).map(|(info, ms)| Step { info, ms }).collect(),
        })
    }

    pub(super) fn print(&self) -> Result<()> {
        let head = [
            "node",
            "output",
            "kernel",
            "variant",
            "time",
            "predicted",
            "share",
            "MACs",
            "MACs/s",
            "of peak",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.steps.iter().map(|step| self.row(step)));
        text::line("")?;
        text::table(&rows, &[4, 5, 6, 7, 8, 9])?;
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
            plan::microseconds(info.predicted_ms),
            format!("{:.1}%", 100.0 * step.ms / self.ms.max(f64::MIN_POSITIVE)),
            if counted { text::count(info.macs) } else { String::new() },
            if counted { text::count(rate as u64) } else { String::new() },
            if integer { self.share(rate).unwrap_or_default() } else { String::new() },
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
