//! Submissions that wait because a policy gave no answer.

use prism_domain::ids::Digest;
use prism_domain::ledger::{Hold, HoldStatus};
use prism_domain::submission::{Blame, HoldCause, ProjectKind, Stage, State};
use prism_pipeline::{ResolveArchitecture, ResolveError, ResolveRequest, ResolveTraining};
use prism_store::RewardsFaults;

use crate::fixture::{Fixture, HOLD_EXPIRY_MS, broken, facts, sound};

async fn only_hold(fixture: &Fixture) -> Hold {
    let mut holds = fixture.pipeline.store.holds(10).await.expect("reads");
    assert_eq!(holds.len(), 1, "{holds:?}");
    holds.remove(0)
}

fn request(architecture: ResolveArchitecture) -> ResolveRequest {
    ResolveRequest {
        architecture,
        training: ResolveTraining::New,
        family_id: None,
        variant_id: None,
        reason: "looked at".to_owned(),
    }
}

async fn held(fixture: &Fixture) -> prism_domain::ids::SubmissionId {
    fixture.policies.put_in_force(broken("broken"));
    let id = fixture.accept_at(1, Stage::Review, &facts(ProjectKind::Full)).await;
    assert!(fixture.work(Stage::Review).await);
    let waits = State::Held { stage: Stage::Review, cause: HoldCause::PolicyFault };
    assert_eq!(fixture.state(id).await, waits);
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_them_and_may_ask_again() {
    let fixture = Fixture::new().await;
    let id = held(&fixture).await;
    let hold = only_hold(&fixture).await;
    assert_eq!((hold.submission_id, hold.status), (id, HoldStatus::Pending));
    assert!(
        hold.reason.contains("policy-trap") && hold.confidence.abs() < f64::EPSILON,
        "{hold:?}"
    );

    for action in [ResolveArchitecture::New, ResolveArchitecture::Existing] {
        let waiting = fixture.pipeline.store.holds(1).await.expect("reads").remove(0);
        fixture.clock.pass_ms(1);
        let resolved = fixture.pipeline.resolve_hold(waiting.id, request(action)).await;
        assert!(!resolved.expect("resolved").rejected);
        assert_eq!(fixture.state(id).await, State::Pending { stage: Stage::Review });
        let twice = fixture.pipeline.resolve_hold(waiting.id, request(action)).await;
        assert!(matches!(twice, Err(ResolveError::NotFound)), "{twice:?}");
        // The policy still has no answer: the submission waits again, and is on the list again.
        assert!(fixture.work(Stage::Review).await);
    }
    let waiting = fixture.pipeline.store.holds(10).await.expect("reads");
    assert_eq!(waiting.iter().filter(|hold| hold.status == HoldStatus::Pending).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_refuse_them() {
    let fixture = Fixture::new().await;
    let id = held(&fixture).await;
    let hold = only_hold(&fixture).await;
    let refused =
        fixture.pipeline.resolve_hold(hold.id, request(ResolveArchitecture::Reject)).await;
    assert!(refused.expect("resolved").rejected);
    assert_eq!(fixture.state(id).await, State::Rejected);
    assert_eq!(only_hold(&fixture).await.status, HoldStatus::Rejected);
}

#[tokio::test(flavor = "multi_thread")]
async fn they_go_on_and_leave_the_list_when_another_set_is_in_force() {
    let fixture = Fixture::new().await;
    let id = held(&fixture).await;
    fixture.pipeline.sweep_once().await.expect("sweeps");
    assert_eq!(
        only_hold(&fixture).await.status,
        HoldStatus::Pending,
        "the same set changes nothing"
    );
    fixture.policies.put_in_force(sound("sound"));
    fixture.pipeline.sweep_once().await.expect("sweeps");
    assert_eq!(only_hold(&fixture).await.status, HoldStatus::Resolved);
    assert!(fixture.work(Stage::Review).await);
    assert_eq!(fixture.state(id).await, State::Pending { stage: Stage::Evaluation });
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_that_nobody_decides_expire_and_the_upload_may_be_sent_again() {
    let fixture = Fixture::new().await;
    let id = held(&fixture).await;
    fixture.clock.pass_ms(HOLD_EXPIRY_MS);
    fixture.pipeline.sweep_once().await.expect("sweeps");
    assert_eq!(only_hold(&fixture).await.status, HoldStatus::Pending);
    fixture.clock.pass_ms(1);
    fixture.pipeline.sweep_once().await.expect("sweeps");
    assert_eq!(fixture.state(id).await, State::Failed { blame: Blame::Platform });
    assert!(fixture.error(id).await.contains("P-HOLD-EXPIRED"));
    assert_ne!(only_hold(&fixture).await.status, HoldStatus::Pending);
    assert_eq!(fixture.accept(1).await, id, "the same upload is the same submission");
    assert_eq!(fixture.state(id).await, State::INITIAL);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_a_set_does_not_give_are_counted_against_it() {
    let fixture = Fixture::new().await;
    fixture.policies.put_in_force(broken("broken"));
    for asked in 1..=3 {
        fixture.pipeline.current_weights().await.expect_err("there are none");
        let faults = fixture.pipeline.store.rewards_faults(Digest::of(b"broken")).await;
        assert_eq!(faults.expect("reads"), RewardsFaults { in_a_row: asked, epochs: 1 });
    }
}
