//! What an author tries: a component in its slot, and its cases.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use clap::Args;
use prism_domain::policy::Slot;
use prism_policy::{CaseError, LoadedSet};

use super::project::{Project, cases_beside};
use super::slot::SlotName;
use crate::config::Settings;
use crate::wire;

const INPUT: &str = "input.json";
const EXPECTED: &str = "expected.json";

#[derive(Debug, Args)]
pub(super) struct Subject {
    /// The component, a `.wasm` file, or the folder of its project.
    path: PathBuf,
    /// The slot that it is for; without it, the project's, or the first that the component fits.
    #[arg(long)]
    slot: Option<SlotName>,
    /// The folder of the cases; without it, `cases` in the project or beside the component.
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
}

impl Subject {
    /// Loads the component and reads the cases, in the order of their names.
    pub(super) fn load(&self, settings: &Settings) -> anyhow::Result<Loaded> {
        let slot = self.slot.map(SlotName::slot);
        let component = if self.path.is_dir() {
            let project = Project::read(&self.path)?;
            let path = project.component();
            ensure!(
                path.exists(),
                "`{}` is not built: prism policy build {}",
                project.folder.display(),
                self.path.display()
            );
            Component::load(settings, slot.or(Some(project.slot)), &path)?
        } else {
            Component::load(settings, slot, &self.path)?
        };
        let folder = self.cases.clone().unwrap_or_else(|| cases_beside(&self.path));
        let cases = read_cases(&folder)?;
        ensure!(!cases.is_empty(), "there are no cases in `{}`", folder.display());
        Ok(Loaded { component, cases })
    }
}

/// What is tried.
pub(super) struct Loaded {
    /// The component.
    pub component: Component,
    /// Its cases, never none.
    pub cases: Vec<Case>,
}

/// A component in its slot, with the settings that it comes with.
pub(super) struct Component {
    /// The slot.
    pub slot: Slot,
    /// Its bytes.
    pub wasm: Vec<u8>,
    /// A set in which it fills its slot.
    pub set: Arc<LoadedSet>,
}

impl Component {
    /// Looks at a component, compiles it, binds it. It is asked nothing yet but who it is.
    pub(super) fn load(
        settings: &Settings,
        slot: Option<Slot>,
        path: &Path,
    ) -> anyhow::Result<Self> {
        let wasm =
            std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let policies = wire::sandbox(settings)?.policies;
        let (slot, set) = policies
            .fill(slot, &wasm)
            .map_err(|error| anyhow!("{}: {error}", error.code()))
            .with_context(|| format!("`{}` would not be taken", path.display()))?;
        Ok(Self { slot, wasm, set })
    }
}

/// A question with the answer that is expected.
pub(super) struct Case {
    /// Name of its folder.
    pub name: String,
    /// The question, with its settings.
    pub input: String,
    /// The answer; none where nobody wrote one yet.
    pub expected: Option<String>,
    folder: PathBuf,
}

impl Case {
    /// Writes down what is expected.
    pub(super) fn expect(&self, answer: &str) -> anyhow::Result<()> {
        let path = self.folder.join(EXPECTED);
        std::fs::write(&path, format!("{answer}\n"))
            .with_context(|| format!("cannot write `{}`", path.display()))
    }
}

fn read_cases(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the cases in `{}`", folder.display()))?;
    let mut cases = Vec::new();
    for entry in entries {
        let folder = entry?.path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let input = std::fs::read_to_string(folder.join(INPUT))
            .with_context(|| format!("case `{name}` has no `{INPUT}`"))?;
        let expected = match std::fs::read_to_string(folder.join(EXPECTED)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("case `{name}`")),
        };
        cases.push(Case { name, input, expected, folder });
    }
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(cases)
}

/// Why there is no answer, with what the component logged until then.
pub(super) fn told(error: &CaseError) -> Vec<String> {
    let mut lines = vec![error.to_string()];
    if let CaseError::Failed(failed) = error {
        lines.extend(failed.log.iter().map(|line| format!("it logged: {}", line.message)));
    }
    lines
}
