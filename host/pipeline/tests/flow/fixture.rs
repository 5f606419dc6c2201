//! A pipeline in a folder of its own whose policies, evaluator and clock obey the test.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use prism_domain::attribution::{Attribution, AttributionDecision, Candidate};
use prism_domain::consult::{NoModel, ProjectComparison};
use prism_domain::entropy::Entropy;
use prism_domain::evaluation::{
    Evaluating, EvaluationFault, EvaluationJob, Evaluator, Instruments, Measured, Progress,
};
use prism_domain::facts::{ModuleSource, ProjectFacts, SourceFacts};
use prism_domain::ids::{Digest, Hotkey, SubmissionId};
use prism_domain::improvement::{Assessment, Comparison};
use prism_domain::policy::{
    Decided, FaultClass, Policies, PolicyFault, PolicySet, Provenance, Slot, SourceReader,
};
use prism_domain::review::{ReviewDecision, ReviewInput, Reviewed, Verdict};
use prism_domain::rewards::{LedgerView, WeightVector};
use prism_domain::scaling::{Report, ScalingInput};
use prism_domain::submission::{Blame, Event, ProjectKind, Stage, State};
use prism_domain::telemetry::Telemetry;
use prism_domain::time::{Clock, EpochId, EpochLength, Timestamp};
use prism_intake::ArchiveLimits;
use prism_pipeline::{Beacon, CloserConfig, Pipeline, PipelineConfig, ProgressBoard};
use prism_store::{Claim, MeasurementKind, NewSubmission, StageCommit, Store, StoreOptions};
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::rules;

/// Tries of a stage.
pub(crate) const MAX_ATTEMPTS: u32 = 3;
/// First rest after a fault of a machine, milliseconds.
pub(crate) const MACHINE_RETRY_MS: i64 = 5_000;
/// How long holds wait, milliseconds.
pub(crate) const HOLD_EXPIRY_MS: i64 = 1_000_000;
/// How often all decisions are taken again, milliseconds.
pub(crate) const SELF_CHECK_MS: i64 = 86_400_000;
/// Length of a lease, milliseconds.
pub(crate) const LEASE_MS: i64 = 60_000;

