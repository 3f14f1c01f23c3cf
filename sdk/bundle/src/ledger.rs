//! The vendor's side of grants: issuing them, and remembering what was issued.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::grant::{GrantedKey, Releases, SCHEMA};
use crate::limits::{MAX_GRANTED_BUNDLES, MAX_LEDGER_BYTES};
use crate::{
    AppName, DeviceId, Digest, Error, Grant, GrantClass, LicenseError, OutputLevel, Permit, Request, Result,
    SigningKey, Statement, Trust, Vault, VaultEntry, cipher, durable, json,
};

/// What a vendor offers in answer to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Offer {
    /// What kind of licence.
    pub class: GrantClass,
    /// See [`Grant::not_before`]; from now on by default.
    pub not_before: Option<u64>,
    /// See [`Grant::not_after`].
    pub not_after: Option<u64>,
    /// See [`Grant::grace_seconds`].
    pub grace_seconds: u64,
    /// See [`Grant::inferences`].
    pub inferences: Option<u64>,
    /// See [`Grant::seats`].
    pub seats: Option<u64>,
    /// See [`Grant::max_staleness_seconds`].
    pub max_staleness_seconds: Option<u64>,
    /// See [`Grant::output`].
    pub output: OutputLevel,
    /// See [`Grant::field_of_use`].
    pub field_of_use: String,
    /// See [`Grant::permits`].
    pub permits: Vec<Permit>,
    /// The releases that it covers; the one of the request by default. Of these, what is in the vault gets its key.
    pub releases: Option<Releases>,
    /// Give this device another trial of an app that it has had one of.
    pub again: bool,
}

/// One line of the ledger: a grant that was issued.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// The grant; `grants/ID.json` in the vault is what was given out.
    pub grant: Digest,
    /// Its class.
    pub class: GrantClass,
    /// The app.
    pub app: AppName,
    /// The device.
    pub device: DeviceId,
    /// The request.
    pub request: Digest,
    /// When.
    pub issued: u64,
}

impl Offer {
    /// An offer of this class without any limits or permits.
    #[must_use]
    pub fn new(class: GrantClass) -> Self {
        Self {
            class,
            not_before: None,
            not_after: None,
            grace_seconds: 0,
            inferences: None,
            seats: None,
            max_staleness_seconds: None,
            output: OutputLevel::Full,
            field_of_use: String::new(),
            permits: Vec::new(),
            releases: None,
            again: false,
        }
    }
}

impl Vault {
    /// Answers a request with a grant: wraps the content keys for its device, signs, and remembers it before it is given out.
    /// `now` is the time in seconds since 1970. Returns the JSON of the signed envelope.
    ///
    /// # Errors
    /// As [`Request::read`]; [`LicenseError::UnknownBundle`], [`LicenseError::IssuerNotNamed`] if the bundle does not name
    /// this key as one of its issuers, [`LicenseError::AlreadyIssued`], [`Error::InvalidValue`], [`Error::Io`].
    pub fn issue(&self, request: &[u8], offer: &Offer, key: &SigningKey, now: u64) -> Result<Vec<u8>> {
        let (request, digest) = Request::read(request)?;
        let entry = self.entry(request.identity)?;
        let issuer = key.public().id();
        if !entry.issuers.contains(&issuer) {
            return Err(LicenseError::IssuerNotNamed { signers: issuer.to_string() }.into());
        }
        let _lock = durable::lock(self.dir())?;
        self.check_new(&request, digest, offer, &entry.app)?;
        let id = Digest::from_bytes(*cipher::random()?);
        let releases = offer.releases.unwrap_or(Releases { first: entry.release, last: entry.release });
        let mut permits = offer.permits.clone();
        permits.sort_unstable();
        permits.dedup();
        let grant = Grant {
            schema: SCHEMA,
            id,
            class: offer.class,
            app: entry.app.clone(),
            releases,
            device: request.device.id(),
            request: digest,
            issued: now,
            not_before: offer.not_before.unwrap_or(now),
            not_after: offer.not_after,
            grace_seconds: offer.grace_seconds,
            inferences: offer.inferences,
            seats: offer.seats,
            max_staleness_seconds: offer.max_staleness_seconds,
            output: offer.output,
            field_of_use: offer.field_of_use.clone(),
            permits,
            keys: self.wrap_keys(&request, &entry, releases, id)?,
        };
        let signed = grant.sign(key)?;
        self.remember(&grant, &signed)?;
        Ok(signed)
    }

