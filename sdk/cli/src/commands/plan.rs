use serde::Serialize;
use tilemark::StepInfo;

use crate::args::Plan;
use crate::failure::Result;
use crate::text;

/// The JSON of a plan.
#[derive(Serialize)]
struct Report {
    device: String,
    macs: u64,
    integer_macs: u64,
    arena_bytes: usize,
    steps: Vec<StepInfo>,
}

/// Shows every step: what, with which kernel, and why.
pub(crate) fn run(args: &Plan) -> Result<()> {
    let (app, device) = super::open(&args.on)?;
    let mut session = app.session(device.clone())?;
    let plan = session.plan()?;
    let report = Report {
        device: device.id(),
        macs: plan.macs(),
        integer_macs: plan.integer_macs(),
        arena_bytes: plan.arena_bytes(),
        steps: plan.steps().cloned().collect(),
    };
    if args.json { text::json(&report) } else { print(&report) }
}

fn print(report: &Report) -> Result<()> {
    let head = ["node", "op", "output", "MACs", "bytes", "kernel", "why"].map(str::to_owned);
    let mut rows = vec![head];
    for step in &report.steps {
        let op = if step.fused.is_empty() {
            step.op.clone()
        } else {
            format!("{} + {}", step.op, step.fused.join(" + "))
        };
        let shape = step.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        rows.push([
            step.node.clone(),
            op,
            shape,
            text::count(step.macs),
            text::bytes(step.bytes),
            step.kernel.clone(),
            step.why.clone(),
        ]);
    }
    text::table(&rows, &[3, 4])?;
    let share = 100.0 * report.integer_macs as f64 / report.macs.max(1) as f64;
    text::line(format_args!(
        "{} steps, {} MACs ({share:.1}% integer), {} of activations",
        report.steps.len(),
        text::count(report.macs),
        text::bytes(report.arena_bytes as u64),
    ))
}
