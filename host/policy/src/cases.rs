//! Runs a policy on a case, that is on a question in the JSON form of the WIT's records. The same files
//! run natively beside the policy's source, and the two answers must be equal.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use prism_domain::policy::Slot;

use crate::bindings::exports::prism::consult::consult::Context;
use crate::bindings::exports::prism::review::review::SubmissionFacts;
use crate::bindings::prism::types::types::PolicyError;
use crate::call::{Call, FailedCall};
use crate::policy_set::LoadedSet;
use crate::settings::canonical_json;

/// A case cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The text is no case of that slot.
    #[error("not a case: {0}")]
    Json(#[from] serde_json::Error),
    /// The component gave no answer at all.
    #[error(transparent)]
    Failed(#[from] FailedCall),
}

/// A question and the settings under which it is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case<Q> {
    settings: Value,
    input: Q,
}

/// A question to a reviewer: with a context it is for its closer look, if it takes one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReviewCase {
    settings: Value,
    input: SubmissionFacts,
    #[serde(default)]
    context: Option<Context>,
}

impl LoadedSet {
    /// Asks the component of `slot` with the settings that the case brings. `case` is the JSON text
    /// `{"settings":{…},"input":{…}}`; the answer is the JSON text `{"Ok":…}` or `{"Err":…}`, with what
    /// the call cost. The answer is the component's own, not yet checked against the rules of the slot.
    pub fn run_case(&self, slot: Slot, case: &str) -> Result<Call<String>, CaseError> {
        match slot {
            Slot::Review => self.run_review_case(case),
            Slot::Scaling => answer(case, |settings, input| {
                self.scaling.ask(settings, |store, instance, export, settings| {
                    export.load(&mut *store, instance)?.call_analyse(store, settings, input)
                })
            }),
            Slot::Thresholds => answer(case, |settings, input| {
                self.thresholds.ask(settings, |store, instance, export, settings| {
                    export.load(&mut *store, instance)?.call_assess(store, settings, input)
                })
            }),
            Slot::Attribution => answer(case, |settings, input| {
                self.attribution.ask(settings, |store, instance, export, settings| {
                    export.load(&mut *store, instance)?.call_attribute(store, settings, input)
                })
            }),
            Slot::Rewards => answer(case, |settings, input| {
                self.rewards.ask(settings, |store, instance, export, settings| {
                    export.load(&mut *store, instance)?.call_weigh(store, settings, input)
                })
            }),
        }
    }
}

impl LoadedSet {
    fn run_review_case(&self, case: &str) -> Result<Call<String>, CaseError> {
        let ReviewCase { settings, input, context } = serde_json::from_str(case)?;
        let settings = canonical_json(&settings);
        if let Some((consult, context)) = self.review.export().consult.as_ref().zip(context) {
            let call = self.review.ask(&settings, |store, instance, _export, settings| {
                let guest = consult.load(&mut *store, instance)?;
                guest.call_consider(store, settings, &input, &context)
            })?;
            return shown(call);
        }
        let call = self.review.ask(&settings, |store, instance, export, settings| {
            export.judge.load(&mut *store, instance)?.call_judge(store, settings, &input)
        })?;
        shown(call)
    }
}

fn answer<Q: DeserializeOwned, A: Serialize>(
    case: &str,
    ask: impl FnOnce(&str, &Q) -> Result<Call<Result<A, PolicyError>>, FailedCall>,
) -> Result<Call<String>, CaseError> {
    let case: Case<Q> = serde_json::from_str(case)?;
    shown(ask(&canonical_json(&case.settings), &case.input)?)
}

fn shown<A: Serialize>(call: Call<Result<A, PolicyError>>) -> Result<Call<String>, CaseError> {
    let answer = serde_json::to_string_pretty(&call.answer)?;
    Ok(Call { answer, fuel_used: call.fuel_used, wall_us: call.wall_us, log: call.log })
}
