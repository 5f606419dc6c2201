//! Incumbents that are measured on the candidate's seeds before anything changes hands.

use std::sync::atomic::Ordering;

use prism_domain::evaluation::{EvaluationFault, EvaluationJob};
use prism_domain::facts::{Fingerprints, ProjectFacts, SKETCH_LEN};
use prism_domain::ids::{Digest, SubmissionId};
use prism_domain::submission::{Blame, Event, ProjectKind, Stage, State};
use prism_store::MeasurementKind;

use crate::fixture::{Fixture, LEASE_MS, MACHINE_RETRY_MS, MAX_ATTEMPTS, facts, machine_fault};
use crate::rules::REJECTED;

const CALLED: State = State::Pending { stage: Stage::Rematch };
const DECIDABLE: State = State::Pending { stage: Stage::Attribution };

/// Project number `n`: an architecture and a training of its own that resemble those of the others.
fn alike(n: u32) -> ProjectFacts {
    let digest = |tag: &str| Digest::of(format!("{tag} {n}").as_bytes());
    let mut facts = facts(ProjectKind::Full);
    facts.source.fingerprints = Some(Fingerprints {
        source: digest("source"),
        architecture: digest("architecture"),
        training: digest("training"),
    });
    facts.source.architecture_sketch = (0..u32::try_from(SKETCH_LEN).expect("short")).collect();
    facts
}

/// Submission 1 of epoch 1 with a score of 0.6, completed; then submission 2 of `epoch` with `score`,
/// attributed once. On the seeds of another epoch than its own, the first scores `rerun`.
async fn contest(
    fixture: &Fixture,
    epoch: u64,
    score: f64,
    rerun: impl Fn() -> Result<f64, EvaluationFault> + Send + 'static,
) -> (SubmissionId, SubmissionId) {
    let seeds_then = fixture.pipeline.beacon.seeds(prism_domain::time::EpochId(1), 2);
    fixture.evaluator.score(move |job: &EvaluationJob| {
        match (job.project.files["model.py"].as_slice(), job.seeds == seeds_then) {
            (b"number = 1\n", true) => Ok(0.6),
            (b"number = 1\n", false) => rerun(),
            _ => Ok(score),
        }
    });
    let founder = fixture.accept_at_in(1, 1, Stage::Evaluation, &alike(1)).await;
    attribute(fixture).await;
    assert_eq!(fixture.state(founder).await, State::Completed);
    let candidate = fixture.accept_at_in(epoch, 2, Stage::Evaluation, &alike(2)).await;
    attribute(fixture).await;
    (founder, candidate)
}

async fn attribute(fixture: &Fixture) {
    for stage in [Stage::Evaluation, Stage::Scoring, Stage::Attribution] {
        assert!(fixture.work(stage).await, "{stage:?}");
    }
}

/// The owner of the only family.
async fn owner(fixture: &Fixture) -> String {
    let families = fixture.pipeline.store.families(10).await.expect("reads");
    assert_eq!(families.len(), 1, "{families:?}");
    families[0].owner_hotkey.to_string()
}

