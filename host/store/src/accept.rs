//! Accepting an upload: one durable transaction that spends the nonce, stores the bytes, gives the
//! sequence number and enqueues the first stage, or changes nothing at all.

use prism_domain::ids::{Digest, Hotkey, SubmissionId};
use prism_domain::submission::{Blame, Event, Stage, State, Submission};
use prism_domain::time::{EpochId, Timestamp};

use crate::blobs::insert_blob;
use crate::codec::{SubmissionRow, parsed, state_columns, submission_columns, to_column};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::events::append_event;
use crate::jobs::enqueue;
use crate::open::Store;
use crate::quota::{self, Quota};
use crate::submissions::{Published, advance};

/// An upload that passed the checks at the door.
#[derive(Debug, Clone)]
pub struct NewSubmission {
    /// Identifier, drawn by the caller; not used when the upload is already there.
    pub id: SubmissionId,
    /// Who sent it.
    pub hotkey: Hotkey,
    /// The epoch of `now`.
    pub epoch: EpochId,
    /// SHA-256 of the code text as clients compute it.
    pub code_hash: Digest,
    /// File name given by the sender: a label, never a path.
    pub filename: String,
    /// The upload as it is stored.
    pub archive: Vec<u8>,
    /// What makes two uploads of one hotkey the same.
    pub body_digest: Digest,
    /// JSON given by the sender.
    pub metadata: String,
    /// The nonce of a signed request.
    pub nonce: Option<Nonce>,
    /// The `Idempotency-Key` of the request.
    pub idempotency_key: Option<String>,
    /// How much the hotkey may send; none for no bound.
    pub quota: Option<Quota>,
    /// The present.
    pub now: Timestamp,
}

/// A nonce of a signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce {
    /// The text, unique for the hotkey.
    pub value: String,
    /// When the signature is stale in any case, so that the nonce may be forgotten.
    pub expires_at: Timestamp,
}

/// The answer to an upload.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The submission: the new one, or the one that the same upload made before.
    pub submission: Submission,
    /// Whether it is new.
    pub created: bool,
}

impl Store {
    /// Stores an upload durably. The same body of the same hotkey gives the submission that exists, which
    /// is tried again when it had failed through no fault of the miner; the nonce is spent either way. On any error nothing is stored and the nonce is not spent.
    ///
    /// Refused at once with [`StoreError::Busy`] when too many writes wait, and with
    /// [`StoreError::QuotaExceeded`] when the hotkey has sent as much as it may.
    pub async fn accept(&self, new: NewSubmission) -> Result<Accepted, StoreError> {
        let archive_digest = Digest::of(&new.archive);
        self.writer
            .write_or_refuse(move |connection| Box::pin(accept(connection, new, archive_digest)))
            .await
    }

    /// Forgets nonces that expired before `now`; answers how many.
    pub async fn prune_nonces(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let pruned = sqlx::query("DELETE FROM nonces WHERE expires_at < $1")
                        .bind(now.as_micros())
                        .execute(connection)
                        .await?;
                    Ok(pruned.rows_affected())
                })
            })
            .await
    }
}

async fn accept(
    connection: &mut Connection,
    new: NewSubmission,
    archive_digest: Digest,
) -> Result<Accepted, StoreError> {
    spend_nonce(connection, &new).await?;
    if let Some(submission) = submission_of_key(connection, &new).await? {
        return Ok(Accepted { submission, created: false });
    }
    quota::check(connection, &new).await?;
    let (hotkey, body_digest, now) = (new.hotkey.clone(), new.body_digest, new.now);
    if let Some(submission) = insert(connection, new, archive_digest).await? {
        return Ok(Accepted { submission, created: true });
    }
    let row: SubmissionRow = sqlx::query_as(concat!(
        "SELECT ",
        submission_columns!(),
        " FROM submissions WHERE hotkey = $1 AND body_digest = $2"
    ))
    .bind(hotkey.as_str())
    .bind(body_digest.to_string())
    .fetch_one(&mut *connection)
    .await?;
    let mut submission: Submission = row.try_into()?;
    if let State::Failed { blame } = submission.state
        && blame != Blame::Miner
    {
        let published = Published::default();
        submission.state =
            advance(connection, submission.sequence, &Event::Retried, published, now).await?.state;
        submission.error = None;
        enqueue(connection, submission.sequence, Stage::Facts, now).await?;
    }
    Ok(Accepted { submission, created: false })
}

