//! A store in a folder of its own, and submissions that are easy to tell apart.

use std::sync::Arc;

use prism_domain::estimate::Estimate;
use prism_domain::facts::{Fingerprints, ProjectFacts, SKETCH_LEN, SourceFacts};
use prism_domain::ids::{Digest, FamilyId, HoldId, Hotkey, SubmissionId, VariantId};
use prism_domain::ledger::{Family, Hold, HoldStatus, Variant};
use prism_domain::submission::{Event, HoldCause, ProjectKind, PublishedScores, Stage, State};
use prism_domain::time::{EpochId, Timestamp};
use prism_store::{Claim, NewSubmission, StageCommit, Store, StoreError, StoreOptions};
use tempfile::TempDir;
use uuid::Uuid;

/// The epoch of every submission.
pub(crate) const EPOCH: EpochId = EpochId(83_117);
/// Length of a lease, milliseconds.
pub(crate) const LEASE_MS: i64 = 60_000;
pub(crate) const SCORES: PublishedScores =
    PublishedScores { final_score: 0.5, q_arch: 0.25, q_recipe: 0.75 };

/// A store; the folder goes with it.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) folder: Arc<TempDir>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(&StoreOptions::default()).await
    }

    pub(crate) async fn with(options: &StoreOptions) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let store = Store::open(&url(&folder), options).await.expect("opens");
        Self { store, folder }
    }

    /// Accepts submission number `n`.
    pub(crate) async fn accept(&self, n: u128) -> SubmissionId {
        self.store.accept(new(n)).await.expect("accepted").submission.id
    }

    /// Claims the due job of that stage.
    pub(crate) async fn claim(&self, stage: Stage) -> Claim {
        let claim = self.store.claim("worker", &[stage], at(0), LEASE_MS).await.expect("claims");
        claim.expect("a job is due")
    }

    pub(crate) async fn commit(
        &self,
        stage: Stage,
        commit: StageCommit,
    ) -> Result<State, StoreError> {
        let claim = self.claim(stage).await;
        self.store.commit_stage(&claim, commit, at(0)).await
    }

    /// Does all stages before `stage` of the earliest submission, with nothing to show for it.
    pub(crate) async fn walk_to(&self, stage: Stage) {
        for before in Stage::USUAL.into_iter().take_while(|before| *before != stage) {
            self.commit(before, StageCommit::new(Event::StageDone)).await.expect("a step");
        }
    }

    /// Completes the earliest submission with these scores.
    pub(crate) async fn complete(&self, scores: PublishedScores) {
        self.walk_to(Stage::Attribution).await;
        let commit = StageCommit { scores: Some(scores), ..StageCommit::new(Event::StageDone) };
        assert_eq!(
            self.commit(Stage::Attribution, commit).await.expect("completes"),
            State::Completed
        );
    }

    /// A connection of somebody else to the same file.
    pub(crate) async fn stranger(&self) -> sqlx::SqliteConnection {
        use sqlx::ConnectOptions as _;
        sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.store.path())
            .foreign_keys(true)
            .connect()
            .await
            .expect("connects")
    }
}

pub(crate) fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("prism.db").display())
}

/// `ms` milliseconds after the beginning of the test.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_micros(1_795_347_768_000_000).plus_ms(ms)
}

pub(crate) fn id(n: u128) -> SubmissionId {
    SubmissionId::new(Uuid::from_u128(n))
}

pub(crate) fn hotkey(name: &str) -> Hotkey {
    Hotkey::new(name).expect("a hotkey")
}

/// Upload number `n`, each of a hotkey of its own.
pub(crate) fn new(n: u128) -> NewSubmission {
    let archive = format!("archive {n}").into_bytes();
    NewSubmission {
        id: id(n),
        hotkey: hotkey(&format!("miner-{n}")),
        epoch: EPOCH,
        code_hash: Digest::of(&archive),
        filename: "model.py".to_owned(),
        body_digest: Digest::of(&archive),
        archive,
        metadata: "{}".to_owned(),
        nonce: None,
        idempotency_key: None,
        quota: None,
        now: at(0),
    }
}

pub(crate) fn score(value: f64) -> Estimate {
    Estimate { value, std_error: 0.01, samples: 3 }
}

pub(crate) fn sketch(seed: u32) -> Vec<u32> {
    (0..u32::try_from(SKETCH_LEN).expect("short"))
        .map(|place| seed.wrapping_mul(1_000) + place)
        .collect()
}

pub(crate) fn family(n: u128, owner: SubmissionId, q_arch: f64) -> Family {
    Family {
        id: FamilyId::new(Uuid::from_u128(n)),
        family_hash: Digest::of(&n.to_le_bytes()),
        owner_hotkey: hotkey("owner"),
        owner_submission_id: owner,
        canonical_submission_id: owner,
        q_arch_best: score(q_arch),
        sketch: sketch(u32::try_from(n).expect("small")),
        created_at: at(0),
        updated_at: at(0),
        improved_at: at(0),
    }
}

pub(crate) fn variant(n: u128, of: &Family, q_recipe: f64, is_current_best: bool) -> Variant {
    Variant {
        id: VariantId::new(Uuid::from_u128(n)),
        family_id: of.id,
        training_hash: Digest::of(&n.to_le_bytes()),
        owner_hotkey: hotkey("trainer"),
        submission_id: of.owner_submission_id,
        q_recipe: score(q_recipe),
        is_current_best,
        created_at: at(0),
        updated_at: at(0),
    }
}

/// Facts of a project whose fingerprints and sketches follow from the given numbers.
pub(crate) fn facts(source: u32, architecture: u32) -> ProjectFacts {
    let digest = |tag: &str, n: u32| Digest::of(format!("{tag}{n}").as_bytes());
    ProjectFacts {
        kind: ProjectKind::Full,
        entrypoint: "model.py".to_owned(),
        training_entrypoint: Some("model.py".to_owned()),
        target_family: None,
        files: Vec::new(),
        source: SourceFacts {
            observations: Vec::new(),
            entry_functions: Vec::new(),
            fingerprints: Some(Fingerprints {
                source: digest("source", source),
                architecture: digest("architecture", architecture),
                training: digest("training", 1),
            }),
            architecture_sketch: sketch(architecture),
            source_sketch: sketch(source),
        },
    }
}

/// A commit that holds submission `submission` for an operator.
pub(crate) fn held(n: u128, submission: SubmissionId, cause: HoldCause) -> StageCommit {
    let hold = Hold {
        id: HoldId::new(Uuid::from_u128(n)),
        submission_id: submission,
        status: HoldStatus::Pending,
        reason: "unsure".to_owned(),
        confidence: 0.4,
        created_at: at(0),
        updated_at: at(0),
    };
    let event = Event::Held { cause, reason: "unsure".to_owned() };
    StageCommit { hold: Some(hold), ..StageCommit::new(event) }
}
