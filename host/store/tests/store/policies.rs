//! Components, the log of policy sets, and which set is in force.

use std::collections::BTreeMap;

use prism_domain::ids::Digest;
use prism_domain::lifecycle::{SetEvent, SetState};
use prism_domain::policy::{FaultClass, PolicyFault, Slot};
use prism_domain::time::EpochId;
use prism_store::{
    Act, Activation, NewActivation, PolicyLogEntry, RewardsFaults, StoreError, StoredComponent,
    StoredSignature, component_log_is_whole, log_is_whole,
};

use crate::fixture::{Fixture, at};

fn act(reason: &str) -> Act {
    Act { actor: "olga".to_owned(), reason: reason.to_owned(), at: at(1) }
}

fn activation(expected: Option<Digest>) -> NewActivation {
    NewActivation { expected, embedded: false, without_backtest: None, act: act("better") }
}

/// Two sets that passed their cases.
async fn checked_sets(fixture: &Fixture) -> [Digest; 2] {
    let sets = [Digest::of(b"one"), Digest::of(b"two")];
    for set in sets {
        fixture
            .store
            .put_policy_set(set, "{}".into(), BTreeMap::new(), at(0))
            .await
            .expect("stored");
        let state = fixture.store.apply_set_event(set, SetEvent::Checked, act("new")).await;
        assert_eq!(state.expect("legal"), SetState::Checked);
    }
    sets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_stored_once_and_read_back_whole() {
    let fixture = Fixture::new().await;
    let component = StoredComponent {
        digest: Digest::of(b"wasm"),
        slot: Slot::Scaling,
        name: "scaling".into(),
        version: "1.2.3".into(),
        summary: "Scores.".into(),
        settings_schema: "{}".into(),
        default_settings: "{}".into(),
        size_bytes: 4,
        actor: "olga".into(),
        note: "first".into(),
        at: at(5),
    };
    let put = || fixture.store.put_policy_component(component.clone(), b"wasm".to_vec(), None);
    assert!(put().await.expect("stored"));
    assert!(!put().await.expect("stored"), "the second time nothing is new");
    let log = fixture.store.component_log_after(0, 9).await.expect("reads");
    assert_eq!((log.len(), log[0].component, &log[0].signature), (1, component.digest, &None));
    assert_eq!((log[0].actor.as_str(), log[0].note.as_str()), ("olga", "first"));
    let found = fixture.store.policy_component(component.digest).await.expect("reads");
    assert_eq!(found.as_ref(), Some(&component));
    assert_eq!(
        fixture.store.policy_components(9).await.expect("reads"),
        std::slice::from_ref(&component)
    );
    let bytes = fixture.store.blob(component.digest).await.expect("reads");
    assert_eq!(bytes.as_deref(), Some(b"wasm".as_slice()));
}

#[tokio::test(flavor = "multi_thread")]
async fn activation_supersedes_the_set_before_and_goes_back_and_forth() {
    let fixture = Fixture::new().await;
    let [one, two] = checked_sets(&fixture).await;
    assert_eq!(fixture.store.active().await.expect("reads"), None);
    let first = fixture.store.activate(one, activation(None)).await.expect("activated");
    assert_eq!((first.policy_set, first.replaced), (one, None));
    let second = fixture.store.activate(two, activation(Some(one))).await.expect("activated");
    assert_eq!((second.policy_set, second.replaced), (two, Some(one)));
    let state = async |set| fixture.store.set_state(set).await.expect("reads");
    assert_eq!(
        (state(one).await, state(two).await),
        (Some(SetState::Superseded), Some(SetState::Active))
    );
    let again = fixture.store.activate(two, activation(Some(two))).await.expect("stays");
    assert_eq!(again, second, "what is in force stays as it is");
    let back = fixture.store.activate(one, activation(Some(two))).await.expect("rolled back");
    assert_eq!(fixture.store.active().await.expect("reads"), Some(back));
    assert_eq!(
        (state(one).await, state(two).await),
        (Some(SetState::Active), Some(SetState::Superseded))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_activates_on_a_wrong_belief_or_out_of_turn() {
    let fixture = Fixture::new().await;
    let [one, two] = checked_sets(&fixture).await;
    let first = fixture.store.activate(one, activation(None)).await.expect("activated");
    let refused = fixture.store.activate(two, activation(Some(two))).await;
    assert!(matches!(refused, Err(StoreError::Moved(_))), "{refused:?}");
    let unknown = fixture.store.activate(Digest::of(b"three"), activation(None)).await;
    assert_eq!(
        unknown.map_err(|error| error.code()),
        Err("illegal-transition"),
        "nothing was checked"
    );
    fixture.store.apply_set_event(two, SetEvent::Revoked, act("leaks")).await.expect("revoked");
    let revoked = fixture.store.activate(two, activation(Some(one))).await;
    assert_eq!(revoked.map_err(|error| error.code()), Err("illegal-transition"));
    let in_force = fixture.store.active().await.expect("reads");
    assert_eq!(in_force.map(|active: Activation| active.sequence), Some(first.sequence));
    let state = fixture.store.set_state(one).await.expect("reads");
    assert_eq!(state, Some(SetState::Active), "a refused activation supersedes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_shows_what_was_changed_or_left_out() {
    let fixture = Fixture::new().await;
    let [one, _] = checked_sets(&fixture).await;
    fixture.store.activate(one, activation(None)).await.expect("activated");
    let log = fixture.store.policy_log_after(0, 100).await.expect("reads");
    assert_eq!(log.len(), 3);
    assert!(log_is_whole("", &log));
    assert!(log_is_whole(&log[0].hash, &log[1..]));
    let without: Vec<PolicyLogEntry> = [&log[..1], &log[2..]].concat();
    assert!(!log_is_whole("", &without), "a row is missing");
    let mut changed = log.clone();
    changed[1].reason = "another reason".into();
    assert!(!log_is_whole("", &changed));
    let mut stranger = fixture.stranger().await;
    for sql in
        ["DELETE FROM policy_log", "UPDATE policy_log SET actor = ''", "DELETE FROM activations"]
    {
        assert!(sqlx::query(sql).execute(&mut stranger).await.is_err(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_that_signs_a_component_is_on_record_once() {
    let fixture = Fixture::new().await;
    let component = Digest::of(b"signed");
    let signed = |key: &str| StoredSignature {
        key_name: key.to_owned(),
        key: format!("public of {key}"),
        signature: "00".into(),
    };
    let stored = StoredComponent {
        digest: component,
        slot: Slot::Review,
        name: "review".into(),
        version: "1.0.0".into(),
        summary: String::new(),
        settings_schema: "{}".into(),
        default_settings: "{}".into(),
        size_bytes: 6,
        actor: "olga".into(),
        note: "new".into(),
        at: at(1),
    };
    let store = &fixture.store;
    store
        .put_policy_component(stored, b"signed".to_vec(), Some(signed("a")))
        .await
        .expect("stored");
    let more = async |key: &str| {
        store.put_component_signature(component, signed(key), act("too")).await.expect("stored")
    };
    assert!(!more("a").await && more("b").await && !more("b").await);
    let log = store.pushes_of(component).await.expect("reads");
    let keys: Vec<_> = log.iter().map(|entry| entry.signature.clone()).collect();
    assert_eq!(keys, [Some(signed("a")), Some(signed("b"))]);
    assert!(component_log_is_whole("", &log) && !component_log_is_whole("", &log[1..]));
    let mut changed = log;
    changed[0].signature = None;
    assert!(!component_log_is_whole("", &changed), "who signed cannot be taken away");
    let mut stranger = fixture.stranger().await;
    for sql in ["DELETE FROM component_log", "UPDATE component_log SET key_name = 'c'"] {
        assert!(sqlx::query(sql).execute(&mut stranger).await.is_err(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_set_gives_way_at_once_and_never_comes_back() {
    let fixture = Fixture::new().await;
    let [one, two] = checked_sets(&fixture).await;
    let store = &fixture.store;
    store.activate(one, activation(None)).await.expect("activated");
    store.activate(two, activation(None)).await.expect("activated");
    assert_eq!(store.way_back(two).await.expect("reads"), Some(one));
    let nowhere = store.revoke(two, None, act("leaks")).await;
    assert_eq!(nowhere.map_err(|error| error.code()), Err("moved"), "it is in force");
    let back = store.revoke(two, Some(one), act("leaks")).await.expect("revoked");
    assert_eq!(back.map(|active| (active.policy_set, active.replaced)), Some((one, Some(two))));
    assert_eq!(store.active().await.expect("reads"), back);
    assert_eq!(store.set_state(two).await.expect("reads"), Some(SetState::Revoked));
    assert_eq!(store.way_back(one).await.expect("reads"), None, "not to what was revoked");
    let again = store.revoke(two, Some(one), act("twice")).await;
    assert_eq!(again.map_err(|error| error.code()), Err("illegal-transition"));
    let released = store.apply_set_event(two, SetEvent::Released, act("please")).await;
    assert_eq!(released.map_err(|error| error.code()), Err("illegal-transition"));
    assert!(log_is_whole("", &store.policy_log_after(0, 100).await.expect("reads")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_set_is_no_way_back_until_it_is_released() {
    let fixture = Fixture::new().await;
    let [one, two] = checked_sets(&fixture).await;
    let store = &fixture.store;
    store.activate(one, activation(None)).await.expect("activated");
    store.activate(two, activation(None)).await.expect("activated");
    let gone = store.quarantine(one, two, act("late")).await.expect("looked at");
    assert_eq!(gone, None, "another set is in force by now");
    store.quarantine(two, one, act("fails")).await.expect("done").expect("another is in force");
    assert_eq!(store.way_back(one).await.expect("reads"), None);
    let state = store.apply_set_event(two, SetEvent::Released, act("mended")).await;
    assert_eq!(state.expect("released"), SetState::Checked);
    assert_eq!(store.way_back(one).await.expect("reads"), Some(two));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_weights_are_counted_until_the_set_comes_into_force_again() {
    let fixture = Fixture::new().await;
    let [one, two] = checked_sets(&fixture).await;
    let store = &fixture.store;
    let fault = PolicyFault {
        class: FaultClass::GuestFault,
        code: "policy-trap".into(),
        message: "x".repeat(100_000),
    };
    for epoch in [7, 7, 8] {
        store.note_rewards_fault(one, EpochId(epoch), &fault, at(2)).await.expect("noted");
    }
    let counted = async |set| store.rewards_faults(set).await.expect("reads");
    assert_eq!(counted(one).await, RewardsFaults { in_a_row: 3, epochs: 2 });
    assert_eq!(counted(two).await, RewardsFaults { in_a_row: 0, epochs: 0 });
    store.activate(one, activation(None)).await.expect("activated");
    assert_eq!(counted(one).await, RewardsFaults { in_a_row: 0, epochs: 0 });
}
