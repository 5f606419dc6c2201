//! `prism policy build`: from a project to a component, with the toolchain of its language.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, ensure};
use clap::Args;
use prism_domain::ids::Digest;
use prism_policy::{Sandbox, World, componentize};
use serde::Deserialize;

use super::project::{Language, Project};
use super::toolchain::{self, Tool, Toolchain};
use crate::cli::output;

/// The target without an operating system: what is built for it imports nothing but the log.
const TARGET: &str = "wasm32-unknown-unknown";

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The folder of the project.
    folder: PathBuf,
    /// A folder with the tools, as `./dev setup languages` makes it; they are also looked for in the project
    /// (`.venv`, `node_modules`) and on the path.
    #[arg(long, value_name = "DIR")]
    tools: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let project = Project::read(&arguments.folder)?;
    let toolchain = Toolchain::new(&project.folder, arguments.tools.as_deref());
    let wasm = match project.language {
        Language::Rust => rust(&project, &toolchain)?,
        Language::Python => python(&project, &toolchain)?,
        Language::JavaScript => javascript(&project, &toolchain)?,
    };
    Sandbox::start(None)?
        .check(project.slot.into(), &wasm)
        .map_err(|refusal| anyhow!("{}: {refusal}", refusal.code()))
        .context("it was built, but a server would not take it")?;
    let path = project.component();
    write(&path, &wasm)?;
    output::line(&format!("{}  {} bytes", Digest::of(&wasm), wasm.len()));
    output::line(&path.display().to_string());
    Ok(ExitCode::SUCCESS)
}

/// What cargo says of each thing that it made, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    filenames: Vec<PathBuf>,
}

fn rust(project: &Project, toolchain: &Toolchain) -> anyhow::Result<Vec<u8>> {
    let mut cargo = toolchain.command(Tool::Cargo);
    cargo
        .args(["build", "--release", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        // Panic messages name source files; the same source gives the same bytes in every folder.
        .env("CARGO_ENCODED_RUSTFLAGS", remapped(project, toolchain)?);
    let said = toolchain::output(Tool::Cargo, cargo)?;
    let manifest = project.folder.join("Cargo.toml");
    let module = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
        .filter(|artifact| artifact.manifest_path == manifest)
        .flat_map(|artifact| artifact.filenames)
        .find(|path| path.extension().is_some_and(|ending| ending == "wasm"))
        .context("cargo made no `.wasm`: the crate type has to be `cdylib`")?;
    componentize(&read(&module)?).map_err(|why| anyhow!("`{}`: {why}", module.display()))
}

/// Where packages lie, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    manifest_path: PathBuf,
}

/// Flags that take the folders of this machine out of the component.
fn remapped(project: &Project, toolchain: &Toolchain) -> anyhow::Result<String> {
    let mut cargo = toolchain.command(Tool::Cargo);
    cargo.args(["metadata", "--format-version", "1", "--filter-platform", TARGET]);
    let metadata: Metadata = serde_json::from_str(&toolchain::output(Tool::Cargo, cargo)?)
        .context("cargo's metadata cannot be read")?;
    let mut flags = format!("--remap-path-prefix={}=/policy", project.folder.display());
    let mut folders: Vec<&Path> = metadata
        .packages
        .iter()
        .filter_map(|package| package.manifest_path.ancestors().nth(2))
        .collect();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders.into_iter().filter(|folder| !project.folder.starts_with(folder)) {
        flags.extend(["\x1f--remap-path-prefix=", &folder.to_string_lossy(), "=/crates"]);
    }
    Ok(flags)
}

fn python(project: &Project, toolchain: &Toolchain) -> anyhow::Result<Vec<u8>> {
    let made = Made::beside(project)?;
    let mut command = toolchain.command(Tool::ComponentizePy);
    command
        .args([
            "-d",
            "wit",
            "-w",
            world(project),
            "componentize",
            "--stub-wasi",
            "-p",
            ".",
            "policy",
        ])
        .arg("-o")
        .arg(&made.path);
    toolchain::output(Tool::ComponentizePy, command)?;
    made.read()
}

fn javascript(project: &Project, toolchain: &Toolchain) -> anyhow::Result<Vec<u8>> {
    let made = Made::beside(project)?;
    let mut command = toolchain.command(Tool::ComponentizeQjs);
    command
        .args(["--sync", "--stub-wasi", "--wit", "wit", "--world", world(project)])
        .args(["--js", "policy.js", "--module-root", ".", "--output"])
        .arg(&made.path);
    toolchain::output(Tool::ComponentizeQjs, command)?;
    made.read()
}

fn world(project: &Project) -> &'static str {
    World::from(project.slot).name()
}

/// What a tool writes, in a folder that goes away: a build that fails leaves the last component as it was.
struct Made {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Made {
    fn beside(project: &Project) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix(".build-").tempdir_in(&project.folder)?;
        Ok(Self { path: folder.path().join("made.wasm"), _folder: folder })
    }

    fn read(&self) -> anyhow::Result<Vec<u8>> {
        ensure!(self.path.exists(), "the tool made no component");
        read(&self.path)
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}
