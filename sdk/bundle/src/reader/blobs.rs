//! Every byte after the envelope: blobs by their SHA-256, gaps by being zero, the end by the header.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::header::Header;
use crate::limits::{MAX_HASH_THREADS, PARALLEL_HASH_BYTES};
use crate::{BlobEntry, Error, Manifest, Result, sha256};

/// Checks all of it and returns where each blob lies.
pub(super) fn check(bytes: &[u8], header: &Header, manifest: &Manifest) -> Result<Vec<Range<usize>>> {
    let envelope_end = header.envelope_range().end;
    let (ranges, end) = manifest.layout(envelope_end as u64)?;
    let layout = || Error::Layout { expected: end, found: bytes.len() as u64 };
    if end != bytes.len() as u64 {
        return Err(layout());
    }
    // Ends are ascending and the last one is the file's length, so all fit.
    let narrow =
        |range: &Range<u64>| Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?);
    let ranges: Vec<_> = ranges.iter().map(narrow).collect::<Option<_>>().ok_or_else(layout)?;
    let mut gap_start = envelope_end;
    for (range, blob) in ranges.iter().zip(&manifest.blobs) {
        let gap = bytes.get(gap_start..range.start).ok_or_else(layout)?;
        if let Some(at) = gap.iter().position(|byte| *byte != 0) {
            return Err(Error::GapNotZero { offset: (gap_start + at) as u64, before: blob.name.clone() });
        }
        gap_start = range.end;
    }
    let work: Vec<_> = manifest
        .blobs
        .iter()
        .zip(&ranges)
        .map(|(blob, range)| bytes.get(range.clone()).map(|bytes| (blob, bytes)))
        .collect::<Option<_>>()
        .ok_or_else(layout)?;
    match first_damaged(&work) {
        Some((blob, bytes)) => {
            Err(Error::BlobDamaged { name: blob.name.clone(), expected: blob.sha256, found: sha256(bytes) })
        }
        None => Ok(ranges),
    }
}

type Work<'a> = (&'a BlobEntry, &'a [u8]);

/// The first blob in file order that does not have its hash; the same one however many threads look.
fn first_damaged<'a>(work: &[Work<'a>]) -> Option<Work<'a>> {
    let total: u64 = work.iter().map(|(blob, _)| blob.size).sum();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let helpers = match total {
        ..PARALLEL_HASH_BYTES => 0,
        _ => cores.min(work.len()).min(MAX_HASH_THREADS).saturating_sub(1),
    };
    // Largest first, so that no thread begins a large blob when the others are done.
    let mut order: Vec<usize> = (0..work.len()).collect();
    order.sort_by_key(|&index| work.get(index).map(|(_, bytes)| std::cmp::Reverse(bytes.len())));
    let (next, damaged) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let hash = || {
        while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            if work.get(index).is_some_and(|(blob, bytes)| sha256(bytes) != blob.sha256) {
                damaged.fetch_min(index, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..helpers {
            // Without a helper the work is only slower.
            let _ = thread::Builder::new().spawn_scoped(scope, hash);
        }
        hash();
    });
    work.get(damaged.into_inner()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_damaged_blob_is_named_however_many_threads_hash() {
        let contents: Vec<Vec<u8>> = (0..40u8).map(|at| vec![at; 300_000 * usize::from(at % 5)]).collect();
        let entry = |(at, bytes): (usize, &Vec<u8>)| BlobEntry {
            name: format!("blob{at}"),
            size: bytes.len() as u64,
            sha256: sha256(bytes),
            plain: None,
        };
        let mut entries: Vec<_> = contents.iter().enumerate().map(entry).collect();
        let total: u64 = entries.iter().map(|blob| blob.size).sum();
        assert!(total > PARALLEL_HASH_BYTES);
        fn zip<'a>(entries: &'a [BlobEntry], contents: &'a [Vec<u8>]) -> Vec<Work<'a>> {
            entries.iter().zip(contents.iter().map(Vec::as_slice)).collect()
        }
        assert!(first_damaged(&zip(&entries, &contents)).is_none());
        for damaged in [39, 20, 3, 0] {
            entries[damaged].sha256 = sha256(b"something else");
            let found = first_damaged(&zip(&entries, &contents)).unwrap();
            assert_eq!(found.0.name, format!("blob{damaged}"));
        }
    }
}
