//! What every test here needs: a sandbox with the embedded set, and a set with one slot replaced.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use prism_domain::estimate::Estimate;
use prism_domain::ids::Digest;
use prism_domain::improvement::{Assessment, Comparison, Subject};
use prism_domain::policy::{Decided, PolicyFault, PolicySet, Slot};
use prism_policy::{Catalog, Limits, LoadedSet, PythonReader, Sandbox, SetError};
use serde_json::{Value, json};

/// The embedded policies, loaded once for all tests.
pub(crate) static EMBEDDED: LazyLock<(Catalog, PythonReader)> = LazyLock::new(embedded);

fn embedded() -> (Catalog, PythonReader) {
    let sandbox = Sandbox::start(None).expect("sandbox");
    Catalog::embedded(&sandbox, &BTreeMap::new()).expect("embedded policies")
}

/// The embedded policies in an engine of their own, for a test that fills its pool: others would find no slot.
pub(crate) fn apart() -> Catalog {
    embedded().0
}

/// The embedded set with another component in one slot.
pub(crate) fn set_with(
    slot: Slot,
    wasm: &[u8],
    settings: Value,
    limits: Limits,
) -> Result<Arc<LoadedSet>, SetError> {
    set_of(&EMBEDDED.0, slot, wasm, settings, limits)
}

fn set_of(
    catalog: &Catalog,
    slot: Slot,
    wasm: &[u8],
    settings: Value,
    limits: Limits,
) -> Result<Arc<LoadedSet>, SetError> {
    let mut manifest = catalog.loaded().manifest().clone();
    let revision = manifest.0.get_mut(&slot).expect("all slots are filled");
    revision.component = Digest::of(wasm);
    revision.settings = settings;
    revision.limits = limits;
    catalog.load(&manifest, |digest| (digest == Digest::of(wasm)).then(|| wasm.to_vec()))
}

/// The embedded set with `wasm` in the thresholds slot.
pub(crate) fn assessor(wasm: &[u8]) -> Arc<LoadedSet> {
    assessor_within(wasm, Limits::of(Slot::Thresholds))
}

/// The same under other limits.
pub(crate) fn assessor_within(wasm: &[u8], limits: Limits) -> Arc<LoadedSet> {
    set_with(Slot::Thresholds, wasm, json!({}), limits).expect("the guest loads")
}

/// The same in another engine.
pub(crate) fn assessor_in(catalog: &Catalog, wasm: &[u8], limits: Limits) -> Arc<LoadedSet> {
    set_of(catalog, Slot::Thresholds, wasm, json!({}), limits).expect("the guest loads")
}

/// Asks the thresholds slot some question.
pub(crate) fn assess(set: &LoadedSet) -> Result<Decided<Assessment>, PolicyFault> {
    set.assess(&comparison())
}

/// Some question.
pub(crate) fn comparison() -> Comparison {
    let estimate = |value| Estimate { value, std_error: 0.01, samples: 3 };
    Comparison {
        subject: Subject::Architecture,
        candidate: estimate(0.6),
        incumbent: estimate(0.5),
        paired_gains_bpb: vec![0.02, 0.03, 0.025],
        tests_before: 2,
        acceptances_before: 1,
    }
}
