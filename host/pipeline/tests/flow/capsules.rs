//! Scored submissions that are taken along and run again.

use prism_domain::ids::Digest;
use prism_domain::submission::{ProjectKind, Stage, State};
use prism_domain::telemetry::Telemetry;
use prism_intake::ArchiveLimits;
use prism_pipeline::{
    Again, Capsule, CapsuleError, Differences, OTHER_STACK_BPB, SAME_STACK_BPB, differences,
};
use serde_json::{Value, json};

use crate::fixture::{Fixture, facts};

async fn scored(fixture: &Fixture, n: u32) -> Capsule {
    fixture.evaluator.score(|_| Ok(0.5));
    let id = fixture.accept_at(n, Stage::Evaluation, &facts(ProjectKind::Full)).await;
    let early = fixture.pipeline.capsule(id).await;
    assert!(matches!(early, Err(CapsuleError::NotScored(_))), "{early:?}");
    assert!(fixture.work(Stage::Evaluation).await);
    assert!(fixture.work(Stage::Scoring).await);
    assert_eq!(fixture.state(id).await, State::Pending { stage: Stage::Attribution });
    let capsule = fixture.pipeline.capsule(id).await.expect("a capsule");
    let text = serde_json::to_string(&capsule).expect("JSON");
    assert!(!text.contains(&"07".repeat(32)), "the deployment's key stays at home");
    let read: Capsule = serde_json::from_str(&text).expect("a capsule");
    assert_eq!(read, capsule);
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capsule_holds_the_very_job() {
    let fixture = Fixture::new().await;
    let first = scored(&fixture, 1).await;
    let job = fixture.evaluator.last_job();
    assert_eq!(first.job(&ArchiveLimits::default()).expect("a job"), job);
    // The second took the reference's runs from the first, and so does its capsule.
    let second = scored(&fixture, 2).await;
    let again = second.job(&ArchiveLimits::default()).expect("a job");
    let offered: Value =
        serde_json::from_slice(&again.reference.clone().expect("offered")).expect("JSON");
    assert_eq!(offered["runs"][0]["role"], "reference");
    let own = fixture.evaluator.last_job();
    assert_eq!((again.seeds, again.secret, again.project), (own.seeds, own.secret, own.project));

    let other = Capsule { schema: "prism.capsule/9".to_owned(), ..first };
    let refused = other.job(&ArchiveLimits::default());
    assert!(matches!(refused, Err(CapsuleError::Schema(_))), "{refused:?}");
}

/// Compares a capsule with a change of its own telemetry.
fn changed(capsule: &Capsule, change: impl FnOnce(&mut Value)) -> Differences {
    let mut telemetry = capsule.telemetry.clone();
    change(&mut telemetry);
    let measured = Telemetry::parse(telemetry.to_string().as_bytes()).expect("valid");
    let again = Again {
        telemetry: &telemetry,
        measured: &measured,
        report: &capsule.report,
        policy_set: capsule.policy_set,
        backend: &capsule.backend,
        instruments: capsule.instruments,
    };
    differences(capsule, &again, None).expect("compared")
}

/// A loss that is that much higher, bits per byte.
fn higher(telemetry: &mut Value, bpb: f64) {
    let nll = &mut telemetry["runs"][0]["cols"]["nll_sum"][0];
    *nll = json!(nll.as_f64().expect("a number") + bpb * std::f64::consts::LN_2);
}

fn told(differences: &Differences) -> Vec<&str> {
    differences.mismatches.iter().map(|mismatch| mismatch.what.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tolerance_follows_the_stack() {
    let capsule = scored(&Fixture::new().await, 1).await;
    let same = changed(&capsule, |_| {});
    assert!(same.agrees && same.mismatches.is_empty(), "{same:?}");
    assert_eq!((same.max_delta_bpb, same.tolerance_bpb), (0.0, SAME_STACK_BPB));
    let moved = changed(&capsule, |telemetry| higher(telemetry, 1e-6));
    assert!(!moved.agrees && moved.mismatches.is_empty(), "{moved:?}");

    let torch = |telemetry: &mut Value| telemetry["env"]["torch"] = json!("1.13.1");
    for (bpb, agrees) in [(1e-3, true), (3e-3, false)] {
        let other = changed(&capsule, |telemetry| {
            torch(telemetry);
            higher(telemetry, bpb);
        });
        assert_eq!((other.agrees, other.tolerance_bpb), (agrees, OTHER_STACK_BPB), "{other:?}");
        assert_eq!(told(&other), ["env.torch"]);
        assert!((other.max_delta_bpb - bpb).abs() < 1e-9);
    }
    let confined = changed(&capsule, |telemetry| telemetry["env"]["isolation"] = json!("one"));
    assert!(confined.agrees, "{confined:?}");
    assert_eq!((told(&confined), confined.tolerance_bpb), (vec!["env.isolation"], SAME_STACK_BPB));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_is_told_and_is_no_agreement() {
    let capsule = scored(&Fixture::new().await, 1).await;
    let text = changed(&capsule, |telemetry| telemetry["data"]["val_sha256"] = json!("another"));
    assert!(!text.agrees && text.mismatches[0].fatal, "{text:?}");
    assert_eq!(told(&text), ["data.val_sha256"]);

    let longer = changed(&capsule, |telemetry| telemetry["runs"][0]["steps_planned"] = json!(2));
    let note = longer.runs[0].note.clone().unwrap_or_default();
    assert!(!longer.agrees && note.contains("steps"), "{longer:?}");

    let gone = changed(&capsule, |telemetry| {
        telemetry["runs"].as_array_mut().expect("runs").truncate(1);
    });
    assert!(!gone.agrees && gone.runs.iter().any(|run| run.note.is_some()), "{gone:?}");

    // Reference runs of another evaluation stand under another secret: nothing to compare, nothing wrong.
    let reused = changed(&capsule, |telemetry| {
        telemetry["runs"][1]["cached"] = json!(true);
        telemetry["runs"][1]["cols"]["nll_sum"][0] = json!(9.0);
    });
    assert!(reused.agrees && reused.runs[1].note.is_some(), "{reused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_harness_is_another_stack() {
    let capsule = scored(&Fixture::new().await, 1).await;
    let mut instruments = capsule.instruments.expect("recorded");
    instruments.harness = Digest::of(b"another");
    let before = Capsule { instruments: Some(instruments), ..capsule.clone() };
    let measured = capsule.measured().expect("valid");
    let again = Again {
        telemetry: &capsule.telemetry,
        measured: &measured,
        report: &capsule.report,
        policy_set: Digest::of(b"another set"),
        backend: "docker",
        instruments: capsule.instruments,
    };
    let found = differences(&before, &again, None).expect("compared");
    assert_eq!(told(&found), ["harness", "backend", "policy_set"]);
    assert!(found.agrees && found.tolerance_bpb > SAME_STACK_BPB, "{found:?}");
}
