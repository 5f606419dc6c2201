//! Seeds and secrets of an evaluation, derived so that a crash changes nothing and a miner can know nothing.
//!
//! All are HMAC-SHA256 under a key that this deployment drew once and never publishes. The paired
//! seeds depend on the epoch alone: submissions of one epoch are measured on the same data order, so
//! that their differences are paired, and sending the same code again draws no new lottery ticket.
//! The evaluation's secret (vocabulary permutation, audits) depends on the submission.

use hmac::{Hmac, KeyInit as _, Mac as _};
use prism_domain::ids::SubmissionId;
use prism_domain::time::EpochId;
use sha2::Sha256;

/// Bytes of the deployment's key.
pub const BEACON_KEY_LEN: usize = 32;

/// The key that seeds are derived from.
#[derive(Clone)]
pub struct Beacon([u8; BEACON_KEY_LEN]);

impl Beacon {
    /// Wraps the deployment's key.
    pub const fn new(key: [u8; BEACON_KEY_LEN]) -> Self {
        Self(key)
    }

    /// `count` seeds for all evaluations of submissions that were accepted in `epoch`; each below 2^63.
    pub fn seeds(&self, epoch: EpochId, count: usize) -> Vec<u64> {
        (0..count as u64)
            .map(|index| {
                let bytes = self.derive(&[b"seed", &epoch.0.to_be_bytes(), &index.to_be_bytes()]);
                let mut head = [0_u8; 8];
                head.copy_from_slice(bytes.split_at(8).0);
                u64::from_be_bytes(head) >> 1
            })
            .collect()
    }

    /// The secret of one evaluation.
    pub fn secret(&self, submission: SubmissionId) -> [u8; 32] {
        self.derive(&[b"secret", submission.to_string().as_bytes()])
    }

    /// The identifier of the evaluation of a submission: the same however often it is tried.
    pub fn evaluation_bytes(&self, submission: SubmissionId) -> [u8; 16] {
        half(&self.derive(&[b"evaluation", submission.to_string().as_bytes()]))
    }

    /// The identifier of the evaluation of an incumbent on a candidate's seeds.
    pub fn rematch_bytes(&self, candidate: SubmissionId, incumbent: SubmissionId) -> [u8; 16] {
        let (candidate, incumbent) = (candidate.to_string(), incumbent.to_string());
        half(&self.derive(&[b"rematch", candidate.as_bytes(), incumbent.as_bytes()]))
    }

    fn derive(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut key = hmac::digest::Key::<Hmac<Sha256>>::default();
        key.split_at_mut(BEACON_KEY_LEN).0.copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&key);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

fn half(bytes: &[u8; 32]) -> [u8; 16] {
    let mut half = [0_u8; 16];
    half.copy_from_slice(bytes.split_at(16).0);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_shared_in_an_epoch_and_fresh_in_the_next() {
        let beacon = Beacon::new([7; BEACON_KEY_LEN]);
        assert_eq!(beacon.seeds(EpochId(5), 3), beacon.seeds(EpochId(5), 3));
        assert_eq!(beacon.seeds(EpochId(5), 3)[..2], beacon.seeds(EpochId(5), 2)[..]);
        assert_ne!(beacon.seeds(EpochId(5), 2), beacon.seeds(EpochId(6), 2));
        assert_ne!(beacon.seeds(EpochId(5), 2), Beacon::new([8; 32]).seeds(EpochId(5), 2));
        assert!(beacon.seeds(EpochId(5), 64).iter().all(|seed| *seed < 1 << 63));
    }
}
