//! `prism policy key` and `prism policy sign`: who answers for a component.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use prism_domain::entropy::Entropy as _;
use prism_domain::ids::Digest;
use prism_domain::policy::Slot;
use prism_intake::PolicySigner;

use super::slot::SlotName;
use crate::cli::output;
use crate::clock::SystemEntropy;

/// A file with a private key is short.
const KEY_FILE_BYTES: u64 = 1_024;

#[derive(Debug, Args)]
pub(in crate::cli) struct Key {
    /// Name of the key, by which the server knows it: whose it is.
    name: String,
    /// The file for the private key; it must not be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Sign {
    /// The component, a `.wasm` file.
    path: PathBuf,
    /// The file with the private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The slot that it is for; without it, the first that it fits.
    #[arg(long)]
    slot: Option<SlotName>,
}

pub(super) fn key(arguments: &Key) -> anyhow::Result<ExitCode> {
    let signer = PolicySigner::from_seed(&arguments.name, &SystemEntropy.bytes32())?;
    let shown = arguments.out.display();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&arguments.out)
        .with_context(|| format!("cannot make `{shown}`"))?;
    file.write_all(signer.secret_text().as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write `{shown}`"))?;
    output::line("policy_keys:");
    output::line(&format!("  - {{name: {}, ed25519: {}}}", signer.name(), signer.public_key()));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn sign(arguments: &Sign) -> anyhow::Result<ExitCode> {
    let wasm = std::fs::read(&arguments.path)
        .with_context(|| format!("cannot read `{}`", arguments.path.display()))?;
    let slot = arguments.slot.map(SlotName::slot);
    output::line(&signature(&arguments.key, slot, &wasm)?);
    Ok(ExitCode::SUCCESS)
}

/// The signature of a component under the private key of that file. Nothing of the component is compiled or run.
pub(super) fn signature(key: &Path, slot: Option<Slot>, wasm: &[u8]) -> anyhow::Result<String> {
    let signer = private_key(key)?;
    let slot = prism_policy::fitting_slot(slot, wasm)?;
    Ok(signer.sign(slot, Digest::of(wasm)).to_string())
}

/// A key that others could read is not used.
fn private_key(path: &Path) -> anyhow::Result<PolicySigner> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read `{shown}`"))?;
    // The lowest six bits are what the group and others may do.
    let mode = file.metadata()?.permissions().mode();
    ensure!(
        mode.trailing_zeros() >= 6,
        "`{shown}` can be read by others: `chmod 600` it, or make a new key"
    );
    let mut text = String::new();
    file.take(KEY_FILE_BYTES)
        .read_to_string(&mut text)
        .with_context(|| format!("`{shown}` is no private key"))?;
    PolicySigner::parse(&text).with_context(|| format!("`{shown}` is no private key"))
}