/// The pipeline and the strings that move its parts.
pub(crate) struct Fixture {
    pub(crate) pipeline: Pipeline,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) policies: Arc<TestPolicies>,
    pub(crate) evaluator: Arc<TestEvaluator>,
    _folder: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("prism.db").display());
        let store = Store::open(&url, &StoreOptions::default()).await.expect("opens");
        let clock = Arc::new(TestClock(AtomicI64::new(1_795_347_768_000_000)));
        for name in ["one", "broken", "sound"] {
            let digest = Digest::of(name.as_bytes());
            let stored =
                store.put_policy_set(digest, name.to_owned(), BTreeMap::new(), clock.now());
            stored.await.expect("stored");
        }
        let policies = Arc::new(TestPolicies::new(sound("one")));
        let evaluator = Arc::new(TestEvaluator::default());
        let pipeline = Pipeline {
            store,
            policies: Arc::clone(&policies) as Arc<dyn Policies>,
            reader: Arc::new(NoReader),
            evaluator: Arc::clone(&evaluator) as Arc<dyn Evaluator>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(Counting(AtomicU64::new(1))),
            consultant: Arc::new(NoModel),
            beacon: Beacon::new([7; 32]),
            config: config(),
            progress: ProgressBoard::default(),
            wake: Arc::default(),
            boundary: Arc::new(|_, _| {}),
        };
        Self { pipeline, clock, policies, evaluator, _folder: folder }
    }

    /// Accepts submission number `n`, a single module.
    pub(crate) async fn accept(&self, n: u32) -> SubmissionId {
        self.accept_in(EpochId(1), n).await
    }

    async fn accept_in(&self, epoch: EpochId, n: u32) -> SubmissionId {
        let archive = format!("number = {n}\n").into_bytes();
        let accepted = self
            .pipeline
            .store
            .accept(NewSubmission {
                id: SubmissionId::new(self.pipeline.entropy.uuid()),
                hotkey: Hotkey::new(format!("miner-{n}")).expect("a hotkey"),
                epoch,
                code_hash: Digest::of(&archive),
                filename: "model.py".to_owned(),
                body_digest: Digest::of(&archive),
                archive,
                metadata: "{}".to_owned(),
                nonce: None,
                idempotency_key: None,
                quota: None,
                now: self.pipeline.clock.now(),
            })
            .await;
        accepted.expect("accepted").submission.id
    }

    /// Accepts a submission and brings it to `stage` as if the earlier stages had passed it.
    pub(crate) async fn accept_at(
        &self,
        n: u32,
        stage: Stage,
        facts: &ProjectFacts,
    ) -> SubmissionId {
        self.bring(self.accept(n).await, None, stage, facts).await
    }

    /// The same, accepted in that epoch.
    pub(crate) async fn accept_at_in(
        &self,
        epoch: u64,
        n: u32,
        stage: Stage,
        facts: &ProjectFacts,
    ) -> SubmissionId {
        self.bring(self.accept_in(EpochId(epoch), n).await, None, stage, facts).await
    }

    /// The same, begun under the set of that digest.
    pub(crate) async fn accept_under(
        &self,
        policy_set: Option<Digest>,
        n: u32,
        stage: Stage,
        facts: &ProjectFacts,
    ) -> SubmissionId {
        self.bring(self.accept(n).await, policy_set, stage, facts).await
    }

    async fn bring(
        &self,
        id: SubmissionId,
        policy_set: Option<Digest>,
        stage: Stage,
        facts: &ProjectFacts,
    ) -> SubmissionId {
        let stored = serde_json::to_vec(facts).expect("JSON");
        for before in Stage::USUAL.into_iter().take_while(|before| *before != stage) {
            let mut commit = StageCommit::new(Event::StageDone);
            commit.policy_set = policy_set;
            if before == Stage::Facts {
                commit.measurements.push((MeasurementKind::Facts, stored.clone()));
                commit.index = facts.source.fingerprints.is_some().then(|| facts.clone());
            }
            let claim = self.claim(before).await.expect("a job is due");
            let now = self.pipeline.clock.now();
            self.pipeline.store.commit_stage(&claim, commit, now).await.expect("a step");
        }
        id
    }

    /// A claim of another worker.
    pub(crate) async fn claim(&self, stage: Stage) -> Option<Claim> {
        let now = self.pipeline.clock.now();
        self.pipeline.store.claim("another", &[stage], now, LEASE_MS).await.expect("claims")
    }

    /// One turn of a worker; whether there was something to do.
    pub(crate) async fn work(&self, stage: Stage) -> bool {
        let stop = CancellationToken::new();
        self.pipeline.work_once("worker", &[stage], &stop).await.expect("works")
    }

    pub(crate) async fn state(&self, id: SubmissionId) -> State {
        self.pipeline.store.submission(id).await.expect("reads").expect("is there").state
    }

    pub(crate) async fn error(&self, id: SubmissionId) -> String {
        let submission = self.pipeline.store.submission(id).await.expect("reads");
        submission.expect("is there").error.unwrap_or_default()
    }
}

fn config() -> PipelineConfig {
    PipelineConfig {
        epoch: EpochLength::from_seconds(21_600).expect("not zero"),
        plan: "smoke".to_owned(),
        seeds: 2,
        lease_ms: LEASE_MS,
        max_attempts: MAX_ATTEMPTS,
        retry_ms: 1_000,
        machine_retry_ms: MACHINE_RETRY_MS,
        hold_expiry_ms: HOLD_EXPIRY_MS,
        self_check_ms: SELF_CHECK_MS,
        archive_limits: ArchiveLimits::default(),
        closer: CloserConfig::default(),
    }
}

/// Facts of a project without entry functions.
pub(crate) fn facts(kind: ProjectKind) -> ProjectFacts {
    ProjectFacts {
        kind,
        entrypoint: "model.py".to_owned(),
        training_entrypoint: Some("model.py".to_owned()),
        target_family: None,
        files: Vec::new(),
        source: SourceFacts {
            observations: Vec::new(),
            entry_functions: Vec::new(),
            fingerprints: None,
            architecture_sketch: Vec::new(),
            source_sketch: Vec::new(),
        },
    }
}

