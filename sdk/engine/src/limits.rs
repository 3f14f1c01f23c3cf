//! Limits on what a plan may claim. Each bounds memory that a hostile graph or caller could otherwise ask for.

/// Bytes of all activation buffers of one plan, halos and slack included: ten times what a 1080p detector needs.
pub const MAX_ARENA_BYTES: usize = 1 << 31;
/// Bytes of working memory of one thread; the largest convolution in use needs under a megabyte.
pub const MAX_SCRATCH_BYTES: usize = 1 << 28;
/// Most threads of one session; more than any CPU on the market has cores.
pub const MAX_THREADS: usize = 1024;
/// Plans kept per compiled graph, one per set of input shapes.
pub const MAX_PLANS: usize = 8;
/// Additions and products of one graph that get a table of all pairs (64 KiB each); further ones run as the reference
/// does. Ten times what the largest networks have.
pub const MAX_PAIR_TABLES: usize = 1024;
/// Layers in one tuning record; the largest networks have some hundred different ones.
pub const MAX_TUNED_LAYERS: usize = 4096;
