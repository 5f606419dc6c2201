//! The life of a submission: its states, and the one function that may change them.

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, Hotkey, SubmissionId};
use crate::time::{EpochId, Timestamp};

/// A step of the pipeline. A submission carries the step that is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Unpack the archive and read the source as data.
    Facts,
    /// Ask the review policy whether it may run.
    Review,
    /// Train and measure in the sandbox.
    Evaluation,
    /// Ask the scaling policy what the measurements say.
    Scoring,
    /// Measure an incumbent on the candidate's seeds. Only attribution calls for it, and leads back to
    /// attribution.
    Rematch,
    /// Ask thresholds and attribution who discovered what; change the ledger.
    Attribution,
}

impl Stage {
    /// All stages.
    pub const ALL: [Self; 6] = [
        Self::Facts,
        Self::Review,
        Self::Evaluation,
        Self::Scoring,
        Self::Rematch,
        Self::Attribution,
    ];

    /// The stages that every submission passes, in order.
    pub const USUAL: [Self; 5] =
        [Self::Facts, Self::Review, Self::Evaluation, Self::Scoring, Self::Attribution];

    /// The stage after this one; none after the last.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Facts => Some(Self::Review),
            Self::Review => Some(Self::Evaluation),
            Self::Evaluation => Some(Self::Scoring),
            Self::Scoring | Self::Rematch => Some(Self::Attribution),
            Self::Attribution => None,
        }
    }

    /// Stable name, as in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::Review => "review",
            Self::Evaluation => "evaluation",
            Self::Scoring => "scoring",
            Self::Rematch => "rematch",
            Self::Attribution => "attribution",
        }
    }

    /// The stage of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }
}

/// Whose fault it is that something did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The submitted code or upload.
    Miner,
    /// This service, its host or its configuration.
    Platform,
    /// The machine that evaluated.
    Worker,
    /// A policy component.
    Policy,
}

impl Blame {
    /// Stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Miner => "miner",
            Self::Platform => "platform",
            Self::Worker => "worker",
            Self::Policy => "policy",
        }
    }

    /// The blame of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Miner, Self::Platform, Self::Worker, Self::Policy]
            .into_iter()
            .find(|blame| blame.as_str() == name)
    }
}

/// Why a submission waits for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldCause {
    /// The review policy is unsure; an operator decides.
    Review,
    /// The attribution policy is unsure; an operator resolves the hold.
    Attribution,
    /// A policy component is at fault; goes on when another policy set is active.
    PolicyFault,
}

impl HoldCause {
    /// Stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Attribution => "attribution",
            Self::PolicyFault => "policy_fault",
        }
    }

    /// The cause of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Review, Self::Attribution, Self::PolicyFault]
            .into_iter()
            .find(|cause| cause.as_str() == name)
    }
}

/// Where a submission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum State {
    /// Waits for a worker to do `stage`.
    Pending {
        /// What is to be done next.
        stage: Stage,
    },
    /// A worker does `stage` under a lease.
    Running {
        /// What is being done.
        stage: Stage,
    },
    /// Waits for an operator or for a policy; goes on with `stage`.
    Held {
        /// Where it goes on.
        stage: Stage,
        /// Why it waits.
        cause: HoldCause,
    },
    /// Scored and attributed.
    Completed,
    /// Refused by a rule; the findings say which.
    Rejected,
    /// Could not be evaluated.
    Failed {
        /// Whose fault it was.
        blame: Blame,
    },
}

impl State {
    /// The state of a new submission.
    pub const INITIAL: Self = Self::Pending { stage: Stage::Facts };

