//! `tilemark eval commit`, and what opens it.

use tilemark::eval::{Commitment, Opened, Opening};
use tilemark::{PublicKey, SigningKey};

use crate::args::eval::{Commit, Eval};
use crate::failure::Result;
use crate::outputs::Outputs;
use crate::{files, text};

/// Writes a commitment and what opens it.
pub(super) fn run(args: &Commit) -> Result<()> {
    // Known before the data is read: what exists is not overwritten.
    Outputs::default()
        .reads(&[("the data", Some(&args.data)), ("--key", args.key.as_ref())])
        .writes("--out", Some(&args.out), |_| false)?
        .writes("--salt", Some(&args.salt), |_| false)?;
    let key = args.key.as_ref().map(SigningKey::from_file).transpose().map_err(tilemark::Error::from)?;
    let now = tilemark::license::Clock::system().now();
    let (commitment, opening) = Commitment::make(&args.data, args.metric, now)?;
    let published = commitment.to_json(key.as_ref())?;
    files::create_new(&args.salt, &opening.to_json()?, true)?;
    files::create_new(&args.out, &published, false)?;
    if args.json {
        return text::json(&commitment);
    }
    text::line(format_args!("{} samples, root {}", commitment.samples, commitment.root))?;
    text::line(format_args!(
        "publish {}: it shows nothing of the data but how many samples there are, and what is to be measured",
        args.out.display()
    ))?;
    text::line(format_args!("keep {} secret until the data is shown, and back it up", args.salt.display()))
}

/// What the data has to be, if that was committed to.
pub(super) fn opened(args: &Eval) -> Result<Option<Opened>> {
    let (Some(commitment), Some(salt)) = (&args.committed, &args.salt) else { return Ok(None) };
    let key =
        args.committed_by.as_ref().map(PublicKey::from_file).transpose().map_err(tilemark::Error::from)?;
    let commitment = Commitment::read(&files::read(commitment)?, key.as_ref())?;
    Ok(Some(commitment.open(Opening::read(&files::read(salt)?)?)?))
}
