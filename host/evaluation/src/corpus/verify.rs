//! Holds a corpus against its lock. Sizes are compared each time; digests only where a file is not
//! the one, by its inode and times, that was read before.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::CorpusError;
use super::lock::{CorpusLock, LOCK_FILE, LockedFile};

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// What tells a file that was read from one that has been touched since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: (i64, i64),
    changed_ns: (i64, i64),
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
            bytes: about.len(),
            modified_ns: (about.mtime(), about.mtime_nsec()),
            // The time of the last change of the inode cannot be set back, unlike the one above.
            changed_ns: (about.ctime(), about.ctime_nsec()),
        }
    }
}

/// Reads the whole corpus in `folder` and compares it with its lock; tells after each piece how many
/// bytes of how many it has read.
pub fn verify(folder: &Path, told: &dyn Fn(u64, u64)) -> Result<CorpusLock, CorpusError> {
    let (lock, _) = CorpusLock::read(folder)?;
    let total: u64 = lock.files.iter().map(|file| file.bytes).sum();
    let mut done = 0;
    for file in &lock.files {
        stamp_of(folder, file)?;
        check_digest(folder, file, &mut |bytes| {
            done += bytes;
            told(done, total);
        })?;
    }
    Ok(lock)
}

/// What `verify_again` knew after it had read everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verified {
    lock_sha256: [u8; 32],
    stamps: Vec<Stamp>,
}

/// As [`verify`], but reads no file that is still the one in `known`. Also tells how many it read.
pub(super) fn verify_again(
    folder: &Path,
    known: Option<&Verified>,
) -> Result<(CorpusLock, Verified, usize), CorpusError> {
    let (lock, raw) = CorpusLock::read(folder)?;
    let lock_sha256 = Sha256::digest(&raw).into();
    let known = known.filter(|known| known.lock_sha256 == lock_sha256);
    let (mut stamps, mut read) = (Vec::new(), 0);
    for (at, file) in lock.files.iter().enumerate() {
        let stamp = stamp_of(folder, file)?;
        if known.and_then(|known| known.stamps.get(at)) != Some(&stamp) {
            check_digest(folder, file, &mut |_| {})?;
            read += 1;
        }
        stamps.push(stamp);
    }
    Ok((lock, Verified { lock_sha256, stamps }, read))
}

fn stamp_of(folder: &Path, file: &LockedFile) -> Result<Stamp, CorpusError> {
    let about =
        std::fs::metadata(folder.join(&file.name)).map_err(CorpusError::io("find", &file.name))?;
    if !about.is_file() {
        return Err(CorpusError::changed(&file.name, "is not a file"));
    }
    if about.len() != file.bytes {
        let message = format!("has {} bytes, {LOCK_FILE} says {}", about.len(), file.bytes);
        return Err(CorpusError::changed(&file.name, message));
    }
    Ok(Stamp::of(&about))
}

fn check_digest(
    folder: &Path,
    file: &LockedFile,
    told: &mut dyn FnMut(u64),
) -> Result<(), CorpusError> {
    let found = sha256_of_file(&folder.join(&file.name), &file.name, told)?;
    if found == file.sha256 {
        return Ok(());
    }
    let message = format!("has the SHA-256 {found}, {LOCK_FILE} says {}", file.sha256);
    Err(CorpusError::changed(&file.name, message))
}

/// SHA-256 of a file, read in pieces.
pub(super) fn sha256_of_file(
    path: &Path,
    name: &str,
    told: &mut dyn FnMut(u64),
) -> Result<String, CorpusError> {
    let mut file = File::open(path).map_err(CorpusError::io("read", name))?;
    let mut buffer = vec![0; READ_BYTES];
    let mut digest = Sha256::new();
    loop {
        let count = file.read(&mut buffer).map_err(CorpusError::io("read", name))?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
            return Ok(hex::encode(digest.finalize()));
        };
        digest.update(piece);
        told(count as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::corpus::{CorpusId, Preparation, prepare};

    #[test]
    fn a_file_is_read_once_and_again_when_it_was_touched() {
        let parent = tempfile::tempdir().expect("a folder");
        let input = parent.path().join("a.txt");
        fs::write(&input, include_str!("../../corpus/smoke/val.txt")).expect("written");
        let folder = parent.path().join("made");
        let wanted = Preparation {
            from: vec![input],
            out: folder.clone(),
            id: CorpusId::parse("a/1").expect("a name"),
            vocab_size: 300,
            val_fraction: 0.1,
            max_bytes: None,
        };
        prepare(&wanted, &|_, _, _| {}).expect("prepared");
        let (_, known, read) = verify_again(&folder, None).expect("well");
        assert_eq!(read, 4);
        let (_, known, read) = verify_again(&folder, Some(&known)).expect("well");
        assert_eq!(read, 0);
        let lock = fs::read(folder.join(LOCK_FILE)).expect("read");
        let spaced = [lock.as_slice(), b"\n"].concat();
        fs::remove_file(folder.join(LOCK_FILE)).expect("removed");
        fs::write(folder.join(LOCK_FILE), spaced).expect("written");
        let (_, known, read) = verify_again(&folder, Some(&known)).expect("well");
        assert_eq!(read, 4, "another lock");
        let train = folder.join("train.bin");
        fs::rename(&train, parent.path().join("kept")).expect("moved");
        fs::copy(parent.path().join("kept"), &train).expect("copied");
        assert_eq!(verify_again(&folder, Some(&known)).expect("well").2, 1, "another file");
    }
}
