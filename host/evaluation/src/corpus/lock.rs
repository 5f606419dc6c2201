//! What a corpus is: the schema of `corpus.lock`, and the names of the files beside it.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CorpusError;

/// Schema of a lock.
pub(super) const SCHEMA: &str = "prism.corpus/1";
/// The lock.
pub(super) const LOCK_FILE: &str = "corpus.lock";
/// Token ids of the training text.
pub(super) const TRAIN_FILE: &str = "train.bin";
/// Token ids of the held-out text.
pub(super) const VAL_FILE: &str = "val.bin";
/// The tokenizer, in the format of the `tokenizers` library.
pub(super) const TOKENIZER_FILE: &str = "tokenizer.json";
/// Bytes of text that each token id stands for.
pub(super) const TOKEN_BYTES_FILE: &str = "token_bytes.bin";
/// The files of a corpus; a lock lists exactly these.
pub(super) const FILES: [&str; 4] = [TRAIN_FILE, VAL_FILE, TOKENIZER_FILE, TOKEN_BYTES_FILE];
/// Bytes of a token id, and of an entry of [`TOKEN_BYTES_FILE`]: both are `u16`, little-endian.
pub(super) const TOKEN_WIDTH: u64 = 2;
/// Opens each document and stands for no text. No text is ever encoded to it.
pub(super) const DOCUMENT_TOKEN: u16 = 0;
/// How a document is put on its side of the split.
pub(super) const SPLIT_RULE: &str =
    "first 8 bytes of sha256(document), big-endian, below val_below";
/// The largest lock that is read, bytes.
const LOCK_BYTES_MAX: u64 = 16 << 20;
/// The longest part of a name.
const NAME_PART_MAX: usize = 64;

/// Names a corpus: `name/version`. It is also the corpus's path below the folder of corpora.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CorpusId(String);

impl CorpusId {
    /// The name, if it is one. It cannot lead out of a folder.
    pub fn parse(text: &str) -> Result<Self, CorpusError> {
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let part = |part: &str| {
            part.len() <= NAME_PART_MAX
                && part.starts_with(letter)
                && part.chars().all(|c| letter(c) || matches!(c, '.' | '_' | '-'))
        };
        match text.split_once('/') {
            Some((name, version)) if part(name) && part(version) => Ok(Self(text.to_owned())),
            _ => Err(CorpusError::Name(text.to_owned())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the corpus lies below `folder`.
    pub fn below(&self, folder: &Path) -> PathBuf {
        folder.join(&self.0)
    }
}

impl fmt::Display for CorpusId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for CorpusId {
    type Error = CorpusError;

    fn try_from(text: String) -> Result<Self, CorpusError> {
        Self::parse(&text)
    }
}

impl From<CorpusId> for String {
    fn from(id: CorpusId) -> Self {
        id.0
    }
}

/// `corpus.lock`: what a corpus holds and what it was made from. It names no path and no time, so
/// that the same inputs give the same lock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusLock {
    /// Always `prism.corpus/1`.
    pub schema: String,
    /// Name of the corpus.
    pub id: CorpusId,
    /// Different token ids; a plan on this corpus has the same number.
    pub vocab_size: u32,
    /// The id that opens each document and stands for no text.
    pub document_token: u16,
    /// How documents were split.
    pub split: Split,
    /// The tokenizer.
    pub tokenizer: TokenizerFacts,
    /// The training text.
    pub train: Part,
    /// The held-out text.
    pub val: Part,
    /// The files of the corpus.
    pub files: Vec<LockedFile>,
    /// What it was made from, in order.
    pub inputs: Vec<InputFile>,
    /// At how many bytes of text reading stopped; none when the inputs were read to their end.
    pub max_bytes: Option<u64>,
    /// The program that made it.
    pub made_by: String,
}

/// How documents were split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The rule, in words.
    pub rule: String,
    /// Share of documents that the rule holds out.
    pub val_fraction: f64,
    /// The bound of the rule, 16 hexadecimal digits.
    pub val_below: String,
}

/// The tokenizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerFacts {
    /// Always `byte-level-bpe`.
    pub kind: String,
    /// Training text that its merges were counted on, bytes.
    pub trained_bytes: u64,
}

/// One side of the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Documents.
    pub documents: u64,
    /// Bytes of their text.
    pub bytes: u64,
    /// Tokens, with one for the beginning of each document.
    pub tokens: u64,
}

/// A file of the corpus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedFile {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// A file that the corpus was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputFile {
    /// Its name without its folder.
    pub name: String,
    /// `parquet`, `jsonl` or `text`.
    pub kind: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Documents that were taken from it.
    pub documents: u64,
}

impl CorpusLock {
    /// Reads the lock in `folder` and checks it against itself; also returns its bytes.
    pub(super) fn read(folder: &Path) -> Result<(Self, Vec<u8>), CorpusError> {
        let mut raw = Vec::new();
        std::fs::File::open(folder.join(LOCK_FILE))
            .and_then(|file| file.take(LOCK_BYTES_MAX).read_to_end(&mut raw))
            .map_err(CorpusError::io("read", LOCK_FILE))?;
        let lock: Self = serde_json::from_slice(&raw)
            .map_err(|error| CorpusError::changed(LOCK_FILE, format!("is not a lock: {error}")))?;
        lock.check()?;
        Ok((lock, raw))
    }

    /// The entry of a file.
    pub(super) fn file(&self, name: &str) -> Option<&LockedFile> {
        self.files.iter().find(|file| file.name == name)
    }

    /// SHA-256 of a file; empty for one that no corpus has.
    pub(crate) fn sha256_of(&self, name: &str) -> &str {
        self.file(name).map_or("", |file| file.sha256.as_str())
    }

    /// Bytes of training text for each token.
    pub(crate) fn bytes_per_token(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people and normalisation")]
        let ratio = self.train.bytes as f64 / self.train.tokens.max(1) as f64;
        ratio
    }

    fn check(&self) -> Result<(), CorpusError> {
        let wrong = |message: &str| Err(CorpusError::changed(LOCK_FILE, message));
        if self.schema != SCHEMA {
            return wrong(&format!("has schema `{}`, expected `{SCHEMA}`", self.schema));
        }
        if self.vocab_size < 2 || self.vocab_size > u32::from(u16::MAX) + 1 {
            return wrong("has a vocabulary that token ids cannot name");
        }
        let names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        if names != FILES {
            return wrong("does not list the files of a corpus");
        }
        let width = |count: u64| count.saturating_mul(TOKEN_WIDTH);
        let sizes = [
            (TRAIN_FILE, width(self.train.tokens)),
            (VAL_FILE, width(self.val.tokens)),
            (TOKEN_BYTES_FILE, width(u64::from(self.vocab_size))),
        ];
        for (name, bytes) in sizes {
            if self.file(name).is_none_or(|file| file.bytes != bytes) {
                return wrong(&format!("contradicts itself about `{name}`"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_its_folder() {
        for good in ["fineweb-edu/1", "smoke_2.b/2026-01"] {
            assert_eq!(CorpusId::parse(good).expect(good).as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in ["", "x", "../1", "a/..", "a/b/c", "/a", "a/", "A/1", "a b/1", ".a/1", &long] {
            assert!(CorpusId::parse(bad).is_err(), "{bad}");
        }
    }
}
