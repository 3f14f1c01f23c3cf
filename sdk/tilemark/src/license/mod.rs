//! Licences on the device that uses them: its key, installed grants, and how far they were used. Wholly offline.

mod book;
mod clock;
mod identity;
mod lease;
mod meter;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod refusal;
mod seats;
#[cfg(unix)]
mod tpm;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use tilemark_bundle::{
    Bundle, ContentKey, DeviceKey, Digest, FactKind, Grant, GrantClass, OutputLevel, PayloadType, Reason,
    Request, Revocations, SignedGrant, SignedRevocations, Statement, Step, Strength, Trust, Usage, durable,
};

use crate::error::Error;
use crate::revocations::RevocationLists;
use book::{Book, Probe, short};
use identity::Identity;
use meter::Meter;

pub use clock::{Clock, format_time, parse_day};
pub use identity::{Keeper, keeper};
pub use refusal::Unlicensed;
pub(crate) use tilemark_bundle::calendar::DAY;

/// The licences of one device.
#[derive(Clone, Debug)]
pub struct Licenses {
    home: PathBuf,
    clock: Clock,
    probe: Probe,
}

/// A grant that is installed here.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Installed {
    /// The grant, vouched for by this device since it was verified.
    pub grant: SignedGrant,
    /// How far it was used.
    pub usage: Usage,
    /// What keeps it from being used now.
    pub refusal: Option<String>,
}

/// What `license install` did.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Installation {
    /// It is new here.
    New,
    /// It was here already; nothing changed.
    Known,
}

/// Larger files are no grants.
const MAX_GRANT_FILE_BYTES: u64 = 2 << 20;

impl Licenses {
    pub(crate) fn at(home: PathBuf, clock: Clock) -> Self {
        Self { home, clock, probe: |_| () }
    }

    /// This device's key, if it has one yet.
    ///
    /// # Errors
    /// [`Error::Unlicensed`] if it is damaged or readable by others, [`Error::Keeper`] if its keeper does not give it.
    pub fn device(&self) -> Result<Option<DeviceKey>, Error> {
        Ok(self.identity().load()?.map(|(key, _)| key))
    }

    /// Asks for the use of the bundle with this identity here; makes the device's key if there is none, and has `keeper` keep it. The text is for
    /// the vendor.
    ///
    /// # Errors
    /// Those of [`device`](Self::device); [`Error::Bundle`] if the key cannot be made.
    pub fn request(&self, bundle: Digest, keeper: &dyn Keeper) -> Result<Vec<u8>, Error> {
        let device = self.identity().load_or_create(keeper)?;
        Ok(Request::make(bundle, &device)?)
    }

    /// Installs a grant: checks who signed it and that it is for this device, and begins its record.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it is not authentic, not trusted or for another device; [`Unlicensed::Replayed`] if it was here
    /// before and is used up; what is wrong with the device's state.
    pub fn install(&self, text: &[u8], trust: &Trust) -> Result<(SignedGrant, Installation), Error> {
        let grant = SignedGrant::verify(text, trust)?;
        let claims = grant.grant();
        let book = self.book()?.ok_or_else(|| self.no_device(claims.app.as_str()))?;
        let device = book.device().id();
        if claims.device != device {
            let error = tilemark_bundle::LicenseError::OtherDevice { granted: claims.device, found: device };
            return Err(tilemark_bundle::Error::from(error).into());
        }
        let mut open = book.open()?;
        let installation = match open.usage(&grant)? {
            None => {
                open.install(&grant)?;
                self.identity().set_witnessed()?;
                Installation::New
            }
            Some(usage) if claims.inferences.is_some_and(|budget| usage.used >= budget) => {
                return Err(Unlicensed::Replayed { grant: short(claims.id) }.into());
            }
            Some(_) => Installation::Known,
        };
        durable::make_private_dir(&self.dir("grants"))?;
        durable::replace(&self.grant_path(claims.id), text.trim_ascii(), true, &self.probe)?;
        Ok((grant, installation))
    }

