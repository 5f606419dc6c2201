//! A slot as the command line names it.

use clap::ValueEnum;
use prism_domain::policy::Slot;

/// One of the five slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum SlotName {
    /// May this project run?
    Review,
    /// What do the measurements say?
    Scaling,
    /// Is this improvement meaningful?
    Thresholds,
    /// Who discovered what?
    Attribution,
    /// Who is paid?
    Rewards,
}

impl SlotName {
    /// The slot.
    pub(super) const fn slot(self) -> Slot {
        match self {
            Self::Review => Slot::Review,
            Self::Scaling => Slot::Scaling,
            Self::Thresholds => Slot::Thresholds,
            Self::Attribution => Slot::Attribution,
            Self::Rewards => Slot::Rewards,
        }
    }

    /// The name that the server knows it by.
    pub(super) const fn name(self) -> &'static str {
        self.slot().as_str()
    }
}
