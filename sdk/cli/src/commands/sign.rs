use tilemark::Untrusted;

use crate::args::Sign;
use crate::failure::Result;
use crate::files;

/// Adds signatures; payload and identity stay.
pub(crate) fn run(args: &Sign) -> Result<()> {
    let mut bundle = Untrusted::from_path(&args.bundle).map_err(tilemark::Error::from)?;
    let mut signed = Vec::new();
    for key in files::keys(&args.key)? {
        signed = bundle.with_signature(&key).map_err(tilemark::Error::from)?;
        bundle = Untrusted::from_bytes(signed.clone()).map_err(tilemark::Error::from)?;
    }
    files::write(&args.output, &signed)?;
    super::pack::print(&args.output, &bundle, signed.len())
}
