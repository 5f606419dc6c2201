//! `prism calibrate`: fit a calibration card again, from the reports of a zoo of healthy models.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use prism_domain::ids::Digest;
use prism_domain::policy::Slot;
use prism_policy::SettingsBySlot;
use serde_json::Value;

use super::output;
use crate::calibration::{Change, ZooReport, fit, rewritten};
use crate::config::Settings;
use crate::wire;

/// The largest report that is read, in bytes.
const REPORT_MAX_BYTES: u64 = 4 << 20;
/// The most reports of one fit.
const REPORTS_MAX: usize = 4_096;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Reports as `prism evaluate --json` prints them: files, or folders of `.json` files.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    reports: Vec<PathBuf>,
    /// The tier whose table is fitted.
    #[arg(long)]
    tier: String,
    /// The card to begin with; without it, the one that this build comes with.
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Where the new card is written.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let built_in = built_in_card(settings)?;
    let card = match &arguments.card {
        Some(path) => read_json(path)?,
        None => built_in.clone(),
    };
    let tier = &arguments.tier;
    let table = |card: &Value| card.get("tiers").and_then(|tiers| tiers.get(tier)).cloned();
    let old = table(&card).with_context(|| format!("the card has no tier `{tier}`"))?;
    let floors = table(&built_in).unwrap_or_else(|| old.clone());
    let (reports, inputs) = read_reports(&arguments.reports, tier)?;
    let changes = fit(&reports, &old, &floors).map_err(anyhow::Error::msg)?;
    let new = rewritten(&card, tier, &changes, reports.len(), &inputs)
        .context("the card lacks a member that every card has")?;
    let chosen = SettingsBySlot::from([(Slot::Scaling, new.clone())]);
    wire::sandbox_with(settings, &chosen).context("the new card would not be accepted")?;
    let text = serde_json::to_string_pretty(&new)?;
    std::fs::write(&arguments.out, text + "\n")
        .with_context(|| format!("cannot write `{}`", arguments.out.display()))?;
    tell(&changes, &new, &arguments.out);
    Ok(ExitCode::SUCCESS)
}

/// The settings of the scaling slot in the embedded policy set.
fn built_in_card(settings: &Settings) -> anyhow::Result<Value> {
    let set = wire::sandbox(settings)?.policies.loaded();
    let revision = set.manifest().0.get(&Slot::Scaling).context("no scaling policy is built in")?;
    Ok(revision.settings.clone())
}

/// The reports that can be used, and one digest over their bytes that does not depend on their order. A
/// report that is there twice counts once.
fn read_reports(paths: &[PathBuf], tier: &str) -> anyhow::Result<(Vec<ZooReport>, String)> {
    let mut found: BTreeMap<String, ZooReport> = BTreeMap::new();
    for path in files(paths)? {
        let bytes = read_bounded(&path)?;
        let report: ZooReport = serde_json::from_slice(&bytes).with_context(|| {
            format!("`{}` is no report of `prism evaluate --json`", path.display())
        })?;
        match report.unfit(tier) {
            Some(why) => output::line(&format!("left out `{}`: {why}", path.display())),
            None => drop(found.insert(Digest::of(&bytes).to_string(), report)),
        }
    }
    anyhow::ensure!(!found.is_empty(), "there is no report of tier `{tier}` to fit to");
    let lines = found.keys().map(String::as_str).collect::<Vec<_>>().join("\n");
    Ok((found.into_values().collect(), Digest::of(lines.as_bytes()).to_string()))
}

fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let cannot = || format!("cannot list `{}`", path.display());
        for entry in std::fs::read_dir(path).with_context(cannot)? {
            let path = entry.with_context(cannot)?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                files.push(path);
            }
        }
    }
    anyhow::ensure!(files.len() <= REPORTS_MAX, "{} reports, at most {REPORTS_MAX}", files.len());
    Ok(files)
}

pub(super) fn read_json(path: &Path) -> anyhow::Result<Value> {
    serde_json::from_slice(&read_bounded(path)?)
        .with_context(|| format!("`{}` is not JSON", path.display()))
}

fn read_bounded(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read `{}`", path.display());
    let bytes = std::fs::metadata(path).with_context(cannot)?.len();
    anyhow::ensure!(bytes <= REPORT_MAX_BYTES, "`{}` has {bytes} bytes", path.display());
    std::fs::read(path).with_context(cannot)
}

fn tell(changes: &[Change], card: &Value, out: &Path) {
    let mut rows = vec![["", "old", "new", "models"].map(str::to_owned).to_vec()];
    for change in changes {
        let new = change.new.map_or_else(|| "kept".to_owned(), |new| format!("{new}"));
        rows.push(vec![change.name.clone(), change.old.to_string(), new, change.count.to_string()]);
    }
    output::table(&rows);
    let name = card.get("calibration").and_then(Value::as_str).unwrap_or_default();
    output::line(&format!("calibration `{name}` is in `{}`", out.display()));
}
