//! The faults: what each check of envelopes, bundles, grants, receipts, revocations and leases does not look at any more.

use super::Fault;

const fn fault(file: &'static str, find: &'static str, plant: &'static str) -> Fault {
    Fault { file, find, plant }
}

#[rustfmt::skip]
pub(super) const FAULTS: &[Fault] = &[
    // Envelopes.
    fault("bundle/src/envelope.rs", "key.verify(&message, &signature.bytes)", "true"),
    fault("bundle/src/envelope.rs", "key.id() == signature.keyid", "true"),
    fault("bundle/src/envelope.rs", "json.payload_type != payload_type.0", "false"),
    fault("bundle/src/envelope.rs", "json.signatures.len() > MAX_SIGNATURES", "false"),
    fault("bundle/src/envelope.rs", "pair[0].keyid >= pair[1].keyid", "false"),
    fault("bundle/src/envelope.rs", "first_difference(&envelope.to_json(), bytes)", "None"),
    fault("bundle/src/envelope.rs", "bytes.len() > MAX_SIGNATURE_BYTES", "false"),
    // The file around it.
    fault("bundle/src/reader.rs", "found != header.envelope_sha256", "false"),
    fault("bundle/src/reader/blobs.rs", "end != bytes.len() as u64", "false"),
    fault("bundle/src/reader/blobs.rs", "gap.iter().position(|byte| *byte != 0)", "None::<usize>"),
    fault("bundle/src/reader/blobs.rs", "sha256(bytes) != blob.sha256", "false"),
    // Who signed, and whether the policy lets them.
    fault("bundle/src/reader/signers.rs", "refusal.or(Some(error))", "{ drop(error); refusal }"),
    fault("bundle/src/reader/signers.rs", "signers.is_empty()", "false"),
    fault("bundle/src/reader/signers.rs", "trust.revoked_bundle(identity)", "None::<&str>"),
    fault("bundle/src/reader/signers.rs", "revoked().count() == signers.len()", "false"),
    fault("bundle/src/reader/signers.rs", "trust.revoked_key(**id).is_none()", "true"),
    fault("bundle/src/reader/signers.rs", "Some((quorum.root(*id)?, *id))", "Some((*id, *id))"),
    fault("bundle/src/reader/signers.rs", "vendor.is_empty()", "false"),
    fault("bundle/src/reader/signers.rs", "found < needed", "false"),
    fault("bundle/src/reader/signers.rs", "trust.revoked_key(*id).is_none()", "true"),
    fault("bundle/src/reader/signers.rs", "rule.is_some_and(|rule| rule.vendor.has(*id))", "true"),
    fault("bundle/src/reader.rs", "manifest.min_sdk > found", "false"),
    // Rollback.
    fault("bundle/src/floor.rs", "app.release < floor.release", "false"),
    fault("bundle/src/floor.rs", "identity != floor.identity", "false"),
    fault("bundle/src/floor.rs", "floor.schema != SCHEMA || floor.app != *app", "false"),
    // Encryption.
    fault("bundle/src/reader.rs", "expected != found", "false"),
    fault("bundle/src/encryption.rs", "found != encryption.binding", "false"),
    fault("bundle/src/encryption.rs", "blob.size != expected", "false"),
    fault("bundle/src/encryption.rs", "!(MIN_CHUNK_BYTES..=MAX_CHUNK_BYTES).contains(&chunk)", "false"),
    fault("bundle/src/encryption.rs", "issuers.is_empty() || !issuers.is_sorted_by(|a, b| a < b)", "false"),
    fault("bundle/src/cipher.rs", "found != plain.sha256", "false"),
    fault("bundle/src/cipher.rs", "data.push(last.into())", "()"),
    // Device keys.
    fault("bundle/src/device.rs", "self.check(&envelope)?", "()"),
    fault("bundle/src/device.rs", "[b\"tilemark wrapped key v1\".as_slice(), bundle.as_bytes(), grant.as_bytes()].concat()", "bundle.as_bytes().to_vec()"),
    fault("bundle/src/request.rs", "request.device.check(&envelope)?", "()"),
    // Grants.
    fault("bundle/src/grant.rs", "grant.app != *app || !(grant.releases.first..=grant.releases.last).contains(&release)", "false"),
    fault("bundle/src/grant.rs", "grant.device != device.id()", "false"),
    fault("bundle/src/grant.rs", "!self.signers.iter().any(|signer| issuers.unwrap_or_default().contains(signer))", "false"),
    fault("bundle/src/grant.rs", "grant.digest != digest", "false"),
    fault("bundle/src/grant.rs", "self.check_class()", "Ok(())"),
    fault("bundle/src/ledger.rs", "!entry.issuers.contains(&issuer)", "false"),
    fault("bundle/src/ledger.rs", "line.request == digest", "false"),
    fault("bundle/src/ledger.rs", "trial && !offer.again", "false"),
    fault("bundle/src/vault.rs", "expected != found", "false"),
    // Receipts.
    fault("bundle/src/receipt.rs", "receipt.grant != claims.id || receipt.device != claims.device", "false"),
    fault("bundle/src/receipt.rs", "receipt.seq != self.receipts + 1 || receipt.previous != self.head", "false"),
    fault("bundle/src/receipt.rs", "used != Some(receipt.used)", "false"),
    fault("bundle/src/receipt.rs", "claims.inferences.is_some_and(|budget| receipt.used > budget)", "false"),
    fault("bundle/src/receipt.rs", "receipt.lent.is_some() != (receipt.kind == ReceiptKind::Lease)", "false"),
    fault("bundle/src/receipt.rs", "receipt.lent.is_some_and(|lent| claims.seats.is_none_or(|seats| lent.seat >= seats))", "false"),
    fault("bundle/src/receipt.rs", "receipt.time < self.time", "false"),
    fault("bundle/src/receipt.rs", "device.id() != grant.grant().device", "false"),
    fault("bundle/src/receipt.rs", "lent.insert(new.seat, new.until).is_none_or(|until| until < receipt.time)", "true"),
    fault("bundle/src/receipt.rs", "reserved.remove(&of).is_some_and(|units| receipt.units <= units)", "true"),
    fault("bundle/src/receipt.rs", "ours.1 != theirs.1", "false"),
    // Revocation lists.
    fault("bundle/src/revocation.rs", "floor.app.publisher() != self.publisher", "false"),
    fault("bundle/src/revocation.rs", "signers::check_vendor(signers, &list.publisher, trust)?", "()"),
    fault("bundle/src/revocation.rs", "found < known", "false"),
    fault("bundle/src/revocation.rs", "rule.as_ref().is_some_and(|rule| rule.vendor.has(key.keyid))", "true"),
    // Lineages and leases.
    fault("bundle/src/lineage.rs", "trust.revoked_key(lineage.0.old)", "None::<&str>"),
    fault("bundle/src/lineage.rs", "!may", "false"),
    fault("bundle/src/lineage.rs", "!signers.contains(&lineage.old)", "false"),
    fault("bundle/src/lineage.rs", "known != found", "false"),
    fault("bundle/src/lease.rs", "lease.holder.check(&envelope)?", "()"),
    fault("bundle/src/lease.rs", "claims.device != self.holder.id()", "false"),
    fault("bundle/src/lease.rs", "check_lendable(held, self.until)?", "()"),
    fault("bundle/src/lease.rs", "check_lendable(grant, until)?", "()"),
    fault("bundle/src/lease.rs", "!claims.keys.iter().any(|key| key.identity == request.identity)", "false"),
    // Model signatures.
    fault("bundle/src/oms.rs", "key.canonical_signature(&pae(&payload), &decode(\"sig\", &signature.sig)?).is_none()", "false"),
    fault("bundle/src/oms.rs", "serialization.allow_symlinks", "false"),
    fault("bundle/src/oms.rs", "expect(\"digest over all files\", &total.to_string(), &subject.digest.sha256.to_string())?", "()"),
    fault("bundle/src/oms.rs", "files.insert(name.clone(), digest).is_some()", "{ files.insert(name.clone(), digest); false }"),
    fault("bundle/src/oms.rs", "found != *expected", "false"),
    fault("bundle/src/oms.rs", "fs::canonicalize(path).map_err(|source| io(path, source))? == own", "true"),
    fault("bundle/src/oms.rs", "signed.keys().find(|name| !found.contains_key(*name))", "None::<&String>"),
    // The device's book, clock and meter.
    fault("tilemark/src/license/meter.rs", "remaining < units", "false"),
    fault("tilemark/src/license/meter.rs", "block.left < units", "false"),
    fault("tilemark/src/license/meter.rs", "now.saturating_add(CLOCK_TOLERANCE) < claims.not_before", "false"),
    fault("tilemark/src/license/meter.rs", "now > end", "false"),
    fault("tilemark/src/license/meter.rs", "claims.not_after.is_some() && is_back(usage, now)", "false"),
    fault("tilemark/src/license/book.rs", "receipt.seq != entry.receipts + 1 || receipt.previous != entry.head", "false"),
    fault("tilemark/src/license/book.rs", "error.kind() == ErrorKind::NotFound && self.witnessed", "false"),
    fault("tilemark/src/license/book.rs", "entry.receipts == 0", "true"),
    fault("tilemark/src/license/mod.rs", "claims.inferences.is_some_and(|budget| usage.used >= budget)", "false"),
    fault("tilemark/src/license/mod.rs", "claims.device != device", "false"),
    fault("tilemark/src/license/mod.rs", "Err(meter::spent(grant, usage, 1).into())", "Ok(())"),
    fault("tilemark/src/license/mod.rs", "entry.reason == Reason::KeyCompromise", "false"),
    fault("tilemark/src/license/mod.rs", "age.is_some_and(|age| age <= max)", "true"),
    fault("tilemark/src/license/seats.rs", "lent()?.contains(&number)", "false"),
    fault("tilemark/src/license/lease.rs", "until <= now", "false"),
];