    /// Every installed grant.
    ///
    /// # Errors
    /// What is wrong with the device's state.
    pub fn installed(&self) -> Result<Vec<Installed>, Error> {
        let Some(book) = self.book()? else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for entry in book.entries()? {
            let Some(text) = self.read_grant(entry.grant)? else { continue };
            let grant = SignedGrant::recorded(&text, entry.digest)?;
            let (usage, refusal) = match book.peek(&grant) {
                Ok(usage) => {
                    let usage = usage.unwrap_or(entry.usage());
                    (usage, self.check(&grant, &usage).err())
                }
                Err(error) => (entry.usage(), Some(error)),
            };
            all.push(Installed { grant, usage, refusal: refusal.map(|error| error.to_string()) });
        }
        Ok(all)
    }

    /// What the vendor is to get about the use of a grant; [`Statement::verify`] reads it.
    ///
    /// # Errors
    /// [`Unlicensed::NoGrant`] if it is not installed; what is wrong with the device's state.
    pub fn statement(&self, grant: Digest) -> Result<Vec<u8>, Error> {
        let missing =
            || Unlicensed::NoGrant { app: format!("the id {grant}"), found: "not installed".into() };
        let book = self.book()?.ok_or_else(missing)?;
        let text = self.read_grant(grant)?.ok_or_else(missing)?;
        Ok(Statement::write(&text, book.device().public(), &book.receipts(grant)?)?)
    }

    /// Finds the best grant for a bundle and notes in its verdict what was found.
    pub(crate) fn entitle(&self, bundle: &mut Bundle, trust: &Trust) -> Result<(License, ContentKey), Error> {
        let found = self.find(bundle, trust);
        let verdict = bundle.verdict_mut();
        let (license, key, usage) = match found {
            Ok(found) => found,
            Err(error) => {
                verdict.set(FactKind::Entitled, false, error.to_string());
                return Err(error);
            }
        };
        verdict.set(FactKind::Entitled, true, license.describe(&usage));
        let strength = license.strength();
        verdict.set(FactKind::DeviceBound, strength == Strength::DeviceBound, strength.as_str());
        let now = self.clock.now();
        let (continuous, evidence) = if meter::is_back(&usage, now) {
            let (now, last) = (format_time(now), format_time(usage.time));
            (false, format!("the clock was set back: it is {now}, the last receipt is of {last}"))
        } else {
            (true, format!("{} receipts, log and witness agree, the clock goes on", usage.receipts))
        };
        verdict.set(FactKind::StateContinuous, continuous, evidence);
        Ok((license, key))
    }

    fn find(&self, bundle: &Bundle, trust: &Trust) -> Result<(License, ContentKey, Usage), Error> {
        let app = &bundle.manifest().app.name;
        let Some(book) = self.book()? else { return Err(self.no_device(app.as_str())) };
        let mut candidates = Vec::new();
        let mut refusals: Vec<Error> = Vec::new();
        for entry in book.entries()? {
            let Some(text) = self.read_grant(entry.grant)? else { continue };
            match SignedGrant::verify(&text, trust) {
                Ok(grant) if grant.grant().app == *app => candidates.push(grant),
                Ok(_) => {}
                // Another vendor's grant may be signed by a key that this policy does not know.
                Err(error) => {
                    let ours = SignedGrant::recorded(&text, entry.digest);
                    if ours.is_ok_and(|grant| grant.grant().app == *app) {
                        refusals.push(error.into());
                    }
                }
            }
        }
        let lists = RevocationLists::at(self.home.join("revocations")).all(trust)?;
        let mut lists = lists.iter().map(SignedRevocations::list);
        let list = lists.find(|list| list.publisher == app.publisher());
        candidates.sort_by_key(|grant| (grant.grant().class, grant.grant().issued));
        for grant in candidates {
            match self.try_grant(&book, grant, bundle, list) {
                Ok(found) => return Ok(found),
                Err(error) => refusals.push(error),
            }
        }
        // The last one is of the newest grant of the least class: what the user has used most recently, as a rule.
        Err(refusals.pop().unwrap_or_else(|| {
            let found = "none of the grants installed here is for it".to_owned();
            Unlicensed::NoGrant { app: app.to_string(), found }.into()
        }))
    }

