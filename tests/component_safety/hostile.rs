//! Components that attack whoever takes them in. Each is refused by its code, the server answers on, its memory
//! stays what it was, and a sound component is taken right after. Ids are those of the list of attacks.

use std::fmt::Write as _;

use prism_domain::policy::Slot;
use prism_tests::Prism;

use crate::guests::{GOOD, Guest, NETWORK_WIT, REACHES_OUT, component, nested};
use crate::server::{granted, push, refused, settings};

/// How much the server may have grown after all of them, KiB.
const GROWTH_MAX_KIB: u64 = 96 << 10;

/// An attack by what it tries, and the code that answers it.
struct Attack {
    tries: &'static str,
    slot: Slot,
    wasm: Vec<u8>,
    code: &'static str,
    /// What the message names besides.
    names: &'static [&'static str],
}

fn attack(tries: &'static str, wasm: Vec<u8>, code: &'static str) -> Attack {
    Attack { tries, slot: Slot::Thresholds, wasm, code, names: &[] }
}

fn guest(tries: &'static str, guest: &Guest, code: &'static str) -> Attack {
    attack(tries, guest.build(), code)
}

fn assessing(tries: &'static str, assess: &'static str, names: &'static [&'static str]) -> Attack {
    Attack { names, ..guest(tries, &Guest::assessing(assess), "component-conformance") }
}

/// What is found out when the cases of the slot are put to it.
fn that_misbehave_when_asked() -> Vec<Attack> {
    vec![
        assessing("infinite loop", "(loop (br 0)) unreachable", &["policy-fuel"]),
        assessing(
            "endless allocation",
            "(loop (drop (memory.grow (i32.const 16))) (br 0)) unreachable",
            &["policy-memory"],
        ),
        assessing(
            "WAS-OUT-02 answer of half a megabyte",
            "(call $answer (i32.const 0) (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 0)
                (i32.const 65536) (i32.const 524288))",
            &["policy-output"],
        ),
        assessing(
            "WAS-OUT-02 text of a gigabyte",
            "(call $answer (i32.const 0) (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 0)
                (i32.const 65536) (i32.const 1073741824))",
            &["policy-output"],
        ),
        assessing(
            "WAS-OUT-02 text that is not UTF-8",
            "(i32.store8 (i32.const 4096) (i32.const 237))
             (i32.store8 (i32.const 4097) (i32.const 160))
             (i32.store8 (i32.const 4098) (i32.const 128))
             (call $answer (i32.const 0) (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 0)
                (i32.const 4096) (i32.const 3))",
            &["policy-output"],
        ),
        Attack {
            names: &["policy-trap", "stack"],
            ..guest(
                "deep recursion",
                &Guest {
                    also: "(func $deeper (param i32) (result i32)
                        (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))",
                    assess: "(call $deeper (i32.const 0))",
                    ..Guest::default()
                },
                "component-conformance",
            )
        },
        Attack {
            names: &["handle"],
            ..attack("WAS-RES-01 handle flood", handle_flood(), "component-conformance")
        },
        guest(
            "start function that loops",
            &Guest { also: "(func $init (loop (br 0))) (start $init)", ..Guest::default() },
            "component-describe",
        ),
        guest(
            "start function that takes long",
            &Guest {
                also: "(func $init (local $n i32) (local.set $n (i32.const 10000000))
                    (loop (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if 0 (local.get $n))))
                    (start $init)",
                ..Guest::default()
            },
            "component-describe",
        ),
        attack("WAS-OUT-02 ten million problems", flood_of_problems(), "component-describe"),
    ]
}

