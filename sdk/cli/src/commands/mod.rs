//! One file a command.

mod bench;
mod check;
mod compare;
mod demo;
mod devices;
mod doctor;
mod eval;
mod export;
mod inspect;
mod keygen;
mod license;
mod pack;
mod plan;
mod quantize;
mod rotate;
mod run;
mod sign;
#[cfg(feature = "store")]
mod store;
mod verify;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tilemark::{App, Device};

use crate::args::{self, Command, Where};
use crate::drivers;
use crate::failure::{Failure, Result};
use crate::{files, text};

pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Keygen(args) => keygen::run(&args),
        Command::Rotate(args) => rotate::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::License(command) => license::run(&command),
        #[cfg(feature = "store")]
        Command::Store(command) => store::run(&command),
        Command::Drivers(args) => drivers::run(&args),
    }
}

/// Shows how far the timing of kernels is, which on an OpenCL device takes seconds the first time.
fn tuning_bar() -> impl Fn(usize, usize) + Send + Sync + 'static {
    let shown = Mutex::new(None);
    move |done, of| {
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = shown.get_or_insert_with(|| text::progress(of as u64, "timing kernels"));
        bar.set_position(done as u64);
        if done == of {
            bar.finish_and_clear();
            *shown = None;
        }
    }
}

/// Opens the app and settles where it runs. What `auto` chose, and why, goes to stderr.
fn open(bundle: &Path, at: &Where) -> Result<(App, Device)> {
    let named = args::device(at)?;
    let app = tilemark::open(bundle, &files::trust(at.trust.as_deref())?)?;
    let app = at.set.iter().try_fold(app.with_tuning_listener(tuning_bar()), set)?;
    let device = match named {
        Some(device) => device,
        None => {
            let choice = app.choose_device_of(drivers::gpus(), at.threads)?;
            text::note(format_args!("device {}: {}", choice.device.id(), choice.why));
            choice.device
        }
    };
    Ok((app, device))
}

/// Sets a parameter as `--set NAME=VALUE` says.
fn set(app: App, argument: &String) -> Result<App> {
    let (name, value) = argument
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("--set {argument}: no `=` in it"), "write --set NAME=VALUE"))?;
    Ok(app.with_parameter(name, value)?)
}