    fn try_grant(
        &self,
        book: &Book,
        grant: SignedGrant,
        bundle: &Bundle,
        list: Option<&Revocations>,
    ) -> Result<(License, ContentKey, Usage), Error> {
        let key = grant.content_key(bundle.manifest(), bundle.identity(), book.device())?;
        let claims = grant.grant();
        self.check_revoked(&grant, bundle, list)?;
        let mut usage = match book.peek(&grant) {
            // What was bought runs, whatever became of its record: it limits nothing.
            Err(_) if claims.class == GrantClass::Owned => Usage::none(&grant),
            recorded => recorded?.unwrap_or(Usage::none(&grant)),
        };
        self.check(&grant, &usage)?;
        if claims.not_after.is_some() {
            usage = self.note_time(book, &grant)?;
        }
        let seat = claims.seats.map(|_| self.take_seat(book, &grant)).transpose()?;
        let meter = Meter::new(grant, book.clone(), self.clock.clone());
        Ok((License { meter, _seat: seat }, key, usage))
    }

    /// Whether the publisher took the grant, or this bundle, back; and whether what is known of that is new enough. What was
    /// bought goes on, unless its very signature is in doubt.
    fn check_revoked(
        &self,
        signed: &SignedGrant,
        bundle: &Bundle,
        list: Option<&Revocations>,
    ) -> Result<(), Error> {
        let claims = signed.grant();
        let (class, grant, owned) =
            (claims.class.as_str(), short(claims.id), claims.class == GrantClass::Owned);
        // With a grant go the seats that were leased of it.
        let is = |id: Digest| id == claims.id || Some(id) == signed.lender();
        let revoked = list.and_then(|list| list.grants.iter().find(|entry| is(entry.grant)));
        if let Some(entry) = revoked
            && (!owned || entry.reason == Reason::KeyCompromise)
            && entry.reason != Reason::Superseded
        {
            let said = format!("{}, {}", entry.reason.as_str(), entry.note);
            return Err(Unlicensed::Revoked { class, grant, said }.into());
        }
        let of_bundle = list.and_then(|list| list.bundles.iter().find(|b| b.identity == bundle.identity()));
        if let Some(entry) = of_bundle
            && entry.reason == Reason::Legal
            && !owned
        {
            return Err(Unlicensed::Revoked {
                class,
                grant,
                said: format!("its bundle is (legal), {}", entry.note),
            }
            .into());
        }
        let Some(max) = claims.max_staleness_seconds else { return Ok(()) };
        let age = list.map(|list| self.clock.now().saturating_sub(list.issued));
        if age.is_some_and(|age| age <= max) {
            return Ok(());
        }
        let found =
            age.map_or("there is none here".into(), |age| format!("the one here is {} days old", age / DAY));
        let (publisher, days) = (claims.app.publisher().to_owned(), max / DAY);
        Err(Unlicensed::Stale { class, grant, publisher, days, found }.into())
    }

    /// Writes down that it was this late already, so that the clock cannot go back behind it.
    fn note_time(&self, book: &Book, grant: &SignedGrant) -> Result<Usage, Error> {
        let mut open = book.open()?;
        let usage = open.usage(grant)?.unwrap_or(Usage::none(grant));
        let now = self.clock.now();
        meter::check_clock(grant, &usage, now)?;
        if now <= usage.time.saturating_add(meter::CLOCK_TOLERANCE) {
            return Ok(usage);
        }
        open.write(grant, &usage, Step::Open, now)
    }

