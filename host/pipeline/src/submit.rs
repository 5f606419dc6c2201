//! The door: a checked upload becomes a stored submission, durable before the answer.

use prism_domain::ids::{Digest, Hotkey, SubmissionId};
use prism_intake::Upload;
use prism_store::{Accepted, NewSubmission, Nonce, Quota, StoreError};

use crate::Pipeline;

/// An upload whose sender is known.
#[derive(Debug, Clone)]
pub struct SubmitRequest {
    /// Who sent it.
    pub hotkey: Hotkey,
    /// The checked upload.
    pub upload: Upload,
    /// Digest of the request body: the same body from the same hotkey is the same submission.
    pub body_digest: Digest,
    /// Nonce of a signed request.
    pub nonce: Option<Nonce>,
    /// `Idempotency-Key` of the request.
    pub idempotency_key: Option<String>,
    /// How much the hotkey may send; none for no bound.
    pub quota: Option<Quota>,
}

/// The upload was not stored.
pub type SubmitError = StoreError;

impl Pipeline {
    /// Stores the upload and enqueues its first stage.
    pub async fn submit(&self, request: SubmitRequest) -> Result<Accepted, SubmitError> {
        let now = self.clock.now();
        let code_hash = request.upload.code_hash.parse().map_err(|_not_a_digest| {
            StoreError::Invalid("the code hash is not a digest".to_owned())
        })?;
        let metadata = serde_json::Value::Object(request.upload.metadata).to_string();
        let accepted = self
            .store
            .accept(NewSubmission {
                id: SubmissionId::new(self.entropy.uuid()),
                hotkey: request.hotkey,
                epoch: self.config.epoch.epoch_at(now),
                code_hash,
                filename: request.upload.filename,
                archive: request.upload.bytes,
                body_digest: request.body_digest,
                metadata,
                nonce: request.nonce,
                idempotency_key: request.idempotency_key,
                quota: request.quota,
                now,
            })
            .await?;
        self.wake.notify_waiters();
        Ok(accepted)
    }
}
