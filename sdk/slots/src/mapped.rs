//! A file's bytes in this process's memory. The only unsafe code of the crate is here.
#![allow(unsafe_code, reason = "memory that other processes write has no safe form")]

use std::fs::File;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

/// Bytes before the payload: the sequence number, and room to begin a cache line.
pub(crate) const HEADER: usize = 64;

/// A header word that all processes access atomically, and a payload whose users take turns by locks.
#[derive(Debug)]
pub(crate) struct Mapped {
    map: MmapRaw,
    payload: usize,
}

impl Mapped {
    /// Maps the first `HEADER + payload` bytes, which the file must have.
    pub(crate) fn new(file: &File, payload: usize) -> std::io::Result<Self> {
        let bytes = HEADER + payload;
        let found = file.metadata()?.len();
        if found < bytes as u64 {
            let short = format!("has {found} bytes of {bytes}");
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, short));
        }
        Ok(Self { map: MmapOptions::new().len(bytes).map_raw(file)?, payload })
    }

    /// The word at the front.
    pub(crate) fn word(&self) -> &AtomicU64 {
        // SAFETY: the map begins at a page and has a header; every process accesses these eight bytes through this alone.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast()) }
    }

    /// The payload.
    ///
    /// # Safety
    /// No process writes it while the slice lives: the caller holds a lock of the file, shared or exclusive.
    pub(crate) unsafe fn payload(&self) -> &[u8] {
        // SAFETY: inside the map; the caller excludes writers.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(HEADER), self.payload) }
    }

    /// The payload, for writing.
    ///
    /// # Safety
    /// No process accesses it in another way while the slice lives: the caller holds the file's exclusive lock.
    pub(crate) unsafe fn payload_mut(&mut self) -> &mut [u8] {
        // SAFETY: inside the map, which is writable; the caller excludes all others.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().add(HEADER), self.payload) }
    }
}
