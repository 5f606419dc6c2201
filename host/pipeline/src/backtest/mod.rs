//! Backtests: history is decided again under another policy set, from what was stored, in the order of acceptance,
//! and every hotkey's weight before and after is told. Live work is not touched: the fold has a ledger of its own, and
//! a snapshot bounds what it reads.

mod fold;
mod ledger;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prism_domain::ids::Digest;
use prism_domain::policy::{PolicyFault, PolicySet, Slot};
use prism_store::{
    BacktestClaim, BacktestStep, MeasurementKind, PastAnswer, PastSubmission, Restated,
    Restatement, StoreError,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::fold::{Asked, Fold, Reused, Snapshot};
pub use self::report::{
    BacktestReport, Change, Distance, Outcome, OwnerChange, SlotTally, Tally, WeightRow, Weights,
};
use crate::Pipeline;
use crate::evidence::encoded;
use crate::outcome::StageError;
use crate::project::on_blocking_thread;

/// Submissions that are read at once: the telemetry of each may have megabytes.
const PAGE: u32 = 16;
/// A checkpoint is kept this often, milliseconds.
const CHECKPOINT_MS: i64 = 1_000;
/// How long a process may be silent before another goes on, milliseconds.
const LEASE_MS: i64 = 15_000;
/// How often an idle process looks for a backtest, milliseconds.
const IDLE_MS: u64 = 500;
/// How long a backtest rests after a fault of ours, milliseconds; and how often that may happen in a row.
const REST_MS: u64 = 2_000;
const FAULTS_MAX: u32 = 3;

impl Pipeline {
    /// Makes the backtests that are asked for, one after the other, until `stop`.
    pub(crate) async fn make_backtests(&self, worker_id: &str, stop: &CancellationToken) {
        let mut faults = 0;
        while !stop.is_cancelled() {
            let pause = match self.backtest_once(worker_id, stop).await {
                Ok(true) => {
                    faults = 0;
                    0
                }
                Ok(false) => IDLE_MS,
                Err((claim, error)) => {
                    faults += 1;
                    self.backtest_failed(claim, &error, faults).await;
                    REST_MS
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
            }
        }
    }

    /// Takes the oldest backtest that nobody makes and makes it; false when there is none.
    ///
    /// # Errors
    /// A fault of ours, with the backtest that it happened to. The backtest stays where its last checkpoint is.
    pub async fn backtest_once(
        &self,
        worker_id: &str,
        stop: &CancellationToken,
    ) -> Result<bool, (Option<Box<BacktestClaim>>, StageError)> {
        let claimed = self.store.claim_backtest(worker_id, self.clock.now(), LEASE_MS).await;
        let Some(claim) = claimed.map_err(|error| (None, error.into()))? else {
            return Ok(false);
        };
        match self.make_backtest(&claim, stop).await {
            Ok(()) => Ok(true),
            Err(error) => Err((Some(Box::new(claim)), error)),
        }
    }

    async fn backtest_failed(
        &self,
        claim: Option<Box<BacktestClaim>>,
        error: &StageError,
        faults: u32,
    ) {
        let id = claim.as_ref().map(|claim| claim.backtest.id);
        tracing::error!(backtest = id, code = error.code(), %error, "a backtest stopped");
        // Another process took it over.
        let lost = matches!(error, StageError::Store(StoreError::StaleClaim));
        let lasting = matches!(error, StageError::Missing { .. }) || faults >= FAULTS_MAX;
        if let Some(claim) = claim.filter(|_| lasting && !lost) {
            let told = format!("{}: {error}", error.code());
            if let Err(error) = self.store.fail_backtest(&claim, told).await {
                tracing::error!(backtest = id, %error, "its end cannot be stored");
            }
        }
    }

    async fn make_backtest(
        &self,
        claim: &BacktestClaim,
        stop: &CancellationToken,
    ) -> Result<(), StageError> {
        tokio::select! {
            made = self.fold_history(claim, stop) => made,
            lost = self.keep_backtest(claim) => Err(lost.into()),
        }
    }

    /// Renews the lease until it is lost.
    async fn keep_backtest(&self, claim: &BacktestClaim) -> StoreError {
        loop {
            tokio::time::sleep(Duration::from_millis(LEASE_MS.unsigned_abs() / 3)).await;
            match self.store.renew_backtest(claim, self.clock.now(), LEASE_MS).await {
                Ok(()) => {}
                Err(StoreError::StaleClaim) => return StoreError::StaleClaim,
                Err(error) => tracing::warn!(%error, "cannot renew the lease of a backtest"),
            }
        }
    }

    async fn fold_history(
        &self,
        claim: &BacktestClaim,
        stop: &CancellationToken,
    ) -> Result<(), StageError> {
        let backtest = &claim.backtest;
        let missing = StageError::Missing { what: "policy set" };
        let policies = self.set_of(backtest.policy_set).await?.ok_or(missing)?;
        let mut fold = match &claim.checkpoint {
            Some(kept) => Fold::restored(kept)?,
            None => Fold::default(),
        };
        let snapshot = Snapshot { at: backtest.at, epoch: claim.ledger_view.epoch };
        let (mut position, mut tried) = (backtest.position, backtest.tried);
        let (mut changes, mut kept_at) = (Vec::new(), self.clock.now());
        let mut revisions = Revisions::of(backtest.policy_set);
        let mut page = self.page(position, backtest.through, &mut revisions).await?;
        while let Some(last) = page.last() {
            let next = last.past.submission.sequence;
            tried += page.len() as u64;
            let set = Arc::clone(&policies);
            let decided =
                on_blocking_thread(move || decide_page(fold, &page, set.as_ref(), snapshot));
            // The next page is read while this one is decided.
            let (decided, read) =
                tokio::join!(decided, self.page(next, backtest.through, &mut revisions));
            let (after, new_changes) = decided??;
            (fold, page, position) = (after, read?, next);
            changes.extend(new_changes);
            let now = self.clock.now();
            if stop.is_cancelled() || now >= kept_at.plus_ms(CHECKPOINT_MS) {
                let so_far = step_of(&mut fold, position, tried, std::mem::take(&mut changes))?;
                let lease_ms = if stop.is_cancelled() { 0 } else { LEASE_MS };
                self.store.keep_backtest_step(claim, so_far, now, lease_ms).await?;
                kept_at = now;
            }
            if stop.is_cancelled() {
                return Ok(());
            }
        }
        let report = self.backtest_report(claim, &fold, policies).await?;
        let report = String::from_utf8(encoded(&report, "backtest report")?)
            .map_err(|_source| StageError::Missing { what: "backtest report" })?;
        let last = step_of(&mut fold, position, tried, changes)?;
        self.store.finish_backtest(claim, last, report, self.clock.now()).await?;
        Ok(())
    }

    async fn page(
        &self,
        after: i64,
        through: i64,
        revisions: &mut Revisions,
    ) -> Result<Vec<Asked>, StageError> {
        let page = self.store.past_submissions(after, through, PAGE).await?;
        let asked_of =
            |past: &PastSubmission| past.last_answer(Slot::Review).map(|answer| answer.question);
        let digests: Vec<Digest> = page.iter().filter_map(asked_of).collect();
        let mut questions = self.store.questions(&digests).await?;
        let mut asked = Vec::with_capacity(page.len());
        for mut past in page {
            let question = asked_of(&past).and_then(|digest| questions.remove(&digest));
            let (review, report) = (MeasurementKind::Review, MeasurementKind::Report);
            let reused = Reused {
                review: self.is_reused(&past, Slot::Review, review, revisions).await?,
                scaling: self.is_reused(&past, Slot::Scaling, report, revisions).await?,
            };
            let rematched = past.all(MeasurementKind::IncumbentTelemetry).next().is_some();
            if past.has_telemetry && (rematched || !reused.scaling) {
                let kind = MeasurementKind::Telemetry;
                if let Some(raw) = self.store.measurement(past.submission.id, kind).await? {
                    past.add(kind, raw);
                }
            }
            asked.push(Asked { past, question, reused });
        }
        Ok(asked)
    }

    /// Whether what is stored is what a set with the candidate's very revision of that slot said.
    async fn is_reused(
        &self,
        past: &PastSubmission,
        slot: Slot,
        kind: MeasurementKind,
        revisions: &mut Revisions,
    ) -> Result<bool, StageError> {
        let Some(stored) = past.measurement(kind) else { return Ok(false) };
        let said = |one: &&PastAnswer| one.slot == slot && one.answer.as_bytes() == stored;
        let Some(said) = past.decided.iter().rfind(said) else { return Ok(false) };
        let candidate = revisions.candidate;
        let then = self.revision(said.policy_set, slot, revisions).await?;
        let now = self.revision(candidate, slot, revisions).await?;
        Ok(now.is_some() && then == now)
    }

    /// What fills a slot of a set, component, settings, limits and profile, as the digest of its canonical JSON.
    async fn revision(
        &self,
        policy_set: Digest,
        slot: Slot,
        revisions: &mut Revisions,
    ) -> Result<Option<Digest>, StageError> {
        let slots = if let Some(slots) = revisions.known.get(&policy_set) {
            slots
        } else {
            let stored = self.store.policy_set(policy_set).await?;
            let manifest: Option<BTreeMap<String, Value>> =
                stored.and_then(|set| serde_json::from_str(&set.canonical).ok());
            let digest = |revision: Value| Digest::of(revision.to_string().as_bytes());
            let slots = manifest.unwrap_or_default().into_iter();
            let slots = slots.map(|(slot, revision)| (slot, digest(revision))).collect();
            revisions.known.entry(policy_set).or_insert(slots)
        };
        Ok(slots.get(slot.as_str()).copied())
    }

    async fn backtest_report(
        &self,
        claim: &BacktestClaim,
        fold: &Fold,
        policies: Arc<dyn PolicySet>,
    ) -> Result<BacktestReport, StageError> {
        let backtest = &claim.backtest;
        let before = claim.ledger_view.clone();
        let after = fold.view(before.epoch, self.config.epoch);
        let (owners_changed, owners) = report::owners(&before, &after);
        let epoch = before.epoch;
        let weighed = match self.set_of(backtest.baseline).await? {
            None => Err("the set in force cannot be loaded by this build".to_owned()),
            Some(baseline) => on_blocking_thread(move || {
                let vector = |set: &dyn PolicySet, view| set.weigh(view).map(|one| one.answer);
                let was = vector(baseline.as_ref(), &before)?;
                let at_once = vector(policies.as_ref(), &before)?;
                let rescored = vector(policies.as_ref(), &after)?;
                Ok(report::weights(&was, at_once, rescored))
            })
            .await?
            .map_err(|fault: PolicyFault| fault.to_string()),
        };
        let (weights, weights_fault) = match weighed {
            Ok(weights) => (Some(weights), None),
            Err(fault) => (None, Some(fault)),
        };
        Ok(BacktestReport {
            policy_set: backtest.policy_set,
            baseline: backtest.baseline,
            through: backtest.through,
            ledger_version: backtest.ledger_version,
            epoch,
            tally: fold.tally.clone(),
            owners_changed,
            owners,
            weights,
            weights_fault,
        })
    }

    /// Lets a backtest count: ledger and scores become those in which it ended.
    ///
    /// # Errors
    /// When history went on since the snapshot, or the set that it was made for is not in force.
    pub async fn restate(
        &self,
        backtest: i64,
        actor: &str,
        reason: &str,
    ) -> Result<Restated, StageError> {
        let missing = StageError::Missing { what: "backtest" };
        let checkpoint = self.store.backtest_checkpoint(backtest).await?.ok_or(missing)?;
        let fold = on_blocking_thread(move || Fold::restored(&checkpoint)).await??;
        let families = fold.ledger.families().cloned().collect();
        let variants = fold.ledger.variants();
        let restatement = Restatement {
            backtest,
            families,
            variants: variants.map(|held| (held.variant.clone(), held.best_since)).collect(),
            actor: actor.to_owned(),
            reason: reason.to_owned(),
        };
        Ok(self.store.restate(restatement, read_change, self.clock.now()).await?)
    }
}

fn read_change(text: &str) -> Option<prism_store::RescoredSubmission> {
    let change: Change = serde_json::from_str(text).ok()?;
    let (scores, refused) = match change.after {
        Outcome::Completed { final_score, q_arch, q_recipe } => {
            let scores =
                prism_domain::submission::PublishedScores { final_score, q_arch, q_recipe };
            (Some(scores), None)
        }
        Outcome::Rejected { reason } => (None, Some(reason)),
        Outcome::Held { .. } | Outcome::Failed { .. } | Outcome::Unmeasured => return None,
    };
    let json = |value: Option<serde_json::Result<Vec<u8>>>| value.transpose().ok();
    let report = json(change.report.map(|report| serde_json::to_vec(&report)))?;
    let attribution = json(change.attribution.map(|said| serde_json::to_vec(&said)))?;
    let measurements =
        [(MeasurementKind::Report, report), (MeasurementKind::Attribution, attribution)];
    let measurements = measurements.into_iter();
    Some(prism_store::RescoredSubmission {
        scores,
        refused,
        measurements: measurements.filter_map(|(kind, bytes)| Some((kind, bytes?))).collect(),
    })
}

/// What fills the slots of the sets that history was decided under, and which set is the candidate.
struct Revisions {
    candidate: Digest,
    known: BTreeMap<Digest, BTreeMap<String, Digest>>,
}

impl Revisions {
    const fn of(candidate: Digest) -> Self {
        Self { candidate, known: BTreeMap::new() }
    }
}

type Decided = (Fold, Vec<(i64, String)>);

fn decide_page(
    mut fold: Fold,
    page: &[Asked],
    policies: &dyn PolicySet,
    snapshot: Snapshot,
) -> Result<Decided, StageError> {
    let mut changes = Vec::new();
    for asked in page {
        if let Some(change) = fold.step(asked, policies, snapshot)? {
            let change = serde_json::to_string(&change)
                .map_err(|_source| StageError::Missing { what: "change" })?;
            changes.push((asked.past.submission.sequence, change));
        }
    }
    Ok((fold, changes))
}

fn step_of(
    fold: &mut Fold,
    position: i64,
    tried: u64,
    changes: Vec<(i64, String)>,
) -> Result<BacktestStep, StageError> {
    fold.compact();
    let checkpoint = encoded(fold, "checkpoint")?;
    Ok(BacktestStep { position, tried, checkpoint, changes })
}
