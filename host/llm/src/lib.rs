//! Carries questions to a language model that speaks the chat-completions protocol of `OpenAI`, as hosted models and the
//! servers for local ones do (`vLLM`, `llama.cpp`, `Ollama`). One function is offered and has to be called.
//!
//! **No opinion about a submission is formed here.** What is asked and what an answer counts is the review policy's.

mod redact;
mod request;
mod response;
mod client;

pub use client::{Client, ClientConfig, ClientError, Key, provide_tls};
pub use redact::redacted;
