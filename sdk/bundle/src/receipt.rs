//! Receipts: what a device says about its use of a grant. Each is signed by the device and refers to the one before, so
//! nothing can be taken out, and a device whose state was restored says two different things sooner or later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::grant::SignedGrant;
use crate::limits::{MAX_RECEIPT_BYTES, MAX_STATEMENT_BYTES};
use crate::{
    Bytes64, DeviceId, DeviceKey, DevicePublic, Digest, Error, Lent, LicenseError, PayloadType, Result,
    Trust, cipher, json, sha256,
};

/// One step in the use of a grant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Receipt {
    /// The version of this document's form.
    pub schema: u64,
    /// The grant.
    pub grant: Digest,
    /// The device.
    pub device: DeviceId,
    /// 1 for the first.
    pub seq: u64,
    /// The digest of the receipt before; of the grant for the first.
    pub previous: Digest,
    /// What happened.
    pub kind: ReceiptKind,
    /// Inferences that it is about.
    pub units: u64,
    /// For [`ReceiptKind::Return`]: the receipt that reserved them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// For [`ReceiptKind::Lease`]: the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lent: Option<Lent>,
    /// Inferences that count as used after this receipt: reserved and not returned.
    pub used: u64,
    /// The device's clock, in seconds since 1970; never before that of an earlier receipt.
    pub time: u64,
    /// Random: two receipts about the same are two, also in the same second.
    pub nonce: Bytes64<16>,
}

/// What a receipt says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ReceiptKind {
    /// Inferences were set aside; from now on they count as used, whatever happens.
    Reserve,
    /// A process that ended in order gave back what it had not used.
    Return,
    /// Nothing but the time: the app was opened.
    Open,
    /// A seat was lent to another device.
    Lease,
}

/// What a chain of receipts comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Usage {
    /// The number of receipts.
    pub receipts: u64,
    /// The digest of the last one; of the grant where there is none.
    pub head: Digest,
    /// Inferences that count as used.
    pub used: u64,
    /// The time of the last one, or of the grant's issue.
    pub time: u64,
}

/// The schema that this SDK writes and reads.
const SCHEMA: u64 = 1;

impl Receipt {
    /// The payload type of receipts.
    pub const PAYLOAD_TYPE: PayloadType = PayloadType::new("application/vnd.tilemark.receipt.v1+json");

    /// Signs the receipt that follows `before`; its line of text, and what the chain comes to then.
    ///
    /// # Errors
    /// [`Error::Random`]; as [`DeviceKey::seal`].
    pub fn next(
        grant: &SignedGrant,
        before: &Usage,
        step: Step,
        time: u64,
        device: &DeviceKey,
    ) -> Result<(Vec<u8>, Usage)> {
        let (kind, units, of, lent) = match step {
            Step::Reserve(units) => (ReceiptKind::Reserve, units, None, None),
            Step::Return { units, of } => (ReceiptKind::Return, units, Some(of), None),
            Step::Open => (ReceiptKind::Open, 0, None, None),
            Step::Lease(lent) => (ReceiptKind::Lease, 0, None, Some(lent)),
        };
        let used = match kind {
            ReceiptKind::Return => before.used.saturating_sub(units),
            _ => before.used.saturating_add(units),
        };
        let mut nonce = Bytes64([0; 16]);
        nonce.0.copy_from_slice(cipher::random()?.first_chunk::<16>().unwrap_or(&[0; 16]));
        let receipt = Self {
            schema: SCHEMA,
            grant: grant.grant().id,
            device: device.id(),
            seq: before.receipts + 1,
            previous: before.head,
            kind,
            units,
            of,
            lent,
            used,
            time: time.max(before.time),
            nonce,
        };
        let json = json::to_vec(&receipt)?;
        let usage = Usage { receipts: receipt.seq, head: sha256(&json), used, time: receipt.time };
        Ok((device.seal(Self::PAYLOAD_TYPE, json)?.to_json(), usage))
    }

    /// Reads a receipt that `device` signed, and its digest.
    ///
    /// # Errors
    /// As [`DevicePublic::open`] and [`Error::Json`].
    pub fn read(line: &[u8], device: &DevicePublic) -> Result<(Self, Digest)> {
        let payload = device.open(Self::PAYLOAD_TYPE, line)?;
        let receipt: Self = json::from_slice("receipt", &payload, MAX_RECEIPT_BYTES)?;
        json::check_schema(receipt.schema, SCHEMA)?;
        Ok((receipt, sha256(&payload)))
    }
}

