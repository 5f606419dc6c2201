//! The contents of entries: declared sizes within the limits first, then inflated under those very
//! sizes, so that a lying header costs no more than an honest one.

use std::io::Read;

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use crate::archive::entry::{Entry, Method};
use crate::archive::layout::data_of;
use crate::archive::{ArchiveEntry, check_text};
use crate::limits::ArchiveLimits;
use crate::refusal::{Refusal, Rejection, Rule};

/// Refuses archives whose declared sizes exceed the limits.
pub(super) fn check_declared(entries: &[Entry<'_>], limits: &ArchiveLimits) -> Result<(), Refusal> {
    let mut total_bytes: usize = 0;
    for entry in entries {
        let path = entry.path.as_str();
        let allowed = entry.compressed_bytes.saturating_mul(limits.ratio);
        if entry.file_bytes > ArchiveLimits::RATIO_FLOOR_BYTES && entry.file_bytes > allowed {
            let detail = format!(
                "{} bytes inflate to {}, more than {} times as many",
                entry.compressed_bytes, entry.file_bytes, limits.ratio
            );
            return Err(Refusal::at(Rule::Ratio, path, detail));
        }
        if entry.file_bytes > limits.file_bytes {
            let detail = format!(
                "the file has {} bytes, the limit is {}",
                entry.file_bytes, limits.file_bytes
            );
            return Err(Refusal::at(Rule::FileTooLarge, path, detail));
        }
        total_bytes = total_bytes.saturating_add(entry.file_bytes);
    }
    if total_bytes > limits.total_bytes {
        let detail =
            format!("the files have {total_bytes} bytes, the limit is {}", limits.total_bytes);
        return Err(Refusal::new(Rule::TotalTooLarge, detail));
    }
    Ok(())
}

/// Inflates every file. Damage is reported alone, files that are no text all together.
pub(super) fn inflate_all(
    bytes: &[u8],
    entries: &[Entry<'_>],
) -> Result<Vec<ArchiveEntry>, Rejection> {
    let mut files = Vec::with_capacity(entries.len());
    let mut refusals = Vec::new();
    for entry in entries {
        let contents = inflate(bytes, entry)?;
        if entry.is_directory {
            continue;
        }
        refusals.extend(check_text(&entry.path, &contents).err());
        files.push(ArchiveEntry { path: entry.path.clone(), bytes: contents });
    }
    Rejection::unless_empty(refusals)?;
    Ok(files)
}

fn inflate(bytes: &[u8], entry: &Entry<'_>) -> Result<Vec<u8>, Refusal> {
    let path = entry.path.as_str();
    let refuse = |rule: Rule, detail: &str| Err(Refusal::at(rule, path, detail));
    let Some(data) = data_of(bytes, entry) else {
        return refuse(Rule::Malformed, "the entry has no data");
    };
    let contents = match entry.method {
        Method::Stored => data.to_vec(),
        Method::Deflated => {
            let mut decoder = DeflateDecoder::new(data);
            let mut contents = Vec::with_capacity(entry.file_bytes);
            // One byte beyond the declared size is enough to see that it was a lie.
            let cap = u64::try_from(entry.file_bytes).unwrap_or(u64::MAX).saturating_add(1);
            if decoder.by_ref().take(cap).read_to_end(&mut contents).is_err() {
                return refuse(Rule::Malformed, "the compressed data is damaged");
            }
            if contents.len() != entry.file_bytes {
                return refuse(Rule::SizeMismatch, "the file is not as long as declared");
            }
            if decoder.total_in() != u64::from(entry.record.compressed_bytes) {
                return refuse(Rule::UnlistedData, "bytes follow the compressed data");
            }
            contents
        }
    };
    let mut crc = Crc::new();
    crc.update(&contents);
    if crc.sum() != entry.record.crc {
        return refuse(Rule::Crc, "the checksum is wrong");
    }
    Ok(contents)
}
