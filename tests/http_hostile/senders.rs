//! Who somebody claims to be: tokens, slugs, hotkeys, addresses, roles.

use prism_tests::{Prism, Settings, TOKEN, honest, zip_of};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::asking::{
    ALICE, BRIDGE, assert_nothing_was_stored, assert_refused, connected, direct, header, refusal,
    sent, upload,
};

/// HTTP-AUT-01, HTTP-AUT-03
#[tokio::test]
async fn the_token_is_read_as_the_rfc_says_and_decided_first() {
    let prism = Prism::start(&Settings::api_only());
    let bare = || prism.request("POST", BRIDGE).header("X-Platform-Verified-Hotkey", "a").body("x");
    let response = sent(bare()).await;
    assert_eq!(response.status(), 401);
    assert_eq!(header(&response, "www-authenticate").as_deref(), Some("Bearer"));
    for given in [
        format!("Bearer  {TOKEN}"),
        "Basic T".to_owned(),
        format!("Bearer {TOKEN}, Bearer {TOKEN}"),
        format!("Bearer {}", &TOKEN[..TOKEN.len() - 1]),
        format!("Bearer {TOKEN}x"),
    ] {
        assert_refused(bare().header("Authorization", given), 401, "auth-invalid").await;
    }
    assert_nothing_was_stored(&prism, "a", "x").await;
    let lower = bare().header("Authorization", format!("bearer {TOKEN}"));
    assert_eq!(sent(lower).await.status(), 200, "the scheme may be in any case");
}

/// HTTP-AUT-07
#[tokio::test]
async fn an_upload_for_another_challenge_is_refused_with_no_effect() {
    let prism = Prism::start(&Settings::api_only());
    let other = prism
        .request("POST", BRIDGE)
        .bearer_auth(TOKEN)
        .header("X-Platform-Challenge-Slug", "other")
        .header("X-Platform-Verified-Hotkey", "a");
    assert_refused(other.body("x"), 400, "slug-mismatch").await;
    assert_nothing_was_stored(&prism, "a", "x").await;
}

