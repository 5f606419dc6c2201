//! What happens round an evaluation: what is refused before it, and what is told while it runs.

use std::sync::atomic::Ordering;

use prism_domain::submission::{ProjectKind, Stage, State};

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
