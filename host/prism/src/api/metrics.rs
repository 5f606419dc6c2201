//! Numbers for whoever watches, in the text format of Prometheus. A viewer's token is needed: what is counted here
//! tells how busy a deployment is.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::auth::Viewer;
use super::problem::Problem;
use super::state::ApiState;

pub(super) async fn metrics(_: Viewer, State(state): State<ApiState>) -> Result<Response, Problem> {
    let store = &state.pipeline.store;
    let mut text = String::new();
    heading(&mut text, "prism_submissions", "gauge", "Submissions by status.");
    for (status, count) in store.count_by_status().await? {
        line(&mut text, &format!("prism_submissions{{status=\"{status}\"}}"), count);
    }
    if let Some(active) = store.active().await? {
        let loaded = state.pipeline.policies.current().digest();
        heading(
            &mut text,
            "prism_policy_set_follows",
            "gauge",
            "1 when this process decides with the set in force.",
        );
        line(&mut text, "prism_policy_set_follows", u64::from(active.policy_set == loaded));
        let (submissions, _hotkeys) = store.policy_faults(active.policy_set).await?;
        heading(
            &mut text,
            "prism_policy_faults",
            "gauge",
            "Submissions that wait because the set in force gives no answer.",
        );
        line(&mut text, "prism_policy_faults", submissions);
    }
    heading(&mut text, "prism_backtests_running", "gauge", "Backtests under way or waiting.");
    line(&mut text, "prism_backtests_running", store.backtests_running().await?);
    if let Some(check) = store.last_self_check().await? {
        heading(
            &mut text,
            "prism_self_check_decisions",
            "gauge",
            "Decisions of the last self-check by how they came out.",
        );
        for (verdict, count) in
            [("same", check.same), ("differs", check.differs), ("unknown", check.unknown)]
        {
            line(&mut text, &format!("prism_self_check_decisions{{verdict=\"{verdict}\"}}"), count);
        }
        let began = u64::try_from(check.at.as_seconds()).unwrap_or(0);
        heading(
            &mut text,
            "prism_self_check_timestamp_seconds",
            "gauge",
            "When the last self-check that ended began.",
        );
        line(&mut text, "prism_self_check_timestamp_seconds", began);
    }
    model_calls(&mut text, &store.model_calls().await?);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn model_calls(text: &mut String, calls: &[(String, u64, u64)]) {
    heading(
        text,
        "prism_model_calls_total",
        "counter",
        "Calls of the language model by how they came out.",
    );
    for (outcome, count, _) in calls {
        line(text, &format!("prism_model_calls_total{{outcome=\"{outcome}\"}}"), *count);
    }
    heading(
        text,
        "prism_model_tokens_total",
        "counter",
        "Tokens that the language model was paid for.",
    );
    line(text, "prism_model_tokens_total", calls.iter().map(|(.., tokens)| tokens).sum());
}

fn heading(text: &mut String, name: &str, kind: &str, help: &str) {
    let _written = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, value: u64) {
    let _written = writeln!(text, "{name} {value}");
}
