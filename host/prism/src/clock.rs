//! The real clock and the real randomness of the machine.

use prism_domain::entropy::Entropy;
use prism_domain::time::{Clock, Timestamp};

/// The machine's wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock that everything else takes")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros =
            since.map_or(0, |duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX));
        Timestamp::from_micros(micros)
    }
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn bytes32(&self) -> [u8; 32] {
        let (left, right) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        // A version 4 UUID fixes six of its bits, so the halves of two hashes are taken instead of the raw bytes.
        let mut seed = [0_u8; 64];
        for (chunk, source) in
            seed.chunks_mut(16).zip([left, right, uuid::Uuid::new_v4(), uuid::Uuid::new_v4()])
        {
            chunk.copy_from_slice(source.as_bytes());
        }
        *prism_domain::ids::Digest::of(&seed).as_bytes()
    }
}
