//! Every bound that a bundle, an envelope, a key or a policy must stay within.
//!
//! A limit exists so that a hostile file costs bounded memory and time before its signature is known, and so that
//! two readers agree about what is acceptable. `docs/bundle-format.md` lists them.

/// A whole bundle. It is read into memory, and 32-bit sizes elsewhere (OpenCL buffers) end here too.
pub const MAX_BUNDLE_BYTES: u64 = 4 << 30;

/// The envelope's JSON. It is parsed before any signature is checked: base64 of the largest payload, and signatures.
pub const MAX_ENVELOPE_BYTES: u64 = 4 << 20;

/// The manifest: 4096 blobs with names of 255 bytes need about 1.6 MB.
pub const MAX_MANIFEST_BYTES: usize = 2 << 20;

/// Signatures in one envelope; each costs a verification over the whole payload.
pub const MAX_SIGNATURES: usize = 16;

/// One signature, decoded. Ed25519 has 64 bytes, ECDSA P-256 in DER at most 72.
pub const MAX_SIGNATURE_BYTES: usize = 128;

/// Nesting of arrays and objects in any JSON document; ours nest 4 deep. Bounds the recursion of the parser.
pub const MAX_JSON_DEPTH: usize = 16;

/// Integers in JSON: the largest that every JSON reader holds exactly (2^53 - 1).
pub const MAX_JSON_INTEGER: u64 = (1 << 53) - 1;

/// Blobs in a bundle; the reader's tables and its name checks grow with it.
pub const MAX_BLOBS: usize = 4096;

/// A blob's name, as file systems bound names.
pub const MAX_BLOB_NAME_BYTES: usize = 255;

/// `publisher` and `name` of an app, each: a DNS label's length, safe in file and registry names.
pub const MAX_APP_NAME_PART_BYTES: usize = 63;

/// An app's description: a line or two in a terminal.
pub const MAX_DESCRIPTION_BYTES: usize = 1024;

/// Versions and licence expressions.
pub const MAX_SHORT_TEXT_BYTES: usize = 256;

/// Targets of one bundle.
pub const MAX_TARGETS: usize = 64;

/// What an app was made from, each with three licences: 64 of them add 70 kB to a manifest.
pub const MAX_ANCESTORS: usize = 64;

/// A PEM file with one key; an ECDSA P-256 key has 241 bytes.
pub const MAX_KEY_FILE_BYTES: usize = 16 << 10;

/// A trust policy file.
pub const MAX_POLICY_BYTES: usize = 4 << 20;

/// Keys in a trust policy.
pub const MAX_POLICY_KEYS: usize = 4096;

/// A rollback floor file; ours have about 200 bytes.
pub const MAX_FLOOR_BYTES: usize = 4096;

/// What the codec reads or writes in one value: the largest graph or index, weights excluded.
pub const MAX_CODEC_BYTES: usize = 64 << 20;

/// Plaintext bytes of a chunk of an encrypted blob: smaller ones cost more in tags than they are worth.
pub const MIN_CHUNK_BYTES: u64 = 4096;

/// The same, at most: what is decrypted before it is known to be authentic.
pub const MAX_CHUNK_BYTES: u64 = 16 << 20;

/// Keys that may grant the use of one bundle.
pub const MAX_ISSUERS: usize = 16;

/// A grant or a request, decoded.
pub const MAX_GRANT_BYTES: usize = 1 << 20;

/// Bundles that one grant has keys for.
pub const MAX_GRANTED_BUNDLES: usize = 1024;

/// A lease, decoded: a grant in base64, and its keys again.
pub const MAX_LEASE_BYTES: usize = 2 << 20;

/// One receipt; ours have about 600.
pub const MAX_RECEIPT_BYTES: usize = 4096;

/// All receipts of one grant with what belongs to them: a million of them and more.
pub const MAX_STATEMENT_BYTES: usize = 1 << 30;

/// A revocation list, decoded.
pub const MAX_REVOCATION_BYTES: usize = 2 << 20;

/// Bytes of a lineage.
pub const MAX_LINEAGE_BYTES: usize = 4096;

/// Trustees of one deposit.
pub const MAX_TRUSTEES: usize = 64;

/// Bytes of a deed of escrow, or of a release: 64 keys of 100 bytes each.
pub const MAX_DEED_BYTES: usize = 64 << 10;

/// Lineages that a machine has: each costs a signature check when a bundle is opened.
pub const MAX_LINEAGES: usize = 256;

/// What one list revokes, all together.
pub const MAX_REVOCATIONS: usize = 8192;

/// A vendor's ledger: about 250 bytes a grant.
pub const MAX_LEDGER_BYTES: usize = 1 << 30;

/// Blobs start at multiples of this: a page, which is what zero-copy device buffers and direct reads ask for.
pub const BLOB_ALIGNMENT: u64 = 4096;

/// Below this many blob bytes a second thread costs more than it saves.
pub(crate) const PARALLEL_HASH_BYTES: u64 = 4 << 20;

/// Threads that hash blobs, at most; beyond this, memory bandwidth is the limit.
pub(crate) const MAX_HASH_THREADS: usize = 8;
