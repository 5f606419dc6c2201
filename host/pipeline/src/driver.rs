//! The workers: claim what is due, do it under a lease, commit; give back what cannot be done.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prism_domain::evaluation::Progress;
use prism_domain::ids::SubmissionId;
use prism_domain::submission::{Blame, Event, HoldCause, Stage, State};
use prism_domain::time::Timestamp;
use prism_store::{AttemptRule, Claim, StageCommit, StoreError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Pipeline;
use crate::outcome::{Remedy, StageError};
use crate::{attribution, evaluation, facts, rematch, review, scoring};

/// Stages that take milliseconds; one task does them in turn.
const LIGHT_STAGES: [Stage; 3] = [Stage::Facts, Stage::Scoring, Stage::Attribution];
/// Stages that may wait for a language model; tasks of their own, so that nothing else waits with them.
const REVIEW_STAGES: [Stage; 1] = [Stage::Review];
/// Stages that train; as many at once as the operator says.
const HEAVY_STAGES: [Stage; 2] = [Stage::Evaluation, Stage::Rematch];
/// How long an idle worker waits before it looks again although nobody woke it, milliseconds.
const IDLE_MS: u64 = 500;
/// A lease is renewed this many times before it would run out.
const HEARTBEATS_PER_LEASE: i64 = 4;
/// Progress is written down no more often than this, milliseconds.
const PROGRESS_MS: u64 = 2_000;
/// Longest rest between tries, milliseconds.
const RETRY_MAX_MS: i64 = 600_000;

/// The points of a stage at which a crash would be most interesting. Production passes them by;
/// the crash tests end the process there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// The claim is durable, nothing is done.
    Claimed,
    /// The stage's work is done, nothing of it is stored.
    Decided,
    /// The result is durable.
    Committed,
}

/// Called at each [`Boundary`].
pub type BoundaryHook = Arc<dyn Fn(Stage, Boundary) + Send + Sync>;

/// What is being evaluated in this process, for whoever wants to watch.
#[derive(Clone, Default)]
pub struct ProgressBoard(Arc<Mutex<BTreeMap<SubmissionId, Progress>>>);

