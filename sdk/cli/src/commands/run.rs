use std::path::{Path, PathBuf};

use serde::Serialize;
use tilemark::{Input, Milliseconds, Outcome, Output, Session, npy};

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

/// Runs the app on each picture, or once on the tensors.
pub(crate) fn run(args: &Run) -> Result<()> {
    let (app, device) = super::open(&args.on)?;
    let mut session = app.session(device.clone())?;
    let inputs = inputs(args)?;
    let several = inputs.len() > 1;
    let mut ms = Milliseconds::default();
    let mut results = Vec::with_capacity(inputs.len());
    for (index, (name, input)) in inputs.into_iter().enumerate() {
        let output = run_one(&mut session, &name, input)?;
        ms += output.ms();
        let mut outcome = output.outcome().clone();
        if let Some(folder) = &args.tensors_out {
            let folder = if several { folder.join(index.to_string()) } else { folder.clone() };
            write_tensors(&folder, &output, &mut outcome)?;
        }
        if !args.json {
            print(&name, &outcome)?;
        }
        results.push(outcome);
    }
    let manifest = app.manifest();
    if args.json {
        let (name, version) = (manifest.app.name.as_str(), manifest.app.version.to_string());
        return text::json(&Report { app: name, version, device: device.id(), ms, results });
    }
    let (name, version) = (&manifest.app.name, &manifest.app.version);
    let Milliseconds { pre, infer, post } = ms;
    eprintln!(
        "{name} {version} on {}: pre {pre:.1} ms, infer {infer:.1} ms, post {post:.1} ms",
        device.description()
    );
    Ok(())
}

fn run_one(session: &mut Session, name: &str, input: Result<Input>) -> Result<Output> {
    let output = input.and_then(|input| Ok(session.run(input)?));
    output.inspect_err(|_| {
        if !name.is_empty() {
            eprintln!("{name}:");
        }
    })
}

/// What to run: each picture by its path, or one nameless set of tensors.
fn inputs(args: &Run) -> Result<Vec<(String, Result<Input>)>> {
    if args.tensor.is_empty() {
        let picture =
            |path: &PathBuf| (path.display().to_string(), Input::image(path).map_err(Failure::from));
        return Ok(args.pictures.iter().map(picture).collect());
    }
    let tensors = args.tensor.iter().try_fold(Input::tensors(), |input, argument| {
        let (name, file) = argument.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--tensor {argument}: no `=` in it"), "write --tensor NAME=FILE.npy")
        })?;
        Ok::<_, Failure>(input.npy(name, file)?)
    })?;
    Ok(vec![(String::new(), Ok(tensors))])
}

/// Writes the model's outputs under ONNX's names, `/` and `:` made `_`, and notes the files in the outcome.
fn write_tensors(folder: &Path, output: &Output, outcome: &mut Outcome) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|source| Failure::File { path: folder.to_owned(), source })?;
    for (name, tensor) in output.tensors() {
        let path = folder.join(format!("{}.npy", name.replace(['/', ':'], "_")));
        files::write(&path, &npy::write(tensor))?;
        outcome.files.insert(name.clone(), path.display().to_string());
    }
    Ok(())
}

fn print(name: &str, outcome: &Outcome) -> Result<()> {
    if !name.is_empty() {
        text::line(name)?;
    }
    for label in outcome.labels() {
        text::line(format_args!("  {:5.1}%  {}", 100.0 * label.score, label.name))?;
    }
    for (name, values) in &outcome.values {
        text::line(format_args!("  {name}: {values:?}"))?;
    }
    for (name, path) in &outcome.files {
        text::line(format_args!("  {name}: {path}"))?;
    }
    Ok(())
}
