//! The reference's runs, measured once for each plan and seeds.

use prism_domain::submission::{ProjectKind, Stage};
use serde_json::Value;

use crate::fixture::{Fixture, facts};

const DAYS_3_MS: i64 = 3 * 86_400_000;

/// Evaluates submission `n` of `epoch`; the reference run that it was offered.
async fn evaluated(fixture: &Fixture, epoch: u64, n: u32) -> Option<Value> {
    fixture.accept_at_in(epoch, n, Stage::Evaluation, &facts(ProjectKind::Full)).await;
    assert!(fixture.work(Stage::Evaluation).await);
    let offered = fixture.evaluator.last_job().reference;
    offered.map(|bytes| serde_json::from_slice::<Value>(&bytes).expect("JSON")["runs"][0].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_offered_to_the_next_evaluation_with_the_same_seeds() {
    let mut fixture = Fixture::new().await;
    fixture.evaluator.score(|_| Ok(0.5));
    assert_eq!(evaluated(&fixture, 1, 1).await, None);
    for n in [2, 3] {
        let offered = evaluated(&fixture, 1, n).await.expect("offered");
        assert_eq!(offered["role"], "reference");
        assert_eq!(offered.get("cached"), None, "what was used again is not kept again");
    }
    assert_eq!(evaluated(&fixture, 2, 4).await, None, "other seeds");
    fixture.pipeline.config.plan = "another".to_owned();
    assert_eq!(evaluated(&fixture, 1, 5).await, None, "another plan");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_ones_go_with_the_sweep() {
    let fixture = Fixture::new().await;
    fixture.evaluator.score(|_| Ok(0.5));
    evaluated(&fixture, 1, 1).await;
    fixture.clock.pass_ms(DAYS_3_MS);
    fixture.pipeline.sweep_once().await.expect("sweeps");
    assert!(evaluated(&fixture, 1, 2).await.is_some(), "young enough");
    fixture.clock.pass_ms(1);
    fixture.pipeline.sweep_once().await.expect("sweeps");
    assert_eq!(evaluated(&fixture, 1, 3).await, None);
}
