//! The components that the build script compiled and checked. They are part of the binary.

use prism_domain::policy::Slot;

use crate::inspect::World;

const REVIEW: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prism-plugin-review.wasm"));
const SCALING: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prism-plugin-scaling.wasm"));
const THRESHOLDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prism-plugin-thresholds.wasm"));
const ATTRIBUTION: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/prism-plugin-attribution.wasm"));
const REWARDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prism-plugin-rewards.wasm"));
const PYTHON_READER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prism-facts.wasm"));

/// The default component of a slot.
pub const fn default_component(slot: Slot) -> &'static [u8] {
    match slot {
        Slot::Review => REVIEW,
        Slot::Scaling => SCALING,
        Slot::Thresholds => THRESHOLDS,
        Slot::Attribution => ATTRIBUTION,
        Slot::Rewards => REWARDS,
    }
}

/// The Python reader.
pub const fn python_reader() -> &'static [u8] {
    PYTHON_READER
}

impl From<Slot> for World {
    fn from(slot: Slot) -> Self {
        match slot {
            Slot::Review => Self::Reviewer,
            Slot::Scaling => Self::Scaler,
            Slot::Thresholds => Self::Assessor,
            Slot::Attribution => Self::Attributor,
            Slot::Rewards => Self::Rewarder,
        }
    }
}
