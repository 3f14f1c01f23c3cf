use tilemark::license::Clock;
use tilemark::{Lineage, PublicKey, SigningKey};

use crate::args::Rotate;
use crate::failure::Result;
use crate::{files, text};

/// Signs that one key follows another.
pub(crate) fn run(args: &Rotate) -> Result<()> {
    let old = SigningKey::from_file(&args.key).map_err(tilemark::Error::from)?;
    let new = PublicKey::from_file(&args.new).map_err(tilemark::Error::from)?;
    let now = Clock::system().now();
    let lineage = Lineage::sign(&args.publisher, &old, &new, now).map_err(tilemark::Error::from)?;
    files::write(&args.output, &[&lineage[..], b"\n"].concat())?;
    text::line(format_args!(
        "{}: for {}, {} follows {}",
        args.output.display(),
        args.publisher,
        new.id(),
        old.public().id()
    ))
}
