//! A policy's project on disk: its slot and language, and where its parts stand.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use prism_domain::policy::Slot;
use serde::Deserialize;

/// The file that makes a folder a project.
pub(super) const DESCRIPTION: &str = "policy.yaml";
/// Where the component is left, and where the cases are.
const COMPONENT: &str = "plugin.wasm";
const CASES: &str = "cases";

/// What a policy is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Language {
    /// Compiled; components are small and fast.
    Rust,
    /// `CPython` within the component.
    Python,
    /// `QuickJS` within the component.
    #[value(name = "javascript")]
    JavaScript,
}

impl Language {
    /// Its name in the description and among the templates.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::JavaScript => "javascript",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    slot: Slot,
    language: Language,
}

/// A project.
#[derive(Debug)]
pub(super) struct Project {
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// The slot that it is for.
    pub slot: Slot,
    /// What it is written in.
    pub language: Language,
}

impl Project {
    /// Reads the description in a folder.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let folder =
            folder.canonicalize().with_context(|| format!("cannot find `{}`", folder.display()))?;
        let path = folder.join(DESCRIPTION);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("`{}` is no policy's project: cannot read `{DESCRIPTION}`", folder.display())
        })?;
        let Description { slot, language } = serde_saphyr::from_str(&text)
            .with_context(|| format!("`{}` is not as it should be", path.display()))?;
        Ok(Self { folder, slot, language })
    }

    /// Where its component is left.
    pub(super) fn component(&self) -> PathBuf {
        self.folder.join(COMPONENT)
    }
}

/// Where the cases of a component or of a project are.
pub(super) fn cases_beside(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(CASES) } else { path.with_file_name(CASES) }
}
