//! Sets that run beside the one in force. They are asked what it was asked, from the log of decisions and
//! after the fact: live work does not wait for them, and what they say is kept and never used.

use std::sync::Arc;

use prism_domain::policy::PolicySet;
use prism_store::{ShadowAnswer, ShadowVerdict, StoredDecision};

use crate::Pipeline;
use crate::outcome::StageError;
use crate::project::on_blocking_thread;
use crate::replay::ask;

/// Decisions that a shadow answers in one go.
const PAGE: u32 = 32;

impl Pipeline {
    /// Lets each shadow answer what was decided since it was asked last, a page each; answers how many questions
    /// that were.
    pub async fn shadow_once(&self) -> Result<usize, StageError> {
        let mut asked = 0;
        for (policy_set, last) in self.store.shadows().await? {
            let decisions = self.store.decisions_after(last, PAGE).await?;
            if decisions.is_empty() {
                continue;
            }
            // A set that this build cannot load was told about already; it answers nothing.
            let Some(set) = self.set_of(policy_set).await? else { continue };
            let mut answers = Vec::with_capacity(decisions.len());
            for decision in decisions {
                answers.push(self.shadowed(Arc::clone(&set), decision).await?);
            }
            asked += answers.len();
            self.store.put_shadow_answers(policy_set, answers).await?;
        }
        Ok(asked)
    }

    async fn shadowed(
        &self,
        set: Arc<dyn PolicySet>,
        decision: StoredDecision,
    ) -> Result<ShadowAnswer, StageError> {
        let of = |verdict, answer, fuel| ShadowAnswer {
            decision: decision.sequence,
            verdict,
            answer,
            fuel,
        };
        let Some(question) = self.store.question(decision.provenance.input).await? else {
            return Ok(of(ShadowVerdict::Untried, String::new(), 0));
        };
        let slot = decision.provenance.slot;
        let said = on_blocking_thread(move || ask(set.as_ref(), slot, &question)).await?;
        Ok(match said {
            Err(fault) => of(ShadowVerdict::Fault, fault.to_string(), 0),
            Ok(said) if said.answer == decision.answer => {
                of(ShadowVerdict::Same, String::new(), said.provenance.fuel)
            }
            Ok(said) => of(ShadowVerdict::Differs, said.answer, said.provenance.fuel),
        })
    }
}
