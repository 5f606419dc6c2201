//! One question, one answer: sent, timed, tried again where that may help, and bounded in every direction.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prism_domain::consult::{Asking, Consultant, Model, ModelAnswer, Question, Unavailable};
use reqwest::{Response, StatusCode, Url, header, redirect};

use crate::redact::redacted;
use crate::request::{Dialect, body};
use crate::response::{self, NoAnswer};

/// The longest response that is read, bytes.
const RESPONSE_MAX_BYTES: usize = 2 << 20;
/// The first rest between two tries; doubled with each.
const REST: Duration = Duration::from_millis(500);
/// The longest rest that an endpoint may ask for before the try counts as failed.
const REST_MAX: Duration = Duration::from_secs(30);
/// Bytes of a refusal that are told.
const TOLD_BYTES: usize = 300;

/// Gives the key of the endpoint, read anew for each question so that a rotated one takes effect; none for no key.
pub type Key = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Where the model is, and how long it may take.
#[derive(Clone)]
pub struct ClientConfig {
    /// Address of the protocol, up to and without `/chat/completions`, for example `https://api.openai.com/v1`.
    pub base_url: String,
    /// Name of the model.
    pub model: String,
    /// The key.
    pub key: Key,
    /// Longest that one try may take.
    pub timeout: Duration,
    /// Tries in all.
    pub tries: u32,
    /// The longest that instructions and material may be together, bytes.
    pub input_max_bytes: u32,
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("model", &self.model).finish_non_exhaustive()
    }
}

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error("`{0}` is not an address that begins with http:// or https://")]
    Address(String),
    /// The system has no certificates, or the like.
    #[error("no HTTP client can be made")]
    Http(#[from] reqwest::Error),
}

/// Puts questions to one endpoint.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    http: reqwest::Client,
    url: Url,
    dialect: Mutex<Dialect>,
}

/// How one try failed.
struct Failed {
    none: NoAnswer,
    /// Whether another try may help, and after which rest at least.
    again: Option<Duration>,
    /// Whether it may be otherwise in an hour.
    passing: bool,
}

/// Says what TLS is done with, which every HTTP client of the process needs to know before it is made. One that was
/// said before stays.
pub fn provide_tls() {
    let _present = rustls::crypto::ring::default_provider().install_default();
}

impl Client {
    /// Makes a client; nothing is sent.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let wrong = || ClientError::Address(config.base_url.clone());
        let base = config.base_url.trim_end_matches('/');
        let url = Url::parse(&format!("{base}/chat/completions")).map_err(|_invalid| wrong())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong());
        }
        provide_tls();
        let http = reqwest::Client::builder()
            .timeout(config.timeout)
            // The key goes where the operator said and nowhere else.
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self { config, http, url, dialect: Mutex::new(Dialect::FULL) })
    }

    async fn answered(&self, question: &Question) -> Result<ModelAnswer, Unavailable> {
        let (mut spent_tokens, mut rest, mut tried) = (0_u64, REST, 0);
        loop {
            tried += 1;
            let failed = match self.try_once(question).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            spent_tokens = spent_tokens.saturating_add(failed.none.spent_tokens);
            tracing::debug!(code = failed.none.code, tried, "the language model gave no answer");
            match failed.again {
                Some(asked) if tried < self.config.tries && asked <= REST_MAX => {
                    tokio::time::sleep(rest.max(asked)).await;
                    rest = rest.saturating_mul(2).min(REST_MAX);
                }
                _ => {
                    let NoAnswer { code, message, .. } = failed.none;
                    let message = self.without_key(&redacted(&message));
                    return Err(Unavailable {
                        code,
                        message,
                        passing: failed.passing,
                        spent_tokens,
                    });
                }
            }
        }
    }

    /// A text in which the key does not stand, whatever form keys of this endpoint have.
    fn without_key(&self, text: &str) -> String {
        match (self.config.key)() {
            Some(key) if !key.is_empty() => text.replace(&key, "[key blacked out]"),
            _ => text.to_owned(),
        }
    }

    /// One try. What an endpoint does not understand is left out at once, and costs no try.
    async fn try_once(&self, question: &Question) -> Result<ModelAnswer, Failed> {
        loop {
            let dialect = *self.dialect.lock().unwrap_or_else(PoisonError::into_inner);
            let response = self.send(body(&self.config.model, question, dialect)).await?;
            let (status, wait) = (response.status(), retry_after(&response));
            let text = bounded(response).await?;
            if status == StatusCode::OK {
                // Another try may bring a better answer to the same question; an hour will not.
                return response::read(&text, question).map_err(|none| Failed {
                    none,
                    again: Some(Duration::ZERO),
                    passing: false,
                });
            }
            if status == StatusCode::BAD_REQUEST
                && let Some(plainer) = dialect.without(&text)
            {
                *self.dialect.lock().unwrap_or_else(PoisonError::into_inner) = plainer;
                continue;
            }
            return Err(refused(status, wait, &text));
        }
    }

    async fn send(&self, body: String) -> Result<Response, Failed> {
        let mut request =
            self.http.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = (self.config.key)() {
            request = request.bearer_auth(key);
        }
        request.body(body).send().await.map_err(|error| unreached(&error))
    }
}

impl Consultant for Client {
    fn model(&self) -> Option<Model> {
        let ClientConfig { model, input_max_bytes, .. } = &self.config;
        Some(Model { name: model.clone(), input_max_bytes: *input_max_bytes })
    }

    fn ask<'a>(&'a self, question: &'a Question) -> Asking<'a> {
        Box::pin(self.answered(question))
    }
}

fn failed(code: &'static str, message: String, again: Option<Duration>, passing: bool) -> Failed {
    Failed { none: NoAnswer { code, message, spent_tokens: 0 }, again, passing }
}

/// The error without the address, in which a key may stand.
fn unreached(error: &reqwest::Error) -> Failed {
    let (code, what) = if error.is_timeout() {
        ("llm-timeout", "the endpoint took too long")
    } else {
        ("llm-unreachable", "the endpoint cannot be reached, or broke off")
    };
    failed(code, what.to_owned(), Some(Duration::ZERO), true)
}

fn refused(status: StatusCode, wait: Option<Duration>, text: &str) -> Failed {
    let mut end = TOLD_BYTES.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let told = text.get(..end).unwrap_or_default();
    let message = format!("the endpoint answers {}: {told}", status.as_u16());
    let soon = Some(wait.unwrap_or(Duration::ZERO));
    match status {
        StatusCode::TOO_MANY_REQUESTS => failed("llm-busy", message, soon, true),
        _ if status.is_server_error() => failed("llm-unreachable", message, soon, true),
        // The operator's matter, and he can mend it: no key, no credit, no such model.
        StatusCode::UNAUTHORIZED
        | StatusCode::PAYMENT_REQUIRED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND => failed("llm-refused", message, None, true),
        _ if status.is_redirection() => failed("llm-refused", message, None, true),
        _ => failed("llm-bad-request", message, None, false),
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(text.trim().parse().ok()?))
}

async fn bounded(mut response: Response) -> Result<String, Failed> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreached(&error))? {
        if bytes.len() + chunk.len() > RESPONSE_MAX_BYTES {
            let message = format!("the response is longer than {RESPONSE_MAX_BYTES} bytes");
            return Err(failed("llm-protocol", message, Some(Duration::ZERO), false));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