/// A clock that stands still until it is moved; microseconds.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn pass_ms(&self, ms: i64) {
        self.0.fetch_add(ms * 1_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

struct Counting(AtomicU64);

impl Entropy for Counting {
    fn bytes32(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let n = self.0.fetch_add(1, Ordering::SeqCst);
        bytes.iter_mut().zip(n.to_be_bytes()).for_each(|(byte, of_n)| *byte = of_n);
        bytes
    }
}

struct NoReader;

impl SourceReader for NoReader {
    fn read(&self, _: &[ModuleSource], _: &[String]) -> Result<SourceFacts, PolicyFault> {
        Err(fault("reader-absent"))
    }

    fn compare(
        &self,
        _: &[ModuleSource],
        _: &[ModuleSource],
    ) -> Result<ProjectComparison, PolicyFault> {
        Err(fault("reader-absent"))
    }
}

/// What an evaluation brings: the score that the test's scaling policy will read from it, or a fault.
type Scoring = Box<dyn Fn(&EvaluationJob) -> Result<f64, EvaluationFault> + Send>;

/// Counts evaluations and keeps their jobs. Each tells `progress`, if there is one, and then never ends;
/// else it ends as `scoring` says, and without one with a fault of the worker.
#[derive(Default)]
pub(crate) struct TestEvaluator {
    pub(crate) runs: AtomicUsize,
    pub(crate) jobs: Mutex<Vec<EvaluationJob>>,
    pub(crate) progress: Mutex<Option<Progress>>,
    scoring: Mutex<Option<Scoring>>,
}

impl TestEvaluator {
    pub(crate) fn score(
        &self,
        scoring: impl Fn(&EvaluationJob) -> Result<f64, EvaluationFault> + Send + 'static,
    ) {
        *self.scoring.lock().expect("no panic before") = Some(Box::new(scoring));
    }

    pub(crate) fn last_job(&self) -> EvaluationJob {
        self.jobs.lock().expect("no panic before").last().expect("an evaluation").clone()
    }
}

impl Evaluator for TestEvaluator {
    fn name(&self) -> &'static str {
        "test"
    }

    fn instruments(&self, plan: &str) -> Option<Instruments> {
        let plan = Digest::of(plan.as_bytes());
        Some(Instruments { plan, harness: Digest::of(b"harness") })
    }

    fn evaluate<'a>(
        &'a self,
        job: &'a EvaluationJob,
        progress: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Evaluating<'a> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.jobs.lock().expect("no panic before").push(job.clone());
        let told = self.progress.lock().expect("no panic before").clone();
        let scored = match &*self.scoring.lock().expect("no panic before") {
            Some(scoring) => scoring(job),
            None => Err(machine_fault()),
        };
        Box::pin(async move {
            if let Some(told) = told {
                progress(told);
                std::future::pending::<()>().await;
            }
            scored.map(|score| measured(job, score))
        })
    }
}

/// A fault of the worker's.
pub(crate) fn machine_fault() -> EvaluationFault {
    let (code, message) = ("W-ENGINE".to_owned(), "no engine".to_owned());
    EvaluationFault { blame: Blame::Worker, code, message }
}

/// Telemetry of one candidate's run whose loss is the score, and one reference run, which is the offered
/// one where there is one.
fn measured(job: &EvaluationJob, score: f64) -> Measured {
    let run = |role: &str, nll: f64| {
        json!({
            "run_id": role, "role": role, "probe": "base", "size_id": "s0", "seed_idx": 0,
            "own_recipe": false, "steps_planned": 1, "steps_done": 1, "batch_seqs": 1, "seq_len": 1,
            "status": "ok", "cols": {"nll_sum": [nll], "n_tok": [1], "n_bytes": [1]},
        })
    };
    let size = |role: &str| json!({"size_id": "s0", "role": role, "d_model": 8, "n_layer": 1, "params_total": 9, "flops_per_token": 54.0});
    let mut reference = run("reference", 0.5);
    if let Some(offered) = &job.reference {
        let offered: Value = serde_json::from_slice(offered).expect("JSON");
        reference = offered["runs"][0].clone();
        reference["cached"] = json!(true);
    }
    let document = json!({
        "schema": prism_domain::telemetry::SCHEMA, "submission_id": job.submission_id.to_string(),
        "eval_id": job.evaluation_id.to_string(), "kind": job.kind.as_str(), "tier": "smoke",
        "plan": {"name": job.plan, "scale": 1.0},
        "env": {"torch": "2", "device_kind": "cpu", "precision": "fp32", "blas": "mkl"},
        "data": {"corpus_id": "c", "train_sha256": "t", "val_sha256": "v", "vocab_size": 256, "perm_commit": ""},
        "seeds_revealed": job.seeds, "sizes": [size("candidate"), size("reference")],
        "runs": [run("candidate", score), reference],
    });
    let raw = document.to_string().into_bytes();
    let telemetry = Telemetry::parse(&raw).expect("valid");
    Measured { raw, telemetry, log_tail: String::new() }
}

/// A manifest and its components.
type StoredSet = (String, BTreeMap<Digest, Vec<u8>>);