/// HTTP-IDN-01, HTTP-IDN-03
#[tokio::test]
async fn a_hotkey_is_known_by_its_signature_or_by_platform_and_is_a_hotkey() {
    let prism = Prism::start(&Settings::api_only());
    for family in ["X-Platform-Verified-Hotkey", "X-Base-Verified-Hotkey"] {
        let forged = direct(&prism, &[(family, ALICE)], r#"{"code": "x"}"#);
        assert_refused(forged, 422, "signature-missing").await;
    }
    let long = "a".repeat(129);
    for (hotkey, code) in [
        ("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQX".as_bytes(), "hotkey-invalid"),
        (b"15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5", "hotkey-invalid"),
        (b"0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d", "hotkey-invalid"),
        (b"5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY%0a", "hotkey-invalid"),
        ("5Grwva\u{415}F5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY".as_bytes(), "hotkey-invalid"),
        (long.as_bytes(), "request-invalid"),
    ] {
        let request = prism.internal("POST", BRIDGE).header("X-Platform-Verified-Hotkey", hotkey);
        let told = refusal(request.body("x")).await;
        assert_eq!(told, (422, code.to_owned()), "{}", String::from_utf8_lossy(hotkey));
    }
}

/// HTTP-IDN-05: what a peer may hold is counted by the address of its socket, whatever it claims.
#[tokio::test]
async fn a_forwarded_address_buys_nothing() {
    use std::io::{Read as _, Write as _};
    let prism = Prism::start(&Settings::api_only().with("PRISM_CONNECTIONS_PER_PEER", "3"));
    let mut streams = Vec::new();
    for n in 0..4 {
        let mut stream = connected(&prism);
        write!(stream, "GET /livez HTTP/1.1\r\nHost: p\r\nX-Forwarded-For: 10.0.0.{n}\r\nForwarded: for=10.1.0.{n}\r\n\r\n")
            .expect("sent");
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        streams.push(stream);
    }
    let first = streams.remove(0);
    let rest = crate::asking::answer_until_closed(first).await;
    assert!(rest.contains("200 OK"), "it was answered, and then made room: {rest}");
    assert_eq!(sent(prism.request("GET", "/livez")).await.status(), 200);
}

/// HTTP-IDM-02
#[tokio::test]
async fn an_idempotency_key_is_bound_to_its_first_body() {
    let prism = Prism::start(&Settings::api_only());
    let keyed = |body: &str| upload(&prism, "a", body).header("Idempotency-Key", "k");
    assert_eq!(sent(keyed("A")).await.status(), 200);
    assert_refused(keyed("B"), 422, "idempotency-key-reused").await;
    let again = sent(keyed("A")).await;
    assert_eq!(header(&again, "idempotency-replayed").as_deref(), Some("true"));
    assert_nothing_was_stored(&prism, "a", "B").await;
}

/// HTTP-IDM-04
#[tokio::test]
async fn the_same_archive_of_another_hotkey_is_not_scored_twice() {
    let settings = Settings::evaluating();
    let prism = Prism::start(&settings);
    let archive = zip_of(&honest());
    let original = prism.submit("first", archive.clone()).await;
    let copy = prism.submit("second", archive).await;
    let told = prism.settled(&copy, std::time::Duration::from_mins(2)).await;
    let status = told["status"].as_str().expect("a status");
    assert!(["held", "rejected"].contains(&status), "{told}");
    assert!(told["findings"].to_string().contains(&original), "it says of whom: {told}");
    let first = prism.get(&format!("/v1/submissions/{original}")).await;
    assert!(!["held", "rejected"].contains(&first["status"].as_str().expect("one")), "{first}");
}

/// HTTP-OPS-02
#[tokio::test]
async fn nobody_steps_beyond_their_scope() {
    let digest = |token: &str| hex::encode(Sha256::digest(token));
    let file = format!(
        "people:\n  - {{name: vera, scope: viewer, token_sha256: {}}}\n  - {{name: rosa, scope: researcher, token_sha256: {}}}\n",
        digest("vera-token"),
        digest("rosa-token"),
    );
    let prism = Prism::start(&Settings { file, ..Settings::api_only() });
    let policies = "/internal/v1/policies";
    let upload = format!("{policies}/components?slot=review");
    let activation = format!("{policies}/activations");
    let resolve = "/internal/v1/component-review/holds/x/resolve";
    for (token, path, status, code) in [
        ("vera-token", upload.as_str(), 403, "scope-missing"),
        ("rosa-token", activation.as_str(), 403, "scope-missing"),
        ("vera-token", resolve, 401, "auth-invalid"),
        ("rosa-token", BRIDGE, 401, "auth-invalid"),
        ("nobody", upload.as_str(), 401, "auth-invalid"),
    ] {
        let request = prism.request("POST", path).bearer_auth(token).body("{}");
        let told = refusal(request).await;
        assert_eq!(told, (status, code.to_owned()), "{token} {path}");
    }
    let signature = direct(&prism, &[("X-Hotkey", ALICE), ("X-Signature", "00")], "{}");
    let request = signature.build().expect("a request");
    let with_signature = prism.request("POST", resolve).headers(request.headers().clone());
    assert_refused(with_signature.body("{}"), 401, "auth-missing").await;
}

/// HTTP-WEB-03, HTTP-WEB-05, HTTP-WEB-07, HTTP-DOS-07: there are no cookies, no pages of operators, no
/// webhooks and no event streams, so that nothing can be done across sites or be hoarded.
#[tokio::test]
async fn what_is_not_there_cannot_be_attacked() {
    let prism = Prism::start(&Settings::api_only());
    for (method, path) in [
        ("POST", "/ops/holds/x/resolve"),
        ("GET", "/ops"),
        ("GET", "/v1/events"),
        ("POST", "/v1/webhooks"),
        ("GET", "/internal/v1/events"),
    ] {
        assert_refused(prism.request(method, path), 404, "not-found").await;
    }
    let cookie = format!("token={TOKEN}; session={TOKEN}");
    let resolve = "/internal/v1/component-review/holds/x/resolve";
    let form =
        prism.request("POST", resolve).header("Cookie", &cookie).header("Origin", "https://evil");
    let form = form.header("Content-Type", "application/x-www-form-urlencoded");
    assert_refused(form.body("architecture_action=new"), 401, "auth-missing").await;
    for path in ["/internal/v1/get_weights", "/v1/leaderboard", "/metrics"] {
        let asked = prism.internal("GET", path).header("Origin", "https://evil");
        let response = sent(asked.header("Accept", "text/event-stream")).await;
        for name in
            ["access-control-allow-origin", "access-control-allow-credentials", "set-cookie"]
        {
            assert_eq!(header(&response, name), None, "{path}");
        }
        assert_ne!(header(&response, "content-type").as_deref(), Some("text/event-stream"));
        let preflight = prism.request("OPTIONS", path).header("Origin", "https://evil");
        let preflight = preflight.header("Access-Control-Request-Method", "GET");
        assert_refused(preflight, 405, "method-not-allowed").await;
    }
    // A callback address in the metadata is data: it is stored, and nothing is ever sent there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("set");
    let address = format!("http://{}/", listener.local_addr().expect("an address"));
    let body = json!({"code": "x", "metadata": {"callback_url": address}}).to_string();
    let request = upload(&prism, "a", body).header("Content-Type", "application/json");
    let receipt: Value = sent(request).await.json().await.expect("a receipt");
    assert_eq!(receipt["status"], "pending");
    assert!(listener.accept().is_err(), "nobody called back");
}