/// What the next receipt is to say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// See [`ReceiptKind::Reserve`].
    Reserve(u64),
    /// See [`ReceiptKind::Return`].
    Return {
        /// How many.
        units: u64,
        /// The receipt that reserved them.
        of: u64,
    },
    /// See [`ReceiptKind::Open`].
    Open,
    /// See [`ReceiptKind::Lease`].
    Lease(Lent),
}

impl Usage {
    /// A grant that was not used yet.
    #[must_use]
    pub fn none(grant: &SignedGrant) -> Self {
        Self { receipts: 0, head: grant.digest(), used: 0, time: grant.grant().issued }
    }

    /// Goes one receipt further.
    ///
    /// # Errors
    /// [`LicenseError::BrokenChain`] if it is not the one that follows.
    pub fn follow(&self, grant: &SignedGrant, receipt: &Receipt, digest: Digest) -> Result<Self> {
        let broken = |reason: &str| -> Result<Self> {
            Err(LicenseError::BrokenChain { seq: receipt.seq, reason: reason.into() }.into())
        };
        let claims = grant.grant();
        if receipt.grant != claims.id || receipt.device != claims.device {
            return broken("it is about another grant or device");
        }
        if receipt.seq != self.receipts + 1 || receipt.previous != self.head {
            return broken("it does not follow the one before");
        }
        let used = match receipt.kind {
            ReceiptKind::Reserve => self.used.checked_add(receipt.units),
            ReceiptKind::Return => self.used.checked_sub(receipt.units),
            ReceiptKind::Open | ReceiptKind::Lease => Some(self.used),
        };
        if used != Some(receipt.used) {
            return broken("its sum is wrong");
        }
        if claims.inferences.is_some_and(|budget| receipt.used > budget) {
            return broken("more is used than was granted");
        }
        if receipt.lent.is_some() != (receipt.kind == ReceiptKind::Lease) {
            return broken("it lends a seat and does not, at once");
        }
        if receipt.lent.is_some_and(|lent| claims.seats.is_none_or(|seats| lent.seat >= seats)) {
            return broken("it lends a seat that was not granted");
        }
        if receipt.time < self.time {
            return broken("its time is before that of the one before");
        }
        Ok(Self { receipts: receipt.seq, head: digest, used: receipt.used, time: receipt.time })
    }
}

/// What a device hands its vendor: the grant, the device's public key, and every receipt; one JSON document a line.
#[derive(Clone, Debug)]
pub struct Statement {
    grant: SignedGrant,
    receipts: Vec<(Receipt, Digest)>,
    usage: Usage,
}

impl Statement {
    /// The text of a statement.
    ///
    /// # Errors
    /// [`Error::Codec`] never.
    pub fn write(grant: &[u8], device: &DevicePublic, receipts: &[u8]) -> Result<Vec<u8>> {
        Ok([grant.trim_ascii(), b"\n", &json::to_vec(device)?, b"\n", receipts].concat())
    }

    /// Checks a statement from its first byte to its last: the vendor's signature on the grant, the device's on every receipt,
    /// the chain, the sums and the budget.
    ///
    /// # Errors
    /// As [`SignedGrant::verify`], [`Receipt::read`] and [`Usage::follow`]; [`LicenseError::OtherDevice`].
    pub fn verify(bytes: &[u8], trust: &Trust) -> Result<Self> {
        if bytes.len() > MAX_STATEMENT_BYTES {
            let (found, max) = (bytes.len() as u64, MAX_STATEMENT_BYTES as u64);
            return Err(Error::TooLarge { what: "statement", found, max });
        }
        let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let grant = SignedGrant::verify(lines.next().unwrap_or_default(), trust)?;
        let device = lines.next().unwrap_or_default();
        let device: DevicePublic = json::from_slice("device", device, MAX_RECEIPT_BYTES)?;
        if device.id() != grant.grant().device {
            let (granted, found) = (grant.grant().device, device.id());
            return Err(LicenseError::OtherDevice { granted, found }.into());
        }
        let mut usage = Usage::none(&grant);
        let mut receipts = Vec::new();
        let mut reserved = BTreeMap::new();
        let mut lent = BTreeMap::new();
        for line in lines {
            let (receipt, digest) = Receipt::read(line, &device)?;
            usage = usage.follow(&grant, &receipt, digest)?;
            match (receipt.kind, receipt.of) {
                (ReceiptKind::Reserve, None) => drop(reserved.insert(receipt.seq, receipt.units)),
                (ReceiptKind::Open, None) => {}
                // A seat is lent again when it has come back.
                (ReceiptKind::Lease, None)
                    if receipt.lent.is_some_and(|new| {
                        lent.insert(new.seat, new.until).is_none_or(|until| until < receipt.time)
                    }) => {}
                // What one receipt reserved can be given back once.
                (ReceiptKind::Return, Some(of))
                    if reserved.remove(&of).is_some_and(|units| receipt.units <= units) => {}
                _ => {
                    let reason = "it gives back what was not reserved, or lends what is lent".into();
                    return Err(LicenseError::BrokenChain { seq: receipt.seq, reason }.into());
                }
            }
            receipts.push((receipt, digest));
        }
        Ok(Self { grant, receipts, usage })
    }

