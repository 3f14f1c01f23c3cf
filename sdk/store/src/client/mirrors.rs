use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

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
        accept: impl FnMut(Vec<u8>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.ask(path, max, accept)?.into_result(path)
    }

    /// The same for a file that need not be there: one mirror that does not have it outweighs those that send anything else.
    pub(crate) fn get_if_any<T>(
        &self,
        path: &str,
        max: u64,
        accept: impl FnMut(Vec<u8>) -> Result<T>,
    ) -> Result<Option<T>> {
        let asked = self.ask(path, max, accept)?;
        if asked.found.is_none() && asked.absent { Ok(None) } else { asked.into_result(path) }
    }

    fn ask<T>(
        &self,
        path: &str,
        max: u64,
        mut accept: impl FnMut(Vec<u8>) -> Result<T>,
    ) -> Result<Asked<'_, T>> {
        self.try_each(|transport| {
            let Some(opened) = transport.open(path, 0, self.patience.for_bytes(max))? else {
                return Ok(None);
            };
            accept(self.read(opened, transport, path, max)?).map(Some)
        })
    }

    /// Tries a mirror after the other until one has it.
    pub(crate) fn each<T>(
        &self,
        what: &str,
        attempt: impl FnMut(&dyn Transport) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        self.try_each(attempt)?.into_result(what)
    }

    fn try_each<T>(
        &self,
        mut attempt: impl FnMut(&dyn Transport) -> Result<Option<T>>,
    ) -> Result<Asked<'_, T>> {
        let first = self.good.load(Ordering::Relaxed);
        let mut asked = Asked { found: None, absent: false, failures: Vec::new() };
        for step in 0..self.transports.len() {
            let at = (first + step) % self.transports.len();
            let Some(transport) = self.transports.get(at) else { continue };
            match attempt(&**transport) {
                Ok(Some(found)) => {
                    self.good.store(at, Ordering::Relaxed);
                    asked.found = Some(found);
                    break;
                }
                Ok(None) => asked.absent = true,
                // This machine fails, for instance by a full disk: no other mirror mends that.
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(error) => asked.failures.push((transport.name(), error)),
            }
        }
        Ok(asked)
    }

    fn read(&self, opened: Opened, transport: &dyn Transport, path: &str, max: u64) -> Result<Vec<u8>> {
        let (mut bytes, mut chunk) = (Vec::new(), vec![0; 1 << 14]);
        let broken = |reason: String| Error::Network { url: format!("{}/{path}", transport.name()), reason };
        let mut reader = opened.reader.take(max.saturating_add(1));
        let mut pace = Pace::new(self.patience);
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Ok(bytes),
                Ok(count) => {
                    bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
                    pace.took(count).map_err(broken)?;
                }
                Err(error) => return Err(broken(error.to_string())),
            }
            if bytes.len() as u64 > max {
                return Err(Error::EndlessData { what: path.to_owned(), max });
            }
        }
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }
}

impl std::fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.transports.iter().map(|transport| transport.name())).finish()
    }
}

/// What mirrors answered.
struct Asked<'a, T> {
    found: Option<T>,
    /// Whether one of them has no such file.
    absent: bool,
    failures: Vec<(&'a str, Error)>,
}

impl<T> Asked<'_, T> {
    fn into_result(mut self, what: &str) -> Result<Option<T>> {
        match (self.found, self.failures.len()) {
            (Some(found), _) => Ok(Some(found)),
            (None, 0) => Ok(None),
            (None, 1) => Err(self.failures.remove(0).1),
            (None, _) => Err(all(what, self.failures)),
        }
    }
}

/// How fast bytes come. It is not their mean that counts: a mirror that was fast before may not be slow for ever after.
pub(crate) struct Pace {
    patience: Patience,
    since: Instant,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, since: Instant::now(), bytes: 0 }
    }

    /// Counts what came.
    ///
    /// # Errors
    /// In words, if too little came for as long as the patience lasts.
    pub(crate) fn took(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes += bytes as u64;
        let elapsed = self.since.elapsed();
        if elapsed < self.patience.grace {
            return Ok(());
        }
        let least = u128::from(self.patience.min_rate) * elapsed.as_millis() / 1000;
        if u128::from(self.bytes) < least {
            return Err(format!("it sends less than {} bytes a second", self.patience.min_rate));
        }
        (self.since, self.bytes) = (Instant::now(), 0);
        Ok(())
    }
}

/// What all of them said. The first that is about trust decides what kind of error it is.
fn all(what: &str, mut failures: Vec<(&str, Error)>) -> Error {
    let said = failures.iter().map(|(name, error)| format!("{name}: {error}"));
    let tried = said.collect::<Vec<_>>().join("; ");
    let telling = failures.iter().position(|(_, error)| !matches!(error, Error::Network { .. }));
    let first = Box::new(failures.swap_remove(telling.unwrap_or(0)).1);
    Error::Mirrors { what: what.to_owned(), tried, first }
}
