//! Randomness as a value: drawn from an [`Entropy`], never from the machine behind our back.

use uuid::Uuid;

/// Where fresh randomness comes from. The real one is in the binary; tests may bring their own.
pub trait Entropy: Send + Sync {
    /// 32 fresh, unpredictable bytes.
    fn bytes32(&self) -> [u8; 32];

    /// A fresh random UUID (version 4).
    fn uuid(&self) -> Uuid {
        let bytes = self.bytes32();
        let mut half = [0_u8; 16];
        half.copy_from_slice(bytes.split_at(16).0);
        uuid::Builder::from_random_bytes(half).into_uuid()
    }
}
