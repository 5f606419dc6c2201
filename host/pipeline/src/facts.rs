//! Stage 1: unpack the upload and read its source as data.

use prism_domain::facts::{FileFacts, ModuleSource, ProjectFacts, SourceFacts};
use prism_domain::finding::{Finding, Location, Severity};
use prism_domain::ids::Digest;
use prism_domain::policy::{FaultClass, PolicyFault, SourceReader};
use prism_domain::review::{ReviewDecision, Verdict};
use prism_domain::submission::Event;
use prism_intake::{Manifest, Project, Rejection};
use prism_store::{Claim, MeasurementKind, StageCommit};

use crate::Pipeline;
use crate::outcome::StageError;
use crate::project::on_blocking_thread;
use crate::reason::summarised;

/// The rule of a source that the sandboxed reader cannot get through.
const RULE_UNREADABLE: &str = "PY-LIMIT";

/// What stage 1 found.
pub(crate) enum Read {
    /// A project and all that is known about it.
    Facts(Box<ProjectFacts>),
    /// It is no project; the findings say why.
    Refused(Vec<Finding>),
}

pub(crate) async fn run(pipeline: &Pipeline, claim: &Claim) -> Result<StageCommit, StageError> {
    let project = pipeline.load_project(&claim.submission).await?;
    let reader = std::sync::Arc::clone(&pipeline.reader);
    let read = on_blocking_thread(move || decide(project, reader.as_ref())).await??;
    commit(read)
}

/// Reads the source, or says why the upload is no project.
pub(crate) fn decide(
    project: Result<Project, Rejection>,
    reader: &dyn SourceReader,
) -> Result<Read, PolicyFault> {
    let project = match project {
        Ok(project) => project,
        Err(rejection) => return Ok(Read::Refused(rejection_findings(&rejection))),
    };
    let modules: Vec<_> = project
        .files
        .iter()
        .filter(|file| file.path.is_python())
        .map(|file| ModuleSource {
            path: file.path.as_str().to_owned(),
            source: file.bytes.clone(),
        })
        .collect();
    match reader.read(&modules, &entrypoints(&project.manifest)) {
        Ok(source) => Ok(Read::Facts(Box::new(project_facts(&project, source)))),
        // The reader is ours and total on text that Python itself would read: what it traps on was made to.
        Err(fault) if fault.class == FaultClass::GuestFault => {
            Ok(Read::Refused(vec![unreadable(&fault)]))
        }
        Err(fault) => Err(fault),
    }
}

fn commit(read: Read) -> Result<StageCommit, StageError> {
    match read {
        Read::Facts(facts) => {
            let bytes = crate::evidence::encoded(&facts, "facts")?;
            Ok(StageCommit {
                measurements: vec![(MeasurementKind::Facts, bytes)],
                index: Some(*facts),
                ..StageCommit::new(Event::StageDone)
            })
        }
        Read::Refused(findings) => {
            let reason = summarised(&findings, "the upload is not a project");
            let verdict = Verdict { decision: ReviewDecision::Reject, findings };
            let bytes = crate::evidence::encoded(&verdict, "verdict")?;
            Ok(StageCommit {
                measurements: vec![(MeasurementKind::Review, bytes)],
                ..StageCommit::new(Event::Rejected { reason })
            })
        }
    }
}

/// The modules with the entry functions: the architecture's first, the training's last, often one.
fn entrypoints(manifest: &Manifest) -> Vec<String> {
    let mut paths = vec![manifest.entrypoint().to_owned()];
    paths.extend(manifest.training_entrypoint().map(str::to_owned));
    paths.dedup();
    paths
}

fn project_facts(project: &Project, source: SourceFacts) -> ProjectFacts {
    let files = project
        .files
        .iter()
        .map(|file| FileFacts {
            path: file.path.as_str().to_owned(),
            size_bytes: file.bytes.len() as u64,
            line_count: u32::try_from(file.bytes.split(|byte| *byte == b'\n').count())
                .unwrap_or(u32::MAX),
            sha256: Digest::of(&file.bytes),
        })
        .collect();
    ProjectFacts {
        kind: project.manifest.kind,
        entrypoint: project.manifest.entrypoint().to_owned(),
        training_entrypoint: project.manifest.training_entrypoint().map(str::to_owned),
        target_family: project.manifest.target_family().map(str::to_owned),
        files,
        source,
    }
}

fn rejection_findings(rejection: &Rejection) -> Vec<Finding> {
    rejection
        .reasons()
        .map(|refusal| Finding {
            rule_id: refusal.code().to_ascii_uppercase(),
            severity: Severity::Error,
            message: refusal.detail.clone(),
            remedy: refusal.remedy().to_owned(),
            location: refusal.path.as_ref().map(|path| Location {
                path: path.clone(),
                line: refusal.line.and_then(|line| u32::try_from(line).ok()).unwrap_or(0),
                column: refusal.column.and_then(|column| u32::try_from(column).ok()).unwrap_or(0),
            }),
        })
        .collect()
}

fn unreadable(fault: &PolicyFault) -> Finding {
    Finding {
        rule_id: RULE_UNREADABLE.to_owned(),
        severity: Severity::Error,
        message: format!("the source is too deep or too large to be read safely ({})", fault.code),
        remedy: "split long chains and deeply nested expressions; keep data out of Python"
            .to_owned(),
        location: None,
    }
}
