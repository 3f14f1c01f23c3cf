use std::path::{Path, PathBuf};

use tilemark::pack::{AppSection, Package};
use tilemark::{KeyId, PublicKey, SigningKey, Untrusted, Vault};

use crate::args::Pack;
use crate::failure::{Failure, Result};
use crate::outputs::Outputs;
use crate::{files, text};

/// Imports, checks, records golden vectors, signs, writes.
pub(crate) fn run(args: &Pack) -> Result<()> {
    Outputs::default()
        .reads(&[("the description", args.description.as_ref()), ("--model", args.model.as_ref())])
        .writes("--output", Some(&args.output), |_| true)?;
    let keys = files::keys(&args.key)?;
    let spinner = text::spinner("importing the model and recording golden vectors");
    let package = match (&args.description, &args.model) {
        (Some(description), _) => Package::from_description(description)?,
        (None, Some(model)) => from_model(args, model)?,
        (None, None) => return Err(Failure::usage("nothing to pack", "give an app.toml or --model")),
    };
    spinner.finish_and_clear();
    let keys: Vec<&SigningKey> = keys.iter().collect();
    let bytes = match &args.vault {
        Some(dir) => {
            let vault = Vault::open_or_create(dir).map_err(tilemark::Error::from)?;
            package.sign_encrypted(&keys, &vault, &issuers(&args.issuer)?)?
        }
        None => package.sign(&keys)?,
    };
    files::write(&args.output, &bytes)?;
    let size = bytes.len();
    print(&args.output, &Untrusted::from_bytes(bytes).map_err(tilemark::Error::from)?, size)?;
    if let Some(vault) = &args.vault {
        text::line(format_args!(
            "encrypted with the vault {}: keep it secret, and back it up",
            vault.display()
        ))?;
    }
    text::line(format_args!("golden    {} recorded", text::plural(package.golden_vectors(), "vector")))
}

/// What was written: name, size, identity, who signed it.
pub(super) fn print(path: &Path, bundle: &Untrusted, size: usize) -> Result<()> {
    text::line(format_args!("{}, {}", path.display(), text::bytes(size as u64)))?;
    text::line(format_args!("identity  {}", bundle.identity()))?;
    bundle.signers().try_for_each(|signer| text::line(format_args!("signed by {signer}")))
}

fn issuers(files: &[PathBuf]) -> Result<Vec<KeyId>> {
    let id = |path: &PathBuf| Ok(PublicKey::from_file(path).map_err(tilemark::Error::from)?.id());
    files.iter().map(id).collect()
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
