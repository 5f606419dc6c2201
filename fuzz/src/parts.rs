//! Archives built from parts: honest records, and a few lies about them. Raw bytes hardly ever keep three
//! places of an archive consistent; these do, so that they come further into the reader.

use std::io::Write;

use arbitrary::Arbitrary;
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// The most entries of an archive.
const ENTRIES_MAX: usize = 6;
/// The most bytes of one file before they are repeated.
const DATA_BYTES_MAX: usize = 400;

/// A whole archive.
#[derive(Arbitrary, Debug)]
pub struct Archive {
    entries: Vec<Entry>,
    before: Option<Vec<u8>>,
    before_directory: Option<Vec<u8>>,
    before_end: Option<BeforeEnd>,
    comment: Vec<u8>,
    after: Option<Vec<u8>>,
    end: Vec<(EndField, Lie)>,
    reversed_directory: bool,
    listed_twice: bool,
}

/// One entry, and what is not true about it.
#[derive(Arbitrary, Debug)]
struct Entry {
    name: Name,
    data: Vec<u8>,
    repeated: u8,
    deflated: bool,
    utf8_flag: bool,
    descriptor: Option<Descriptor>,
    external: Attributes,
    local_extra: Extra,
    central_extra: Extra,
    comment: Vec<u8>,
    after_data: Option<Vec<u8>>,
    central: Vec<(Field, Lie)>,
    local: Vec<(Field, Lie)>,
    local_name: Option<Name>,
    unlisted: bool,
}

#[derive(Arbitrary, Debug)]
enum Name {
    Known(u8),
    Joined(u8, u8),
    Text(String),
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Descriptor {
    Signed,
    Bare,
    Zip64,
    WithSizesInHeader,
}

#[derive(Arbitrary, Debug)]
enum Attributes {
    File,
    Directory,
    Symlink,
    None,
    Any(u32),
}

#[derive(Arbitrary, Debug)]
enum Extra {
    None,
    Timestamp,
    Zip64(Vec<u64>),
    UnicodePath(Name),
    Fields(Vec<(u16, Vec<u8>)>),
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum BeforeEnd {
    Zip64Locator,
    Zip64Both,
    Bytes(Vec<u8>),
}

/// A field of a local or central record.
#[derive(Arbitrary, Debug, PartialEq, Eq, Clone, Copy)]
enum Field {
    MadeBy,
    Needed,
    Flags,
    Method,
    Time,
    Date,
    Crc,
    Compressed,
    Size,
    NameLength,
    ExtraLength,
    CommentLength,
    Disk,
    Internal,
    At,
}

/// A field of the end record.
#[derive(Arbitrary, Debug, PartialEq, Eq, Clone, Copy)]
enum EndField {
    Disk,
    DirectoryDisk,
    Here,
    Entries,
    Bytes,
    At,
    Comment,
}

/// How a value is changed.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Lie {
    Plus(u8),
    Minus(u8),
    Bit(u8),
    Value(u32),
    Escape,
}

impl Lie {
    fn of(self, value: u32) -> u32 {
        match self {
            Self::Plus(more) => value.wrapping_add(u32::from(more)),
            Self::Minus(less) => value.wrapping_sub(u32::from(less)),
            Self::Bit(bit) => value ^ 1 << (bit % 32),
            Self::Value(other) => other,
            Self::Escape => u32::MAX,
        }
    }
}

/// Names that rules are about, and harmless ones.
const NAMES: &[&str] = &[
    "model.py",
    "prism.yaml",
    "a.txt",
    "b.md",
    "d/",
    "d",
    "d/e.py",
    "A.TXT",
    "..",
    ".",
    "",
    "a",
    "é.py",
    "e\u{301}.py",
    "\u{ff41}.txt",
    "x.so",
    "MODEL.PY",
    "a\\b.py",
    "C:a.py",
    "/a.py",
    "aux.py",
    "a.py.",
    " a.py",
    "os.py",
    "__init__.py",
    "d/__init__.py",
    "\u{130}.py",
    "i\u{307}.py",
    "ß.py",
    "ss.py",
    "ﬁ.py",
    "prism.yml",
];

impl Name {
    fn bytes(&self) -> Vec<u8> {
        let known = |at: &u8| NAMES[usize::from(*at) % NAMES.len()];
        let mut bytes = match self {
            Self::Known(at) => known(at).as_bytes().to_vec(),
            Self::Joined(folder, file) => format!("{}/{}", known(folder), known(file)).into_bytes(),
            Self::Text(text) => text.clone().into_bytes(),
            Self::Raw(bytes) => bytes.clone(),
        };
        bytes.truncate(300);
        bytes
    }
}

impl Extra {
    fn bytes(&self) -> Vec<u8> {
        let field = |kind: u16, payload: &[u8]| {
            let payload = &payload[..payload.len().min(300)];
            [&kind.to_le_bytes()[..], &short(payload.len()).to_le_bytes(), payload].concat()
        };
        match self {
            Self::None => Vec::new(),
            Self::Timestamp => field(0x5455, &[1, 0, 0, 0, 0]),
            Self::Zip64(values) => {
                let values: Vec<u8> =
                    values.iter().take(4).flat_map(|it| it.to_le_bytes()).collect();
                field(1, &values)
            }
            Self::UnicodePath(name) => field(
                0x7075,
                &[&[1][..], &crc_of(b"model.py").to_le_bytes(), &name.bytes()].concat(),
            ),
            Self::Fields(fields) => {
                fields.iter().take(4).flat_map(|(kind, payload)| field(*kind, payload)).collect()
            }
            Self::Raw(bytes) => bytes.iter().copied().take(300).collect(),
        }
    }
}

impl Attributes {
    fn value(&self) -> u32 {
        match self {
            Self::File => 0o100_644 << 16,
            Self::Directory => 0o040_755 << 16 | 0x10,
            Self::Symlink => 0o120_777 << 16,
            Self::None => 0,
            Self::Any(value) => *value,
        }
    }
}

impl Archive {
    /// The bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut out = bounded(self.before.as_deref());
        let mut records = Vec::new();
        for entry in self.entries.iter().take(ENTRIES_MAX) {
            records.extend(entry.append(&mut out));
        }
        if self.listed_twice {
            records.extend(records.first().cloned());
        }
        if self.reversed_directory {
            records.reverse();
        }
        out.extend(bounded(self.before_directory.as_deref()));
        let directory_at = long(out.len());
        out.extend(records.concat());
        let directory_bytes = long(out.len()) - directory_at;
        self.append_end(&mut out, records.len(), directory_bytes, directory_at);
        out.extend(bounded(self.after.as_deref()));
        out
    }