/// What is found out before anything is compiled.
fn that_are_not_compiled() -> Vec<Attack> {
    let parsed = |text: String| wat::parse_str(text).expect("a component");
    let good = Guest::default().build();
    let body = "(drop (i32.add (i32.const 1) (i32.const 2)))".repeat(200_000);
    vec![
        attack(
            "garbage",
            (0..=u8::MAX).cycle().skip(7).take(4_096).collect(),
            "component-malformed",
        ),
        attack(
            "garbage with a header",
            [b"\0asm\x0d\0\x01\0".as_slice(), &[0xff; 512]].concat(),
            "component-malformed",
        ),
        attack("truncated", good[..good.len() / 2].to_vec(), "component-malformed"),
        attack("core module", wat::parse_str("(module)").expect("a module"), "component-malformed"),
        attack(
            "component without exports",
            parsed("(component)".to_owned()),
            "component-wrong-world",
        ),
        Attack {
            slot: Slot::Review,
            names: &["prism:review@2.0.0", "prism:review@1.0.0"],
            ..attack("WAS-ABI-01 another version", of_another_version(), "component-wrong-world")
        },
        Attack {
            slot: Slot::Review,
            ..attack("WAS-ABI-01 another world", good, "component-wrong-world")
        },
        attack(
            "forbidden import",
            component(REACHES_OUT, "evil:net@1.0.0", "reacher", &[NETWORK_WIT]),
            "component-forbidden-import",
        ),
        attack("WAS-ABI-03 nesting", nested(5_000), "component-too-complex"),
        attack(
            "WAS-ABI-03 ten thousand instances",
            parsed(format!(
                "(component (core module $m) {})",
                "(core instance (instantiate $m))".repeat(10_000)
            )),
            "component-too-complex",
        ),
        attack(
            "compile bomb: very many functions",
            parsed(format!("(component (core module {}))", "(func)".repeat(100_001))),
            "component-too-complex",
        ),
        attack(
            "compile bomb: one huge function",
            parsed(format!("(component (core module (func {body})))")),
            "component-too-complex",
        ),
    ]
}

/// What the compiler, or the pool, refuses.
fn that_do_not_compile() -> Vec<Attack> {
    let with = |tries, also| guest(tries, &Guest { also, ..Guest::default() }, "component-compile");
    vec![
        with("big table", "(table 10000000 funcref)"),
        with("many tables", "(table 1 funcref)".repeat(60).leak()),
        with("64-bit memory", "(memory $wide i64 1)"),
        with("several memories", "(memory $more 1)"),
        with("shared memory", "(memory $shared 1 1 shared)"),
        with("threads", "(func $atomic (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1))))"),
    ]
}

/// Exports a resource besides, and takes ten million handles of it.
fn handle_flood() -> Vec<u8> {
    let import = r#"(module
  (import "[export]evil:resources/flood@1.0.0" "[resource-new]handle" (func $new (param i32) (result i32)))"#;
    let assess = format!(
        "(local.set $n (i32.const 10000000))
        (loop
            (drop (call $new (i32.const 1)))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if 0 (local.get $n)))
        {GOOD}"
    );
    let guest = Guest { assess: assess.leak(), ..Guest::default() };
    let text = guest.text().replacen("(module", import, 1);
    let wit = "package evil:resources@1.0.0;
        interface flood { resource handle; }
        world flooder {
            import prism:plugin/log@1.0.0;
            export prism:plugin/meta@1.0.0;
            export prism:thresholds/thresholds@1.0.0;
            export flood;
        }";
    component(&text, "evil:resources@1.0.0", "flooder", &[wit])
}

/// Finds ten million problems in any settings.
fn flood_of_problems() -> Vec<u8> {
    let text = Guest::default().text().replace(
        "(i64.store (i32.const 320) (i64.const 0))",
        "(i32.store (i32.const 320) (i32.const 65536)) (i32.store (i32.const 324) (i32.const 10000000))",
    );
    component(&text, "prism:thresholds@1.0.0", "assessor", &[])
}

/// Made for interfaces that this host does not know.
fn of_another_version() -> Vec<u8> {
    let text = r#"(module (func (export "prism:review/review@2.0.0#judge")))"#;
    let wit = "package prism:review@2.0.0;
        interface review { judge: func(); }
        world reviewer { export review; }";
    component(text, "prism:review@2.0.0", "reviewer", &[wit])
}

fn resident_kib(prism: &Prism) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", prism.id())).expect("alive");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a number")
}

