//! Stage 4: what do the measurements say?

use std::sync::Arc;

use prism_domain::policy::{Decided, PolicySet};
use prism_domain::scaling::{Report, ScalingInput, ScalingOutcome};
use prism_domain::submission::Event;
use prism_domain::telemetry::Telemetry;
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
    let telemetry: Telemetry = pipeline
        .load_measurement(claim.submission.id, MeasurementKind::Telemetry, "telemetry")
        .await?;
    let decided =
        on_blocking_thread(move || policies.analyse(&ScalingInput { telemetry })).await??;
    commit(&decided)
}

fn commit(decided: &Decided<Report>) -> Result<StageCommit, StageError> {
    let report = &decided.answer;
    let event = match report.outcome {
        ScalingOutcome::Scored => Event::StageDone,
        ScalingOutcome::Rejected => {
            Event::Rejected { reason: summarised(&report.findings, "rejected by the measurements") }
        }
    };
    Ok(StageCommit {
        measurements: vec![(MeasurementKind::Report, encoded(report, "report")?)],
        decisions: vec![record(decided)?],
        policy_set: Some(decided.provenance.policy_set),
        ..StageCommit::new(event)
    })
}
