//! Seats of floating grants on other devices: the holder lends one, writes it into its book, and has one less until it is back.

use std::collections::BTreeSet;

use tilemark_bundle::{Digest, Lease, Receipt, SignedGrant, Step, Trust, Usage};

use super::book::Book;
use super::meter::{self, CLOCK_TOLERANCE};
use super::refusal::Unlicensed;
use super::{Licenses, seats};
use crate::error::Error;

impl Licenses {
    /// Lends a seat of a floating grant to the device that asks with `request`, until a second. The text is for that device to
    /// install. The seat is not to be had here or by anyone else until then; the lease is not taken back before.
    ///
    /// # Errors
    /// [`Unlicensed::NoGrant`] if no floating grant here, or not the one of this id, covers the bundle; [`Unlicensed::NoSeat`] if
    /// all are taken; [`Error::Bundle`] if the request or the grant does not allow it; what is wrong with the device's state.
    pub fn lease(
        &self,
        request: &[u8],
        until: u64,
        grant: Option<Digest>,
        trust: &Trust,
    ) -> Result<Vec<u8>, Error> {
        let book = self.book()?.ok_or_else(|| self.no_device("a lease"))?;
        let (held, text) = self.lendable(&book, grant, trust)?;
        let mut usage = book.peek(&held)?.unwrap_or(Usage::none(&held));
        self.check(&held, &usage)?;
        let now = self.clock.now().max(usage.time);
        if until <= now {
            return Err(Unlicensed::Expired {
                class: "leased",
                grant: super::short(held.grant().id),
                end: until,
                now,
            }
            .into());
        }
        let lease = Lease::make((&held, &text), request, (now, until), book.device())?;
        // Held until the book says that it is lent: nobody takes it in between.
        let seat = self.take_seat(&book, &held)?;
        let mut open = book.open()?;
        usage = open.usage(&held)?.unwrap_or(usage);
        meter::check_clock(&held, &usage, self.clock.now())?;
        open.write(&held, &usage, Step::Lease(lease.lent(seat.number())), now)?;
        Ok(lease.sign(book.device())?)
    }

    /// A seat that is neither in use here nor lent.
    pub(super) fn take_seat(&self, book: &Book, grant: &SignedGrant) -> Result<seats::Seat, Error> {
        let claims = grant.grant();
        let lent = || lent(book, grant, self.clock.now());
        seats::take(&self.dir("seats"), claims.id, claims.seats.unwrap_or_default(), &lent)
    }

    /// The floating grant that is meant, and its text.
    fn lendable(
        &self,
        book: &Book,
        wanted: Option<Digest>,
        trust: &Trust,
    ) -> Result<(SignedGrant, Vec<u8>), Error> {
        let mut found = Vec::new();
        for entry in book.entries()? {
            if wanted.is_some_and(|wanted| wanted != entry.grant) {
                continue;
            }
            let Some(text) = self.read_grant(entry.grant)? else { continue };
            let grant = SignedGrant::verify(&text, trust)?;
            if grant.lender().is_none() && grant.grant().seats.is_some() {
                found.push((grant, text));
            }
        }
        let count = found.len();
        match (found.pop(), count) {
            (Some(only), 1) => Ok(only),
            _ => {
                let found = format!("{count} grants here have seats to lend: name one by its id");
                Err(Unlicensed::NoGrant { app: "a lease".into(), found }.into())
            }
        }
    }
}

/// The seats of a grant that are with other devices now: what its receipts say, of which none is missing.
fn lent(book: &Book, grant: &SignedGrant, now: u64) -> Result<BTreeSet<u64>, Error> {
    let Some(recorded) = book.peek(grant)? else { return Ok(BTreeSet::new()) };
    let now = now.max(recorded.time);
    let (mut usage, mut lent) = (Usage::none(grant), BTreeSet::new());
    for line in book.receipts(grant.grant().id)?.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
    {
        let (receipt, digest) = Receipt::read(line, book.device().public())?;
        usage = usage.follow(grant, &receipt, digest)?;
        let active = |lent: &tilemark_bundle::Lent| now <= lent.until.saturating_add(CLOCK_TOLERANCE);
        lent.extend(receipt.lent.filter(active).map(|lent| lent.seat));
    }
    if usage.receipts < recorded.receipts {
        let (grant, found) = (super::short(grant.grant().id), usage.receipts);
        return Err(Unlicensed::StateRestored { grant, found, expected: recorded.receipts }.into());
    }
    Ok(lent)
}
