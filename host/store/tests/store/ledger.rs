//! The ledger: what must hold whoever writes.

use prism_domain::ledger::LedgerChange;
use prism_domain::submission::{Event, Stage, State};
use prism_domain::time::{EpochId, EpochLength};
use prism_store::{FamilyComparisons, FamilyTests, StageCommit};

use crate::fixture::{
    EPOCH, Fixture, SCORES, at, facts, family, hotkey, id, score, sketch, variant,
};

fn changes(ledger: Vec<LedgerChange>) -> StageCommit {
    StageCommit { ledger, scores: Some(SCORES), ..StageCommit::new(Event::StageDone) }
}

/// Submission `n`, waiting for its attribution.
async fn attributable(fixture: &Fixture, n: u128) {
    fixture.accept(n).await;
    fixture.walk_to(Stage::Attribution).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_family_of_one_fingerprint_is_refused_with_everything_that_came_with_it() {
    let fixture = Fixture::new().await;
    attributable(&fixture, 1).await;
    let founded = family(1, id(1), 0.5);
    let first = changes(vec![LedgerChange::FoundFamily(founded.clone())]);
    fixture.commit(Stage::Attribution, first).await.expect("founded");

    attributable(&fixture, 2).await;
    let mut copy = family(2, id(2), 0.9);
    copy.family_hash = founded.family_hash;
    let claim = fixture.claim(Stage::Attribution).await;
    let before = fixture.store.last_event().await.expect("reads");
    let twice = changes(vec![
        LedgerChange::RecordVariant(variant(7, &founded, 0.5, true)),
        LedgerChange::FoundFamily(copy),
    ]);
    let refused =
        fixture.store.commit_stage(&claim, twice, at(0)).await.map_err(|error| error.code());
    assert_eq!(refused, Err("conflict"));
    let stored = fixture.store.submission(id(2)).await.expect("reads").expect("is there");
    assert_eq!((stored.state, stored.scores), (State::Running { stage: Stage::Attribution }, None));
    assert_eq!(fixture.store.last_event().await.expect("reads"), before);
    assert_eq!(fixture.store.variants(None, 10).await.expect("reads"), []);
    assert_eq!(fixture.store.ownership_events(0, 10).await.expect("reads").len(), 1);
    assert_eq!(
        fixture.store.family_by_hash(founded.family_hash).await.expect("reads"),
        Some(founded)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_has_one_current_best() {
    let fixture = Fixture::new().await;
    attributable(&fixture, 1).await;
    let home = family(1, id(1), 0.5);
    let ledger = vec![
        LedgerChange::FoundFamily(home.clone()),
        LedgerChange::RecordVariant(variant(1, &home, 0.3, true)),
        LedgerChange::RecordVariant(variant(2, &home, 0.9, false)),
        LedgerChange::RecordVariant(variant(3, &home, 0.4, true)),
    ];
    fixture.commit(Stage::Attribution, changes(ledger)).await.expect("recorded");
    let listed = fixture.store.variants(Some(home.id), 10).await.expect("reads");
    let shown: Vec<_> =
        listed.iter().map(|one| (one.q_recipe.value, one.is_current_best)).collect();
    assert_eq!(shown, [(0.4, true), (0.9, false), (0.3, false)]);
    assert_eq!(fixture.store.variants_of(&[home.id]).await.expect("reads"), listed);

    attributable(&fixture, 2).await;
    let transfer = LedgerChange::TransferVariant {
        variant_id: listed[1].id,
        hotkey: hotkey("thief"),
        submission_id: id(2),
        q_recipe: score(0.95),
        becomes_current_best: true,
    };
    fixture.commit(Stage::Attribution, changes(vec![transfer])).await.expect("transferred");
    let best: Vec<_> = fixture.store.variants(None, 10).await.expect("reads");
    assert_eq!(best.iter().filter(|one| one.is_current_best).count(), 1);
    assert_eq!((best[0].id, best[0].owner_hotkey.as_str()), (listed[1].id, "thief"));

    let mut stranger = fixture.stranger().await;
    let forced = sqlx::query("UPDATE variants SET is_current_best = 1, best_since = 1")
        .execute(&mut stranger);
    assert!(forced.await.is_err(), "the schema refuses a second one whoever writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_improvement_makes_its_submission_what_the_family_is_recognised_by() {
    let fixture = Fixture::new().await;
    attributable(&fixture, 1).await;
    let home = family(1, id(1), 0.5);
    fixture
        .commit(Stage::Attribution, changes(vec![LedgerChange::FoundFamily(home.clone())]))
        .await
        .expect("founded");
    fixture.accept(2).await;
    let index = StageCommit { index: Some(facts(2, 2)), ..StageCommit::new(Event::StageDone) };
    fixture.commit(Stage::Facts, index).await.expect("indexed");
    for stage in [Stage::Review, Stage::Evaluation, Stage::Scoring] {
        fixture.commit(stage, StageCommit::new(Event::StageDone)).await.expect("a step");
    }
    let transfer = LedgerChange::TransferFamily {
        family_id: home.id,
        hotkey: hotkey("better"),
        submission_id: id(2),
        q_arch: score(0.8),
    };
    fixture.commit(Stage::Attribution, changes(vec![transfer])).await.expect("transferred");
    let stored = fixture.store.family(home.id).await.expect("reads").expect("is there");
    assert_eq!(stored.owner_hotkey, hotkey("better"));
    assert_eq!((stored.owner_submission_id, stored.canonical_submission_id), (id(2), id(2)));
    assert_eq!((stored.q_arch_best, stored.sketch), (score(0.8), sketch(2)));
    let other = prism_domain::ids::Digest::of(b"unseen");
    let like = fixture.store.families_like(other, &sketch(2), 16).await.expect("reads");
    assert_eq!(
        like.iter().map(|one| (one.family.id, one.similarity_ppm)).collect::<Vec<_>>(),
        [(home.id, 1_000_000)]
    );
    assert_eq!(fixture.store.families_like(other, &sketch(1), 16).await.expect("reads"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_resembling_family_is_found_among_many() {
    let fixture = Fixture::new().await;
    attributable(&fixture, 1).await;
    let found: Vec<_> =
        (1..=300).map(|n| LedgerChange::FoundFamily(family(n, id(1), 0.5))).collect();
    fixture.commit(Stage::Attribution, changes(found)).await.expect("founded");
    let mut near = sketch(17);
    for place in (0..near.len()).step_by(5) {
        near[place] = u32::MAX;
    }
    let hash = family(200, id(1), 0.5).family_hash;
    let like = fixture.store.families_like(hash, &near, 16).await.expect("reads");
    let shown: Vec<_> =
        like.iter().map(|one| (one.same_architecture, one.similarity_ppm)).collect();
    assert_eq!(
        shown,
        [(true, 0), (false, 796_875)],
        "the same one first, then the similar one, and no other"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_on_an_old_ledger_is_refused() {
    let fixture = Fixture::new().await;
    attributable(&fixture, 1).await;
    let seen = fixture.store.ledger_version().await.expect("reads");
    let home = family(1, id(1), 0.5);
    let founding = StageCommit {
        ledger_seen: Some(seen),
        ..changes(vec![LedgerChange::FoundFamily(home.clone())])
    };
    fixture.commit(Stage::Attribution, founding).await.expect("founded");
    attributable(&fixture, 2).await;
    let improve = LedgerChange::ImproveFamily {
        family_id: home.id,
        submission_id: id(2),
        q_arch: score(0.7),
    };
    let claim = fixture.claim(Stage::Attribution).await;
    let late = StageCommit { ledger_seen: Some(seen), ..changes(vec![improve.clone()]) };
    let refused =
        fixture.store.commit_stage(&claim, late, at(0)).await.map_err(|error| error.code());
    assert_eq!(refused, Err("ledger-moved"));
    let fresh = StageCommit { ledger_seen: Some(seen + 1), ..changes(vec![improve]) };
    fixture.store.commit_stage(&claim, fresh, at(0)).await.expect("improved");
    let names = fixture.store.ownership_events(0, 10).await.expect("reads");
    assert_eq!(names.iter().map(|line| line.sequence).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_are_counted_with_the_commit() {
    let fixture = Fixture::new().await;
    attributable(&fixture, 1).await;
    let home = family(1, id(1), 0.5);
    let comparisons = vec![FamilyComparisons { family_id: home.id, tests: 2, acceptances: 1 }; 2];
    let commit =
        StageCommit { comparisons, ..changes(vec![LedgerChange::FoundFamily(home.clone())]) };
    fixture.commit(Stage::Attribution, commit).await.expect("counted");
    let counted = fixture.store.family_tests(home.id).await.expect("reads");
    assert_eq!(counted, FamilyTests { tests: 4, acceptances: 2 });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_for_rewards_counts_ages_in_whole_epochs() {
    let fixture = Fixture::new().await;
    let length = EpochLength::from_seconds(21_600).expect("not zero");
    attributable(&fixture, 1).await;
    let home = family(2, id(1), 0.25);
    let ledger = vec![
        LedgerChange::FoundFamily(family(3, id(1), 0.5)),
        LedgerChange::FoundFamily(home.clone()),
        LedgerChange::RecordVariant(variant(1, &home, 0.75, true)),
        LedgerChange::RecordVariant(variant(2, &home, 0.1, false)),
    ];
    fixture.commit(Stage::Attribution, changes(ledger)).await.expect("recorded");
    let now = length.epoch_at(at(0));
    let view = fixture.store.ledger_view(EpochId(now.0 + 3), length).await.expect("reads");
    assert!(view.families.is_sorted_by_key(|row| row.family_id.clone()));
    assert_eq!(view.families.iter().map(|row| row.age_epochs).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(
        view.variants.iter().map(|row| (row.q_recipe_ppm, row.age_epochs)).collect::<Vec<_>>(),
        [(750_000, 3)]
    );
    assert_eq!(view.scores, []);
    let view = fixture.store.ledger_view(EPOCH, length).await.expect("reads");
    assert_eq!(view.scores.iter().map(|row| row.final_score_ppm).collect::<Vec<_>>(), [500_000]);
    let order: Vec<_> = fixture
        .store
        .families(10)
        .await
        .expect("reads")
        .into_iter()
        .map(|one| one.q_arch_best.value)
        .collect();
    assert_eq!(order, [0.5, 0.25]);
}
