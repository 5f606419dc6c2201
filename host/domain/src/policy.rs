//! The trait face of the five policy slots, and what becomes of an answer that is none.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::attribution::{Attribution, Candidate};
use crate::consult::ProjectComparison;
use crate::facts::{ModuleSource, SourceFacts};
use crate::ids::Digest;
use crate::improvement::{Assessment, Comparison};
use crate::review::{ReviewInput, Reviewed};
use crate::rewards::{LedgerView, WeightVector};
use crate::scaling::{Report, ScalingInput};

/// The five slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
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

impl Slot {
    /// All slots, in the order of the pipeline.
    pub const ALL: [Self; 5] =
        [Self::Review, Self::Scaling, Self::Thresholds, Self::Attribution, Self::Rewards];

    /// Stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Scaling => "scaling",
            Self::Thresholds => "thresholds",
            Self::Attribution => "attribution",
            Self::Rewards => "rewards",
        }
    }
}

/// A policy's answer breaks the rules of its slot. Always the policy's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAnswer(String);

impl InvalidAnswer {
    /// Says what is wrong, without a full stop.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// How a call of a component went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultClass {
    /// The component said itself that it cannot answer. Deterministic.
    PolicyError,
    /// It trapped, ran out of fuel or memory, or answered nonsense. Deterministic.
    GuestFault,
    /// A guard of the host ended the call: a deadline, no free instance. Says nothing about the input; try again.
    HostGuard,
}

/// A call that has no answer. It never approves, never moves ownership, never changes weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct PolicyFault {
    /// How it went wrong.
    pub class: FaultClass,
    /// Stable code, for example `policy-fuel`.
    pub code: String,
    /// What happened, for the operator.
    pub message: String,
}

/// How a decision came about: enough to derive it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The slot that answered.
    pub slot: Slot,
    /// Digest of the policy set in force.
    pub policy_set: Digest,
    /// Digest of the component that answered.
    pub component: Digest,
    /// Digest of the question as JSON.
    pub input: Digest,
    /// Fuel that the call used; the same on every machine.
    pub fuel: u64,
    /// Wall time of the call, microseconds.
    pub duration_us: u64,
}

/// An answer and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided<T> {
    /// The answer.
    pub answer: T,
    /// How it came about.
    pub provenance: Provenance,
    /// The question as JSON, of which the provenance has the digest: whoever keeps it can ask again.
    pub question: Vec<u8>,
}

/// One immutable set of five components and their settings. Calls block; they belong on a blocking thread.
pub trait PolicySet: Send + Sync {
    /// Digest of the components and their settings.
    fn digest(&self) -> Digest;
    /// Whether the review policy looks closer: whether `review` makes use of a context.
    fn looks_closer(&self) -> bool {
        false
    }
    /// May this project run?
    fn review(&self, input: &ReviewInput) -> Result<Decided<Reviewed>, PolicyFault>;
    /// What do the measurements say?
    fn analyse(&self, input: &ScalingInput) -> Result<Decided<Report>, PolicyFault>;
    /// Is this improvement meaningful?
    fn assess(&self, input: &Comparison) -> Result<Decided<Assessment>, PolicyFault>;
    /// Who discovered what?
    fn attribute(&self, input: &Candidate) -> Result<Decided<Attribution>, PolicyFault>;
    /// Who is paid?
    fn weigh(&self, input: &LedgerView) -> Result<Decided<WeightVector>, PolicyFault>;
}

/// Where policy sets come from.
pub trait Policies: Send + Sync {
    /// The set in force now. Whoever takes several decisions that belong together holds on to one.
    fn current(&self) -> Arc<dyn PolicySet>;
    /// The set of that digest, if it is at hand.
    fn find(&self, digest: Digest) -> Option<Arc<dyn PolicySet>>;
    /// Loads a set that was stored: `canonical` is its manifest as JSON, `components` are the bytes by
    /// digest. Blocks while code is checked and compiled; it belongs on a blocking thread.
    fn restore(
        &self,
        canonical: &str,
        components: &BTreeMap<Digest, Vec<u8>>,
    ) -> Result<Arc<dyn PolicySet>, PolicyFault>;
}

/// Reads Python as data, in the sandbox. Calls block.
pub trait SourceReader: Send + Sync {
    /// Reads all modules; `entrypoints` are the paths of the entry modules, the one with `build_model`
    /// first. An entry function that several offer counts in the first.
    fn read(
        &self,
        modules: &[ModuleSource],
        entrypoints: &[String],
    ) -> Result<SourceFacts, PolicyFault>;

    /// Compares two projects token by token. Modules that cannot be read are left out.
    fn compare(
        &self,
        modules: &[ModuleSource],
        others: &[ModuleSource],
    ) -> Result<ProjectComparison, PolicyFault>;
}
