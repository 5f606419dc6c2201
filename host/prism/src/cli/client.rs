//! A PRISM as its clients see it: over HTTP, with the headers that Platform sends.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::bundle::Bundle;

/// Longest wait for an answer, seconds: what Platform allows an upload.
const TIMEOUT_S: u64 = 30;

/// Longest wait for what an operator asks, seconds: longer than a server lets a component compile.
const OPERATE_TIMEOUT_S: u64 = 400;

/// A server and the token that it knows us by.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    slug: String,
    token: Option<String>,
}

impl Client {
    pub(super) fn new(base: &str, slug: &str, token: Option<String>) -> anyhow::Result<Self> {
        prism_llm::provide_tls();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(TIMEOUT_S)).build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), slug: slug.to_owned(), token })
    }

    /// Sends an upload over the bridge, as Platform does for a hotkey that it verified.
    pub(super) async fn submit(&self, hotkey: &str, bundle: &Bundle) -> anyhow::Result<Value> {
        let token = self.token.as_deref().context("no token: set PRISM_SHARED_TOKEN")?;
        let suffix = std::path::Path::new(&bundle.filename).extension();
        let python = suffix.is_some_and(|suffix| suffix == "py");
        let kind = if python { "text/x-python" } else { "application/zip" };
        let request = self
            .http
            .post(format!("{}/internal/v1/bridge/submissions", self.base))
            .bearer_auth(token)
            .header("X-Platform-Challenge-Slug", &self.slug)
            .header("X-Platform-Verified-Hotkey", hotkey)
            .header("X-Submission-Filename", &bundle.filename)
            .header("Content-Type", kind)
            .body(bundle.bytes.clone());
        answer(request).await
    }

    /// Reads a public route.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        answer_to_reading(self.http.get(format!("{}{path}", self.base))).await
    }

    /// Asks a route of operators; `body` is sent as its kind says.
    pub(super) async fn operate(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> anyhow::Result<Value> {
        self.operate_signed(method, path, body, None).await
    }

    /// The same with the signature of the component that is sent.
    pub(super) async fn operate_signed(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
        signature: Option<&str>,
    ) -> anyhow::Result<Value> {
        let token = self.token.as_deref().context("no token: set PRISM_SHARED_TOKEN")?;
        let url = format!("{}/internal/v1/policies{path}", self.base);
        // A component of some megabytes is compiled before the answer comes.
        let wait = Duration::from_secs(OPERATE_TIMEOUT_S);
        let mut request = self.http.request(method, url).bearer_auth(token).timeout(wait);
        if let Some((kind, bytes)) = body {
            request = request.header("Content-Type", kind).body(bytes);
        }
        if let Some(signature) = signature {
            request = request.header("X-Component-Signature", signature);
        }
        answer(request).await
    }

    /// Reads an internal route.
    pub(super) async fn get_internal(&self, path: &str) -> anyhow::Result<Value> {
        let token = self.token.as_deref().context("no token: set PRISM_SHARED_TOKEN")?;
        let request = self
            .http
            .get(format!("{}{path}", self.base))
            .bearer_auth(token)
            .header("X-Platform-Challenge-Slug", &self.slug);
        answer_to_reading(request).await
    }
}

/// Reading is tried once more when the connection broke: the server may close an idle one in the very moment
/// in which it is used again.
async fn answer_to_reading(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let again = request.try_clone();
    match (answer(request).await, again) {
        (Err(error), Some(again)) if is_broken_connection(&error) => answer(again).await,
        (outcome, _) => outcome,
    }
}

fn is_broken_connection(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<reqwest::Error>()
        .is_some_and(|error| error.is_request() && !error.is_timeout())
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let response = request.send().await.context("the server does not answer")?;
    let status = response.status();
    let body = response.text().await?;
    if !status.is_success() {
        bail!("the server answers {status}: {body}");
    }
    serde_json::from_str(&body).context("the server's answer is not JSON")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_breaks_is_no_reason_to_give_up_reading() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let mut request = [0; 1024];
            let (mut first, _) = listener.accept().await.expect("a client");
            let _read = first.read(&mut request).await.expect("a request");
            drop(first);
            let (mut second, _) = listener.accept().await.expect("the client again");
            let _read = second.read(&mut request).await.expect("a request");
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            second.write_all(answer).await.expect("answered");
        });
        let client = Client::new(&format!("http://{address}"), "prism", None).expect("a client");
        assert_eq!(client.get("/health").await.expect("an answer"), serde_json::json!({}));
    }
}
