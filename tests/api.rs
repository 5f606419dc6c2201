//! The HTTP contract that real clients rely on: statuses, bodies, headers. No evaluation happens here.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use prism_tests::{Prism, Settings, TOKEN, honest, zip_of};
use reqwest::{RequestBuilder, Response, StatusCode};
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Alice of Substrate's development accounts.
const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
/// Her public secret seed.
const ALICE_SEED: &str = "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a";

async fn send(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    (status, response.json().await.unwrap_or(Value::Null))
}

async fn refused(request: RequestBuilder, status: u16, code: &str) -> Value {
    let response = request.send().await.expect("an answer");
    let got = response.status().as_u16();
    let kind = response.headers().get("content-type").cloned();
    let id = header(&response, "x-request-id");
    let body: Value = response.json().await.expect("a problem");
    assert_eq!((got, body["code"].as_str()), (status, Some(code)), "{body}");
    assert_eq!(kind.expect("a type"), "application/problem+json");
    assert!(body["detail"].is_string() && body["fault"].is_string(), "{body}");
    assert_eq!(body["request_id"], id.as_str(), "{body}");
    body
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).expect(name).to_str().expect("text").to_owned()
}

#[tokio::test]
async fn platform_finds_prism_ready() {
    let prism = Prism::start(&Settings::api_only());
    let health = prism.get("/health").await;
    assert_eq!(health, json!({"status": "ok", "slug": "prism", "version": "0.1.0"}));
    let version = prism.get("/version").await;
    assert_eq!(version["api_version"], "1.0");
    for capability in ["get_weights", "proxy_routes", "docker_executor"] {
        let listed = version["capabilities"].as_array().expect("a list");
        assert!(listed.contains(&json!(capability)), "{capability}");
    }
    assert_eq!(prism.get("/readyz?verbose").await["status"], "ok");
    assert_eq!(prism.get("/v1/epochs/current").await["epoch_seconds"], 21_600);
    assert!(prism.terminate().success());
}

#[tokio::test]
async fn manners_about_paths_and_methods_are_kept() {
    let prism = Prism::start(&Settings::api_only());
    refused(prism.request("GET", "/nowhere"), 404, "not-found").await;
    for (method, path, allow) in [
        ("POST", "/health", "GET"),
        ("HEAD", "/health", "GET"),
        ("OPTIONS", "/v1/leaderboard", "GET"),
        ("GET", "/v1/submissions", "POST"),
    ] {
        let response = prism.request(method, path).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_eq!(header(&response, "allow"), allow, "{method} {path}");
    }
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let request = prism.request("GET", "/v1/leaderboard/").build().expect("a request");
    let response = client.build().expect("a client").execute(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(header(&response, "location"), "/v1/leaderboard");
}

#[tokio::test]
async fn internal_routes_ask_for_the_token_before_anything_else() {
    let prism = Prism::start(&Settings::api_only());
    let path = "/internal/v1/bridge/submissions";
    let bare = prism.request("POST", path).body("x");
    let response = bare.send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&response, "www-authenticate"), "Bearer");
    for given in [
        "Basic T",
        "Bearer wrong",
        &format!("Bearer  {TOKEN}"),
        &format!("Bearer {TOKEN}, Bearer {TOKEN}"),
    ] {
        let request = prism.request("POST", path).header("Authorization", given).body("x");
        let body = refused(request, 401, "auth-invalid").await;
        assert_eq!(body["detail"], "invalid internal token");
    }
    let url_token = prism.request("POST", &format!("{path}?token={TOKEN}")).body("x");
    refused(url_token, 401, "auth-missing").await;
    let weights = "/internal/v1/get_weights";
    let body = refused(prism.request("GET", weights), 401, "auth-missing").await;
    assert_eq!(body["detail"], "Invalid internal authorization");
    refused(prism.request("GET", weights).bearer_auth(TOKEN), 400, "slug-mismatch").await;
    let foreign =
        prism.request("GET", weights).bearer_auth(TOKEN).header("X-Base-Challenge-Slug", "other");
    refused(foreign, 400, "slug-mismatch").await;
    let lower = prism.request("GET", weights).header("Authorization", format!("bearer {TOKEN}"));
    let (status, answer) = send(lower.header("X-Base-Challenge-Slug", "prism")).await;
    assert_eq!((status, &answer["weights"]), (StatusCode::OK, &json!({})));
}

