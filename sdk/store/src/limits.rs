//! What a mirror may cost before anything it sent is known to be authentic.

use std::time::Duration;

/// A root: some keys and four roles.
pub const MAX_ROOT_BYTES: u64 = 512 << 10;

/// A timestamp: one line about the snapshot.
pub const MAX_TIMESTAMP_BYTES: u64 = 16 << 10;

/// A snapshot where the timestamp states no length: about 40 bytes a role.
pub const MAX_SNAPSHOT_BYTES: u64 = 8 << 20;

/// A role's targets where the snapshot states no length: about 200 bytes a listing.
pub const MAX_TARGETS_BYTES: u64 = 8 << 20;

/// A listing: a manifest in base64 inside an envelope, and a list of its blobs.
pub const MAX_LISTING_BYTES: u64 = 8 << 20;

/// A shard of the index.
pub const MAX_SHARD_BYTES: u64 = 16 << 20;

/// All shards of the index together, which everybody who searches fetches and keeps: a million apps of 256 bytes.
pub const MAX_INDEX_BYTES: u64 = 256 << 20;

/// A word of a contract: a task, a name, a device.
pub const MAX_CONTRACT_TEXT_BYTES: usize = 256;

/// Ends of an app, each way.
pub const MAX_PORTS: usize = 64;

/// Axes of an end.
pub const MAX_RANK: usize = 8;

/// Device classes that a publisher measured.
pub const MAX_SPEEDS: usize = 64;

/// Evaluations attached to a listing.
pub const MAX_REPORTS: usize = 8;

/// One of them: a count for each of a thousand classes.
pub const MAX_REPORT_BYTES: usize = 128 << 10;

/// Roots that one refresh follows; a store that rotates its keys monthly is followed for 85 years.
pub const MAX_ROOT_ROTATIONS: u64 = 1024;

/// Versions of a role that are signed and not listed yet.
pub(crate) const MAX_STAGED: u64 = 4096;

/// Bytes of a delegated role's name, so that its file can be named after it.
pub const MAX_ROLE_NAME_BYTES: usize = 200;

/// Roles that the search for one target looks into.
pub const MAX_DELEGATIONS: usize = 32;

/// Mirrors of one store.
pub const MAX_MIRRORS: usize = 16;

/// Listings and shards of the index that are kept to be read again.
pub const MAX_CACHE_BYTES: u64 = 256 << 20;

/// Days for which a download that was interrupted is kept.
pub const MAX_PART_DAYS: u64 = 14;

/// An image's manifest, or a list of them: the largest that every registry takes.
pub const MAX_IMAGE_BYTES: u64 = 4 << 20;

/// What refers to one image, as far as it is looked at.
pub const MAX_REFERRERS: usize = 64;

/// How long one answer may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To connect, and again before the rate counts.
    pub grace: Duration,
    /// Bytes a second below which a mirror is given up.
    pub min_rate: u64,
}

impl Patience {
    /// For an answer of `bytes`.
    #[must_use]
    pub fn for_bytes(&self, bytes: u64) -> Duration {
        self.grace + Duration::from_secs(bytes / self.min_rate.max(1))
    }
}

impl Default for Patience {
    /// 20 seconds, then 4 kB a second.
    fn default() -> Self {
        Self { grace: Duration::from_secs(20), min_rate: 4096 }
    }
}
