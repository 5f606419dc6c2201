//! `prism policy shadow` and `prism policy diff`: a set beside the one in force, and where the two disagree.

use std::process::ExitCode;

use clap::Args;
use prism_domain::ids::Digest;
use reqwest::Method;
use serde_json::{Value, json};

use super::difference::changes;
use super::remote::{Remote, set_told, text};
use crate::cli::output;
use crate::config::Settings;

/// How much of an answer a line shows.
const SHOWN_MAX: usize = 160;

#[derive(Debug, Args)]
pub(in crate::cli) struct Shadow {
    /// The policy set.
    set: Digest,
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Diff {
    /// The policy set that runs, or ran, beside.
    set: Digest,
    /// Only disagreements after this decision.
    #[arg(long, default_value_t = 0)]
    after: i64,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn shadow(settings: &Settings, arguments: &Shadow) -> anyhow::Result<ExitCode> {
    let path = format!("/sets/{}/shadow", arguments.set);
    let answer = arguments.remote.post(settings, &path, &json!({"reason": arguments.reason}))?;
    arguments.remote.show(&answer, set_told)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn diff(settings: &Settings, arguments: &Diff) -> anyhow::Result<ExitCode> {
    let remote = &arguments.remote;
    let ask = |path: &str| remote.ask(settings, Method::GET, path, None);
    let mut answer = ask(&format!("/sets/{}/shadow?after={}", arguments.set, arguments.after))?;
    let in_force = ask("/active")?;
    let slots = |set: &str| -> anyhow::Result<Value> {
        Ok(ask(&format!("/sets/{set}"))?.get("slots").cloned().unwrap_or_default())
    };
    let (before, after) = (slots(text(&in_force, "loaded"))?, slots(&arguments.set.to_string())?);
    let changed = changes(&before, &after);
    if let Some(members) = answer.as_object_mut() {
        members.insert("changes".to_owned(), json!(changed));
    }
    remote.show(&answer, |answer| {
        output::line("beside the set in force:");
        for change in &changed {
            output::line(&format!("  {change}"));
        }
        tell(answer);
    })?;
    Ok(ExitCode::SUCCESS)
}

fn tell(answer: &Value) {
    let list = |name: &str| answer.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let heading = ["slot", "decisions", "same", "differs", "fault", "untried"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for count in list("slots") {
        let number = |name: &str| count.get(name).map(ToString::to_string).unwrap_or_default();
        let mut row = vec![text(&count, "slot").to_owned()];
        row.extend(["decisions", "same", "differs", "fault", "untried"].map(number));
        rows.push(row);
    }
    output::table(&rows);
    for disagreement in list("disagreements") {
        let of =
            |name: &str| -> String { text(&disagreement, name).chars().take(SHOWN_MAX).collect() };
        let decision = disagreement.get("decision").map(ToString::to_string).unwrap_or_default();
        output::line(&format!("{decision} {} of {}", of("slot"), of("submission_id")));
        output::line(&format!("  counts: {}", of("answer")));
        output::line(&format!("  shadow: {}", of("shadow_answer")));
    }
}
