//! History decided again: under the set that decided it nothing changes; under another one it says exactly what
//! activation and scoring again will bring.

use prism_domain::facts::{Fingerprints, ProjectFacts, SKETCH_LEN};
use prism_domain::ids::{Digest, Hotkey};
use prism_domain::ledger::{Family, Variant};
use prism_domain::lifecycle::SetEvent;
use prism_domain::rewards::LedgerView;
use prism_domain::submission::{ProjectKind, Stage, State};
use prism_pipeline::StageError;
use prism_store::{Act, Backtest, BacktestState, FamilyTests, NewActivation, StoreError};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, TestSet, broken, facts, holding, seeing, sound};
use crate::rules::REJECTED;

/// Submissions of a history, more than one page of a backtest.
const SUBMISSIONS: u32 = 60;

/// Project number `n`: its training is its own, its architecture resembles that of every fifth one.
fn project(n: u32) -> ProjectFacts {
    let digest = |tag: &str, n: u32| Digest::of(format!("{tag} {n}").as_bytes());
    let (family, version) = (n % 5, n % 15);
    let mut facts = facts(ProjectKind::Full);
    facts.source.fingerprints = Some(Fingerprints {
        source: digest("source", n),
        architecture: digest("architecture", version),
        training: digest("training", n),
    });
    let len = u32::try_from(SKETCH_LEN).expect("short");
    let value =
        |place: u32| if place < 16 { 1_000 * version + place } else { 10_000 * family + place };
    facts.source.architecture_sketch = (0..len).map(value).collect();
    facts
}

/// A score between 0.3 and 1 that looks drawn, and always is the same; every seventh is too good to be true.
fn score(n: u32) -> f64 {
    if n % 7 == 6 { REJECTED } else { 0.3 + f64::from((n * 7_919) % 701) / 1_000.0 }
}

/// Sixty submissions over two epochs, all decided.
async fn history() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.evaluator.score(|job| {
        let source = String::from_utf8_lossy(&job.project.files["model.py"]).into_owned();
        let n = source.trim().rsplit(' ').next().and_then(|n| n.parse().ok());
        Ok(score(n.expect("a number")))
    });
    in_force(&fixture, "one").await;
    // The second half is of the epoch in which it ends.
    let end = fixture.pipeline.clock.now().plus_ms(i64::from(SUBMISSIONS) * 60_000);
    let last = fixture.pipeline.config.epoch.epoch_at(end).0;
    for n in 0..SUBMISSIONS {
        let epoch = if n < SUBMISSIONS / 2 { last - 1 } else { last };
        fixture.accept_at_in(epoch, n, Stage::Review, &project(n)).await;
        settle(&fixture).await;
        fixture.clock.pass_ms(60_000);
    }
    fixture
}

/// Refuses the poorer ones and likes the best of the rest least.
fn upside_down(score: f64) -> f64 {
    if (0.6..REJECTED).contains(&score) { 1.3 - score } else { REJECTED }
}

/// Works until nothing is due.
async fn settle(fixture: &Fixture) {
    loop {
        let mut worked = false;
        for stage in
            [Stage::Review, Stage::Evaluation, Stage::Scoring, Stage::Attribution, Stage::Rematch]
        {
            worked |= fixture.work(stage).await;
        }
        if !worked {
            return;
        }
    }
}

fn act(fixture: &Fixture) -> Act {
    let at = fixture.pipeline.clock.now();
    Act { actor: "olga".to_owned(), reason: "a test".to_owned(), at }
}

async fn in_force(fixture: &Fixture, name: &str) {
    let (store, digest) = (&fixture.pipeline.store, Digest::of(name.as_bytes()));
    if store.set_state(digest).await.expect("reads").is_none() {
        store.apply_set_event(digest, SetEvent::Checked, act(fixture)).await.expect("checked");
    }
    let new = NewActivation {
        expected: None,
        embedded: false,
        without_backtest: None,
        act: act(fixture),
    };
    store.activate(digest, new).await.expect("activated");
}

