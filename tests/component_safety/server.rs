//! What every test here needs: a server with people and a key, and how they ask it.

use std::time::Duration;

use prism_domain::ids::Digest;
use prism_domain::policy::Slot;
use prism_intake::PolicySigner;
use prism_policy::default_component;
use prism_tests::{Prism, Settings};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// How often something is looked at that takes effect within two seconds, and how many looks that are.
pub(crate) const LOOK: Duration = Duration::from_millis(100);
const LOOKS: usize = 20;

/// The key that counts.
pub(crate) fn olga() -> PolicySigner {
    PolicySigner::from_seed("olga", &[7; 32]).expect("a key")
}

/// A server that takes what olga signed; people are known by their names. `more` are further settings.
pub(crate) fn settings(more: &str) -> Settings {
    let person = |name: &str, scope: &str| {
        let digest = hex::encode(Sha256::digest(name.as_bytes()));
        format!("  - {{name: {name}, scope: {scope}, token_sha256: {digest}}}\n")
    };
    let file = format!(
        "policy_keys: [{{name: olga, ed25519: {}}}]\n{more}\npeople:\n{}{}",
        olga().public_key(),
        person("rosa", "researcher"),
        person("olga", "operator"),
    );
    Settings { file, ..Settings::api_only() }
}

pub(crate) fn asked(prism: &Prism, who: &str, method: &str, path: &str) -> RequestBuilder {
    prism.request(method, &format!("/internal/v1/policies{path}")).bearer_auth(who)
}

pub(crate) async fn answered(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    (status, response.json().await.unwrap_or(Value::Null))
}

pub(crate) async fn granted(request: RequestBuilder) -> Value {
    let (status, body) = answered(request).await;
    assert!(status.is_success(), "{status} {body}");
    body
}

pub(crate) async fn refused(request: RequestBuilder, status: u16, code: &str) -> Value {
    let (got, body) = answered(request).await;
    assert_eq!((got.as_u16(), body["code"].as_str()), (status, Some(code)), "{body}");
    body
}

/// A push that olga signed for the slot.
pub(crate) fn push(prism: &Prism, slot: Slot, wasm: &[u8]) -> RequestBuilder {
    let signature = olga().sign(slot, Digest::of(wasm)).to_string();
    let path = format!("/components?slot={}", slot.as_str());
    asked(prism, "rosa", "POST", &path)
        .header("X-Component-Signature", signature)
        .body(wasm.to_vec())
}

/// The default component of a slot with a custom section more: other bytes, the same answers.
pub(crate) fn variation(slot: Slot, mark: &str) -> Vec<u8> {
    let mut wasm = default_component(slot).to_vec();
    let name = b"mark";
    let size = u8::try_from(1 + name.len() + mark.len()).expect("a short mark");
    wasm.extend([0, size, u8::try_from(name.len()).expect("short")]);
    wasm.extend(name);
    wasm.extend(mark.as_bytes());
    wasm
}

/// A set that differs from the one in force in one slot; its digest.
pub(crate) async fn composed(prism: &Prism, slot: Slot, change: Value) -> String {
    let body = json!({"slots": {slot.as_str(): change}});
    let made = granted(asked(prism, "rosa", "POST", "/sets").json(&body)).await;
    made["digest"].as_str().expect("a digest").to_owned()
}

/// A request to put a set in force.
pub(crate) fn activation(prism: &Prism, set: &str) -> RequestBuilder {
    let body = json!({"set": set, "reason": "a test", "without_backtest": "a test"});
    asked(prism, "olga", "POST", "/activations").json(&body)
}

pub(crate) async fn state(prism: &Prism, set: &str) -> Value {
    granted(asked(prism, "olga", "GET", &format!("/sets/{set}"))).await["state"].clone()
}

/// The set that the process decides with.
pub(crate) async fn loaded(prism: &Prism) -> String {
    let active = granted(asked(prism, "olga", "GET", "/active")).await;
    active["loaded"].as_str().expect("a digest").to_owned()
}

pub(crate) async fn follows(prism: &Prism, set: &str) {
    for _ in 0..LOOKS {
        if loaded(prism).await == set {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("after two seconds the process still decides with {}", loaded(prism).await);
}
