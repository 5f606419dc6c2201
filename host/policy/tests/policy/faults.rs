//! Every way in which a call can go wrong, and that it harms nobody else.

use std::thread;

use prism_domain::policy::{FaultClass, PolicySet, Slot};
use prism_policy::{Catalog, LOG_LINE_MAX_BYTES, LOG_LINES_MAX, Limits, fault};

use crate::guests::{GOOD, Guest};
use crate::kit::{apart, assess, assessor, assessor_in, assessor_within, comparison};

fn limits() -> Limits {
    Limits::of(Slot::Thresholds)
}

fn check(assess_body: &'static str, class: FaultClass, code: &str) {
    let set = assessor(&Guest::assessing(assess_body).build());
    let first = assess(&set).expect_err("the guest misbehaves");
    assert_eq!((first.class, first.code.as_str()), (class, code), "{first}");
    assert_eq!(assess(&set).expect_err("again"), first, "a deterministic fault repeats itself");
}

#[test]
fn good_guest_answers() {
    let set = assessor(&Guest::assessing(GOOD).build());
    let decided = assess(&set).expect("answer");
    assert_eq!(decided.answer.explanation, "fine");
    assert_eq!(decided.provenance.policy_set, set.digest());
    assert!(decided.provenance.fuel > 0);
}

#[test]
fn endless_loop_runs_out_of_fuel() {
    check("(loop (br 0)) unreachable", FaultClass::GuestFault, fault::POLICY_FUEL);
}

#[test]
fn endless_allocation_reaches_the_memory_cap() {
    check(
        "(loop (drop (memory.grow (i32.const 16))) (br 0)) unreachable",
        FaultClass::GuestFault,
        fault::POLICY_MEMORY,
    );
    check(
        "(drop (memory.grow (i32.const 65535))) unreachable",
        FaultClass::GuestFault,
        fault::POLICY_MEMORY,
    );
}

#[test]
fn trap_is_a_guest_fault() {
    for body in [
        "unreachable",
        "(i32.load (i32.const -8))",
        "(i32.div_u (i32.const 1) (i32.const 0))",
        "(i32.trunc_f64_u (f64.const nan))",
    ] {
        check(body, FaultClass::GuestFault, fault::POLICY_TRAP);
    }
}

#[test]
fn endless_recursion_is_a_trap_and_not_the_end_of_the_host() {
    let guest = Guest {
        also: "(func $deeper (param i32) (result i32)
            (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))",
        assess: "(call $deeper (i32.const 0))",
        ..Guest::default()
    };
    let fault = assess(&assessor(&guest.build())).expect_err("the stack ends");
    assert_eq!(fault.code, fault::POLICY_TRAP);
}

#[test]
fn oversized_and_unreadable_answers_are_refused() {
    let text = |_what: &str, body: &'static str| {
        check(body, FaultClass::GuestFault, fault::POLICY_OUTPUT);
    };
    text(
        "half a megabyte of text",
        "(call $answer (i32.const 0) (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 0)
            (i32.const 65536) (i32.const 524288))",
    );
    text(
        "text outside of the memory",
        "(call $answer (i32.const 0) (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 0)
            (i32.const -16) (i32.const 64))",
    );
    text(
        "text that is not UTF-8",
        "(i32.store8 (i32.const 4096) (i32.const 255))
         (call $answer (i32.const 0) (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 0)
            (i32.const 4096) (i32.const 4))",
    );
    text(
        "an outcome that does not exist",
        "(call $answer (i32.const 9) (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 0)
            (i32.const 4096) (i32.const 4))",
    );
    text("an answer outside of the memory", "(i32.const -8)");
}

#[test]
fn answer_that_breaks_a_rule_of_the_slot_is_invalid() {
    for body in [
        "(call $answer (i32.const 0) (f64.const nan) (f64.const 0) (f64.const 0) (f64.const 0)
            (i32.const 4096) (i32.const 4))",
        "(call $answer (i32.const 0) (f64.const 0) (f64.const 0) (f64.const inf) (f64.const 0)
            (i32.const 4096) (i32.const 4))",
        "(call $answer (i32.const 0) (f64.const 0) (f64.const -0.5) (f64.const 0) (f64.const 0)
            (i32.const 4096) (i32.const 4))",
    ] {
        check(body, FaultClass::GuestFault, fault::POLICY_INVALID_ANSWER);
    }
}

#[test]
fn typed_refusal_of_a_policy_is_told_apart() {
    let set = assessor(
        &Guest::assessing(
            "(i32.store8 (i32.const 512) (i32.const 1))
             (i32.store8 (i32.const 520) (i32.const 0))
             (i32.store (i32.const 524) (i32.const 4096))
             (i32.store (i32.const 528) (i32.const 4))
             (i32.const 512)",
        )
        .build(),
    );
    let fault = assess(&set).expect_err("a refusal");
    assert_eq!((fault.class, fault.code.as_str()), (FaultClass::PolicyError, fault::POLICY_ERROR));
    assert_eq!(fault.message, "invalid facts: fine");
}

