//! Holds: an operator's word counts once.

use futures_util::future::join_all;
use prism_domain::ids::HoldId;
use prism_domain::ledger::{HoldStatus, LedgerChange};
use prism_domain::submission::{Event, HoldCause, Stage, State};
use prism_store::{StageCommit, StoreError};
use uuid::Uuid;

use crate::fixture::{Fixture, LEASE_MS, SCORES, at, family, held, id};

const HOLD: u128 = 40;

fn hold_id() -> HoldId {
    HoldId::new(Uuid::from_u128(HOLD))
}

async fn with_held_attribution() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    fixture.walk_to(Stage::Attribution).await;
    fixture
        .commit(Stage::Attribution, held(HOLD, id(1), HoldCause::Attribution))
        .await
        .expect("held");
    fixture
}

fn resolution() -> StageCommit {
    StageCommit {
        ledger: vec![LedgerChange::FoundFamily(family(1, id(1), 0.5))],
        scores: Some(SCORES),
        ..StageCommit::new(Event::Resolved { reason: "original".into() })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_resolved_once_however_many_try() {
    let fixture = with_held_attribution().await;
    let stored = fixture.store.submission(id(1)).await.expect("reads").expect("is there");
    assert_eq!((stored.error.as_deref(), stored.scores), (Some("unsure"), None));
    let tries = (0..8).map(|_| fixture.store.resolve_hold(hold_id(), resolution(), at(5)));
    let answers = join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Ok(State::Completed))).count(), 1);
    let gone =
        |answer: &&Result<State, StoreError>| matches!(answer, Err(StoreError::NotFound("hold")));
    assert_eq!(answers.iter().filter(gone).count(), 7);
    let hold = fixture.store.hold(hold_id()).await.expect("reads").expect("is there");
    assert_eq!((hold.status, hold.updated_at), (HoldStatus::Resolved, at(5)));
    assert_eq!(fixture.store.families(10).await.expect("reads").len(), 1);
    let stored = fixture.store.submission(id(1)).await.expect("reads").expect("is there");
    assert_eq!((stored.error, stored.scores), (None, Some(SCORES)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolution_that_the_ledger_refuses_leaves_the_hold_waiting() {
    let fixture = with_held_attribution().await;
    let mut twice = resolution();
    twice.ledger.push(LedgerChange::FoundFamily(family(1, id(1), 0.5)));
    let refused =
        fixture.store.resolve_hold(hold_id(), twice, at(5)).await.map_err(|error| error.code());
    assert_eq!(refused, Err("conflict"));
    let hold = fixture.store.hold(hold_id()).await.expect("reads").expect("is there");
    assert_eq!(hold.status, HoldStatus::Pending);
    assert_eq!(fixture.store.families(10).await.expect("reads"), []);
    fixture.store.resolve_hold(hold_id(), resolution(), at(6)).await.expect("resolved");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_review_goes_on_and_its_hold_is_closed() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    fixture.walk_to(Stage::Review).await;
    let early =
        fixture.store.apply_event(id(1), Event::Resumed { reason: "x".into() }, at(0)).await;
    assert_eq!(early.map_err(|error| error.code()), Err("invalid"), "it is not held");
    fixture.commit(Stage::Review, held(HOLD, id(1), HoldCause::Review)).await.expect("held");
    assert_eq!(fixture.store.claim("w", &Stage::ALL, at(0), LEASE_MS).await.expect("asks"), None);
    let approved = Event::Approved { reason: "harmless".into() };
    let state = fixture.store.apply_event(id(1), approved.clone(), at(0)).await.expect("approved");
    assert_eq!(state, State::Pending { stage: Stage::Evaluation });
    assert_eq!(fixture.claim(Stage::Evaluation).await.submission.id, id(1));
    let hold = fixture.store.hold(hold_id()).await.expect("reads").expect("is there");
    assert_eq!(hold.status, HoldStatus::Resolved);
    let again =
        fixture.store.apply_event(id(1), approved, at(2)).await.map_err(|error| error.code());
    assert_eq!(again, Err("invalid"));
    let unknown =
        fixture.store.apply_event(id(9), Event::Resumed { reason: "x".into() }, at(0)).await;
    assert_eq!(unknown.map_err(|error| error.code()), Err("not-found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_hold_publishes_nothing() {
    let fixture = with_held_attribution().await;
    let waiting = fixture.store.pending_holds_before(at(1), 10).await.expect("reads");
    assert_eq!(waiting.len(), 1, "it is found by its age");
    let event = Event::Rejected { reason: "a copy".into() };
    fixture.store.resolve_hold(hold_id(), StageCommit::new(event), at(2)).await.expect("rejected");
    let hold = fixture.store.hold(hold_id()).await.expect("reads").expect("is there");
    assert_eq!(hold.status, HoldStatus::Rejected);
    let stored = fixture.store.submission(id(1)).await.expect("reads").expect("is there");
    assert_eq!((stored.state, stored.scores), (State::Rejected, None));
    assert_eq!(fixture.store.pending_holds_before(at(1), 10).await.expect("reads"), []);
    assert_eq!(
        fixture.store.holds(100).await.expect("reads").len(),
        1,
        "it is listed all the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn submissions_held_by_a_policy_fault_are_found_when_another_set_is_in_force() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    let event = Event::Held { cause: HoldCause::PolicyFault, reason: "trap".into() };
    fixture.commit(Stage::Facts, StageCommit::new(event)).await.expect("held");
    let found = fixture.store.held(HoldCause::PolicyFault, None, 10).await.expect("reads");
    assert_eq!(found.iter().map(|one| one.id).collect::<Vec<_>>(), [id(1)]);
    assert_eq!(fixture.store.held(HoldCause::Review, None, 10).await.expect("reads"), []);
    let state =
        fixture.store.apply_event(id(1), Event::Resumed { reason: "new set".into() }, at(1)).await;
    assert_eq!(state.expect("resumed"), State::Pending { stage: Stage::Facts });
}
