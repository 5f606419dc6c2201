//! What rows of layers say: the worst row counts, and so another row can only make it worse. Pure
//! functions of curves; none where no row speaks of it.

use std::collections::BTreeMap;

use crate::curve::Curve;
use crate::numeric::{count, ln, ln_of_size, mean, median};
use crate::{LayerKind, LayerRow, Trust};

/// Layers that a trend over depth needs.
const FEWEST_LAYERS: usize = 3;

/// Logarithm of the largest activation anywhere but in the logits.
pub(crate) fn ln_absmax(curves: &[&Curve]) -> Option<f64> {
    let inner = [LayerKind::Block, LayerKind::Attention, LayerKind::Router, LayerKind::Embedding];
    worst(
        rows(curves)
            .filter(|row| inner.contains(&row.kind))
            .map(|row| row.act_absmax.map(ln_of_size)),
    )
}

/// Logarithm of the largest number that a lower precision would have to hold: an activation or an operand
/// of a product.
pub(crate) fn ln_reach(curves: &[&Curve]) -> Option<f64> {
    let products = of_kind(curves, LayerKind::Product).map(|row| row.act_absmax.map(ln_of_size));
    worst(products.chain(std::iter::once(ln_absmax(curves))))
}

/// Activations that are not finite, over all rows.
pub(crate) fn nonfinite(curves: &[&Curve]) -> u64 {
    rows(curves).filter_map(|row| row.act_nonfinite).fold(0, u64::saturating_add)
}

/// Logarithm of how unequal the channels of a block are.
pub(crate) fn ln_kurtosis(curves: &[&Curve]) -> Option<f64> {
    worst(of_kind(curves, LayerKind::Block).map(|row| row.act_channel_kurtosis.map(ln_of_size)))
}

/// Logarithm of the largest attention logit.
pub(crate) fn attention_ln_logit(curves: &[&Curve]) -> Option<f64> {
    worst(
        of_kind(curves, LayerKind::Attention).map(|row| row.attention_logit_absmax.map(ln_of_size)),
    )
}

/// Minus the logarithm of the share of its entropy that an attention keeps.
pub(crate) fn attention_entropy_loss(curves: &[&Curve]) -> Option<f64> {
    worst(
        of_kind(curves, LayerKind::Attention)
            .map(|row| row.attention_entropy_fraction.map(|kept| -ln_of_size(kept))),
    )
}

/// One minus the entropy of a router's load over that of an even one, at the end of training.
pub(crate) fn router_imbalance(curves: &[&Curve]) -> Option<f64> {
    worst(last_loads(curves).map(|load| {
        let entropy: f64 =
            load.iter().filter(|share| **share > 0.0).map(|share| -share * ln(*share)).sum();
        Some(1.0 - entropy / ln(count(load.len())))
    }))
}

/// How far the busiest expert's load exceeds an even one, at the end of training.
pub(crate) fn router_overload(curves: &[&Curve]) -> Option<f64> {
    worst(last_loads(curves).map(|load| {
        let busiest = load.iter().copied().fold(0.0, f64::max);
        Some(busiest * count(load.len()) - 1.0)
    }))
}

/// Share of a block's weights that never changed, as the scorer saw it.
pub(crate) fn dead_fraction(curves: &[&Curve]) -> Option<f64> {
    worst(block_weights(curves).map(|row| row.dead_fraction))
}

/// Growth of the residual stream per layer: slope of ln rms over the blocks, at the worst step.
pub(crate) fn residual_gain(curves: &[&Curve]) -> Option<f64> {
    worst(by_step(of_kind(curves, LayerKind::Block), |row| row.act_rms).map(|sizes| {
        let logs: Vec<f64> = sizes.into_iter().map(ln_of_size).collect();
        slope(&logs)
    }))
}

/// How much less gradient the poorest block gets than the average one, natural log, at the worst step. The
/// average and not the median, for all blocks but one may be starved. A block that gets none at the first
/// step is not reached yet, as where a gate begins at zero.
pub(crate) fn block_grad(curves: &[&Curve]) -> Option<f64> {
    let steps = by_step(of_kind(curves, LayerKind::Block), |row| row.grad_rms);
    let reached = steps
        .enumerate()
        .filter(|(index, sizes)| *index > 0 || sizes.iter().all(|size| *size > 0.0));
    worst(reached.map(|(_, sizes)| shortfall(&sizes, mean(&sizes))))
}

/// How much less the poorest block's weights moved than the median one's, natural log. The scorer saw
/// it, so a block that is only there to be counted shows whatever the worker says.
pub(crate) fn block_update(curves: &[&Curve]) -> Option<f64> {
    worst(by_step(block_weights(curves), |row| row.update_ratio).map(|sizes| {
        let middle = median(&sizes);
        shortfall(&sizes, middle)
    }))
}