#[test]
fn fuel_is_counted_alike_every_time() {
    let work = "(local.set $n (i32.const 100000))
        (loop (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if 0 (local.get $n)))
        (call $answer (i32.const 0) (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 0)
            (i32.const 4096) (i32.const 4))";
    let wasm = Guest::assessing(work).build();
    let fuel = assess(&assessor(&wasm)).expect("answer").provenance.fuel;
    let again = assess(&assessor(&wasm)).expect("answer").provenance.fuel;
    assert_eq!(fuel, again);

    // One unit less than it takes is a fault, on every machine.
    let exact = assessor_within(&wasm, Limits { fuel, ..limits() });
    assert!(assess(&exact).is_ok());
    let short = assessor_within(&wasm, Limits { fuel: fuel - 100, ..limits() });
    assert_eq!(assess(&short).expect_err("short").code, fault::POLICY_FUEL);
    assert_ne!(exact.digest(), short.digest(), "a limit is part of the set's name");
}

#[test]
fn bulk_copies_are_paid_for_by_the_byte() {
    let copy = "(memory.fill (i32.const 65536) (i32.const 1) (i32.const 1000000))
        (call $answer (i32.const 0) (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 0)
            (i32.const 4096) (i32.const 4))";
    let decided = assess(&assessor(&Guest::assessing(copy).build())).expect("answer");
    assert!(decided.provenance.fuel >= 1_000_000, "{}", decided.provenance.fuel);
}

/// WAS-NDT-03.
#[test]
fn instance_keeps_nothing_from_call_to_call() {
    let counting = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.store (i32.const 40000) (i32.add (i32.load (i32.const 40000)) (i32.const 1)))
        (call $answer (i32.const 0)
            (f64.convert_i32_u (global.get $calls)) (f64.const 0)
            (f64.convert_i32_u (i32.load (i32.const 40000))) (f64.const 0)
            (i32.const 4096) (i32.const 4))";
    let set = assessor(&Guest::assessing(counting).build());
    let first = assess(&set).expect("answer");
    assert_eq!((first.answer.delta, first.answer.statistic), (1.0, 1.0));
    for _ in 0..100 {
        let next = assess(&set).expect("answer");
        assert_eq!(next.answer, first.answer);
        assert_eq!(next.provenance.fuel, first.provenance.fuel);
    }
}

#[test]
fn log_is_bounded_and_changes_no_answer() {
    let chatty = "(local.set $n (i32.const 1000))
        (loop
            (call $log (i32.const 0) (i32.const 65536) (i32.const 5000))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if 0 (local.get $n)))
        (call $answer (i32.const 0) (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 0)
            (i32.const 4096) (i32.const 4))";
    let set = assessor(&Guest::assessing(chatty).build());
    let case = serde_json::json!({"settings": {}, "input": {
        "subject": "Architecture",
        "candidate": {"value": 0.6, "std_error": 0.0, "samples": 1},
        "incumbent": {"value": 0.5, "std_error": 0.0, "samples": 1},
        "paired_gains_bpb": [], "tests_before": 0, "acceptances_before": 0,
    }});
    let call = set.run_case(Slot::Thresholds, &case.to_string()).expect("answer");
    assert_eq!(call.log.len(), LOG_LINES_MAX);
    assert!(call.log.iter().all(|line| line.message.len() == LOG_LINE_MAX_BYTES));
}

#[test]
fn deadline_is_a_guard_and_no_verdict() {
    let endless = Guest::assessing("(loop (br 0)) unreachable").build();
    let set = assessor_within(&endless, Limits { fuel: u64::MAX, deadline_ms: 30, ..limits() });
    let fault = assess(&set).expect_err("no answer");
    assert_eq!((fault.class, fault.code.as_str()), (FaultClass::HostGuard, fault::POLICY_DEADLINE));
}

#[test]
fn full_pool_is_a_guard_and_no_verdict() {
    // How long the pool must stay full for the last caller to come, a busy machine decides.
    let catalog = apart();
    let codes = [600, 3_000, 15_000]
        .into_iter()
        .map(|deadline_ms| codes_of_eighty_endless_calls(&catalog, deadline_ms))
        .find(|codes| codes.iter().any(|code| code == fault::POLICY_BUSY))
        .expect("a call that found no slot");
    assert!(codes.iter().any(|code| code == fault::POLICY_DEADLINE));
    let calm = assessor_in(&catalog, &Guest::assessing(GOOD).build(), limits());
    assert!(assess(&calm).is_ok(), "the pool recovers");
}

/// More calls at once than the pool has slots; none of them is a verdict.
fn codes_of_eighty_endless_calls(catalog: &Catalog, deadline_ms: u64) -> Vec<String> {
    let endless = Guest::assessing("(loop (br 0)) unreachable").build();
    let set = assessor_in(catalog, &endless, Limits { fuel: u64::MAX, deadline_ms, ..limits() });
    let question = comparison();
    thread::scope(|scope| {
        let calls: Vec<_> = (0..80).map(|_| scope.spawn(|| set.assess(&question))).collect();
        let answers = calls.into_iter().map(|call| call.join().expect("no panic"));
        answers
            .map(|answer| {
                let fault = answer.expect_err("no answer");
                assert_eq!(fault.class, FaultClass::HostGuard, "{fault}");
                fault.code
            })
            .collect()
    })
}

#[test]
fn one_failing_call_does_not_touch_another() {
    let failing = assessor(&Guest::assessing("unreachable").build());
    let good = assessor(&Guest::assessing(GOOD).build());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..200).for_each(|_| drop(assess(&failing).expect_err("trap"))));
            scope.spawn(|| (0..200).for_each(|_| drop(assess(&good).expect("answer"))));
        }
    });
}
