//! Encrypted blobs: AES-256-GCM in chunks, each bound to its publisher, bundle, blob, place and being the last
//! (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015). `docs/bundle-format.md` has the bytes.

use std::sync::mpsc;
use std::{fmt, thread};

use bytemuck::allocation::try_zeroed_vec;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use crate::{Digest, Encryption, Error, LicenseError, Plain, Result};

/// Bytes that authenticate a chunk, after its ciphertext.
const TAG: usize = 16;
/// Chunks that `tilemark pack` writes: small enough to stay in a core's cache while they are decrypted and hashed.
pub(crate) const CHUNK_BYTES: u64 = 256 << 10;

/// Below this many bytes a second thread costs more than it saves.
const PIPELINE_BYTES: usize = 1 << 20;

/// The key that decrypts one bundle's blobs. Overwritten when dropped.
#[derive(Clone)]
pub struct ContentKey(Zeroizing<[u8; 32]>);

/// What every chunk is bound to, beside its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) publisher: &'a str,
    pub(crate) encryption: &'a Encryption,
}

impl ContentKey {
    pub(crate) fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest that fits this key only and tells nothing about it. GCM alone is not key-committing: one ciphertext can be
    /// made that decrypts under two keys.
    pub(crate) fn commitment(&self, binding: Digest) -> Digest {
        Digest::from_bytes(*derive(&*self.0, binding.as_bytes(), &[b"tilemark key commitment v1"]))
    }

    /// Each blob has a key of its own, so that the chunk's index alone is a nonce that never repeats.
    fn blob_key(&self, context: &Context<'_>, name: &str) -> LessSafeKey {
        let chunk = context.encryption.chunk_bytes.to_le_bytes();
        let info = [b"tilemark blob key v1 aes-256-gcm".as_slice(), &chunk, name.as_bytes()];
        let prk = extract(&*self.0, context.encryption.binding.as_bytes());
        let unbound = prk.expand(&info, &AES_256_GCM).map(UnboundKey::from);
        // Fails only for lengths that HKDF cannot give; 32 bytes is none.
        LessSafeKey::new(unbound.unwrap_or_else(|_| unreachable!("HKDF gives 32 bytes")))
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(not shown)")
    }
}

/// HKDF-SHA256 (RFC 5869) to 32 bytes.
pub(crate) fn derive(secret: &[u8], salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    struct Bytes32;
    impl KeyType for Bytes32 {
        fn len(&self) -> usize {
            32
        }
    }
    let mut out = Zeroizing::new([0; 32]);
    let filled = extract(secret, salt).expand(info, Bytes32).and_then(|okm| okm.fill(&mut *out));
    filled.unwrap_or_else(|_| unreachable!("HKDF gives 32 bytes"));
    out
}

/// 32 fresh random bytes.
///
/// # Errors
/// [`Error::Random`] if the system gives none.
pub fn random() -> Result<Zeroizing<[u8; 32]>> {
    let bytes = ring::rand::generate(&SystemRandom::new()).map_err(|_| Error::Random)?;
    Ok(Zeroizing::new(bytes.expose()))
}

fn extract(secret: &[u8], salt: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, salt).extract(secret)
}

/// Length of a blob of `plain` bytes when encrypted; an empty one has one empty chunk, which can be authenticated too.
pub(crate) fn sealed_bytes(plain: u64, chunk: u64) -> Option<u64> {
    plain.div_ceil(chunk).max(1).checked_mul(TAG as u64)?.checked_add(plain)
}

/// Encrypts a blob.
pub(crate) fn seal(key: &ContentKey, context: &Context<'_>, name: &str, plain: &[u8]) -> Result<Vec<u8>> {
    let length = sealed_bytes(plain.len() as u64, context.encryption.chunk_bytes);
    let length = length.and_then(|length| usize::try_from(length).ok());
    let bytes = plain.len() as u64;
    let length = length.ok_or(Error::OutOfMemory { bytes })?;
    let mut sealed = Vec::new();
    sealed.try_reserve_exact(length).map_err(|_| Error::OutOfMemory { bytes: length as u64 })?;
    let key = key.blob_key(context, name);
    let chunk_bytes = context.chunk_bytes();
    let chunks = plain.len().div_ceil(chunk_bytes).max(1);
    for index in 0..chunks {
        let start = index * chunk_bytes;
        let chunk = plain.get(start..plain.len().min(start + chunk_bytes)).unwrap_or_default();
        let place = sealed.len();
        sealed.extend_from_slice(chunk);
        let (nonce, aad) = context.chunk(name, index as u64, index + 1 == chunks);
        let encrypted = sealed.get_mut(place..).unwrap_or_default();
        // Fails only beyond 64 GiB, which no chunk has.
        let tag = key.seal_in_place_separate_tag(nonce, aad, encrypted).map_err(|_| Error::Random)?;
        sealed.extend_from_slice(tag.as_ref());
    }
    Ok(sealed)
}

