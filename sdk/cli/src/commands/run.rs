use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tilemark::{Device, Input, Milliseconds, Outcome, Output, npy};

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
    let given = given(args)?;
    let (app, device) = super::open(&args.on)?;
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
        let outputs = session.run_batch(inputs).map_err(|error| Failure::input(&names.join(", "), error))?;
        for (name, output) in names.iter().zip(outputs) {
            ms += output.ms();
            let mut outcome = output.outcome().clone();
            if let Some(folder) = &args.tensors_out {
                let folder = if several { folder.join(results.len().to_string()) } else { folder.clone() };
                write_tensors(&folder, &output, &mut outcome)?;
            }
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
            Self::Picture(path) => Input::image(path).map_err(|error| Failure::input(&name, error)),
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
    let unnamed = outcome.outputs.iter().filter(|_| outcome.labels.is_none());
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
