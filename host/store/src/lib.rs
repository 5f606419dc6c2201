//! The database: submissions, jobs, measurements, decisions, the ledger.
//!
//! One concrete [`Store`]. All writes pass through one writer, which carries out many of them in one
//! transaction and answers only when that transaction is on disk; reads use their own read-only
//! connections. **This crate decides nothing**: states change through `State::apply` of the domain,
//! and no instant or identifier is made here.

mod dialect;
mod error;
mod codec;
mod open;
mod writer;
mod blobs;
mod accept;
mod quota;
mod submissions;
mod events;
mod jobs;
mod stage;
mod measurements;
mod decisions;
mod reference;
mod similarity;
mod ledger;
mod ledger_changes;
mod holds;
mod policies;
mod component_log;
mod policy_log;
mod policy_ends;
mod shadow;
mod history;
mod backtests;
mod restate;
mod canary;
mod self_checks;
mod model_calls;
mod secrets;
mod weights;

pub use accept::{Accepted, NewSubmission, Nonce};
pub use backtests::{Backtest, BacktestChange, BacktestClaim, BacktestState, BacktestStep};
pub use codec::LIST_MAX;
pub use component_log::{ComponentLogEntry, StoredSignature, component_log_is_whole};
pub use decisions::{DecisionRecord, PackedQuestion, QUESTION_MAX_BYTES, StoredDecision};
pub use error::StoreError;
pub use events::LoggedEvent;
pub use history::{PastAnswer, PastSubmission};
pub use jobs::{AttemptRule, Claim};
pub use ledger::{FamilyTests, RESEMBLING_MAX, ResemblingFamily, ranked};
pub use measurements::{MEASUREMENTS_MAX, MeasurementKind};
pub use model_calls::{ModelCall, ModelFailures};
pub use open::{Store, StoreOptions};
pub use policies::StoredPolicySet;
pub use policy_ends::RewardsFaults;
pub use policy_log::{
    Act, Activation, NewActivation, PolicyLogEntry, StoredComponent, log_is_whole,
};
pub use quota::{Quota, QuotaExceeded};
pub use reference::ReferenceRuns;
pub use restate::{ReadChange, RescoredSubmission, Restated, Restatement};
pub use self_checks::SelfCheck;
pub use shadow::{Disagreement, ShadowAnswer, ShadowCount, ShadowVerdict};
pub use similarity::{ResemblingSubmission, architecture_bands};
pub use stage::{FamilyComparisons, StageCommit};
pub use weights::WeightsSnapshot;
