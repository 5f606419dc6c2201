//! Submissions that began under a policy set which is in force no longer.

use std::collections::BTreeMap;
use std::sync::Arc;

use prism_domain::ids::{Digest, SubmissionId};
use prism_domain::policy::Slot;
use prism_domain::submission::{ProjectKind, Stage, State};
use prism_domain::time::Clock as _;
use prism_store::Act;

use crate::fixture::{Fixture, broken, facts, sound};

const REVIEWED: State = State::Pending { stage: Stage::Evaluation };

/// Stores the set `old` with a component, and a submission that began under it.
async fn begun(fixture: &Fixture) -> (SubmissionId, Digest, Digest) {
    let store = &fixture.pipeline.store;
    let component = store.put_component(b"a component".to_vec()).await.expect("stored");
    let (old, now) = (Digest::of(b"old"), fixture.clock.now());
    let components = BTreeMap::from([(Slot::Review, component)]);
    store.put_policy_set(old, "manifest".to_owned(), components, now).await.expect("stored");
    let facts = facts(ProjectKind::Full);
    (fixture.accept_under(Some(old), 1, Stage::Review, &facts).await, old, component)
}

async fn decided_under(fixture: &Fixture, id: SubmissionId) -> Option<Digest> {
    fixture.pipeline.store.submission(id).await.expect("reads").expect("is there").policy_set
}

#[tokio::test(flavor = "multi_thread")]
async fn the_set_they_began_with_is_loaded_from_the_database() {
    let fixture = Fixture::new().await;
    let (id, old, component) = begun(&fixture).await;
    fixture.policies.put_in_force(broken("broken"));
    *fixture.policies.restorable.lock().expect("free") = Some(Arc::new(sound("old")));
    assert!(fixture.work(Stage::Review).await);
    assert_eq!(fixture.state(id).await, REVIEWED);
    assert_eq!(decided_under(&fixture, id).await, Some(old));
    let asked = fixture.policies.asked.lock().expect("free").clone();
    let stored = BTreeMap::from([(component, b"a component".to_vec())]);
    assert_eq!(asked, Some(("manifest".to_owned(), stored)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_present_set_decides_when_theirs_cannot_be_loaded_or_is_another() {
    for restorable in [None, Some(Arc::new(broken("another")))] {
        let fixture = Fixture::new().await;
        let (id, _, _) = begun(&fixture).await;
        fixture.policies.put_in_force(sound("sound"));
        *fixture.policies.restorable.lock().expect("free") = restorable;
        assert!(fixture.work(Stage::Review).await);
        assert_eq!(fixture.state(id).await, REVIEWED);
        assert_eq!(decided_under(&fixture, id).await, Some(Digest::of(b"sound")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_set_is_not_loaded_and_the_present_one_decides() {
    let fixture = Fixture::new().await;
    let (id, old, _) = begun(&fixture).await;
    let act =
        || Act { actor: "olga".to_owned(), reason: "leaks".to_owned(), at: fixture.clock.now() };
    let store = &fixture.pipeline.store;
    store.revoke(old, None, act()).await.expect("revoked");
    fixture.policies.put_in_force(sound("sound"));
    *fixture.policies.restorable.lock().expect("free") = Some(Arc::new(broken("old")));
    assert!(fixture.work(Stage::Review).await);
    assert_eq!(fixture.state(id).await, REVIEWED);
    assert_eq!(decided_under(&fixture, id).await, Some(Digest::of(b"sound")));
    assert_eq!(fixture.policies.asked.lock().expect("free").clone(), None, "nobody tried");
}
