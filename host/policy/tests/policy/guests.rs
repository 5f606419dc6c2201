//! Small guests written as text: each fills the thresholds slot and misbehaves in one way. No toolchain
//! is needed to build them.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{PackageName, Resolve, WorldId};

/// Fills the thresholds slot; `assess` is the body of its function and gives the answer's address.
pub(crate) struct Guest {
    /// Instructions of `assess`.
    pub(crate) assess: &'static str,
    /// Further definitions of the module.
    pub(crate) also: &'static str,
    /// What `describe` gives as the version.
    pub(crate) version: &'static str,
    /// What `describe` gives as the sentence about it.
    pub(crate) summary: &'static str,
    /// What `describe` gives as the schema of the settings.
    pub(crate) schema: &'static str,
    /// What `describe` gives as the default settings.
    pub(crate) defaults: &'static str,
}

impl Default for Guest {
    fn default() -> Self {
        let (version, summary) = ("1.0.0", "fine");
        Self {
            assess: GOOD,
            also: "",
            version,
            summary,
            schema: r#"{"type":"object"}"#,
            defaults: "{}",
        }
    }
}

/// An answer without fault.
pub(crate) const GOOD: &str = "(call $answer (i32.const 0) (f64.const 0.25) (f64.const 0.1)
    (f64.const 21) (f64.const 20) (i32.const 4096) (i32.const 4))";

impl Guest {
    /// One that answers as `assess` says.
    pub(crate) fn assessing(assess: &'static str) -> Self {
        Self { assess, ..Self::default() }
    }

    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        component(&self.text(), "prism:thresholds@1.0.0", "assessor", &[])
    }

    /// The core module as text.
    pub(crate) fn text(&self) -> String {
        MODULE
            .replace("{assess}", self.assess)
            .replace("{also}", self.also)
            .replace("{version}", self.version)
            .replace("{version-len}", &self.version.len().to_string())
            .replace("{summary}", &escaped(self.summary))
            .replace("{summary-len}", &self.summary.len().to_string())
            .replace("{schema}", &self.schema.replace('"', "\\\""))
            .replace("{schema-len}", &self.schema.len().to_string())
            .replace("{defaults}", &self.defaults.replace('"', "\\\""))
            .replace("{defaults-len}", &self.defaults.len().to_string())
    }
}

/// Turns the text of a core module into a component of that world; `extra` are further WIT packages.
pub(crate) fn component(text: &str, package: &str, world: &str, extra: &[&str]) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("the text is a module");
    let (resolve, world) = world_of(package, world, extra);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .expect("fits its world")
        .encode()
        .expect("component")
}

/// Text as a string of a module's text may hold it, byte by byte.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |escaped, byte| escaped + &format!("\\{byte:02x}"))
}

/// A component within a component, and so on; no text could say so, for its parser has limits of its own.
pub(crate) fn nested(depth: usize) -> Vec<u8> {
    const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
    const COMPONENT_SECTION: u8 = 4;
    let mut wasm = HEADER.to_vec();
    for _ in 0..depth {
        let mut outer = HEADER.to_vec();
        outer.push(COMPONENT_SECTION);
        let mut size = wasm.len();
        while size >= 0x80 {
            outer.push(u8::try_from(size & 0x7f).expect("seven bits") | 0x80);
            size >>= 7;
        }
        outer.push(u8::try_from(size).expect("seven bits"));
        outer.extend(&wasm);
        wasm = outer;
    }
    wasm
}

fn world_of(package: &str, world: &str, extra: &[&str]) -> (Resolve, WorldId) {
    let mut resolve = Resolve::default();
    // The tests of the whole server use these guests too.
    let wit = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("wit"))
        .find(|folder| folder.is_dir())
        .expect("the workspace");
    resolve.push_dir(wit).expect("the interfaces of this repository");
    for text in extra {
        resolve.push_str("extra.wit", text).expect("valid text");
    }
    let found = resolve
        .packages
        .iter()
        .find(|(_, found): &(_, &wit_parser::Package)| is_named(&found.name, package))
        .and_then(|(_, found)| found.worlds.get(world).copied())
        .expect("known world");
    (resolve, found)
}

