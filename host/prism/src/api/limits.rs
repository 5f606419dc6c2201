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
/// Longest that the headers of a request, or the next request of a connection, may take, seconds.
pub(super) const HEADER_TIMEOUT_S: u64 = 10;
/// Longest that requests under way may take once the server stops, seconds.
pub(super) const DRAIN_S: u64 = 10;
/// Connections at the same time; more wait to be accepted.
pub(super) const CONNECTIONS_MAX: usize = 1_024;
/// Rest after a failure to accept, milliseconds.
pub(super) const ACCEPT_PAUSE_MS: u64 = 500;
/// Longest that the rest of a refused upload is waited for, seconds.
pub(super) const LINGER_S: u64 = 2;
/// How much of it is taken, bytes.
pub(super) const LINGER_BYTES: u64 = 64 << 20;
