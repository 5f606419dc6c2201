//! `prism capsule`: a scored submission with all that is needed to run it again.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use prism_domain::ids::SubmissionId;
use prism_domain::time::Clock as _;
use prism_pipeline::{CAPSULE_MAX_BYTES, Capsule};
use serde_json::json;

use super::{output, runtime};
use crate::clock::SystemClock;
use crate::config::Settings;
use crate::wire;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The submission.
    id: SubmissionId,
    /// Where to write the capsule.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(mut settings: Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    runtime::need_database(&settings)?;
    // Whoever only asks must not clear away what another process is about to pick up.
    settings.workers = 0;
    let (capsule, epoch) = runtime::block_on(async {
        let pipeline = wire::pipeline(&settings).await?;
        let capsule = pipeline.capsule(arguments.id).await?;
        let submission = pipeline.store.submission(arguments.id).await?;
        pipeline.store.close().await;
        anyhow::Ok((capsule, submission.map(|submission| submission.epoch)))
    })??;
    let size_bytes = write(&arguments.out, &capsule)?;
    // Whoever has the capsule has the seeds of all that are accepted in that epoch.
    let seeds_in_use = epoch == Some(settings.epoch.epoch_at(SystemClock.now()));
    if arguments.json {
        output::json(&json!({
            "submission_id": arguments.id,
            "out": arguments.out,
            "size_bytes": size_bytes,
            "seeds_in_use": seeds_in_use,
        }))?;
    } else {
        output::line(&format!("{}: {size_bytes} bytes", arguments.out.display()));
        if seeds_in_use {
            output::line("keep it private until the epoch is over: its seeds are still in use");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a capsule for its owner alone, since it holds somebody's code; answers how many bytes.
pub(super) fn write(path: &Path, capsule: &Capsule) -> anyhow::Result<usize> {
    let bytes = serde_json::to_vec(capsule)?;
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(&bytes))
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(bytes.len())
}

/// Reads a capsule.
pub(super) fn read(path: &Path) -> anyhow::Result<Capsule> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(CAPSULE_MAX_BYTES + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    if bytes.len() as u64 > CAPSULE_MAX_BYTES {
        bail!("`{}` is larger than {CAPSULE_MAX_BYTES} bytes", path.display());
    }
    serde_json::from_slice(&bytes).with_context(|| format!("`{}` is no capsule", path.display()))
}
