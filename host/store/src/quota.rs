//! How much one hotkey may send. Counted from the submissions themselves inside the transaction that
//! accepts another, so that all processes on the database count alike and nothing can go out of step.

use prism_domain::time::Timestamp;

use crate::accept::NewSubmission;
use crate::dialect::Connection;
use crate::error::StoreError;

/// So many new submissions of one hotkey within any window of that length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Submissions, at least one.
    pub submissions: u32,
    /// Length of the window, milliseconds.
    pub window_ms: i64,
}

/// A hotkey has sent as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} submissions within {} seconds are used up", quota.submissions, quota.window_ms / 1_000)]
pub struct QuotaExceeded {
    /// What it may send.
    pub quota: Quota,
    /// When the next one is taken: the oldest that counts has left the window then.
    pub reset_at: Timestamp,
    /// How long that is from now, seconds, rounded up.
    pub retry_after_s: u64,
}

/// Refuses an upload beyond the quota. One that is there already passes: it costs no evaluation.
///
/// What ended by a fault of ours does not count, and neither does what waits because a policy is at
/// fault. A submission that is tried again counts from when it was first accepted.
pub(crate) async fn check(
    connection: &mut Connection,
    new: &NewSubmission,
) -> Result<(), StoreError> {
    let Some(quota) = new.quota else { return Ok(()) };
    // With as many as the quota in the window, the oldest of them is the one that has to leave it.
    let blocking: Option<i64> = sqlx::query_scalar(
        "SELECT created_at FROM submissions WHERE hotkey = $1 AND created_at > $2 \
         AND COALESCE(blame, 'miner') = 'miner' AND COALESCE(cause, '') <> 'policy_fault' \
         ORDER BY created_at DESC LIMIT 1 OFFSET $3",
    )
    .bind(new.hotkey.as_str())
    .bind(new.now.plus_ms(-quota.window_ms).as_micros())
    .bind(i64::from(quota.submissions.saturating_sub(1)))
    .fetch_optional(&mut *connection)
    .await?;
    let Some(blocking) = blocking else { return Ok(()) };
    let known: Option<i64> = sqlx::query_scalar(
        "SELECT sequence FROM submissions WHERE hotkey = $1 AND body_digest = $2",
    )
    .bind(new.hotkey.as_str())
    .bind(new.body_digest.to_string())
    .fetch_optional(connection)
    .await?;
    if known.is_some() {
        return Ok(());
    }
    let reset_at = Timestamp::from_micros(blocking).plus_ms(quota.window_ms);
    let wait_us = reset_at.as_micros().saturating_sub(new.now.as_micros());
    let retry_after_s = u64::try_from(wait_us).unwrap_or(0).div_ceil(1_000_000).max(1);
    Err(StoreError::QuotaExceeded(QuotaExceeded { quota, reset_at, retry_after_s }))
}
