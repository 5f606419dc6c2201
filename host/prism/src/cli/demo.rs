//! `prism demo`: a whole PRISM on this machine, fed with the bundled example projects as Platform would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use include_dir::{Dir, include_dir};
use prism_domain::entropy::Entropy as _;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::bundle::Bundle;
use super::client::Client;
use super::{output, runtime, serve};
use crate::clock::SystemEntropy;
use crate::config::{Settings, SharedToken};

static BUNDLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../tests/bundles");
/// How often the demo looks, milliseconds.
const LOOK_MS: u64 = 400;
/// How long the server may take to answer, in looks.
const START_LOOKS: u32 = 75;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<SocketAddr>,
    /// Evaluations at the same time.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Stop when everything is told instead of serving on.
    #[arg(long)]
    exit: bool,
}

/// A line of `bundles.json`.
#[derive(Debug, Deserialize)]
struct Example {
    name: String,
    hotkey: String,
    title: String,
}

/// A submitted example.
struct Sent {
    example: Example,
    id: String,
    shown: String,
}

pub(super) fn run(mut settings: Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    runtime::start_log("warn");
    settings.bind = arguments.bind.unwrap_or(settings.bind);
    settings.workers = arguments.workers.max(1);
    if settings.token.load().is_none() {
        let token = prism_domain::ids::Digest::from_bytes(SystemEntropy.bytes32()).to_string();
        settings.token = SharedToken::fixed(token);
    }
    let exit = arguments.exit;
    runtime::block_on(demo(settings, exit))?
}

async fn demo(settings: Settings, exit: bool) -> anyhow::Result<ExitCode> {
    let stop = CancellationToken::new();
    let client =
        Client::new(&format!("http://{}", settings.bind), &settings.slug, settings.token.load())?;
    let bind = settings.bind;
    let server = tokio::spawn(serve::serve_until(settings, stop.clone()));
    // Whoever stops it before all is told does not want it to go on serving.
    let (told, stopped) = tokio::select! {
        told = tell_all(&client) => (told, false),
        () = runtime::stop_signal() => (Ok(()), true),
        () = async { while !server.is_finished() { look().await; } } => (Ok(()), true),
    };
    if told.is_ok() && !exit && !stopped {
        output::line(&format!("\nserving on http://{bind} (docs at /docs); Ctrl-C ends it"));
        runtime::stop_signal().await;
    }
    stop.cancel();
    server.await.context("the server ended")??;
    told?;
    Ok(ExitCode::SUCCESS)
}

async fn tell_all(client: &Client) -> anyhow::Result<()> {
    wait_until_ready(client).await?;
    let mut sent = submit_all(client).await?;
    follow(client, &mut sent).await?;
    outcomes(client, &sent).await?;
    boards(client).await
}

async fn look() {
    tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
}

async fn wait_until_ready(client: &Client) -> anyhow::Result<()> {
    for _ in 0..START_LOOKS {
        if client.get("/health").await.is_ok() {
            return Ok(());
        }
        look().await;
    }
    bail!("the server did not start")
}

fn examples() -> anyhow::Result<Vec<Example>> {
    let list = BUNDLES.get_file("bundles.json").context("no bundles.json")?;
    Ok(serde_json::from_slice(list.contents())?)
}

fn bundle_of(name: &str) -> anyhow::Result<Bundle> {
    let folder = BUNDLES.get_dir(name).with_context(|| format!("no bundle `{name}`"))?;
    let mut files = BTreeMap::new();
    collect(folder, folder, &mut files)?;
    if let (1, Some(bytes)) = (files.len(), files.get("model.py")) {
        return Ok(Bundle { filename: "model.py".to_owned(), bytes: bytes.clone() });
    }
    Bundle::of_files(name, &files)
}

fn collect(
    root: &Dir<'_>,
    folder: &Dir<'_>,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> anyhow::Result<()> {
    for file in folder.files() {
        let path = file.path().strip_prefix(root.path())?.to_string_lossy().into_owned();
        files.insert(path, file.contents().to_vec());
    }
    folder.dirs().try_for_each(|below| collect(root, below, files))
}

