use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};
use crate::limits::Patience;
use crate::transport::{Opened, Transport};

/// Several places with the same files. The one that answered last is asked first; one that fails is left for the next.
pub(crate) struct Mirrors {
    transports: Vec<Box<dyn Transport>>,
    good: AtomicUsize,
    patience: Patience,
}

impl Mirrors {
    pub(crate) fn new(transports: Vec<Box<dyn Transport>>, patience: Patience) -> Self {
        Self { transports, good: AtomicUsize::new(0), patience }
    }

    /// A small file, as soon as a mirror has one that `accept` accepts; `None` if none of them has any.
    ///
    /// # Errors
    /// Why the mirrors' files are not accepted.
    pub(crate) fn get<T>(
        &self,
        path: &str,
        max: u64,
        mut accept: impl FnMut(Vec<u8>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.each(path, |transport| {
            let Some(opened) = transport.open(path, 0, self.patience.for_bytes(max))? else {
                return Ok(None);
            };
            accept(read(opened, transport, path, max)?).map(Some)
        })
    }

    /// Tries a mirror after the other until one has it.
    pub(crate) fn each<T>(
        &self,
        what: &str,
        mut attempt: impl FnMut(&dyn Transport) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let first = self.good.load(Ordering::Relaxed);
        let mut failures: Vec<(&str, Error)> = Vec::new();
        for step in 0..self.transports.len() {
            let at = (first + step) % self.transports.len();
            let Some(transport) = self.transports.get(at) else { continue };
            match attempt(&**transport) {
                Ok(Some(found)) => {
                    self.good.store(at, Ordering::Relaxed);
                    return Ok(Some(found));
                }
                Ok(None) => {}
                Err(error) => failures.push((transport.name(), error)),
            }
        }
        match failures.len() {
            0 => Ok(None),
            1 => Err(failures.remove(0).1),
            _ => Err(all(what, failures)),
        }
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }
}

impl std::fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.transports.iter().map(|transport| transport.name())).finish()
    }
}

fn read(opened: Opened, transport: &dyn Transport, path: &str, max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let broken = |source: std::io::Error| Error::Network {
        url: format!("{}/{path}", transport.name()),
        reason: source.to_string(),
    };
    opened.reader.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() as u64 > max {
        return Err(Error::EndlessData { what: path.to_owned(), max });
    }
    Ok(bytes)
}

/// What all of them said. The first that is about trust decides what kind of error it is.
fn all(what: &str, mut failures: Vec<(&str, Error)>) -> Error {
    let said = failures.iter().map(|(name, error)| format!("{name}: {error}"));
    let tried = said.collect::<Vec<_>>().join("; ");
    let telling =
        failures.iter().position(|(_, error)| !matches!(error, Error::Network { .. } | Error::Io { .. }));
    let first = Box::new(failures.swap_remove(telling.unwrap_or(0)).1);
    Error::Mirrors { what: what.to_owned(), tried, first }
}
