//! Why an upload is refused: one rule per reason, with a stable code and how to mend it.

use std::fmt;

/// The reasons for which a project is refused. All of them are the miner's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The archive has more bytes than the limit.
    ArchiveTooLarge,
    /// The bytes are not a well-formed ZIP archive.
    Malformed,
    /// The archive holds no file.
    Empty,
    /// Bytes precede the first entry.
    LeadingData,
    /// Bytes, or a second archive, follow the end record.
    TrailingData,
    /// Bytes between or inside the entries belong to no entry.
    UnlistedData,
    /// Two entries share bytes.
    Overlap,
    /// The archive uses ZIP64 records.
    Zip64,
    /// Two descriptions of the same entry disagree.
    HeaderMismatch,
    /// The archive lists more entries than the limit.
    TooManyEntries,
    /// An entry is encrypted.
    Encrypted,
    /// An entry is neither stored nor deflated.
    UnsupportedMethod,
    /// An entry is a symbolic link.
    Symlink,
    /// An entry is a device, socket, pipe or volume label.
    SpecialFile,
    /// A name is not plain text, too long, too deep, or reads differently elsewhere.
    BadName,
    /// A path would leave the project.
    UnsafePath,
    /// Two names are one file on some system.
    DuplicateName,
    /// A file is of a type that a project may not hold.
    UnsupportedType,
    /// A file inflates suspiciously well.
    Ratio,
    /// One file is larger than the limit.
    FileTooLarge,
    /// All files together are larger than the limit.
    TotalTooLarge,
    /// A file is longer or shorter than declared.
    SizeMismatch,
    /// The checksum of a file is wrong.
    Crc,
    /// A file is not UTF-8 text.
    NotText,
    /// A module would hide one that the evaluator needs.
    ReservedName,
    /// Two files are one module to whoever imports it.
    AmbiguousModule,
    /// The manifest cannot be used.
    ManifestInvalid,
    /// More than one manifest.
    ManifestAmbiguous,
}

impl Rule {
    /// Every rule, in the order in which they are checked.
    pub const ALL: [Self; 28] = [
        Self::ArchiveTooLarge,
        Self::Malformed,
        Self::Empty,
        Self::LeadingData,
        Self::TrailingData,
        Self::UnlistedData,
        Self::Overlap,
        Self::Zip64,
        Self::HeaderMismatch,
        Self::TooManyEntries,
        Self::Encrypted,
        Self::UnsupportedMethod,
        Self::Symlink,
        Self::SpecialFile,
        Self::BadName,
        Self::UnsafePath,
        Self::DuplicateName,
        Self::UnsupportedType,
        Self::Ratio,
        Self::FileTooLarge,
        Self::TotalTooLarge,
        Self::SizeMismatch,
        Self::Crc,
        Self::NotText,
        Self::ReservedName,
        Self::AmbiguousModule,
        Self::ManifestInvalid,
        Self::ManifestAmbiguous,
    ];

    /// The stable code, as answered over HTTP and stored with the submission.
    pub const fn code(self) -> &'static str {
        self.text().0
    }

    /// What the author can do about it.
    pub const fn remedy(self) -> &'static str {
        self.text().1
    }

    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::ArchiveTooLarge => {
                ("archive-too-large", "leave out what the model does not need")
            }
            Self::Malformed => {
                ("archive-malformed", "pack the project again with `zip -r project.zip .`")
            }
            Self::Empty => ("archive-empty", "put at least one `.py` file into the archive"),
            Self::LeadingData => {
                ("archive-leading-data", "send a plain archive, without anything before it")
            }
            Self::TrailingData => {
                ("archive-trailing-data", "send a plain archive, without anything after it")
            }
            Self::UnlistedData => {
                ("archive-unlisted-data", "pack the project again instead of editing the archive")
            }
            Self::Overlap => {
                ("archive-overlap", "pack the project again instead of editing the archive")
            }
            Self::Zip64 => ("archive-zip64", "pack the project again from files, without ZIP64"),
            Self::HeaderMismatch => {
                ("archive-header-mismatch", "pack the project again instead of editing the archive")
            }
            Self::TooManyEntries => ("archive-too-many-entries", "use fewer, larger files"),
            Self::Encrypted => ("archive-encrypted", "pack the project without a password"),
            Self::UnsupportedMethod => {
                ("archive-unsupported-method", "pack with the deflate or store method")
            }
            Self::Symlink => ("archive-symlink", "pack the file itself instead of a link to it"),
            Self::SpecialFile => ("archive-special-file", "pack regular files and folders only"),
            Self::BadName => {
                ("archive-bad-name", "use short names of plain letters, digits, `_`, `-` and `.`")
            }
            Self::UnsafePath => {
                ("archive-unsafe-path", "use relative paths with `/`, without `..`")
            }
            Self::DuplicateName => {
                ("archive-duplicate-name", "give each file a name that differs in more than case")
            }
            Self::UnsupportedType => {
                ("archive-unsupported-type", "keep source, configuration and documentation only")
            }
            Self::Ratio => ("archive-ratio", "compute repetitive data instead of shipping it"),
            Self::FileTooLarge => ("archive-file-too-large", "split the file or leave data out"),
            Self::TotalTooLarge => {
                ("archive-total-too-large", "leave out what the model does not need")
            }
            Self::SizeMismatch => {
                ("archive-size-mismatch", "pack the project again: this archive is damaged")
            }
            Self::Crc => ("archive-crc", "pack the project again: this archive is damaged"),
            Self::NotText => ("archive-not-text", "save the file as UTF-8 text"),
            Self::ReservedName => (
                "archive-reserved-name",
                "rename it: the name belongs to a module that the evaluator imports",
            ),
            Self::AmbiguousModule => (
                "archive-ambiguous-module",
                "rename one of the two: which of them is imported depends on where one looks first",
            ),
            Self::ManifestInvalid => {
                ("manifest-invalid", "correct `prism.yaml`, or leave it out to use the defaults")
            }
            Self::ManifestAmbiguous => {
                ("manifest-ambiguous", "keep one `prism.yaml`, at the project root")
            }
        }
    }
}

