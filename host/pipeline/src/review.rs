//! Stage 2: may this project run?

use std::sync::Arc;

use prism_domain::facts::ProjectFacts;
use prism_domain::ledger::{Hold, HoldStatus};
use prism_domain::policy::{Decided, PolicySet};
use prism_domain::review::{NEIGHBOURS_MAX, ReviewDecision, ReviewInput, Reviewed, Verdict};
use prism_domain::submission::{Event, HoldCause};
use prism_store::{Claim, MeasurementKind, StageCommit};

use crate::Pipeline;
use crate::closer::{asks_again, question_digest};
use crate::evidence::{encoded, record};
use crate::outcome::StageError;
use crate::project::on_blocking_thread;
use crate::reason::summarised;

pub(crate) async fn run(
    pipeline: &Pipeline,
    claim: &Claim,
    policies: Arc<dyn PolicySet>,
) -> Result<StageCommit, StageError> {
    let input = load(pipeline, claim, policies.looks_closer()).await?;
    let first = decide(&policies, input.clone()).await?;
    let question = match &first.answer {
        Reviewed::Verdict(verdict) => return commit(pipeline, claim, verdict, &[&first]),
        Reviewed::Ask(question) => question,
    };
    let digest = question_digest(&input, question);
    let reply = pipeline.ask_model(claim, question, digest).await?;
    let mut input = input;
    if let Some(context) = input.context.as_mut() {
        (context.asked, context.reply) = (Some(digest), Some(reply));
    }
    let second = decide(&policies, input).await?;
    match &second.answer {
        Reviewed::Verdict(verdict) => commit(pipeline, claim, verdict, &[&first, &second]),
        Reviewed::Ask(_) => Err(asks_again().into()),
    }
}

async fn load(pipeline: &Pipeline, claim: &Claim, closer: bool) -> Result<ReviewInput, StageError> {
    let submission = &claim.submission;
    let facts: ProjectFacts =
        pipeline.load_measurement(submission.id, MeasurementKind::Facts, "facts").await?;
    let resembling = pipeline
        .store
        .earlier_neighbours(submission.sequence, &submission.hotkey, &facts.source, NEIGHBOURS_MAX)
        .await?;
    let context =
        if closer { Some(pipeline.review_context(claim, &resembling).await?) } else { None };
    let neighbours = resembling.into_iter().map(|one| one.neighbour).collect();
    Ok(ReviewInput { submission_id: submission.id, facts, neighbours, context })
}

async fn decide(
    policies: &Arc<dyn PolicySet>,
    input: ReviewInput,
) -> Result<Decided<Reviewed>, StageError> {
    let policies = Arc::clone(policies);
    Ok(on_blocking_thread(move || policies.review(&input)).await??)
}

fn commit(
    pipeline: &Pipeline,
    claim: &Claim,
    verdict: &Verdict,
    decided: &[&Decided<Reviewed>],
) -> Result<StageCommit, StageError> {
    let findings = &verdict.findings;
    let (event, hold) = match verdict.decision {
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
        measurements: vec![(MeasurementKind::Review, encoded(verdict, "verdict")?)],
        decisions: decided.iter().map(|one| record(one)).collect::<Result<_, _>>()?,
        policy_set: decided.last().map(|one| one.provenance.policy_set),
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
