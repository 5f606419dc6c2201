//! What the server does in a second, in memory, and how fast it starts. Prints medians; asserts nothing
//! but that no request fails.
//!
//! The baseline is the Python service that PRISM replaces: 150 accepted submissions a second and 390 MB
//! resident on two cores.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prism_tests::{Prism, Settings, TOKEN};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Size of an upload, bytes.
const BODY_BYTES: usize = 5 * 1024;
/// Length of a round.
const ROUND: Duration = Duration::from_secs(4);
/// Rounds; the median counts.
const ROUNDS: usize = 5;
/// Starts; the median counts.
const STARTS: usize = 9;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    start_times();
    runtime.block_on(throughput(16));
    runtime.block_on(throughput(96));
    runtime.block_on(activations());
}

fn start_times() {
    let folder = tempfile::tempdir().expect("a folder");
    let cold = started(folder.path());
    let mut warm: Vec<Duration> = (0..STARTS).map(|_| started(folder.path())).collect();
    println!(
        "start to ready: cold {} ms, warm {} ms (aim 300)",
        cold.as_millis(),
        median(&mut warm).as_millis()
    );
    let prism = Prism::start_in(folder.path(), &Settings::api_only());
    println!("resident when idle: {:.1} MB (aim 60; the Python service 390)", resident_mb(&prism));
}

fn started(folder: &std::path::Path) -> Duration {
    let begin = Instant::now();
    let prism = Prism::start_in(folder, &Settings::api_only());
    let took = begin.elapsed();
    assert!(prism.terminate().success());
    took
}

async fn throughput(connections: usize) {
    let prism = Prism::start(&Settings::api_only().with("PRISM_QUOTA_SUBMISSIONS", "0"));
    let mut rates = Vec::new();
    for round in 0..ROUNDS {
        let tasks: Vec<_> = (0..connections)
            .map(|index| tokio::spawn(client(prism.address(), round * 1_000 + index)))
            .collect();
        let mut accepted = 0;
        for task in tasks {
            accepted += task.await.expect("a client");
        }
        rates.push(accepted / usize::try_from(ROUND.as_secs()).expect("fits"));
    }
    rates.sort_unstable();
    println!(
        "bridge, {BODY_BYTES} B, durable, {connections} connections: median {}/s of {rates:?} (aim 1,500 at 16; the Python service 150); {:.1} MB resident",
        rates.get(ROUNDS / 2).expect("rounds"),
        resident_mb(&prism)
    );
}

/// A hundred activations while weights are asked for: how long until each has effect here and in another process
/// on the database, how many answers a second there are meanwhile, and whether all are.
async fn activations() {
    const ACTIVATIONS: usize = 100;
    const FOLLOWED: usize = 10;
    let folder = tempfile::tempdir().expect("a folder");
    let here = Prism::start_in(folder.path(), &Settings::api_only());
    let there = Prism::start_in(folder.path(), &Settings::api_only());
    let first = loaded(&here).await;
    let second = other_half_life(&here, &first).await;
    let stop = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> =
        (0..16).map(|_| tokio::spawn(weights_until(here.address(), Arc::clone(&stop)))).collect();
    let begin = Instant::now();
    let mut at_once = Vec::new();
    for index in 0..ACTIVATIONS {
        let set = if index % 2 == 0 { &second } else { &first };
        at_once.push(activated(&here, set).await);
    }
    let seconds = begin.elapsed().as_secs_f64();
    // In a row the other process follows only some of them; these are waited for one by one.
    let mut followed = Vec::new();
    for index in 0..FOLLOWED {
        let set = if index % 2 == 0 { &second } else { &first };
        let begin = Instant::now();
        activated(&here, set).await;
        while loaded(&there).await != *set {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        followed.push(begin.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let mut answers = 0_u32;
    for task in asking {
        answers += task.await.expect("no answer failed");
    }
    let all = begin.elapsed().as_secs_f64();
    println!(
        "{ACTIVATIONS} activations in {seconds:.1} s under {:.0} answers/s, none failed: in effect after {:.1} ms here, {} ms in another process (aim 1,000)",
        f64::from(answers) / all,
        median(&mut at_once).as_secs_f64() * 1e3,
        median(&mut followed).as_millis(),
    );
}

/// Puts a set in force; how long that took.
async fn activated(prism: &Prism, set: &str) -> Duration {
    let begin = Instant::now();
    let body = json!({"set": set, "reason": "a bench", "without_backtest": "a bench"});
    let path = "/internal/v1/policies/activations";
    let answer = prism.internal("POST", path).json(&body).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    begin.elapsed()
}

async fn loaded(prism: &Prism) -> String {
    let active = prism.get_internal("/internal/v1/policies/active").await;
    active["loaded"].as_str().expect("a digest").to_owned()
}

/// The set in force with another memory in its rewards; its digest.
async fn other_half_life(prism: &Prism, set: &str) -> String {
    let known = prism.get_internal(&format!("/internal/v1/policies/sets/{set}")).await;
    let mut settings = known["slots"]["rewards"]["settings"].clone();
    settings["half_life_epochs"] = json!(7);
    let body = json!({"slots": {"rewards": {"settings": settings}}});
    let request = prism.internal("POST", "/internal/v1/policies/sets").json(&body);
    let made: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    made["digest"].as_str().expect("a digest").to_owned()
}

/// Asks for the weights over one connection until told to stop; how many answers came.
async fn weights_until(address: String, stop: Arc<AtomicBool>) -> u32 {
    let mut stream = TcpStream::connect(&address).await.expect("connected");
    stream.set_nodelay(true).expect("no delay");
    let request = format!(
        "GET /internal/v1/get_weights HTTP/1.1\r\nHost: prism\r\nAuthorization: Bearer {TOKEN}\r\n\
         X-Platform-Challenge-Slug: prism\r\n\r\n"
    );
    let mut answer = vec![0; 65_536];
    let mut answers = 0;
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(request.as_bytes()).await.expect("sent");
        let got = stream.read(&mut answer).await.expect("an answer");
        let text = answer.get(..got).expect("read");
        assert!(text.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(text));
        answers += 1;
    }
    answers
}

/// Sends different uploads over one connection for a round; how many were accepted.
async fn client(address: String, seed: usize) -> usize {
    let mut stream = TcpStream::connect(&address).await.expect("connected");
    stream.set_nodelay(true).expect("no delay");
    let begin = Instant::now();
    let mut accepted = 0;
    let mut answer = vec![0; 4_096];
    while begin.elapsed() < ROUND {
        let mut body = vec![b'x'; BODY_BYTES];
        let mark = format!("{seed}:{accepted}:");
        body.splice(..mark.len(), mark.into_bytes());
        let head = format!(
            "POST /internal/v1/bridge/submissions HTTP/1.1\r\nHost: prism\r\nAuthorization: Bearer {TOKEN}\r\n\
             X-Platform-Challenge-Slug: prism\r\nX-Platform-Verified-Hotkey: miner{seed}\r\n\
             Content-Type: application/zip\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
        );
        stream.write_all(&[head.into_bytes(), body].concat()).await.expect("sent");
        let got = stream.read(&mut answer).await.expect("an answer");
        let text = answer.get(..got).expect("read");
        assert!(text.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(text));
        accepted += 1;
    }
    accepted
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    *times.get(times.len() / 2).expect("times")
}

fn resident_mb(prism: &Prism) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", prism.id())).expect("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kilobytes: f64 =
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kilobytes / 1_024.0
}
