//! A pipeline in a folder of its own whose policies, evaluator and clock obey the test.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use prism_domain::attribution::{Attribution, Candidate};
use prism_domain::entropy::Entropy;
use prism_domain::evaluation::{Evaluating, EvaluationFault, EvaluationJob, Evaluator, Progress};
use prism_domain::facts::{ModuleSource, ProjectFacts, SourceFacts};
use prism_domain::ids::{Digest, Hotkey, SubmissionId};
use prism_domain::improvement::{Assessment, Comparison};
use prism_domain::policy::{
    Decided, FaultClass, Policies, PolicyFault, PolicySet, Provenance, Slot, SourceReader,
};
use prism_domain::review::{ReviewDecision, ReviewInput, Verdict};
use prism_domain::rewards::{LedgerView, WeightVector};
use prism_domain::scaling::{Report, ScalingInput};
use prism_domain::submission::{Blame, Event, ProjectKind, Stage, State};
use prism_domain::time::{Clock, EpochId, EpochLength, Timestamp};
use prism_intake::ArchiveLimits;
use prism_pipeline::{Beacon, Pipeline, PipelineConfig, ProgressBoard};
use prism_store::{Claim, MeasurementKind, NewSubmission, StageCommit, Store, StoreOptions};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Tries of a stage.
pub(crate) const MAX_ATTEMPTS: u32 = 3;
/// First rest after a fault of a machine, milliseconds.
pub(crate) const MACHINE_RETRY_MS: i64 = 5_000;
/// How long holds wait, milliseconds.
pub(crate) const HOLD_EXPIRY_MS: i64 = 1_000_000;
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
        let archive = format!("number = {n}\n").into_bytes();
        let accepted = self
            .pipeline
            .store
            .accept(NewSubmission {
                id: SubmissionId::new(self.pipeline.entropy.uuid()),
                hotkey: Hotkey::new(format!("miner-{n}")).expect("a hotkey"),
                epoch: EpochId(1),
                code_hash: Digest::of(&archive),
                filename: "model.py".to_owned(),
                body_digest: Digest::of(&archive),
                archive,
                metadata: "{}".to_owned(),
                nonce: None,
                idempotency_key: None,
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
        self.accept_under(None, n, stage, facts).await
    }

    /// The same, begun under the set of that digest.
    pub(crate) async fn accept_under(
        &self,
        policy_set: Option<Digest>,
        n: u32,
        stage: Stage,
        facts: &ProjectFacts,
    ) -> SubmissionId {
        let id = self.accept(n).await;
        let stored = serde_json::to_vec(facts).expect("JSON");
        for before in Stage::ALL.into_iter().take_while(|before| *before != stage) {
            let mut commit = StageCommit::new(Event::StageDone);
            commit.policy_set = policy_set;
            if before == Stage::Facts {
                commit.measurements.push((MeasurementKind::Facts, stored.clone()));
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
        archive_limits: ArchiveLimits::default(),
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
}

/// Counts evaluations. Each tells `progress`, if there is one, and then never ends; else it ends with
/// a fault of the worker.
#[derive(Default)]
pub(crate) struct TestEvaluator {
    pub(crate) runs: AtomicUsize,
    pub(crate) progress: Mutex<Option<Progress>>,
}

impl Evaluator for TestEvaluator {
    fn name(&self) -> &'static str {
        "test"
    }

    fn evaluate<'a>(
        &'a self,
        _job: &'a EvaluationJob,
        progress: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Evaluating<'a> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let told = self.progress.lock().expect("no panic before").clone();
        Box::pin(async move {
            if let Some(told) = told {
                progress(told);
                std::future::pending::<()>().await;
            }
            let (code, message) = ("W-ENGINE".to_owned(), "no engine".to_owned());
            Err(EvaluationFault { blame: Blame::Worker, code, message })
        })
    }
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

/// A set whose review accepts, or has a fault.
pub(crate) struct TestSet {
    digest: Digest,
    sound: bool,
}

pub(crate) fn sound(name: &str) -> TestSet {
    TestSet { digest: Digest::of(name.as_bytes()), sound: true }
}

pub(crate) fn broken(name: &str) -> TestSet {
    TestSet { digest: Digest::of(name.as_bytes()), sound: false }
}

fn fault(code: &str) -> PolicyFault {
    let message = "as the test wants it".to_owned();
    PolicyFault { class: FaultClass::GuestFault, code: code.to_owned(), message }
}

impl PolicySet for TestSet {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn review(&self, _: &ReviewInput) -> Result<Decided<Verdict>, PolicyFault> {
        if !self.sound {
            return Err(fault("policy-trap"));
        }
        let provenance = Provenance {
            slot: Slot::Review,
            policy_set: self.digest,
            component: self.digest,
            input: self.digest,
            fuel: 1,
            duration_us: 1,
        };
        let answer = Verdict { decision: ReviewDecision::Accept, findings: Vec::new() };
        Ok(Decided { answer, provenance })
    }

    fn analyse(&self, _: &ScalingInput) -> Result<Decided<Report>, PolicyFault> {
        Err(fault("policy-trap"))
    }

    fn assess(&self, _: &Comparison) -> Result<Decided<Assessment>, PolicyFault> {
        Err(fault("policy-trap"))
    }

    fn attribute(&self, _: &Candidate) -> Result<Decided<Attribution>, PolicyFault> {
        Err(fault("policy-trap"))
    }

    fn weigh(&self, _: &LedgerView) -> Result<Decided<WeightVector>, PolicyFault> {
        Err(fault("policy-trap"))
    }
}