async fn submit_all(client: &Client) -> anyhow::Result<Vec<Sent>> {
    let mut sent = Vec::new();
    for example in examples()? {
        let answer = client.submit(&example.hotkey, &bundle_of(&example.name)?).await?;
        let id = text(&answer, "id");
        output::line(&format!("sent {:24} {} for {}", example.name, id, example.hotkey));
        sent.push(Sent { example, id, shown: String::new() });
    }
    output::line("");
    Ok(sent)
}

/// Tells each change until nothing moves any more.
async fn follow(client: &Client, sent: &mut [Sent]) -> anyhow::Result<()> {
    loop {
        let mut moving = false;
        for one in sent.iter_mut() {
            let detail = client.get(&format!("/v1/submissions/{}", one.id)).await?;
            let status = text(&detail, "status");
            moving |= status == "pending" || status == "running";
            let line = progress_line(&detail, &status);
            if line != one.shown {
                output::line(&format!("{:24} {line}", one.example.name));
                one.shown = line;
            }
        }
        if !moving {
            return Ok(());
        }
        look().await;
    }
}

/// Status, stage and, while it trains, the probe and the time left in steps of a tenth.
fn progress_line(detail: &Value, status: &str) -> String {
    let stage = detail.get("stage").and_then(Value::as_str).unwrap_or("");
    let Some(progress) = detail.get("progress").filter(|progress| progress.is_object()) else {
        return format!("{status} {stage}").trim_end().to_owned();
    };
    let number = |name: &str| progress.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let tenths = (number("done") * 10.0).floor() * 10.0;
    let seconds = (number("eta_ms") / 10_000.0).ceil() * 10.0;
    format!(
        "{status} {stage}: {} {tenths:.0} %, about {seconds:.0} s left",
        text(progress, "probe")
    )
}

async fn outcomes(client: &Client, sent: &[Sent]) -> anyhow::Result<()> {
    output::line("\n== What became of each");
    for one in sent {
        let detail = client.get(&format!("/v1/submissions/{}", one.id)).await?;
        let score = detail.get("final_score").and_then(Value::as_f64);
        let score = score.map(|score| format!(" score {score:.4}")).unwrap_or_default();
        output::line(&format!(
            "{} ({}): {}{score}",
            one.example.title,
            one.example.hotkey,
            text(&detail, "status")
        ));
        for name in ["reason", "error"] {
            if let Some(why) = detail.get(name).and_then(Value::as_str) {
                output::line(&format!("    {why}"));
            }
        }
    }
    Ok(())
}

async fn boards(client: &Client) -> anyhow::Result<()> {
    let board = client.get("/v1/leaderboard").await?;
    let entries = board.get("entries").cloned().unwrap_or_default();
    section("Leaderboard", &entries, &["rank", "hotkey", "score", "submission_id"]);
    let families = client.get("/v1/architectures").await?;
    section("Architecture families", &families, &["id", "owner_hotkey", "q_arch_best"]);
    let variants = client.get("/v1/training-variants").await?;
    section(
        "Training variants",
        &variants,
        &["id", "architecture_id", "owner_hotkey", "q_recipe", "is_current_best"],
    );
    let weights = client.get_internal("/internal/v1/get_weights").await?;
    output::line("\n== Weights, and why");
    let provenance = weights.pointer("/metadata/provenance").and_then(Value::as_object);
    for (hotkey, sources) in provenance.into_iter().flatten() {
        let share = weights.pointer(&format!("/weights/{hotkey}")).and_then(Value::as_f64);
        output::line(&format!("{hotkey:16} {:.4}", share.unwrap_or(0.0)));
        for source in sources.as_array().into_iter().flatten() {
            let ppm = source.get("ppm").and_then(Value::as_u64).unwrap_or(0);
            output::line(&format!("    {ppm} ppm: {}", text(source, "explanation")));
        }
    }
    Ok(())
}

fn section(title: &str, rows: &Value, columns: &[&str]) {
    output::line(&format!("\n== {title}"));
    let mut table = vec![columns.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>()];
    for row in rows.as_array().into_iter().flatten() {
        table.push(columns.iter().map(|column| text(row, column)).collect());
    }
    output::table(&table);
}

/// A field as a person reads it.
fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if number.is_f64() => {
            format!("{:.4}", number.as_f64().unwrap_or(0.0))
        }
        Some(other) => other.to_string(),
    }
}
