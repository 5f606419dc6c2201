//! Stage 3: train and measure in the sandbox. What comes home is stored before anybody scores it.

use prism_domain::evaluation::{EvaluationFault, EvaluationJob, Measured, ProjectTree};
use prism_domain::facts::ProjectFacts;
use prism_domain::ids::{EvaluationId, FamilyId};
use prism_domain::submission::{Blame, Event};
use prism_store::{Claim, MeasurementKind, StageCommit};

use crate::Pipeline;
use crate::outcome::StageError;
use crate::project::tree;

pub(crate) async fn run(pipeline: &Pipeline, claim: &Claim) -> Result<StageCommit, StageError> {
    let job = load(pipeline, claim).await?;
    let id = job.submission_id;
    let measured = pipeline
        .evaluator
        .evaluate(&job, &|progress| pipeline.progress.tell(id, progress))
        .await;
    pipeline.progress.forget(id);
    match measured {
        Ok(measured) => Ok(commit(measured)),
        Err(fault) => refused(fault),
    }
}

async fn load(pipeline: &Pipeline, claim: &Claim) -> Result<EvaluationJob, StageError> {
    let submission = &claim.submission;
    let facts: ProjectFacts =
        pipeline.load_measurement(submission.id, MeasurementKind::Facts, "facts").await?;
    let project = pipeline
        .load_project(submission)
        .await?
        .map_err(|_rejection| StageError::Missing { what: "project" })?;
    let brings_model =
        facts.source.entry_functions.iter().any(|function| function.name == "build_model");
    let architecture =
        if brings_model { None } else { canonical_project(pipeline, &facts).await? };
    let beacon = &pipeline.beacon;
    let evaluation = uuid::Builder::from_random_bytes(beacon.evaluation_bytes(submission.id));
    Ok(EvaluationJob {
        submission_id: submission.id,
        evaluation_id: EvaluationId::new(evaluation.into_uuid()),
        kind: facts.kind,
        plan: pipeline.config.plan.clone(),
        project: tree(&project, &facts.entrypoint),
        training_entrypoint: facts.training_entrypoint.clone(),
        architecture,
        seeds: beacon.seeds(submission.epoch, pipeline.config.seeds),
        secret: beacon.secret(submission.id),
    })
}

/// The project that stands for the family that a training names as its target.
async fn canonical_project(
    pipeline: &Pipeline,
    facts: &ProjectFacts,
) -> Result<Option<ProjectTree>, StageError> {
    let Some(target) = facts.target_family.as_deref().and_then(|id| id.parse::<FamilyId>().ok())
    else {
        return Ok(None);
    };
    let Some(family) = pipeline.store.family(target).await? else { return Ok(None) };
    let canonical = family.canonical_submission_id;
    let project = pipeline.load_accepted_project(canonical).await?;
    let facts: ProjectFacts =
        pipeline.load_measurement(canonical, MeasurementKind::Facts, "canonical facts").await?;
    Ok(Some(tree(&project, &facts.entrypoint)))
}

fn commit(measured: Measured) -> StageCommit {
    StageCommit {
        measurements: vec![
            (MeasurementKind::Telemetry, measured.raw),
            (MeasurementKind::EvaluationLog, measured.log_tail.into_bytes()),
        ],
        ..StageCommit::new(Event::StageDone)
    }
}

/// A miner's fault ends the submission; any other is a fault of ours and costs the miner nothing.
fn refused(fault: EvaluationFault) -> Result<StageCommit, StageError> {
    let EvaluationFault { blame, code, message } = fault;
    if blame == Blame::Miner {
        let reason = format!("Prism evaluation failed: {code}: {message}");
        return Ok(StageCommit::new(Event::Failed { blame, code, reason }));
    }
    Err(StageError::Machine { blame, code, message })
}
