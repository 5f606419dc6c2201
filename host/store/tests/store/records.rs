//! What is kept for ever: measurements, decisions, policy sets, weights.

use std::collections::BTreeMap;

use prism_domain::ids::Digest;
use prism_domain::policy::{FaultClass, PolicyFault, Provenance, Slot};
use prism_domain::rewards::{LedgerView, ScoreRow, Source, Weight, WeightVector};
use prism_domain::submission::{Event, Stage};
use prism_store::{
    DecisionRecord, MeasurementKind, PackedQuestion, ReferenceRuns, RewardsFaults, StageCommit,
    WeightsSnapshot,
};

use crate::fixture::{EPOCH, Fixture, at, hotkey, id};

fn provenance(policy_set: Digest) -> Provenance {
    Provenance {
        slot: Slot::Review,
        policy_set,
        component: Digest::of(b"component"),
        input: Digest::of(b"question"),
        fuel: 12,
        duration_us: 34,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_name_a_policy_set_that_is_stored() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    let set = Digest::of(b"set");
    let question = PackedQuestion::of(b"question").expect("small");
    let decision =
        DecisionRecord { provenance: provenance(set), answer: "{\"a\":0.1}".to_owned(), question };
    let commit = StageCommit {
        decisions: vec![decision.clone()],
        policy_set: Some(set),
        measurements: vec![(MeasurementKind::Facts, b"{}".to_vec())],
        ..StageCommit::new(Event::StageDone)
    };
    let claim = fixture.claim(Stage::Facts).await;
    let refused = fixture.store.commit_stage(&claim, commit.clone(), at(0)).await;
    assert_eq!(refused.map_err(|error| error.code()), Err("conflict"), "the set is unknown");
    assert_eq!(
        fixture.store.measurement(id(1), MeasurementKind::Facts).await.expect("reads"),
        None
    );

    let component = fixture.store.put_component(b"component".to_vec()).await.expect("stored");
    let components = BTreeMap::from([(Slot::Review, component)]);
    for _ in 0..2 {
        fixture
            .store
            .put_policy_set(set, "{}".into(), components.clone(), at(3))
            .await
            .expect("stored");
    }
    let stored = fixture.store.policy_set(set).await.expect("reads").expect("is there");
    assert_eq!(
        (stored.components, stored.canonical.as_str(), stored.created_at),
        (components, "{}", at(3))
    );
    assert_eq!(fixture.store.policy_set(Digest::of(b"other")).await.expect("reads"), None);

    fixture.store.commit_stage(&claim, commit, at(7)).await.expect("committed");
    let decisions = fixture.store.decisions(id(1)).await.expect("reads");
    assert_eq!(decisions.len(), 1);
    assert_eq!(
        (&decisions[0].provenance, &decisions[0].answer),
        (&decision.provenance, &decision.answer)
    );
    assert_eq!(fixture.store.decisions_after(0, 10).await.expect("reads"), decisions);
    assert_eq!(
        fixture.store.decision(decisions[0].sequence).await.expect("reads"),
        decisions.first().cloned()
    );
    let asked = fixture.store.question(decision.provenance.input).await.expect("reads");
    assert_eq!(asked.as_deref(), Some(b"question".as_slice()));
    assert_eq!(fixture.store.question(set).await.expect("reads"), None);
    let stored = fixture.store.submission(id(1)).await.expect("reads").expect("is there");
    assert_eq!(stored.policy_set, Some(set));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_each_kind_the_last_measurement_counts() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    for (stage, bytes) in [(Stage::Facts, "first"), (Stage::Review, "second")] {
        let commit = StageCommit {
            measurements: vec![(MeasurementKind::Review, bytes.into())],
            ..StageCommit::new(Event::StageDone)
        };
        fixture.commit(stage, commit).await.expect("committed");
    }
    let bytes = fixture.store.measurement(id(1), MeasurementKind::Review).await.expect("reads");
    assert_eq!(bytes.as_deref(), Some(b"second".as_slice()));
    let first = fixture.store.blob(Digest::of(b"first")).await.expect("reads");
    assert_eq!(first.as_deref(), Some(b"first".as_slice()), "the first one is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_appended_and_the_last_one_is_served() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.store.last_weights().await.expect("reads"), None);
    let alice = hotkey("alice");
    let row = ScoreRow { submission_id: "s".into(), hotkey: alice.clone(), final_score_ppm: 1 };
    let view = LedgerView { epoch: EPOCH, families: vec![], variants: vec![], scores: vec![row] };
    let sources = vec![Source { source_id: "s".into(), ppm: 1_000_000, explanation: "all".into() }];
    let vector = WeightVector::new(vec![Weight { hotkey: alice, ppm: 1_000_000, sources }], &view);
    let snapshot = |at| WeightsSnapshot {
        epoch: EPOCH,
        vector: vector.clone().expect("valid"),
        provenance: provenance(Digest::of(b"set")),
        ledger_digest: Digest::of(b"view"),
        at,
    };
    let view_question = || PackedQuestion::of(b"view").expect("small");
    let fault = PolicyFault {
        class: FaultClass::GuestFault,
        code: "policy-trap".into(),
        message: "unreachable".into(),
    };
    let set = Digest::of(b"set");
    fixture.store.note_rewards_fault(set, EPOCH, &fault, at(1)).await.expect("noted");
    fixture.store.put_weights_snapshot(&snapshot(at(1)), view_question()).await.expect("appended");
    let faults = fixture.store.rewards_faults(set).await.expect("reads");
    assert_eq!(faults, RewardsFaults { in_a_row: 0, epochs: 1 }, "an answer ends the row");
    fixture.store.put_weights_snapshot(&snapshot(at(2)), view_question()).await.expect("appended");
    assert_eq!(fixture.store.last_weights().await.expect("reads"), Some(snapshot(at(2))));
    assert_eq!(fixture.store.recent_weights(10).await.expect("reads").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_cannot_be_rewritten_and_damage_is_named() {
    let fixture = Fixture::new().await;
    fixture.accept(1).await;
    let mut stranger = fixture.stranger().await;
    for sql in ["DELETE FROM events", "UPDATE events SET at = 0", "UPDATE blobs SET bytes = x'00'"]
    {
        assert!(sqlx::query(sql).execute(&mut stranger).await.is_err(), "{sql}");
    }
    for sql in ["DROP TRIGGER blobs_never_change", "UPDATE blobs SET bytes = x'00'"] {
        sqlx::query(sql).execute(&mut stranger).await.expect("damaged");
    }
    let archive = fixture.store.submission(id(1)).await.expect("reads").expect("is there").archive;
    let damaged = fixture.store.blob(archive).await.map_err(|error| error.code());
    assert_eq!(damaged, Err("corrupt"));
    sqlx::query("UPDATE submissions SET code_hash = 'x'")
        .execute(&mut stranger)
        .await
        .expect("damaged");
    let damaged = fixture.store.submission(id(1)).await.map_err(|error| error.code());
    assert_eq!(damaged, Err("corrupt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_reference_runs_count_and_only_so_many_are_kept() {
    let fixture = Fixture::new().await;
    let asked = |n: u8| Digest::of(&[n]);
    let keep = |n: u8, stack: &str, bytes: &str| StageCommit {
        reference: Some(ReferenceRuns {
            asked: asked(n),
            stack: Digest::of(stack.as_bytes()),
            bytes: bytes.as_bytes().to_vec(),
        }),
        ..StageCommit::new(Event::StageDone)
    };
    for (n, ms, commit) in
        [(1, 0, keep(1, "a", "old")), (2, 5, keep(1, "b", "new")), (3, 9, keep(2, "a", "other"))]
    {
        fixture.accept(n).await;
        let claim = fixture.claim(Stage::Facts).await;
        fixture.store.commit_stage(&claim, commit, at(ms)).await.expect("kept");
    }
    let kept = async |n| fixture.store.reference_runs(asked(n)).await.expect("reads");
    assert_eq!(kept(1).await.as_deref(), Some(&b"new"[..]));
    assert_eq!(kept(3).await, None);
    assert_eq!(fixture.store.prune_reference_runs(at(0), 3).await.expect("prunes"), 0);
    assert_eq!(fixture.store.prune_reference_runs(at(0), 2).await.expect("prunes"), 1);
    assert_eq!(kept(1).await.as_deref(), Some(&b"new"[..]), "the oldest went");
    assert_eq!(fixture.store.prune_reference_runs(at(6), 2).await.expect("prunes"), 1);
    assert_eq!((kept(1).await, kept(2).await.is_some()), (None, true));

    let mut stranger = fixture.stranger().await;
    sqlx::query("UPDATE reference_runs SET bytes = x'00'")
        .execute(&mut stranger)
        .await
        .expect("damaged");
    let damaged = fixture.store.reference_runs(asked(2)).await.map_err(|error| error.code());
    assert_eq!(damaged, Err("corrupt"));
}
