//! How long it takes to find what resembles a submission among 10,000 and 100,000 stored ones, and whether a disguised
//! copy is found. `cargo build --release --workspace --examples && target/release/examples/similarity [folder]`
//!
//! A third of every sketch is common to all projects, as boilerplate is; each project belongs to one of 500 families whose
//! members share half of what is left. The predecessor compares with every stored source: 6.9 s and 1.3 GB at 10,000.
#![expect(clippy::print_stdout, reason = "this program is its output")]

use std::path::PathBuf;

use futures_util::future::try_join_all;
use prism_domain::facts::{Fingerprints, ProjectFacts, SKETCH_LEN, SourceFacts};
use prism_domain::ids::{Digest, Hotkey, SubmissionId};
use prism_domain::submission::{Event, ProjectKind, Stage};
use prism_domain::time::{EpochId, Timestamp};
use prism_store::{NewSubmission, StageCommit, Store, StoreError, StoreOptions};
use tokio::time::Instant;
use uuid::Uuid;

const SIZES: [u64; 2] = [10_000, 100_000];
const QUERIES: u64 = 400;
const WRITERS: u64 = 32;
const FAMILIES: u64 = 500;
const NEIGHBOURS: usize = 16;
const NOW: Timestamp = Timestamp::from_micros(1_795_347_768_000_000);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = tempfile::tempdir_in(given.unwrap_or_else(std::env::temp_dir))?;
    let url = format!("sqlite://{}", folder.path().join("prism.db").display());
    let store = Store::open(&url, &StoreOptions::default()).await?;
    let mut stored = 0;
    for size in SIZES {
        fill(&store, stored, size).await?;
        stored = size;
        ask(&store, size).await?;
    }
    store.close().await;
    Ok(())
}

async fn fill(store: &Store, from: u64, to: u64) -> Result<(), StoreError> {
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for serial in (from..to).filter(|serial| serial % WRITERS == writer) {
                store.accept(upload(serial)).await?;
                let name = format!("writer-{writer}");
                let claim = store.claim(&name, &[Stage::Facts], NOW, 3_600_000).await?;
                let claim = claim.ok_or(StoreError::Closed)?;
                // Whichever came first is taken; which one that is, its file name says.
                let serial = claim.submission.filename.parse().unwrap_or(0);
                let facts = project(serial, sketch(serial));
                let commit =
                    StageCommit { index: Some(facts), ..StageCommit::new(Event::StageDone) };
                store.commit_stage(&claim, commit, NOW).await?;
            }
            Ok::<(), StoreError>(())
        })
    });
    for written in try_join_all(writers).await.map_err(|_panic| StoreError::Closed)? {
        written?;
    }
    Ok(())
}

/// Half of the questions are about copies with a fifth of the sketch changed, the other half about new work.
async fn ask(store: &Store, size: u64) -> Result<(), StoreError> {
    let (mut taken, mut found, mut copies) = (Vec::new(), 0, 0);
    for query in 0..QUERIES {
        let original = random(query, 7) % size;
        let copy = query.is_multiple_of(2);
        let mut asked = sketch(if copy { original } else { size + query });
        if copy {
            for (place, value) in asked.iter_mut().enumerate() {
                if random(query, place as u64).is_multiple_of(5) {
                    *value = half(random(query, 1_000 + place as u64));
                }
            }
        }
        let facts = project(u64::MAX - query, asked).source;
        let begin = Instant::now();
        let near =
            store.earlier_neighbours(i64::MAX, &hotkey(u64::MAX), &facts, NEIGHBOURS).await?;
        taken.push(begin.elapsed().as_secs_f64() * 1_000.0);
        if copy {
            copies += 1;
            let id = id(original);
            found += u64::from(near.iter().any(|one| one.neighbour.submission_id == id));
        }
    }
    taken.sort_by(f64::total_cmp);
    let at = |share: usize| taken.get(taken.len() * share / 100).copied().unwrap_or(f64::NAN);
    println!(
        "{size:>7} stored: {:.1} ms median, {:.1} ms p99; {found} of {copies} copies found; at most {} MB resident",
        at(50),
        at(99),
        peak_resident_mb()
    );
    Ok(())
}

/// The sketch of a project: common to all, to its family, or its own.
fn sketch(serial: u64) -> Vec<u32> {
    let family = serial % FAMILIES;
    let value = |place: u64| match place % 3 {
        0 => half(random(1, place)),
        1 => half(random(2 + family, place)),
        _ => half(random(1_000_000 + serial, place)),
    };
    // Shared values are as scattered in a sketch as shared shingles are.
    let scattered = |place: usize| value(random(99, place as u64) % (SKETCH_LEN as u64 * 3));
    (0..SKETCH_LEN).map(scattered).collect()
}

fn project(serial: u64, sketch: Vec<u32>) -> ProjectFacts {
    let digest = |part: &str| Digest::of(format!("{part} {serial}").as_bytes());
    ProjectFacts {
        kind: ProjectKind::Full,
        entrypoint: "model.py".to_owned(),
        training_entrypoint: None,
        target_family: None,
        files: Vec::new(),
        source: SourceFacts {
            observations: Vec::new(),
            entry_functions: Vec::new(),
            fingerprints: Some(Fingerprints {
                source: digest("source"),
                architecture: digest("architecture"),
                training: digest("training"),
            }),
            architecture_sketch: sketch.clone(),
            source_sketch: sketch,
        },
    }
}

fn upload(serial: u64) -> NewSubmission {
    let archive = serial.to_le_bytes().to_vec();
    let digest = Digest::of(&archive);
    NewSubmission {
        id: id(serial),
        hotkey: hotkey(serial),
        epoch: EpochId(1),
        code_hash: digest,
        filename: serial.to_string(),
        archive,
        body_digest: digest,
        metadata: "{}".to_owned(),
        nonce: None,
        idempotency_key: None,
        quota: None,
        now: NOW,
    }
}

fn id(serial: u64) -> SubmissionId {
    SubmissionId::new(Uuid::from_u128(u128::from(serial) + (4 << 76) + (2 << 62)))
}

fn hotkey(serial: u64) -> Hotkey {
    Hotkey::new(format!("miner-{serial}")).unwrap_or_else(|error| unreachable!("{error}"))
}

fn half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

/// The finaliser of `SplitMix64` over a pair.
fn random(stream: u64, place: u64) -> u64 {
    let value =
        stream.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ place.wrapping_mul(0xD1B5_4A32_D192_ED03);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The most memory that the process had, as the kernel counts it, megabytes.
fn peak_resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1_024
}
