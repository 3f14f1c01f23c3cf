//! Successors of keys that this machine has been told of: one of each key and publisher.

use std::path::{Path, PathBuf};

use tilemark_bundle::limits::MAX_LINEAGES;
use tilemark_bundle::{Error as BundleError, SignedLineage, Trust, durable};

use crate::error::Error;

/// The lineages, in `lineages` of the home.
#[derive(Clone, Debug)]
pub struct Lineages {
    dir: PathBuf,
}

/// Files beyond this are no lineages.
const MAX_LINEAGE_FILE_BYTES: u64 = 16 << 10;

impl Lineages {
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Records a lineage, if the key that is followed signed it, may sign, and has named no other successor here.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it is not authentic, not trusted, or another one is recorded; [`Error::Io`].
    pub fn install(&self, text: &[u8], trust: &Trust) -> Result<SignedLineage, Error> {
        durable::make_private_dir(&self.dir)?;
        let _lock = durable::lock(&self.dir)?;
        let trust = self.apply(trust)?;
        let lineage = SignedLineage::verify(text, &trust)?;
        let said = lineage.lineage();
        let path = self.dir.join(format!("{}~{}.json", said.publisher, said.old));
        if path.exists() {
            lineage.agrees(&SignedLineage::recorded(&read(&path)?, &trust)?)?;
        } else if self.all()?.len() >= MAX_LINEAGES {
            return Err(BundleError::TooMany {
                what: "lineages",
                found: MAX_LINEAGES + 1,
                max: MAX_LINEAGES,
            }
            .into());
        }
        durable::replace(&path, text.trim_ascii(), false, &|_| ())?;
        Ok(lineage)
    }

    /// A policy with the successors of its keys.
    ///
    /// # Errors
    /// [`Error::Bundle`] for a file that is damaged, [`Error::Io`].
    pub fn apply(&self, trust: &Trust) -> Result<Trust, Error> {
        Ok(trust.clone().with_lineages(&self.all()?)?)
    }

    fn all(&self) -> Result<Vec<Vec<u8>>, Error> {
        let io = |source| Error::Io { path: self.dir.clone(), source };
        let files = match std::fs::read_dir(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(io)?,
        };
        let mut all = Vec::new();
        for file in files {
            let path = file.map_err(io)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                all.push(read(&path)?);
            }
        }
        Ok(all)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let found = std::fs::metadata(path).map_err(io)?.len();
    if found > MAX_LINEAGE_FILE_BYTES {
        return Err(BundleError::TooLarge { what: "lineage", found, max: MAX_LINEAGE_FILE_BYTES }.into());
    }
    std::fs::read(path).map_err(io)
}
