use std::path::Path;

use tilemark::SigningKey;

use crate::args::Keygen;
use crate::failure::Result;
use crate::{files, text};

/// Makes a key pair; never overwrites one.
pub(crate) fn run(args: &Keygen) -> Result<()> {
    let key = SigningKey::generate(args.algorithm).map_err(tilemark::Error::from)?;
    let [secret, public] = ["key", "pub"].map(|extension| {
        let mut name = args.out.clone().into_os_string();
        name.push(format!(".{extension}"));
        Path::new(&name).to_owned()
    });
    files::create_new(&secret, &key.to_pem(), true)?;
    files::create_new(&public, &key.public().to_pem(), false)?;
    text::line(format_args!("{}  secret; keep it to yourself and back it up", secret.display()))?;
    text::line(format_args!("{}  public; give it to those who shall trust your apps", public.display()))?;
    text::line(format_args!("key id {}", key.public().id()))
}
