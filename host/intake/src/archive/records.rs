//! The raw records of a ZIP archive: end of central directory, central entries, local headers.
//! Knows offsets and signatures, judges only whether they fit the bytes.

use crate::refusal::{Refusal, Rule};

const LOCAL: &[u8; 4] = b"PK\x03\x04";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const END: &[u8; 4] = b"PK\x05\x06";
const ZIP64_LOCATOR: &[u8; 4] = b"PK\x06\x07";
const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";

const END_BYTES: usize = 22;
const ZIP64_LOCATOR_BYTES: usize = 20;
/// Stands for "see the ZIP64 record" in a 16-bit field.
const ESCAPE_16: u16 = u16::MAX;
/// Stands for "see the ZIP64 record" in a 32-bit field.
pub(super) const ESCAPE_32: u32 = u32::MAX;

/// The end record, with offsets checked against the archive.
#[derive(Debug)]
pub(super) struct End {
    /// Entries in the central directory.
    pub(super) entries: usize,
    /// Where the central directory begins.
    pub(super) directory_at: usize,
    /// Where it ends and the end record begins.
    pub(super) record_at: usize,
}

/// One record of the central directory, as written.
#[derive(Debug)]
pub(super) struct Central<'a> {
    /// Version of the format needed to read the entry, times ten.
    pub(super) needed: u8,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) time: u16,
    pub(super) date: u16,
    pub(super) crc: u32,
    pub(super) compressed_bytes: u32,
    pub(super) file_bytes: u32,
    pub(super) name: &'a [u8],
    pub(super) extra: &'a [u8],
    pub(super) external: u32,
    pub(super) local_at: u32,
}

/// One local header, as written, and where the data behind it begins.
#[derive(Debug)]
pub(super) struct Local<'a> {
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) time: u16,
    pub(super) date: u16,
    pub(super) crc: u32,
    pub(super) compressed_bytes: u32,
    pub(super) file_bytes: u32,
    pub(super) name: &'a [u8],
    pub(super) extra: &'a [u8],
    pub(super) data_at: usize,
}

fn malformed(detail: &str) -> Refusal {
    Refusal::new(Rule::Malformed, detail)
}

/// Finds the one end record and checks the offsets in it.
pub(super) fn find_end(bytes: &[u8]) -> Result<End, Refusal> {
    let end_at = locate_end(bytes)?;
    let mut cursor = Cursor { bytes, at: end_at + END.len() };
    let truncated = || malformed("the end record is cut short");
    let disk = cursor.u16().ok_or_else(truncated)?;
    let directory_disk = cursor.u16().ok_or_else(truncated)?;
    let entries_here = cursor.u16().ok_or_else(truncated)?;
    let entries = cursor.u16().ok_or_else(truncated)?;
    let directory_bytes = cursor.u32().ok_or_else(truncated)?;
    let directory_at = cursor.u32().ok_or_else(truncated)?;

    let escaped = entries == ESCAPE_16
        || entries_here == ESCAPE_16
        || directory_bytes == ESCAPE_32
        || directory_at == ESCAPE_32;
    let locator = end_at.checked_sub(ZIP64_LOCATOR_BYTES).and_then(|at| bytes.get(at..));
    if escaped || locator.is_some_and(|found| found.starts_with(ZIP64_LOCATOR)) {
        return Err(Refusal::new(Rule::Zip64, "the archive has a ZIP64 end record"));
    }
    if disk != 0 || directory_disk != 0 || entries_here != entries {
        return Err(malformed("the archive spans several disks"));
    }
    if entries == 0 && end_at == 0 {
        return Err(Refusal::new(Rule::Empty, "the archive has no entries"));
    }
    let directory_at = to_usize(directory_at)?;
    let directory_end = directory_at.checked_add(to_usize(directory_bytes)?);
    if directory_end != Some(end_at) {
        return Err(misplaced_directory(bytes, directory_end, end_at));
    }
    if !bytes.starts_with(LOCAL) {
        return Err(Refusal::new(Rule::LeadingData, "the archive does not begin with an entry"));
    }
    Ok(End { entries: usize::from(entries), directory_at, record_at: end_at })
}

/// The position of the end record: the only one whose comment reaches exactly to the last byte.
fn locate_end(bytes: &[u8]) -> Result<usize, Refusal> {
    let from = bytes.len().saturating_sub(END_BYTES + usize::from(u16::MAX));
    let tail = bytes.get(from..).unwrap_or_default();
    let mut exact = None;
    let mut followed = false;
    for (offset, window) in tail.windows(END.len()).enumerate() {
        if window != END {
            continue;
        }
        let mut cursor = Cursor { bytes: tail, at: offset + END_BYTES - 2 };
        let Some(comment_bytes) = cursor.u16() else { continue };
        match (cursor.at + usize::from(comment_bytes)).cmp(&tail.len()) {
            std::cmp::Ordering::Less => followed = true,
            std::cmp::Ordering::Greater => {}
            std::cmp::Ordering::Equal if exact.is_some() => {
                return Err(Refusal::new(Rule::TrailingData, "the archive has two end records"));
            }
            std::cmp::Ordering::Equal => exact = Some(offset),
        }
    }
    let Some(offset) = exact else {
        return Err(if followed {
            Refusal::new(Rule::TrailingData, "bytes follow the end record")
        } else {
            malformed("there is no end record: this is not a complete ZIP archive")
        });
    };
    // Other readers search for the last signature, so a comment must not hold any.
    let comment = tail.get(offset + END_BYTES..).unwrap_or_default();
    if comment.windows(2).any(|pair| pair == b"PK") {
        return Err(Refusal::new(Rule::TrailingData, "the archive comment holds ZIP records"));
    }
    Ok(from + offset)
}

