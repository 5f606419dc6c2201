//! How much of its points a row keeps beside the others.
//!
//! Two rules, both blind to who owns a row, so that spreading rows over hotkeys changes nothing:
//!
//! - **floor**: a row at or below a set part of the best one's quality keeps nothing; from there to
//!   the best it keeps a part that rises in proportion. Junk earns nothing in any number, and a
//!   discovery cut into lesser pieces earns less than the whole.
//! - **crowding**: rows are ranked by quality; each place down multiplies by a set factor. At the
//!   default of one half all rows behind the best together earn at most what the best earns,
//!   however many there are. Equal rows share the mean of their places.
//!
//! A discount for the further families *of one hotkey* was left out on purpose: hotkeys are cheap, so
//! it would tax the honest miner with two discoveries and be dodged by everybody else.

use crate::apportion::share;
use std::cmp::Reverse;

/// One whole.
const PPM: u32 = 1_000_000;

/// Kept part of each row, parts per million, in the order of `qualities` (any unit, 0 earns nothing).
/// `places` breaks ties of quality: the greater, the earlier.
pub(crate) fn kept_ppm(
    qualities: &[u128],
    places: &[u64],
    quality_floor_ppm: u32,
    crowding_ppm: u32,
) -> Vec<u64> {
    let best = qualities.iter().copied().max().unwrap_or(0);
    let mut ranked: Vec<(u128, u64, usize)> = qualities
        .iter()
        .zip(places)
        .enumerate()
        .map(|(index, (quality, place))| (*quality, *place, index))
        .collect();
    ranked.sort_unstable_by_key(|row| Reverse((row.0, row.1)));
    let mut kept = vec![0; qualities.len()];
    let ppm = u64::from(PPM);
    let mut factor = ppm;
    for equal in ranked.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        if factor == 0 {
            break; // whoever follows keeps nothing
        }
        let mut sum = 0;
        let mut count = 0;
        for _ in equal {
            sum += factor;
            count += 1;
            factor = factor * u64::from(crowding_ppm) / ppm;
        }
        let mean = sum / count;
        // Equal rows stand equally far above the floor.
        let quality = equal.first().map_or(0, |row| row.0);
        let part = above_floor(quality, best, quality_floor_ppm) * mean / ppm;
        for (.., index) in equal {
            if let Some(slot) = kept.get_mut(*index) {
                *slot = part;
            }
        }
    }
    kept
}

/// 0 at the floor, one whole at the best. A floor of 0 turns the rule off: all rows keep everything.
fn above_floor(quality: u128, best: u128, floor_ppm: u32) -> u64 {
    if quality == 0 || best == 0 {
        return 0;
    }
    if floor_ppm == 0 {
        return u64::from(PPM);
    }
    let (relative, _) = share(quality, best, PPM);
    u64::from(relative.saturating_sub(floor_ppm)) * u64::from(PPM) / u64::from(PPM - floor_ppm)
}
