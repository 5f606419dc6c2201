//! Secrets: where they are not taken from, where they never show, and what happens when they change.

use prism_tests::{Prism, Settings, TOKEN};
use reqwest::RequestBuilder;
use sha2::{Digest as _, Sha256};

use crate::asking::{BRIDGE, assert_refused, refusal, sent, signed, upload};

const PERSON: &str = "person-token-0123456789";
/// How much is logged.
const QUIET_COMPILER: &str = "trace,wasmtime=info,cranelift=info,cranelift_codegen=info,cranelift_frontend=info,cranelift_wasm=info,regalloc2=info,wasmtime_internal_cranelift=info,wasmtime_cranelift=info";

/// HTTP-AUT-05
#[tokio::test]
async fn no_token_is_taken_from_an_address_and_none_is_ever_logged() {
    let person = hex::encode(Sha256::digest(PERSON));
    let file = format!("people:\n  - {{name: vera, scope: viewer, token_sha256: {person}}}\n");
    // Everything that any part of the program can say that sees a request; the compiler of policies would
    // fill the log for minutes.
    let settings = Settings { file, ..Settings::api_only() }.with("RUST_LOG", QUIET_COMPILER);
    let settings = settings.with("PRISM_ALLOW_INSECURE_SIGNATURES", "true");
    let prism = Prism::start(&settings.with("PRISM_UPLOADS", "1"));
    let by_address = prism.request("POST", &format!("{BRIDGE}?token={TOKEN}"));
    let by_cookie = by_address.header("Cookie", format!("token={TOKEN}")).body("x");
    assert_refused(by_cookie, 401, "auth-missing").await;
    let misplaced = prism.request("POST", BRIDGE).header("Authorization", TOKEN).body("x");
    assert_refused(misplaced, 401, "auth-invalid").await;
    assert_eq!(sent(upload(&prism, "a", "x")).await.status(), 200);
    assert_eq!(sent(upload(&prism, "a", "")).await.status(), 422);
    assert_eq!(refusal(signed(&prism, "nonce-1", "{}")).await.0, 422);
    let metrics = prism.request("GET", "/metrics").bearer_auth(PERSON);
    assert_eq!(sent(metrics).await.status(), 200);
    let forbidden = prism.request("POST", "/internal/v1/policies/rollback").bearer_auth(PERSON);
    assert_eq!(refusal(forbidden.body("{}")).await.0, 403);
    let broken = upload(&prism, "a", "{").header("Content-Type", "application/json");
    assert_eq!(refusal(broken).await.0, 400);
    let log = prism.log();
    assert!(log.len() > 50, "the log speaks: {} lines", log.len());
    for secret in [TOKEN, PERSON] {
        let told: Vec<_> = log.iter().filter(|line| line.contains(secret)).collect();
        assert!(told.is_empty(), "{told:#?}");
    }
}

#[tokio::test]
async fn a_token_that_is_rotated_counts_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    let write = |token: &str| {
        // As an orchestrator does it: the new file takes the place of the old one whole.
        let new = folder.path().join("token.new");
        std::fs::write(&new, format!("{token}\n")).expect("written");
        std::fs::rename(&new, &file).expect("replaced");
    };
    write("first-token");
    let settings = Settings::api_only().with("PRISM_SHARED_TOKEN", "");
    let prism = Prism::start(&settings.with("PRISM_SHARED_TOKEN_FILE", &file.to_string_lossy()));
    let asked = |token: &str| -> RequestBuilder {
        let request = prism.request("GET", "/internal/v1/get_weights").bearer_auth(token);
        request.header("X-Platform-Challenge-Slug", "prism")
    };
    assert_eq!(sent(asked("first-token")).await.status(), 200);
    write("second-token");
    assert_refused(asked("first-token"), 401, "auth-invalid").await;
    assert_eq!(sent(asked("second-token")).await.status(), 200);
    std::fs::remove_file(&file).expect("removed");
    assert_refused(asked("second-token"), 503, "token-not-configured").await;
    assert_refused(asked(""), 503, "token-not-configured").await;
}
