//! The life of a policy set, from its composition to its end. Pure: every process that sees the same events
//! comes to the same state.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;

/// Where a policy set stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetState {
    /// Its components are stored; nothing was tried.
    Uploaded,
    /// It can be loaded. Its components answered the cases of their slots twice with identical bytes when they
    /// came in, with the settings that they come with.
    Checked,
    /// History was decided again under it.
    Backtested,
    /// It runs beside the set in force; what it says is kept and never used.
    Shadow,
    /// It decides about a share of the submissions.
    Canary,
    /// It decides.
    Active,
    /// It decided, or ran beside, and another set took its place.
    Superseded,
    /// It failed too often and was taken out of force.
    Quarantined,
    /// Never to be loaded again.
    Revoked,
}

impl SetState {
    /// All states, in the order of a life.
    pub const ALL: [Self; 9] = [
        Self::Uploaded,
        Self::Checked,
        Self::Backtested,
        Self::Shadow,
        Self::Canary,
        Self::Active,
        Self::Superseded,
        Self::Quarantined,
        Self::Revoked,
    ];

    /// Stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Checked => "checked",
            Self::Backtested => "backtested",
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Active => "active",
            Self::Superseded => "superseded",
            Self::Quarantined => "quarantined",
            Self::Revoked => "revoked",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The state after `event`.
    ///
    /// # Errors
    /// When the event cannot happen in this state.
    pub fn apply(self, event: &SetEvent) -> Result<Self, IllegalSetTransition> {
        use SetState::{
            Active, Backtested, Canary, Checked, Quarantined, Revoked, Shadow, Superseded, Uploaded,
        };
        match (self, event) {
            (Uploaded, SetEvent::Checked) | (Quarantined, SetEvent::Released) => Ok(Checked),
            (Checked | Backtested, SetEvent::Backtested { .. }) => Ok(Backtested),
            // More evidence does not take a set out of force.
            (Shadow | Canary | Active | Superseded, SetEvent::Backtested { .. }) => Ok(self),
            (Checked | Backtested | Superseded, SetEvent::Shadowed) => Ok(Shadow),
            (Backtested | Shadow, SetEvent::Canaried { .. }) => Ok(Canary),
            (Checked | Backtested | Shadow | Canary | Superseded, SetEvent::Activated { .. }) => {
                Ok(Active)
            }
            (Shadow | Canary | Active, SetEvent::Superseded { .. }) => Ok(Superseded),
            (Shadow | Canary | Active, SetEvent::Quarantined) => Ok(Quarantined),
            (
                Uploaded | Checked | Backtested | Shadow | Canary | Superseded | Quarantined,
                SetEvent::Revoked,
            ) => Ok(Revoked),
            _ => Err(IllegalSetTransition { from: self.as_str(), event: event.name() }),
        }
    }

    /// Whether a backtest of exactly this set is on record, or the set was in force before.
    pub const fn has_evidence(self) -> bool {
        matches!(self, Self::Backtested | Self::Canary | Self::Superseded)
    }
}

/// What happened to a policy set. Each one is appended to the log of policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum SetEvent {
    /// It was loaded; its components passed the cases of their slots when they came in.
    Checked,
    /// History was decided again under it.
    Backtested {
        /// Digest of the report.
        report: Digest,
    },
    /// It runs beside the set in force from now on.
    Shadowed,
    /// It decides about a share of the submissions from now on.
    Canaried {
        /// Parts per million of the submissions.
        share_ppm: u32,
    },
    /// It is in force from now on.
    Activated {
        /// Why no backtest of it was demanded; none where there is one, or where it goes back into force.
        without_backtest: Option<String>,
    },
    /// Another set took its place.
    Superseded {
        /// The other one.
        by: Digest,
    },
    /// It failed too often.
    Quarantined,
    /// An operator let it out of quarantine.
    Released,
    /// It must never be loaded again. A set in force has to be superseded first.
    Revoked,
}

impl SetEvent {
    /// Stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Checked => "checked",
            Self::Backtested { .. } => "backtested",
            Self::Shadowed => "shadowed",
            Self::Canaried { .. } => "canaried",
            Self::Activated { .. } => "activated",
            Self::Superseded { .. } => "superseded",
            Self::Quarantined => "quarantined",
            Self::Released => "released",
            Self::Revoked => "revoked",
        }
    }
}

/// The event cannot happen in that state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a policy set that is {from} cannot be {event}")]
pub struct IllegalSetTransition {
    /// Name of the state.
    pub from: &'static str,
    /// Name of the event.
    pub event: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> [SetEvent; 9] {
        let digest = Digest::of(b"other");
        [
            SetEvent::Checked,
            SetEvent::Backtested { report: digest },
            SetEvent::Shadowed,
            SetEvent::Canaried { share_ppm: 1 },
            SetEvent::Activated { without_backtest: None },
            SetEvent::Superseded { by: digest },
            SetEvent::Quarantined,
            SetEvent::Released,
            SetEvent::Revoked,
        ]
    }

    /// Columns in the order of `events`; `.` is refused, a letter is the state that follows.
    #[test]
    fn the_whole_table() {
        let table = [
            ("uploaded", "c.......R"),
            ("checked", ".bs.a...R"),
            ("backtested", ".bsya...R"),
            ("shadow", ".s.yauq.R"),
            ("canary", ".y..auq.R"),
            ("active", ".a...uq.."),
            ("superseded", ".us.a...R"),
            ("quarantined", ".......cR"),
            ("revoked", "........."),
        ];
        let state_of = |letter: char| match letter {
            'c' => Some("checked"),
            'b' => Some("backtested"),
            's' => Some("shadow"),
            'y' => Some("canary"),
            'a' => Some("active"),
            'u' => Some("superseded"),
            'q' => Some("quarantined"),
            'R' => Some("revoked"),
            _ => None,
        };
        for (name, row) in table {
            let state = SetState::from_name(name).expect("a state");
            for (event, letter) in events().iter().zip(row.chars()) {
                let after = state.apply(event).ok().map(SetState::as_str);
                assert_eq!(after, state_of(letter), "{name} {event:?}");
            }
        }
    }
}
