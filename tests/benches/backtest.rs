//! Decisions a second of a backtest: history in a real database, the embedded components, one thread that decides.
//! The baseline is the same history decided the first time, stage by stage, each durable before the next.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use prism_domain::entropy::Entropy;
use prism_domain::evaluation::{
    Evaluating, EvaluationFault, EvaluationJob, Evaluator, Instruments, Progress,
};
use prism_domain::facts::{
    EntryFunction, FileFacts, Fingerprints, ProjectFacts, SKETCH_LEN, SourceFacts,
};
use prism_domain::ids::{Digest, Hotkey, SubmissionId};
use prism_domain::lifecycle::SetEvent;
use prism_domain::policy::{Policies, PolicySet as _, Slot};
use prism_domain::submission::{Blame, Event, ProjectKind, Stage};
use prism_domain::time::{Clock, EpochId, EpochLength, Timestamp};
use prism_pipeline::{Beacon, Pipeline, PipelineConfig, ProgressBoard};
use prism_policy::{Catalog, Change, LoadedSet, Sandbox, canonical_json};
use prism_store::{Act, MeasurementKind, NewSubmission, StageCommit, Store, StoreOptions};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Submissions of the history.
const SUBMISSIONS: u32 = 2_000;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pipeline, catalog) = pipeline(folder.path()).await;
    let began = Instant::now();
    history(&pipeline).await;
    let live = began.elapsed();
    let set = catalog.loaded();
    println!(
        "decided the first time: {:.0} submissions/s",
        f64::from(SUBMISSIONS) / live.as_secs_f64()
    );
    backtest(&pipeline, &set, "nothing changed").await;
    for (slot, name, value) in [
        (Slot::Rewards, "half_life_epochs", json!(7)),
        (Slot::Review, "literal_elements_max", json!(1_999)),
        (Slot::Scaling, "score_scale", json!(0.7)),
    ] {
        let changed = with_setting(&catalog, slot, name, &value);
        stored(&pipeline, &changed).await;
        backtest(&pipeline, &changed, &format!("`{name}` of {} changed", slot.as_str())).await;
    }
}

/// The set in force with one setting changed.
fn with_setting(catalog: &Catalog, slot: Slot, name: &str, value: &Value) -> Arc<LoadedSet> {
    let base = catalog.loaded();
    let mut settings = base.manifest().0.get(&slot).expect("filled").settings.clone();
    settings[name] = value.clone();
    let change = Change { component: None, settings: Some(settings), limits: None };
    let changes = BTreeMap::from([(slot, change)]);
    catalog.compose(base.manifest(), &changes, |_| None).expect("a set")
}

async fn backtest(pipeline: &Pipeline, set: &LoadedSet, what: &str) {
    let epoch = (EpochId(1), pipeline.config.epoch);
    let (set, in_force) = (set.digest(), pipeline.policies.current().digest());
    let asked = pipeline.store.ask_backtest(set, in_force, epoch, act()).await.expect("asked");
    let began = Instant::now();
    let stop = CancellationToken::new();
    let made = pipeline.backtest_once("bench", &stop).await.map_err(|(_, error)| error);
    assert!(made.expect("made"));
    let took = began.elapsed();
    let backtest = pipeline.store.backtest(asked.id).await.expect("reads").expect("is there");
    let report: Value =
        serde_json::from_str(backtest.report.as_deref().expect("a report")).expect("JSON");
    let tally = &report["tally"];
    let of = |slot: &str| tally["slots"][slot]["asked"].as_u64().unwrap_or(0);
    let decisions: u64 = ["review", "scaling", "thresholds", "attribution"].map(of).iter().sum();
    let rate = |seconds: f64| f64::from(u32::try_from(decisions).expect("few")) / seconds;
    println!(
        "{what}: {decisions} decisions about {SUBMISSIONS} submissions in {:.2} s, {:.0} decisions/s (aim 10,000); not asked again: {} reviews, {} analyses",
        took.as_secs_f64(),
        rate(took.as_secs_f64()),
        tally["slots"]["review"]["reused"],
        tally["slots"]["scaling"]["reused"],
    );
}

