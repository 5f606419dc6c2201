//! The files that a corpus is made from: found, put in order, and told apart by their ending.

use std::path::{Path, PathBuf};

use super::CorpusError;

/// The most input files.
const SHARDS_MAX: usize = 100_000;
/// How deep folders may be nested.
const DEPTH_MAX: usize = 16;

/// How documents lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows of the column `text`.
    Parquet,
    /// One JSON object a line, with the member `text`.
    JsonLines,
    /// Plain text; blank lines separate documents.
    Text,
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "parquet" => Some(Self::Parquet),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "txt" => Some(Self::Text),
            _ => None,
        }
    }

    /// As the lock has it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::JsonLines => "jsonl",
            Self::Text => "text",
        }
    }
}

/// One input file.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    /// Its name without its folder, for messages and for the lock.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) bytes: u64,
}

/// The shards that `from` names, in that order; those of a folder, by path. A named file must be of
/// a known kind; of a folder, others are passed over.
pub(super) fn find(from: &[PathBuf]) -> Result<Vec<Shard>, CorpusError> {
    let mut shards = Vec::new();
    for path in from {
        if path.is_dir() {
            let before = shards.len();
            collect(path, 0, &mut shards)?;
            if shards.len() == before {
                return Err(CorpusError::input(
                    &name_of(path),
                    "holds no `.parquet`, `.jsonl`, `.ndjson` or `.txt`",
                ));
            }
            continue;
        }
        let Some(kind) = Kind::of(path) else {
            return Err(CorpusError::input(
                &name_of(path),
                "is not a folder and ends with none of `.parquet`, `.jsonl`, `.ndjson`, `.txt`",
            ));
        };
        shards.push(shard(path, kind)?);
    }
    if shards.len() > SHARDS_MAX {
        return Err(CorpusError::Request(format!("more than {SHARDS_MAX} input files")));
    }
    Ok(shards)
}

fn collect(folder: &Path, depth: usize, shards: &mut Vec<Shard>) -> Result<(), CorpusError> {
    if depth > DEPTH_MAX {
        return Err(CorpusError::input(&name_of(folder), "is nested too deep"));
    }
    let listed = |source| CorpusError::io("list", &name_of(folder))(source);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(listed)? {
        paths.push(entry.map_err(listed)?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, depth + 1, shards)?;
        } else if let Some(kind) = Kind::of(&path) {
            shards.push(shard(&path, kind)?);
        }
    }
    Ok(())
}

fn shard(path: &Path, kind: Kind) -> Result<Shard, CorpusError> {
    let name = name_of(path);
    let about = std::fs::metadata(path).map_err(CorpusError::io("find", &name))?;
    Ok(Shard { path: path.to_owned(), name, kind, bytes: about.len() })
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
