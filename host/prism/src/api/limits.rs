//! Limits of requests, each with a name.

/// The most rows that a listing answers with.
pub(super) const ROWS_MAX: u32 = 200;
/// Rows of the leaderboard.
pub(super) const LEADERBOARD_ROWS: u32 = 50;
/// Rows of `/v1/architectures` when nothing is said.
pub(super) const ARCHITECTURES_DEFAULT: u32 = 50;
/// Rows of `/v1/training-variants` when nothing is said.
pub(super) const VARIANTS_DEFAULT: u32 = 100;
/// Rows of the holds listing.
pub(super) const HOLDS_MAX: u32 = 100;
/// Largest body of a small internal request, bytes.
pub(super) const SMALL_BODY_BYTES: usize = 64 << 10;
/// Longest `Idempotency-Key`, bytes.
pub(super) const IDEMPOTENCY_KEY_BYTES: usize = 128;
/// Longest that a body may take to arrive, seconds.
pub(super) const BODY_TIMEOUT_S: u64 = 20;