/// One reason to refuse a project, with the place where it applies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{detail}", place(.path.as_deref(), *.line, *.column))]
pub struct Refusal {
    /// The rule that was broken.
    pub rule: Rule,
    /// The path inside the project, printable, where one file is to blame.
    pub path: Option<String>,
    /// Line from 1, where known.
    pub line: Option<u64>,
    /// Column from 1 in characters, where known.
    pub column: Option<u64>,
    /// What is wrong, without the place.
    pub detail: String,
}

impl Refusal {
    /// The stable code of the broken rule.
    pub const fn code(&self) -> &'static str {
        self.rule.code()
    }

    /// What the author can do about it.
    pub const fn remedy(&self) -> &'static str {
        self.rule.remedy()
    }

    pub(crate) fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Self { rule, path: None, line: None, column: None, detail: detail.into() }
    }

    pub(crate) fn at(rule: Rule, path: &str, detail: impl Into<String>) -> Self {
        Self { path: Some(printable(path)), ..Self::new(rule, detail) }
    }
}

fn place(path: Option<&str>, line: Option<u64>, column: Option<u64>) -> String {
    match (path, line, column) {
        (Some(path), Some(line), Some(column)) => format!("`{path}`:{line}:{column}: "),
        (Some(path), ..) => format!("`{path}`: "),
        (None, ..) => String::new(),
    }
}

/// All the reasons found in one pass, the first being the one that decides the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    first: Refusal,
    others: Vec<Refusal>,
}

impl Rejection {
    /// How many reasons one rejection reports at most.
    pub const REASONS: usize = 32;

    /// The stable code of the first reason.
    pub const fn code(&self) -> &'static str {
        self.first.code()
    }

    /// The reason that was met first.
    pub const fn first(&self) -> &Refusal {
        &self.first
    }

    /// Every reason, the first one first; at most [`Rejection::REASONS`].
    pub fn reasons(&self) -> impl Iterator<Item = &Refusal> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// `Err` if there is any reason, `Ok` otherwise.
    pub(crate) fn unless_empty(reasons: Vec<Refusal>) -> Result<(), Self> {
        let mut reasons = reasons.into_iter().take(Self::REASONS);
        match reasons.next() {
            None => Ok(()),
            Some(first) => Err(Self { first, others: reasons.collect() }),
        }
    }
}

impl From<Refusal> for Rejection {
    fn from(first: Refusal) -> Self {
        Self { first, others: Vec::new() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.first)?;
        match self.others.len() {
            0 => Ok(()),
            more => write!(out, " (and {more} more)"),
        }
    }
}

impl std::error::Error for Rejection {}

/// A name from an upload as it may stand in a message: bounded, one line, no control characters.
pub(crate) fn printable(name: &str) -> String {
    const CHARS: usize = 120;
    let shown: String = name.chars().take(CHARS).flat_map(char::escape_debug).collect();
    if name.chars().nth(CHARS).is_some() { format!("{shown}…") } else { shown }
}
