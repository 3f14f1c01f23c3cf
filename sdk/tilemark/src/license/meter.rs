//! Counting inferences: a block of them is reserved in the book, then used from memory.

use std::sync::{Mutex, PoisonError};

use tilemark_bundle::{DeviceKey, Digest, Grant, GrantClass, SignedGrant, Step, Usage};

use super::book::{Book, short};
use super::clock::Clock;
use super::refusal::Unlicensed;
use crate::error::Error;

/// The budget is reserved in at least this many blocks, so that a crash costs at most so small a part of it.
const BLOCKS: u64 = 64;
/// The largest block: beyond this, writing it costs nothing noticeable any more.
const MAX_BLOCK: u64 = 1024;
/// How far a clock may be behind the last receipt: what setting it right may cost.
pub(super) const CLOCK_TOLERANCE: u64 = 300;

/// The use of one grant by this process, for any number of threads.
#[derive(Debug)]
pub(crate) struct Meter {
    grant: SignedGrant,
    book: Book,
    clock: Clock,
    block: Mutex<Block>,
}

/// Inferences that were reserved and not used yet.
#[derive(Debug, Default)]
struct Block {
    left: u64,
    /// The receipt that reserved them.
    receipt: u64,
    /// The process that did: a copy of it made by `fork` must not use them too.
    process: u32,
}

impl Meter {
    pub(super) fn new(grant: SignedGrant, book: Book, clock: Clock) -> Self {
        Self { grant, book, clock, block: Mutex::default() }
    }

    /// Where it is of a leased seat: the grant that lends it.
    pub(super) fn lender(&self) -> Option<Digest> {
        self.grant.lender()
    }

    pub(super) fn grant(&self) -> &Grant {
        self.grant.grant()
    }

    /// The device that counts.
    pub(super) fn device(&self) -> &DeviceKey {
        self.book.device()
    }

    /// Counts `units` inferences, or refuses them. When this returns, they are used.
    pub(crate) fn take(&self, units: u64) -> Result<(), Error> {
        check_time(&self.grant, self.clock.now())?;
        if self.grant().inferences.is_none() {
            return Ok(());
        }
        // A thread that panicked while it held the lock left a block that is only smaller than it could be.
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        if block.left < units || block.process != std::process::id() {
            *block = self.reserve(units, &block)?;
        }
        block.left = block.left.saturating_sub(units);
        Ok(())
    }

    /// Reserves at least `units` beyond what is left of the last block, which goes back first.
    fn reserve(&self, units: u64, last: &Block) -> Result<Block, Error> {
        let mut open = self.book.open()?;
        let mut usage = open.usage(&self.grant)?.ok_or_else(|| self.forgotten())?;
        let now = self.clock.now();
        check_clock(&self.grant, &usage, now)?;
        if last.left > 0 && last.process == std::process::id() {
            let step = Step::Return { units: last.left, of: last.receipt };
            usage = open.write(&self.grant, &usage, step, now)?;
        }
        let budget = self.grant().inferences.unwrap_or(u64::MAX);
        let remaining = budget.saturating_sub(usage.used);
        if remaining < units {
            return Err(spent(&self.grant, &usage, units).into());
        }
        let size = (budget / BLOCKS).clamp(1, MAX_BLOCK).max(units).min(remaining);
        let usage = open.write(&self.grant, &usage, Step::Reserve(size), now)?;
        Ok(Block { left: size, receipt: usage.receipts, process: std::process::id() })
    }

    fn forgotten(&self) -> Unlicensed {
        let found = "the grant was removed while it was used".into();
        Unlicensed::NoGrant { app: self.grant().app.to_string(), found }
    }
}

impl Drop for Meter {
    /// Gives back what was not used. If that fails it is lost, as after a crash.
    fn drop(&mut self) {
        let block = std::mem::take(self.block.get_mut().unwrap_or_else(PoisonError::into_inner));
        if block.left == 0 || block.process != std::process::id() {
            return;
        }
        let give_back = || -> Result<(), Error> {
            let mut open = self.book.open()?;
            if let Some(usage) = open.usage(&self.grant)? {
                let step = Step::Return { units: block.left, of: block.receipt };
                open.write(&self.grant, &usage, step, self.clock.now())?;
            }
            Ok(())
        };
        let _ = give_back();
    }
}

/// Whether the grant is in force.
pub(super) fn check_time(grant: &SignedGrant, now: u64) -> Result<(), Error> {
    let claims = grant.grant();
    let (class, name) = (claims.class.as_str(), || short(claims.id));
    // An owned grant asks no clock: a device whose clock has lost its battery still runs what was bought.
    if claims.class == GrantClass::Owned {
        return Ok(());
    }
    if now.saturating_add(CLOCK_TOLERANCE) < claims.not_before {
        return Err(Unlicensed::NotYet { class, grant: name(), begin: claims.not_before, now }.into());
    }
    match claims.end() {
        Some(end) if now > end => Err(Unlicensed::Expired { class, grant: name(), end, now }.into()),
        _ => Ok(()),
    }
}

/// Whether the clock goes on from the last receipt, where the grant ends by the clock.
pub(super) fn check_clock(grant: &SignedGrant, usage: &Usage, now: u64) -> Result<(), Error> {
    let claims = grant.grant();
    if claims.not_after.is_some() && is_back(usage, now) {
        return Err(Unlicensed::ClockSetBack { grant: short(claims.id), now, last: usage.time }.into());
    }
    check_time(grant, now.max(usage.time))
}

/// Whether the clock is before the last receipt, by more than it may.
pub(super) fn is_back(usage: &Usage, now: u64) -> bool {
    now.saturating_add(CLOCK_TOLERANCE) < usage.time
}

pub(super) fn spent(grant: &SignedGrant, usage: &Usage, wanted: u64) -> Unlicensed {
    let claims = grant.grant();
    Unlicensed::Spent {
        class: claims.class.as_str(),
        grant: short(claims.id),
        used: usage.used,
        budget: claims.inferences.unwrap_or_default(),
        wanted,
    }
}
