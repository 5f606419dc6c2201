//! Whether a result is what was hoped for: healthy projects pass, planted faults are found, cheats gain
//! nothing.

use serde_json::Value;

/// Stability below which a project counts as flagged, and a family as having spoken.
pub(crate) const FLAG: f64 = 0.7;
/// A recipe is found wanting below this score; the reference's own scores about a half.
const RECIPE_MIN: f64 = 0.3;
/// A model without recall answers less than half of what the reference answers.
const RECALL_MIN: f64 = 0.5;
/// A gain within two standard errors is no gain.
const STANDARD_ERRORS: f64 = 2.0;

/// What one result amounts to.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// As it should be.
    pub(crate) ok: bool,
    /// Stopped, or flagged as unstable, or found by what its kind of fault is looked for with.
    pub(crate) detected: bool,
    /// The detector that was named beforehand is among those that spoke.
    pub(crate) as_named: bool,
    /// Families below the line, findings, faults.
    pub(crate) by: Vec<String>,
}

/// Judges a result.
pub(crate) fn of(row: &Value) -> Verdict {
    let report = &row["report"];
    let mut by: Vec<String> = families(report)
        .filter(|(_, score)| *score < FLAG)
        .map(|(name, score)| format!("{name} {score:.2}"))
        .collect();
    by.extend(special(row).map(str::to_owned));
    by.extend(codes(row));
    let stopped = row["outcome"] != "scored";
    let flagged = report["stability"].as_f64().is_some_and(|stability| stability < FLAG);
    let named = row["expected"]["detector"].as_str();
    let as_named = named.is_some_and(|named| {
        by.iter().any(|spoke| spoke.split(' ').next().is_some_and(|name| name == named))
    });
    let detected = stopped || flagged || as_named;
    let ok = match row["kind"].as_str() {
        Some("healthy") => !stopped && !flagged,
        Some("weak") => !stopped,
        Some("pathology") => detected,
        _ => stopped || !gains(report),
    };
    let ours = is_platforms(row);
    Verdict { ok: ok && !ours, detected: detected && !ours, as_named, by }
}

/// Whether the platform failed, as on an overloaded machine: that says nothing about the project.
pub(crate) fn is_platforms(row: &Value) -> bool {
    row["fault"].as_str().is_some_and(|code| code.starts_with("P-") || code.starts_with("W-"))
}

/// Stability families and their scores, from the report's metrics.
pub(crate) fn families(report: &Value) -> impl Iterator<Item = (String, f64)> {
    let metrics = report["metrics"].as_array().into_iter().flatten();
    metrics.filter_map(|metric| {
        let family = metric["name"].as_str()?.strip_prefix("stability.")?;
        Some((family.to_owned(), metric["value"].as_f64()?))
    })
}

/// Detectors that are no stability family: a poor recipe, a gain that does not last, no recall.
fn special(row: &Value) -> Option<&'static str> {
    let report = &row["report"];
    match row["expected"]["detector"].as_str()? {
        "recipe" => {
            let low = |value: &Value, least| value.as_f64().is_some_and(|value| value < least);
            let poor = low(&report["q_recipe"]["value"], RECIPE_MIN);
            (poor || low(metric(report, "recipe_stability"), FLAG)).then_some("recipe")
        }
        "forecast" => report["q_arch"]["value"].as_f64().filter(|q| *q <= 0.5).map(|_| "forecast"),
        "recall" => {
            let own = recall(row, "candidate")?;
            (own < RECALL_MIN * recall(row, "reference")?).then_some("recall")
        }
        _ => None,
    }
}

/// Share of the recall probe's questions that were answered right at its end.
fn recall(row: &Value, role: &str) -> Option<f64> {
    let runs = row["measured"]["runs"].as_array()?;
    runs.iter().find(|run| run["probe"] == "recall" && run["role"] == role)?["recall"].as_f64()
}

fn metric<'a>(report: &'a Value, name: &str) -> &'a Value {
    let metrics = report["metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
    metrics.iter().find(|metric| metric["name"] == name).map_or(&Value::Null, |m| &m["value"])
}

/// Rules of the report that weigh more than a note, and the code of a fault.
fn codes(row: &Value) -> Vec<String> {
    let findings = row["report"]["findings"].as_array().into_iter().flatten();
    let mut found: Vec<String> = findings
        .filter(|finding| finding["severity"] != "note" || cheats(row))
        .filter_map(|finding| finding["rule_id"].as_str().map(str::to_owned))
        .collect();
    found.extend(row["fault"].as_str().map(str::to_owned));
    found.sort();
    found.dedup();
    found
}

/// For a cheat that is scored, a note is what names it.
fn cheats(row: &Value) -> bool {
    row["kind"] == "cheat"
}

/// Whether the extrapolated gain over the reference is beyond its uncertainty.
fn gains(report: &Value) -> bool {
    let part = |name: &str| report["gain"][name].as_f64().unwrap_or(f64::INFINITY);
    part("value") - STANDARD_ERRORS * part("std_error") > 0.0
}
