use tilemark::Untrusted;

use crate::args::Sign;
use crate::failure::Result;
use crate::{files, text};

/// Adds signatures; payload and identity stay.
pub(crate) fn run(args: &Sign) -> Result<()> {
    let mut bundle = Untrusted::from_path(&args.bundle).map_err(tilemark::Error::from)?;
    for key in files::keys(&args.key)? {
        let signed = bundle.with_signature(&key).map_err(tilemark::Error::from)?;
        files::write(&args.output, &signed)?;
        bundle = Untrusted::from_bytes(signed).map_err(tilemark::Error::from)?;
        text::line(format_args!("signed by {}", key.public().id()))?;
    }
    text::line(format_args!("{}  identity {}", args.output.display(), bundle.identity()))
}