/// Refuses rows that cannot be; numbers that are not finite never leave the host.
pub(crate) fn check_rows(rows: &[LayerRow]) -> Result<(), String> {
    const MAX_ROWS: usize = 4096;
    const MAX_EXPERTS: usize = 4096;
    if rows.len() > MAX_ROWS || rows.iter().any(|row| row.router_load.len() > MAX_EXPERTS) {
        return Err(format!("more than {MAX_ROWS} rows of layers, or {MAX_EXPERTS} experts"));
    }
    let size = |value: Option<f64>| value.is_none_or(|value| (0.0..=f64::MAX).contains(&value));
    let share = |value: f64| (0.0..=1.001).contains(&value);
    let sound = |row: &LayerRow| {
        [row.act_rms, row.act_absmax, row.grad_rms, row.attention_logit_absmax, row.weight_rms]
            .into_iter()
            .all(size)
            && size(row.update_ratio)
            && row.act_channel_kurtosis.is_none_or(f64::is_finite)
            && row.attention_entropy_fraction.is_none_or(share)
            && row.dead_fraction.is_none_or(share)
            && row.router_load.iter().all(|load| share(*load))
    };
    match rows.iter().find(|row| !sound(row)) {
        Some(row) => Err(format!("a number of layer {} at step {} cannot be", row.layer, row.step)),
        None => Ok(()),
    }
}

fn rows<'a>(curves: &[&Curve<'a>]) -> impl Iterator<Item = &'a LayerRow> {
    curves.iter().flat_map(|curve| &curve.run.layers)
}

fn of_kind<'a>(curves: &[&Curve<'a>], kind: LayerKind) -> impl Iterator<Item = &'a LayerRow> {
    rows(curves).filter(move |row| row.kind == kind)
}

/// Rows about the weights of blocks that are not the worker's word. The last row of a run is about all that
/// is in no block (an embedding learns at another pace, and has rows for tokens that never come).
fn block_weights<'a>(curves: &[&Curve<'a>]) -> impl Iterator<Item = &'a LayerRow> {
    curves.iter().flat_map(|curve| {
        let rows = || of_kind(std::slice::from_ref(curve), LayerKind::Weights);
        let rest = rows().map(|row| row.layer).max();
        rows().filter(move |row| row.trust != Trust::Reported && Some(row.layer) != rest)
    })
}

/// The shares of each router of at least two experts in the last step that was looked at in its run,
/// made to sum to one.
fn last_loads(curves: &[&Curve<'_>]) -> impl Iterator<Item = Vec<f64>> {
    curves.iter().flat_map(|curve| {
        let routers = || {
            curve
                .run
                .layers
                .iter()
                .filter(|row| row.kind == LayerKind::Router && row.router_load.len() > 1)
        };
        let last = routers().map(|row| row.step).max();
        routers().filter(move |row| Some(row.step) == last).filter_map(|row| {
            let total: f64 = row.router_load.iter().sum();
            (total > 0.0).then(|| row.router_load.iter().map(|load| load / total).collect())
        })
    })
}

/// One number of each layer, in order of the layers, for each step at which enough layers have one.
fn by_step<'a>(
    rows: impl Iterator<Item = &'a LayerRow>,
    number: impl Fn(&LayerRow) -> Option<f64>,
) -> impl Iterator<Item = Vec<f64>> {
    let mut steps: BTreeMap<u32, BTreeMap<u32, f64>> = BTreeMap::new();
    for row in rows {
        if let Some(value) = number(row) {
            steps.entry(row.step).or_default().insert(row.layer, value);
        }
    }
    steps
        .into_values()
        .filter(|layers| layers.len() >= FEWEST_LAYERS)
        .map(|layers| layers.into_values().collect())
}

/// None where the middle is zero: a block that is not reached yet says nothing of the others.
fn shortfall(sizes: &[f64], middle: Option<f64>) -> Option<f64> {
    let middle = middle.filter(|middle| *middle > 0.0)?;
    let least = sizes.iter().copied().fold(f64::INFINITY, f64::min);
    Some(-ln_of_size(least / middle))
}

/// Slope of a least-squares line over 0, 1, 2, ….
fn slope(values: &[f64]) -> Option<f64> {
    let centre = (count(values.len()) - 1.0) / 2.0;
    let level = mean(values)?;
    let (mut sxx, mut sxy) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        let offset = count(index) - centre;
        sxx += offset * offset;
        sxy += offset * (value - level);
    }
    (sxx > 0.0).then(|| sxy / sxx)
}

fn worst(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    values.flatten().reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::{shortfall, slope};
    use crate::numeric::{mean, median};

    #[test]
    fn a_stream_that_doubles_with_each_layer_gains_ln_2() {
        let stream: Vec<f64> = (0..8).map(|layer| f64::from(layer) * 0.693).collect();
        assert!((slope(&stream).unwrap() - 0.693).abs() < 1e-12);
        assert!(slope(&[1.0]).is_none());
    }

    #[test]
    fn a_dead_block_among_live_ones_falls_far_short() {
        let fallen = |sizes: &[f64]| shortfall(sizes, median(sizes));
        assert!(fallen(&[1.0, 0.9, 1.1]).unwrap() < 0.2);
        assert!(fallen(&[1.0, 0.0, 1.1]).unwrap() > 20.0);
        assert!(fallen(&[0.0, 0.0, 0.0]).is_none());
    }

    #[test]
    fn one_live_block_among_dead_ones_shows_against_the_average() {
        let sizes = [1.0, 1e-7, 1e-7, 1e-7];
        assert!(shortfall(&sizes, median(&sizes)).unwrap() < 1e-9);
        assert!(shortfall(&sizes, mean(&sizes)).unwrap() > 14.0);
    }
}
