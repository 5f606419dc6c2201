//! Every bound on an upload, each with a name and a default.

/// The largest body that the later Platform forwards over its upload bridge, in bytes.
pub const PLATFORM_BODY_BYTES: usize = 7_500_000;

/// Bounds on an archive and on the project inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Largest archive as received, in bytes.
    pub archive_bytes: usize,
    /// Most entries, directories included.
    pub entries: usize,
    /// Largest single file after inflating, in bytes.
    pub file_bytes: usize,
    /// Largest sum of all files after inflating, in bytes.
    pub total_bytes: usize,
    /// Most inflated bytes for one compressed byte of a file. Small files are exempt, see
    /// [`ArchiveLimits::RATIO_FLOOR_BYTES`].
    pub ratio: usize,
    /// Longest path, in bytes.
    pub name_bytes: usize,
    /// Most components of a path.
    pub depth: usize,
    /// Largest manifest, in bytes.
    pub manifest_bytes: usize,
}

impl ArchiveLimits {
    /// A file of at most this many bytes may compress as well as it likes: no bomb fits in it.
    pub const RATIO_FLOOR_BYTES: usize = 65_536;
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            archive_bytes: 2_000_000,
            entries: 512,
            file_bytes: 1 << 20,
            total_bytes: 8 << 20,
            ratio: 100,
            name_bytes: 240,
            depth: 16,
            manifest_bytes: 32 << 10,
        }
    }
}

/// Bounds on a submission before it is unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    /// Largest single module, in bytes of UTF-8.
    pub module_bytes: usize,
    /// Largest archive, in bytes before any base64.
    pub archive_bytes: usize,
    /// Largest metadata object, in bytes of its JSON.
    pub metadata_bytes: usize,
    /// Most JSON values in one body (each element, member and key counts as one).
    pub json_values: usize,
}

impl UploadLimits {
    /// Longest file name, in characters.
    pub const FILENAME_CHARS: usize = 128;

    /// The largest body that can hold an acceptable submission, in bytes: a whole archive as
    /// base64 in JSON, its metadata and the punctuation round them. A server may refuse a longer
    /// `Content-Length` unread.
    pub const fn body_bytes(&self) -> usize {
        const PUNCTUATION_BYTES: usize = 4_096;
        // A module may be escaped as `\u00xx`, six bytes for one.
        let module = self.module_bytes.saturating_mul(6);
        let archive = self.archive_base64_bytes();
        let code = if module > archive { module } else { archive };
        code.saturating_add(self.metadata_bytes.saturating_mul(2)).saturating_add(PUNCTUATION_BYTES)
    }

    /// Length of the base64 text of the largest archive, in bytes.
    pub const fn archive_base64_bytes(&self) -> usize {
        self.archive_bytes.div_ceil(3).saturating_mul(4)
    }
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            module_bytes: 200_000,
            archive_bytes: ArchiveLimits::default().archive_bytes,
            metadata_bytes: 16 << 10,
            json_values: 4_096,
        }
    }
}
