//! A stored upload as a project: unpacked in memory, never on disk.

use std::collections::BTreeMap;

use prism_domain::evaluation::ProjectTree;
use prism_domain::ids::SubmissionId;
use prism_domain::submission::Submission;
use prism_intake::{Project, Rejection};

use crate::Pipeline;
use crate::outcome::StageError;

impl Pipeline {
    /// The project of a submission, or why it is none.
    pub(crate) async fn load_project(
        &self,
        submission: &Submission,
    ) -> Result<Result<Project, Rejection>, StageError> {
        let bytes = self
            .store
            .blob(submission.archive)
            .await?
            .ok_or(StageError::Missing { what: "archive" })?;
        let filename = submission.filename.clone();
        let limits = self.config.archive_limits.clone();
        on_blocking_thread(move || prism_intake::unpack(&filename, &bytes, &limits)).await
    }

    /// The project of another submission that is known to unpack.
    pub(crate) async fn load_accepted_project(
        &self,
        id: SubmissionId,
    ) -> Result<Project, StageError> {
        let submission =
            self.store.submission(id).await?.ok_or(StageError::Missing { what: "submission" })?;
        self.load_project(&submission)
            .await?
            .map_err(|_rejection| StageError::Missing { what: "canonical project" })
    }
}

/// Runs CPU work where it does not hold up the executor.
pub(crate) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StageError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StageError::Machine {
        blame: prism_domain::submission::Blame::Platform,
        code: "P-TASK".to_owned(),
        message: format!("a worker thread ended: {error}"),
    })
}

/// The project as the sandbox sees it.
pub(crate) fn tree(project: &Project, entrypoint: &str) -> ProjectTree {
    let files: BTreeMap<_, _> = project
        .files
        .iter()
        .map(|file| (file.path.as_str().to_owned(), file.bytes.clone()))
        .collect();
    ProjectTree { entrypoint: entrypoint.to_owned(), files }
}
