//! A second opinion: the `zip` crate must list what we list. Our checks are meant to make any
//! disagreement impossible, so one is refused rather than explained.

use std::io::Cursor;

use zip::ZipArchive;

use crate::archive::entry::Entry;
use crate::refusal::{Refusal, Rule};

/// Compares names, sizes, checksums and positions with those of an independent reader.
pub(super) fn check_listing(bytes: &[u8], entries: &[Entry<'_>]) -> Result<(), Refusal> {
    let disagree = |path: &str| {
        Refusal::at(Rule::HeaderMismatch, path, "another ZIP reader reads the archive differently")
    };
    let Ok(archive) = ZipArchive::new(Cursor::new(bytes)) else {
        return Err(disagree("archive"));
    };
    if archive.len() != entries.len() || archive.offset() != 0 {
        return Err(disagree("archive"));
    }
    for (index, entry) in entries.iter().enumerate() {
        let same = archive.by_index_data(index).is_ok_and(|other| {
            other.name_raw() == entry.record.name
                && other.name().is_ok_and(|name| name.as_bytes() == entry.record.name)
                && other.size() == u64::from(entry.record.file_bytes)
                && other.compressed_size() == u64::from(entry.record.compressed_bytes)
                && other.crc32() == entry.record.crc
                && other.header_start() == u64::from(entry.record.local_at)
                && !other.encrypted()
                && !other.is_symlink()
                && other.is_dir() == entry.is_directory
        });
        if !same {
            return Err(disagree(entry.path.as_str()));
        }
    }
    Ok(())
}