    /// The status word that clients see.
    pub const fn status(self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Running { .. } => "running",
            Self::Held { .. } => "held",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Failed { .. } => "failed",
        }
    }

    /// The stage that is due or under way; none in a final state.
    pub const fn stage(self) -> Option<Stage> {
        match self {
            Self::Pending { stage } | Self::Running { stage } | Self::Held { stage, .. } => {
                Some(stage)
            }
            Self::Completed | Self::Rejected | Self::Failed { .. } => None,
        }
    }

    /// Whether nothing can follow.
    pub const fn is_final(self) -> bool {
        self.stage().is_none()
    }

    /// The state after `event`.
    pub fn apply(self, event: &Event) -> Result<Self, IllegalTransition> {
        let illegal = || IllegalTransition { from: self.status(), event: event.name() };
        match (self, event) {
            (Self::Pending { stage }, Event::Claimed) => Ok(Self::Running { stage }),
            (Self::Running { stage }, Event::Released { .. })
            | (Self::Held { stage, .. }, Event::Resumed { .. }) => Ok(Self::Pending { stage }),
            (Self::Running { stage }, Event::StageDone) => {
                stage.next().map_or(Ok(Self::Completed), |stage| Ok(Self::Pending { stage }))
            }
            (Self::Running { stage: Stage::Attribution }, Event::RematchCalled { .. }) => {
                Ok(Self::Pending { stage: Stage::Rematch })
            }
            (Self::Running { stage }, Event::Held { cause, .. }) => {
                Ok(Self::Held { stage, cause: *cause })
            }
            (Self::Running { .. } | Self::Held { .. }, Event::Rejected { .. }) => {
                Ok(Self::Rejected)
            }
            (Self::Running { .. } | Self::Held { .. }, Event::Failed { blame, .. }) => {
                Ok(Self::Failed { blame: *blame })
            }
            // A fault of ours must not stand between a miner and a verdict for ever.
            (Self::Failed { blame }, Event::Retried) if blame != Blame::Miner => Ok(Self::INITIAL),
            (Self::Held { stage, cause: HoldCause::Review }, Event::Approved { .. }) => {
                stage.next().map_or_else(|| Err(illegal()), |stage| Ok(Self::Pending { stage }))
            }
            (Self::Held { cause: HoldCause::Attribution, .. }, Event::Resolved { .. }) => {
                Ok(Self::Completed)
            }
            (Self::Completed | Self::Rejected, Event::Rescored { refused, .. }) => {
                Ok(if refused.is_some() { Self::Rejected } else { Self::Completed })
            }
            _ => Err(illegal()),
        }
    }
}

/// What happened to a submission. Each one is appended to its event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It was stored and waits for its first stage.
    Accepted,
    /// A worker took the due stage under a lease.
    Claimed,
    /// The worker gave it back, or its lease ran out; the stage is due again.
    Released {
        /// Why.
        reason: String,
    },
    /// The stage's result is stored; the next stage is due, or the submission is complete.
    StageDone,
    /// Its attribution turns on a comparison without shared seeds: that incumbent is measured on its
    /// seeds first.
    RematchCalled {
        /// The submission that is measured again.
        incumbent: SubmissionId,
    },
    /// A rule refuses it.
    Rejected {
        /// The sentence that clients see.
        reason: String,
    },
    /// It could not be evaluated.
    Failed {
        /// Whose fault it was.
        blame: Blame,
        /// Stable code.
        code: String,
        /// The sentence that clients see.
        reason: String,
    },
    /// It waits.
    Held {
        /// Why.
        cause: HoldCause,
        /// The sentence that clients see.
        reason: String,
    },
    /// The same stage is tried again.
    Resumed {
        /// Why.
        reason: String,
    },
    /// It failed through no fault of the miner, who sent it again.
    Retried,
    /// An operator let a held review pass.
    Approved {
        /// What the operator said.
        reason: String,
    },
    /// An operator resolved a held attribution.
    Resolved {
        /// What the operator said.
        reason: String,
    },
    /// History was scored again under another policy set, and an operator let that count.
    Rescored {
        /// Number of the backtest in which it was.
        backtest: i64,
        /// The sentence that clients see when it is refused now; none when it has scores.
        refused: Option<String>,
    },
}

impl Event {
    /// Stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Claimed => "claimed",
            Self::Released { .. } => "released",
            Self::StageDone => "stage_done",
            Self::RematchCalled { .. } => "rematch_called",
            Self::Rejected { .. } => "rejected",
            Self::Failed { .. } => "failed",
            Self::Held { .. } => "held",
            Self::Resumed { .. } => "resumed",
            Self::Retried => "retried",
            Self::Approved { .. } => "approved",
            Self::Resolved { .. } => "resolved",
            Self::Rescored { .. } => "rescored",
        }
    }

    /// The sentence that clients see in `error`; none when nothing is wrong.
    pub fn error_text(&self) -> Option<&str> {
        match self {
            Self::Rejected { reason } | Self::Failed { reason, .. } | Self::Held { reason, .. } => {
                Some(reason)
            }
            Self::Rescored { refused, .. } => refused.as_deref(),
            _ => None,
        }
    }
}

/// The event cannot happen in that state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {from} submission cannot be {event}")]
pub struct IllegalTransition {
    /// Status word of the state.
    pub from: &'static str,
    /// Name of the event.
    pub event: &'static str,
}