async fn spend_nonce(connection: &mut Connection, new: &NewSubmission) -> Result<(), StoreError> {
    let Some(nonce) = &new.nonce else { return Ok(()) };
    let inserted = sqlx::query(
        "INSERT INTO nonces (hotkey, nonce, expires_at) VALUES ($1, $2, $3) \
         ON CONFLICT (hotkey, nonce) DO NOTHING",
    )
    .bind(new.hotkey.as_str())
    .bind(nonce.value.as_str())
    .bind(nonce.expires_at.as_micros())
    .execute(connection)
    .await?;
    if inserted.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NonceUsed) }
}

/// The submission that this idempotency key made before.
async fn submission_of_key(
    connection: &mut Connection,
    new: &NewSubmission,
) -> Result<Option<Submission>, StoreError> {
    let Some(key) = &new.idempotency_key else { return Ok(None) };
    let known: Option<(String, i64)> = sqlx::query_as(
        "SELECT body_digest, submission FROM idempotency_keys WHERE hotkey = $1 AND idempotency_key = $2",
    )
    .bind(new.hotkey.as_str())
    .bind(key.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some((body_digest, sequence)) = known else { return Ok(None) };
    let known: Digest = parsed("body digest", &body_digest)?;
    if known != new.body_digest {
        return Err(StoreError::IdempotencyKeyReused);
    }
    let row: SubmissionRow = sqlx::query_as(concat!(
        "SELECT ",
        submission_columns!(),
        " FROM submissions WHERE sequence = $1"
    ))
    .bind(sequence)
    .fetch_one(connection)
    .await?;
    Ok(Some(row.try_into()?))
}

/// Stores a new submission; none when its hotkey sent that body before.
async fn insert(
    connection: &mut Connection,
    new: NewSubmission,
    archive_digest: Digest,
) -> Result<Option<Submission>, StoreError> {
    insert_blob(connection, archive_digest, new.archive).await?;
    let (status, stage, _cause, _blame) = state_columns(State::INITIAL);
    let inserted: Option<i64> = sqlx::query_scalar(
        "INSERT INTO submissions (id, hotkey, epoch, code_hash, filename, archive, body_digest, metadata, \
         status, stage, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) \
         ON CONFLICT (hotkey, body_digest) DO NOTHING RETURNING sequence",
    )
    .bind(new.id.to_string())
    .bind(new.hotkey.as_str())
    .bind(to_column("epoch", new.epoch.0)?)
    .bind(new.code_hash.to_string())
    .bind(new.filename.as_str())
    .bind(archive_digest.to_string())
    .bind(new.body_digest.to_string())
    .bind(new.metadata)
    .bind(status)
    .bind(stage)
    .bind(new.now.as_micros())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(sequence) = inserted else { return Ok(None) };
    if let Some(key) = new.idempotency_key {
        insert_key(connection, &new.hotkey, key, new.body_digest, sequence).await?;
    }
    append_event(connection, sequence, &Event::Accepted, State::INITIAL, new.now).await?;
    enqueue(connection, sequence, Stage::Facts, new.now).await?;
    Ok(Some(Submission {
        id: new.id,
        sequence,
        hotkey: new.hotkey,
        epoch: new.epoch,
        code_hash: new.code_hash,
        filename: new.filename,
        archive: archive_digest,
        state: State::INITIAL,
        error: None,
        created_at: new.now,
        updated_at: new.now,
        policy_set: None,
        scores: None,
    }))
}

async fn insert_key(
    connection: &mut Connection,
    hotkey: &Hotkey,
    key: String,
    body_digest: Digest,
    sequence: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO idempotency_keys (hotkey, idempotency_key, body_digest, submission) \
         VALUES ($1, $2, $3, $4)",
    )
    .bind(hotkey.as_str())
    .bind(key)
    .bind(body_digest.to_string())
    .bind(sequence)
    .execute(connection)
    .await?;
    Ok(())
}
