//! What a policy call costs: `cargo bench --profile release -p prism-policy`. Prints medians and 99th
//! percentiles in microseconds; the goals are 50 for a small input and 100 for 256 rows, at the median,
//! fresh instance included.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::string_slice,
    reason = "a benchmark prints and may fail"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prism_domain::estimate::Estimate;
use prism_domain::facts::{
    EntryFunction, FileFacts, ModuleSource, Observation, ObservationKind, ProjectFacts, SourceFacts,
};
use prism_domain::ids::{Digest, Hotkey};
use prism_domain::improvement::{Comparison, Subject};
use prism_domain::policy::{Policies, SourceReader};
use prism_domain::review::ReviewInput;
use prism_domain::rewards::{FamilyRow, LedgerView, VariantRow};
use prism_domain::submission::ProjectKind;
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
    for observations in [0, 256] {
        let input = review(observations);
        measure(&format!("review, {observations} observations"), CALLS, || {
            let decided = set.review(&input).unwrap();
            (decided.provenance.fuel, decided.provenance.duration_us)
        });
    }
    for families in [1, 128, 256] {
        let ledger = ledger(families);
        let rows = ledger.families.len() + ledger.variants.len();
        measure(&format!("rewards, {rows} rows"), CALLS / 4, || {
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

/// A good project with so many harmless observations.
fn review(observations: usize) -> ReviewInput {
    let entry_function = |name: &str| EntryFunction {
        name: name.to_owned(),
        path: "model.py".to_owned(),
        line: 3,
        parameters: 1,
    };
    let observation = |row: usize| Observation {
        kind: ObservationKind::Call,
        path: "model.py".to_owned(),
        line: u32::try_from(row).unwrap() + 10,
        column: 5,
        name: "torch.nn.Linear".to_owned(),
        detail: "8, 8".to_owned(),
        at_import: false,
        local: false,
    };
    ReviewInput {
        submission_id: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff".parse().unwrap(),
        facts: ProjectFacts {
            kind: ProjectKind::Full,
            entrypoint: "model.py".to_owned(),
            training_entrypoint: None,
            target_family: None,
            files: vec![FileFacts {
                path: "model.py".to_owned(),
                size_bytes: 9_000,
                line_count: 300,
                sha256: Digest::of(b"model.py"),
            }],
            source: SourceFacts {
                observations: (0..observations).map(observation).collect(),
                entry_functions: vec![entry_function("build_model"), entry_function("get_recipe")],
                fingerprints: None,
                architecture_sketch: Vec::new(),
                source_sketch: Vec::new(),
            },
        },
        neighbours: Vec::new(),
        context: None,
    }
}

/// Half families, half their variants, in the order of their identifiers as the store gives them.
fn ledger(rows: usize) -> LedgerView {
    let ppm = |row: usize| u32::try_from(400_000 + row * 977 % 300_000).unwrap();
    // As random as real identifiers are: a common prefix would make comparing them the main cost.
    let drawn = |kind: &str, row: usize| Digest::of(format!("{kind} {row}").as_bytes()).to_string();
    let hotkey = |row: usize| Hotkey::new(format!("5{}", &drawn("hotkey", row)[..47])).unwrap();
    let id = |kind: &str, row: usize| {
        let text = drawn(kind, row);
        format!(
            "{}-{}-4{}-8{}-{}",
            &text[..8],
            &text[8..12],
            &text[12..15],
            &text[15..18],
            &text[18..30]
        )
    };
    let mut ledger = LedgerView {
        epoch: EpochId(412),
        families: (0..rows)
            .map(|row| FamilyRow {
                family_id: id("family", row),
                hotkey: hotkey(row),
                q_arch_best_ppm: ppm(row),
                age_epochs: row as u64 % 50,
            })
            .collect(),
        variants: (0..rows)
            .map(|row| VariantRow {
                variant_id: id("variant", row),
                family_id: id("family", row),
                hotkey: hotkey(row + rows / 2),
                q_recipe_ppm: ppm(row + 7),
                age_epochs: row as u64 % 20,
            })
            .collect(),
        scores: Vec::new(),
    };
    ledger.families.sort_by(|one, next| one.family_id.cmp(&next.family_id));
    ledger.variants.sort_by(|one, next| one.variant_id.cmp(&next.variant_id));
    ledger
}
