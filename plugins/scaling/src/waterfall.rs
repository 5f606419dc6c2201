//! Quality taken apart: what each step of the reasoning adds, from the reference's level upwards. The
//! bars sum to the quality.

use crate::Contribution;
use crate::architecture::Architecture;
use crate::numeric::logistic;
use crate::recall::Recall;
use crate::recipe::Recipe;
use crate::settings::Settings;

/// The bars, in the order of the reasoning; the last one takes everything back when the submission
/// is rejected.
pub(crate) fn contributions(
    settings: &Settings,
    architecture: &Architecture,
    recipe: Option<&Recipe>,
    rejected: bool,
) -> Vec<Contribution> {
    let mut bars = architecture_bars(settings, architecture);
    bars.extend(recipe_bars(settings, recipe));
    if rejected {
        let total: f64 = bars.iter().map(|bar| bar.value).sum();
        bars.push(bar("rejection", -total, "a rule was broken that no score outweighs".to_owned()));
    }
    bars
}

fn architecture_bars(settings: &Settings, architecture: &Architecture) -> Vec<Contribution> {
    let forecast = &architecture.forecast;
    let share = settings.architecture_weight;
    let score = |gain: f64| logistic(gain / settings.score_scale);
    let speedup = |gain: f64| crate::numeric::exp(gain.clamp(-20.0, 20.0));
    let loss = score(forecast.mean_loss_gain);
    let cost = score(forecast.mean);
    let trend = score(forecast.gain_over_null());
    let bound = architecture.bound_score;
    let recalled = architecture.gain_score;
    let stable = architecture.quality.value;
    let mut bars = vec![
        bar(
            "reference_level",
            share * 0.5,
            "a model equal to the reference stands here".to_owned(),
        ),
        bar(
            "loss_gain",
            share * (loss - 0.5),
            format!(
                "at equal data its loss is worth {:.2} times the reference's data",
                speedup(forecast.mean_loss_gain)
            ),
        ),
        bar(
            "compute_cost",
            share * (cost - loss),
            format!(
                "a token is charged as {:.2} times the reference's compute or time",
                speedup(forecast.mean_loss_gain - forecast.mean)
            ),
        ),
        bar("scaling_trend", share * (trend - cost), trend_in_words(settings, forecast.slope)),
        bar(
            "uncertainty",
            share * (bound - trend),
            format!(
                "the forecast is uncertain by {:.3}, and its lower bound counts",
                forecast.std_error
            ),
        ),
    ];
    if let Some(recall) = &architecture.recall {
        bars.push(bar("recall", share * (recalled - bound), recall_in_words(recall)));
    }
    bars.push(bar(
        "stability",
        share * (stable - recalled),
        format!("stability is {:.3}; its square root multiplies the score", architecture.stability),
    ));
    bars
}

fn recall_in_words(recall: &Recall) -> String {
    match recall.score {
        Some(score) => format!(
            "it recalls {:.1} % of the pairs it has read, the reference {:.1} %: {score:.3} of what is \
             beyond chance",
            100.0 * recall.accuracy,
            100.0 * recall.reference
        ),
        None => format!(
            "the reference recalls {:.1} % of the pairs only, so recall says nothing here",
            100.0 * recall.reference
        ),
    }
}

fn trend_in_words(settings: &Settings, slope: f64) -> String {
    if slope > 0.0 {
        format!(
            "the gain grows by {slope:.3} per e-fold of compute, of which {:.0} % is extrapolated",
            100.0 * settings.growth_credit
        )
    } else {
        format!(
            "the gain fades by {:.3} per e-fold of compute, extrapolated past the largest size",
            -slope
        )
    }
}

fn recipe_bars(settings: &Settings, recipe: Option<&Recipe>) -> Vec<Contribution> {
    let share = 1.0 - settings.architecture_weight;
    let Some(recipe) = recipe else {
        let level = share * settings.default_q_recipe;
        return vec![bar(
            "recipe_level",
            level,
            "the project brings no recipe of its own, so the usual level stands".to_owned(),
        )];
    };
    vec![
        bar(
            "recipe_level",
            share * 0.5,
            "a recipe equal to the evaluator's stands here".to_owned(),
        ),
        bar(
            "recipe_gain",
            share * (recipe.gain_score - 0.5),
            format!(
                "its own recipe gains {:+.3} in natural log of compute, at least {:+.3}",
                recipe.forecast.gain, recipe.forecast.lower_bound
            ),
        ),
        bar(
            "recipe_stability",
            share * (recipe.quality.value - recipe.gain_score),
            format!("stability under its own recipe is {:.3}", recipe.stability),
        ),
    ]
}

fn bar(name: &str, value: f64, explanation: String) -> Contribution {
    Contribution { name: name.to_owned(), value, explanation }
}