    fn append_end(&self, out: &mut Vec<u8>, count: usize, directory_bytes: u32, directory_at: u32) {
        let end64_at = out.len() as u64;
        match &self.before_end {
            None => {}
            Some(BeforeEnd::Bytes(bytes)) => out.extend(bounded(Some(bytes))),
            Some(kind) => {
                if matches!(kind, BeforeEnd::Zip64Both) {
                    out.extend(b"PK\x06\x06");
                    out.extend(44_u64.to_le_bytes());
                    out.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                    for value in [
                        count as u64,
                        count as u64,
                        u64::from(directory_bytes),
                        u64::from(directory_at),
                    ] {
                        out.extend(value.to_le_bytes());
                    }
                }
                out.extend(b"PK\x06\x07\0\0\0\0");
                out.extend(end64_at.to_le_bytes());
                out.extend(1_u32.to_le_bytes());
            }
        }
        let comment = bounded(Some(&self.comment));
        let field = |field: EndField, value: u32| {
            self.end
                .iter()
                .filter(|(of, _)| *of == field)
                .fold(value, |value, (_, lie)| lie.of(value))
        };
        let count = u32::from(short(count));
        out.extend(b"PK\x05\x06");
        for (name, value) in [
            (EndField::Disk, 0),
            (EndField::DirectoryDisk, 0),
            (EndField::Here, count),
            (EndField::Entries, count),
        ] {
            put16(out, field(name, value));
        }
        out.extend(field(EndField::Bytes, directory_bytes).to_le_bytes());
        out.extend(field(EndField::At, directory_at).to_le_bytes());
        put16(out, field(EndField::Comment, long(comment.len())));
        out.extend(comment);
    }
}

