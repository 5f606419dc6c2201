//! Claims, leases, fencing, and the order in which stages may be done.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use prism_domain::evaluation::Progress;
use prism_domain::submission::{Blame, Event, HoldCause, PublishedScores, Stage, State};
use prism_store::{AttemptRule, MeasurementKind, StageCommit, StoreError};

use crate::fixture::{EPOCH, Fixture, LEASE_MS, SCORES, at, held, hotkey, id, new};

#[tokio::test(flavor = "multi_thread")]
async fn each_job_has_one_winner_however_many_ask_at_once() {
    let fixture = Fixture::new().await;
    for n in 1..=8 {
        fixture.accept(n).await;
    }
    let workers = (0..32).map(|n| {
        let store = fixture.store.clone();
        tokio::spawn(
            async move { store.claim(&format!("w{n}"), &Stage::ALL, at(0), LEASE_MS).await },
        )
    });
    let claims: Vec<_> = join_all(workers)
        .await
        .into_iter()
        .filter_map(|task| task.expect("no panic").expect("no error"))
        .collect();
    assert_eq!(claims.len(), 8);
    assert_eq!(claims.iter().map(|claim| claim.submission.id).collect::<BTreeSet<_>>().len(), 8);
    assert_eq!(claims.iter().map(|claim| claim.token).collect::<BTreeSet<_>>().len(), 8);
    assert!(
        claims.iter().all(|claim| claim.submission.state == State::Running { stage: Stage::Facts })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_claim_is_committed_once() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    let claim = fixture.claim(Stage::Facts).await;
    let commits = (0..16)
        .map(|_| fixture.store.commit_stage(&claim, StageCommit::new(Event::StageDone), at(1)));
    let answers = join_all(commits).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(StoreError::StaleClaim))));
    let stored = fixture.store.submission(id(1)).await.expect("reads").expect("is there");
    assert_eq!(stored.state, State::Pending { stage: Stage::Review });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_is_taken_over_and_its_late_result_refused() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    let lost = fixture.claim(Stage::Facts).await;
    let early =
        fixture.store.claim("b", &[Stage::Facts], at(LEASE_MS - 1), LEASE_MS).await.expect("asks");
    assert_eq!(early, None, "the lease holds");
    let until = fixture.store.heartbeat(&lost, at(10), LEASE_MS).await.expect("renewed");
    assert_eq!(until, at(10 + LEASE_MS));
    let early =
        fixture.store.claim("b", &[Stage::Facts], at(LEASE_MS), LEASE_MS).await.expect("asks");
    assert_eq!(early, None, "the heartbeat renewed it");

    let taken =
        fixture.store.claim("b", &[Stage::Facts], at(10 + LEASE_MS), LEASE_MS).await.expect("asks");
    let taken = taken.expect("the lease ran out");
    assert!(taken.token > lost.token);
    assert_eq!((lost.attempt, taken.attempt), (1, 2));

    let before = fixture.store.last_event().await.expect("reads");
    let late = StageCommit {
        measurements: vec![(MeasurementKind::Facts, b"late".to_vec())],
        ..StageCommit::new(Event::StageDone)
    };
    let codes = [
        fixture.store.commit_stage(&lost, late, at(LEASE_MS)).await.map(drop),
        fixture.store.heartbeat(&lost, at(LEASE_MS), LEASE_MS).await.map(drop),
        fixture.store.release(&lost, at(0), "late", AttemptRule::Counts, at(LEASE_MS)).await,
    ]
    .map(|answer| answer.map_err(|error| error.code()));
    assert_eq!(codes, [Err("stale-claim"); 3]);
    assert_eq!(fixture.store.last_event().await.expect("reads"), before, "nothing happened");
    assert_eq!(
        fixture.store.measurement(id(1), MeasurementKind::Facts).await.expect("reads"),
        None
    );

    let log = fixture.store.submission_events(id(1)).await.expect("reads");
    let names: Vec<_> = log.iter().map(|line| line.event.name()).collect();
    assert_eq!(names, ["accepted", "claimed", "released", "claimed"]);
    assert_eq!(
        log.last().map(|line| line.sequence),
        Some(taken.token),
        "the token is the event's number"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_claim_is_due_when_it_says_and_counts_when_it_says() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    let claim = fixture.claim(Stage::Facts).await;
    fixture
        .store
        .release(&claim, at(500), "stopping", AttemptRule::Forgiven, at(0))
        .await
        .expect("released");
    assert_eq!(fixture.store.claim("b", &Stage::ALL, at(499), LEASE_MS).await.expect("asks"), None);
    let claim =
        fixture.store.claim("b", &Stage::ALL, at(500), LEASE_MS).await.expect("asks").expect("due");
    assert_eq!(claim.attempt, 1, "it was forgiven");
    fixture
        .store
        .release(&claim, at(500), "fault", AttemptRule::Counts, at(500))
        .await
        .expect("released");
    let claim =
        fixture.store.claim("b", &Stage::ALL, at(500), LEASE_MS).await.expect("asks").expect("due");
    assert_eq!(claim.attempt, 2, "it counted");
    fixture
        .store
        .commit_stage(&claim, StageCommit::new(Event::StageDone), at(500))
        .await
        .expect("done");
    let next =
        fixture.store.claim("b", &Stage::ALL, at(500), LEASE_MS).await.expect("asks").expect("due");
    assert_eq!((next.stage, next.attempt), (Stage::Review, 1), "each stage has tries of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_waits_for_the_reviews_of_earlier_submissions() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    fixture.accept(2).await;
    let first = fixture.claim(Stage::Facts).await;
    fixture
        .commit(Stage::Facts, StageCommit::new(Event::StageDone))
        .await
        .expect("facts of the second");
    let review = |now| fixture.store.claim("w", &[Stage::Review], now, LEASE_MS);
    assert_eq!(review(at(0)).await.expect("asks"), None, "the first has no facts yet");
    fixture
        .store
        .commit_stage(&first, StageCommit::new(Event::StageDone), at(0))
        .await
        .expect("done");
    let first = review(at(0)).await.expect("asks").expect("due");
    assert_eq!(first.submission.id, id(1));
    assert_eq!(review(at(0)).await.expect("asks"), None, "the first is under review");
    let hold = held(9, id(1), HoldCause::Review);
    fixture.store.commit_stage(&first, hold, at(0)).await.expect("held");
    let second = review(at(0)).await.expect("asks").expect("a held one blocks nobody");
    assert_eq!(second.submission.id, id(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attribution_waits_for_all_earlier_submissions() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    fixture.accept(2).await;
    fixture
        .commit(Stage::Facts, StageCommit::new(Event::StageDone))
        .await
        .expect("facts of the first");
    fixture
        .commit(Stage::Review, StageCommit::new(Event::StageDone))
        .await
        .expect("review of the first");
    let slow = fixture.claim(Stage::Evaluation).await;
    assert_eq!(slow.submission.id, id(1));
    fixture.walk_to(Stage::Attribution).await;
    let ask = || fixture.store.claim("w", &[Stage::Attribution], at(0), LEASE_MS);
    assert_eq!(ask().await.expect("asks"), None, "the first is still evaluated");
    let event =
        Event::Failed { blame: Blame::Miner, code: "E-OOM".into(), reason: "too large".into() };
    fixture.store.commit_stage(&slow, StageCommit::new(event), at(0)).await.expect("failed");
    assert_eq!(ask().await.expect("asks").expect("due").submission.id, id(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn scores_are_published_with_completion_and_only_then() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    let early = StageCommit { scores: Some(SCORES), ..StageCommit::new(Event::StageDone) };
    let claim = fixture.claim(Stage::Facts).await;
    let refused =
        fixture.store.commit_stage(&claim, early, at(0)).await.map_err(|error| error.code());
    assert_eq!(refused, Err("invalid"));
    fixture
        .store
        .commit_stage(&claim, StageCommit::new(Event::StageDone), at(0))
        .await
        .expect("done");
    for stage in [Stage::Review, Stage::Evaluation, Stage::Scoring] {
        fixture.commit(stage, StageCommit::new(Event::StageDone)).await.expect("a step");
        let stored = fixture.store.submission(id(1)).await.expect("reads").expect("is there");
        assert_eq!(stored.scores, None);
    }
    let claim = fixture.claim(Stage::Attribution).await;
    let without =
        fixture.store.commit_stage(&claim, StageCommit::new(Event::StageDone), at(0)).await;
    assert_eq!(without.map_err(|error| error.code()), Err("invalid"));
    let nan = PublishedScores { final_score: f64::NAN, ..SCORES };
    let nan = StageCommit { scores: Some(nan), ..StageCommit::new(Event::StageDone) };
    let refused =
        fixture.store.commit_stage(&claim, nan, at(0)).await.map_err(|error| error.code());
    assert_eq!(refused, Err("conflict"), "no score that is no number gets in");
    let right = StageCommit { scores: Some(SCORES), ..StageCommit::new(Event::StageDone) };
    fixture.store.commit_stage(&claim, right, at(0)).await.expect("completes");
    let stored = fixture.store.submission(id(1)).await.expect("reads").expect("is there");
    assert_eq!((stored.state, stored.scores), (State::Completed, Some(SCORES)));
    assert_eq!(fixture.store.claim("w", &Stage::ALL, at(0), LEASE_MS).await.expect("asks"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leaderboard_shows_the_best_of_each_hotkey_and_the_earlier_of_equals() {
    let fixture = Fixture::new().await;
    let entries = [("a", 0.4), ("b", 0.6), ("a", 0.6), ("c", 0.1), ("b", 0.2)];
    for (n, (miner, final_score)) in (1..).zip(entries) {
        let upload = prism_store::NewSubmission { hotkey: hotkey(miner), ..new(n) };
        fixture.store.accept(upload).await.expect("accepted");
        fixture.complete(PublishedScores { final_score, ..SCORES }).await;
    }
    let board = fixture.store.leaderboard(EPOCH, 50).await.expect("reads");
    let shown: Vec<_> = board.iter().map(|one| (one.hotkey.as_str(), one.sequence)).collect();
    assert_eq!(shown, [("b", 2), ("a", 3), ("c", 4)]);
    assert_eq!(fixture.store.leaderboard(EPOCH, 1).await.expect("reads").len(), 1);
    assert_eq!(fixture.store.completed(EPOCH).await.expect("reads").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_seen_while_the_claim_lasts() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    let claim = fixture.claim(Stage::Facts).await;
    let progress = Progress {
        probe: "base".into(),
        run_id: "r1".into(),
        step: 3,
        steps: 10,
        loss_nats: Some(2.5),
        done: 0.3,
        eta_ms: 700,
    };
    fixture.store.record_progress(&claim, &progress).await.expect("noted");
    assert_eq!(fixture.store.progress(id(1)).await.expect("reads"), Some(progress.clone()));
    fixture
        .store
        .commit_stage(&claim, StageCommit::new(Event::StageDone), at(0))
        .await
        .expect("done");
    assert_eq!(fixture.store.progress(id(1)).await.expect("reads"), None);
    let late = fixture.store.record_progress(&claim, &progress).await;
    assert!(matches!(late, Err(StoreError::StaleClaim)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_all_is_read_by_cursor() {
    let fixture = Fixture::new().await;
    for n in 1..=3 {
        fixture.accept(n).await;
    }
    let first = fixture.store.events_after(0, 2).await.expect("reads");
    let rest = fixture.store.events_after(first[1].sequence, 10).await.expect("reads");
    let seen: Vec<_> = first.iter().chain(&rest).map(|line| line.submission_id).collect();
    assert_eq!(seen, [id(1), id(2), id(3)]);
}
