//! One archive through three readers. Whatever ours accepts, the others must read alike.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};

use prism_intake::{ArchiveLimits, Rejection, read_archive, unpack_archive};

/// The longest text that one refusal says.
const DETAIL_BYTES_MAX: usize = 2_000;

/// Reads an archive as an upload is read, and compares what is accepted. Tells whether it was.
///
/// # Panics
/// Where another reader lists other names or bytes, or a limit does not hold.
pub fn check_archive(bytes: &[u8]) -> bool {
    let limits = ArchiveLimits::default();
    let entries = match read_archive(bytes, &limits) {
        Ok(entries) => entries,
        Err(rejection) => {
            check_rejection(&rejection);
            return false;
        }
    };
    let total: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
    assert!(total <= limits.total_bytes && entries.len() <= limits.entries);
    let folded: BTreeSet<String> =
        entries.iter().map(|entry| entry.path.as_str().to_uppercase()).collect();
    assert_eq!(folded.len(), entries.len(), "two names are one file somewhere");
    let ours: Vec<(String, Vec<u8>)> =
        entries.into_iter().map(|entry| (entry.path.as_str().to_owned(), entry.bytes)).collect();
    assert_eq!(Some(&ours), with_zip_crate(bytes).as_ref(), "the `zip` crate reads it differently");
    assert_eq!(Ok(ours), crate::python::archive(bytes), "CPython reads it differently");
    if let Err(rejection) = unpack_archive(bytes, &limits) {
        check_rejection(&rejection);
    }
    true
}

/// A refusal has a code, bounded text and a printable place.
///
/// # Panics
/// Where it has not.
pub fn check_rejection(rejection: &Rejection) {
    assert!(!rejection.code().is_empty() && rejection.reasons().count() <= Rejection::REASONS);
    for reason in rejection.reasons() {
        let path = reason.path.as_deref().unwrap_or_default();
        for text in [reason.detail.as_str(), path] {
            assert!(text.len() <= DETAIL_BYTES_MAX, "{} bytes are told", text.len());
            assert!(!text.contains(char::is_control), "control characters are told: {text:?}");
        }
    }
}

/// What the `zip` crate reads: every file with its bytes, in order, or `None` if it fails.
fn with_zip_crate(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).ok()?;
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).ok()?;
        if !entry.is_dir() {
            files.push((entry.name().ok()?.into_owned(), contents));
        }
    }
    Some(files)
}
