mod draw;
mod frames;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tilemark::{Device, Image, Input, Milliseconds, Outcome, Output, npy};

use crate::args::Run;
use crate::failure::{Failure, Result};
use crate::{files, text};

/// The JSON of a run.
#[derive(Serialize)]
struct Report<'a> {
    app: &'a str,
    version: String,
    device: String,
    /// Of all inputs together.
    ms: Milliseconds,
    results: Vec<Outcome>,
}

/// What to run on.
enum Given {
    Picture(PathBuf),
    Tensors(Input),
}

/// Runs the app on each picture, or once on the tensors.
pub(crate) fn run(args: &Run) -> Result<()> {
    if let Some(source) = &args.frames {
        return frames::run(args, source);
    }
    let given = given(args)?;
    let (app, device) = super::open(&args.on.bundle, &args.on.at)?;
    if let (Some(_), Some(license)) = (&args.tensors_out, app.license()) {
        license.check_output("the model's tensors")?;
    }
    let mut session = app.session(device.clone())?;
    let several = given.len() > 1;
    let mut ms = Milliseconds::default();
    let mut results = Vec::with_capacity(given.len());
    let mut given = given.into_iter();
    loop {
        let group: Vec<Given> = given.by_ref().take(group(&device)).collect();
        if group.is_empty() {
            break;
        }
        let names: Vec<String> = group.iter().map(Given::name).collect();
        let inputs = group.into_iter().map(Given::read).collect::<Result<Vec<_>>>()?;
        let canvas = |input: &Input| args.draw.is_some().then(|| input.picture().cloned()).flatten();
        let canvases: Vec<_> = inputs.iter().map(canvas).collect();
        let outputs = session.run_batch(inputs).map_err(|error| Failure::input(&names.join(", "), error))?;
        for ((name, canvas), output) in names.iter().zip(canvases).zip(outputs) {
            ms += output.ms();
            let mut outcome = output.outcome().clone();
            if let Some(folder) = &args.tensors_out {
                let folder = if several { folder.join(results.len().to_string()) } else { folder.clone() };
                write_tensors(&folder, &output, &mut outcome)?;
            }
            let number = several.then_some(results.len());
            draw_and_write(args, number, canvas, &mut outcome)?;
            if !args.json {
                print(name, &outcome)?;
            }
            results.push(outcome);
        }
    }
    let (name, version) = (&app.manifest().app.name, &app.manifest().app.version);
    if args.json {
        let (app, version) = (name.as_str(), version.to_string());
        return text::json(&Report { app, version, device: device.id(), ms, results });
    }
    let Milliseconds { pre, infer, post } = ms;
    text::note(format_args!(
        "{name} {version} on {}: pre {pre:.1} ms, infer {infer:.1} ms, post {post:.1} ms",
        device.description()
    ));
    Ok(())
}

/// How many pictures are decoded at once. They are large, but a device with memory of its own can compute one while the next ones
/// are on their way.
fn group(device: &Device) -> usize {
    if device.facts().is_some_and(|facts| facts.has_own_memory) { 8 } else { 1 }
}

fn given(args: &Run) -> Result<Vec<Given>> {
    if args.tensor.is_empty() {
        return Ok(args.pictures.iter().cloned().map(Given::Picture).collect());
    }
    let tensors = args.tensor.iter().try_fold(Input::tensors(), |input, argument| {
        let (name, file) = argument.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--tensor {argument}: no `=` in it"), "write --tensor NAME=FILE.npy")
        })?;
        input.npy(name, file).map_err(|error| Failure::input(file, error))
    })?;
    Ok(vec![Given::Tensors(tensors)])
}

impl Given {
    /// The picture's path; nothing for tensors, which have names of their own.
    fn name(&self) -> String {
        match self {
            Self::Picture(path) => path.display().to_string(),
            Self::Tensors(_) => String::new(),
        }
    }

    fn read(self) -> Result<Input> {
        let name = self.name();
        match self {
            Self::Picture(path) => Input::file(path).map_err(|error| Failure::input(&name, error)),
            Self::Tensors(input) => Ok(input),
        }
    }
}

/// Writes the model's outputs under ONNX's names, `/` and `:` made `_`, and notes the files in the outcome.
fn write_tensors(folder: &Path, output: &Output, outcome: &mut Outcome) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|source| Failure::File { path: folder.to_owned(), source })?;
    let mut written = BTreeMap::new();
    for (name, tensor) in output.tensors() {
        // The backslash separates folders on some systems; no name may lead out of this one.
        let path = folder.join(format!("{}.npy", name.replace(['/', ':', '\\'], "_")));
        if let Some(first) = written.insert(path.clone(), name.clone()) {
            return Err(Failure::SameFile { first, second: name.clone(), path });
        }
        files::write(&path, &npy::write(tensor))?;
        outcome.files.insert(name.clone(), path.display().to_string());
    }
    Ok(())
}

