//! Pushing: what the registry has already is not sent again, and the manifest, which makes all of it an image, comes last.

use std::collections::BTreeSet;

use tilemark_bundle::{Bundle, Digest};
use ureq::http::Method;

use super::Registry;
use super::image::{Descriptor, Image, MANIFEST, NOTHING, REPORT, SIGNATURE, Sealed, blob_path, written};
use super::reference::Version;
use super::wire::{Answer, Call, header, network};
use crate::client::Progress;
use crate::contract::Report;
use crate::error::{Error, Result};

/// What a push did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pushed {
    /// The SHA-256 of the image's manifest, by which it can be pulled for ever.
    pub image: Digest,
    /// Bytes of blobs that were sent.
    pub sent: u64,
    /// Bytes of blobs that the registry had already.
    pub shared: u64,
}

impl Registry {
    /// Sends a bundle, the signatures on it and evaluations of it.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Network`], [`Error::Invalid`] for a reference with a digest or a report about another bundle.
    pub fn push(&self, bundle: &Bundle, reports: &[Report], progress: Progress<'_>) -> Result<Pushed> {
        let Version::Tag(tag) = &self.reference.version else {
            return Err(Error::invalid(
                self.reference.to_string(),
                "what is pushed gets a tag; its digest follows from it",
            ));
        };
        reports.iter().try_for_each(|report| report.read(bundle.identity(), &[]).map(drop))?;
        let envelope = Sealed::new(bundle.envelope());
        let (image, config) = Image::of(bundle, &envelope)?;
        let image = Sealed::json(&image)?;
        let mut pushed = Pushed { image: image.sha256, sent: 0, shared: 0 };
        let total = bundle.as_bytes().len() as u64;
        let small = [(envelope.sha256, &envelope.bytes[..]), (config.sha256, &config.bytes[..])];
        let stored =
            bundle.stored().filter(|(_, bytes)| !bytes.is_empty()).map(|(blob, bytes)| (blob.sha256, bytes));
        let mut seen = BTreeSet::new();
        for (sha256, bytes) in small.into_iter().chain(stored) {
            if seen.insert(sha256) {
                self.put_blob(sha256, bytes, &mut pushed)?;
                progress((pushed.sent + pushed.shared).min(total), total);
            }
        }
        self.put_manifest(tag, &image)?;
        let subject = Descriptor::of(MANIFEST, &image);
        self.refer(SIGNATURE, &envelope, &subject, &mut pushed)?;
        for report in reports {
            self.refer(REPORT, &Sealed::new(report.envelope.clone().into_bytes()), &subject, &mut pushed)?;
        }
        Ok(pushed)
    }

    /// Lets an envelope refer to an image.
    fn refer(&self, kind: &str, envelope: &Sealed, subject: &Descriptor, pushed: &mut Pushed) -> Result<()> {
        let nothing = Sealed::new(NOTHING.to_vec());
        let mut also = Pushed { sent: 0, shared: 0, ..pushed.clone() };
        self.put_blob(nothing.sha256, &nothing.bytes, &mut also)?;
        self.put_blob(envelope.sha256, &envelope.bytes, &mut also)?;
        pushed.sent += also.sent; // what is shared was counted with the image
        let referrer = Sealed::json(&Image::referring(kind, envelope, subject.clone()))?;
        let answer = self.put_manifest(&written(&referrer.sha256), &referrer)?;
        // A registry without referrers of its own says nothing of the subject; then a tag lists them.
        match header(&answer, "oci-subject") {
            Some(_) => Ok(()),
            None => self.list_by_tag(kind, &referrer, subject),
        }
    }

    /// Sends a blob if the registry does not have it.
    fn put_blob(&self, sha256: Digest, bytes: &[u8], pushed: &mut Pushed) -> Result<()> {
        let size = bytes.len() as u64;
        let path = blob_path(&sha256);
        let there = self.wire.get(&Method::HEAD, &path, 0, self.wire.within(0))?;
        if there.is_some() {
            pushed.shared += size;
            return Ok(());
        }
        let url = self.wire.url("blobs/uploads/");
        let begin = Call {
            method: &Method::POST,
            url: &url,
            headers: &[],
            body: Some(&[]),
            within: self.wire.within(0),
        };
        let begun = self.wire.send(begin)?;
        if begun.status().as_u16() != 202 {
            return Err(self.wire.complaint(begun, &url));
        }
        let to = self.wire.location(&begun, &url)?;
        let mark = if to.contains('?') { '&' } else { '?' };
        let to = format!("{to}{mark}digest={}", written(&sha256).replace(':', "%3A"));
        let headers = [("Content-Type", "application/octet-stream")];
        let within = self.wire.within(size);
        let sent = self.wire.send(Call {
            method: &Method::PUT,
            url: &to,
            headers: &headers,
            body: Some(bytes),
            within,
        })?;
        if sent.status().as_u16() != 201 {
            return Err(self.wire.complaint(sent, &to));
        }
        pushed.sent += size;
        Ok(())
    }

    /// Puts a manifest under a tag or its digest.
    pub(super) fn put_manifest(&self, under: &str, manifest: &Sealed) -> Result<Answer> {
        self.put_document(under, MANIFEST, manifest)
    }

    pub(super) fn put_document(&self, under: &str, kind: &str, document: &Sealed) -> Result<Answer> {
        let path = format!("manifests/{under}");
        let url = self.wire.url(&path);
        let headers = [("Content-Type", kind)];
        let (body, within) = (Some(&document.bytes[..]), self.wire.within(document.bytes.len() as u64));
        let answer =
            self.wire.send(Call { method: &Method::PUT, url: &url, headers: &headers, body, within })?;
        if answer.status().as_u16() != 201 {
            return Err(self.wire.complaint(answer, &url));
        }
        // One that keeps other bytes than it was given keeps no bundle.
        match header(&answer, "docker-content-digest").filter(|found| *found != written(&document.sha256)) {
            None => Ok(answer),
            Some(found) => {
                Err(network(&url, format!("it keeps {found:?}, expected {}", written(&document.sha256))))
            }
        }
    }
}
