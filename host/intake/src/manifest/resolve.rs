//! From the words of a manifest to files of the project. Knows the predecessor's defaults.

use std::collections::BTreeSet;

use prism_domain::submission::ProjectKind;

use crate::manifest::document::{Document, Section};
use crate::manifest::{Component, Manifest};
use crate::path::ProjectPath;
use crate::refusal::{Refusal, Rule, printable};

/// Entrypoints that are looked for where none is declared, in this order.
const DEFAULT_ENTRYPOINTS: [&str; 2] = ["model.py", "src/model.py"];

pub(super) struct Resolver<'a> {
    /// All files of the project, sorted.
    pub(super) paths: &'a [ProjectPath],
    /// The directory that was above all files in the archive, or empty.
    pub(super) stripped: &'a str,
    /// The manifest file, if any.
    pub(super) source: Option<&'a ProjectPath>,
}

impl Resolver<'_> {
    pub(super) fn manifest(&self, document: Document) -> Result<Manifest, Refusal> {
        let (architecture, training) = self.components(&document)?;
        Ok(Manifest {
            kind: document.kind,
            architecture_id: document.architecture_id,
            architecture,
            training,
            source: self.source.cloned(),
            warnings: document.warnings,
        })
    }

    fn components(
        &self,
        document: &Document,
    ) -> Result<(Option<Component>, Option<Component>), Refusal> {
        let declared_architecture = self.declared(&document.architecture)?;
        let declared_training = self.declared(&document.training)?;
        let architecture_file = match (declared_architecture, document.kind) {
            (Some(path), _) => Some(path),
            // Training alone need not bring an architecture: the family has one.
            (None, ProjectKind::TrainingForArch) if declared_training.is_some() => {
                self.default_entrypoint().filter(|path| Some(path) != declared_training.as_ref())
            }
            (None, _) => Some(self.default_entrypoint().ok_or_else(|| self.no_entrypoint())?),
        };
        let architecture = architecture_file
            .clone()
            .map(|path| self.component(path, &document.architecture))
            .transpose()?;
        let training_file = match document.kind {
            ProjectKind::ArchitectureOnly => declared_training,
            ProjectKind::Full | ProjectKind::TrainingForArch => {
                declared_training.or(architecture_file)
            }
        };
        let training =
            training_file.map(|path| self.component(path, &document.training)).transpose()?;
        Ok((architecture, training))
    }

    fn component(&self, entrypoint: ProjectPath, section: &Section) -> Result<Component, Refusal> {
        let mut files = BTreeSet::new();
        for written in &section.files {
            files.insert(self.find(written)?.clone());
        }
        files.remove(&entrypoint);
        Ok(Component { entrypoint, files: files.into_iter().collect() })
    }

    fn declared(&self, section: &Section) -> Result<Option<ProjectPath>, Refusal> {
        let Some(written) = &section.entrypoint else { return Ok(None) };
        let path = self.find(written)?;
        if !path.is_python() {
            return Err(self.invalid(format!("the entrypoint `{path}` is not a `.py` file")));
        }
        Ok(Some(path.clone()))
    }

    /// The file that a manifest means: its path from the root of the project or of the archive, or,
    /// as in the predecessor, the one file whose path ends with it.
    fn find(&self, written: &str) -> Result<&ProjectPath, Refusal> {
        let plain = written.strip_prefix("./").unwrap_or(written);
        let unsafe_part = |part: &str| matches!(part, "" | "." | "..");
        if plain.contains(['\\', ':']) || plain.split('/').any(unsafe_part) {
            let shown = printable(written);
            return Err(self.invalid(format!("`{shown}` does not stay inside the project")));
        }
        let below = plain.strip_prefix(self.stripped).and_then(|rest| rest.strip_prefix('/'));
        let exact = [Some(plain), below].into_iter().flatten();
        for candidate in exact {
            if let Some(path) = self.paths.iter().find(|path| path.as_str() == candidate) {
                return Ok(path);
            }
        }
        let ends_with = |path: &&ProjectPath| {
            path.as_str().strip_suffix(plain).is_some_and(|above| above.ends_with('/'))
        };
        let mut matching = self.paths.iter().filter(ends_with);
        match (matching.next(), matching.next()) {
            (Some(path), None) => Ok(path),
            (Some(_), Some(_)) => {
                Err(self.invalid(format!("`{}` names several files", printable(written))))
            }
            (None, _) => {
                Err(self.invalid(format!("`{}` is not in the project", printable(written))))
            }
        }
    }

    /// `model.py`, or the only Python file, or the only file called `model.py`.
    fn default_entrypoint(&self) -> Option<ProjectPath> {
        let known = DEFAULT_ENTRYPOINTS
            .iter()
            .find_map(|name| self.paths.iter().find(|path| path.as_str() == *name));
        let python = || only(self.paths.iter().filter(|path| path.is_python()));
        let named = || only(self.paths.iter().filter(|path| path.file_name() == "model.py"));
        known.or_else(python).or_else(named).cloned()
    }

    fn no_entrypoint(&self) -> Refusal {
        let detail =
            "no entrypoint is declared, and there is neither `model.py` nor a single `.py` file";
        self.invalid(detail.to_owned())
    }

    fn invalid(&self, detail: String) -> Refusal {
        match self.source {
            Some(path) => Refusal::at(Rule::ManifestInvalid, path.as_str(), detail),
            None => Refusal::new(Rule::ManifestInvalid, detail),
        }
    }
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}
