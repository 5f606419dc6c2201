//! The server's verdict without the server: what `prism check` says before anything is sent.

use prism_domain::evaluation::ProjectTree;
use prism_domain::facts::ProjectFacts;
use prism_domain::finding::Finding;
use prism_domain::ids::SubmissionId;
use prism_domain::policy::{PolicyFault, PolicySet, SourceReader};
use prism_domain::review::{ReviewDecision, ReviewInput};
use prism_intake::{ArchiveLimits, Project, Rejection};
use serde::Serialize;

use crate::closer::review_again;
use crate::facts::{Read, decide};
use crate::project::tree;

/// The verdict on an upload.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// What the server would do.
    pub decision: ReviewDecision,
    /// All findings, with place and remedy.
    pub findings: Vec<Finding>,
    /// What is known about the project; none when it cannot be unpacked.
    pub facts: Option<ProjectFacts>,
}

/// Judges an upload with the same reader and the same policy as the server, but without its history:
/// whether somebody sent the same before, only the server knows.
pub fn check_upload(
    filename: &str,
    bytes: &[u8],
    reader: &dyn SourceReader,
    policies: &dyn PolicySet,
) -> Result<CheckReport, PolicyFault> {
    let facts = match decide(unpacked(filename, bytes), reader)? {
        Read::Facts(facts) => *facts,
        Read::Refused(findings) => {
            return Ok(CheckReport { decision: ReviewDecision::Reject, findings, facts: None });
        }
    };
    let input = ReviewInput {
        submission_id: SubmissionId::new(uuid::Uuid::nil()),
        facts,
        neighbours: Vec::new(),
        context: None,
    };
    let verdict = review_again(policies, input.clone())?.answer;
    Ok(CheckReport {
        decision: verdict.decision,
        findings: verdict.findings,
        facts: Some(input.facts),
    })
}

/// The files of an upload as the sandbox sees them.
pub fn project_tree(
    filename: &str,
    bytes: &[u8],
    entrypoint: &str,
) -> Result<ProjectTree, Rejection> {
    Ok(tree(&unpacked(filename, bytes)?, entrypoint))
}

/// Unpacks an upload under the limits that a server has when nothing else is said.
fn unpacked(filename: &str, bytes: &[u8]) -> Result<Project, Rejection> {
    prism_intake::unpack(filename, bytes, &ArchiveLimits::default())
}
