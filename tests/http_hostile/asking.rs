//! How the tests here ask: with a client, with signatures, and byte by byte.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prism_tests::{Prism, TOKEN};
use reqwest::{RequestBuilder, Response};
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(crate) const BRIDGE: &str = "/internal/v1/bridge/submissions";
/// Alice of Substrate's development accounts.
pub(crate) const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
/// Her public secret seed.
const ALICE_SEED: &str = "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a";
/// How long an answer may take on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);

pub(crate) async fn sent(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

/// The status and code of a refusal, which must be a problem that names whose fault it is.
pub(crate) async fn refusal(request: RequestBuilder) -> (u16, String) {
    let response = sent(request).await;
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").cloned();
    let body: Value = response.json().await.unwrap_or(Value::Null);
    assert_eq!(
        kind.as_ref().map(reqwest::header::HeaderValue::as_bytes),
        Some(&b"application/problem+json"[..])
    );
    assert!(body["fault"].is_string() && body["detail"].is_string(), "{body}");
    (status, body["code"].as_str().expect("a code").to_owned())
}

pub(crate) async fn assert_refused(request: RequestBuilder, status: u16, code: &str) {
    assert_eq!(refusal(request).await, (status, code.to_owned()));
}

pub(crate) fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
}

/// An upload as Platform sends it.
pub(crate) fn upload(prism: &Prism, hotkey: &str, body: impl Into<Vec<u8>>) -> RequestBuilder {
    prism.internal("POST", BRIDGE).header("X-Platform-Verified-Hotkey", hotkey).body(body.into())
}

/// Sends a body that nobody has sent before; fails where something was stored already.
pub(crate) async fn assert_nothing_was_stored(prism: &Prism, hotkey: &str, body: &str) {
    let response = sent(upload(prism, hotkey, body)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "idempotency-replayed").as_deref(), Some("false"));
}

#[allow(clippy::disallowed_methods, reason = "these tests measure real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn now_s() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the client's clock, not the product's")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("fits")
}

/// The text that a miner signs.
pub(crate) fn message(nonce: &str, timestamp: &str, body: &str) -> String {
    format!("prism:{ALICE}:{nonce}:{timestamp}:{}", hex::encode(Sha256::digest(body)))
}

pub(crate) fn alice_signs(text: &str) -> String {
    let seed = hex::decode(ALICE_SEED).expect("hex");
    let secret = MiniSecretKey::from_bytes(&seed).expect("a seed");
    let pair: Keypair = secret.expand_to_keypair(ExpansionMode::Ed25519);
    hex::encode(pair.sign_simple(b"substrate", text.as_bytes()).to_bytes())
}

/// An upload as Alice sends it.
pub(crate) fn signed(prism: &Prism, nonce: &str, body: &str) -> RequestBuilder {
    let timestamp = now_s().to_string();
    let signature = alice_signs(&message(nonce, &timestamp, body));
    direct(prism, &[("X-Hotkey", ALICE), ("X-Nonce", nonce), ("X-Timestamp", &timestamp)], body)
        .header("X-Signature", signature)
}

pub(crate) fn direct(prism: &Prism, headers: &[(&str, &str)], body: &str) -> RequestBuilder {
    let mut request = prism.request("POST", "/v1/submissions").body(body.to_owned());
    request = request.header("Content-Type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, value.as_bytes());
    }
    request
}

/// A raw connection.
pub(crate) fn connected(prism: &Prism) -> TcpStream {
    let stream = TcpStream::connect(prism.address()).expect("a connection");
    stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("set");
    stream
}

/// A raw connection on which so much was said.
pub(crate) fn said(prism: &Prism, bytes: &[u8]) -> TcpStream {
    let mut stream = connected(prism);
    stream.write_all(bytes).expect("sent");
    stream
}

/// All that comes until the server closes; a reset counts as closed.
pub(crate) fn until_closed(stream: &mut TcpStream) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => all.extend_from_slice(piece.get(..read).expect("what was read")),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("not closed after {ANSWER_WITHIN:?}: {error}"),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// The same off the runtime's threads.
pub(crate) async fn answer_until_closed(mut stream: TcpStream) -> String {
    tokio::task::spawn_blocking(move || until_closed(&mut stream)).await.expect("read")
}

/// The head of an upload over the bridge, with further header lines.
pub(crate) fn raw_upload(lines: &str) -> String {
    format!(
        "POST {BRIDGE} HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {TOKEN}\r\n\
         X-Platform-Verified-Hotkey: raw\r\n{lines}\r\n"
    )
}
