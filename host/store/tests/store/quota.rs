//! How much a hotkey may send: what counts, what does not, and when it may send again.

use prism_domain::submission::{Blame, Event, HoldCause, Stage};
use prism_domain::time::Timestamp;
use prism_store::{
    NewSubmission, Quota, QuotaExceeded, StageCommit, Store, StoreError, StoreOptions,
};

use crate::fixture::{Fixture, at, held, hotkey, new, url};

const QUOTA: Quota = Quota { submissions: 2, window_ms: 10_000 };

/// Upload number `n` of the one hotkey, `now_ms` after the beginning.
fn upload(n: u128, now_ms: i64) -> NewSubmission {
    NewSubmission { hotkey: hotkey("miner"), quota: Some(QUOTA), now: at(now_ms), ..new(n) }
}

async fn refusal(store: &Store, new: NewSubmission) -> (Timestamp, u64) {
    match store.accept(new).await {
        Err(StoreError::QuotaExceeded(QuotaExceeded { quota, reset_at, retry_after_s })) => {
            assert_eq!(quota, QUOTA);
            (reset_at, retry_after_s)
        }
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_says_exactly_when_the_next_upload_is_taken() {
    let fixture = Fixture::new().await;
    for (n, now_ms) in [(1, 0), (2, 4_000)] {
        fixture.store.accept(upload(n, now_ms)).await.expect("accepted");
    }
    assert_eq!(refusal(&fixture.store, upload(3, 4_500)).await, (at(10_000), 6));
    assert_eq!(refusal(&fixture.store, upload(3, 9_999)).await, (at(10_000), 1));
    let again =
        fixture.store.accept(upload(1, 9_999)).await.expect("the same upload costs nothing");
    assert!(!again.created);
    let other = NewSubmission { hotkey: hotkey("other"), ..upload(4, 9_999) };
    assert!(fixture.store.accept(other).await.expect("each hotkey has its own").created);
    assert!(fixture.store.accept(upload(3, 10_000)).await.expect("on time").created);
    assert_eq!(refusal(&fixture.store, upload(5, 10_000)).await, (at(14_000), 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_spends_no_nonce_and_stores_nothing() {
    let fixture = Fixture::new().await;
    for n in [1, 2] {
        fixture.store.accept(upload(n, 0)).await.expect("accepted");
    }
    let nonce = prism_store::Nonce { value: "once".to_owned(), expires_at: at(600_000) };
    let signed = |now_ms| NewSubmission { nonce: Some(nonce.clone()), ..upload(3, now_ms) };
    refusal(&fixture.store, signed(1)).await;
    assert_eq!(fixture.store.submission(upload(3, 0).id).await.expect("reads"), None);
    assert!(fixture.store.accept(signed(10_000)).await.expect("the nonce is whole").created);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_by_a_fault_of_ours_does_not_count_and_what_the_miner_did_does() {
    for (blame, counts) in [
        (Blame::Miner, true),
        (Blame::Platform, false),
        (Blame::Worker, false),
        (Blame::Policy, false),
    ] {
        let fixture = Fixture::new().await;
        for n in [1, 2] {
            fixture.store.accept(upload(n, 0)).await.expect("accepted");
        }
        let failed = Event::Failed { blame, code: "CODE".into(), reason: "told".into() };
        fixture.commit(Stage::Facts, StageCommit::new(failed)).await.expect("failed");
        let third = fixture.store.accept(upload(3, 1)).await;
        assert_eq!(third.is_err(), counts, "{blame:?}: {third:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_better_policy_does_not_count() {
    for (cause, counts) in [(HoldCause::PolicyFault, false), (HoldCause::Review, true)] {
        let fixture = Fixture::new().await;
        for n in [1, 2] {
            fixture.store.accept(upload(n, 0)).await.expect("accepted");
        }
        fixture.commit(Stage::Facts, StageCommit::new(Event::StageDone)).await.expect("facts");
        let claim = fixture.claim(Stage::Review).await;
        let hold = held(9, claim.submission.id, cause);
        fixture.store.commit_stage(&claim, hold, at(0)).await.expect("held");
        let third = fixture.store.accept(upload(3, 1)).await;
        assert_eq!(third.is_err(), counts, "{cause:?}: {third:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_database_share_the_quota() {
    let fixture = Fixture::new().await;
    let other = Store::open(&url(&fixture.folder), &StoreOptions::default()).await.expect("opens");
    let uploads = (0..16).map(|n| {
        let store = if n % 2 == 0 { &fixture.store } else { &other };
        store.accept(upload(n + 1, 0))
    });
    let answers = futures_util::future::join_all(uploads).await;
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused =
        answers.iter().filter(|answer| matches!(answer, Err(StoreError::QuotaExceeded(_))));
    assert_eq!((accepted, refused.count()), (2, 14), "{answers:?}");
}