#[tokio::test]
async fn a_server_without_a_token_says_so() {
    let settings = Settings::api_only().with("PRISM_SHARED_TOKEN", "");
    let prism = Prism::start(&settings.with("PRISM_SHARED_TOKEN_FILE", "/nonexistent/token"));
    let body =
        refused(prism.internal("GET", "/internal/v1/get_weights"), 503, "token-not-configured")
            .await;
    assert_eq!(body["detail"], "Internal challenge token is not configured");
}

#[tokio::test]
async fn the_bridge_is_idempotent_and_survives_a_power_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let prism = Prism::start_in(folder.path(), &Settings::api_only());
    let archive = zip_of(&honest());
    let first = prism.submit("alice", archive.clone()).await;
    assert_eq!(prism.submit("alice", archive.clone()).await, first, "same hotkey, same body");
    assert_ne!(prism.submit("bob", archive.clone()).await, first, "another hotkey");
    prism.kill();
    let prism = Prism::start_in(folder.path(), &Settings::api_only());
    let detail = prism.get(&format!("/v1/submissions/{first}")).await;
    assert_eq!((&detail["status"], &detail["hotkey"]), (&json!("pending"), &json!("alice")));
    assert_eq!(detail["final_score"], Value::Null);
    use_key(&prism, "k1", archive.clone()).await.expect("accepted");
    let other = use_key(&prism, "k1", b"PK other".to_vec()).await;
    assert_eq!(other.expect_err("refused"), "idempotency-key-reused");
}

async fn use_key(prism: &Prism, key: &str, body: Vec<u8>) -> Result<Value, String> {
    let request = prism
        .internal("POST", "/internal/v1/bridge/submissions")
        .header("X-Base-Verified-Hotkey", "carol")
        .header("Idempotency-Key", key)
        .body(body);
    let (status, body) = send(request).await;
    if status == StatusCode::OK { Ok(body) } else { Err(body["code"].to_string().replace('"', "")) }
}

#[tokio::test]
async fn bad_uploads_are_refused_with_a_code_and_never_with_a_500() {
    let prism = Prism::start(&Settings::api_only());
    let path = "/internal/v1/bridge/submissions";
    let bridge = || prism.internal("POST", path).header("X-Platform-Verified-Hotkey", "alice");
    refused(prism.internal("POST", path).body("x"), 422, "request-invalid").await;
    refused(bridge().body(""), 422, "submission-invalid").await;
    refused(bridge().body(vec![0; 2_000_001]), 413, "submission-too-large").await;
    refused(bridge().body(vec![0; 20_000_000]), 413, "body-too-large").await;
    for name in ["my project.zip", "../../x.zip", "<img>.zip", &"x".repeat(300)] {
        let request = bridge().header("X-Submission-Filename", name).body("x");
        refused(request, 422, "submission-invalid").await;
    }
    let json =
        |body: &str| bridge().header("Content-Type", "application/json").body(body.to_owned());
    refused(json("{"), 400, "json-invalid").await;
    refused(json(&"[".repeat(100_000)), 400, "json-invalid").await;
    for body in [
        "[]",
        "null",
        "{}",
        r#"{"code": 1}"#,
        r#"{"code": "x", "metadata": []}"#,
        r#"{"code":"x","filename":"a b.py"}"#,
    ] {
        refused(json(body), 422, "submission-invalid").await;
    }
    for hotkey in ["5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQX", "a b", "0x00", "a:b"] {
        let request =
            prism.internal("POST", path).header("X-Platform-Verified-Hotkey", hotkey).body("x");
        refused(request, 422, "hotkey-invalid").await;
    }
    assert_eq!(prism.get("/v1/leaderboard").await["entries"], json!([]));
}

