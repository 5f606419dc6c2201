//! Each limit is tripped once, by its own code, and the call after it is unharmed. Fuel, log, deadline and the
//! pool are tried in `faults`, the size of a component in `loading`.

use prism_domain::policy::{FaultClass, PolicyFault, Slot};
use prism_policy::{Limits, fault};
use serde_json::json;

use crate::guests::{GOOD, Guest, component};
use crate::kit::{assess, assessor, assessor_within, set_with};

fn usual() -> Limits {
    Limits::of(Slot::Thresholds)
}

/// The fault of a call within `limits`; a sound guest answers right after.
fn tripped(guest: &Guest, limits: Limits) -> PolicyFault {
    let set = assessor_within(&guest.build(), limits);
    let fault = assess(&set).expect_err("a limit is reached");
    let sound = assessor(&Guest::assessing(GOOD).build());
    assess(&sound).expect("the call after is unharmed");
    fault
}

fn check(guest: &Guest, limits: Limits, code: &str) -> PolicyFault {
    let fault = tripped(guest, limits);
    assert_eq!((fault.class, fault.code.as_str()), (FaultClass::GuestFault, code), "{fault}");
    fault
}

/// Why a set with the guest cannot be loaded; a sound guest answers right after.
fn refused(wasm: &[u8], limits: Limits) -> (String, String) {
    let error = set_with(Slot::Thresholds, wasm, json!({}), limits).err().expect("refused");
    let sound = assessor(&Guest::assessing(GOOD).build());
    assess(&sound).expect("the call after is unharmed");
    (error.code().to_owned(), error.source.to_string())
}

#[test]
fn fuel_of_the_revision() {
    let limits = Limits { fuel: 10, ..usual() };
    let fault = check(&Guest::assessing(GOOD), limits, fault::POLICY_FUEL);
    assert_eq!(fault.message, "all 10 units of fuel are used");
}

#[test]
fn fuel_for_setting_up_of_the_revision() {
    let also = "(func $init (local $n i32) (local.set $n (i32.const 5000))
        (loop (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if 0 (local.get $n))))
        (start $init)";
    let guest = || Guest { also, ..Guest::assessing(GOOD) };
    assess(&assessor(&guest().build())).expect("it starts within the usual fuel");
    let fault = check(&guest(), Limits { start_fuel: 1_000, ..usual() }, fault::POLICY_FUEL);
    assert_eq!(fault.message, "all 1000 units of fuel for starting are used");
}

#[test]
fn memory_of_the_revision() {
    let growing = Guest::assessing("(drop (memory.grow (i32.const 17))) unreachable");
    let limits = Limits { memory_bytes: 3 << 20, ..usual() };
    let fault = check(&growing, limits, fault::POLICY_MEMORY);
    assert!(fault.message.ends_with("at most 3145728"), "{fault}");
    // What it begins with counts too.
    let limits = Limits { memory_bytes: 1 << 20, ..usual() };
    check(&Guest::assessing(GOOD), limits, fault::POLICY_MEMORY);
}

#[test]
fn answer_of_the_revision() {
    let body = "(call $answer (i32.const 0) (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 0)
        (i32.const 1000000) (i32.const 4000))";
    assess(&assessor(&Guest::assessing(body).build())).expect("within the usual size");
    let limits = Limits { output_bytes: 2_000, ..usual() };
    check(&Guest::assessing(body), limits, fault::POLICY_OUTPUT);
}

#[test]
fn deadline_of_the_revision() {
    let endless = Guest::assessing("(loop (br 0)) unreachable");
    let fault = tripped(&endless, Limits { fuel: u64::MAX, deadline_ms: 20, ..usual() });
    assert_eq!((fault.class, fault.code.as_str()), (FaultClass::HostGuard, fault::POLICY_DEADLINE));
}

#[test]
fn stack() {
    let guest = Guest {
        also: "(func $deeper (param i32) (result i32)
            (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))",
        assess: "(call $deeper (i32.const 0))",
        ..Guest::default()
    };
    let fault = check(&guest, usual(), fault::POLICY_TRAP);
    assert!(fault.message.contains("stack"), "{fault}");
}

#[test]
fn elements_of_a_table_that_grows() {
    let growing = |elements: &str| {
        let assess = format!(
            "(if (i32.eq (table.grow $t (ref.null func) (i32.const {elements})) (i32.const -1))
                (then unreachable)) {GOOD}"
        );
        Guest { also: "(table $t 1 funcref)", assess: assess.leak(), ..Guest::default() }
    };
    assess(&assessor(&growing("99999").build())).expect("100,000 elements fit");
    check(&growing("100000"), usual(), fault::POLICY_TRAP);
}

#[test]
fn elements_of_a_table_from_the_start() {
    let guest = Guest { also: "(table 200000 funcref)", ..Guest::default() };
    let (code, why) = refused(&guest.build(), usual());
    assert_eq!(code, "component-compile", "{why}");
    assert!(why.contains("table"), "{why}");
}

#[test]
fn number_of_tables() {
    let also = "(table 1 funcref)".repeat(17).leak();
    let (code, why) = refused(&Guest { also, ..Guest::default() }.build(), usual());
    assert_eq!(code, "component-compile", "{why}");
    assert!(why.contains("tables count of 17"), "{why}");
}

#[test]
fn memories_beyond_one_or_beyond_32_bits_or_shared() {
    for memory in ["(memory $more 1)", "(memory $wide i64 1)", "(memory $shared 1 1 shared)"] {
        let guest = Guest { also: memory, ..Guest::default() };
        let (code, why) = refused(&guest.build(), usual());
        assert_eq!(code, "component-compile", "{memory}: {why}");
    }
}

/// WAS-RES-01: resources of its own are no way around the memory limit.
#[test]
fn handles_of_resources() {
    let set = |count: &str| {
        let assess = format!(
            "(local.set $n (i32.const {count}))
            (loop
                (drop (call $new (i32.const 1)))
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (br_if 0 (local.get $n)))
            {GOOD}"
        );
        let guest = Guest { assess: assess.leak(), ..Guest::default() };
        let import = r#"(module
  (import "[export]evil:resources/flood@1.0.0" "[resource-new]handle" (func $new (param i32) (result i32)))"#;
        let text = guest.text().replacen("(module", import, 1);
        assessor(&component(&text, "evil:resources@1.0.0", "flooder", &[RESOURCES_WIT]))
    };
    assess(&set("9000")).expect("fewer than the cap");
    let fault = assess(&set("10000000")).expect_err("a flood");
    let expected = (FaultClass::GuestFault, fault::POLICY_OUTPUT);
    assert_eq!((fault.class, fault.code.as_str()), expected, "{fault}");
    assert!(fault.message.contains("handle"), "{fault}");
    assess(&set("9000")).expect("the call after is unharmed");
}

/// A world that also exports a resource.
const RESOURCES_WIT: &str = "package evil:resources@1.0.0;
    interface flood { resource handle; }
    world flooder {
        import prism:plugin/log@1.0.0;
        export prism:plugin/meta@1.0.0;
        export prism:thresholds/thresholds@1.0.0;
        export flood;
    }";
