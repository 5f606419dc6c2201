//! `prism doctor`: what this machine lacks, and how to mend it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use prism_evaluation::Checkup;
use rustix::fs::{Access, access};
use tokio::process::Command;

use super::{output, runtime};
use crate::config::Settings;
use crate::wire;

/// How long systemd may take to say how the clock is.
const CLOCK_TOLD_WITHIN: Duration = Duration::from_secs(10);
/// How each SQLite database begins.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut checks = vec![policies(settings), token(settings), database(settings)];
    let machine = async { (clock().await, prism_evaluation::doctor(&settings.evaluation).await) };
    let (clock, evaluation) = runtime::block_on(machine)?;
    checks.push(clock);
    checks.extend(evaluation);
    let healthy = checks.iter().all(|check| check.ok);
    if arguments.json {
        output::json(&checks)?;
    } else {
        for check in &checks {
            let mark = match (check.ok, &check.warning) {
                (true, None) => "ok  ",
                (true, Some(_)) => "warn",
                (false, _) => "BAD ",
            };
            output::line(&format!("{mark} {:18} {}", check.name, check.detail));
            if let Some(warning) = &check.warning {
                output::line(&format!("     {warning}"));
            }
            if !check.ok || check.warning.is_some() {
                output::line(&format!("     to mend it: {}", check.remedy));
            }
        }
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn policies(settings: &Settings) -> Checkup {
    let loaded = wire::sandbox(settings)
        .map(|_| "embedded set loads".to_owned())
        .map_err(|error| format!("{error:#}"));
    Checkup::new("policies", loaded, "make the data folder writable, or set PRISM_DATA_DIR")
}

fn token(settings: &Settings) -> Checkup {
    let found = match settings.token.load() {
        Some(_) => Ok("configured".to_owned()),
        None => Err("none is configured".to_owned()),
    };
    Checkup::new("token", found, "set PRISM_SHARED_TOKEN_FILE (or PRISM_SHARED_TOKEN)")
}

fn database(settings: &Settings) -> Checkup {
    let found = match settings.database_file() {
        Some(file) => database_at(&file),
        None => Err(format!("`{}` names no SQLite file", settings.database_url)),
    };
    let remedy = "make the data folder writable, or set PRISM_DATA_DIR or PRISM_DATABASE_URL";
    Checkup::new("database", found, remedy)
}

/// Whether somebody keeps the clock right, as systemd knows. Signatures are good for some minutes only, and epochs
/// close by it.
async fn clock() -> Checkup {
    let mut asking = Command::new("timedatectl");
    asking.args(["show", "--property=NTPSynchronized", "--value"]).kill_on_drop(true);
    let told = match tokio::time::timeout(CLOCK_TOLD_WITHIN, asking.output()).await {
        Ok(Ok(told)) if told.status.success() => told.stdout,
        _ => Vec::new(),
    };
    let (detail, warning) = match told.trim_ascii() {
        b"yes" => ("synchronized", None),
        b"no" => ("not synchronized", Some("nobody corrects it")),
        _ => ("timedatectl does not tell", Some("it is not known whether anybody corrects it")),
    };
    let warning = warning.map(|told| {
        format!("{told}: when it is wrong by five minutes, signed uploads are refused as stale")
    });
    Checkup::new("clock", Ok(detail.to_owned()), "apt-get install systemd-timesyncd, or chrony")
        .with_warning(warning)
}

/// Looks at the file from outside: opening it as the server does would bring its schema up to date.
fn database_at(file: &Path) -> Result<String, String> {
    let shown = file.display();
    let folder =
        file.ancestors().skip(1).find(|folder| folder.as_os_str().is_empty() || folder.exists());
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The write-ahead log lies beside the database, so that the folder is written to in any case.
    let writable = folder.is_dir() && access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    if !writable {
        return Err(format!("`{}` cannot be written to", folder.display()));
    }
    if !file.exists() {
        return Ok(format!("`{shown}` is not there yet; `prism serve` makes it"));
    }
    access(file, Access::READ_OK | Access::WRITE_OK)
        .map_err(|error| format!("`{shown}` cannot be read and written: {error}"))?;
    let mut start = Vec::new();
    let length = SQLITE_MAGIC.len() as u64;
    let read = File::open(file).and_then(|file| file.take(length).read_to_end(&mut start));
    match read {
        Err(error) => Err(format!("`{shown}` cannot be read: {error}")),
        Ok(0) => Ok(format!("`{shown}` is empty; `prism serve` fills it")),
        Ok(_) if start == SQLITE_MAGIC => Ok(format!("`{shown}` is there")),
        Ok(_) => Err(format!("`{shown}` is not a SQLite database")),
    }
}
