//! A project on disk as an upload: a folder is zipped in memory, a file is sent as it is.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use zip::write::SimpleFileOptions;

/// The most files that a folder may hold before it is taken for a mistake.
const FILES_MAX: usize = 2_000;
/// Folders and files that editors and interpreters leave behind.
const LEFT_OUT: [&str; 3] = ["__pycache__", "target", "node_modules"];

/// What is sent.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Label of the upload.
    pub filename: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Bundle {
    /// Reads a folder, a `.zip` or a `.py`.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path
            .canonicalize()
            .with_context(|| format!("cannot find `{}`", path.display()))?
            .file_name()
            .map_or_else(|| "project".to_owned(), |name| name.to_string_lossy().into_owned());
        if path.is_dir() {
            let files = files_below(path)?;
            return Ok(Self { filename: format!("{}.zip", label(&name)), bytes: zipped(&files)? });
        }
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(Self { filename: label(&name), bytes })
    }

    /// Zips files that are at hand already.
    pub(crate) fn of_files(name: &str, files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<Self> {
        Ok(Self { filename: format!("{}.zip", label(name)), bytes: zipped(files)? })
    }
}

fn label(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect()
}

fn files_below(root: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || LEFT_OUT.contains(&name.as_str()) {
                continue;
            }
            let relative = folder.join(&name);
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(relative);
            } else if kind.is_file() {
                let path = relative.to_string_lossy().replace('\\', "/");
                files.insert(path, std::fs::read(entry.path())?);
            }
            if files.len() > FILES_MAX {
                bail!("`{}` holds more than {FILES_MAX} files", root.display());
            }
        }
    }
    Ok(files)
}

/// The same files give the same bytes: fixed times, sorted names.
fn zipped(files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .unix_permissions(0o644);
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes) in files {
        archive.start_file(path.as_str(), options)?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}
