//! Stage 3: train and measure in the sandbox. What comes home is stored before anybody scores it.

use prism_domain::evaluation::{EvaluationFault, EvaluationJob, Measured, ProjectTree};
use prism_domain::facts::ProjectFacts;
use prism_domain::ids::{EvaluationId, FamilyId};
use prism_domain::submission::{Blame, Event, ProjectKind};
use prism_store::{Claim, MeasurementKind, StageCommit};

use crate::Pipeline;
use crate::outcome::StageError;
use crate::project::tree;

/// The most of a family's name that is repeated, in characters.
const TARGET_NAME_MAX_CHARS: usize = 100;

pub(crate) async fn run(pipeline: &Pipeline, claim: &Claim) -> Result<StageCommit, StageError> {
    let job = match load(pipeline, claim).await? {
        Ok(job) => job,
        Err(reason) => return Ok(StageCommit::new(Event::Rejected { reason })),
    };
    let id = job.submission_id;
    let measured =
        pipeline.evaluator.evaluate(&job, &|progress| pipeline.progress.tell(id, progress)).await;
    pipeline.progress.forget(id);
    match measured {
        Ok(measured) => Ok(commit(measured)),
        Err(fault) => refused(fault),
    }
}

/// What is to be measured, or why there is nothing to train.
async fn load(
    pipeline: &Pipeline,
    claim: &Claim,
) -> Result<Result<EvaluationJob, String>, StageError> {
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
    if !brings_model && architecture.is_none() && facts.kind == ProjectKind::TrainingForArch {
        return Ok(Err(no_target(facts.target_family.as_deref())));
    }
    let beacon = &pipeline.beacon;
    let evaluation = uuid::Builder::from_random_bytes(beacon.evaluation_bytes(submission.id));
    Ok(Ok(EvaluationJob {
        submission_id: submission.id,
        evaluation_id: EvaluationId::new(evaluation.into_uuid()),
        kind: facts.kind,
        plan: pipeline.config.plan.clone(),
        project: tree(&project, &facts.entrypoint),
        training_entrypoint: facts.training_entrypoint.clone(),
        architecture,
        seeds: beacon.seeds(submission.epoch, pipeline.config.seeds),
        secret: beacon.secret(submission.id),
    }))
}

/// The sentence that clients see. The name comes from the upload: it is cut short.
fn no_target(named: Option<&str>) -> String {
    let target = match named {
        Some(name) => {
            let name: String = name.chars().take(TARGET_NAME_MAX_CHARS).collect();
            format!("no architecture family has the id `{name}`")
        }
        None => "no architecture family is named".to_owned(),
    };
    format!("ATTR-NO-TARGET: {target}, and the project has no `build_model` of its own")
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
