//! What an evaluation is made with, named by digests: two evaluations are comparable only where they
//! are equal.

use std::fmt::Write as _;

use prism_domain::evaluation::Instruments;
use prism_domain::ids::Digest;

use crate::config::EvaluationConfig;
use crate::{embedded, spec};

/// The instruments of a plan; none for an unknown plan or a harness that cannot be read.
pub(crate) fn of(plan: &str, config: &EvaluationConfig) -> Option<Instruments> {
    let plan = Digest::of(embedded::plan(plan)?);
    let mut files = spec::harness_entries(config).ok()?;
    files.sort_by(|left, right| left.path.cmp(&right.path));
    let mut listing = String::new();
    for file in &files {
        let Some(bytes) = &file.bytes else { continue };
        let _infallible = writeln!(listing, "{} {}", Digest::of(bytes), file.path);
    }
    Some(Instruments { plan, harness: Digest::of(listing.as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_plan_and_each_harness_has_its_own() {
        let embedded = EvaluationConfig::default();
        let smoke = of("smoke", &embedded).expect("known");
        let fast = of("smoke-fast", &embedded).expect("known");
        assert!(smoke.plan != fast.plan && smoke.harness == fast.harness);
        assert_eq!(of("nope", &embedded), None);
        let folder = tempfile::tempdir().expect("a folder");
        let other = EvaluationConfig {
            harness_dir: Some(folder.path().to_owned()),
            ..EvaluationConfig::default()
        };
        let empty = of("smoke", &other).expect("known");
        std::fs::write(folder.path().join("main.py"), "pass").expect("written");
        let written = of("smoke", &other).expect("known");
        assert!(empty.harness != written.harness && written.harness != smoke.harness);
    }
}
