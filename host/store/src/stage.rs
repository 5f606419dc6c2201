//! Committing a stage: its results, the ledger, the new state and the next job in one transaction.

use prism_domain::facts::ProjectFacts;
use prism_domain::ids::{Digest, FamilyId, SubmissionId};
use prism_domain::ledger::{Hold, LedgerChange};
use prism_domain::submission::{Event, PublishedScores, State};
use prism_domain::time::Timestamp;

use crate::decisions::{DecisionRecord, insert_decision};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::holds::{close_holds, insert_hold};
use crate::jobs::{Claim, check_token, dequeue, enqueue};
use crate::ledger_changes::{apply_changes, count_comparisons};
use crate::measurements::{MeasurementKind, insert_measurement};
use crate::open::Store;
use crate::reference::{ReferenceRuns, insert_reference_runs};
use crate::similarity::index_project;
use crate::submissions::{Published, advance};

/// What a stage leaves behind. Everything is stored, or nothing.
#[derive(Debug, Clone)]
pub struct StageCommit {
    /// What happens to the submission.
    pub event: Event,
    /// Bytes to keep for ever.
    pub measurements: Vec<(MeasurementKind, Vec<u8>)>,
    /// Reference runs that later evaluations may use again.
    pub reference: Option<ReferenceRuns>,
    /// Answers of policies.
    pub decisions: Vec<DecisionRecord>,
    /// The policy set under which the submission is decided from now on.
    pub policy_set: Option<Digest>,
    /// Scores to publish: with completion, and with nothing else.
    pub scores: Option<PublishedScores>,
    /// Changes of the ledger, in order.
    pub ledger: Vec<LedgerChange>,
    /// The version of the ledger ([`Store::ledger_version`]) that the changes were decided on. When it
    /// moved on since, nothing is committed.
    pub ledger_seen: Option<i64>,
    /// Comparisons that were made against families.
    pub comparisons: Vec<FamilyComparisons>,
    /// A hold for an operator; with [`Event::Held`] only.
    pub hold: Option<Hold>,
    /// Facts for the similarity index; what has no fingerprints is not indexed.
    pub index: Option<ProjectFacts>,
}

impl StageCommit {
    /// A commit that brings the event and nothing else.
    pub const fn new(event: Event) -> Self {
        Self {
            event,
            measurements: Vec::new(),
            reference: None,
            decisions: Vec::new(),
            policy_set: None,
            scores: None,
            ledger: Vec::new(),
            ledger_seen: None,
            comparisons: Vec::new(),
            hold: None,
            index: None,
        }
    }
}

/// Comparisons of one candidate against one family, to be added to the family's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyComparisons {
    /// The family.
    pub family_id: FamilyId,
    /// How many comparisons were made.
    pub tests: u32,
    /// How many of them were accepted; not more than `tests`.
    pub acceptances: u32,
}

impl Store {
    /// Commits the result of a claimed stage and ends the claim. A claim that was taken over changes
    /// nothing.
    pub async fn commit_stage(
        &self,
        claim: &Claim,
        commit: StageCommit,
        now: Timestamp,
    ) -> Result<State, StoreError> {
        let target = Target { id: claim.submission.id, sequence: claim.submission.sequence };
        let token = claim.token;
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    check_token(connection, target.sequence, token).await?;
                    apply_commit(connection, target, commit, now).await
                })
            })
            .await
    }

    /// Applies an operator's event to a held submission ([`Event::Resumed`], [`Event::Approved`],
    /// [`Event::Rejected`] or [`Event::Failed`]); a hold that waits for it is closed with it.
    pub async fn apply_event(
        &self,
        id: SubmissionId,
        event: Event,
        now: Timestamp,
    ) -> Result<State, StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let target = held_submission(connection, id).await?;
                    apply_commit(connection, target, StageCommit::new(event), now).await
                })
            })
            .await
    }
}

/// The submission that a commit is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) id: SubmissionId,
    pub(crate) sequence: i64,
}

/// Running submissions belong to their claim: only a held one may be moved by anybody else.
async fn held_submission(
    connection: &mut Connection,
    id: SubmissionId,
) -> Result<Target, StoreError> {
    let known: Option<(i64, String)> =
        sqlx::query_as("SELECT sequence, status FROM submissions WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(connection)
            .await?;
    let (sequence, status) = known.ok_or(StoreError::NotFound("submission"))?;
    if status == "held" {
        Ok(Target { id, sequence })
    } else {
        Err(StoreError::Invalid(format!("the submission is {status}, not held")))
    }
}

/// Writes a commit, whoever is allowed to make it.
pub(crate) async fn apply_commit(
    connection: &mut Connection,
    target: Target,
    commit: StageCommit,
    now: Timestamp,
) -> Result<State, StoreError> {
    let Target { id, sequence } = target;
    let held = matches!(commit.event, Event::Held { .. });
    if commit.hold.as_ref().is_some_and(|hold| !held || hold.submission_id != id) {
        return Err(StoreError::Invalid("a hold without its submission being held".to_owned()));
    }
    for (kind, bytes) in commit.measurements {
        insert_measurement(connection, sequence, kind, bytes, now).await?;
    }
    if let Some(runs) = commit.reference {
        insert_reference_runs(connection, runs, now).await?;
    }
    for decision in commit.decisions {
        insert_decision(connection, sequence, decision, now).await?;
    }
    if let Some(facts) = commit.index {
        index_project(connection, sequence, &facts.source).await?;
    }
    apply_changes(connection, id, &commit.ledger, commit.ledger_seen, now).await?;
    for comparisons in commit.comparisons {
        count_comparisons(connection, comparisons).await?;
    }
    let published = Published { policy_set: commit.policy_set, scores: commit.scores };
    let state = advance(connection, sequence, &commit.event, published, now).await?.state;
    if !held {
        close_holds(connection, id, &commit.event, now).await?;
    }
    if let Some(hold) = commit.hold {
        insert_hold(connection, hold).await?;
    }
    match state {
        State::Pending { stage } => enqueue(connection, sequence, stage, now).await?,
        State::Running { .. } => {
            return Err(StoreError::Invalid("a commit cannot claim".to_owned()));
        }
        _ => dequeue(connection, sequence).await?,
    }
    Ok(state)
}