/// The set in force, and what is to be loaded of stored ones.
pub(crate) struct TestPolicies {
    current: Mutex<Arc<TestSet>>,
    pub(crate) restorable: Mutex<Option<Arc<TestSet>>>,
    /// What was asked for last.
    pub(crate) asked: Mutex<Option<StoredSet>>,
}

impl TestPolicies {
    fn new(set: TestSet) -> Self {
        Self {
            current: Mutex::new(Arc::new(set)),
            restorable: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    pub(crate) fn put_in_force(&self, set: TestSet) {
        *self.current.lock().expect("no panic before") = Arc::new(set);
    }
}

impl Policies for TestPolicies {
    fn current(&self) -> Arc<dyn PolicySet> {
        Arc::clone(&*self.current.lock().expect("no panic before")) as Arc<dyn PolicySet>
    }

    fn find(&self, digest: Digest) -> Option<Arc<dyn PolicySet>> {
        Some(self.current()).filter(|set| set.digest() == digest)
    }

    fn restore(
        &self,
        canonical: &str,
        components: &BTreeMap<Digest, Vec<u8>>,
    ) -> Result<Arc<dyn PolicySet>, PolicyFault> {
        *self.asked.lock().expect("no panic before") =
            Some((canonical.to_owned(), components.clone()));
        let restorable = self.restorable.lock().expect("no panic before").clone();
        restorable.map(|set| set as Arc<dyn PolicySet>).ok_or_else(|| fault("policy-profile"))
    }
}

/// A set that accepts, scores and attributes by the [`rules`] of the tests, or has a fault.
pub(crate) struct TestSet {
    digest: Digest,
    sound: bool,
    /// What it makes of a score.
    view: fn(f64) -> f64,
    /// From which quality on an operator has to look at it.
    holds_from: f64,
}

pub(crate) fn sound(name: &str) -> TestSet {
    TestSet {
        digest: Digest::of(name.as_bytes()),
        sound: true,
        view: |score| score,
        holds_from: f64::INFINITY,
    }
}

pub(crate) fn broken(name: &str) -> TestSet {
    TestSet { sound: false, ..sound(name) }
}

/// A sound set that leaves the best to an operator.
pub(crate) fn holding(name: &str, holds_from: f64) -> TestSet {
    TestSet { holds_from, ..sound(name) }
}

/// A sound set that sees other scores.
pub(crate) fn seeing(name: &str, view: fn(f64) -> f64) -> TestSet {
    TestSet { view, ..sound(name) }
}

fn fault(code: &str) -> PolicyFault {
    let message = "as the test wants it".to_owned();
    PolicyFault { class: FaultClass::GuestFault, code: code.to_owned(), message }
}

impl TestSet {
    fn decided<T>(
        &self,
        slot: Slot,
        question: &impl Serialize,
        answer: T,
    ) -> Result<Decided<T>, PolicyFault> {
        if !self.sound {
            return Err(fault("policy-trap"));
        }
        let question = serde_json::to_vec(question).expect("JSON");
        let provenance = Provenance {
            slot,
            policy_set: self.digest,
            component: self.digest,
            input: Digest::of(&question),
            fuel: 1,
            duration_us: 1,
        };
        Ok(Decided { answer, provenance, question })
    }
}

impl PolicySet for TestSet {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn review(&self, input: &ReviewInput) -> Result<Decided<Reviewed>, PolicyFault> {
        let accepted = Verdict { decision: ReviewDecision::Accept, findings: Vec::new() };
        self.decided(Slot::Review, input, Reviewed::Verdict(accepted))
    }

    fn analyse(&self, input: &ScalingInput) -> Result<Decided<Report>, PolicyFault> {
        self.decided(Slot::Scaling, input, rules::report(&input.telemetry, self.view))
    }

    fn assess(&self, comparison: &Comparison) -> Result<Decided<Assessment>, PolicyFault> {
        self.decided(Slot::Thresholds, comparison, rules::assessment(comparison))
    }

    fn attribute(&self, candidate: &Candidate) -> Result<Decided<Attribution>, PolicyFault> {
        let mut answer = rules::attribution(candidate);
        if candidate.quality >= self.holds_from {
            answer.decision = AttributionDecision::Hold;
        }
        self.decided(Slot::Attribution, candidate, answer)
    }

    fn weigh(&self, ledger: &LedgerView) -> Result<Decided<WeightVector>, PolicyFault> {
        self.decided(Slot::Rewards, ledger, rules::weights(ledger))
    }
}
