//! The life of a policy set, from its composition to its end. Pure: every process that sees the same events
//! comes to the same state.

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, SubmissionId};

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
            (Backtested | Shadow | Canary | Superseded, SetEvent::Canaried { .. }) => Ok(Canary),
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

    /// Whether history may be decided again under a set in this state: it can be loaded.
    pub fn may_be_backtested(self) -> bool {
        self.apply(&SetEvent::Backtested { report: Digest::of(b"") }).is_ok()
    }
}

/// A set that decides about a share of the submissions. Which ones follows from their identifiers, so that every
/// process takes the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// The set.
    pub policy_set: Digest,
    /// Parts per million of the submissions.
    pub share_ppm: u32,
}

impl Canary {
    /// Whether it decides about that submission: a digest of set and submission, as a number below the share. Another
    /// canary takes other ones.
    pub fn takes(&self, submission: SubmissionId) -> bool {
        let digest = Digest::of(format!("{} {submission}", self.policy_set).as_bytes());
        let (head, _rest) = digest.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
        u64::from_be_bytes(*head) % 1_000_000 < u64::from(self.share_ppm)
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
            ("canary", ".y.yauq.R"),
            ("active", ".a...uq.."),
            ("superseded", ".usya...R"),
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

    #[test]
    fn a_canary_takes_about_its_share_and_always_the_same() {
        let canary = |share_ppm| Canary { policy_set: Digest::of(b"set"), share_ppm };
        let ids: Vec<SubmissionId> =
            (0..10_000).map(|n| SubmissionId::new(uuid::Uuid::from_u128(n))).collect();
        let taken = |canary: Canary| ids.iter().filter(|id| canary.takes(**id)).count();
        assert!((400..600).contains(&taken(canary(50_000))), "{}", taken(canary(50_000)));
        assert_eq!(taken(canary(1_000_000)), ids.len());
        let (few, more) = (canary(50_000), canary(100_000));
        assert!(ids.iter().all(|id| !few.takes(*id) || more.takes(*id)), "a larger share adds");
    }
}
