//! The door: a checked upload becomes a stored submission, durable before the answer.

use prism_domain::ids::{Digest, Hotkey, SubmissionId};
use prism_intake::Upload;
use prism_store::{Accepted, NewSubmission, SpentNonce, StoreError};

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
    pub nonce: Option<SpentNonce>,
    /// `Idempotency-Key` of the request.
    pub idempotency_key: Option<String>,
}

/// The upload was not stored.
pub type SubmitError = StoreError;

impl Pipeline {
    /// Stores the upload and enqueues its first stage.
    pub async fn submit(&self, request: SubmitRequest) -> Result<Accepted, SubmitError> {
        let now = self.clock.now();
        let accepted = self
            .store
            .accept(NewSubmission {
                id: SubmissionId::new(self.entropy.uuid()),
                hotkey: request.hotkey,
                epoch: self.config.epoch.epoch_at(now),
                code_hash: request.upload.code_hash,
                filename: request.upload.filename,
                archive: request.upload.bytes,
                body_digest: request.body_digest,
                metadata: request.upload.metadata,
                nonce: request.nonce,
                idempotency_key: request.idempotency_key,
                now,
            })
            .await?;
        self.wake.notify_waiters();
        Ok(accepted)
    }
}
