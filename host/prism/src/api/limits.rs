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
/// Longest that an answer may take to be taken by its reader, seconds.
pub(super) const WRITE_TIMEOUT_S: u64 = 20;
/// Longest that a request waits for a place, milliseconds.
pub(super) const ADMISSION_WAIT_MS: u64 = 1_000;
/// Header fields of a request.
pub(super) const HEADERS_MAX: usize = 64;
/// Names and values of all header fields of a request, bytes.
pub(super) const HEADER_BYTES_MAX: usize = 16 << 10;
/// Path and query of a request, bytes.
pub(super) const TARGET_BYTES_MAX: usize = 8 << 10;
/// What the server reads of a request before it understands its header, bytes. Beyond that it answers
/// 431 without a body.
pub(super) const HEADER_BUFFER_BYTES: usize = 64 << 10;
/// Connections that are told at once that there is no room; more are only closed.
pub(super) const TOLD_AT_ONCE: usize = 64;
/// Longest that such a one may take to listen, seconds.
pub(super) const TELL_S: u64 = 1;
/// Rest after a failure to accept, milliseconds.
pub(super) const ACCEPT_PAUSE_MS: u64 = 500;
/// Longest that the rest of a refused upload is waited for, seconds.
pub(super) const LINGER_S: u64 = 2;
/// How much of it is taken, bytes.
pub(super) const LINGER_BYTES: u64 = 64 << 20;
