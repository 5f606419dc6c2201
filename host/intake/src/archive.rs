//! A hardened reader of ZIP archives, over bytes in memory.
//!
//! The whole structure is checked before anything is inflated: the end record, the central
//! directory and the local headers must agree and together cover every byte exactly once. Whatever
//! passes reads the same in every other ZIP reader. Nothing is ever extracted to a path.

mod records;
mod entry;
mod names;
mod layout;
mod contents;
mod witness;

use crate::limits::ArchiveLimits;
use crate::path::ProjectPath;
use crate::refusal::{Refusal, Rejection, Rule};

/// One file of an archive, checked and inflated. Its bytes are UTF-8 text without NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Path as listed in the archive.
    pub path: ProjectPath,
    /// Inflated bytes.
    pub bytes: Vec<u8>,
}

/// Reads all files of an archive, in the order of the central directory, directories left out.
///
/// # Errors
/// A structural fault is reported alone; names, types and texts that may not be in a project are
/// reported together.
pub fn read_archive(bytes: &[u8], limits: &ArchiveLimits) -> Result<Vec<ArchiveEntry>, Rejection> {
    if bytes.len() > limits.archive_bytes {
        let detail =
            format!("the archive has {} bytes, the limit is {}", bytes.len(), limits.archive_bytes);
        return Err(Refusal::new(Rule::ArchiveTooLarge, detail).into());
    }
    let end = records::find_end(bytes)?;
    if end.entries > limits.entries {
        let detail =
            format!("the archive has {} entries, the limit is {}", end.entries, limits.entries);
        return Err(Refusal::new(Rule::TooManyEntries, detail).into());
    }
    let directory = records::read_directory(bytes, &end)?;
    let entries = directory
        .iter()
        .map(|record| entry::Entry::check(record, limits))
        .collect::<Result<Vec<_>, _>>()?;
    names::check_distinct(&entries)?;
    names::check_types(&entries)?;
    layout::check_layout(bytes, &end, &entries)?;
    contents::check_declared(&entries, limits)?;
    witness::check_listing(bytes, &entries)?;
    let files = contents::inflate_all(bytes, &entries)?;
    if files.is_empty() {
        return Err(Refusal::new(Rule::Empty, "the archive holds directories only").into());
    }
    Ok(files)
}

/// Tells whether bytes are text that a project may hold.
pub(crate) fn check_text(path: &ProjectPath, bytes: &[u8]) -> Result<(), Refusal> {
    let refuse = |detail: String| Err(Refusal::at(Rule::NotText, path.as_str(), detail));
    match std::str::from_utf8(bytes) {
        Err(fault) => refuse(format!("byte {} is not UTF-8", fault.valid_up_to())),
        Ok(text) => match text.find('\0') {
            Some(at) => refuse(format!("byte {at} is NUL")),
            None => Ok(()),
        },
    }
}

pub(crate) use names::check_type;