fn is_named(name: &PackageName, wanted: &str) -> bool {
    name.to_string() == wanted
}

/// `assess` takes the settings and the comparison, flat; `$answer` lays an assessment out at 512.
const MODULE: &str = r#"(module
  (import "prism:plugin/log@1.0.0" "write" (func $log (param i32 i32 i32)))
  (memory (export "memory") 32)
  (global $top (mut i32) (i32.const 65536))
  (global $calls (mut i32) (i32.const 0))
  (data (i32.const 4096) "fine")
  (data (i32.const 4200) "test-guest")
  (data (i32.const 4300) "{version}")
  (data (i32.const 4400) "{summary}")
  (data (i32.const 8192) "{schema}")
  (data (i32.const 12288) "{defaults}")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
    (global.set $top (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "prism:plugin/meta@1.0.0#describe") (result i32)
    (i32.store (i32.const 256) (i32.const 4200)) (i32.store (i32.const 260) (i32.const 10))
    (i32.store (i32.const 264) (i32.const 4300)) (i32.store (i32.const 268) (i32.const {version-len}))
    (i32.store (i32.const 272) (i32.const 4400)) (i32.store (i32.const 276) (i32.const {summary-len}))
    (i32.store (i32.const 280) (i32.const 8192)) (i32.store (i32.const 284) (i32.const {schema-len}))
    (i32.store (i32.const 288) (i32.const 12288)) (i32.store (i32.const 292) (i32.const {defaults-len}))
    (i32.const 256))
  (func (export "prism:plugin/meta@1.0.0#check-settings") (param i32 i32) (result i32)
    (i64.store (i32.const 320) (i64.const 0))
    (i32.const 320))
  (func $answer (param $outcome i32) (param $delta f64) (param $required f64)
      (param $statistic f64) (param $critical f64) (param $text i32) (param $len i32) (result i32)
    (i32.store8 (i32.const 512) (i32.const 0))
    (i32.store8 (i32.const 520) (local.get $outcome))
    (f64.store (i32.const 528) (local.get $delta))
    (f64.store (i32.const 536) (local.get $required))
    (f64.store (i32.const 544) (local.get $statistic))
    (f64.store (i32.const 552) (local.get $critical))
    (i32.store (i32.const 560) (local.get $text))
    (i32.store (i32.const 564) (local.get $len))
    (i32.const 512))
  {also}
  (func (export "prism:thresholds/thresholds@1.0.0#assess")
      (param i32 i32 i32 f64 f64 i32 f64 f64 i32 i32 i32 i32 i32) (result i32)
    (local $n i32)
    {assess})
)"#;

/// Fills the attribution slot by asking the thresholds policy itself, which no component may.
pub(crate) const ATTRIBUTOR_THAT_CALLS_ANOTHER_POLICY: &str = r#"(module
  (import "prism:thresholds/thresholds@1.0.0" "assess"
    (func (param i32 i32 i32 f64 f64 i32 f64 f64 i32 i32 i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "prism:plugin/meta@1.0.0#describe") (result i32) unreachable)
  (func (export "prism:plugin/meta@1.0.0#check-settings") (param i32 i32) (result i32) unreachable)
  (func (export "prism:attribution/attribution@1.0.0#attribute") (param i32) (result i32) unreachable)
)"#;

/// A component that reaches for the network.
pub(crate) const REACHES_OUT: &str = r#"(module
  (import "evil:net/socket@1.0.0" "open" (func (result i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "prism:plugin/meta@1.0.0#describe") (result i32) unreachable)
  (func (export "prism:plugin/meta@1.0.0#check-settings") (param i32 i32) (result i32) unreachable)
  (func (export "prism:thresholds/thresholds@1.0.0#assess")
      (param i32 i32 i32 f64 f64 i32 f64 f64 i32 i32 i32 i32 i32) (result i32) unreachable)
)"#;

/// The world of [`REACHES_OUT`].
pub(crate) const NETWORK_WIT: &str = "package evil:net@1.0.0;
    interface socket { open: func() -> u32; }
    world reacher {
        import socket;
        export prism:plugin/meta@1.0.0;
        export prism:thresholds/thresholds@1.0.0;
    }";