fn act() -> Act {
    Act { actor: "bench".to_owned(), reason: "a bench".to_owned(), at: Now.now() }
}

async fn pipeline(folder: &std::path::Path) -> (Pipeline, Arc<Catalog>) {
    let url = format!("sqlite://{}", folder.join("prism.db").display());
    let store = Store::open(&url, &StoreOptions::default()).await.expect("opens");
    let sandbox = Sandbox::start(Some(folder)).expect("a sandbox");
    let (catalog, reader) = Catalog::embedded(&sandbox, &BTreeMap::new()).expect("policies");
    let catalog = Arc::new(catalog);
    let pipeline = Pipeline {
        store,
        policies: Arc::clone(&catalog) as Arc<dyn Policies>,
        reader: Arc::new(reader),
        evaluator: Arc::new(Nobody),
        clock: Arc::new(Now),
        entropy: Arc::new(Counting(AtomicU64::new(1))),
        consultant: Arc::new(prism_domain::consult::NoModel),
        beacon: Beacon::new([7; 32]),
        config: PipelineConfig {
            epoch: EpochLength::from_seconds(21_600).expect("not zero"),
            plan: "smoke".to_owned(),
            seeds: 2,
            lease_ms: 60_000,
            max_attempts: 3,
            retry_ms: 1_000,
            machine_retry_ms: 1_000,
            hold_expiry_ms: 1_000_000,
            self_check_ms: 86_400_000,
            archive_limits: prism_intake::ArchiveLimits::default(),
            closer: prism_pipeline::CloserConfig::default(),
        },
        progress: ProgressBoard::default(),
        wake: Arc::default(),
        boundary: Arc::new(|_, _| {}),
    };
    stored(&pipeline, &catalog.loaded()).await;
    (pipeline, catalog)
}

async fn stored(pipeline: &Pipeline, set: &LoadedSet) {
    let manifest = canonical_json(&serde_json::to_value(set.manifest()).expect("JSON"));
    let mut components = BTreeMap::new();
    for (slot, revision) in &set.manifest().0 {
        let bytes = prism_policy::default_component(*slot).to_vec();
        pipeline.store.put_component(bytes).await.expect("stored");
        components.insert(*slot, revision.component);
    }
    let stored = pipeline.store.put_policy_set(set.digest(), manifest, components, Now.now());
    stored.await.expect("stored");
    let checked = pipeline.store.apply_set_event(set.digest(), SetEvent::Checked, act());
    checked.await.expect("checked");
}

/// Accepts submissions, brings facts and telemetry as the stages before would, and lets the policies decide.
async fn history(pipeline: &Pipeline) {
    let mut telemetry = measured_once();
    println!("telemetry of {} KB each", telemetry.to_string().len() / 1_024);
    let stop = CancellationToken::new();
    for n in 0..SUBMISSIONS {
        let id = accept(pipeline, n).await;
        let facts = project(n);
        let mut commit = StageCommit::new(Event::StageDone);
        let stored = serde_json::to_vec(&facts).expect("JSON");
        commit.measurements.push((MeasurementKind::Facts, stored));
        commit.index = Some(facts);
        brought(pipeline, Stage::Facts, commit).await;
        assert!(pipeline.work_once("bench", &[Stage::Review], &stop).await.expect("works"));
        telemetry["submission_id"] = id.to_string().into();
        let mut commit = StageCommit::new(Event::StageDone);
        let stored = telemetry.to_string().into_bytes();
        commit.measurements.push((MeasurementKind::Telemetry, stored));
        brought(pipeline, Stage::Evaluation, commit).await;
        for stage in [Stage::Scoring, Stage::Attribution] {
            assert!(pipeline.work_once("bench", &[stage], &stop).await.expect("works"));
        }
    }
}

