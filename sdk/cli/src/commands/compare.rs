use tilemark::eval::stats::percent;
use tilemark::eval::{Comparison, Evaluation, Mapping, Point, Report, is_page};
use tilemark::{App, Device};

use super::eval::with_progress;
use crate::args::Where;
use crate::args::eval::Compare;
use crate::failure::Result;
use crate::outputs::Outputs;
use crate::{files, text};

/// Classes that people are shown: those with the largest difference.
const CLASSES: usize = 10;

/// Evaluates two apps on the same samples and says which is better, as far as these tell.
pub(crate) fn run(args: &Compare) -> Result<()> {
    Outputs::default()
        .reads(&[
            ("the first bundle", Some(&args.first)),
            ("the second bundle", Some(&args.second)),
            ("--data", Some(&args.data)),
            ("--mapping", args.mapping.as_ref()),
            ("--trust", args.at.trust.as_ref()),
        ])
        .writes("--html", args.output.html.as_ref(), is_page)?;
    let evaluation = args.how.evaluation(args.how.metric);
    let (first, second) = (open(&args.first, args)?, open(&args.second, args)?);
    let mapping = match (&args.mapping, first.first(), second.first()) {
        (Some(path), Some((first, _)), Some((second, _))) => Some(Mapping::read(path, first, second)?),
        (None, Some((first, _)), Some((second, _))) => Mapping::by_name(first, second),
        _ => None,
    };
    let mapped = Evaluation { mapping, ..evaluation.clone() };
    // A class that one of them has not is told before hours of work.
    for (evaluation, opened) in [(&evaluation, &first), (&mapped, &second)] {
        if let Some((app, _)) = opened.first() {
            evaluation.check(app, &args.data)?;
        }
    }
    let evaluate = |evaluation: &Evaluation, opened: &[(App, Device)]| -> Result<Vec<Report>> {
        let one = |(app, device): &(App, Device)| {
            with_progress(|progress| evaluation.run(app, device, &args.data, progress))
        };
        // Nobody asked for a sample's name.
        opened.iter().map(|opened| Ok(one(opened)?.without_names())).collect()
    };
    let (first, second) = (evaluate(&evaluation, &first)?, evaluate(&mapped, &second)?);
    let comparison = Comparison::of(&evaluation, &first, &second)?;
    if let Some(path) = &args.output.html {
        files::write(path, comparison.to_html().as_bytes())?;
    }
    if args.output.json { text::json(&comparison) } else { print(&comparison) }
}

/// An app for each of the devices.
fn open(bundle: &std::path::Path, args: &Compare) -> Result<Vec<(App, Device)>> {
    if args.devices.is_empty() {
        return Ok(vec![super::open(bundle, &args.at)?]);
    }
    let on = |device: &String| super::open(bundle, &Where { device: device.clone(), ..args.at.clone() });
    args.devices.iter().map(on).collect()
}

fn print(comparison: &Comparison) -> Result<()> {
    let Comparison { samples, difference, classes, conclusion, points, .. } = comparison;
    let head = ["app", "device", difference.name, "median", "samples/s", "size", "front"].map(str::to_owned);
    let row = |point: &Point| {
        [
            format!("{} {}", point.app, point.version),
            point.device.clone(),
            difference.written(point.value),
            format!("{:.2} ms", point.median_ms),
            format!("{:.1}", point.samples_per_second),
            text::bytes(point.bundle_bytes),
            if point.on_front { "yes" } else { "no" }.to_owned(),
        ]
    };
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(points.iter().map(row)).collect();
    text::table(&rows, &[2, 3, 4, 5])?;
    text::paragraph(format_args!(
        "difference {}, {} to {} with {} % confidence, {samples} samples",
        difference.written(difference.value),
        difference.written(difference.low),
        difference.written(difference.high),
        percent(difference.confidence)
    ))?;
    let mut apart: Vec<_> = classes.iter().filter(|class| class.first != class.second).collect();
    if !apart.is_empty() {
        apart.sort_by_key(|class| std::cmp::Reverse(class.first.abs_diff(class.second)));
        let mut rows = vec![["class", "samples", "first", "second"].map(str::to_owned)];
        rows.extend(apart.iter().take(CLASSES).map(|class| {
            [
                class.class.clone(),
                class.samples.to_string(),
                class.first.to_string(),
                class.second.to_string(),
            ]
        }));
        text::paragraph("right of each class, of few samples: a hint, no test")?;
        text::table(&rows, &[1, 2, 3])?;
    }
    text::paragraph(conclusion)
}