/// Decrypts a blob and checks that it is what the manifest says. Hashing follows decryption chunk by chunk, while they are
/// in the cache, and on a thread of its own where there is much.
pub(crate) fn open(
    key: &ContentKey,
    context: &Context<'_>,
    name: &str,
    sealed: &[u8],
    plain: &Plain,
) -> Result<Zeroizing<Vec<u8>>> {
    let expected = sealed_bytes(plain.size, context.encryption.chunk_bytes).unwrap_or(u64::MAX);
    if sealed.len() as u64 != expected {
        let found = sealed.len() as u64;
        return Err(LicenseError::SealedSize { name: name.into(), expected, found }.into());
    }
    // As long as the ciphertext that is in memory already, less the tags.
    let length = usize::try_from(plain.size).map_err(|_| Error::OutOfMemory { bytes: plain.size })?;
    // Zeroed by the system, page by page as decryption comes there: filling it first would take longer than decrypting.
    let out = try_zeroed_vec(length).map_err(|()| Error::OutOfMemory { bytes: plain.size })?;
    let mut out = Zeroizing::new(out);
    let chunks = Chunks { key: key.blob_key(context, name), context, name, sealed };
    let found =
        if length < PIPELINE_BYTES { chunks.open_all(&mut out)? } else { chunks.pipeline(&mut out)? };
    if found != plain.sha256 {
        let (name, expected) = (name.into(), plain.sha256);
        return Err(LicenseError::PlaintextDamaged { name, expected, found }.into());
    }
    Ok(out)
}

impl Context<'_> {
    fn chunk_bytes(&self) -> usize {
        usize::try_from(self.encryption.chunk_bytes).unwrap_or(usize::MAX)
    }

    /// Nonce and associated data of one chunk.
    fn chunk(&self, name: &str, index: u64, last: bool) -> (Nonce, Aad<Vec<u8>>) {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&index.to_be_bytes());
        let mut data = b"tilemark chunk v1".to_vec();
        for part in [self.publisher.as_bytes(), self.encryption.binding.as_bytes(), name.as_bytes()] {
            data.extend_from_slice(&(part.len() as u64).to_le_bytes());
            data.extend_from_slice(part);
        }
        data.extend_from_slice(&index.to_le_bytes());
        data.push(last.into());
        (Nonce::assume_unique_for_key(nonce), Aad::from(data))
    }
}

/// One blob's chunks on their way back.
struct Chunks<'a> {
    key: LessSafeKey,
    context: &'a Context<'a>,
    name: &'a str,
    sealed: &'a [u8],
}

impl Chunks<'_> {
    /// Decrypts into `out` and returns its SHA-256.
    fn open_all(&self, out: &mut [u8]) -> Result<Digest> {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        self.each(out, |chunk| hash.update(chunk))?;
        Ok(finish(hash))
    }

    /// The same on two threads.
    fn pipeline(&self, out: &mut [u8]) -> Result<Digest> {
        thread::scope(|scope| {
            let (done, chunks) = mpsc::channel::<&[u8]>();
            let hasher = thread::Builder::new().spawn_scoped(scope, move || {
                let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
                chunks.into_iter().for_each(|chunk| hash.update(chunk));
                finish(hash)
            });
            let hasher = hasher.map_err(|_| Error::OutOfMemory { bytes: 1 << 20 })?;
            // A send fails only when the hasher is gone, which the join below tells.
            self.each(out, |chunk| {
                let _ = done.send(chunk);
            })?;
            drop(done);
            hasher.join().map_err(|_| Error::OutOfMemory { bytes: 0 })
        })
    }

    /// Decrypts chunk by chunk and hands out each.
    fn each<'o>(&self, out: &'o mut [u8], mut done: impl FnMut(&'o [u8])) -> Result<()> {
        let size = self.context.chunk_bytes();
        let sealed_size = size.saturating_add(TAG);
        let last = out.len().div_ceil(size).max(1) - 1;
        if out.is_empty() {
            return self.open_one(0, true, out, self.sealed);
        }
        for (index, (chunk, sealed)) in out.chunks_mut(size).zip(self.sealed.chunks(sealed_size)).enumerate()
        {
            self.open_one(index, index == last, chunk, sealed)?;
            done(chunk);
        }
        Ok(())
    }

    fn open_one(&self, index: usize, last: bool, chunk: &mut [u8], sealed: &[u8]) -> Result<()> {
        let index = index as u64;
        let refused = || LicenseError::ChunkNotAuthentic { name: self.name.into(), chunk: index };
        let (encrypted, tag) = sealed.split_last_chunk::<TAG>().ok_or_else(refused)?;
        if encrypted.len() != chunk.len() {
            return Err(refused().into());
        }
        chunk.copy_from_slice(encrypted);
        let (nonce, aad) = self.context.chunk(self.name, index, last);
        let opened = self.key.open_in_place_separate_tag(nonce, aad, (*tag).into(), chunk, 0..);
        opened.map(|_| ()).map_err(|_| refused().into())
    }
}

fn finish(hash: ring::digest::Context) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(hash.finish().as_ref());
    Digest::from_bytes(out)
}

#[cfg(test)]
#[path = "cipher_tests.rs"]
mod tests;