impl Entry {
    /// Appends the local part, and gives the central record where the entry is listed.
    fn append(&self, out: &mut Vec<u8>) -> Option<Vec<u8>> {
        let at = long(out.len());
        let contents = bounded(Some(&self.data)).repeat(usize::from(self.repeated % 16) + 1);
        let data = if self.deflated { deflate(&contents) } else { contents.clone() };
        let mut flags = u32::from(self.utf8_flag) << 11;
        flags |= u32::from(self.descriptor.is_some()) << 3;
        let figures = [crc_of(&contents), long(data.len()), long(contents.len())];
        let name = self.name.bytes();
        let method = if self.deflated { 8 } else { 0 };
        self.append_local(out, flags, method, figures);
        out.extend(&data);
        self.append_descriptor(out, figures);
        out.extend(bounded(self.after_data.as_deref()));
        (!self.unlisted).then(|| self.central_record(&name, flags, method, figures, at))
    }

    fn append_local(&self, out: &mut Vec<u8>, flags: u32, method: u32, figures: [u32; 3]) {
        let field = |field: Field, value: u32| lied(&self.local, field, value);
        let name = self.local_name.as_ref().unwrap_or(&self.name).bytes();
        let extra = self.local_extra.bytes();
        let announced = match self.descriptor {
            Some(Descriptor::Signed | Descriptor::Bare | Descriptor::Zip64) => [0; 3],
            Some(Descriptor::WithSizesInHeader) | None => figures,
        };
        out.extend(b"PK\x03\x04");
        put16(out, field(Field::Needed, 20));
        put16(out, field(Field::Flags, flags));
        put16(out, field(Field::Method, method));
        put16(out, field(Field::Time, 0));
        put16(out, field(Field::Date, 0x21));
        for (name, value) in [Field::Crc, Field::Compressed, Field::Size].into_iter().zip(announced)
        {
            out.extend(field(name, value).to_le_bytes());
        }
        put16(out, field(Field::NameLength, long(name.len())));
        put16(out, field(Field::ExtraLength, long(extra.len())));
        out.extend(name);
        out.extend(extra);
    }

    fn append_descriptor(&self, out: &mut Vec<u8>, [crc, compressed, size]: [u32; 3]) {
        let Some(kind) = self.descriptor else { return };
        if !matches!(kind, Descriptor::Bare) {
            out.extend(b"PK\x07\x08");
        }
        out.extend(crc.to_le_bytes());
        if matches!(kind, Descriptor::Zip64) {
            out.extend(u64::from(compressed).to_le_bytes());
            out.extend(u64::from(size).to_le_bytes());
        } else {
            out.extend(compressed.to_le_bytes());
            out.extend(size.to_le_bytes());
        }
    }

    fn central_record(
        &self,
        name: &[u8],
        flags: u32,
        method: u32,
        figures: [u32; 3],
        at: u32,
    ) -> Vec<u8> {
        let field = |field: Field, value: u32| lied(&self.central, field, value);
        let extra = self.central_extra.bytes();
        let comment = bounded(Some(&self.comment));
        let mut out = b"PK\x01\x02".to_vec();
        put16(&mut out, field(Field::MadeBy, 0x0314));
        put16(&mut out, field(Field::Needed, 20));
        put16(&mut out, field(Field::Flags, flags));
        put16(&mut out, field(Field::Method, method));
        put16(&mut out, field(Field::Time, 0));
        put16(&mut out, field(Field::Date, 0x21));
        for (name, value) in [Field::Crc, Field::Compressed, Field::Size].into_iter().zip(figures) {
            out.extend(field(name, value).to_le_bytes());
        }
        put16(&mut out, field(Field::NameLength, long(name.len())));
        put16(&mut out, field(Field::ExtraLength, long(extra.len())));
        put16(&mut out, field(Field::CommentLength, long(comment.len())));
        put16(&mut out, field(Field::Disk, 0));
        put16(&mut out, field(Field::Internal, 0));
        out.extend(self.external.value().to_le_bytes());
        out.extend(field(Field::At, at).to_le_bytes());
        out.extend(name);
        out.extend(extra);
        out.extend(comment);
        out
    }
}

fn lied(lies: &[(Field, Lie)], field: Field, value: u32) -> u32 {
    lies.iter().filter(|(of, _)| *of == field).fold(value, |value, (_, lie)| lie.of(value))
}

fn bounded(bytes: Option<&[u8]>) -> Vec<u8> {
    let bytes = bytes.unwrap_or_default();
    bytes[..bytes.len().min(DATA_BYTES_MAX)].to_vec()
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("into memory");
    encoder.finish().expect("into memory")
}

fn crc_of(data: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    crc.sum()
}

/// The low half of a value.
fn put16(out: &mut Vec<u8>, value: u32) {
    out.extend(&value.to_le_bytes()[..2]);
}

fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

fn long(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