/// Asks for a backtest of a set against `one`, and makes it.
async fn backtest(fixture: &Fixture, name: &str, set: TestSet) -> Backtest {
    let asked = ask(fixture, name, set).await;
    assert!(make(fixture, &CancellationToken::new()).await);
    fixture.pipeline.store.backtest(asked.id).await.expect("reads").expect("is there")
}

async fn ask(fixture: &Fixture, name: &str, set: TestSet) -> Backtest {
    let (store, digest) = (&fixture.pipeline.store, Digest::of(name.as_bytes()));
    *fixture.policies.restorable.lock().expect("no panic before") = Some(set.into());
    if store.set_state(digest).await.expect("reads").is_none() {
        store.apply_set_event(digest, SetEvent::Checked, act(fixture)).await.expect("checked");
    }
    let length = fixture.pipeline.config.epoch;
    let epoch = (length.epoch_at(fixture.pipeline.clock.now()), length);
    let baseline = Digest::of(b"one");
    store.ask_backtest(digest, baseline, epoch, act(fixture)).await.expect("asked")
}

async fn make(fixture: &Fixture, stop: &CancellationToken) -> bool {
    fixture.pipeline.backtest_once("worker", stop).await.map_err(|(_, error)| error).expect("made")
}

fn report(backtest: &Backtest) -> Value {
    assert_eq!((backtest.state, &backtest.error), (BacktestState::Done, &None));
    serde_json::from_str(backtest.report.as_deref().expect("a report")).expect("JSON")
}

/// Everything that the ledger holds.
async fn ledger(fixture: &Fixture) -> (Vec<(Family, FamilyTests)>, Vec<Variant>, LedgerView) {
    let store = &fixture.pipeline.store;
    let mut families = Vec::new();
    for family in store.families(1_000).await.expect("reads") {
        let tests = store.family_tests(family.id).await.expect("reads");
        families.push((family, tests));
    }
    let length = fixture.pipeline.config.epoch;
    let epoch = length.epoch_at(fixture.pipeline.clock.now());
    let view = store.ledger_view(epoch, length).await.expect("reads");
    (families, store.variants(None, 1_000).await.expect("reads"), view)
}

