//! Successors of keys that this machine has been told of: one of each key and publisher.

use std::path::PathBuf;

use tilemark_bundle::limits::MAX_LINEAGES;
use tilemark_bundle::{Error as BundleError, SignedLineage, Trust};

use crate::documents::Documents;
use crate::error::Error;

/// The lineages, in `lineages` of the home.
#[derive(Clone, Debug)]
pub struct Lineages {
    files: Documents,
}

/// Files beyond this are no lineages.
const MAX_LINEAGE_FILE_BYTES: u64 = 16 << 10;

impl Lineages {
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { files: Documents { dir, what: "lineage", max_bytes: MAX_LINEAGE_FILE_BYTES } }
    }

    /// Records a lineage, if the key that is followed signed it, may sign, and has named no other successor here.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it is not authentic, not trusted, or another one is recorded; [`Error::Io`].
    pub fn install(&self, text: &[u8], trust: &Trust) -> Result<SignedLineage, Error> {
        let _lock = self.files.lock()?;
        let all = self.files.all()?;
        let trust = trust.clone().with_lineages(&all)?;
        let lineage = SignedLineage::verify(text, &trust)?;
        let said = lineage.lineage();
        let name = format!("{}~{}", said.publisher, said.old);
        if let Some(known) = self.files.read(&name)? {
            lineage.agrees(&SignedLineage::recorded(&known, &trust)?)?;
        } else if all.len() >= MAX_LINEAGES {
            let (what, found) = ("lineages", MAX_LINEAGES + 1);
            return Err(BundleError::TooMany { what, found, max: MAX_LINEAGES }.into());
        }
        self.files.write(&name, text)?;
        Ok(lineage)
    }

    /// A policy with the successors of its keys.
    ///
    /// # Errors
    /// [`Error::Bundle`] for a file that is damaged, [`Error::Io`].
    pub fn apply(&self, trust: &Trust) -> Result<Trust, Error> {
        Ok(trust.clone().with_lineages(&self.files.all()?)?)
    }
}
