//! A language model's endpoint that speaks the chat-completions protocol over real HTTP, and what it says by a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the endpoint answers to one request.
#[derive(Debug, Clone)]
pub enum Say {
    /// A call of the function that was asked for, with these arguments.
    Call(Value),
    /// The same, cut off.
    Truncated,
    /// A call of another function.
    OtherFunction,
    /// Prose in place of a call.
    Prose,
    /// A status with a text.
    Status(u16, String),
    /// `429` that asks for a rest of so many seconds.
    Busy(u32),
    /// Status 200 and this text.
    Text(String),
    /// A redirection to another address.
    Redirect(String),
    /// More bytes than anybody wants.
    Endless,
    /// Nothing, for a minute.
    Silence,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Heard {
    /// `Authorization`, as it was sent.
    pub authorization: Option<String>,
    /// The body.
    pub body: Value,
    /// The body as it was sent.
    pub text: String,
}

#[derive(Default)]
struct Script {
    say: VecDeque<Say>,
    then: Option<Say>,
    heard: Vec<Heard>,
}

/// The endpoint. It ends with the test's process.
#[derive(Clone, Default)]
pub struct Endpoint(Arc<Mutex<Script>>);

impl Endpoint {
    /// Starts it; with it comes its address, up to and with `/v1`.
    pub async fn start() -> (Self, String) {
        let endpoint = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new()
            .route("/v1/chat/completions", post(complete))
            .with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (endpoint, format!("http://{address}/v1"))
    }

    /// What it says to the next requests, in order; after them it says the last for ever.
    pub fn will_say(&self, say: impl IntoIterator<Item = Say>) {
        let mut script = self.script();
        script.say = say.into_iter().collect();
        script.then = script.say.back().cloned();
    }

    /// What came so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.script().heard.clone()
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn complete(State(endpoint): State<Endpoint>, headers: HeaderMap, text: String) -> Response {
    let body: Value = serde_json::from_str(&text).expect("the client sends JSON");
    let authorization =
        headers.get("authorization").map(|it| it.to_str().expect("ASCII").to_owned());
    let say = {
        let mut script = endpoint.script();
        script.heard.push(Heard { authorization, body: body.clone(), text });
        script.say.pop_front().or_else(|| script.then.clone()).expect("a script")
    };
    let called = body["tools"][0]["function"]["name"].as_str().expect("a function").to_owned();
    match say {
        Say::Call(arguments) => completion(&called, &arguments.to_string(), "tool_calls"),
        Say::Truncated => completion(&called, "{\"reasoning\":\"it beg", "length"),
        Say::OtherFunction => completion("delete_everything", "{}", "tool_calls"),
        Say::Prose => {
            let message = json!({"role": "assistant", "content": "I would accept it."});
            json_of(&json!({"choices": [{"message": message, "finish_reason": "stop"}]}))
        }
        Say::Status(status, text) => {
            (StatusCode::from_u16(status).expect("a status"), text).into_response()
        }
        Say::Busy(seconds) => {
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds.to_string())], "slow down")
                .into_response()
        }
        Say::Text(text) => text.into_response(),
        Say::Redirect(to) => {
            (StatusCode::TEMPORARY_REDIRECT, [("location", to)], "").into_response()
        }
        Say::Endless => Body::from(vec![b' '; 8 << 20]).into_response(),
        Say::Silence => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            StatusCode::OK.into_response()
        }
    }
}

fn completion(name: &str, arguments: &str, finish: &str) -> Response {
    let call =
        json!({"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    json_of(&json!({
        "id": "x", "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000},
    }))
}

fn json_of(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}