async fn served(fixture: &Fixture) -> Value {
    let weights = fixture.pipeline.current_weights().await.expect("weights");
    assert!(!weights.stale);
    serde_json::to_value(&weights.vector).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn under_the_set_that_decided_it_history_comes_out_the_same_to_the_last_bit() {
    let fixture = history().await;
    let before = ledger(&fixture).await;
    assert!(before.0.len() >= 5 && before.1.len() >= 10, "a history worth the name");
    assert!(before.0.iter().any(|(_, tests)| tests.acceptances > 0), "something changed hands");
    let made = backtest(&fixture, "one", sound("one")).await;
    let report = report(&made);
    let tally = &report["tally"];
    assert_eq!((&tally["same"], &tally["differ"]), (&SUBMISSIONS.into(), &0.into()), "{tally}");
    for slot in ["review", "scaling", "attribution"] {
        assert_eq!(tally["slots"][slot]["differs"], 0, "{slot}: {tally}");
        assert!(tally["slots"][slot]["same"].as_u64() > Some(40), "{slot}: {tally}");
    }
    assert_eq!(report["owners_changed"], 0);
    assert_eq!(report["weights"]["rescored"]["l1_ppm"], 0, "{}", report["weights"]);
    let restated = fixture.pipeline.restate(made.id, "olga", "a proof").await.expect("restated");
    assert_eq!(restated.submissions, 0);
    assert!(ledger(&fixture).await == before, "the simulated ledger is not the real one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_predicts_is_what_activation_and_scoring_again_bring() {
    let fixture = history().await;
    let severe = || seeing("sound", upside_down);
    let made = backtest(&fixture, "sound", severe()).await;
    let report = report(&made);
    assert!(report["tally"]["differ"].as_u64() > Some(20), "{}", report["tally"]);
    assert!(report["owners_changed"].as_u64() > Some(0));
    let weights = &report["weights"];
    assert!(weights["rescored"]["l1_ppm"].as_u64() > Some(0), "{weights}");
    let early = fixture.pipeline.restate(made.id, "olga", "too early").await;
    let Err(StageError::Store(StoreError::Moved(what))) = early else { panic!("{early:?}") };
    assert_eq!(what, "policy set in force");

    in_force(&fixture, "sound").await;
    fixture.policies.put_in_force(severe());
    assert_eq!(served(&fixture).await, weights["vector_at_once"], "once it is in force");
    let restated = fixture.pipeline.restate(made.id, "olga", "fairer").await.expect("restated");
    assert_eq!(Some(restated.submissions), report["tally"]["differ"].as_u64());
    assert_eq!(served(&fixture).await, weights["vector_rescored"], "once history is scored again");

    let again = backtest(&fixture, "sound", severe()).await;
    let again = self::report(&again);
    assert_eq!(again["tally"]["differ"], 0, "scored again it is as if it had always been so");
    let twice = fixture.pipeline.restate(made.id, "olga", "once more").await;
    assert!(matches!(twice, Err(StageError::Store(StoreError::Moved("history")))), "{twice:?}");
}

/// What the other set would leave to an operator stays as it is, with its score and without what it owned.
#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_held_stays_as_it_is_and_the_prediction_knows() {
    let fixture = history().await;
    let wary = || holding("sound", 0.7);
    let made = backtest(&fixture, "sound", wary()).await;
    let report = report(&made);
    assert!(report["tally"]["differ"].as_u64() > Some(10), "{}", report["tally"]);
    in_force(&fixture, "sound").await;
    fixture.policies.put_in_force(wary());
    let weights = &report["weights"];
    assert_eq!(served(&fixture).await, weights["vector_at_once"]);
    let restated = fixture.pipeline.restate(made.id, "olga", "wary").await.expect("restated");
    assert!(restated.left > 10, "{restated:?}");
    assert_eq!(served(&fixture).await, weights["vector_rescored"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stopped_goes_on_where_it_was_and_says_the_same() {
    let fixture = history().await;
    let generous = || seeing("sound", |score| (score * 1.2).min(1.0));
    let whole = backtest(&fixture, "sound", generous()).await;
    let parts = ask(&fixture, "sound", generous()).await;
    let stopped = CancellationToken::new();
    stopped.cancel();
    let mut turns = 0;
    let mut now = parts.clone();
    while now.state == BacktestState::Running {
        assert!(make(&fixture, &stopped).await, "a page at a time");
        turns += 1;
        now = fixture.pipeline.store.backtest(parts.id).await.expect("reads").expect("is there");
    }
    assert!(turns > 2 && now.tried == u64::from(SUBMISSIONS), "{turns} turns, {now:?}");
    assert_eq!(report(&now), report(&whole));
    let changes = |id| fixture.pipeline.store.backtest_changes(id, 0, 1_000);
    let (one, other) =
        (changes(whole.id).await.expect("reads"), changes(now.id).await.expect("reads"));
    assert_eq!(one, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_gives_no_answers_is_told_and_moves_nothing() {
    let fixture = history().await;
    let before = ledger(&fixture).await;
    let made = backtest(&fixture, "broken", broken("broken")).await;
    let report = report(&made);
    assert_eq!(report["tally"]["slots"]["review"]["fault"], SUBMISSIONS, "{}", report["tally"]);
    assert_eq!(report["weights"], Value::Null);
    assert!(report["weights_fault"].as_str().is_some_and(|why| why.contains("policy-trap")));
    assert_eq!(ledger(&fixture).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_went_on_is_not_overwritten() {
    let fixture = history().await;
    let made = backtest(&fixture, "one", sound("one")).await;
    fixture.clock.pass_ms(1);
    let late = fixture.accept_at_in(1, SUBMISSIONS, Stage::Review, &project(SUBMISSIONS)).await;
    settle(&fixture).await;
    assert_eq!(fixture.state(late).await, State::Completed);
    let refused = fixture.pipeline.restate(made.id, "olga", "too late").await;
    assert!(matches!(refused, Err(StageError::Store(StoreError::Moved("history")))), "{refused:?}");
    let newcomer = Hotkey::new(format!("miner-{SUBMISSIONS}")).expect("a hotkey");
    let submission = fixture.pipeline.store.submission(late).await.expect("reads").expect("there");
    assert_eq!(submission.hotkey, newcomer);
}
