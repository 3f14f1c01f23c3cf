//! Revocation lists that this machine has: one of each publisher, the newest that it was given.

use std::path::PathBuf;

use tilemark_bundle::{
    Authentic, Error as BundleError, Fact, FactKind, Floors, Reason, SignedRevocations, Trust,
};

use crate::documents::Documents;
use crate::error::Error;
use crate::license::{DAY, format_time};

/// The lists, in `revocations` of the home.
#[derive(Clone, Debug)]
pub struct RevocationLists {
    files: Documents,
}

/// Files beyond this are no lists.
const MAX_LIST_FILE_BYTES: u64 = 4 << 20;

impl RevocationLists {
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { files: Documents { dir, what: "revocation list", max_bytes: MAX_LIST_FILE_BYTES } }
    }

    /// Takes a list in, if its publisher signed it and it is not older than the one that is here.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it is not authentic, not trusted or older; [`Error::Io`].
    pub fn install(&self, text: &[u8], trust: &Trust) -> Result<SignedRevocations, Error> {
        let list = SignedRevocations::verify(text, trust)?;
        let _lock = self.files.lock()?;
        let name = &list.list().publisher;
        let known = self.files.read(name)?.map_or(Ok(None), |known| read(&known, trust))?;
        if let Some(known) = known {
            list.follows(&known)?;
        }
        self.files.write(name, text)?;
        Ok(list)
    }

    /// Every list that the policy accepts; one that it knows no key of is about other publishers.
    ///
    /// # Errors
    /// [`Error::Bundle`] for a list that is damaged, [`Error::Io`].
    pub fn all(&self, trust: &Trust) -> Result<Vec<SignedRevocations>, Error> {
        self.files.all()?.iter().filter_map(|text| read(text, trust).transpose()).collect()
    }
}

/// A list; nothing if it is by no signer of the policy.
fn read(text: &[u8], trust: &Trust) -> Result<Option<SignedRevocations>, Error> {
    match SignedRevocations::verify(text, trust) {
        Ok(list) => Ok(Some(list)),
        Err(BundleError::UnknownSigners { .. } | BundleError::PublisherNotAllowed { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a publisher's list says about a bundle, after its reasons: refused, or accepted with a fact that does not hold.
pub(crate) fn judge(
    bundle: &Authentic,
    list: &SignedRevocations,
    floors: &Floors,
) -> Result<Option<Fact>, BundleError> {
    let (app, identity) = (&bundle.manifest().app, bundle.identity());
    let in_use = floors.floor(&app.name)?.is_some_and(|floor| floor.identity == identity);
    let warning = |text: String| Ok(Some(Fact { fact: FactKind::NotRevoked, holds: false, evidence: text }));
    let said = format!("list {} of {}", list.list().number, list.list().publisher);
    let entry = list.list().bundles.iter().find(|entry| entry.identity == identity);
    if let Some(entry) = entry {
        let (reason, note) = (entry.reason.as_str(), &entry.note);
        let text = format!("{said} revokes it ({reason}): {note}");
        return match entry.reason {
            Reason::Superseded => warning(text),
            Reason::Vulnerable if in_use => warning(format!("{text}; it was in use here, so it goes on")),
            // What was bought may go on: the grant decides.
            Reason::Legal if bundle.manifest().encryption.is_some() => warning(text),
            _ => Err(BundleError::RevokedBundle { identity, reason: text }),
        };
    }
    match list.floor(&app.name) {
        Some(floor) if app.release < floor && in_use => warning(format!(
            "{said} asks for release {floor} or newer; this one was in use here, so it goes on"
        )),
        Some(floor) if app.release < floor => {
            Err(BundleError::BelowFloor { app: app.name.to_string(), release: app.release, floor })
        }
        _ => Ok(None),
    }
}

/// How old what is known of a publisher's revocations is.
pub(crate) fn describe(list: &SignedRevocations, now: u64) -> String {
    let list = list.list();
    let days = now.saturating_sub(list.issued) / DAY;
    format!(
        "list {} of {}, made on {}, {days} days ago",
        list.number,
        list.publisher,
        format_time(list.issued)
    )
}
