//! Stored values as clients see them.

use prism_domain::submission::Submission;
use serde_json::{Value, json};

/// The answer to an accepted upload.
pub(super) fn receipt(submission: &Submission) -> Value {
    json!({
        "id": submission.id,
        "hotkey": submission.hotkey,
        "epoch_id": submission.epoch,
        "status": submission.state.status(),
        "code_hash": submission.code_hash,
        "created_at": submission.created_at,
    })
}

/// A submission with its outcome; scores only once they are published.
pub(super) fn submission(submission: &Submission) -> Value {
    let mut shown = receipt(submission);
    if let Some(members) = shown.as_object_mut() {
        let scores = submission.scores;
        members.insert("error".to_owned(), json!(submission.error));
        members.insert("final_score".to_owned(), json!(scores.map(|s| s.final_score)));
        members.insert("q_arch".to_owned(), json!(scores.map(|s| s.q_arch)));
        members.insert("q_recipe".to_owned(), json!(scores.map(|s| s.q_recipe)));
        members.insert("stage".to_owned(), json!(submission.state.stage()));
        members.insert("updated_at".to_owned(), json!(submission.updated_at));
        members.insert("policy_set".to_owned(), json!(submission.policy_set));
    }
    shown
}
