use std::path::Path;

use tilemark::pack::{AppSection, Package};
use tilemark::{Digest, SigningKey, Untrusted};

use crate::args::Pack;
use crate::failure::{Failure, Result};
use crate::{files, text};

/// Imports, checks, records golden vectors, signs, writes.
pub(crate) fn run(args: &Pack) -> Result<()> {
    let keys = files::keys(&args.key)?;
    let spinner = text::spinner("importing the model and recording golden vectors");
    let package = match (&args.description, &args.model) {
        (Some(description), _) => Package::from_description(description)?,
        (None, Some(model)) => from_model(args, model)?,
        (None, None) => return Err(Failure::usage("nothing to pack", "give an app.toml or --model")),
    };
    spinner.finish_and_clear();
    let (identity, size) = sign_and_write(&package, &keys.iter().collect::<Vec<_>>(), &args.output)?;
    text::line(format_args!("{}  {}", args.output.display(), text::bytes(size)))?;
    text::line(format_args!("identity {identity}"))?;
    let vectors = package.golden_vectors();
    text::line(format_args!("{vectors} golden vector{} recorded", if vectors == 1 { "" } else { "s" }))
}

/// Signs a package into a file; returns its identity and size.
pub(super) fn sign_and_write(
    package: &Package,
    keys: &[&SigningKey],
    output: &Path,
) -> Result<(Digest, u64)> {
    let bytes = package.sign(keys)?;
    files::write(output, &bytes)?;
    let size = bytes.len() as u64;
    let identity = Untrusted::from_bytes(bytes).map_err(tilemark::Error::from)?.identity();
    Ok((identity, size))
}

fn from_model(args: &Pack, model: &Path) -> Result<Package> {
    let section = AppSection {
        name: args.name.clone().unwrap_or_default(),
        version: args.version.clone().unwrap_or_default(),
        release: args.release,
        license: args.license.clone(),
        description: String::new(),
    };
    Ok(Package::from_model(&files::read(model)?, section.identity()?)?)
}