    fn check(&self, grant: &SignedGrant, usage: &Usage) -> Result<(), Error> {
        meter::check_clock(grant, usage, self.clock.now())?;
        match grant.grant().inferences {
            Some(budget) if usage.used >= budget => Err(meter::spent(grant, usage, 1).into()),
            _ => Ok(()),
        }
    }

    fn book(&self) -> Result<Option<Book>, Error> {
        let loaded = self.identity().load()?;
        Ok(loaded.map(|(key, witnessed)| Book::new(self.dir(""), Arc::new(key), witnessed, self.probe)))
    }

    fn identity(&self) -> Identity {
        Identity::at(self.home.join("device"))
    }

    fn no_device(&self, app: &str) -> Error {
        let found = "this device has asked for none: it has no key yet".to_owned();
        Unlicensed::NoGrant { app: app.to_owned(), found }.into()
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.home.join("license").join(name)
    }

    fn grant_path(&self, grant: Digest) -> PathBuf {
        self.dir("grants").join(format!("{grant}.json"))
    }

    fn read_grant(&self, grant: Digest) -> Result<Option<Vec<u8>>, Error> {
        let path = self.grant_path(grant);
        let io = |source| Error::Io { path: path.clone(), source };
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if metadata.len() > MAX_GRANT_FILE_BYTES => {
                let reason = format!("{} bytes, the limit is {MAX_GRANT_FILE_BYTES}", metadata.len());
                return Err(Unlicensed::StateDamaged { path: path.clone(), reason }.into());
            }
            other => other.map_err(io)?,
        };
        std::fs::read(&path).map(Some).map_err(io)
    }
}

/// The right to use an app in this process. What is left of its budget goes back when the last part of the app is dropped.
#[derive(Debug)]
pub struct License {
    meter: Meter,
    _seat: Option<seats::Seat>,
}

impl License {
    /// The grant.
    pub fn grant(&self) -> &Grant {
        self.meter.grant()
    }

    /// How well this device keeps its key.
    pub fn strength(&self) -> Strength {
        self.meter.device().public().strength
    }

    /// Counts inferences, or refuses them. Sessions call it; a caller who computes with the app's parts on their own does too.
    ///
    /// # Errors
    /// [`Error::Unlicensed`], or what is wrong with the device's state.
    pub fn take(&self, inferences: usize) -> Result<(), Error> {
        self.meter.take(inferences as u64)
    }

    /// Refuses results beyond what the grant gives out; `asked` names them.
    ///
    /// # Errors
    /// [`Unlicensed::OutputLevel`].
    pub fn check_output(&self, asked: &'static str) -> Result<(), Error> {
        match self.grant().output {
            OutputLevel::Label => {
                let (class, grant) = (self.grant().class.as_str(), short(self.grant().id));
                Err(Unlicensed::OutputLevel { class, grant, asked }.into())
            }
            _ => Ok(()),
        }
    }

    /// One line for people.
    fn describe(&self, usage: &Usage) -> String {
        let claims = self.grant();
        let mut text = format!("{} grant {}", claims.class, short(claims.id));
        if let Some(budget) = claims.inferences {
            text += &format!(", {} of {budget} inferences left", budget.saturating_sub(usage.used));
        }
        if let Some(end) = claims.not_after {
            let grace = if usage.time > end { ", now in its grace" } else { "" };
            text += &format!(", until {}{grace}", format_time(end));
        }
        if let Some(seats) = claims.seats {
            text += &match self.meter.lender() {
                Some(lender) => format!(", a seat leased of the grant {}", short(lender)),
                None => format!(", one of {seats} seats"),
            };
        }
        if claims.output == OutputLevel::Label {
            text += ", best label only";
        }
        text
    }
}

/// What kind of document a file is, by its payload type.
pub fn is_payload(text: &[u8], kind: PayloadType) -> bool {
    // The canonical spelling begins with the type; whether the rest is one is for its reader to say.
    let head = format!("{{\"payloadType\":\"{}\",", kind.as_str());
    text.trim_ascii_start().starts_with(head.as_bytes())
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod lease_tests;
#[cfg(test)]
mod tests;
