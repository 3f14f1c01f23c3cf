//! What publishers do: derive from a bundle what it does, measure it, and offer it with that.

use std::path::Path;

use tilemark::{App, AppTarget, Bundle, BundleError, Device, SigningKey, Trust, Untrusted, Vault};
use tilemark_store::{Contract, Offering, Report, Repository, Speed};

use super::{find, operator};
use crate::args::store::Publish;
use crate::failure::{Failure, Result};
use crate::{drivers, files, text};

/// Measures nothing.
const NONE: &str = "none";

pub(super) fn run(args: &Publish) -> Result<()> {
    let keys = files::keys(&args.key)?;
    let keys: Vec<&SigningKey> = keys.iter().collect();
    let spinner = text::spinner("deriving what the app does, and how fast");
    let (app, file) = open(&args.bundle, &keys, args.vault.as_deref())?;
    let contract = contract(&app, args)?;
    spinner.finish_and_clear();
    let (price, contract) = (args.price.map(Into::into), Some(contract));
    let offering = Offering { price, contract, anew: args.anew };
    let done = Repository::open(&args.store)?.offer_file(file, &keys, &offering)?;
    let (listing, added, shared) = (&done.listing, text::bytes(done.added), text::bytes(done.shared));
    text::line(format_args!(
        "published  {} {}, release {}; {added} added, {shared} there already",
        listing.app, listing.version, listing.release
    ))?;
    if let Some(contract) = &listing.contract {
        text::line(format_args!("contract   {}, {}", contract.app.task, find::speeds(contract)))?;
    }
    text::line(format_args!("price      {}", listing.price))?;
    for duty in &done.ruling.duties {
        text::line(format_args!("duty       {duty}"))?;
    }
    for listing in &done.withdrawn {
        text::line(format_args!("withdrawn  {listing}: the licence gate does not allow it any more"))?;
    }
    operator::after_a_change();
    Ok(())
}

/// A bundle that these keys signed.
pub(super) fn signed(path: &Path, keys: &[&SigningKey]) -> Result<Bundle> {
    let sdk = |error: BundleError| Failure::from(tilemark::Error::from(error));
    let ids: Vec<_> = keys.iter().map(|key| key.public().id()).collect();
    let known = keys.iter().fold(Trust::builder(), |trust, key| trust.key(key.public().clone()));
    let trust = known.any_publisher(&ids, 1).build().map_err(sdk)?;
    let file = Untrusted::from_path(path).map_err(sdk)?;
    file.verify(&trust).map_err(|refused| sdk(refused.into_error()))
}

/// The app in a bundle that these keys signed, and the bundle once more: the file is read once, since it may be another one the next
/// time. Its publisher needs no grant: the vault has the key.
fn open(path: &Path, keys: &[&SigningKey], vault: Option<&Path>) -> Result<(App, Untrusted)> {
    let sdk = |error: BundleError| Failure::from(tilemark::Error::from(error));
    let mut bundle = signed(path, keys)?;
    let again = Untrusted::from_bytes(bundle.as_bytes().to_vec()).map_err(sdk)?;
    if let Some(encryption) = bundle.manifest().encryption.clone() {
        let Some(vault) = vault else {
            let message =
                format!("{} is encrypted, and what it does is derived from what is in it", path.display());
            return Err(Failure::usage(message, "give --vault with the vault that it was packed with"));
        };
        let vault = Vault::open(vault).map_err(sdk)?;
        bundle = bundle.unlock(&vault.content_key(encryption.binding)).map_err(sdk)?;
    }
    Ok((App::from_bundle(bundle)?, again))
}

fn contract(app: &App, args: &Publish) -> Result<Contract> {
    let does = app.contract()?;
    let mut speeds = Vec::new();
    for word in args.measure.iter().filter(|word| *word != NONE) {
        let device = drivers::named(word)?;
        let time = app.typical_time(&device)?;
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        speeds.push(Speed {
            device: class(&device, &does.targets),
            name: device.description(),
            microseconds,
        });
    }
    let report = |path| Ok(Report::new(&files::read(path)?)?);
    let reports = args.report.iter().map(|path| report(path)).collect::<Result<_>>()?;
    Ok(Contract { app: does, speeds, reports, ..Contract::default() })
}

/// What a device's speed is told by: `host`, the kind of an OpenCL device, on an FPGA the target that runs there.
fn class(device: &Device, targets: &[AppTarget]) -> String {
    match find::hardware(device) {
        tilemark_store::Hardware::Source { class } => class,
        fpga => fpga.target_of(targets).unwrap_or("fpga").to_owned(),
    }
}
