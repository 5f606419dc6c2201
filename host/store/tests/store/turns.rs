//! Whose evaluation is next when hotkeys send unequally much.

use prism_domain::submission::{Event, Stage};
use prism_store::{NewSubmission, StageCommit};

use crate::fixture::{Fixture, LEASE_MS, at, hotkey, new};

/// Accepts these uploads and brings all of them to their evaluation.
async fn queued(hotkeys: &[&str]) -> Fixture {
    let fixture = Fixture::new().await;
    for (n, miner) in (1..).zip(hotkeys) {
        send(&fixture, n, miner).await;
    }
    fixture
}

async fn send(fixture: &Fixture, n: u128, miner: &str) {
    let upload = NewSubmission { hotkey: hotkey(miner), ..new(n) };
    fixture.store.accept(upload).await.expect("accepted");
    for stage in [Stage::Facts, Stage::Review] {
        fixture.commit(stage, StageCommit::new(Event::StageDone)).await.expect("a step");
    }
}

/// Whose submissions get an evaluation, in order, by as many workers as there are submissions.
async fn order(fixture: &Fixture, count: usize) -> Vec<(String, i64)> {
    let mut claimed = Vec::new();
    for _ in 0..count {
        let claim = fixture.claim(Stage::Evaluation).await;
        claimed.push((claim.submission.hotkey.to_string(), claim.submission.sequence));
    }
    claimed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_stands_behind_the_single_submission_of_another() {
    let fixture = queued(&["flood"; 20]).await;
    assert_eq!(order(&fixture, 2).await, [("flood".to_owned(), 1), ("flood".to_owned(), 2)]);
    // Both workers are busy with the flood when somebody else comes: the next free one is theirs.
    send(&fixture, 21, "single").await;
    assert_eq!(
        order(&fixture, 3).await,
        [("single".to_owned(), 21), ("flood".to_owned(), 3), ("flood".to_owned(), 4)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hotkeys_take_turns_and_each_goes_in_its_own_order() {
    let fixture = queued(&["a", "a", "a", "b", "b", "c"]).await;
    let sequences: Vec<_> = order(&fixture, 6).await.into_iter().map(|(_, n)| n).collect();
    assert_eq!(sequences, [1, 4, 6, 2, 5, 3]);
}

/// A stream of newcomers delays nobody by more than one turn each.
#[tokio::test(flavor = "multi_thread")]
async fn newcomers_do_not_starve_who_was_there() {
    let fixture = queued(&["a", "a", "new-1"]).await;
    assert_eq!(order(&fixture, 2).await, [("a".to_owned(), 1), ("new-1".to_owned(), 3)]);
    send(&fixture, 4, "new-1").await;
    assert_eq!(order(&fixture, 2).await, [("a".to_owned(), 2), ("new-1".to_owned(), 4)]);
}

/// A worker that died costs its hotkey no place: the same submission is first again once it is its turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_is_claimed_again() {
    let fixture = queued(&["a"]).await;
    let lost = fixture.claim(Stage::Evaluation).await;
    let again = fixture.store.claim("b", &[Stage::Evaluation], at(LEASE_MS), LEASE_MS).await;
    let again = again.expect("asks").expect("due");
    assert_eq!((again.submission.id, again.attempt), (lost.submission.id, 2));
}
