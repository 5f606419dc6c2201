//! The bytes of an archive as a whole: each local header agrees with its central record, and
//! headers, data and descriptors cover everything before the central directory exactly once.

use crate::archive::entry::{Entry, check_extras};
use crate::archive::records::{End, Local, read_descriptor, read_local};
use crate::refusal::{Refusal, Rule};

/// Checks every local header and that no byte is shared or left over.
pub(super) fn check_layout(bytes: &[u8], end: &End, entries: &[Entry<'_>]) -> Result<(), Refusal> {
    let mut in_order: Vec<&Entry<'_>> = entries.iter().collect();
    in_order.sort_by_key(|entry| entry.local_at);
    let mut spans = Vec::with_capacity(in_order.len());
    for entry in &in_order {
        let local = local_of(bytes, end, entry)?;
        check_agreement(entry, &local)?;
        spans.push((*entry, local));
    }
    let starts_after =
        in_order.iter().skip(1).map(|entry| entry.local_at).chain([end.directory_at]);

    let mut covered = 0;
    for ((entry, local), next_at) in spans.into_iter().zip(starts_after) {
        check_start(entry, covered)?;
        let data_end = local.data_at.checked_add(entry.compressed_bytes);
        let Some(gap) = data_end.and_then(|data_end| bytes.get(data_end..next_at)) else {
            let detail = "the data reaches into the next entry or past the end";
            return Err(Refusal::at(overrun_rule(data_end, end), entry.path.as_str(), detail));
        };
        check_gap(entry, gap)?;
        covered = next_at;
    }
    Ok(())
}

/// Where the data of an entry begins, its layout having been checked.
pub(super) fn data_of<'a>(bytes: &'a [u8], entry: &Entry<'_>) -> Option<&'a [u8]> {
    let local = read_local(bytes, entry.local_at, bytes.len())?;
    bytes.get(local.data_at..local.data_at.checked_add(entry.compressed_bytes)?)
}

fn local_of<'a>(bytes: &'a [u8], end: &End, entry: &Entry<'_>) -> Result<Local<'a>, Refusal> {
    read_local(bytes, entry.local_at, end.directory_at).ok_or_else(|| {
        Refusal::at(Rule::Malformed, entry.path.as_str(), "the entry has no local header")
    })
}

fn check_agreement(entry: &Entry<'_>, local: &Local<'_>) -> Result<(), Refusal> {
    let refuse = |what: &str| {
        let detail = format!("the {what} differs between the directory and the entry");
        Err(Refusal::at(Rule::HeaderMismatch, entry.path.as_str(), detail))
    };
    let record = entry.record;
    if local.name != record.name {
        return refuse("name");
    }
    if local.flags != record.flags {
        return refuse("flag word");
    }
    if local.method != record.method {
        return refuse("compression method");
    }
    if (local.time, local.date) != (record.time, record.date) {
        return refuse("time");
    }
    let given = [local.crc, local.compressed_bytes, local.file_bytes];
    let listed = [record.crc, record.compressed_bytes, record.file_bytes];
    // With a descriptor the header may leave the figures out, one by one.
    let agrees =
        |(given, listed): (u32, u32)| given == listed || (entry.has_descriptor() && given == 0);
    if !given.into_iter().zip(listed).all(agrees) {
        return refuse("size or checksum");
    }
    check_extras(entry.path.as_str(), local.extra)
}

fn check_start(entry: &Entry<'_>, covered: usize) -> Result<(), Refusal> {
    match entry.local_at.cmp(&covered) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater if covered == 0 => {
            Err(Refusal::new(Rule::LeadingData, "bytes precede the first entry"))
        }
        std::cmp::Ordering::Greater => Err(Refusal::at(
            Rule::UnlistedData,
            entry.path.as_str(),
            "bytes before the entry belong to no entry",
        )),
        std::cmp::Ordering::Less => {
            Err(Refusal::at(Rule::Overlap, entry.path.as_str(), "the entry overlaps another"))
        }
    }
}

fn overrun_rule(data_end: Option<usize>, end: &End) -> Rule {
    match data_end {
        Some(data_end) if data_end <= end.directory_at => Rule::Overlap,
        _ => Rule::Malformed,
    }
}

/// What lies between the data and the next header: a descriptor if announced, otherwise nothing.
fn check_gap(entry: &Entry<'_>, gap: &[u8]) -> Result<(), Refusal> {
    let path = entry.path.as_str();
    if !entry.has_descriptor() {
        if gap.is_empty() {
            return Ok(());
        }
        return Err(Refusal::at(
            Rule::UnlistedData,
            path,
            format!("{} bytes after the entry belong to no entry", gap.len()),
        ));
    }
    let record = entry.record;
    match read_descriptor(gap) {
        Some(figures) if figures == (record.crc, record.compressed_bytes, record.file_bytes) => {
            Ok(())
        }
        Some(_) => Err(Refusal::at(
            Rule::HeaderMismatch,
            path,
            "the size or checksum differs between the directory and the data descriptor",
        )),
        None => Err(Refusal::at(
            Rule::UnlistedData,
            path,
            format!("{} bytes after the entry are no data descriptor", gap.len()),
        )),
    }
}
