//! A project: its files as checked texts, moved to a common root, and its manifest.

use std::collections::BTreeSet;

use crate::archive::{ArchiveEntry, check_text, check_type, read_archive};
use crate::limits::ArchiveLimits;
use crate::manifest::{Manifest, is_manifest};
use crate::path::ProjectPath;
use crate::refusal::{Refusal, Rejection, Rule};
use crate::reserved::{ambiguous, shadowing};
use crate::upload::SourceFormat;

/// One file of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFile {
    /// Path from the root of the project.
    pub path: ProjectPath,
    /// Contents: UTF-8 text without NUL.
    pub bytes: Vec<u8>,
}

impl ProjectFile {
    /// The contents as text.
    pub fn text(&self) -> &str {
        // Checked when the project was assembled; an empty text is the harmless answer.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }
}

/// A checked project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// All files, sorted by path, without repetition; at least one.
    pub files: Vec<ProjectFile>,
    /// What the project is and where it begins.
    pub manifest: Manifest,
    /// The directory that was above all files in the archive, empty if there was none.
    pub stripped: String,
}

impl Project {
    /// The file at a path.
    pub fn file(&self, path: &ProjectPath) -> Option<&ProjectFile> {
        let found = self.files.binary_search_by(|file| file.path.cmp(path)).ok()?;
        self.files.get(found)
    }

    /// All Python modules, sorted by path.
    pub fn modules(&self) -> impl Iterator<Item = &ProjectFile> {
        self.files.iter().filter(|file| file.path.is_python())
    }
}

/// Unpacks a submission. The suffix of its file name says whether it is an archive or a module; a
/// module keeps the name.
pub fn unpack(filename: &str, bytes: &[u8], limits: &ArchiveLimits) -> Result<Project, Rejection> {
    match SourceFormat::of(filename) {
        SourceFormat::Archive => unpack_archive(bytes, limits),
        SourceFormat::Module => unpack_module(filename, bytes, limits),
    }
}

/// Unpacks a ZIP archive.
pub fn unpack_archive(bytes: &[u8], limits: &ArchiveLimits) -> Result<Project, Rejection> {
    let entries = read_archive(bytes, limits)?;
    let files = entries
        .into_iter()
        .map(|ArchiveEntry { path, bytes }| ProjectFile { path, bytes })
        .collect();
    with_manifest(files, limits)
}

/// Makes a project of a single module.
pub fn unpack_module(
    filename: &str,
    content: &[u8],
    limits: &ArchiveLimits,
) -> Result<Project, Rejection> {
    assemble([(filename.to_owned(), content.to_vec())], limits)
}

/// Makes a project of loose files, as they would be packed, under the rules for archives.
pub fn assemble(
    files: impl IntoIterator<Item = (String, Vec<u8>)>,
    limits: &ArchiveLimits,
) -> Result<Project, Rejection> {
    let mut refusals = Vec::new();
    let mut checked = Vec::new();
    let mut folded = BTreeSet::new();
    let mut total_bytes: usize = 0;
    for (name, bytes) in files {
        total_bytes = total_bytes.saturating_add(bytes.len());
        match check_loose(&name, &bytes, limits) {
            Err(refusal) => refusals.push(refusal),
            Ok(path) if !folded.insert(path.folded()) => {
                let detail = "another file has this name, or one that differs in case only";
                refusals.push(Refusal::at(Rule::DuplicateName, path.as_str(), detail));
            }
            Ok(path) => checked.push(ProjectFile { path, bytes }),
        }
    }
    if checked.len() > limits.entries {
        let detail = format!("there are {} files, the limit is {}", checked.len(), limits.entries);
        refusals.push(Refusal::new(Rule::TooManyEntries, detail));
    }
    if total_bytes > limits.total_bytes {
        let detail =
            format!("the files have {total_bytes} bytes, the limit is {}", limits.total_bytes);
        refusals.push(Refusal::new(Rule::TotalTooLarge, detail));
    }
    Rejection::unless_empty(refusals)?;
    with_manifest(checked, limits)
}

fn check_loose(name: &str, bytes: &[u8], limits: &ArchiveLimits) -> Result<ProjectPath, Refusal> {
    let path = ProjectPath::parse(name, limits)?;
    path.check_composed()?;
    check_type(&path)?;
    if bytes.len() > limits.file_bytes {
        let detail =
            format!("the file has {} bytes, the limit is {}", bytes.len(), limits.file_bytes);
        return Err(Refusal::at(Rule::FileTooLarge, path.as_str(), detail));
    }
    check_text(&path, bytes)?;
    Ok(path)
}

fn with_manifest(
    mut files: Vec<ProjectFile>,
    limits: &ArchiveLimits,
) -> Result<Project, Rejection> {
    let stripped = root_of(&files)?;
    for file in &mut files {
        if let Some(below) = file.path.below(&stripped) {
            file.path = below;
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    if !files.iter().any(|file| file.path.is_python()) {
        return Err(Refusal::new(Rule::Empty, "the project holds no `.py` file").into());
    }
    let paths: Vec<ProjectPath> = files.iter().map(|file| file.path.clone()).collect();
    let manifest_file = files.iter().find(|file| is_manifest(&file.path));
    let manifest = Manifest::read(
        manifest_file.map(|file| (&file.path, file.bytes.as_slice())),
        &paths,
        &stripped,
        limits,
    )?;
    check_modules(&paths, &manifest)?;
    Ok(Project { files, manifest, stripped })
}

/// The directory that holds the whole project: the manifest's, or else one that everything is in
/// and that is no package itself.
fn root_of(files: &[ProjectFile]) -> Result<String, Refusal> {
    let manifests: Vec<&ProjectPath> =
        files.iter().map(|file| &file.path).filter(|path| is_manifest(path)).collect();
    match manifests.as_slice() {
        [] => Ok(common_directory(files).unwrap_or_default().to_owned()),
        [only] => {
            let root = only.parent();
            match files.iter().find(|file| file.path.below(root).is_none()) {
                None => Ok(root.to_owned()),
                Some(outside) => Err(Refusal::at(
                    Rule::ManifestInvalid,
                    only.as_str(),
                    format!(
                        "the manifest is not at the project root: `{}` lies outside",
                        outside.path
                    ),
                )),
            }
        }
        [first, second, ..] => Err(Refusal::at(
            Rule::ManifestAmbiguous,
            second.as_str(),
            format!("the project already has the manifest `{first}`"),
        )),
    }
}

fn common_directory(files: &[ProjectFile]) -> Option<&str> {
    let (top, _) = files.first()?.path.as_str().split_once('/')?;
    let package = format!("{top}/__init__.py");
    let shared =
        files.iter().all(|file| file.path.below(top).is_some() && file.path.as_str() != package);
    shared.then_some(top)
}

/// Refuses modules that would be imported in place of the evaluator's own, or of each other. Modules are found from
/// the project's root and from the directories of its entrypoints.
fn check_modules(paths: &[ProjectPath], manifest: &Manifest) -> Result<(), Rejection> {
    let components = [&manifest.architecture, &manifest.training].into_iter().flatten();
    let mut roots: BTreeSet<&str> =
        components.map(|component| component.entrypoint.parent()).collect();
    roots.insert("");
    let refusals = shadowing(paths, &roots).into_iter().chain(ambiguous(paths, &roots));
    Rejection::unless_empty(refusals.collect())
}
