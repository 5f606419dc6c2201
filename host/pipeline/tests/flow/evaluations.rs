//! What happens round an evaluation: what is refused before it, and what is told while it runs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prism_domain::evaluation::Progress;
use prism_domain::submission::{ProjectKind, Stage, State};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, facts};

#[tokio::test(flavor = "multi_thread")]
async fn a_training_for_a_family_that_does_not_exist_is_refused_before_the_sandbox() {
    let unknown = "018f2f6e-0000-4000-8000-000000000000";
    for (n, named) in (1..).zip([Some(unknown), Some("not an id"), None]) {
        let fixture = Fixture::new().await;
        let mut facts = facts(ProjectKind::TrainingForArch);
        facts.target_family = named.map(str::to_owned);
        let id = fixture.accept_at(n, Stage::Evaluation, &facts).await;
        assert!(fixture.work(Stage::Evaluation).await);
        assert_eq!(fixture.state(id).await, State::Rejected, "{named:?}");
        let error = fixture.error(id).await;
        assert!(error.starts_with("ATTR-NO-TARGET: "), "{error}");
        assert!(error.contains(named.unwrap_or("no architecture family is named")), "{error}");
        assert_eq!(fixture.evaluator.runs.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_unpacked_under_the_configured_limits() {
    for (file_bytes, evaluations) in [(4, 0), (1_000, 1)] {
        let mut fixture = Fixture::new().await;
        fixture.pipeline.config.archive_limits.file_bytes = file_bytes;
        fixture.accept_at(1, Stage::Evaluation, &facts(ProjectKind::Full)).await;
        assert!(fixture.work(Stage::Evaluation).await);
        assert_eq!(
            fixture.evaluator.runs.load(Ordering::SeqCst),
            evaluations,
            "{file_bytes} bytes"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_processes_read_the_progress_from_the_database() {
    let fixture = Fixture::new().await;
    let told = Progress {
        probe: "base".to_owned(),
        run_id: "r0".to_owned(),
        step: 3,
        steps: 150,
        loss_nats: Some(2.5),
        done: 0.25,
        eta_ms: 9_000,
    };
    *fixture.evaluator.progress.lock().expect("free") = Some(told.clone());
    let id = fixture.accept_at(1, Stage::Evaluation, &facts(ProjectKind::Full)).await;
    let (pipeline, stop) = (fixture.pipeline.clone(), CancellationToken::new());
    let token = stop.clone();
    let worker =
        tokio::spawn(
            async move { pipeline.work_once("worker", &[Stage::Evaluation], &token).await },
        );
    let store = &fixture.pipeline.store;
    let mut read = None;
    for _ in 0..100 {
        read = store.progress(id).await.expect("reads");
        if read.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(read, Some(told));
    stop.cancel();
    assert!(worker.await.expect("no panic").expect("works"));
    assert_eq!(store.progress(id).await.expect("reads"), None, "nothing runs any more");
}
