//! The tools that build components: where they are, and how to get those that are missing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// Names and versions, one a line.
const PINNED: &str = include_str!("../../../templates/tools");
/// What `env` answers when a script's interpreter is not there.
const NO_INTERPRETER: i32 = 127;

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    /// Rust's.
    Cargo,
    /// From Python to a component.
    ComponentizePy,
    /// From JavaScript to a component.
    ComponentizeQjs,
}

impl Tool {
    const fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::ComponentizePy => "componentize-py",
            Self::ComponentizeQjs => "componentize-qjs",
        }
    }

    /// How to get it.
    fn remedy(self) -> String {
        match self {
            Self::Cargo => "install Rust from https://rustup.rs, then: \
                            rustup target add wasm32-unknown-unknown"
                .to_owned(),
            Self::ComponentizePy => format!(
                "python3 -m venv .venv && .venv/bin/pip install componentize-py=={}  (in the project; \
                 Debian's python3-venv is needed)",
                self.version()
            ),
            Self::ComponentizeQjs => format!(
                "npm install --no-save componentize-qjs@{}  (in the project; Debian's nodejs and npm \
                 are needed)",
                self.version()
            ),
        }
    }

    fn version(self) -> &'static str {
        let named = |line: &'static str| line.strip_prefix(self.name())?.strip_prefix(' ');
        PINNED.lines().find_map(named).unwrap_or("latest")
    }
}

/// Where tools are looked for, in a project's folder, where they also run.
pub(super) struct Toolchain {
    folder: PathBuf,
    places: Vec<PathBuf>,
}

impl Toolchain {
    /// The tools in `given`, then those of the project; what is in neither is taken from the path.
    pub(super) fn new(project: &Path, given: Option<&Path>) -> Self {
        let mut places = Vec::new();
        // The command runs in the project's folder, so a path relative to ours would not be found.
        if let Some(given) = given.and_then(|given| std::path::absolute(given).ok()) {
            places.extend([given.join("venv/bin"), given.join("node_modules/.bin")]);
        }
        places.extend([project.join(".venv/bin"), project.join("node_modules/.bin")]);
        Self { folder: project.to_owned(), places }
    }

    /// A command of that tool in the project's folder.
    pub(super) fn command(&self, tool: Tool) -> Command {
        let mut installed = self.places.iter().map(|place| place.join(tool.name()));
        let found = installed.find(|path| path.exists());
        let mut command = Command::new(found.unwrap_or_else(|| tool.name().into()));
        command.current_dir(&self.folder);
        command
    }
}

/// Runs a command; what it wrote to standard output. What it complains of is passed on when it fails.
pub(super) fn output(tool: Tool, mut command: Command) -> anyhow::Result<String> {
    let name = tool.name();
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("`{name}` is not installed; to mend it: {}", tool.remedy())
        }
        Err(error) => return Err(error).with_context(|| format!("`{name}` does not start")),
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(NO_INTERPRETER) {
        bail!("`{name}` cannot run ({}); to mend it: {}", complaint.trim(), tool.remedy());
    }
    if tool == Tool::Cargo && complaint.contains("target may not be installed") {
        bail!("Rust's target is missing; to mend it: rustup target add wasm32-unknown-unknown");
    }
    // Cargo says on standard output what only programs read; the other tools say there what happened.
    let told = if tool == Tool::Cargo { String::new() } else { said };
    bail!("`{name}` failed ({}):\n{}{}", output.status, told, complaint.trim_end())
}