/// What a project claims to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectKind {
    /// A new architecture and its training.
    Full,
    /// An architecture; the evaluator's recipe trains it.
    ArchitectureOnly,
    /// A training recipe for an architecture that exists.
    TrainingForArch,
}

impl ProjectKind {
    /// Stable name, as in `prism.yaml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ArchitectureOnly => "architecture_only",
            Self::TrainingForArch => "training_for_arch",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Full, Self::ArchitectureOnly, Self::TrainingForArch]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// A stored submission as its owner sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Submission {
    /// Identifier.
    pub id: SubmissionId,
    /// Position in the order of acceptance, from 1 without reuse. The fold over history follows it.
    pub sequence: i64,
    /// Who sent it.
    pub hotkey: Hotkey,
    /// Epoch in which it was accepted.
    pub epoch: EpochId,
    /// SHA-256 of the code text as clients compute it.
    pub code_hash: Digest,
    /// File name given by the sender: a label, never a path.
    pub filename: String,
    /// Where the upload lies among the blobs.
    pub archive: Digest,
    /// Where it stands.
    pub state: State,
    /// The sentence that clients see when it was rejected, failed or is held.
    pub error: Option<String>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// Policy set under which its decisions are taken, once the first one was taken.
    pub policy_set: Option<Digest>,
    /// Published scores; none before attribution.
    pub scores: Option<PublishedScores>,
}

/// The scores that clients see, each 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PublishedScores {
    /// Final score.
    pub final_score: f64,
    /// Architecture score.
    pub q_arch: f64,
    /// Training score.
    pub q_recipe: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_leads_to_the_next_and_the_last_completes() {
        let mut state = State::INITIAL;
        for stage in Stage::USUAL {
            assert_eq!(state, State::Pending { stage });
            state = state
                .apply(&Event::Claimed)
                .and_then(|s| s.apply(&Event::StageDone))
                .expect("legal");
        }
        assert_eq!(state, State::Completed);
    }

    #[test]
    fn a_rematch_lies_between_two_attributions_and_nowhere_else() {
        let called =
            Event::RematchCalled { incumbent: SubmissionId::new(uuid::Uuid::from_u128(1)) };
        for stage in Stage::ALL {
            let after = State::Running { stage }.apply(&called);
            assert_eq!(after.is_ok(), stage == Stage::Attribution, "{stage:?} {after:?}");
        }
        let after = State::Running { stage: Stage::Attribution }
            .apply(&called)
            .and_then(|state| state.apply(&Event::Claimed))
            .and_then(|state| state.apply(&Event::StageDone));
        assert_eq!(after, Ok(State::Pending { stage: Stage::Attribution }));
    }

    #[test]
    fn only_a_failure_that_was_not_the_miners_is_tried_again() {
        for blame in [Blame::Platform, Blame::Worker, Blame::Policy] {
            assert_eq!(State::Failed { blame }.apply(&Event::Retried), Ok(State::INITIAL));
        }
        assert!(State::Failed { blame: Blame::Miner }.apply(&Event::Retried).is_err());
        assert!(State::Rejected.apply(&Event::Retried).is_err());
    }

    #[test]
    fn only_what_a_policy_decided_is_scored_again() {
        let rescored = |refused: Option<&str>| Event::Rescored {
            backtest: 1,
            refused: refused.map(str::to_owned),
        };
        for state in [State::Completed, State::Rejected] {
            assert_eq!(state.apply(&rescored(None)), Ok(State::Completed));
            assert_eq!(state.apply(&rescored(Some("why"))), Ok(State::Rejected));
        }
        let held = State::Held { stage: Stage::Review, cause: HoldCause::Review };
        for state in [State::INITIAL, held, State::Failed { blame: Blame::Miner }] {
            assert!(state.apply(&rescored(None)).is_err(), "{state:?}");
        }
    }

    #[test]
    fn nothing_follows_a_final_state_by_itself() {
        let events = [
            Event::Claimed,
            Event::StageDone,
            Event::Resumed { reason: String::new() },
            Event::Resolved { reason: String::new() },
            Event::Rejected { reason: String::new() },
        ];
        for state in [State::Completed, State::Rejected, State::Failed { blame: Blame::Miner }] {
            for event in &events {
                assert!(state.apply(event).is_err(), "{state:?} {event:?}");
            }
        }
    }
}
