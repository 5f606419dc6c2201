//! How the verbs reach a server: its address, and who asks.

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::{output, runtime};
use crate::config::Settings;

#[derive(Debug, Args)]
pub(super) struct Remote {
    /// Where the PRISM listens.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Remote {
    /// Asks the server, with the token that the settings name.
    pub(super) fn ask(
        &self,
        settings: &Settings,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> anyhow::Result<Value> {
        let client = Client::new(&self.url, &settings.slug, settings.token.load())?;
        runtime::block_on(client.operate(method, path, body))?
    }

    /// Brings a component, with its signature if it has one.
    pub(super) fn push(
        &self,
        settings: &Settings,
        path: &str,
        wasm: Vec<u8>,
        signature: Option<&str>,
    ) -> anyhow::Result<Value> {
        let client = Client::new(&self.url, &settings.slug, settings.token.load())?;
        let body = Some(("application/wasm", wasm));
        runtime::block_on(client.operate_signed(Method::POST, path, body, signature))?
    }

    /// The same with a JSON body.
    pub(super) fn post(
        &self,
        settings: &Settings,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let body = serde_json::to_vec(body)?;
        self.ask(settings, Method::POST, path, Some(("application/json", body)))
    }

    /// The answer as JSON, or else what `told` makes of it.
    pub(super) fn show(&self, answer: &Value, told: impl Fn(&Value)) -> anyhow::Result<()> {
        if self.json {
            return output::json(answer);
        }
        told(answer);
        Ok(())
    }
}

/// A set and where it stands, in one line.
pub(super) fn set_told(set: &Value) {
    output::line(&format!("{}  {}", text(set, "digest"), text(set, "state")));
}

/// A member as text, or a question mark.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("?")
}
