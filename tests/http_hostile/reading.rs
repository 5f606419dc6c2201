//! What is read: headers of answers, texts that look like code, what health says, weights under way.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use prism_tests::{Prism, Settings};
use serde_json::Value;

use crate::asking::{BRIDGE, assert_refused, header, now, sent, upload};

/// HTTP-WEB-01: answers are data of a declared type, and nothing in them is ever run.
#[tokio::test]
async fn every_answer_bears_the_headers_that_keep_it_inert() {
    let prism = Prism::start(&Settings::api_only());
    for (method, path) in [
        ("GET", "/health"),
        ("GET", "/v1/leaderboard"),
        ("GET", "/v1/submissions/<script>alert(1)<%2Fscript>"),
        ("GET", "/v1/architectures?limit=%3Csvg%20onload=alert(1)%3E"),
        ("GET", "/docs"),
        ("GET", "/nowhere"),
        ("PUT", "/health"),
        ("POST", BRIDGE),
    ] {
        let response = sent(prism.request(method, path)).await;
        let of = |name: &str| header(&response, name).unwrap_or_default();
        assert_eq!(of("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(of("x-frame-options"), "DENY", "{path}");
        assert_eq!(of("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(of("cache-control"), "no-store", "{path}");
        assert!(of("content-security-policy").starts_with("default-src 'self';"), "{path}");
        assert!(!of("content-security-policy").contains("unsafe"), "{path}");
        assert!(header(&response, "server").is_none(), "{path}");
        let html = of("content-type").starts_with("text/html");
        assert_eq!(html, path == "/docs", "{path} is {}", of("content-type"));
        let text = response.text().await.expect("a body");
        assert!(!html || !text.contains("<script"), "no script: {text}");
    }
}

/// HTTP-PAG-02
#[tokio::test]
async fn text_that_looks_like_sql_is_text() {
    let prism = Prism::start(&Settings::api_only());
    for path in [
        "/v1/submissions/' OR 1=1--",
        "/v1/submissions/x'; DROP TABLE submissions;--/events",
        "/v1/submissions/%00",
    ] {
        assert_refused(prism.request("GET", path), 404, "not-found").await;
    }
    for query in ["limit=1;DROP", "limit=1%20UNION%20SELECT%201", "limit=0x1"] {
        let path = format!("/v1/architectures?{query}");
        assert_refused(prism.request("GET", &path), 422, "request-invalid").await;
    }
    let odd = upload(&prism, "a", "x").header("Idempotency-Key", "k'; DROP TABLE jobs;--");
    assert_eq!(sent(odd).await.status(), 200);
    let again = upload(&prism, "a", "y").header("Idempotency-Key", "k'; DROP TABLE jobs;--");
    assert_refused(again, 422, "idempotency-key-reused").await;
}

/// HTTP-OPS-04: a disk that is nearly full.
#[tokio::test]
async fn health_says_what_readiness_lacks() {
    let settings = Settings::api_only().with("PRISM_FREE_BYTES", &u64::MAX.to_string());
    let prism = Prism::start(&settings);
    assert_eq!(sent(prism.request("GET", "/livez")).await.status(), 200);
    assert_eq!(prism.get("/health").await["status"], "ok");
    let response = sent(prism.request("GET", "/readyz?verbose")).await;
    assert_eq!(response.status(), 503);
    let body: Value = response.json().await.expect("JSON");
    let failed: Vec<_> = body["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter(|check| check["ok"] == false)
        .filter_map(|check| check["name"].as_str())
        .collect();
    assert_eq!(failed, ["disk"], "{body}");
}

/// HTTP-OPS-04: a database that takes no more writes, as on a disk that is full or read-only: here by a limit on
/// the size of the server's files, which is lifted again.
#[tokio::test]
async fn a_database_without_writes_is_not_ready_and_loses_nothing() {
    let prism = Prism::start(&Settings::api_only());
    let before = sent(upload(&prism, "before", "x")).await;
    assert_eq!(before.status(), 200);
    let limit = |bytes: &str| {
        let process = prism.id().to_string();
        let status = Command::new("prlimit")
            .args(["--pid", &process, &format!("--fsize={bytes}:unlimited")])
            .status();
        assert!(status.expect("prlimit of util-linux").success());
    };
    limit("1");
    let body = readiness(&prism, 503).await;
    let failed = body["checks"].as_array().expect("checks").iter();
    let failed: Vec<_> = failed.filter(|check| check["ok"] == false).collect();
    assert_eq!(failed.len(), 1, "{body}");
    assert_eq!(failed[0]["name"], "database", "{body}");
    assert_eq!(sent(prism.request("GET", "/livez")).await.status(), 200);
    assert_eq!(prism.get("/health").await["status"], "ok");
    assert_refused(upload(&prism, "during", "x"), 503, "unavailable").await;
    limit("unlimited");
    readiness(&prism, 200).await;
    let again = sent(upload(&prism, "during", "x")).await;
    assert_eq!(header(&again, "idempotency-replayed").as_deref(), Some("false"));
    for taken in [before, again] {
        let taken: Value = taken.json().await.expect("JSON");
        let id = taken["id"].as_str().expect("an id");
        assert_eq!(prism.get(&format!("/v1/submissions/{id}")).await["id"], id);
    }
}

/// What readiness says once it answers with that status.
async fn readiness(prism: &Prism, status: u16) -> Value {
    let begin = now();
    loop {
        let response = sent(prism.request("GET", "/readyz?verbose")).await;
        if response.status() == status {
            return response.json().await.expect("JSON");
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "never {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// HTTP-WGT-02: with epochs of one second and nothing to pay; `story.rs` asks the same of a ledger that has rows.
#[tokio::test]
async fn weights_asked_for_while_epochs_close_are_one_snapshot_each() {
    let prism = Prism::start(&Settings::api_only().with("PRISM_EPOCH_SECONDS", "1"));
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let mut epochs = std::collections::BTreeSet::new();
    let begin = now();
    while begin.elapsed() < Duration::from_millis(2_500) {
        let response = sent(prism.internal("GET", "/internal/v1/get_weights")).await;
        assert_eq!(response.status(), 200);
        let tag = header(&response, "etag").expect("a tag");
        assert!(tag.starts_with("W/"), "answers of one snapshot differ in their second: {tag}");
        let mut body: Value = response.json().await.expect("JSON");
        // The second of the answer; all else is the snapshot's.
        body["epoch"].take();
        epochs.insert(body["metadata"]["epoch_id"].as_u64().expect("an epoch"));
        let known = seen.entry(tag).or_insert_with(|| body.clone());
        assert_eq!(*known, body);
    }
    assert!(epochs.len() >= 2, "{epochs:?}");
}

/// What names nothing, or cannot be read, is told as every other error is.
#[tokio::test]
async fn targets_that_cannot_be_read_are_problems() {
    let prism = Prism::start(&Settings::api_only());
    let asked = [
        (prism.request("GET", "/v1/submissions/%ff"), 404),
        (prism.request("GET", "/v1/submissions/%ff/events"), 404),
        (prism.internal("POST", "/internal/v1/component-review/holds/%ff/resolve"), 404),
        (prism.internal("GET", "/internal/v1/policies/components/%ff"), 404),
        (prism.internal("GET", "/internal/v1/policies/backtests/x"), 404),
        (prism.internal("GET", "/internal/v1/policies/log?after=x"), 422),
        (prism.internal("POST", "/internal/v1/policies/components?slot=x"), 422),
    ];
    for (request, status) in asked {
        let response = sent(request).await;
        let target = response.url().to_string();
        assert_eq!(response.status(), status, "{target}");
        assert_eq!(header(&response, "content-type").as_deref(), Some("application/problem+json"));
        let problem: Value = response.json().await.expect("JSON");
        assert!(problem["code"].is_string(), "{target}: {problem}");
    }
}
