//! Shapes of a curve: how rough it is, how often it jumps. Pure functions of numbers.

use crate::numeric::{count, mean, median};

const SMOOTHING_POINTS: usize = 17;
const FIT_POINTS: usize = 32;
/// A jump is this many robust standard deviations above the local line.
const JUMP_SIGMAS: f64 = 7.0;
/// Makes a median absolute deviation a standard deviation under normal noise.
const MAD_TO_SD: f64 = 1.4826;
const SD_FLOOR: f64 = 1e-3;

/// Share of the smoothed curve's movement that goes up, 0 to 1; none of a curve too short to smooth.
pub(crate) fn roughness(losses: &[f64]) -> Option<f64> {
    let smooth: Vec<f64> = losses.windows(SMOOTHING_POINTS).filter_map(mean).collect();
    if smooth.len() < 2 {
        return None;
    }
    let (mut up, mut all) = (0.0, 0.0);
    for step in smooth.windows(2) {
        if let [before, after] = step {
            up += (after - before).max(0.0);
            all += (after - before).abs();
        }
    }
    Some(if all > 0.0 { up / all } else { 0.0 })
}

/// Share of the points that jump above a line through the points before; none of a short curve.
pub(crate) fn spike_rate(values: &[f64]) -> Option<f64> {
    let windows = values.windows(FIT_POINTS + 1);
    let points = windows.len();
    let spikes = windows
        .filter(|window| window.split_last().is_some_and(|(now, before)| jumps(*now, before)))
        .count();
    (points > 0).then(|| count(spikes) / count(points))
}

fn jumps(now: f64, before: &[f64]) -> bool {
    let n = count(before.len());
    let centre = (n - 1.0) / 2.0;
    let level = mean(before).unwrap_or(now);
    let (mut sxx, mut sxy) = (0.0, 0.0);
    for (index, value) in before.iter().enumerate() {
        let offset = count(index) - centre;
        sxx += offset * offset;
        sxy += offset * (value - level);
    }
    let slope = sxy / sxx;
    let line = |index: f64| level + slope * (index - centre);
    let deviations: Vec<f64> =
        before.iter().enumerate().map(|(i, value)| (value - line(count(i))).abs()).collect();
    let sd = MAD_TO_SD * median(&deviations).unwrap_or(0.0) + SD_FLOOR;
    now - line(n) > JUMP_SIGMAS * sd
}

#[cfg(test)]
mod tests {
    use super::{roughness, spike_rate};

    #[test]
    fn a_falling_curve_is_smooth_and_a_cycling_one_is_not() {
        let falling: Vec<f64> = (0..100).map(|i| 5.0 - 0.02 * f64::from(i)).collect();
        assert_eq!(roughness(&falling), Some(0.0));
        let cycling: Vec<f64> =
            (0..400).map(|i| if (i / 50) % 2 == 0 { 3.0 } else { 4.0 }).collect();
        assert!(roughness(&cycling).unwrap() > 0.4);
        assert_eq!(roughness(&falling[..17]), None);
    }

    #[test]
    fn one_jump_in_a_hundred_points_is_counted_once() {
        let mut values: Vec<f64> = (0..132).map(|i| 4.0 + 0.01 * f64::from(i % 5)).collect();
        assert_eq!(spike_rate(&values), Some(0.0));
        values[80] += 2.0;
        assert_eq!(spike_rate(&values), Some(0.01));
        assert_eq!(spike_rate(&values[..32]), None);
    }
}
