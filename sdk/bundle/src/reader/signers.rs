//! Whose signatures hold, and whether the policy accepts them. Sees the payload as bytes only.

use std::collections::BTreeMap;

use crate::envelope::{Envelope, SignatureCheck};
use crate::trust::{Quorum, Rule};
use crate::{Digest, Error, FactKind, KeyId, Result, Role, Trust, Verdict};

use super::refused::step;

/// Checks every signature; returns the known keys whose signatures hold, revoked ones included.
pub(crate) fn trusted(envelope: &Envelope, trust: &Trust, verdict: &mut Verdict) -> Result<Vec<KeyId>> {
    let mut signers = Vec::new();
    let mut refusal = None;
    for (keyid, check) in envelope.check(|id| trust.find_key(id)) {
        let algorithm = trust.find_key(keyid).map_or("", |key| key.algorithm().as_str());
        match check {
            SignatureCheck::Holds => {
                signers.push(keyid);
                verdict.note(FactKind::Signature, true, format!("{algorithm} key {keyid}"));
            }
            SignatureCheck::Fails => {
                let error = Error::InvalidSignature { keyid, algorithm };
                verdict.note(FactKind::Signature, false, error.to_string());
                refusal = refusal.or(Some(error));
            }
            SignatureCheck::UnknownKey => {
                verdict.note(FactKind::Signature, false, format!("unknown key {keyid}: counts for nothing"));
            }
        }
    }
    let all = || envelope.signatures().iter().map(|signature| signature.keyid);
    match refusal {
        Some(error) => Err(error),
        None if signers.is_empty() => match all().find_map(|id| Some((id, trust.revoked_key(id)?))) {
            Some((keyid, reason)) => Err(Error::RevokedKey { keyid, reason: reason.into() }),
            None => Err(Error::UnknownSigners { signers: join(all()) }),
        },
        None => Ok(signers),
    }
}

/// Refuses a revoked bundle, and one whose every known signer is revoked; returns the evidence.
pub(super) fn check_revoked(signers: &[KeyId], identity: Digest, trust: &Trust) -> Result<String> {
    if let Some(reason) = trust.revoked_bundle(identity) {
        return Err(Error::RevokedBundle { identity, reason: reason.into() });
    }
    let revoked = || signers.iter().filter_map(|id| Some((*id, trust.revoked_key(*id)?)));
    match revoked().next() {
        None => Ok("neither the bundle nor its signers are revoked".into()),
        Some((keyid, reason)) if revoked().count() == signers.len() => {
            Err(Error::RevokedKey { keyid, reason: reason.into() })
        }
        Some(_) => Ok(format!("revoked keys that count for nothing: {}", join(revoked().map(|(id, _)| id)))),
    }
}

/// Whether enough of the signers may sign for this publisher, in every role that the policy asks for.
pub(crate) fn check_publisher(
    signers: &[KeyId],
    publisher: &str,
    trust: &Trust,
    verdict: &mut Verdict,
) -> Result<()> {
    let rule = trust.rule(publisher);
    let vendor = rule.map(|rule| count(signers, &rule.vendor, trust)).unwrap_or_default();
    let allowed = if vendor.is_empty() {
        Err(Error::PublisherNotAllowed {
            publisher: publisher.into(),
            signers: join(signers.iter().copied()),
        })
    } else {
        Ok(())
    };
    step(verdict, FactKind::PublisherAllowed, allowed, |()| {
        format!("{} of {} signers may sign for {publisher}", vendor.len(), signers.len())
    })?;
    rule.into_iter().flat_map(Rule::quorums).try_for_each(|(role, quorum)| {
        check_quorum(&count(signers, quorum, trust), publisher, (role, quorum), trust, verdict)
    })
}

/// The signers that count in a role: not revoked, and of a key and its successors one.
fn count(signers: &[KeyId], quorum: &Quorum, trust: &Trust) -> BTreeMap<KeyId, KeyId> {
    let counts = signers.iter().filter(|id| trust.revoked_key(**id).is_none());
    counts.filter_map(|id| Some((quorum.root(*id)?, *id))).collect()
}

fn check_quorum(
    counted: &BTreeMap<KeyId, KeyId>,
    publisher: &str,
    (role, quorum): (Role, &Quorum),
    trust: &Trust,
    verdict: &mut Verdict,
) -> Result<()> {
    let (found, needed) = (counted.len(), quorum.threshold);
    let met = if found < needed {
        Err(Error::ThresholdNotMet { publisher: publisher.into(), role, needed, found })
    } else {
        Ok(())
    };
    let plural = if found == 1 { "key" } else { "keys" };
    step(verdict, FactKind::Threshold, met, |()| {
        let names: Vec<String> = counted.iter().map(|(root, id)| describe(*root, *id, trust)).collect();
        format!("{role}: {found} {plural} signed, {needed} needed: {}", names.join(", "))
    })
}

/// A signer, and whose successor it is.
fn describe(root: KeyId, id: KeyId, trust: &Trust) -> String {
    if root == id { trust.name(id) } else { format!("{id}, the successor of {}", trust.name(root)) }
}

/// Whether enough of the signers may sign for a publisher as its vendor: other roles neither can nor need to.
pub(crate) fn check_vendor(signers: Vec<KeyId>, publisher: &str, trust: &Trust) -> Result<()> {
    let allowed = allowed(signers, publisher, trust)?;
    trust.rule(publisher).into_iter().try_for_each(|rule| {
        let (role, counted) = (Role::Vendor, count(&allowed, &rule.vendor, trust));
        check_quorum(&counted, publisher, (role, &rule.vendor), trust, &mut Verdict::default())
    })
}

/// Those of the signers that may sign for a publisher as its vendor and are not revoked; one is enough for a grant.
pub(crate) fn allowed(signers: Vec<KeyId>, publisher: &str, trust: &Trust) -> Result<Vec<KeyId>> {
    let rule = trust.rule(publisher);
    let revoked = signers.iter().find_map(|id| Some((*id, trust.revoked_key(*id)?)));
    let may = |id: &KeyId| trust.revoked_key(*id).is_none() && rule.is_some_and(|rule| rule.vendor.has(*id));
    let allowed: Vec<KeyId> = signers.iter().copied().filter(may).collect();
    match (allowed.is_empty(), revoked) {
        (false, _) => Ok(allowed),
        (true, Some((keyid, reason))) => Err(Error::RevokedKey { keyid, reason: reason.into() }),
        (true, None) => {
            let (publisher, signers) = (publisher.into(), join(signers.into_iter()));
            Err(Error::PublisherNotAllowed { publisher, signers })
        }
    }
}

pub(crate) fn join(ids: impl Iterator<Item = KeyId>) -> String {
    ids.map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
}