impl ProgressBoard {
    /// The latest word on a submission's evaluation.
    pub fn get(&self, id: SubmissionId) -> Option<Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(crate) fn tell(&self, id: SubmissionId, progress: Progress) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, progress);
    }

    pub(crate) fn forget(&self, id: SubmissionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

impl Pipeline {
    /// Works until `stop`: one task for the quick stages, `evaluations` tasks that train, one for backtests, one for the
    /// self-check. What is
    /// under way at `stop` is given back, and the sandbox with it is killed.
    pub async fn work(&self, worker_id: &str, evaluations: usize, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let light = self.clone();
        let name = format!("{worker_id}/light");
        let token = stop.clone();
        tasks.spawn(async move { light.work_on(&name, &LIGHT_STAGES, &token).await });
        for index in 0..self.config.closer.reviews.max(1) {
            let reviewer = self.clone();
            let name = format!("{worker_id}/review-{index}");
            let token = stop.clone();
            tasks.spawn(async move { reviewer.work_on(&name, &REVIEW_STAGES, &token).await });
        }
        for index in 0..evaluations {
            let heavy = self.clone();
            let name = format!("{worker_id}/evaluation-{index}");
            let token = stop.clone();
            tasks.spawn(async move { heavy.work_on(&name, &HEAVY_STAGES, &token).await });
        }
        let sweeper = self.clone();
        let token = stop.clone();
        tasks.spawn(async move { sweeper.sweep(&token).await });
        let historian = self.clone();
        let name = format!("{worker_id}/backtest");
        let token = stop.clone();
        tasks.spawn(async move { historian.make_backtests(&name, &token).await });
        let checker = self.clone();
        let token = stop.clone();
        tasks.spawn(async move { checker.check_itself(&token).await });
        tasks.close();
        tasks.wait().await;
    }

    async fn work_on(&self, worker_id: &str, stages: &[Stage], stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match self.work_once(worker_id, stages, stop).await {
                Ok(true) => {}
                Ok(false) => self.rest(stop).await,
                Err(error) => {
                    tracing::error!(worker_id, code = error.code(), %error, "cannot claim work");
                    self.rest(stop).await;
                }
            }
        }
    }

    async fn rest(&self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.wake.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(IDLE_MS)) => {}
        }
    }

    /// Claims and does one due stage; false when nothing is due.
    pub async fn work_once(
        &self,
        worker_id: &str,
        stages: &[Stage],
        stop: &CancellationToken,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let Some(claim) = self.store.claim(worker_id, stages, now, self.config.lease_ms).await?
        else {
            return Ok(false);
        };
        (self.boundary)(claim.stage, Boundary::Claimed);
        if claim.attempt > self.config.max_attempts {
            self.give_up(&claim).await;
            self.wake.notify_waiters();
            return Ok(true);
        }
        let outcome = tokio::select! {
            outcome = self.perform(&claim) => outcome,
            lost = self.keep_lease(&claim) => Err(StageError::Store(lost)),
            never = self.note_progress(&claim) => match never {},
            () = stop.cancelled() => {
                self.give_back(&claim, "the worker stops", self.clock.now(), AttemptRule::Forgiven).await;
                return Ok(true);
            }
        };
        self.finish(&claim, outcome).await;
        self.wake.notify_waiters();
        Ok(true)
    }

    /// Ends a submission whose earlier tries all ended with the process that made them. It may well be
    /// what ends them, and the attributions of all later submissions wait for it.
    async fn give_up(&self, claim: &Claim) {
        let tries = claim.attempt.saturating_sub(1);
        let code = "W-GAVE-UP".to_owned();
        let reason = format!(
            "Prism evaluation failed: {code}: the worker was lost in each of {tries} tries of the stage `{}`",
            claim.stage.as_str()
        );
        tracing::error!(submission = %claim.submission.id, stage = claim.stage.as_str(), code, tries, "gives up");
        let commit = self.ending(claim, Blame::Worker, code, reason).await;
        self.try_commit(claim, commit).await;
    }

    /// How a stage ends that was tried too often. Only a rematch can be done without.
    async fn ending(
        &self,
        claim: &Claim,
        blame: Blame,
        code: String,
        reason: String,
    ) -> StageCommit {
        if claim.stage == Stage::Rematch {
            return self.forgo_rematch(claim, &code, &reason).await;
        }
        StageCommit::new(Event::Failed { blame, code, reason })
    }

    async fn perform(&self, claim: &Claim) -> Result<StageCommit, StageError> {
        tracing::info!(submission = %claim.submission.id, stage = claim.stage.as_str(), attempt = claim.attempt, "stage begins");
        match claim.stage {
            Stage::Facts => facts::run(self, claim).await,
            Stage::Review => review::run(self, claim, self.policy_set(claim).await?).await,
            Stage::Evaluation => evaluation::run(self, claim).await,
            Stage::Scoring => scoring::run(self, claim, self.policy_set(claim).await?).await,
            Stage::Rematch => rematch::run(self, claim).await,
            Stage::Attribution => {
                attribution::run(self, claim, self.policy_set(claim).await?).await
            }
        }
    }

    /// Renews the lease until it is lost; never returns while it holds.
    async fn keep_lease(&self, claim: &Claim) -> StoreError {
        let pause = u64::try_from(self.config.lease_ms / HEARTBEATS_PER_LEASE).unwrap_or(1_000);
        loop {
            tokio::time::sleep(Duration::from_millis(pause.max(1))).await;
            let renewed = self.store.heartbeat(claim, self.clock.now(), self.config.lease_ms).await;
            match renewed {
                Ok(_lease_until) => {}
                Err(StoreError::StaleClaim) => return StoreError::StaleClaim,
                Err(error) => tracing::warn!(%error, "cannot renew a lease"),
            }
        }
    }

    /// Writes down what the board says, for who watches from another process.
    async fn note_progress(&self, claim: &Claim) -> Infallible {
        let mut noted = None;
        loop {
            tokio::time::sleep(Duration::from_millis(PROGRESS_MS)).await;
            let told = self.progress.get(claim.submission.id);
            let Some(progress) = told.as_ref().filter(|_| told != noted) else { continue };
            match self.store.record_progress(claim, progress).await {
                Ok(()) => noted = told,
                Err(error) => tracing::debug!(%error, "cannot note progress"),
            }
        }
    }

    async fn finish(&self, claim: &Claim, outcome: Result<StageCommit, StageError>) {
        match outcome {
            Ok(commit) => {
                (self.boundary)(claim.stage, Boundary::Decided);
                self.commit(claim, commit).await;
            }
            Err(error) => self.mend(claim, &error).await,
        }
    }

    async fn commit(&self, claim: &Claim, commit: StageCommit) {
        let id = claim.submission.id;
        match self.store.commit_stage(claim, commit, self.clock.now()).await {
            Ok(state) => {
                (self.boundary)(claim.stage, Boundary::Committed);
                log_state(id, claim.stage, state);
            }
            Err(StoreError::StaleClaim) => {
                tracing::warn!(submission = %id, "a late result was refused: the lease was lost");
            }
            Err(error) => self.mend(claim, &StageError::Store(error)).await,
        }
    }

    /// Nothing here is held against the miner.
    async fn mend(&self, claim: &Claim, error: &StageError) {
        let id = claim.submission.id;
        if let Remedy::Wait { rest_ms } = error.remedy() {
            tracing::info!(submission = %id, stage = claim.stage.as_str(), code = error.code(), rest_ms, "stage waits");
        } else {
            tracing::error!(submission = %id, stage = claim.stage.as_str(), code = error.code(), error = %error_text(error), "stage failed");
        }
        match error.remedy() {
            Remedy::Forget => {}
            Remedy::Wait { rest_ms } => {
                let retry_at = self.clock.now().plus_ms(rest_ms);
                self.give_back(claim, error.code(), retry_at, AttemptRule::Forgiven).await;
            }
            Remedy::HoldForPolicy => {
                let cause = HoldCause::PolicyFault;
                let reason = format!("waiting for a policy: {}", error.code());
                let asked = self.policy_set(claim).await;
                let policy_set = asked.unwrap_or_else(|_error| self.policies.current()).digest();
                let commit = StageCommit {
                    policy_set: Some(policy_set),
                    hold: Some(self.new_hold(claim, &reason, 0.0)),
                    ..StageCommit::new(Event::Held { cause, reason })
                };
                self.try_commit(claim, commit).await;
            }
            Remedy::Retry if claim.attempt >= self.config.max_attempts => {
                let (blame, code) = (blame_of(error), error.code().to_owned());
                let reason = format!(
                    "Prism evaluation failed: {code}: gave up after {} tries",
                    claim.attempt
                );
                let commit = self.ending(claim, blame, code, reason).await;
                self.try_commit(claim, commit).await;
            }
            Remedy::Retry => {
                let retry_at = self.clock.now().plus_ms(self.rest_ms(error, claim.attempt));
                self.give_back(claim, error.code(), retry_at, AttemptRule::Counts).await;
            }
        }
    }

    /// How long a stage rests after its `attempt`-th try, milliseconds.
    fn rest_ms(&self, error: &StageError, attempt: u32) -> i64 {
        let first = match error {
            // Nothing is broken: a deadline passed, or the ledger moved on in between.
            StageError::Policy(_) | StageError::Store(StoreError::LedgerMoved) => {
                self.config.retry_ms
            }
            _ => self.config.machine_retry_ms,
        };
        let doublings = attempt.saturating_sub(1).min(20);
        first.saturating_mul(1_i64 << doublings).min(RETRY_MAX_MS)
    }

    /// Commits an ending that is not the stage's own; when even that fails, the lease runs out.
    async fn try_commit(&self, claim: &Claim, commit: StageCommit) {
        if let Err(error) = self.store.commit_stage(claim, commit, self.clock.now()).await {
            tracing::error!(submission = %claim.submission.id, %error, "cannot commit; the lease will run out");
        }
    }

    async fn give_back(&self, claim: &Claim, reason: &str, retry_at: Timestamp, rule: AttemptRule) {
        let now = self.clock.now();
        if let Err(error) = self.store.release(claim, retry_at, reason, rule, now).await {
            tracing::warn!(submission = %claim.submission.id, %error, "cannot give a claim back; its lease will run out");
        }
    }
}

fn blame_of(error: &StageError) -> Blame {
    match error.blame() {
        Blame::Miner => Blame::Platform,
        blame => blame,
    }
}

fn error_text(error: &StageError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn log_state(id: SubmissionId, stage: Stage, now: State) {
    tracing::info!(submission = %id, stage = stage.as_str(), status = now.status(), "stage done");
}
