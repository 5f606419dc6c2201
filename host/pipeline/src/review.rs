//! Stage 2: may this project run?

use std::sync::Arc;

use prism_domain::facts::ProjectFacts;
use prism_domain::ledger::{Hold, HoldStatus};
use prism_domain::policy::{Decided, PolicySet};
use prism_domain::review::{NEIGHBOURS_MAX, ReviewDecision, ReviewInput, Verdict};
use prism_domain::submission::{Event, HoldCause};
use prism_store::{Claim, MeasurementKind, StageCommit};

use crate::Pipeline;
use crate::evidence::{encoded, record};
use crate::outcome::StageError;
use crate::project::on_blocking_thread;
use crate::reason::summarised;

pub(crate) async fn run(
    pipeline: &Pipeline,
    claim: &Claim,
    policies: Arc<dyn PolicySet>,
) -> Result<StageCommit, StageError> {
    let input = load(pipeline, claim).await?;
    let decided = on_blocking_thread(move || policies.review(&input)).await??;
    commit(pipeline, claim, &decided)
}

async fn load(pipeline: &Pipeline, claim: &Claim) -> Result<ReviewInput, StageError> {
    let submission = &claim.submission;
    let facts: ProjectFacts =
        pipeline.load_measurement(submission.id, MeasurementKind::Facts, "facts").await?;
    let neighbours = pipeline
        .store
        .earlier_neighbours(submission.sequence, &submission.hotkey, &facts.source, NEIGHBOURS_MAX)
        .await?
        .into_iter()
        .map(|resembling| resembling.neighbour)
        .collect();
    Ok(ReviewInput { submission_id: submission.id, facts, neighbours })
}

fn commit(
    pipeline: &Pipeline,
    claim: &Claim,
    decided: &Decided<Verdict>,
) -> Result<StageCommit, StageError> {
    let findings = &decided.answer.findings;
    let (event, hold) = match decided.answer.decision {
        ReviewDecision::Accept => (Event::StageDone, None),
        ReviewDecision::Reject => {
            (Event::Rejected { reason: summarised(findings, "rejected by review") }, None)
        }
        ReviewDecision::Hold => {
            let reason = summarised(findings, "held for review");
            let hold = pipeline.new_hold(claim, &reason, 0.5);
            (Event::Held { cause: HoldCause::Review, reason }, Some(hold))
        }
    };
    Ok(StageCommit {
        measurements: vec![(MeasurementKind::Review, encoded(&decided.answer, "verdict")?)],
        decisions: vec![record(decided)?],
        policy_set: Some(decided.provenance.policy_set),
        hold,
        ..StageCommit::new(event)
    })
}

impl Pipeline {
    /// A hold that waits for an operator.
    pub(crate) fn new_hold(&self, claim: &Claim, reason: &str, confidence: f64) -> Hold {
        let now = self.clock.now();
        Hold {
            id: prism_domain::ids::HoldId::new(self.entropy.uuid()),
            submission_id: claim.submission.id,
            status: HoldStatus::Pending,
            reason: reason.to_owned(),
            confidence,
            created_at: now,
            updated_at: now,
        }
    }
}