/// Telemetry of a real evaluation.
fn measured_once() -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("telemetry.json");
    let project = concat!(env!("CARGO_MANIFEST_DIR"), "/bundles/09-single-file");
    let status = std::process::Command::new(prism_tests::binary())
        .args(["evaluate", project, "--json", "--telemetry"])
        .arg(&file)
        .env("PRISM_DATA_DIR", folder.path())
        .env("PRISM_TIER", "smoke-fast")
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.expect("prism runs").success());
    serde_json::from_slice(&std::fs::read(&file).expect("telemetry")).expect("JSON")
}

async fn brought(pipeline: &Pipeline, stage: Stage, commit: StageCommit) {
    let claim = pipeline.store.claim("bench", &[stage], Now.now(), 60_000).await;
    let claim = claim.expect("claims").expect("is due");
    pipeline.store.commit_stage(&claim, commit, Now.now()).await.expect("a step");
}

async fn accept(pipeline: &Pipeline, n: u32) -> SubmissionId {
    let archive = format!("number = {n}\n").into_bytes();
    let accepted = pipeline.store.accept(NewSubmission {
        id: SubmissionId::new(pipeline.entropy.uuid()),
        hotkey: Hotkey::new(format!("miner-{}", n % 500)).expect("a hotkey"),
        epoch: EpochId(1),
        code_hash: Digest::of(&archive),
        filename: "model.py".to_owned(),
        body_digest: Digest::of(&archive),
        archive,
        metadata: "{}".to_owned(),
        nonce: None,
        idempotency_key: None,
        quota: None,
        now: Now.now(),
    });
    accepted.await.expect("accepted").submission.id
}

/// Every tenth project founds an architecture of its own, which nine others train otherwise.
fn project(n: u32) -> ProjectFacts {
    let digest = |tag: &str| Digest::of(format!("{tag} {n}").as_bytes());
    let len = u32::try_from(SKETCH_LEN).expect("short");
    let look = n % (SUBMISSIONS / 10);
    let sketch = |own: u32| -> Vec<u32> {
        (0..len)
            .map(|place| if place < own { n * 1_000 + place } else { look * 1_000_003 + place })
            .collect()
    };
    let entry = |name: &str, parameters: u32| EntryFunction {
        name: name.to_owned(),
        path: "model.py".to_owned(),
        line: 1,
        parameters,
    };
    ProjectFacts {
        kind: ProjectKind::Full,
        entrypoint: "model.py".to_owned(),
        training_entrypoint: Some("model.py".to_owned()),
        target_family: None,
        files: vec![FileFacts {
            path: "model.py".to_owned(),
            size_bytes: 4_000,
            line_count: 100,
            sha256: digest("file"),
        }],
        source: SourceFacts {
            observations: Vec::new(),
            entry_functions: vec![entry("build_model", 1), entry("get_recipe", 1)],
            fingerprints: Some(Fingerprints {
                source: digest("source"),
                architecture: Digest::of(format!("architecture {look}").as_bytes()),
                training: digest("training"),
            }),
            architecture_sketch: sketch(0),
            source_sketch: sketch(120),
        },
    }
}

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros = since.expect("after 1970").as_micros();
        Timestamp::from_micros(i64::try_from(micros).expect("fits"))
    }
}

struct Counting(AtomicU64);

impl Entropy for Counting {
    fn bytes32(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        bytes.iter_mut().zip(n.to_le_bytes()).for_each(|(byte, of_n)| *byte = of_n);
        bytes
    }
}

/// Nothing is trained here.
struct Nobody;

impl Evaluator for Nobody {
    fn name(&self) -> &'static str {
        "nobody"
    }

    fn instruments(&self, _plan: &str) -> Option<Instruments> {
        None
    }

    fn evaluate<'a>(
        &'a self,
        _job: &'a EvaluationJob,
        _progress: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Evaluating<'a> {
        let (code, message) = ("W-NOBODY".to_owned(), "nothing is trained here".to_owned());
        Box::pin(async { Err(EvaluationFault { blame: Blame::Worker, code, message }) })
    }
}
