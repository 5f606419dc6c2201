//! `prism.yaml`: what a project is and where it begins. Every field is optional; what is left out
//! has the meaning it had in the predecessor, so that its manifests keep working.
//!
//! ```yaml
//! kind: full                    # full | architecture_only | training_for_arch
//! architecture_id: 7ec2c3a8-…   # the family to train, for training_for_arch
//! architecture: {entrypoint: src/model.py, files: [src/layers.py]}
//! training: {entrypoint: src/train.py, files: [src/losses.py]}
//! ```

mod document;
mod resolve;

use prism_domain::submission::ProjectKind;

use crate::limits::ArchiveLimits;
use crate::path::ProjectPath;
use crate::refusal::Refusal;

/// Names under which a manifest is recognised, in lower case.
const NAMES: [&str; 2] = ["prism.yaml", "prism.yml"];

/// One half of a project: the module that is loaded and the files that count as part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// The module that is loaded; a `.py` file of the project.
    pub entrypoint: ProjectPath,
    /// Further files of this half, without the entrypoint, sorted, without repetition.
    pub files: Vec<ProjectPath>,
}

/// Something in the manifest that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestWarning {
    /// The field, printable, for example `training.epochs`.
    pub field: String,
    /// Why it has none.
    pub message: String,
}

/// A checked manifest. Every path in it is a file of the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What the project contributes.
    pub kind: ProjectKind,
    /// The family to train: present if and only if the kind is [`ProjectKind::TrainingForArch`].
    pub architecture_id: Option<String>,
    /// Where `build_model` is. Absent only for training without an architecture of its own, which
    /// is then the family's.
    pub architecture: Option<Component>,
    /// Where the recipe and the hooks of training are. Absent only for
    /// [`ProjectKind::ArchitectureOnly`] without a training section.
    pub training: Option<Component>,
    /// The file that was read, or `None` where defaults were used.
    pub source: Option<ProjectPath>,
    /// Fields without effect, at most [`Manifest::WARNINGS`].
    pub warnings: Vec<ManifestWarning>,
}

impl Manifest {
    /// How many warnings one manifest reports at most.
    pub const WARNINGS: usize = 16;

    /// The module that is loaded first: the architecture's, or the training's where there is no
    /// architecture.
    pub fn entrypoint(&self) -> &str {
        let component = self.architecture.as_ref().or(self.training.as_ref());
        component.map_or("", |component| component.entrypoint.as_str())
    }

    /// The module with the recipe and the hooks, often [`Manifest::entrypoint`] itself; none when the
    /// project claims no training.
    pub fn training_entrypoint(&self) -> Option<&str> {
        self.training.as_ref().map(|training| training.entrypoint.as_str())
    }

    /// The family to train, for [`ProjectKind::TrainingForArch`].
    pub fn target_family(&self) -> Option<&str> {
        self.architecture_id.as_deref()
    }

    /// Reads the manifest of a project, or the defaults where it has none.
    ///
    /// `paths` are all files of the project, sorted; `manifest` is its manifest file, if any;
    /// `stripped` is the directory that was above all files before they were moved to the root.
    pub(crate) fn read(
        manifest: Option<(&ProjectPath, &[u8])>,
        paths: &[ProjectPath],
        stripped: &str,
        limits: &ArchiveLimits,
    ) -> Result<Self, Refusal> {
        let document = match manifest {
            None => document::Document::default(),
            Some((path, bytes)) => document::Document::parse(path, bytes, limits)?,
        };
        let resolver =
            resolve::Resolver { paths, stripped, source: manifest.map(|(path, _)| path) };
        resolver.manifest(document)
    }
}

/// Whether a file is a manifest by its name.
pub(crate) fn is_manifest(path: &ProjectPath) -> bool {
    NAMES.contains(&path.file_name().to_lowercase().as_str())
}
