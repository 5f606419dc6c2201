//! The signed door: replays, times, nonces and what exactly is signed.

use prism_tests::{Prism, Settings};

use crate::asking::{
    ALICE, alice_signs, assert_refused, direct, header, message, now_s, refusal, sent, signed,
};

const BODY: &str = r#"{"code": "x = 1"}"#;

/// HTTP-SIG-01, HTTP-SIG-03
#[tokio::test]
async fn a_request_counts_once_also_after_a_power_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let prism = Prism::start_in(folder.path(), &Settings::api_only());
    let request = signed(&prism, "nonce-0001", BODY);
    let replay = request.try_clone().expect("a copy").build().expect("a request");
    assert_eq!(sent(request).await.status(), 200);
    let again =
        prism.request("POST", "/v1/submissions").headers(replay.headers().clone()).body(BODY);
    let response = sent(again.try_clone().expect("a copy")).await;
    assert_eq!((response.status().as_u16(), header(&response, "location")), (409, None));
    prism.kill();
    let prism = Prism::start_in(folder.path(), &Settings::api_only());
    let again =
        prism.request("POST", "/v1/submissions").headers(replay.headers().clone()).body(BODY);
    assert_refused(again, 409, "nonce-used").await;
}

/// HTTP-SIG-05
#[tokio::test]
async fn a_time_that_is_none_is_refused_and_never_a_fault_of_ours() {
    let prism = Prism::start(&Settings::api_only());
    let huge = "9".repeat(400);
    for (timestamp, status, code) in [
        ("1e9", 400, "timestamp-invalid"),
        ("0x65", 400, "timestamp-invalid"),
        ("-1", 400, "timestamp-invalid"),
        ("", 422, "signature-missing"),
        ("NaN", 400, "timestamp-invalid"),
        ("1700000000.5", 400, "timestamp-invalid"),
        ("\u{661}\u{667}\u{660}\u{660}", 400, "timestamp-invalid"),
        ("1700000000", 401, "signature-stale"),
    ] {
        let signature = alice_signs(&message("nonce-1", timestamp, BODY));
        let headers = [("X-Hotkey", ALICE), ("X-Nonce", "nonce-1"), ("X-Timestamp", timestamp)];
        let request = direct(&prism, &headers, BODY).header("X-Signature", signature);
        assert_eq!(refusal(request).await, (status, code.to_owned()), "`{timestamp}`");
    }
    let headers = [("X-Hotkey", ALICE), ("X-Nonce", "nonce-1"), ("X-Timestamp", huge.as_str())];
    let (status, code) = refusal(direct(&prism, &headers, BODY).header("X-Signature", "00")).await;
    assert!([400, 401].contains(&status), "{status} {code}");
}

/// HTTP-SIG-07
#[tokio::test]
async fn no_two_ways_to_split_the_fields_give_one_message() {
    let prism = Prism::start(&Settings::api_only());
    let now = now_s().to_string();
    for (hotkey, nonce, refused) in [
        (ALICE, "a:b", (400, "nonce-invalid")),
        (ALICE, "a b", (400, "nonce-invalid")),
        (ALICE, "a\tb", (400, "nonce-invalid")),
        ("A:B", "nonce-1", (401, "signature-invalid")),
    ] {
        let text = format!("prism:{hotkey}:{nonce}:{now}:x");
        let headers = [("X-Hotkey", hotkey), ("X-Nonce", nonce), ("X-Timestamp", now.as_str())];
        let request = direct(&prism, &headers, BODY).header("X-Signature", alice_signs(&text));
        let (status, code) = refusal(request).await;
        assert!((status, code.as_str()) == refused || code == "hotkey-invalid", "{status} {code}");
    }
}

/// HTTP-SIG-09: what browser wallets wrap into `<Bytes>` is another message, and is refused.
#[tokio::test]
async fn a_wrapped_message_is_not_the_message() {
    let prism = Prism::start(&Settings::api_only());
    let now = now_s().to_string();
    let text = message("nonce-1", &now, BODY);
    let headers = [("X-Hotkey", ALICE), ("X-Nonce", "nonce-1"), ("X-Timestamp", now.as_str())];
    let wrapped = alice_signs(&format!("<Bytes>{text}</Bytes>"));
    let request = direct(&prism, &headers, BODY).header("X-Signature", wrapped);
    assert_refused(request, 401, "signature-invalid").await;
    let plain = direct(&prism, &headers, BODY).header("X-Signature", alice_signs(&text));
    assert_eq!(sent(plain).await.status(), 200, "the nonce was not spent");
}
