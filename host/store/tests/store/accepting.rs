//! Accepting uploads: once, durably, or not at all.

use futures_util::future::join_all;
use prism_domain::ids::Digest;
use prism_domain::submission::{Event, State};
use prism_store::{NewSubmission, Nonce, StoreError, StoreOptions};
use sqlx::Connection as _;

use crate::fixture::{Fixture, at, hotkey, id, new};

fn with_nonce(new: NewSubmission, value: &str) -> NewSubmission {
    NewSubmission { nonce: Some(Nonce { value: value.to_owned(), expires_at: at(600_000) }), ..new }
}

fn with_key(new: NewSubmission, key: &str) -> NewSubmission {
    NewSubmission { idempotency_key: Some(key.to_owned()), ..new }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_body_of_one_hotkey_is_one_submission_however_many_send_it_at_once() {
    let fixture = Fixture::new().await;
    let uploads = (0..32).map(|n| fixture.store.accept(NewSubmission { id: id(n + 1), ..new(1) }));
    let answers: Vec<_> =
        join_all(uploads).await.into_iter().map(|answer| answer.expect("accepted")).collect();
    assert_eq!(answers.iter().filter(|answer| answer.created).count(), 1);
    assert!(answers.iter().all(|answer| answer.submission == answers[0].submission));
    let other = NewSubmission { id: id(99), hotkey: hotkey("other"), ..new(1) };
    assert!(
        fixture.store.accept(other).await.expect("accepted").created,
        "another hotkey may send it too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_submission_is_on_disk_when_it_is_acknowledged() {
    let fixture = Fixture::new().await;
    let accepted = fixture.store.accept(new(1)).await.expect("accepted");
    let mut stranger = fixture.stranger().await;
    let rows: (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM submissions), (SELECT COUNT(*) FROM jobs), (SELECT COUNT(*) FROM blobs)",
    )
    .fetch_one(&mut stranger)
    .await
    .expect("reads");
    assert_eq!(rows, (1, 1, 1));
    let stored = fixture.store.submission(id(1)).await.expect("reads").expect("is there");
    assert_eq!(stored, accepted.submission);
    assert_eq!((stored.sequence, stored.state), (1, State::INITIAL));
    let bytes = fixture.store.blob(stored.archive).await.expect("reads").expect("is there");
    assert_eq!(bytes, b"archive 1");
    let log = fixture.store.submission_events(id(1)).await.expect("reads");
    assert_eq!(log.iter().map(|line| &line.event).collect::<Vec<_>>(), [&Event::Accepted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_spent_by_acceptance_and_by_nothing_else() {
    let fixture = Fixture::new().await;
    let first = with_key(with_nonce(new(1), "n1"), "key");
    fixture.store.accept(first.clone()).await.expect("accepted");
    let again = fixture.store.accept(first.clone()).await;
    assert!(matches!(again, Err(StoreError::NonceUsed)), "{again:?}");

    let other_body =
        NewSubmission { id: id(2), body_digest: Digest::of(b"other"), ..first.clone() };
    let refused = fixture.store.accept(with_nonce(other_body, "n2")).await;
    assert!(matches!(refused, Err(StoreError::IdempotencyKeyReused)), "{refused:?}");
    let existing =
        fixture.store.accept(with_nonce(first.clone(), "n2")).await.expect("n2 was not spent");
    assert!(!existing.created);
    let spent = fixture.store.accept(with_nonce(first, "n2")).await;
    assert!(matches!(spent, Err(StoreError::NonceUsed)), "{spent:?}");

    let namesake = with_nonce(new(3), "n1");
    assert!(fixture.store.accept(namesake).await.expect("nonces belong to a hotkey").created);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_nonces_are_forgotten() {
    let fixture = Fixture::new().await;
    fixture.store.accept(with_nonce(new(1), "n1")).await.expect("accepted");
    assert_eq!(fixture.store.prune_nonces(at(600_000)).await.expect("prunes"), 0);
    assert_eq!(fixture.store.prune_nonces(at(600_001)).await.expect("prunes"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_stands_for_its_first_body() {
    let fixture = Fixture::new().await;
    let first = with_key(new(1), "key");
    assert!(fixture.store.accept(first.clone()).await.expect("accepted").created);
    let repeated =
        fixture.store.accept(NewSubmission { id: id(2), ..first.clone() }).await.expect("accepted");
    assert_eq!((repeated.created, repeated.submission.id), (false, id(1)));
    let other = with_key(NewSubmission { hotkey: first.hotkey.clone(), ..new(3) }, "key");
    let refused = fixture.store.accept(other).await.map_err(|error| error.code());
    assert_eq!(refused, Err("idempotency-key-reused"));
    assert!(
        fixture
            .store
            .accept(with_key(new(4), "key"))
            .await
            .expect("keys belong to a hotkey")
            .created
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_leaves_those_of_the_same_transaction_alone() {
    let fixture = Fixture::new().await;
    let shared = |n: u128| {
        let mine = NewSubmission { hotkey: hotkey("one"), ..new(n) };
        if n.is_multiple_of(2) { with_nonce(mine, "same") } else { mine }
    };
    let answers = join_all((1..=64).map(|n| fixture.store.accept(shared(n)))).await;
    let accepted: Vec<_> =
        answers.into_iter().filter_map(Result::ok).map(|one| one.submission).collect();
    assert_eq!(accepted.len(), 33, "all without a nonce and one with it");
    let mut stored = fixture.store.submissions_with_status("pending", 0, 100).await.expect("reads");
    assert_eq!(stored.len(), 33);
    assert!(stored.iter().map(|one| one.sequence).eq(1..=33), "no number is lost or given twice");
    stored.retain(|one| !accepted.contains(one));
    assert_eq!(stored, [], "what was acknowledged is what is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_busy_and_what_waits_is_kept() {
    let options = StoreOptions { queue_capacity: 4, batch_max: 1, ..StoreOptions::default() };
    let fixture = Fixture::with(&options).await;
    let mut stranger = fixture.stranger().await;
    let lock = stranger.begin_with("BEGIN IMMEDIATE").await.expect("locks");
    let uploads = join_all((1..=20).map(|n| fixture.store.accept(new(n))));
    // The queue is refused while the lock is held: no answer but `busy` can come before it is released.
    let (answers, ()) = tokio::join!(uploads, async {
        tokio::task::yield_now().await;
        lock.rollback().await.expect("unlocks");
    });
    let busy = answers.iter().filter(|answer| matches!(answer, Err(StoreError::Busy))).count();
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(busy + accepted, 20);
    assert!((4..=5).contains(&accepted), "the queue and the one under way: {accepted}");
    let stored = fixture.store.count_by_status().await.expect("reads");
    assert_eq!(stored.get("pending").copied(), Some(accepted as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_held_for_too_long_is_busy_and_then_forgotten() {
    let options = StoreOptions { busy_timeout_ms: 50, ..StoreOptions::default() };
    let fixture = Fixture::with(&options).await;
    let mut stranger = fixture.stranger().await;
    let lock = stranger.begin_with("BEGIN IMMEDIATE").await.expect("locks");
    let refused = fixture.store.accept(new(1)).await;
    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
    lock.rollback().await.expect("unlocks");
    assert!(fixture.store.accept(new(1)).await.expect("accepted").created);
}
