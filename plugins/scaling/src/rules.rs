//! The whole judgement, in order: are the facts sound, was a rule broken, what is the architecture
//! worth, what is the recipe worth, and why.

use crate::evidence::Evidence;
use crate::settings::Settings;
use crate::{
    Estimate, Outcome, PolicyError, Report, Telemetry, architecture, facts, metrics, observations,
    pairing, recipe, violations, waterfall,
};

/// Scores an evaluation. `settings` is a JSON object whose top-level keys replace the default card's.
///
/// # Errors
/// `bad-settings` when the settings cannot be used, `unsupported` when the card has no table for the
/// tier, `invalid-facts` when the telemetry contradicts itself. All fail closed: there is no score.
pub fn analyse(settings: &str, telemetry: &Telemetry) -> Result<Report, PolicyError> {
    let settings = Settings::parse(settings).map_err(PolicyError::BadSettings)?;
    if let Some(problem) = settings.problems().into_iter().next() {
        return Err(PolicyError::BadSettings(problem));
    }
    let tier = settings.tiers.get(&telemetry.tier).ok_or_else(|| {
        let name: String = telemetry.tier.chars().take(64).collect();
        PolicyError::Unsupported(format!(
            "calibration card `{}` has no table for tier `{name}`",
            settings.calibration
        ))
    })?;
    facts::check(telemetry).map_err(PolicyError::InvalidFacts)?;
    let evidence = Evidence::new(telemetry, &settings, tier);
    if let Some(name) = settings.required_checks.iter().find(|name| evidence.check(name).is_none())
    {
        return Err(PolicyError::InvalidFacts(format!("required check `{name}` was not made")));
    }
    Ok(report(&evidence))
}

fn report(evidence: &Evidence) -> Report {
    let settings = evidence.settings;
    let architecture = architecture::assess(evidence);
    let recipe = recipe::assess(evidence);
    let mut findings = violations::find(evidence);
    let rejected = !findings.is_empty();
    findings.extend(observations::find(evidence, &architecture));
    let nothing = || Estimate { value: 0.0, std_error: 0.0, samples: 0 };
    let q_arch = if rejected { nothing() } else { architecture.quality };
    let q_recipe = match &recipe {
        _ if rejected => nothing(),
        Some(recipe) => recipe.quality,
        None => Estimate { value: settings.default_q_recipe, ..nothing() },
    };
    let share = settings.architecture_weight;
    Report {
        outcome: if rejected { Outcome::Rejected } else { Outcome::Scored },
        stability: if rejected { 0.0 } else { architecture.stability },
        gain: Estimate {
            value: architecture.forecast.gain,
            std_error: architecture.forecast.std_error,
            samples: architecture.quality.samples,
        },
        quality: (share * q_arch.value + (1.0 - share) * q_recipe.value).clamp(0.0, 1.0),
        q_arch,
        q_recipe,
        contributions: waterfall::contributions(settings, &architecture, recipe.as_ref(), rejected),
        metrics: metrics::collect(evidence, &architecture, recipe.as_ref()),
        architecture_pairs: pairing::as_records(&architecture.differences),
        recipe_pairs: recipe
            .map(|recipe| pairing::as_records(&recipe.differences))
            .unwrap_or_default(),
        findings,
    }
}