    /// What was issued, oldest first.
    ///
    /// # Errors
    /// [`LicenseError::VaultDamaged`], [`Error::Io`].
    pub fn ledger(&self) -> Result<Vec<LedgerEntry>> {
        let path = self.ledger_path();
        let text = match crate::file::read_text(&path, "ledger", MAX_LEDGER_BYTES) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        // A line that a crash cut short was never given out as a grant.
        let whole = text.get(..durable::whole_lines(text.as_bytes())).unwrap_or_default();
        let read = |(at, line): (usize, &str)| {
            json::from_slice("ledger", line.as_bytes(), MAX_LEDGER_BYTES).map_err(|error| {
                let (path, reason) = (path.clone(), format!("line {}: {error}", at + 1));
                LicenseError::VaultDamaged { path, reason }.into()
            })
        };
        whole.lines().enumerate().map(read).collect()
    }

    /// Checks a device's statement, compares it with the one that the vault has of the same grant, and keeps the longer.
    ///
    /// # Errors
    /// As [`Statement::verify`]; [`LicenseError::Fork`] where the two say different things; [`Error::Io`].
    pub fn audit(&self, statement: &[u8], trust: &Trust) -> Result<Statement> {
        let new = Statement::verify(statement, trust)?;
        let dir = self.dir().join("statements");
        durable::make_private_dir(&dir)?;
        let _lock = durable::lock(self.dir())?;
        let path = dir.join(format!("{}.jsonl", new.grant().grant().id));
        let known = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            other => Some(Statement::verify(&other.map_err(durable::io("read", &path))?, trust)?),
        };
        if let Some(known) = &known {
            new.continues(known)?;
        }
        if known.is_none_or(|known| known.receipts().len() < new.receipts().len()) {
            durable::replace(&path, statement, true, &|_| ())?;
        }
        Ok(new)
    }

    fn wrap_keys(
        &self,
        request: &Request,
        entry: &VaultEntry,
        releases: Releases,
        grant: Digest,
    ) -> Result<Vec<GrantedKey>> {
        let covered = |other: &VaultEntry| {
            other.app == entry.app && (releases.first..=releases.last).contains(&other.release)
        };
        let mut entries: Vec<VaultEntry> = self.entries()?.into_iter().filter(covered).collect();
        if entries.len() > MAX_GRANTED_BUNDLES {
            let cut = entries.len() - MAX_GRANTED_BUNDLES;
            entries.drain(..cut); // the newest releases stay
        }
        let wrap = |entry: VaultEntry| {
            let wrapped = request.device.wrap(&self.key_for(&entry)?, entry.identity, grant)?;
            Ok(GrantedKey { identity: entry.identity, release: entry.release, wrapped })
        };
        entries.into_iter().map(wrap).collect()
    }

    /// One grant a request, and one trial a device and app.
    fn check_new(&self, request: &Request, digest: Digest, offer: &Offer, app: &AppName) -> Result<()> {
        let device = request.device.id();
        let before = self.ledger()?.into_iter().find_map(|line| {
            let trial = offer.class == GrantClass::Trial && line.class == GrantClass::Trial;
            if line.request == digest {
                Some(("this request was answered", line.grant))
            } else if trial && !offer.again && line.device == device && line.app == *app {
                Some(("this device has had a trial of this app", line.grant))
            } else {
                None
            }
        });
        before.map_or(Ok(()), |(what, grant)| Err(LicenseError::AlreadyIssued { what, grant }.into()))
    }

    fn remember(&self, grant: &Grant, signed: &[u8]) -> Result<()> {
        let dir = self.dir().join("grants");
        durable::make_private_dir(&dir)?;
        durable::replace(&dir.join(format!("{}.json", grant.id)), signed, true, &|_| ())?;
        let line = LedgerEntry {
            grant: grant.id,
            class: grant.class,
            app: grant.app.clone(),
            device: grant.device,
            request: grant.request,
            issued: grant.issued,
        };
        let line = json::to_vec(&line)?;
        durable::append_line(&self.ledger_path(), &line, true, &|_| ())
    }

    fn ledger_path(&self) -> PathBuf {
        self.dir().join("ledger.jsonl")
    }
}