    /// The grant.
    #[must_use]
    pub fn grant(&self) -> &SignedGrant {
        &self.grant
    }

    /// The receipts with their digests, oldest first.
    #[must_use]
    pub fn receipts(&self) -> &[(Receipt, Digest)] {
        &self.receipts
    }

    /// What they come to.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether this statement continues an earlier one of the same grant.
    ///
    /// # Errors
    /// [`LicenseError::Fork`] where the two say different things: the device went back to an older state in between.
    pub fn continues(&self, earlier: &Self) -> Result<()> {
        let differ = |(ours, theirs): (&(Receipt, Digest), &(Receipt, Digest))| ours.1 != theirs.1;
        let forked = self.receipts.iter().zip(&earlier.receipts).position(differ);
        match forked {
            Some(at) => Err(LicenseError::Fork { grant: self.grant.grant().id, seq: at as u64 + 1 }.into()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, DeviceSecret, Grant, GrantClass, OutputLevel, Releases, SigningKey, Strength};

    struct Scene {
        device: DeviceKey,
        trust: Trust,
        envelope: Vec<u8>,
        grant: SignedGrant,
    }

    fn scene() -> Scene {
        let device =
            DeviceKey::from_secret(&DeviceSecret::from_slice(&[1; 32]).unwrap(), Strength::Software).unwrap();
        let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
        let trust = Trust::key(key.public().clone());
        let grant = Grant {
            schema: 1,
            id: sha256(b"id"),
            class: GrantClass::Metered,
            app: "acme/tagger".parse().unwrap(),
            releases: Releases { first: 1, last: 1 },
            device: device.id(),
            request: sha256(b"request"),
            issued: 100,
            not_before: 100,
            not_after: None,
            grace_seconds: 0,
            inferences: Some(10),
            seats: None,
            max_staleness_seconds: None,
            output: OutputLevel::Full,
            field_of_use: String::new(),
            permits: vec![],
            keys: vec![],
        };
        let envelope = grant.sign(&key).unwrap();
        let grant = SignedGrant::verify(&envelope, &trust).unwrap();
        Scene { device, trust, envelope, grant }
    }

    impl Scene {
        fn chain(&self, steps: &[(Step, u64)]) -> Vec<Vec<u8>> {
            let mut usage = Usage::none(&self.grant);
            let mut lines = Vec::new();
            for (step, time) in steps {
                let (line, next) = Receipt::next(&self.grant, &usage, *step, *time, &self.device).unwrap();
                lines.push(line);
                usage = next;
            }
            lines
        }

        fn verify(&self, lines: &[Vec<u8>]) -> Result<Statement> {
            let receipts = lines.join(&b'\n');
            let text = Statement::write(&self.envelope, self.device.public(), &receipts).unwrap();
            Statement::verify(&text, &self.trust)
        }
    }

    const STEPS: [(Step, u64); 4] = [
        (Step::Reserve(4), 110),
        (Step::Reserve(4), 90), // a clock that was set back does not take the chain back
        (Step::Return { units: 3, of: 1 }, 120),
        (Step::Open, 130),
    ];

    #[test]
    fn a_chain_adds_up() {
        let scene = scene();
        let statement = scene.verify(&scene.chain(&STEPS)).unwrap();
        let usage = statement.usage();
        assert_eq!((usage.receipts, usage.used, usage.time), (4, 5, 130));
        assert_eq!(statement.receipts()[1].0.time, 110);
        assert_eq!(scene.verify(&[]).unwrap().usage(), Usage::none(&scene.grant));
    }

    #[test]
    fn nothing_can_be_taken_out_or_moved() {
        let scene = scene();
        let chain = scene.chain(&STEPS);
        for at in 0..3 {
            let mut lines = chain.clone();
            lines.remove(at);
            assert_eq!(scene.verify(&lines).unwrap_err().code(), "TM0184", "without {at}");
            let mut lines = chain.clone();
            lines.swap(at, at + 1);
            assert_eq!(scene.verify(&lines).unwrap_err().code(), "TM0184", "swapped {at}");
        }
        let mut lines = chain.clone();
        lines.push(chain[3].clone());
        assert_eq!(scene.verify(&lines).unwrap_err().code(), "TM0184");
        // The end can: that is what the vendor's copy of an earlier statement is for.
        let cut = scene.verify(&chain[..2]).unwrap(); // as of an earlier day
        scene.verify(&chain).unwrap().continues(&cut).unwrap();
    }

    #[test]
    fn a_device_that_gives_itself_more_is_found_out() {
        let scene = scene();
        let code = |steps: &[(Step, u64)]| scene.verify(&scene.chain(steps)).unwrap_err().code();
        assert_eq!(code(&[(Step::Reserve(11), 110)]), "TM0184");
        assert_eq!(code(&[(Step::Reserve(6), 110), (Step::Reserve(5), 110)]), "TM0184");
        let back = |units, of| (Step::Return { units, of }, 120);
        assert_eq!(code(&[(Step::Reserve(2), 110), (Step::Reserve(2), 110), back(3, 1)]), "TM0184");
        assert_eq!(code(&[(Step::Reserve(2), 110), back(1, 1), back(1, 1)]), "TM0184");
        assert_eq!(code(&[(Step::Reserve(2), 110), back(1, 7)]), "TM0184");
    }

    #[test]
    fn receipts_that_contradict_themselves_do_not_follow() {
        let scene = scene();
        let before = Usage::none(&scene.grant);
        let (line, _) = Receipt::next(&scene.grant, &before, Step::Reserve(4), 110, &scene.device).unwrap();
        let (good, digest) = Receipt::read(&line, scene.device.public()).unwrap();
        before.follow(&scene.grant, &good, digest).unwrap();
        let changes: [fn(&mut Receipt); 5] = [
            |receipt| receipt.grant = sha256(b"another"),
            |receipt| receipt.used = 3,
            |receipt| receipt.used = 5,
            |receipt| receipt.time = 99,
            |receipt| (receipt.kind, receipt.units, receipt.used) = (ReceiptKind::Lease, 0, 0),
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad);
            assert_eq!(before.follow(&scene.grant, &bad, digest).unwrap_err().code(), "TM0184", "{at}");
        }
    }

    #[test]
    fn another_devices_receipts_are_refused() {
        let scene = scene();
        let mut lines = scene.chain(&STEPS);
        let other =
            DeviceKey::from_secret(&DeviceSecret::from_slice(&[2; 32]).unwrap(), Strength::Software).unwrap();
        let (line, _) =
            Receipt::next(&scene.grant, &Usage::none(&scene.grant), Step::Open, 0, &other).unwrap();
        lines.push(line);
        assert_eq!(scene.verify(&lines).unwrap_err().code(), "TM0177");
        let text = Statement::write(&scene.envelope, other.public(), b"").unwrap();
        assert_eq!(Statement::verify(&text, &scene.trust).unwrap_err().code(), "TM0178");
    }

    #[test]
    fn a_restored_state_forks_the_chain() {
        let scene = scene();
        let before = scene.verify(&scene.chain(&STEPS)).unwrap();
        let mut steps = STEPS.to_vec();
        steps.push((Step::Reserve(1), 130));
        // The very same steps, in the same seconds, are another history.
        let again = scene.verify(&scene.chain(&steps)).unwrap();
        let error = again.continues(&before).unwrap_err();
        assert_eq!(error.code(), "TM0185");
        assert!(error.to_string().contains("receipt 1"), "{error}");
    }
}
