//! Builds ZIP archives byte by byte, right or wrong on purpose. Shared by the tests of the reader.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

pub(crate) const MODEL: &str =
    "def build_model(ctx):\n    return None\n\n\ndef get_recipe(ctx):\n    return {}\n";
pub(crate) const MANIFEST: &str = "kind: full\narchitecture:\n  entrypoint: model.py\n";

/// One entry; `None` stands for the honest value.
#[derive(Clone, Default)]
pub(crate) struct Item {
    pub(crate) name: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) stored: bool,
    pub(crate) method: Option<u16>,
    pub(crate) flags: u16,
    pub(crate) external: u32,
    pub(crate) descriptor: Option<Descriptor>,
    pub(crate) crc: Option<u32>,
    pub(crate) file_bytes: Option<u32>,
    pub(crate) compressed_bytes: Option<u32>,
    pub(crate) after_data: Vec<u8>,
    pub(crate) inside_data: Vec<u8>,
    pub(crate) local_extra: Vec<u8>,
    pub(crate) central_extra: Vec<u8>,
    pub(crate) local_name: Option<Vec<u8>>,
    pub(crate) local_time: Option<u16>,
    pub(crate) local_method: Option<u16>,
    pub(crate) local_crc: Option<u32>,
    pub(crate) local_at: Option<u32>,
}

#[derive(Clone, Copy)]
pub(crate) enum Descriptor {
    Signed,
    Bare,
    Wrong,
}

pub(crate) fn file(name: &str, data: impl AsRef<[u8]>) -> Item {
    let flags = if name.is_ascii() { 0 } else { 1 << 11 };
    Item {
        name: name.as_bytes().to_vec(),
        data: data.as_ref().to_vec(),
        flags,
        external: 0o100_644 << 16,
        ..Item::default()
    }
}

/// The smallest good project and the given entries.
pub(crate) fn project(more: impl IntoIterator<Item = Item>) -> Vec<Item> {
    let mut items = vec![file("prism.yaml", MANIFEST), file("model.py", MODEL)];
    items.extend(more);
    items
}

pub(crate) fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_le_bytes());
}

fn len16(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap()
}

fn len32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

pub(crate) fn crc_of(data: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    crc.sum()
}

/// Entries, central directory, end record.
pub(crate) fn build(items: &[Item]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for item in items {
        append(&mut out, &mut directory, item);
    }
    let count = u16::try_from(items.len()).unwrap();
    let directory_at = len32(&out);
    out.extend_from_slice(&directory);
    end_record(&mut out, count, len32(&directory), directory_at, b"");
    out
}

pub(crate) fn end_record(out: &mut Vec<u8>, count: u16, bytes: u32, at: u32, comment: &[u8]) {
    out.extend(b"PK\x05\x06");
    put32(out, 0);
    put16(out, count);
    put16(out, count);
    put32(out, bytes);
    put32(out, at);
    put16(out, len16(comment));
    out.extend(comment);
}

fn append(out: &mut Vec<u8>, directory: &mut Vec<u8>, item: &Item) {
    let at = len32(out);
    let mut data = if item.stored { item.data.clone() } else { deflate(&item.data) };
    data.extend_from_slice(&item.inside_data);
    let method = item.method.unwrap_or(if item.stored { 0 } else { 8 });
    let crc = item.crc.unwrap_or_else(|| crc_of(&item.data));
    let compressed = item.compressed_bytes.unwrap_or_else(|| len32(&data));
    let size = item.file_bytes.unwrap_or_else(|| len32(&item.data));
    let flags = item.flags | if item.descriptor.is_some() { 1 << 3 } else { 0 };
    let announced = if item.descriptor.is_some() { [0; 3] } else { [crc, compressed, size] };

    out.extend(b"PK\x03\x04");
    put16(out, 20);
    put16(out, flags);
    put16(out, item.local_method.unwrap_or(method));
    put16(out, item.local_time.unwrap_or(0));
    put16(out, 0x21);
    put32(out, item.local_crc.unwrap_or(announced[0]));
    put32(out, announced[1]);
    put32(out, announced[2]);
    let local_name = item.local_name.as_ref().unwrap_or(&item.name);
    put16(out, len16(local_name));
    put16(out, len16(&item.local_extra));
    out.extend(local_name);
    out.extend(&item.local_extra);
    out.extend(&data);
    match item.descriptor {
        None => {}
        Some(kind) => {
            if !matches!(kind, Descriptor::Bare) {
                out.extend(b"PK\x07\x08");
            }
            put32(out, if matches!(kind, Descriptor::Wrong) { crc ^ 1 } else { crc });
            put32(out, compressed);
            put32(out, size);
        }
    }
    out.extend(&item.after_data);

    directory.extend(b"PK\x01\x02");
    put16(directory, 0x0314);
    put16(directory, 20);
    put16(directory, flags);
    put16(directory, method);
    put16(directory, 0);
    put16(directory, 0x21);
    put32(directory, crc);
    put32(directory, compressed);
    put32(directory, size);
    put16(directory, len16(&item.name));
    put16(directory, len16(&item.central_extra));
    put16(directory, 0);
    put16(directory, 0);
    put16(directory, 0);
    put32(directory, item.external);
    put32(directory, item.local_at.unwrap_or(at));
    directory.extend(&item.name);
    directory.extend(&item.central_extra);
}

/// What the `zip` crate reads: every file with its bytes, in order, or `None` if it fails.
pub(crate) fn read_with_zip_crate(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).ok()?;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).ok()?;
        let mut contents = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut contents).ok()?;
        if !entry.is_dir() {
            files.push((entry.name().ok()?.into_owned(), contents));
        }
    }
    Some(files)
}

pub(crate) fn read_with_prism(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let entries =
        prism_intake::read_archive(bytes, &prism_intake::ArchiveLimits::default()).ok()?;
    Some(entries.into_iter().map(|entry| (entry.path.as_str().to_owned(), entry.bytes)).collect())
}