async fn last_assessment(fixture: &Fixture, id: SubmissionId) -> String {
    let decisions = fixture.pipeline.store.decisions(id).await.expect("reads");
    let last = decisions.iter().rfind(|one| one.answer.contains("required_delta")).expect("one");
    last.answer.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_chance_gave_is_not_taken() {
    for (rerun, takes) in [(0.75, false), (0.5, true)] {
        let fixture = Fixture::new().await;
        let (founder, candidate) = contest(&fixture, 2, 0.8, move || Ok(rerun)).await;
        assert_eq!(fixture.state(candidate).await, CALLED, "0.8 against 0.6, on other seeds");
        assert_eq!(owner(&fixture).await, "miner-1", "nothing changes before the rematch");

        let own = fixture.evaluator.last_job();
        assert!(!fixture.work(Stage::Attribution).await, "it waits for the rematch");
        assert!(fixture.work(Stage::Rematch).await);
        let job = fixture.evaluator.last_job();
        assert_eq!(job.submission_id, founder);
        assert_eq!(job.project.files["model.py"], b"number = 1\n");
        assert_eq!(
            (&job.seeds, job.secret, &job.plan),
            (&own.seeds, own.secret, &own.plan),
            "the candidate's terms"
        );
        assert_ne!(job.evaluation_id, own.evaluation_id);
        assert!(job.reference.is_some(), "the reference ran on these seeds already");

        assert_eq!(fixture.state(candidate).await, DECIDABLE);
        assert!(fixture.work(Stage::Attribution).await);
        assert_eq!(fixture.state(candidate).await, State::Completed);
        assert_eq!(owner(&fixture).await, if takes { "miner-2" } else { "miner-1" });
        assert!(last_assessment(&fixture, candidate).await.contains("\"paired\""));
        assert_eq!(fixture.evaluator.runs.load(Ordering::SeqCst), 3, "one rematch serves both");
        let events = fixture.pipeline.store.submission_events(candidate).await.expect("reads");
        let called = Event::RematchCalled { incumbent: founder };
        assert_eq!(events.iter().filter(|line| line.event == called).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_question_nobody_is_run_again() {
    // Not better; better on shared seeds.
    for (epoch, score) in [(2, 0.5), (1, 0.8)] {
        let fixture = Fixture::new().await;
        let (_, candidate) = contest(&fixture, epoch, score, || Ok(0.0)).await;
        assert_eq!(fixture.state(candidate).await, State::Completed, "{epoch} {score}");
        assert_eq!(fixture.evaluator.runs.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn later_submissions_wait_while_a_rematch_is_held() {
    let fixture = Fixture::new().await;
    let (_, candidate) = contest(&fixture, 2, 0.8, || Ok(0.5)).await;
    let later = fixture.accept_at_in(2, 3, Stage::Evaluation, &alike(3)).await;
    // The earlier submission's rematch comes before the later one's evaluation.
    let both = [Stage::Evaluation, Stage::Rematch];
    let now = prism_domain::time::Clock::now(fixture.clock.as_ref());
    let claim = fixture.pipeline.store.claim("w", &both, now, LEASE_MS).await.expect("claims");
    assert_eq!(claim.map(|claim| claim.submission.id), Some(candidate));
    for stage in [Stage::Evaluation, Stage::Scoring] {
        assert!(fixture.work(stage).await);
    }
    assert!(!fixture.work(Stage::Attribution).await);
    assert_eq!(fixture.state(later).await, DECIDABLE);
}

async fn forgone_with(
    fixture: &Fixture,
    founder: SubmissionId,
    candidate: SubmissionId,
    code: &str,
) {
    assert_eq!(fixture.state(candidate).await, DECIDABLE, "{code}");
    let forgone = fixture.pipeline.rematches_forgone(candidate).await.expect("reads");
    assert_eq!(forgone.len(), 1);
    assert_eq!((forgone[0].incumbent, forgone[0].code.as_str()), (Some(founder), code));
    assert!(fixture.work(Stage::Attribution).await);
    assert_eq!(fixture.state(candidate).await, State::Completed, "nobody is punished");
    assert!(last_assessment(fixture, candidate).await.contains("unpaired"));
    assert_eq!(fixture.state(founder).await, State::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incumbent_that_fails_leaves_the_comparison_unpaired() {
    let fixture = Fixture::new().await;
    let fault = || EvaluationFault {
        blame: Blame::Miner,
        code: "M-CRASH".to_owned(),
        message: "it broke".to_owned(),
    };
    let (founder, candidate) = contest(&fixture, 2, 0.8, move || Err(fault())).await;
    assert!(fixture.work(Stage::Rematch).await);
    forgone_with(&fixture, founder, candidate, "M-CRASH").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_fails_is_tried_again_and_then_done_without() {
    let fixture = Fixture::new().await;
    let (founder, candidate) = contest(&fixture, 2, 0.8, || Err(machine_fault())).await;
    for attempt in 1..=MAX_ATTEMPTS {
        assert_eq!(fixture.state(candidate).await, CALLED, "try {attempt}");
        assert!(fixture.work(Stage::Rematch).await);
        fixture.clock.pass_ms(MACHINE_RETRY_MS << attempt);
    }
    forgone_with(&fixture, founder, candidate, "W-ENGINE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rematch_that_takes_every_worker_with_it_is_done_without() {
    let fixture = Fixture::new().await;
    let (founder, candidate) = contest(&fixture, 2, 0.8, || Ok(0.5)).await;
    for _ in 0..MAX_ATTEMPTS {
        fixture.claim(Stage::Rematch).await.expect("is due");
        fixture.clock.pass_ms(LEASE_MS + 1);
    }
    assert!(fixture.work(Stage::Rematch).await);
    assert_eq!(fixture.evaluator.runs.load(Ordering::SeqCst), 2, "it must not run once more");
    forgone_with(&fixture, founder, candidate, "W-GAVE-UP").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incumbent_that_is_rejected_on_other_seeds_leaves_the_comparison_unpaired() {
    let fixture = Fixture::new().await;
    let (founder, candidate) = contest(&fixture, 2, 0.8, || Ok(REJECTED)).await;
    assert!(fixture.work(Stage::Rematch).await);
    assert!(fixture.work(Stage::Attribution).await);
    assert_eq!(fixture.state(candidate).await, State::Completed);
    assert!(last_assessment(&fixture, candidate).await.contains("unpaired"));
    assert_eq!(fixture.state(founder).await, State::Completed, "it is not judged again");
    let decisions = fixture.pipeline.store.decisions(candidate).await.expect("reads");
    assert!(decisions.iter().any(|one| one.answer.contains("\"rejected\"")), "the reason is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rematch_follows_the_candidates_plan() {
    let mut fixture = Fixture::new().await;
    let (_, candidate) = contest(&fixture, 2, 0.8, || Ok(0.75)).await;
    fixture.pipeline.config.plan = "another".to_owned();
    assert!(fixture.work(Stage::Rematch).await);
    assert_eq!(fixture.evaluator.last_job().plan, "smoke", "the candidate's plan");
    let store = &fixture.pipeline.store;
    let raw = store.measurement(candidate, MeasurementKind::IncumbentTelemetry).await;
    let raw = String::from_utf8(raw.expect("reads").expect("is there")).expect("text");
    assert!(raw.contains("\"name\":\"smoke\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_plans_of_one_epoch_are_not_compared_in_pairs() {
    let mut fixture = Fixture::new().await;
    fixture.evaluator.score(|job: &EvaluationJob| {
        Ok(if job.project.files["model.py"] == b"number = 1\n" { 0.6 } else { 0.8 })
    });
    fixture.accept_at_in(1, 1, Stage::Evaluation, &alike(1)).await;
    attribute(&fixture).await;
    fixture.pipeline.config.plan = "another".to_owned();
    let candidate = fixture.accept_at_in(1, 2, Stage::Evaluation, &alike(2)).await;
    attribute(&fixture).await;
    assert_eq!(fixture.state(candidate).await, CALLED);
    assert!(fixture.work(Stage::Rematch).await);
    assert_eq!(fixture.evaluator.last_job().plan, "another");
}
