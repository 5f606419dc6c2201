//! From a core module, as a compiler for `wasm32-unknown-unknown` leaves it, to a component.

use wit_component::ComponentEncoder;

/// Wraps a core module whose interfaces its bindings described. The error says why it cannot be one.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|why| format!("not a component: {why:#}"))
}