fn misplaced_directory(bytes: &[u8], directory_end: Option<usize>, end_at: usize) -> Refusal {
    let shift = directory_end.and_then(|end| end_at.checked_sub(end));
    match shift {
        Some(shift) if bytes.get(shift..).is_some_and(|rest| rest.starts_with(LOCAL)) => {
            let detail = format!("{shift} bytes precede the archive");
            Refusal::new(Rule::LeadingData, detail)
        }
        Some(_) if !bytes.starts_with(LOCAL) => {
            Refusal::new(Rule::LeadingData, "the archive does not begin with an entry")
        }
        Some(gap) => {
            let detail = format!("{gap} bytes lie between the directory and the end record");
            Refusal::new(Rule::UnlistedData, detail)
        }
        None => malformed("the central directory lies outside the archive"),
    }
}

/// Reads the central directory, which must fill its place exactly.
pub(super) fn read_directory<'a>(bytes: &'a [u8], end: &End) -> Result<Vec<Central<'a>>, Refusal> {
    let directory = bytes.get(..end.record_at).unwrap_or_default();
    let mut cursor = Cursor { bytes: directory, at: end.directory_at };
    let mut records = Vec::with_capacity(end.entries);
    for _ in 0..end.entries {
        records.push(read_central(&mut cursor)?);
    }
    if cursor.at != directory.len() {
        return Err(malformed("the central directory holds more than its entries"));
    }
    Ok(records)
}

fn read_central<'a>(cursor: &mut Cursor<'a>) -> Result<Central<'a>, Refusal> {
    let truncated = || malformed("the central directory is cut short");
    if cursor.take(CENTRAL.len()) != Some(CENTRAL) {
        return Err(malformed("the central directory has a gap or too few entries"));
    }
    cursor.take(2).ok_or_else(truncated)?; // Version made by.
    let [needed, _system] = cursor.u16().ok_or_else(truncated)?.to_le_bytes();
    let flags = cursor.u16().ok_or_else(truncated)?;
    let method = cursor.u16().ok_or_else(truncated)?;
    let time = cursor.u16().ok_or_else(truncated)?;
    let date = cursor.u16().ok_or_else(truncated)?;
    let crc = cursor.u32().ok_or_else(truncated)?;
    let compressed_bytes = cursor.u32().ok_or_else(truncated)?;
    let file_bytes = cursor.u32().ok_or_else(truncated)?;
    let name_bytes = cursor.u16().ok_or_else(truncated)?;
    let extra_bytes = cursor.u16().ok_or_else(truncated)?;
    let comment_bytes = cursor.u16().ok_or_else(truncated)?;
    let disk = cursor.u16().ok_or_else(truncated)?;
    cursor.take(2).ok_or_else(truncated)?; // Internal attributes: text or binary, unreliable.
    let external = cursor.u32().ok_or_else(truncated)?;
    let local_at = cursor.u32().ok_or_else(truncated)?;
    let name = cursor.take(usize::from(name_bytes)).ok_or_else(truncated)?;
    let extra = cursor.take(usize::from(extra_bytes)).ok_or_else(truncated)?;
    cursor.take(usize::from(comment_bytes)).ok_or_else(truncated)?;
    if disk != 0 {
        return Err(malformed("an entry lies on another disk"));
    }
    Ok(Central {
        needed,
        flags,
        method,
        time,
        date,
        crc,
        compressed_bytes,
        file_bytes,
        name,
        extra,
        external,
        local_at,
    })
}

/// Reads the local header at an offset; it must lie before `limit`.
pub(super) fn read_local(bytes: &[u8], at: usize, limit: usize) -> Option<Local<'_>> {
    let mut cursor = Cursor { bytes: bytes.get(..limit)?, at };
    if cursor.take(LOCAL.len())? != LOCAL {
        return None;
    }
    cursor.take(2)?; // Version needed.
    let flags = cursor.u16()?;
    let method = cursor.u16()?;
    let time = cursor.u16()?;
    let date = cursor.u16()?;
    let crc = cursor.u32()?;
    let compressed_bytes = cursor.u32()?;
    let file_bytes = cursor.u32()?;
    let name_bytes = cursor.u16()?;
    let extra_bytes = cursor.u16()?;
    let name = cursor.take(usize::from(name_bytes))?;
    let extra = cursor.take(usize::from(extra_bytes))?;
    Some(Local {
        flags,
        method,
        time,
        date,
        crc,
        compressed_bytes,
        file_bytes,
        name,
        extra,
        data_at: cursor.at,
    })
}

/// A data descriptor (checksum, compressed size, size) that fills `gap` exactly.
pub(super) fn read_descriptor(gap: &[u8]) -> Option<(u32, u32, u32)> {
    let body = gap.strip_prefix(DESCRIPTOR).filter(|_| gap.len() == 16).unwrap_or(gap);
    if body.len() != 12 {
        return None;
    }
    let mut cursor = Cursor { bytes: body, at: 0 };
    Some((cursor.u32()?, cursor.u32()?, cursor.u32()?))
}

/// Splits extra data into (kind, payload); `None` if it does not fill its length.
pub(super) fn read_extras(extra: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut cursor = Cursor { bytes: extra, at: 0 };
    let mut fields = Vec::new();
    while cursor.at < extra.len() {
        let kind = cursor.u16()?;
        let length = cursor.u16()?;
        fields.push((kind, cursor.take(usize::from(length))?));
    }
    Some(fields)
}

/// A 32-bit field as an offset or a length.
pub(super) fn to_usize(value: u32) -> Result<usize, Refusal> {
    usize::try_from(value).map_err(|_too_large| malformed("an offset is out of range"))
}

/// Little-endian reads that end with `None` instead of past the end.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?.first_chunk()?;
        Some(u16::from_le_bytes(*bytes))
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    }
}
