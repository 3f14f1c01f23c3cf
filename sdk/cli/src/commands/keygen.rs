use std::path::{Path, PathBuf};

use tilemark::SigningKey;

use crate::args::Keygen;
use crate::failure::Result;
use crate::{files, text};

/// Makes a key pair; never overwrites one.
pub(crate) fn run(args: &Keygen) -> Result<()> {
    let key = SigningKey::generate(args.algorithm).map_err(tilemark::Error::from)?;
    let [secret, public] = ["key", "pub"].map(|extension| beside(&args.out, extension));
    files::create_new(&secret, key.to_pem(), true)?;
    if let Err(failure) = files::create_new(&public, key.public().to_pem(), false) {
        // Half a pair helps nobody. This removes only what was made a moment ago.
        let _ = std::fs::remove_file(&secret);
        return Err(failure);
    }
    let rows = [
        [secret.display().to_string(), "secret: keep it to yourself and back it up".to_owned()],
        [public.display().to_string(), "public: give it to those who shall trust your apps".to_owned()],
        ["key id".to_owned(), key.public().id().to_string()],
    ];
    text::table(&rows, &[])
}

/// `vendor` and `key` make `vendor.key`, also where the name has dots of its own.
fn beside(name: &Path, extension: &str) -> PathBuf {
    let mut file = name.to_owned().into_os_string();
    file.push(format!(".{extension}"));
    file.into()
}
