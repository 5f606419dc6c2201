//! Neighbours: earlier work only, and never work that may not speak against anybody.

use prism_domain::facts::ProjectFacts;
use prism_domain::submission::{Blame, Event, Stage};
use prism_store::{NewSubmission, ResemblingSubmission, StageCommit};

use crate::fixture::{Fixture, at, facts, hotkey, id, new};

/// Accepts submission `n` and indexes it.
async fn index(fixture: &Fixture, n: u128, project: ProjectFacts) -> i64 {
    index_new(fixture, new(n), project).await
}

async fn index_new(fixture: &Fixture, new: NewSubmission, project: ProjectFacts) -> i64 {
    let sequence = fixture.store.accept(new).await.expect("accepted").submission.sequence;
    let commit = StageCommit { index: Some(project), ..StageCommit::new(Event::StageDone) };
    fixture.commit(Stage::Facts, commit).await.expect("indexed");
    sequence
}

/// What somebody else's submission is compared with.
async fn neighbours(
    fixture: &Fixture,
    sequence: i64,
    project: &ProjectFacts,
) -> Vec<ResemblingSubmission> {
    neighbours_of(fixture, "somebody-else", sequence, project).await
}

async fn neighbours_of(
    fixture: &Fixture,
    asking: &str,
    sequence: i64,
    project: &ProjectFacts,
) -> Vec<ResemblingSubmission> {
    let asking = hotkey(asking);
    fixture.store.earlier_neighbours(sequence, &asking, &project.source, 16).await.expect("reads")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_earlier_submissions_are_neighbours() {
    let fixture = Fixture::new().await;
    let project = facts(1, 1);
    let original = index(&fixture, 1, project.clone()).await;
    let copy = index(&fixture, 2, project.clone()).await;
    assert_eq!(
        neighbours(&fixture, original, &project).await,
        [],
        "the copy does not speak against the original"
    );
    let found = neighbours(&fixture, copy, &project).await;
    assert_eq!(found.len(), 1);
    let one = &found[0];
    assert_eq!((one.sequence, one.neighbour.submission_id), (original, id(1)));
    assert!(one.neighbour.same_source && one.neighbour.same_architecture);
    assert!(!one.neighbour.same_hotkey);
    assert_eq!(
        (one.neighbour.similarity_ppm, one.architecture_similarity_ppm),
        (1_000_000, 1_000_000)
    );
}

/// One's own work speaks for one once a review let it pass: before that, and while it is held, it may be a copy.
#[tokio::test(flavor = "multi_thread")]
async fn ones_own_work_counts_once_it_has_passed() {
    let fixture = Fixture::new().await;
    let project = facts(1, 1);
    let own = async || {
        let found = neighbours_of(&fixture, "miner-1", 100, &project).await;
        assert!(found.iter().all(|one| one.neighbour.same_hotkey));
        found.len()
    };
    index(&fixture, 1, project.clone()).await;
    assert_eq!(own().await, 0, "it is not reviewed yet");
    assert_eq!(neighbours(&fixture, 100, &project).await.len(), 1, "to others it is earlier work");
    fixture.commit(Stage::Review, StageCommit::new(Event::StageDone)).await.expect("passed");
    assert_eq!(own().await, 1);
    let again = NewSubmission { hotkey: hotkey("miner-1"), ..new(2) };
    index_new(&fixture, again, project.clone()).await;
    let cause = prism_domain::submission::HoldCause::Review;
    let held = StageCommit::new(Event::Held { cause, reason: "a copy?".into() });
    fixture.commit(Stage::Review, held).await.expect("held");
    assert_eq!(own().await, 1, "what is held is nobody's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_work_and_work_that_we_failed_do_not_count() {
    let fixture = Fixture::new().await;
    let project = facts(1, 1);
    let failed = |blame| Event::Failed { blame, code: "X".into(), reason: "x".into() };
    let ends = [
        Event::Rejected { reason: "malicious".into() },
        failed(Blame::Platform),
        failed(Blame::Worker),
        failed(Blame::Policy),
        failed(Blame::Miner),
    ];
    for (n, end) in (1..).zip(ends) {
        index(&fixture, n, project.clone()).await;
        fixture.commit(Stage::Review, StageCommit::new(end)).await.expect("ended");
    }
    let found = neighbours(&fixture, 100, &project).await;
    assert_eq!(
        found.iter().map(|one| one.sequence).collect::<Vec<_>>(),
        [5],
        "the miner's own failure stays"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_work_comes_first_and_similar_work_is_found_among_much_other() {
    let fixture = Fixture::new().await;
    let mut similar = facts(1, 900);
    for place in (0..similar.source.source_sketch.len()).step_by(5) {
        similar.source.source_sketch[place] = u32::MAX;
    }
    similar.source.fingerprints = facts(901, 901).source.fingerprints;
    let same_architecture = facts(902, 1);
    let similar = index(&fixture, 1, similar).await;
    for n in 2..150_u32 {
        index(&fixture, u128::from(n), facts(n, n)).await;
    }
    let same_architecture = index(&fixture, 200, same_architecture).await;
    let same = index(&fixture, 201, facts(1, 1)).await;
    let later_same = index(&fixture, 202, facts(1, 1)).await;
    let found = neighbours(&fixture, 1_000, &facts(1, 1)).await;
    let order: Vec<_> = found.iter().map(|one| one.sequence).collect();
    assert_eq!(order, [same, later_same, same_architecture, similar]);
    assert_eq!(found[3].neighbour.similarity_ppm, 796_875);
    assert_eq!(
        fixture
            .store
            .earlier_neighbours(1_000, &hotkey("m"), &facts(1, 1).source, 1)
            .await
            .expect("reads")
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn indexing_again_replaces_what_was_there() {
    let fixture = Fixture::new().await;
    fixture.store.accept(NewSubmission { now: at(0), ..new(1) }).await.expect("accepted");
    let held =
        Event::Held { cause: prism_domain::submission::HoldCause::PolicyFault, reason: "x".into() };
    let first = StageCommit { index: Some(facts(1, 1)), ..StageCommit::new(held) };
    fixture.commit(Stage::Facts, first).await.expect("held");
    fixture
        .store
        .apply_event(id(1), Event::Resumed { reason: "x".into() }, at(0))
        .await
        .expect("resumed");
    let second = StageCommit { index: Some(facts(2, 2)), ..StageCommit::new(Event::StageDone) };
    fixture.commit(Stage::Facts, second).await.expect("indexed");
    assert_eq!(neighbours(&fixture, 9, &facts(1, 1)).await, []);
    assert_eq!(neighbours(&fixture, 9, &facts(2, 2)).await.len(), 1);
}
