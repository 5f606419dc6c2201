//! What is refused before it can be called, and what makes up a set's name.

use std::collections::BTreeMap;
use std::sync::Arc;

use prism_domain::policy::{Policies, PolicySet, Slot};
use prism_policy::{Catalog, Limits, Sandbox, default_component};
use serde_json::json;

use crate::guests::{
    ATTRIBUTOR_THAT_CALLS_ANOTHER_POLICY, GOOD, Guest, NETWORK_WIT, REACHES_OUT, component, nested,
};
use crate::kit::{EMBEDDED, assess, assessor, comparison, set_with};

fn refused(slot: Slot, wasm: &[u8]) -> String {
    match set_with(slot, wasm, json!({}), Limits::of(slot)) {
        Ok(_) => "loaded".to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

#[test]
fn bytes_that_are_no_component_are_refused() {
    let good = Guest::default().build();
    let half = &good[..good.len() / 2];
    let module = wat::parse_str("(module)").expect("module");
    let nested = wat::parse_str("(component (component (component)))").expect("component");
    for (wasm, code) in [
        (b"".as_slice(), "component-malformed"),
        (b"\0asm\x0d\0\x01\0 and no more", "component-malformed"),
        (half, "component-malformed"),
        (&module, "component-malformed"),
        (&nested, "component-wrong-world"),
    ] {
        assert_eq!(refused(Slot::Thresholds, wasm), code, "{} bytes", wasm.len());
    }
}

#[test]
fn oversized_component_is_refused_unread() {
    let wasm = vec![0; prism_policy::COMPONENT_MAX_BYTES + 1];
    assert_eq!(refused(Slot::Thresholds, &wasm), "component-too-large");
}

/// WAS-ABI-03, and what else grows faster than the bytes do. Nothing of it is decoded.
#[test]
fn component_with_more_in_it_than_any_that_we_know_is_refused() {
    let instances = |count: usize| {
        format!("(component (core module $m) {})", "(core instance (instantiate $m))".repeat(count))
    };
    let functions = |count: usize| format!("(component (core module {}))", "(func)".repeat(count));
    let large = |adds: usize| {
        let body = "(drop (i32.add (i32.const 1) (i32.const 2)))".repeat(adds);
        format!("(component (core module (func {body})))")
    };
    let parsed = |text: String| wat::parse_str(text).expect("a component");
    for (wasm, what) in [
        (nested(18), "levels of nesting"),
        (nested(5_000), "levels of nesting"),
        (parsed(instances(10_000)), "instances"),
        (parsed(functions(100_001)), "functions"),
        (parsed(large(200_000)), "bytes in one function"),
    ] {
        let error = set_with(Slot::Thresholds, &wasm, json!({}), Limits::of(Slot::Thresholds));
        let error = error.err().expect("refused");
        assert_eq!(error.code(), "component-too-complex", "{what}: {}", error.source);
        assert!(error.source.to_string().contains(what), "{what}: {}", error.source);
    }
}

#[test]
fn component_of_another_world_is_refused() {
    assert_eq!(refused(Slot::Review, &Guest::default().build()), "component-wrong-world");
    let thresholds = default_component(Slot::Thresholds);
    assert_eq!(refused(Slot::Rewards, thresholds), "component-wrong-world");
}

/// WAS-FLT-03: another policy cannot be called from within one.
/// A closer look in a version that the host does not know would never be taken.
#[test]
fn closer_look_of_another_version_is_refused() {
    let mut wasm = prism_policy::default_component(Slot::Review).to_vec();
    let (known, other) = (b"prism:consult/consult@1.0.0", b"prism:consult/consult@1.9.0");
    let places: Vec<usize> = wasm
        .windows(known.len())
        .enumerate()
        .filter(|(_, it)| it == known)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        wasm[at..at + other.len()].copy_from_slice(other);
    }
    let refusal = refused(Slot::Review, &wasm);
    assert!(refusal.contains("component-wrong-world"), "{refusal}");
}

#[test]
fn import_of_anything_but_the_log_is_refused() {
    let network = component(REACHES_OUT, "evil:net@1.0.0", "reacher", &[NETWORK_WIT]);
    assert_eq!(refused(Slot::Thresholds, &network), "component-forbidden-import");
    let other_policy = component(
        ATTRIBUTOR_THAT_CALLS_ANOTHER_POLICY,
        "prism:attribution@1.0.0",
        "attributor",
        &[],
    );
    assert_eq!(refused(Slot::Attribution, &other_policy), "component-forbidden-import");
}

#[test]
fn guest_that_cannot_start_is_refused() {
    let endless = Guest { also: "(func $init (loop (br 0))) (start $init)", ..Guest::default() };
    assert_eq!(refused(Slot::Thresholds, &endless.build()), "component-describe");
}

#[test]
fn settings_are_checked_against_the_components_own_schema() {
    let guest = Guest {
        schema: r#"{"type":"object","properties":{"alpha":{"type":"number","maximum":1}},"additionalProperties":false}"#,
        defaults: r#"{"alpha":0.5}"#,
        ..Guest::default()
    };
    let (wasm, limits) = (guest.build(), Limits::of(Slot::Thresholds));
    assert!(set_with(Slot::Thresholds, &wasm, json!({"alpha": 0.1}), limits).is_ok());
    for wrong in [json!({"alpha": 2}), json!({"alfa": 0.1}), json!([]), json!(null)] {
        let error = set_with(Slot::Thresholds, &wasm, wrong, limits).err().expect("refused");
        assert_eq!(error.code(), "settings-invalid");
    }
}

#[test]
fn broken_description_is_refused() {
    let schema = Guest { schema: "{", ..Guest::default() };
    assert_eq!(refused(Slot::Thresholds, &schema.build()), "component-description");
    let remote = Guest { schema: r#"{"$ref":"https://example.com/x"}"#, ..Guest::default() };
    assert_eq!(refused(Slot::Thresholds, &remote.build()), "component-description");
}

#[test]
fn limit_that_cannot_be_enforced_is_refused() {
    let wasm = Guest::default().build();
    let usual = Limits::of(Slot::Thresholds);
    for limits in [
        Limits { memory_bytes: 1 << 40, ..usual },
        Limits { fuel: 0, ..usual },
        Limits { deadline_ms: 0, ..usual },
    ] {
        let error = set_with(Slot::Thresholds, &wasm, json!({}), limits).err().expect("refused");
        assert_eq!(error.code(), "limits-unenforceable");
    }
}

#[test]
fn missing_or_exchanged_bytes_are_refused() {
    let catalog = &EMBEDDED.0;
    let mut manifest = catalog.loaded().manifest().clone();
    // Another test's set must not have this component at hand.
    let wasm = Guest::assessing("(drop (i32.const 77)) unreachable").build();
    let revision = manifest.0.get_mut(&Slot::Thresholds).expect("filled");
    revision.component = prism_domain::ids::Digest::of(&wasm);
    revision.settings = json!({});
    let exchanged = Guest::assessing("unreachable").build();
    assert_eq!(
        catalog.load(&manifest, |_| None).err().expect("missing").code(),
        "component-missing"
    );
    let error = catalog.load(&manifest, |_| Some(exchanged.clone())).err().expect("exchanged");
    assert_eq!(error.code(), "component-missing");
}

#[test]
fn digest_names_components_settings_and_limits() {
    let wasm = Guest::default().build();
    let usual = Limits::of(Slot::Thresholds);
    let load = |settings, limits| {
        set_with(Slot::Thresholds, &wasm, settings, limits).expect("loads").digest()
    };
    let plain = load(json!({}), usual);
    assert_eq!(plain, load(json!({}), usual));
    assert_ne!(plain, load(json!({"a": 1}), usual));
    assert_ne!(plain, load(json!({}), Limits { fuel: usual.fuel + 1, ..usual }));
    assert_ne!(plain, EMBEDDED.0.current().digest());
    assert_eq!(load(json!({"a": 1, "b": 2}), usual), load(json!({"b": 2, "a": 1}), usual));
}

#[test]
fn swap_leaves_calls_under_way_on_their_set() {
    let sandbox = Sandbox::start(None).expect("sandbox");
    let (catalog, _reader) = Catalog::embedded(&sandbox, &BTreeMap::new()).expect("embedded");
    let before = catalog.current();
    let other = assessor(&Guest::assessing(GOOD).build());
    let previous = catalog.activate(Arc::clone(&other));
    assert_eq!(previous.digest(), before.digest());
    assert_eq!(catalog.current().digest(), other.digest());
    assert!(catalog.find(before.digest()).is_some(), "the set before stays at hand");
    assert!(assess(&previous).is_ok(), "and still answers");
    assert_eq!(catalog.activate(previous).digest(), other.digest());
    assert_eq!(catalog.current().digest(), before.digest());
}

#[test]
fn embedded_components_pass_the_check_for_uploads() {
    let sandbox = Sandbox::start(None).expect("sandbox");
    for slot in Slot::ALL {
        sandbox.check(slot.into(), default_component(slot)).expect("fits");
    }
    let reader = prism_policy::python_reader();
    sandbox.check(prism_policy::World::PythonReader, reader).expect("fits");
    let log = sandbox.check(prism_policy::World::PythonReader, default_component(Slot::Review));
    assert!(log.is_err());
}

#[test]
fn a_stored_set_is_restored_as_the_one_it_was() {
    let policies: &dyn Policies = &EMBEDDED.0;
    let manifest = EMBEDDED.0.loaded().manifest().clone();
    let wasm = Guest::assessing(GOOD).build();
    let mut other = manifest;
    let revision = other.0.get_mut(&Slot::Thresholds).expect("filled");
    revision.component = prism_domain::ids::Digest::of(&wasm);
    revision.settings = json!({"of": "restored"});
    let canonical = serde_json::to_string(&other).expect("JSON");
    let stored = BTreeMap::from([(prism_domain::ids::Digest::of(&wasm), wasm)]);
    let restored = policies.restore(&canonical, &stored).expect("restored");
    assert_eq!(restored.digest(), other.digest());
    assert!(policies.find(other.digest()).is_some(), "it stays loaded");
    restored.assess(&comparison()).expect("it answers");

    let refusal =
        |canonical: &str| policies.restore(canonical, &stored).err().expect("refused").code;
    assert_eq!(refusal("{\"review\": 1}"), "policy-manifest");
    let foreign = canonical
        .replace("restored\"", "another\"")
        .replace(prism_policy::PROFILE, "of-another-build");
    assert_eq!(refusal(&foreign), "profile-unknown");
}
