//! Corpora beyond the one that is built in: prepared once, pinned by a lock, verified before use.
//!
//! A corpus is a folder of token files with a `corpus.lock` that names the digest of each. **Nothing
//! is measured on a file that its lock does not know, and text that cannot be used is never the
//! miner's fault.**

mod lock;
mod verify;
mod shelf;
mod shards;
mod documents;
mod sample;
mod tokenizer;
mod writer;
mod prepare;

pub use self::lock::{CorpusId, CorpusLock, InputFile, LockedFile, Part, Split, TokenizerFacts};
pub use self::prepare::{Preparation, Stage, prepare};
pub(crate) use self::shelf::{Corpora, Corpus, Prepared};
pub use self::verify::verify;

/// What keeps a corpus from being prepared or used. Messages name files without their folder, so
/// that they may be shown to anybody.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// Not a name that a corpus may have.
    #[error(
        "`{0}` is no name of a corpus, which is `name/version` in small letters, digits, `.`, `_` and `-`"
    )]
    Name(String),
    /// What was asked for cannot be.
    #[error("{0}")]
    Request(String),
    /// An input is not what it has to be.
    #[error("input `{file}`: {message}")]
    Input {
        /// Its name.
        file: String,
        /// What is wrong with it.
        message: String,
    },
    /// A corpus is not what its lock says.
    #[error("`{file}` {message}")]
    Changed {
        /// Its name.
        file: String,
        /// In what it differs.
        message: String,
    },
    /// The machine refused.
    #[error("cannot {deed} `{file}`")]
    Io {
        /// What was tried.
        deed: &'static str,
        /// On which file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The tokenizer could not be made or used.
    #[error("the tokenizer failed")]
    Tokenizer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl CorpusError {
    fn io(deed: &'static str, file: &str) -> impl FnOnce(std::io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io { deed, file, source }
    }

    fn input(file: &str, message: impl Into<String>) -> Self {
        Self::Input { file: file.to_owned(), message: message.into() }
    }

    fn changed(file: &str, message: impl Into<String>) -> Self {
        Self::Changed { file: file.to_owned(), message: message.into() }
    }
}