async fn is_refused(prism: &Prism, attack: &Attack) {
    let problem = refused(push(prism, attack.slot, &attack.wasm), 422, attack.code).await;
    let told = problem["detail"].as_str().expect("a sentence");
    for name in attack.names {
        assert!(told.contains(name), "{}: {told}", attack.tries);
    }
    assert!(told.len() < 8_000, "{}: {} bytes of complaint", attack.tries, told.len());
    assert_eq!(prism.get("/health").await["status"], "ok", "{}", attack.tries);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_refused_by_its_code_and_harms_nobody() {
    let prism = Prism::start(&settings(""));
    let mut sound = (1..).map(|patch: u32| {
        let version = format!("1.0.{patch}").leak();
        Guest { version, ..Guest::default() }.build()
    });
    let mut next = || sound.next().expect("endless");
    granted(push(&prism, Slot::Thresholds, &next())).await;
    let before = resident_kib(&prism);
    let kinds = [that_misbehave_when_asked(), that_are_not_compiled(), that_do_not_compile()];
    for attack in kinds.iter().flatten() {
        is_refused(&prism, attack).await;
        granted(push(&prism, Slot::Thresholds, &next())).await;
    }
    let grown = resident_kib(&prism).saturating_sub(before);
    assert!(grown < GROWTH_MAX_KIB, "the server has grown by {grown} KiB");
}

/// Bytes that every component carries are read by nobody but the counter of bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_beyond_the_size_limit_is_refused_unread() {
    let prism = Prism::start(&settings(""));
    let wasm = vec![0; prism_policy::COMPONENT_MAX_BYTES + 1];
    refused(push(&prism, Slot::Rewards, &wasm), 413, "body-too-large").await;
    assert_eq!(prism.get("/health").await["status"], "ok");
}

/// Below every count of the shape, and still far too much work: so many functions, all different.
fn compile_bomb() -> Vec<u8> {
    let mut functions = String::new();
    for n in 0..60_000 {
        write!(
            functions,
            "(func (param i32 i64) (result i64) (i64.mul (i64.rotl (local.get 1) (i64.const {n}))
            (i64.extend_i32_u (i32.xor (i32.mul (local.get 0) (i32.const {n}))
            (i32.load offset={n} (local.get 0))))))"
        )
        .expect("a string takes everything");
    }
    Guest { also: functions.leak(), ..Guest::default() }.build()
}

#[tokio::test(flavor = "multi_thread")]
async fn compiling_is_bounded_in_cpu_time_wall_clock_and_memory() {
    let bomb = compile_bomb();
    for (limits, code) in [
        ("{cpu_seconds: 1}", "component-compile-limits"),
        ("{wall_seconds: 2}", "component-compile-timeout"),
        ("{memory_bytes: 268435456}", "component-compile-limits"),
    ] {
        let prism = Prism::start(&settings(&format!("component_compile: {limits}")));
        let before = resident_kib(&prism);
        refused(push(&prism, Slot::Thresholds, &bomb), 422, code).await;
        granted(push(&prism, Slot::Thresholds, &Guest::default().build())).await;
        let grown = resident_kib(&prism).saturating_sub(before);
        assert!(grown < GROWTH_MAX_KIB, "{limits}: the server has grown by {grown} KiB");
    }
}

/// WAS-NDT-03: what answers differently when it is asked twice is not taken, and nothing but its own bytes can
/// make it: memory, globals and tables are fresh in every call.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_counts_its_calls_answers_each_alike_and_is_taken() {
    let prism = Prism::start(&settings(""));
    let counting = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.store (i32.const 40000) (i32.add (i32.load (i32.const 40000)) (i32.const 1)))
        (call $answer (i32.const 0) (f64.convert_i32_u (global.get $calls)) (f64.const 0)
            (f64.convert_i32_u (i32.load (i32.const 40000))) (f64.const 0) (i32.const 4096) (i32.const 4))";
    granted(push(&prism, Slot::Thresholds, &Guest::assessing(counting).build())).await;
}
