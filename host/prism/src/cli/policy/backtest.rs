//! `prism policy backtest`, `rescore`, `canary` and `retire`: what a set would do, and what it does to a part.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use prism_domain::ids::Digest;
use reqwest::Method;
use serde_json::{Value, json};

use super::remote::{Remote, set_told, text};
use crate::cli::{output, runtime};
use crate::config::Settings;

/// How often the server is asked how far it is.
const LOOK: Duration = Duration::from_millis(250);
/// After so many looks it is told that nobody has begun.
const LOOKS_UNTAKEN: u32 = 40;
/// How many weights, owners and submissions are shown.
const SHOWN_MAX: usize = 20;

#[derive(Debug, Args)]
pub(in crate::cli) struct Backtest {
    /// The policy set.
    #[arg(required_unless_present = "id")]
    set: Option<Digest>,
    /// Why.
    #[arg(long, default_value = "a backtest")]
    reason: String,
    /// Show this backtest, and wait for it, instead of asking for a new one.
    #[arg(long, value_name = "N", conflicts_with = "set")]
    id: Option<i64>,
    /// Do not wait for its end.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Rescore {
    /// Number of a finished backtest of the set in force.
    backtest: i64,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
    /// Let it count; without this it is only shown.
    #[arg(long, requires = "reason")]
    apply: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Canary {
    /// The policy set.
    set: Digest,
    /// Share of the submissions, percent.
    #[arg(long, value_name = "PERCENT")]
    share: f64,
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Retire {
    /// The policy set that runs beside, or decides about a share.
    set: Digest,
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

/// Exit code 1 when the backtest cannot be made.
pub(super) fn run(settings: &Settings, arguments: &Backtest) -> anyhow::Result<ExitCode> {
    let remote = &arguments.remote;
    let id = match (arguments.id, arguments.set) {
        (Some(id), _) => id,
        (None, set) => {
            let body = json!({"set": set, "reason": arguments.reason});
            let asked = remote.post(settings, "/backtests", &body)?;
            asked.get("id").and_then(Value::as_i64).unwrap_or_default()
        }
    };
    let backtest = if arguments.no_wait {
        remote.ask(settings, Method::GET, &format!("/backtests/{id}"), None)?
    } else {
        waited(settings, remote, id)?
    };
    let changes = remote.ask(settings, Method::GET, &format!("/backtests/{id}/changes"), None)?;
    remote.show(&backtest, |backtest| tell(backtest, &changes))?;
    let failed = text(&backtest, "state") == "failed";
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub(super) fn rescore(settings: &Settings, arguments: &Rescore) -> anyhow::Result<ExitCode> {
    let (remote, id) = (&arguments.remote, arguments.backtest);
    if !arguments.apply {
        let backtest = remote.ask(settings, Method::GET, &format!("/backtests/{id}"), None)?;
        let changes =
            remote.ask(settings, Method::GET, &format!("/backtests/{id}/changes"), None)?;
        remote.show(&backtest, |backtest| {
            tell(backtest, &changes);
            output::line("nothing was changed: `--apply --reason …` lets it count");
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let body = json!({"reason": arguments.reason});
    let restated = remote.post(settings, &format!("/backtests/{id}/restatement"), &body)?;
    remote.show(&restated, |restated| {
        output::line(&format!(
            "{} submissions end otherwise now, {} were left as they are; {} families, {} variants",
            number(restated, "submissions"),
            number(restated, "left"),
            number(restated, "families"),
            number(restated, "variants"),
        ));
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn canary(settings: &Settings, arguments: &Canary) -> anyhow::Result<ExitCode> {
    if !(arguments.share > 0.0 && arguments.share <= 100.0) {
        bail!("a share lies above 0 and up to 100 percent");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1,000,000")]
    let share_ppm = (arguments.share * 10_000.0).round() as u32;
    let body = json!({"share_ppm": share_ppm.max(1), "reason": arguments.reason});
    let path = format!("/sets/{}/canary", arguments.set);
    let answer = arguments.remote.post(settings, &path, &body)?;
    arguments.remote.show(&answer, set_told)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn retire(settings: &Settings, arguments: &Retire) -> anyhow::Result<ExitCode> {
    let path = format!("/sets/{}/retirement", arguments.set);
    let body = json!({"reason": arguments.reason});
    let answer = arguments.remote.post(settings, &path, &body)?;
    arguments.remote.show(&answer, set_told)?;
    Ok(ExitCode::SUCCESS)
}

fn waited(settings: &Settings, remote: &Remote, id: i64) -> anyhow::Result<Value> {
    let mut told = Value::Null;
    for look in 0_u32.. {
        let backtest = remote.ask(settings, Method::GET, &format!("/backtests/{id}"), None)?;
        if text(&backtest, "state") != "running" {
            return Ok(backtest);
        }
        let tried = backtest.get("tried").cloned().unwrap_or_default();
        if tried != told {
            let total = number(&backtest, "total");
            output::progress(&format!("backtest {id}: {tried} of {total} submissions"));
            told = tried;
        }
        if look == LOOKS_UNTAKEN && told == 0 {
            output::progress("nobody makes it yet: a process with workers has to run");
        }
        runtime::block_on(async { tokio::time::sleep(LOOK).await })?;
    }
    bail!("backtest {id} does not end")
}

fn number(value: &Value, name: &str) -> String {
    value.get(name).map(ToString::to_string).unwrap_or_default()
}

fn tell(backtest: &Value, changes: &Value) {
    output::line(&format!(
        "backtest {} of {}: {}, {} of {} submissions",
        number(backtest, "id"),
        text(backtest, "policy_set"),
        text(backtest, "state"),
        number(backtest, "tried"),
        number(backtest, "total"),
    ));
    if let Some(error) = backtest.get("error").and_then(Value::as_str) {
        output::line(error);
    }
    let Some(report) = backtest.get("report").filter(|report| report.is_object()) else { return };
    let tally = report.get("tally").cloned().unwrap_or_default();
    tell_tally(&tally);
    tell_changes(changes);
    output::line(&format!("owners that would be others: {}", number(report, "owners_changed")));
    let owners = report.get("owners").and_then(Value::as_array).into_iter().flatten();
    for owner in owners.take(SHOWN_MAX) {
        output::line(&format!(
            "  {} {}: {} -> {}",
            text(owner, "kind"),
            text(owner, "family_id"),
            text(owner, "before"),
            text(owner, "after")
        ));
    }
    match report.get("weights").filter(|weights| weights.is_object()) {
        Some(weights) => tell_weights(weights),
        None => output::line(&format!("no weights: {}", text(report, "weights_fault"))),
    }
}

fn tell_tally(tally: &Value) {
    let heading = ["slot", "asked", "same", "differs", "fault"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for (slot, counts) in tally.get("slots").and_then(Value::as_object).into_iter().flatten() {
        let mut row = vec![slot.clone()];
        row.extend(["asked", "same", "differs", "fault"].map(|name| number(counts, name)));
        rows.push(row);
    }
    output::table(&rows);
    output::line(&format!(
        "submissions: {} as they were, {} otherwise ({} would have to be trained first), {} under way",
        number(tally, "same"),
        number(tally, "differ"),
        number(tally, "unmeasured"),
        number(tally, "in_flight"),
    ));
}

fn tell_changes(changes: &Value) {
    let ends = |change: &Value, name: &str| {
        let outcome = change.get(name).cloned().unwrap_or_default();
        match outcome.get("final_score").and_then(Value::as_f64) {
            Some(score) => format!("{score:.4}"),
            None => match outcome.get("reason").and_then(Value::as_str) {
                Some(reason) => format!("{}: {reason}", text(&outcome, "outcome")),
                None => text(&outcome, "outcome").to_owned(),
            },
        }
    };
    for change in changes.as_array().into_iter().flatten().take(SHOWN_MAX) {
        let (before, after) = (ends(change, "before"), ends(change, "after"));
        output::line(&format!("  {}: {before} -> {after}", text(change, "submission_id")));
    }
}

fn tell_weights(weights: &Value) {
    let heading = ["hotkey", "before", "at once", "rescored"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let list = weights.get("rows").and_then(Value::as_array).into_iter().flatten();
    for row in list.take(SHOWN_MAX) {
        let mut cells = vec![text(row, "hotkey").to_owned()];
        cells.extend(["before", "at_once", "rescored"].map(|name| number(row, name)));
        rows.push(cells);
    }
    output::table(&rows);
    for (name, told) in [("at_once", "at once"), ("rescored", "rescored")] {
        let distance = weights.get(name).cloned().unwrap_or_default();
        output::line(&format!(
            "{told}: L1 distance {} ppm, {} of the ten heaviest are others",
            number(&distance, "l1_ppm"),
            number(&distance, "top_churn"),
        ));
    }
}
