//! How often a stage is tried, and how long it rests in between.

use std::sync::atomic::Ordering;

use prism_domain::submission::{Blame, Event, ProjectKind, Stage, State};
use prism_store::AttemptRule;

use crate::fixture::{Fixture, LEASE_MS, MACHINE_RETRY_MS, MAX_ATTEMPTS, facts};

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_takes_every_worker_with_it_is_given_up() {
    let fixture = Fixture::new().await;
    let id = fixture.accept_at(1, Stage::Evaluation, &facts(ProjectKind::Full)).await;
    for _ in 0..MAX_ATTEMPTS {
        fixture.claim(Stage::Evaluation).await.expect("is due");
        fixture.clock.pass_ms(LEASE_MS + 1);
    }
    assert!(fixture.work(Stage::Evaluation).await);
    assert_eq!(fixture.state(id).await, State::Failed { blame: Blame::Worker });
    assert!(fixture.error(id).await.contains("W-GAVE-UP"));
    assert_eq!(fixture.evaluator.runs.load(Ordering::SeqCst), 0, "it must not run once more");
    let events = fixture.pipeline.store.submission_events(id).await.expect("reads");
    assert!(
        matches!(&events.last().expect("events").event, Event::Failed { code, .. } if code == "W-GAVE-UP")
    );
    assert!(!fixture.work(Stage::Evaluation).await, "nothing is left to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_stops_are_no_tries() {
    let fixture = Fixture::new().await;
    fixture.accept_at(1, Stage::Evaluation, &facts(ProjectKind::Full)).await;
    for _ in 0..=MAX_ATTEMPTS {
        let claim = fixture.claim(Stage::Evaluation).await.expect("is due");
        let now = claim.lease_until.plus_ms(-LEASE_MS);
        let store = &fixture.pipeline.store;
        store.release(&claim, now, "stops", AttemptRule::Forgiven, now).await.expect("released");
    }
    assert!(fixture.work(Stage::Evaluation).await);
    assert_eq!(fixture.evaluator.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_rests_twice_as_long_after_each_try() {
    let fixture = Fixture::new().await;
    let id = fixture.accept_at(1, Stage::Evaluation, &facts(ProjectKind::Full)).await;
    for rest_ms in [MACHINE_RETRY_MS, 2 * MACHINE_RETRY_MS] {
        assert!(fixture.work(Stage::Evaluation).await);
        fixture.clock.pass_ms(rest_ms - 1);
        assert!(!fixture.work(Stage::Evaluation).await, "it rests for {rest_ms} ms");
        fixture.clock.pass_ms(1);
    }
    assert!(fixture.work(Stage::Evaluation).await);
    assert_eq!(fixture.state(id).await, State::Failed { blame: Blame::Worker });
    assert!(fixture.error(id).await.contains("W-ENGINE"));
    assert_eq!(fixture.evaluator.runs.load(Ordering::SeqCst), 3);
}
