//! Writes a file of a corpus and knows its size and digest at the end.

use std::fs::{OpenOptions, Permissions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::CorpusError;
use super::lock::LockedFile;

/// Everybody may read the file itself: who gets to it is decided by the folder it lies in, here and
/// inside a sandbox, where users are others.
const FILE_MODE: u32 = 0o444;

/// A new file, hashed while it is written.
pub(super) struct LockedWriter {
    name: &'static str,
    file: BufWriter<std::fs::File>,
    digest: Sha256,
    bytes: u64,
}

impl LockedWriter {
    pub(super) fn create(folder: &Path, name: &'static str) -> Result<Self, CorpusError> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.join(name))
            .map_err(CorpusError::io("create", name))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        Ok(Self { name, file, digest: Sha256::new(), bytes: 0 })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CorpusError> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(CorpusError::io("write", self.name))
    }

    /// Token ids, little-endian.
    pub(super) fn write_ids(&mut self, ids: &[u16]) -> Result<(), CorpusError> {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        self.write(&bytes)
    }

    /// On the disk for good, and no longer writable.
    pub(super) fn finish(self) -> Result<LockedFile, CorpusError> {
        let name = self.name;
        let file = self
            .file
            .into_inner()
            .map_err(|error| CorpusError::io("write", name)(error.into_error()))?;
        file.set_permissions(Permissions::from_mode(FILE_MODE))
            .and_then(|()| file.sync_all())
            .map_err(CorpusError::io("write", name))?;
        Ok(LockedFile {
            name: name.to_owned(),
            bytes: self.bytes,
            sha256: hex::encode(self.digest.finalize()),
        })
    }
}
