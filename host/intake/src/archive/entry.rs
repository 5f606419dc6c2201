//! One entry of the central directory, judged by itself: extra fields, flags, method, file type
//! and name.

use crate::archive::records::{Central, ESCAPE_32, read_extras, to_usize};
use crate::limits::ArchiveLimits;
use crate::path::ProjectPath;
use crate::refusal::{Refusal, Rule};

/// Bits that say how a name or a size is written, and how hard the compressor tried.
const ALLOWED_FLAGS: u16 = FLAG_DESCRIPTOR | FLAG_UTF8 | 0b110;
const FLAG_DESCRIPTOR: u16 = 1 << 3;
const FLAG_UTF8: u16 = 1 << 11;
/// Classic encryption, strong encryption, masked headers.
const FLAGS_ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;

const EXTRA_ZIP64: u16 = 0x0001;
const EXTRA_STRONG_ENCRYPTION: u16 = 0x0017;
const EXTRA_UNICODE_PATH: u16 = 0x7075;
const EXTRA_AES: u16 = 0x9901;
const METHOD_AES: u16 = 99;
/// Version 4.5 of the format: writers that are ready for ZIP64 ask for it even without need.
const NEWEST_VERSION: u8 = 45;

const TYPE_MASK: u32 = 0o170_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_REGULAR: u32 = 0o100_000;
const TYPE_SYMLINK: u32 = 0o120_000;
const DOS_VOLUME_LABEL: u32 = 0x08;
const DOS_DIRECTORY: u32 = 0x10;

/// How the bytes of an entry are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
}

/// A central record that is acceptable by itself.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) record: &'a Central<'a>,
    pub(super) path: ProjectPath,
    pub(super) is_directory: bool,
    pub(super) method: Method,
    pub(super) compressed_bytes: usize,
    pub(super) file_bytes: usize,
    pub(super) local_at: usize,
}

impl<'a> Entry<'a> {
    pub(super) fn check(record: &'a Central<'a>, limits: &ArchiveLimits) -> Result<Self, Refusal> {
        let shown = String::from_utf8_lossy(record.name);
        check_extras(&shown, record.extra)?;
        let escaped = [record.compressed_bytes, record.file_bytes, record.local_at];
        if escaped.contains(&ESCAPE_32) {
            return Err(Refusal::at(Rule::Zip64, &shown, "the entry needs ZIP64 sizes"));
        }
        let method = check_method(&shown, record)?;
        let name = decode_name(record.name, record.flags)?;
        let is_directory = name.ends_with('/');
        check_type(name, is_directory, record.external)?;
        let path = ProjectPath::parse(name.strip_suffix('/').unwrap_or(name), limits)?;
        let entry = Self {
            record,
            path,
            is_directory,
            method,
            compressed_bytes: to_usize(record.compressed_bytes)?,
            file_bytes: to_usize(record.file_bytes)?,
            local_at: to_usize(record.local_at)?,
        };
        entry.check_sizes()?;
        Ok(entry)
    }

    /// Whether sizes and checksum follow the data.
    pub(super) const fn has_descriptor(&self) -> bool {
        self.record.flags & FLAG_DESCRIPTOR != 0
    }

    fn check_sizes(&self) -> Result<(), Refusal> {
        let refuse =
            |detail: &str| Err(Refusal::at(Rule::SizeMismatch, self.path.as_str(), detail));
        if self.is_directory && self.file_bytes != 0 {
            return refuse("a directory has contents");
        }
        if self.method == Method::Stored && self.compressed_bytes != self.file_bytes {
            return refuse("a stored file has two different sizes");
        }
        Ok(())
    }
}

/// Refuses extra fields that change the name, the sizes or the method; others mean nothing here.
pub(super) fn check_extras(shown: &str, extra: &[u8]) -> Result<(), Refusal> {
    let Some(fields) = read_extras(extra) else {
        return Err(Refusal::at(Rule::Malformed, shown, "the extra fields are cut short"));
    };
    let mut kinds: Vec<u16> = fields.iter().map(|(kind, _)| *kind).collect();
    kinds.sort_unstable();
    if kinds.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(Refusal::at(Rule::HeaderMismatch, shown, "an extra field is given twice"));
    }
    for kind in kinds {
        match kind {
            EXTRA_ZIP64 => {
                return Err(Refusal::at(Rule::Zip64, shown, "the entry has ZIP64 sizes"));
            }
            EXTRA_AES | EXTRA_STRONG_ENCRYPTION => {
                return Err(Refusal::at(Rule::Encrypted, shown, "the entry is encrypted"));
            }
            EXTRA_UNICODE_PATH => {
                return Err(Refusal::at(Rule::BadName, shown, "the entry has a second name"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_method(shown: &str, record: &Central<'_>) -> Result<Method, Refusal> {
    let Central { flags, method, needed, .. } = *record;
    if flags & FLAGS_ENCRYPTED != 0 || method == METHOD_AES {
        return Err(Refusal::at(Rule::Encrypted, shown, "the entry is encrypted"));
    }
    if flags & !ALLOWED_FLAGS != 0 {
        let detail = format!("the entry uses unknown flags {flags:#06x}");
        return Err(Refusal::at(Rule::UnsupportedMethod, shown, detail));
    }
    if needed > NEWEST_VERSION {
        let detail = format!("the entry needs version {needed} of the format");
        return Err(Refusal::at(Rule::UnsupportedMethod, shown, detail));
    }
    match method {
        0 => Ok(Method::Stored),
        8 => Ok(Method::Deflated),
        other => {
            let detail = format!("compression method {other} is neither store nor deflate");
            Err(Refusal::at(Rule::UnsupportedMethod, shown, detail))
        }
    }
}

/// A name is ASCII, or UTF-8 that is marked as such: other readers guess a code page otherwise.
fn decode_name(name: &[u8], flags: u16) -> Result<&str, Refusal> {
    let refuse =
        |detail: &str| Err(Refusal::at(Rule::BadName, &String::from_utf8_lossy(name), detail));
    match std::str::from_utf8(name) {
        Err(_) => refuse("the name is not UTF-8"),
        Ok(text) if !text.is_ascii() && flags & FLAG_UTF8 == 0 => {
            refuse("the name is not ASCII and not marked as UTF-8")
        }
        Ok(text) => Ok(text),
    }
}

/// The file type in the Unix half of the attributes counts whoever claims to have written it.
fn check_type(name: &str, is_directory: bool, external: u32) -> Result<(), Refusal> {
    let special = |detail: &str| Err(Refusal::at(Rule::SpecialFile, name, detail));
    match (external >> 16) & TYPE_MASK {
        TYPE_SYMLINK => {
            return Err(Refusal::at(Rule::Symlink, name, "the entry is a symbolic link"));
        }
        TYPE_DIRECTORY if !is_directory => return special("a directory has the name of a file"),
        TYPE_REGULAR if is_directory => return special("a file has the name of a directory"),
        0 | TYPE_DIRECTORY | TYPE_REGULAR => {}
        _ => return special("the entry is neither a file nor a directory"),
    }
    if external & DOS_VOLUME_LABEL != 0 {
        return special("the entry is a volume label");
    }
    if external & DOS_DIRECTORY != 0 && !is_directory {
        return special("a directory has the name of a file");
    }
    Ok(())
}
