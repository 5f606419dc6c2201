//! A language model in the review: over real HTTP, with the faults that endpoints have. Whatever it does, nothing is
//! approved that needed its opinion, nobody pays for its faults, and no secret leaves the house.

use std::sync::Arc;
use std::time::Duration;

use prism_domain::consult::{Consultant as _, ModelAnswer, Question, Unavailable};
use prism_llm::{Client, ClientConfig};
use prism_tests::{Endpoint, Prism, Say, Settings};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Of no form that is known for a secret.
const KEY: &str = "house-key-0123456789";
const SETTLES: Duration = Duration::from_mins(2);

fn client(url: &str, timeout: Duration) -> Client {
    let config = ClientConfig {
        base_url: url.to_owned(),
        model: "m-1".to_owned(),
        key: Arc::new(|| Some(KEY.to_owned())),
        timeout,
        tries: 3,
        input_max_bytes: 100_000,
    };
    Client::new(config).expect("a client")
}

fn question() -> Question {
    Question {
        instructions: "look".to_owned(),
        material: "    1| key = 'sk-miner-0123456789abcdefghij'\n    2| url = 'x'".to_owned(),
        function_name: "give_verdict".to_owned(),
        schema: r#"{"type":"object","required":["reasoning","verdict"],"properties":{"reasoning":{"type":"string"},"verdict":{"enum":["accept","reject"]}}}"#.to_owned(),
        answer_max_tokens: 500,
        patience_seconds: 0,
    }
}

fn verdict() -> Value {
    json!({"reasoning": "fine, though it names sk-miner-0123456789abcdefghij", "verdict": "accept"})
}

async fn asked(say: impl IntoIterator<Item = Say>) -> (Result<ModelAnswer, Unavailable>, Endpoint) {
    let (endpoint, url) = Endpoint::start().await;
    endpoint.will_say(say);
    let answer = client(&url, Duration::from_secs(5)).ask(&question()).await;
    (answer, endpoint)
}

