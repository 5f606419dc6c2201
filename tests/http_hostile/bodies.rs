//! Bodies that lie about what they are, and names that want to be more than labels.

use prism_tests::{Prism, Settings, honest, zip_of};
use serde_json::Value;

use crate::asking::{
    BRIDGE, answer_until_closed, assert_refused, header, now, raw_upload, refusal, said, sent,
    upload,
};

/// HTTP-BOD-01
#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_unread() {
    let prism = Prism::start(&Settings::api_only());
    // Nothing of the body is sent, so that an answer shows that none of it is waited for.
    let head = raw_upload("Content-Length: 4000000000\r\n");
    let answer = answer_until_closed(said(&prism, head.as_bytes())).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body-too-large"), "{answer}");
}

/// HTTP-BOD-05
#[tokio::test]
async fn a_body_is_what_its_type_says_or_it_is_refused() {
    let prism = Prism::start(&Settings::api_only());
    let json = upload(&prism, "a", zip_of(&honest())).header("Content-Type", "application/json");
    assert_refused(json, 400, "json-invalid").await;
    // Raw bytes are not looked into at the door; what is no archive is rejected by the worker.
    for kind in ["application/zip", "multipart/form-data; boundary=x", ""] {
        let request = upload(&prism, "a", format!("{{\"code\": \"{kind}\"}}"));
        assert_eq!(sent(request.header("Content-Type", kind)).await.status(), 200, "{kind}");
    }
    let text = crate::asking::signed(&prism, "nonce-1", r#"{"code": "x"}"#).build().expect("one");
    let mut headers = text.headers().clone();
    headers.insert("content-type", "text/plain".parse().expect("a value"));
    let request = prism.request("POST", "/v1/submissions").headers(headers);
    assert_refused(request.body(r#"{"code": "x"}"#), 422, "submission-invalid").await;
}

/// HTTP-BOD-07, HTTP-BOD-09
#[tokio::test]
async fn json_that_is_odd_or_deep_harms_nobody() {
    let prism = Prism::start(&Settings::api_only());
    let json = |body: Vec<u8>| upload(&prism, "a", body).header("Content-Type", "application/json");
    let begin = now();
    assert_refused(json(vec![b'['; 100_000]), 400, "json-invalid").await;
    assert!(begin.elapsed().as_millis() < 1_000, "{:?}", begin.elapsed());
    let sixteen: Vec<u8> = r#"{"code": "x"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [
        br#"{"code": "\ud800"}"#.to_vec(),
        br#"{"code": NaN}"#.to_vec(),
        br#"{"code": "x", "metadata": {"a": 1e999}}"#.to_vec(),
        b"\xef\xbb\xbf{\"code\": \"x\"}".to_vec(),
        br#"{"code": "x",}"#.to_vec(),
        sixteen,
        br#"{"code": "x", "filename": "a\u0000.py"}"#.to_vec(),
        b"{\"code\": \"\xff\"}".to_vec(),
    ] {
        let (status, code) = refusal(json(body.clone())).await;
        let known = [(400, "json-invalid"), (422, "submission-invalid")];
        assert!(
            known.contains(&(status, code.as_str())),
            "{}: {status} {code}",
            String::from_utf8_lossy(&body)
        );
    }
}

/// HTTP-BOD-11
#[tokio::test]
async fn a_file_name_is_a_label() {
    let prism = Prism::start(&Settings::api_only());
    let long = format!("{}.zip", "x".repeat(300));
    for name in ["../../x.zip", "a%00.zip", &long, "<img src=x onerror=alert(1)>.zip", "a\tb.zip"] {
        let request = upload(&prism, "a", "x").header("X-Submission-Filename", name);
        assert_refused(request, 422, "submission-invalid").await;
    }
    // A reserved name of another system is only a label here.
    let reserved = upload(&prism, "a", "x").header("X-Submission-Filename", "con.zip");
    let response = sent(reserved).await;
    assert_eq!((response.status().as_u16(), header(&response, "content-disposition")), (200, None));
    // A line break in a header begins the next header, which says nothing to this server.
    let split = raw_upload(
        "X-Submission-Filename: a.zip\r\nSet-Cookie: x=1\r\nContent-Length: 1\r\nConnection: close\r\n",
    );
    let answer = answer_until_closed(said(&prism, format!("{split}y").as_bytes())).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("set-cookie"), "{answer}");
}

/// What a body breaks off in is told as such, and nothing of it is stored.
#[tokio::test]
async fn a_body_that_is_no_body_is_a_400() {
    let prism = Prism::start(&Settings::api_only());
    for chunks in ["zz\r\n", "11111111111111111\r\nx", "0x5\r\nabcde\r\n0\r\n\r\n"] {
        let text = format!("{}{chunks}", raw_upload("Transfer-Encoding: chunked\r\n"));
        let answer = answer_until_closed(said(&prism, text.as_bytes())).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("body-broken"), "{answer}");
    }
    let whole = format!("{}3\r\nabc\r\n0\r\n\r\n", raw_upload("Transfer-Encoding: chunked\r\n"));
    let answer = answer_until_closed(said(&prism, whole.as_bytes())).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "a chunked body is a body: {answer}");
    let answer = prism.internal("GET", BRIDGE).send().await.expect("an answer");
    let body: Value = answer.json().await.expect("a problem");
    assert_eq!(body["code"], "method-not-allowed");
}
