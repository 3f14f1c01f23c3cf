//! `run --frames`: frame after frame, from a folder or from stdin.

use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use tilemark::{Flow, Flowed, FrameResult, Image, Input, Milliseconds, Outcome, Pressure};

use crate::args::Run;
use crate::failure::{Failure, Result};
use crate::{commands, text};

/// One line of JSON for each frame.
#[derive(Serialize)]
struct FrameLine<'a> {
    frame: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    ms: Milliseconds,
    result: &'a Outcome,
}

/// The last line.
#[derive(Serialize)]
struct Summary<'a> {
    app: &'a str,
    version: String,
    device: String,
    frames: u64,
    dropped: u64,
    failed: u64,
    seconds: f64,
    frames_per_second: f64,
}

/// Frames as they come.
type Frames = Box<dyn Iterator<Item = std::result::Result<Input, tilemark::Error>> + Send>;

/// Runs the app on each frame, and prints each result as soon as it is there.
pub(super) fn run(args: &Run, source: &Path) -> Result<()> {
    let (names, frames) = frames(source)?;
    let (app, device) = commands::open(&args.on.bundle, &args.on.at)?;
    let mut session = app.session(device.clone())?;
    let pressure = if args.drop { Pressure::Drop } else { Pressure::Wait };
    let flow = Flow { pressure, waiting: args.waiting as usize };
    let start = Instant::now();
    let mut stopped = Ok(());
    let flowed = session.stream(flow, frames, |result| {
        let name = usize::try_from(result.frame).ok().and_then(|frame| names.get(frame));
        match print(args, name, &result) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                stopped = Err(failure);
                ControlFlow::Break(())
            }
        }
    });
    stopped?;
    let seconds = start.elapsed().as_secs_f64();
    let Flowed { frames, dropped, failed } = flowed;
    let frames_per_second = (frames - dropped) as f64 / seconds;
    if args.json {
        let (app, version) = (app.manifest().app.name.as_str(), app.manifest().app.version.to_string());
        let device = device.id();
        let line = Summary { app, version, device, frames, dropped, failed, seconds, frames_per_second };
        text::json_line(&line)?;
    } else {
        let counts = format!("{frames} frames, {dropped} dropped, {failed} failed");
        text::note(format_args!("{counts}, {frames_per_second:.1} a second on {}", device.description()));
    }
    if failed > 0 { Err(Failure::Frames { failed, frames }) } else { Ok(()) }
}

fn print(args: &Run, name: Option<&PathBuf>, result: &FrameResult) -> Result<()> {
    let frame = result.frame;
    let name = name.map(|path| path.display().to_string());
    let output = match &result.output {
        Ok(output) => output,
        Err(error) => {
            let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
            text::note(format_args!("frame {frame}{name}: error[{}]: {error}", error.code()));
            return Ok(());
        }
    };
    if args.json {
        return text::json_line(&FrameLine { frame, name, ms: output.ms(), result: output.outcome() });
    }
    super::print(&name.unwrap_or_else(|| format!("frame {frame}")), output.outcome())
}

/// The files of a folder in the order of their names; or PPM pictures on stdin, one after the other.
fn frames(source: &Path) -> Result<(Vec<PathBuf>, Frames)> {
    if source == Path::new("-") {
        let mut stdin = BufReader::with_capacity(1 << 20, std::io::stdin());
        let mut ended = false;
        let next = move || {
            let picture = if ended { None } else { Image::next_ppm(&mut stdin).transpose() };
            // Where a picture is damaged, nobody knows where the next one begins.
            ended = picture.as_ref().is_none_or(|picture| picture.is_err());
            picture.map(|picture| picture.map(Input::pixels).map_err(tilemark::Error::from))
        };
        return Ok((Vec::new(), Box::new(std::iter::from_fn(next))));
    }
    let failed = |source_error| Failure::File { path: source.to_owned(), source: source_error };
    let entries = std::fs::read_dir(source).map_err(failed)?;
    let mut files =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    files.retain(|path| path.is_file());
    files.sort();
    let frames = files.clone().into_iter().map(Input::file);
    Ok((files, Box::new(frames)))
}
