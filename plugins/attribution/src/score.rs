//! The final score and its waterfall.
//!
//! `final = clamp((wa * q_arch + wr * q_recipe) * originality + diversity * min(1, q_arch / full_at) - penalty)`
//! in `[0, 1]`. The score is the sum of the bars from left to right, so that the waterfall always adds up.

use crate::architecture::Standing;
use crate::bindings::exports::prism::attribution::attribution::{Candidate, TrainingAction};
use crate::bindings::prism::types::types::Contribution;
use crate::settings::Settings;
use crate::training;

/// The score, 0 to 1, with the bars that sum to it.
pub(crate) struct Score {
    /// The score.
    pub(crate) value: f64,
    /// Its waterfall.
    pub(crate) contributions: Vec<Contribution>,
}

/// Scores a candidate whose architecture and training have been ruled on. A refused one has no score;
/// a held one gets neither bonus nor deduction for originality before somebody has decided.
pub(crate) fn score(
    settings: &Settings,
    candidate: &Candidate,
    standing: Standing<'_>,
    training: &training::Ruling,
) -> Score {
    if matches!(standing, Standing::Refused) {
        return Score { value: 0.0, contributions: Vec::new() };
    }
    let q_arch = candidate.q_arch.value;
    let q_recipe = candidate.q_recipe.value;
    let architecture = settings.architecture_weight * q_arch;
    let recipe = settings.recipe_weight * q_recipe;
    let mut bars = vec![
        bar(
            "architecture",
            architecture,
            format!("{} of q_arch {q_arch:.4}", settings.architecture_weight),
        ),
        bar("recipe", recipe, format!("{} of q_recipe {q_recipe:.4}", settings.recipe_weight)),
    ];
    let (multiplier, why) = originality(settings, standing, training);
    if multiplier < 1.0 {
        let base = architecture + recipe;
        bars.push(bar(
            "originality",
            base * multiplier - base,
            format!("{why}: times {multiplier}"),
        ));
    }
    if matches!(standing, Standing::New) && settings.diversity_bonus > 0.0 {
        let share = if settings.diversity_full_at > 0.0 {
            (q_arch / settings.diversity_full_at).min(1.0)
        } else {
            1.0
        };
        let why = format!("first discovery of a family, {share:.2} of the bonus");
        bars.push(bar("diversity", settings.diversity_bonus * share, why));
    }
    if candidate.stability < settings.stability_floor {
        let shortfall = (settings.stability_floor - candidate.stability) / settings.stability_floor;
        let why =
            format!("stability {:.4} is below {}", candidate.stability, settings.stability_floor);
        bars.push(bar("instability", -(settings.instability_penalty * shortfall), why));
    }
    let sum = bars.iter().fold(0.0, |sum, bar| sum + bar.value);
    let value: f64 = sum.clamp(0.0, 1.0);
    if !(0.0..=1.0).contains(&sum) {
        bars.push(bar("clamp", value - sum, "a score is between 0 and 1".to_owned()));
    }
    Score { value, contributions: bars }
}

/// What is left of the score for work that is somebody else's, and why.
fn originality(
    settings: &Settings,
    standing: Standing<'_>,
    training: &training::Ruling,
) -> (f64, &'static str) {
    let improves = training.action == TrainingAction::New;
    let own_variant =
        matches!(training.action, TrainingAction::Existing(_)) && !training.of_another;
    match standing {
        Standing::New
        | Standing::Own(_)
        | Standing::Transfer(_)
        | Standing::Unsure
        | Standing::Refused => (1.0, ""),
        Standing::Target(_) if training.of_another => {
            (settings.duplicate_multiplier, "the training is another miner's")
        }
        Standing::Target(family) if improves || own_variant || family.same_owner => (1.0, ""),
        Standing::Target(_) => (settings.relative_multiplier, "the training brings no improvement"),
        Standing::Relative(_) => {
            (settings.relative_multiplier, "the architecture belongs to another miner's family")
        }
        Standing::Copy(_) if improves => (
            settings.relative_multiplier,
            "the architecture is another miner's, the training is new",
        ),
        Standing::Copy(_) if training.of_another => {
            (settings.duplicate_multiplier, "the architecture and the training are another miner's")
        }
        Standing::Copy(_) => (settings.copy_multiplier, "the architecture is another miner's"),
    }
}

fn bar(name: &str, value: f64, explanation: String) -> Contribution {
    Contribution { name: name.to_owned(), value, explanation }
}