#[tokio::test]
async fn one_function_is_offered_and_has_to_be_called() {
    let (answer, endpoint) = asked([Say::Call(verdict())]).await;
    let answer = answer.expect("an answer");
    assert_eq!((answer.input_tokens, answer.output_tokens), (900, 100));
    let heard = &endpoint.heard()[0];
    assert_eq!(heard.authorization.as_deref(), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(heard.body["tool_choice"]["function"]["name"], "give_verdict");
    assert_eq!(heard.body["tools"][0]["function"]["strict"], true);
    assert_eq!(heard.body["messages"][0]["role"], "system");
    let (reasons, verdict) = (heard.text.find("\"reasoning\":{"), heard.text.find("\"verdict\":{"));
    assert!(reasons.is_some() && reasons < verdict, "the reasons are written before the verdict");
}

#[tokio::test]
async fn secrets_go_neither_out_nor_in() {
    let (answer, endpoint) = asked([Say::Call(verdict())]).await;
    assert!(!endpoint.heard()[0].text.contains("sk-miner"), "{}", endpoint.heard()[0].text);
    assert!(endpoint.heard()[0].text.contains("API key of 29 characters blacked out"));
    assert!(!answer.expect("an answer").arguments.contains("sk-miner"));
    let told = format!("quota of key {KEY} is exceeded");
    let (refused, _) = asked([Say::Status(401, told)]).await;
    let refused = refused.expect_err("refused");
    assert!(!refused.message.contains("house-key") && refused.passing, "{refused}");
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    for (first, tries) in [
        (Say::Status(500, "oops".to_owned()), 2),
        (Say::Busy(1), 2),
        (Say::Text("<html>".to_owned()), 2),
        (Say::Truncated, 2),
        (Say::OtherFunction, 2),
        (Say::Prose, 2),
        (Say::Call(json!({"verdict": "accept"})), 2),
        (Say::Call(json!({"reasoning": "", "verdict": "ACCEPT"})), 2),
        (Say::Endless, 2),
    ] {
        let (answer, endpoint) = asked([first.clone(), Say::Call(verdict())]).await;
        assert!(answer.is_ok(), "{first:?}: {answer:?}");
        assert_eq!(endpoint.heard().len(), tries, "{first:?}");
    }
}

#[tokio::test]
async fn what_stays_wrong_has_its_code_and_is_paid_for() {
    for (say, code, passing, spent, tries) in [
        (Say::Status(503, String::new()), "llm-unreachable", true, 0, 3),
        (Say::Busy(3_600), "llm-busy", true, 0, 1),
        (Say::Status(401, "who?".to_owned()), "llm-refused", true, 0, 1),
        (Say::Status(404, "no such model".to_owned()), "llm-refused", true, 0, 1),
        (Say::Redirect("http://127.0.0.1:9/steal".to_owned()), "llm-refused", true, 0, 1),
        (Say::Status(400, "context too long".to_owned()), "llm-bad-request", false, 0, 1),
        (Say::Truncated, "llm-truncated", false, 3_000, 3),
        (Say::Prose, "llm-no-call", false, 1, 3),
        (Say::OtherFunction, "llm-no-call", false, 3_000, 3),
        (Say::Call(json!({"verdict": "accept"})), "llm-malformed", false, 3_000, 3),
        (Say::Text("[".repeat(200_000)), "llm-protocol", false, 1, 3),
        (Say::Endless, "llm-protocol", false, 0, 3),
    ] {
        let (answer, endpoint) = asked([say.clone()]).await;
        let none = answer.expect_err("no answer");
        assert_eq!((none.code, none.passing), (code, passing), "{none:?}");
        assert!(
            if spent == 0 { none.spent_tokens == 0 } else { none.spent_tokens >= spent },
            "{none:?}"
        );
        assert_eq!(endpoint.heard().len(), tries, "{code}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_silent_or_absent_takes_no_longer_than_it_may() {
    let (endpoint, url) = Endpoint::start().await;
    endpoint.will_say([Say::Silence]);
    let none =
        client(&url, Duration::from_millis(200)).ask(&question()).await.expect_err("silence");
    assert_eq!((none.code, none.passing), ("llm-timeout", true));
    let gone = client("http://127.0.0.1:9/v1", Duration::from_secs(5)).ask(&question()).await;
    assert_eq!(gone.expect_err("nobody there").code, "llm-unreachable");
}

/// Endpoints refuse fields that others demand; what is refused is left out, at no cost in tries.
#[tokio::test]
async fn an_endpoint_of_another_dialect_is_understood() {
    let refusals = [
        Say::Status(400, "Unsupported value: 'temperature'".to_owned()),
        Say::Status(400, "Unsupported parameter: 'max_completion_tokens'".to_owned()),
        Say::Status(400, "tools.0.function.strict: extra inputs are not permitted".to_owned()),
        Say::Call(verdict()),
    ];
    let (answer, endpoint) = asked(refusals).await;
    assert!(answer.is_ok(), "{answer:?}");
    let body = &endpoint.heard()[3].body;
    assert_eq!(body["max_tokens"], 500);
    assert!(
        body.get("temperature").is_none() && body["tools"][0]["function"].get("strict").is_none()
    );
}

/// A server whose reviews may ask the model at `url`.
fn server(url: &str) -> Settings {
    let digest = hex::encode(Sha256::digest(b"olga"));
    let file = format!(
        "unsigned_components: allow\npeople:\n  - {{name: olga, scope: operator, token_sha256: {digest}}}\n"
    );
    Settings { file, workers: 1, ..Settings::api_only() }
        .with("PRISM_TIER", "smoke-fast")
        .with("PRISM_LLM_URL", url)
        .with("PRISM_LLM_MODEL", "m-1")
        .with("PRISM_LLM_KEY", KEY)
        .with("PRISM_LLM_TRIES", "1")
        .with(
            "PRISM_SUBNET_RULES_JSON",
            r#"[{"id": "NO-GRU", "text": "No gated recurrent units."}]"#,
        )
}

fn policies(prism: &Prism, method: &str, path: &str) -> RequestBuilder {
    prism.request(method, &format!("/internal/v1/policies{path}")).bearer_auth("olga")
}

async fn granted(request: RequestBuilder) -> Value {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let body: Value = response.json().await.unwrap_or(Value::Null);
    assert!(status.is_success(), "{status} {body}");
    body
}

/// The set in force with another worth of the model's opinion; its digest.
async fn composed(prism: &Prism, model_review: &str, patience_seconds: u32) -> String {
    let active = granted(policies(prism, "GET", "/active")).await;
    let path = format!("/sets/{}", active["loaded"].as_str().expect("a digest"));
    let mut settings =
        granted(policies(prism, "GET", &path)).await["slots"]["review"]["settings"].clone();
    settings["model_review"] = model_review.into();
    settings["model_patience_seconds"] = patience_seconds.into();
    let body = json!({"slots": {"review": {"settings": settings}}});
    let set = granted(policies(prism, "POST", "/sets").json(&body)).await;
    set["digest"].as_str().expect("a digest").to_owned()
}

/// Puts a set in force in which the model's opinion is required.
async fn require(prism: &Prism, patience_seconds: u32) {
    let set = composed(prism, "required", patience_seconds).await;
    let body = json!({"set": set, "reason": "look closer", "without_backtest": "a test"});
    granted(policies(prism, "POST", "/activations").json(&body)).await;
}

/// What a backtest of a set says about the review slot.
async fn backtested(prism: &Prism, set: &str) -> Value {
    let body = json!({"set": set, "reason": "what would it do?"});
    let asked_for = granted(policies(prism, "POST", "/backtests").json(&body)).await;
    let path = format!("/backtests/{}", asked_for["id"]);
    loop {
        let backtest = granted(policies(prism, "GET", &path)).await;
        if backtest["state"] != "running" {
            assert_eq!(backtest["state"], "done", "{backtest}");
            return backtest["report"]["tally"]["slots"]["review"].clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A project of one module; `mark` makes it one of its own.
fn project(mark: &str) -> Vec<u8> {
    format!(
        "import torch\n\n\nclass Net(torch.nn.Module):\n    def __init__(self, ctx):\n        super().__init__()\n        \
         self.embed = torch.nn.Embedding(ctx.vocab_size, 16)\n        self.core = torch.nn.GRU(16, 16, batch_first=True)\n        \
         self.{mark} = torch.nn.Linear(16, ctx.vocab_size)\n\n    def forward(self, tokens):\n        \
         return self.{mark}(torch.{mark}(self.core(self.embed(tokens))[0]))\n\n\n\
         def build_model(ctx):\n    return Net(ctx)\n\n\ndef get_recipe(ctx):\n    return {{'learning_rate': 1e-3}}\n"
    )
    .into_bytes()
}

async fn sent(prism: &Prism, mark: &str) -> String {
    sent_by(prism, "ann", mark).await
}

async fn sent_by(prism: &Prism, hotkey: &str, mark: &str) -> String {
    let response = prism.bridge(hotkey, "model.py", project(mark)).await;
    let receipt: Value = response.json().await.expect("JSON");
    receipt["id"].as_str().unwrap_or_else(|| panic!("{receipt}")).to_owned()
}

fn refusal() -> Say {
    let finding = json!({
        "rule": "NO-GRU", "path": "model.py", "line": 1,
        "quotation": "torch.nn.GRU(16, 16, batch_first=True)", "explanation": "a gated recurrent unit",
    });
    Say::Call(json!({"reasoning": "There is one.", "findings": [finding], "verdict": "reject"}))
}

/// The whole way: what the operator wrote in words is asked, the answer counts where it is proved, every decision is
/// derived again, and the same question is not paid for twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_in_words_refuses_with_a_quotation() {
    let (endpoint, url) = Endpoint::start().await;
    endpoint.will_say([refusal()]);
    let folder = tempfile::tempdir().expect("a folder");
    let prism = Prism::start_in(folder.path(), &server(&url));
    require(&prism, 3_600).await;
    let detail = prism.settled(&sent(&prism, "tanh").await, SETTLES).await;
    assert_eq!(detail["status"], "rejected", "{detail}");
    let shown = detail.to_string();
    assert!(shown.contains("a gated recurrent unit") && shown.contains("NO-GRU"), "{shown}");
    let heard = endpoint.heard();
    assert_eq!(heard.len(), 1);
    let system = heard[0].body["messages"][0]["content"].as_str().expect("text");
    let user = heard[0].body["messages"][1]["content"].as_str().expect("text");
    assert!(
        system.contains("NO-GRU: No gated recurrent units.") && !system.contains("torch.nn.GRU")
    );
    assert!(
        user.contains("    8|         self.core = torch.nn.GRU(16, 16, batch_first=True)"),
        "{user}"
    );

    let again = prism.settled(&sent_by(&prism, "ben", "tanh").await, SETTLES).await;
    assert_eq!(again["status"], "rejected", "{again}");
    assert_eq!(endpoint.heard().len(), 1, "the same question was answered before");

    // A set that asks the same is given the same reply; for one that asks nothing there is none to count.
    let patient = backtested(&prism, &composed(&prism, "required", 7_200).await).await;
    assert_eq!(
        (&patient["asked"], &patient["same"], &patient["reused"]),
        (&json!(2), &json!(2), &json!(0)),
        "{patient}"
    );
    let off = backtested(&prism, &composed(&prism, "off", 7_200).await).await;
    assert_eq!((&off["asked"], &off["same"]), (&json!(2), &json!(0)), "{off}");
    assert_eq!(endpoint.heard().len(), 1, "history is decided again without asking");
    prism.terminate();
    let replay = std::process::Command::new(prism_tests::binary())
        .args(["policy", "replay"])
        .env("PRISM_DATA_DIR", folder.path())
        .output()
        .expect("prism runs");
    let told = String::from_utf8_lossy(&replay.stdout);
    assert!(replay.status.success(), "{told}{}", String::from_utf8_lossy(&replay.stderr));
}

/// While the endpoint is down the submission waits; it is neither approved nor refused nor failed, and nothing else waits
/// with it. When the endpoint is back it goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_required_opinion_is_waited_for() {
    let (endpoint, url) = Endpoint::start().await;
    endpoint.will_say([Say::Status(503, "down".to_owned())]);
    let prism = Prism::start(&server(&url));
    require(&prism, 3_600).await;
    let id = sent(&prism, "sigmoid").await;
    while endpoint.heard().len() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let bad = b"import os\n\ndef build_model(ctx):\n    return os\n\ndef get_recipe(ctx):\n    return {}\n";
    let receipt: Value =
        prism.bridge("ben", "model.py", bad.to_vec()).await.json().await.expect("JSON");
    let other = prism.settled(receipt["id"].as_str().expect("an id"), SETTLES).await;
    assert_eq!(other["status"], "rejected", "what needs no opinion waits for none: {other}");
    let waiting = prism.get(&format!("/v1/submissions/{id}")).await;
    assert!(
        ["pending", "running"].contains(&waiting["status"].as_str().expect("a status")),
        "{waiting}"
    );
    endpoint.will_say([refusal()]);
    assert_eq!(prism.settled(&id, SETTLES).await["status"], "rejected");
}

/// A project that the model never comes to an end with, while it answers about others: a person decides, and the later
/// ones do not wait as long as a required opinion is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_the_model_chokes_on_holds_nobody_up() {
    let (endpoint, url) = Endpoint::start().await;
    let down = || Say::Status(500, "choked".to_owned());
    endpoint.will_say([down(), refusal(), down(), down(), down()]);
    let prism = Prism::start(&server(&url));
    require(&prism, 3_600).await;
    let choking = sent(&prism, "cos").await;
    while endpoint.heard().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let other = sent(&prism, "exp").await;
    assert_eq!(prism.settled(&other, SETTLES).await["status"], "rejected");
    let detail = prism.settled(&choking, SETTLES).await;
    assert_eq!(detail["status"], "held", "{detail}");
    assert!(detail.to_string().contains("LLM-UNAVAILABLE"), "{detail}");
}

/// With no patience, or an answer that proves nothing, a person decides.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_opinion_a_person_decides() {
    let (endpoint, url) = Endpoint::start().await;
    endpoint.will_say([Say::Status(503, "down".to_owned())]);
    let prism = Prism::start(&server(&url).with("PRISM_LLM_TOKENS_PER_DAY", "1000"));
    require(&prism, 0).await;
    let detail = prism.settled(&sent(&prism, "relu").await, SETTLES).await;
    assert_eq!(detail["status"], "held", "{detail}");
    assert!(detail.to_string().contains("LLM-UNAVAILABLE"), "{detail}");
    let empty = json!({"reasoning": "I do not like it.", "findings": [], "verdict": "reject"});
    endpoint.will_say([Say::Call(empty)]);
    let detail = prism.settled(&sent(&prism, "abs").await, SETTLES).await;
    assert_eq!(detail["status"], "held", "{detail}");
    assert!(detail.to_string().contains("LLM-UNSURE"), "{detail}");
    let asked = endpoint.heard().len();
    let detail = prism.settled(&sent(&prism, "sin").await, SETTLES).await;
    assert_eq!(detail["status"], "held", "the day's tokens are used up: {detail}");
    assert!(detail.to_string().contains("llm-budget"), "{detail}");
    assert_eq!(endpoint.heard().len(), asked);
    let metrics =
        prism.request("GET", "/metrics").bearer_auth("olga").send().await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("prism_model_calls_total{outcome=\"answered\"} 1"), "{metrics}");
    assert!(metrics.contains("prism_model_tokens_total 1000"), "{metrics}");
}
