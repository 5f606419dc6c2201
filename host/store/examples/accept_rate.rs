//! Accepted submissions a second, durable: 16 callers, bodies of 5 KB, the queue's group commit beside
//! one transaction each. `cargo run --release -p prism-store --example accept_rate [folder]`
#![expect(clippy::print_stdout, reason = "this program is its output")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::try_join_all;
use prism_domain::ids::{Digest, Hotkey, SubmissionId};
use prism_domain::time::{EpochId, Timestamp};
use prism_store::{NewSubmission, Store, StoreError, StoreOptions};
use tokio::time::Instant;
use uuid::Uuid;

const CALLERS: u128 = 16;
const BODY_BYTES: usize = 5_000;
const RUN: Duration = Duration::from_secs(4);
const BATCH_MAX: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = tempfile::tempdir_in(given.unwrap_or_else(std::env::temp_dir))?;
    println!(
        "{CALLERS} callers, {BODY_BYTES} byte bodies, WAL, synchronous=FULL, {}",
        folder.path().display()
    );
    for (name, batch_max) in [("one transaction each", 1), ("group commit", BATCH_MAX)] {
        let rates =
            [0, 1, 2].map(|run| (batch_max, folder.path().join(format!("{batch_max}-{run}.db"))));
        let mut measured = Vec::new();
        for (batch_max, file) in rates {
            measured.push(rate(&file, batch_max).await?);
        }
        measured.sort_by(f64::total_cmp);
        let shown: Vec<_> = measured.iter().map(|rate| format!("{rate:.0}")).collect();
        println!("{name:>22}: {} accepted/s (three runs, sorted)", shown.join(" "));
    }
    Ok(())
}

async fn rate(file: &Path, batch_max: usize) -> Result<f64, StoreError> {
    let options = StoreOptions { batch_max, ..StoreOptions::default() };
    let store = Store::open(&format!("sqlite://{}", file.display()), &options).await?;
    let begin = Instant::now();
    let callers = (0..CALLERS).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move { sent(&store, caller, begin).await })
    });
    let mut total = 0.0;
    for sent in try_join_all(callers).await.map_err(|_panic| StoreError::Closed)? {
        total += sent?;
    }
    let elapsed = begin.elapsed().as_secs_f64();
    store.close().await;
    Ok(total / elapsed)
}

/// How many one caller gets accepted, each after the answer to the one before.
async fn sent(store: &Store, caller: u128, begin: Instant) -> Result<f64, StoreError> {
    let mut count = 0.0;
    let mut serial = caller << 64;
    while begin.elapsed() < RUN {
        serial += 1;
        store.accept(upload(serial)).await?;
        count += 1.0;
    }
    Ok(count)
}

fn upload(serial: u128) -> NewSubmission {
    let archive: Vec<u8> = serial.to_le_bytes().into_iter().cycle().take(BODY_BYTES).collect();
    let digest = Digest::of(&archive);
    NewSubmission {
        id: SubmissionId::new(Uuid::from_u128(
            serial.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
        )),
        hotkey: Hotkey::new(format!("miner-{}", serial >> 64))
            .unwrap_or_else(|error| unreachable!("{error}")),
        epoch: EpochId(1),
        code_hash: digest,
        filename: "project.zip".to_owned(),
        archive,
        body_digest: digest,
        metadata: "{\"bridge\":true}".to_owned(),
        nonce: None,
        idempotency_key: None,
        quota: None,
        now: Timestamp::from_micros(1_795_347_768_000_000),
    }
}
