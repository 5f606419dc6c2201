//! What a policy call costs: `cargo bench --profile release -p prism-policy`. Prints medians and 99th
//! percentiles in microseconds; the goals are 50 for a small input and 100 for 256 rows, at the median,
//! fresh instance included.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and may fail")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prism_domain::estimate::Estimate;
use prism_domain::facts::ModuleSource;
use prism_domain::ids::Hotkey;
use prism_domain::improvement::{Comparison, Subject};
use prism_domain::policy::{Policies, PolicySet, SourceReader};
use prism_domain::rewards::{FamilyRow, LedgerView, ScoreRow, VariantRow};
use prism_domain::time::EpochId;
use prism_policy::{Catalog, Sandbox};

/// Calls that are measured, after a tenth as many to warm up.
const CALLS: usize = 20_000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let cold = time_start(folder.path());
    let warm = time_start(folder.path());
    println!("start, nothing cached      {:8.1} ms", cold.as_secs_f64() * 1e3);
    println!("start, compiled code cached {:7.1} ms", warm.as_secs_f64() * 1e3);

    let sandbox = Sandbox::start(Some(folder.path())).unwrap();
    let (catalog, reader) = Catalog::embedded(&sandbox, &BTreeMap::new()).unwrap();
    let set = catalog.current();

    let comparison = comparison();
    measure("thresholds, small input", CALLS, || {
        let decided = set.assess(&comparison).unwrap();
        (decided.provenance.fuel, decided.provenance.duration_us)
    });
    for rows in [1, 16, 256] {
        let ledger = ledger(rows);
        measure(&format!("rewards, {rows} families"), CALLS, || {
            let decided = set.weigh(&ledger).unwrap();
            (decided.provenance.fuel, decided.provenance.duration_us)
        });
    }
    let module = vec![ModuleSource {
        path: "model.py".to_owned(),
        source: "import torch\n\ndef build_model(ctx):\n    return torch.nn.Linear(8, 8)\n".into(),
    }];
    let entrypoints = ["model.py".to_owned()];
    measure("python reader, four lines", CALLS / 4, || {
        reader.read(&module, &entrypoints).unwrap();
        (0, 0)
    });
}

fn time_start(folder: &std::path::Path) -> Duration {
    let begun = Instant::now();
    let sandbox = Sandbox::start(Some(folder)).unwrap();
    let loaded = Catalog::embedded(&sandbox, &BTreeMap::new()).unwrap();
    let took = begun.elapsed();
    drop(loaded);
    took
}

/// `whole` is the call as the pipeline makes it; `sandbox` the part inside: instance, call, answer.
fn measure(name: &str, calls: usize, mut call: impl FnMut() -> (u64, u64)) {
    for _ in 0..calls / 10 {
        call();
    }
    let mut whole = Vec::with_capacity(calls);
    let mut sandbox = Vec::with_capacity(calls);
    let mut fuel = 0;
    for _ in 0..calls {
        let begun = Instant::now();
        let (used, inside_us) = call();
        whole.push(begun.elapsed());
        sandbox.push(Duration::from_micros(inside_us));
        fuel = used;
    }
    whole.sort();
    sandbox.sort();
    let at = |times: &[Duration], share: usize| {
        times.get(times.len() * share / 100).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    println!(
        "{name:26} whole p50 {:7.1} us p99 {:7.1} us | sandbox p50 {:6.1} us p99 {:6.1} us | fuel {fuel}",
        at(&whole, 50),
        at(&whole, 99),
        at(&sandbox, 50),
        at(&sandbox, 99),
    );
}

fn comparison() -> Comparison {
    let estimate = |value| Estimate { value, std_error: 0.01, samples: 4 };
    Comparison {
        subject: Subject::ArchitectureTransfer,
        candidate: estimate(0.62),
        incumbent: estimate(0.51),
        paired_gains_bpb: vec![0.021, 0.034, 0.027, 0.030],
        tests_before: 3,
        acceptances_before: 1,
    }
}

fn ledger(rows: usize) -> LedgerView {
    let ppm = |row: usize| u32::try_from(400_000 + row * 977 % 300_000).unwrap();
    let hotkey = |row: usize| {
        Hotkey::new(format!("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoH{row:06}")).unwrap()
    };
    let id = |kind: u32, row: usize| format!("{kind:08x}-0000-4000-8000-{row:012x}");
    LedgerView {
        epoch: EpochId(412),
        families: (0..rows)
            .map(|row| FamilyRow {
                family_id: id(1, row),
                hotkey: hotkey(row),
                q_arch_best_ppm: ppm(row),
                age_epochs: row as u64 % 50,
            })
            .collect(),
        variants: (0..rows)
            .map(|row| VariantRow {
                variant_id: id(2, row),
                family_id: id(1, row),
                hotkey: hotkey(row + rows / 2),
                q_recipe_ppm: ppm(row + 7),
                age_epochs: row as u64 % 20,
            })
            .collect(),
        scores: (0..rows.min(16))
            .map(|row| ScoreRow {
                submission_id: id(3, row),
                hotkey: hotkey(row),
                final_score_ppm: ppm(row + 3),
            })
            .collect(),
    }
}