/// What `--files-out` and `--draw` ask for; `number` is the input's, where there are several.
fn draw_and_write(
    args: &Run,
    number: Option<usize>,
    canvas: Option<Image>,
    outcome: &mut Outcome,
) -> Result<()> {
    if let Some(folder) = &args.files_out {
        let folder = number.map_or_else(|| folder.clone(), |number| folder.join(number.to_string()));
        write_pictures(&folder, outcome)?;
    }
    if let (Some(path), Some(canvas)) = (&args.draw, canvas) {
        let path = number.map_or_else(|| path.clone(), |number| path.with_extension(format!("{number}.png")));
        files::write(&path, &draw::annotated(&canvas, outcome).png().map_err(tilemark::Error::from)?)?;
        outcome.files.insert("drawing".to_owned(), path.display().to_string());
    }
    Ok(())
}

/// Writes the pictures that the app made, and notes the files in the outcome.
fn write_pictures(folder: &Path, outcome: &mut Outcome) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|source| Failure::File { path: folder.to_owned(), source })?;
    for (name, picture) in &outcome.pictures {
        let path = folder.join(format!("{name}.png"));
        files::write(&path, &picture.png().map_err(tilemark::Error::from)?)?;
        outcome.files.insert(name.clone(), path.display().to_string());
    }
    Ok(())
}

/// Values printed of one output; `--json` and `--tensors-out` give all.
const VALUES_SHOWN: usize = 8;

fn print(name: &str, outcome: &Outcome) -> Result<()> {
    if !name.is_empty() {
        text::line(name)?;
    }
    for label in outcome.labels() {
        match label.score.is_nan() {
            true => text::line(format_args!("  {}", label.name))?, // a grant that gives out no score
            false => text::line(format_args!("  {:5.1}%  {}", 100.0 * label.score, label.name))?,
        }
    }
    if let (Some(hz), Some(confidence)) = (outcome.values.get("hz"), outcome.values.get("confidence")) {
        let cents = outcome.values.get("cents").and_then(|cents| cents.first());
        let off = cents.map(|cents| format!(", {cents:+.0} cents")).unwrap_or_default();
        let sure = hz.iter().filter(|&&hz| hz > 0.0).count();
        text::line(format_args!("  {sure} of {} frames have a pitch{off}", confidence.len()))?;
    }
    for found in outcome.detections.iter().flatten() {
        let [left, top, right, bottom] = found.frame.map(f32::round);
        let score = 100.0 * found.score;
        text::line(format_args!("  {score:5.1}%  {}  {left}, {top} to {right}, {bottom}", found.label))?;
    }
    for region in outcome.regions.iter().flatten() {
        let corners: Vec<String> =
            region.quad.iter().map(|[x, y]| format!("{}, {}", x.round(), y.round())).collect();
        text::line(format_args!("  {:5.1}%  {}", 100.0 * region.score, corners.join("; ")))?;
    }
    for line in outcome.lines.iter().flatten() {
        text::line(format_args!("  {:5.1}%  {}", 100.0 * line.score, line.text))?;
    }
    for (name, picture) in outcome.pictures.iter().filter(|(name, _)| !outcome.files.contains_key(*name)) {
        let (width, height) = (picture.width, picture.height);
        text::line(format_args!("  {name}: {width} x {height} pixels, --files-out DIR writes it"))?;
    }
    if let Some(shares) = outcome.values.get("share") {
        let shares: Vec<String> = shares.iter().map(|share| format!("{:.1}%", 100.0 * share)).collect();
        text::line(format_args!("  share of the picture: {}", shares.join(", ")))?;
    }
    // Outputs of which something was made are seen above.
    let unnamed = outcome.outputs.iter().filter(|_| !outcome.is_made());
    for (name, tensor) in unnamed {
        let values = outcome.values.get(name).map(Vec::as_slice).unwrap_or_default();
        let shown: Vec<String> = values.iter().take(VALUES_SHOWN).map(|&v| (v as f32).to_string()).collect();
        let shape = tensor.shape();
        let dtype = tensor.dtype();
        match values.len() {
            0 => text::line(format_args!("  {name}: {dtype} {shape:?}, --tensors-out DIR writes it"))?,
            n if n > VALUES_SHOWN => {
                text::line(format_args!("  {name}: {dtype} {shape:?}: {}, …", shown.join(", ")))?;
            }
            _ => text::line(format_args!("  {name}: {dtype} {shape:?}: {}", shown.join(", ")))?,
        }
    }
    outcome.files.iter().try_for_each(|(name, path)| text::line(format_args!("  {name} -> {path}")))
}