#[tokio::test]
async fn listings_refuse_limits_that_make_no_sense() {
    let prism = Prism::start(&Settings::api_only());
    for limit in ["-1", "0", "201", "abc", "1.5", "1e3", "", "99999999999999999999"] {
        let request = prism.request("GET", &format!("/v1/architectures?limit={limit}"));
        refused(request, 422, "request-invalid").await;
    }
    for limit in ["1", "1.0", "%205", "%2B5", "200"] {
        assert_eq!(prism.get(&format!("/v1/architectures?limit={limit}")).await, json!([]));
    }
    assert_eq!(prism.get("/v1/training-variants?architecture_id=' OR 1=1--").await, json!([]));
    refused(prism.request("GET", "/v1/submissions/' OR 1=1--"), 404, "not-found").await;
    let holds = prism.get_internal("/internal/v1/component-review/holds").await;
    assert_eq!(holds, json!([]));
    let resolve = "/internal/v1/component-review/holds/x/resolve";
    let body = refused(prism.internal("POST", resolve).body("{}"), 404, "not-found").await;
    assert_eq!(body["detail"], "component review hold not found");
}

#[tokio::test]
async fn a_real_sr25519_signature_is_needed_and_enough() {
    let prism = Prism::start(&Settings::api_only());
    let body = r#"{"code": "x = 1", "filename": "model.py"}"#;
    let signed = |nonce: &str, at: i64| signed_by_alice(&prism, nonce, at, body);
    let (status, receipt) = send(signed("nonce-0001", 0)).await;
    assert_eq!((status, &receipt["hotkey"]), (StatusCode::OK, &json!(ALICE)));
    refused(signed("nonce-0001", 0), 409, "nonce-used").await;
    refused(signed("nonce-0002", -301), 401, "signature-stale").await;
    refused(signed("nonce-0003", 302), 401, "signature-stale").await;
    let forged = signed("nonce-0004", 0).body(r#"{"code": "x = 2"}"#);
    refused(forged, 401, "signature-invalid").await;
    let unsigned =
        prism.request("POST", "/v1/submissions").header("X-Platform-Verified-Hotkey", ALICE);
    let missing = refused(unsigned.body(body), 422, "signature-missing").await;
    assert_eq!(missing["errors"].as_array().map(Vec::len), Some(4), "{missing}");
}

/// A raw connection on which so much has been said.
fn said(prism: &Prism, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(prism.address()).expect("a connection");
    stream.write_all(text.as_bytes()).expect("sent");
    stream
}

/// The start of an upload whose body never comes.
fn half_a_body() -> String {
    format!(
        "POST /internal/v1/bridge/submissions HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {TOKEN}\r\n\
         X-Platform-Verified-Hotkey: alice\r\nContent-Length: 100\r\n\r\nPK"
    )
}

#[tokio::test]
async fn neither_half_a_header_nor_half_a_body_keeps_the_server_from_ending() {
    let prism = Prism::start(&Settings::api_only());
    let _header = said(&prism, "GET /health HTTP/1.1\r\nHost: p\r\nX-Slow: ");
    let _body = said(&prism, &half_a_body());
    let _idle = said(&prism, "");
    // Both have been read once an answer to a later request is there.
    prism.get("/health").await;
    let process = prism.id().to_string();
    let ended = tokio::task::spawn_blocking(move || prism.terminate());
    let Ok(ended) = tokio::time::timeout(Duration::from_secs(15), ended).await else {
        std::process::Command::new("kill").args(["-9", &process]).status().expect("kill runs");
        panic!("the server still runs 15 seconds after SIGTERM");
    };
    assert_eq!(ended.expect("waited for").code(), Some(0));
}

#[tokio::test]
async fn a_client_that_dawdles_over_its_header_is_cut_off() {
    let prism = Prism::start(&Settings::api_only());
    let mut slow = said(&prism, "GET /health HTTP/1.1\r\nHost: p\r\nX-Slow: ");
    slow.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let mut answer = String::new();
    let closed =
        tokio::task::spawn_blocking(move || slow.read_to_string(&mut answer).map(|_| answer));
    let answer = closed.await.expect("read").expect("closed within the time limit");
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    prism.get("/health").await;
}

/// Uploads are the miner's doing; what is wrong with a request of Platform's own is not.
#[tokio::test]
async fn a_problem_names_whose_doing_it_was() {
    let prism = Prism::start(&Settings::api_only());
    let bridge = "/internal/v1/bridge/submissions";
    let weights = "/internal/v1/get_weights";
    let of_platform = [
        refused(prism.request("POST", bridge).body("x"), 401, "auth-missing").await,
        refused(prism.request("GET", weights).bearer_auth(TOKEN), 400, "slug-mismatch").await,
        refused(prism.internal("POST", bridge).body("x"), 422, "request-invalid").await,
        refused(prism.internal("GET", bridge), 405, "method-not-allowed").await,
        refused(prism.internal("GET", "/internal/v1/nowhere"), 404, "not-found").await,
    ];
    for body in of_platform {
        assert_eq!(body["fault"], "platform", "{body}");
    }
    let upload = || prism.internal("POST", bridge).header("X-Platform-Verified-Hotkey", "alice");
    let of_miners = [
        refused(upload().body(""), 422, "submission-invalid").await,
        refused(upload().body(vec![0; 2_000_001]), 413, "submission-too-large").await,
        refused(upload().body(vec![0; 20_000_000]), 413, "body-too-large").await,
        refused(prism.request("GET", "/nowhere"), 404, "not-found").await,
        refused(prism.request("POST", "/v1/submissions").body("{}"), 422, "signature-missing")
            .await,
    ];
    for body in of_miners {
        assert_eq!(body["fault"], "miner", "{body}");
    }
}

#[tokio::test]
async fn a_signed_body_that_is_no_json_is_told_where() {
    let prism = Prism::start(&Settings::api_only());
    let body = refused(signed_by_alice(&prism, "nonce-0030", 0, "{"), 422, "json-invalid").await;
    assert_eq!(body["errors"][0]["type"], "json_invalid", "{body}");
    assert_eq!(body["errors"][0]["loc"][0], "body", "{body}");
    let bridge = prism
        .internal("POST", "/internal/v1/bridge/submissions")
        .header("X-Platform-Verified-Hotkey", "alice")
        .header("Content-Type", "application/json");
    let body = refused(bridge.body("{"), 400, "json-invalid").await;
    assert_eq!(body["detail"], "invalid JSON submission");
}

/// Each described route exists for its method; the last resort of the router answers `Not Found`.
#[tokio::test]
async fn what_is_described_is_there() {
    let prism = Prism::start(&Settings::api_only());
    for (document, least) in [("/openapi.json", 12), ("/internal/v1/openapi.json", 12)] {
        let described = prism.get_internal(document).await;
        let paths = described["paths"].as_object().expect("paths");
        assert!(paths.len() >= least && paths.contains_key(document), "{described}");
        for (path, item) in paths {
            for (method, operation) in item.as_object().expect("operations") {
                let asked = path.replace("{id}", "x");
                let response =
                    prism.internal(&method.to_uppercase(), &asked).send().await.expect("an answer");
                assert_ne!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
                let body = response.text().await.expect("a body");
                assert!(!body.contains("\"Not Found\",\"fault\""), "{method} {path}: {body}");
                let parameters = operation["parameters"].as_array().expect("a list");
                let has_id = parameters.iter().any(|parameter| parameter["name"] == "id");
                assert_eq!(has_id, path.contains("{id}"), "{operation}");
            }
        }
    }
    let nowhere = prism.internal("GET", "/nowhere").send().await.expect("an answer");
    let body = nowhere.text().await.expect("a body");
    assert!(body.contains("\"Not Found\",\"fault\""), "the test above looks for this: {body}");
    let internal = prism.get_internal("/internal/v1/openapi.json").await;
    let bridge = &internal["paths"]["/internal/v1/bridge/submissions"]["post"];
    for kind in ["application/json", "application/zip", "text/x-python"] {
        assert!(bridge["requestBody"]["content"][kind].is_object(), "{bridge}");
    }
}

/// A refused request spends no nonce (D39).
#[tokio::test]
async fn a_nonce_is_spent_only_by_an_accepted_request() {
    let prism = Prism::start(&Settings::api_only());
    let bad = signed_by_alice(&prism, "nonce-0010", 0, r#"{"code": 1}"#);
    refused(bad, 422, "submission-invalid").await;
    let (status, _) = send(signed_by_alice(&prism, "nonce-0010", 0, r#"{"code": "x"}"#)).await;
    assert_eq!(status, StatusCode::OK);
    let closed = Settings::api_only().with("PRISM_PUBLIC_SUBMISSIONS_ENABLED", "false");
    let prism = Prism::start(&closed);
    let request = signed_by_alice(&prism, "nonce-0011", 0, r#"{"code": "x"}"#);
    let body = refused(request, 404, "submission-route-disabled").await;
    assert_eq!(body["detail"], "submission route disabled");
}

#[tokio::test]
async fn development_signatures_work_only_where_they_are_allowed() {
    let body = r#"{"code": "x = 1"}"#;
    let strict = Prism::start(&Settings::api_only());
    refused(hmac_signed(&strict, body), 401, "signature-invalid").await;
    let lax = Prism::start(&Settings::api_only().with("PRISM_ALLOW_INSECURE_SIGNATURES", "true"));
    let (status, receipt) = send(hmac_signed(&lax, body)).await;
    assert_eq!(status, StatusCode::OK, "{receipt}");
    assert_eq!(receipt["code_hash"], hex::encode(Sha256::digest("x = 1")));
}

fn now_s() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the client's clock, not the product's")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("fits")
}

fn message(hotkey: &str, nonce: &str, timestamp: i64, body: &str) -> String {
    format!("prism:{hotkey}:{nonce}:{timestamp}:{}", hex::encode(Sha256::digest(body)))
}

fn signed_by_alice(prism: &Prism, nonce: &str, offset_s: i64, body: &str) -> RequestBuilder {
    let seed = hex::decode(ALICE_SEED).expect("hex");
    let secret = MiniSecretKey::from_bytes(&seed).expect("a seed");
    let pair: Keypair = secret.expand_to_keypair(ExpansionMode::Ed25519);
    let timestamp = now_s() + offset_s;
    let signature =
        pair.sign_simple(b"substrate", message(ALICE, nonce, timestamp, body).as_bytes());
    direct(
        prism,
        ALICE,
        nonce,
        timestamp,
        &format!("0x{}", hex::encode(signature.to_bytes())),
        body,
    )
}

fn hmac_signed(prism: &Prism, body: &str) -> RequestBuilder {
    let timestamp = now_s();
    let mut mac = Hmac::<Sha256>::new_from_slice(TOKEN.as_bytes()).expect("any length");
    mac.update(message("dave", "nonce-0020", timestamp, body).as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    direct(prism, "dave", "nonce-0020", timestamp, &format!("sha256={signature}"), body)
}

fn direct(
    prism: &Prism,
    hotkey: &str,
    nonce: &str,
    timestamp: i64,
    signature: &str,
    body: &str,
) -> RequestBuilder {
    prism
        .request("POST", "/v1/submissions")
        .header("X-Hotkey", hotkey)
        .header("X-Nonce", nonce)
        .header("X-Timestamp", timestamp.to_string())
        .header("X-Signature", signature)
        .header("Content-Type", "application/json")
        .body(body.to_owned())
}
