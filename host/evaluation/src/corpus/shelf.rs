//! The corpora that plans may name: the one that is built in, and those in the operator's folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use prism_domain::evaluation::EvaluationFault;

use super::CorpusError;
use super::lock::{
    CorpusId, CorpusLock, LOCK_FILE, TOKEN_BYTES_FILE, TOKENIZER_FILE, TRAIN_FILE, VAL_FILE,
};
use super::verify::{Verified, verify_again};
use crate::{embedded, fault};

/// A corpus that may be measured on.
#[derive(Debug)]
pub(crate) enum Corpus {
    /// A byte is a token; training and held-out text.
    Embedded(&'static [u8], &'static [u8]),
    /// Verified files on this machine.
    Prepared(Box<Prepared>),
}

/// A corpus in the operator's folder, as it was verified.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What it holds.
    pub(crate) lock: CorpusLock,
    /// Bytes of text for each token id: `u16`, little-endian.
    pub(crate) token_bytes: Vec<u8>,
    folder: PathBuf,
}

impl Prepared {
    /// The token files.
    pub(crate) fn train_and_val(&self) -> [PathBuf; 2] {
        [TRAIN_FILE, VAL_FILE].map(|name| self.folder.join(name))
    }

    /// Digests of training text, held-out text and tokenizer.
    pub(crate) fn digests(&self) -> [&str; 3] {
        [TRAIN_FILE, VAL_FILE, TOKENIZER_FILE].map(|name| self.lock.sha256_of(name))
    }
}

/// Finds corpora and remembers which files it has read.
#[derive(Debug)]
pub(crate) struct Corpora {
    folder: Option<PathBuf>,
    verified: Mutex<BTreeMap<CorpusId, Verified>>,
}

impl Corpora {
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, verified: Mutex::default() }
    }

    /// The corpus of that name, verified. Reading a large one for the first time takes a while, so
    /// this belongs on a thread that may wait.
    pub(crate) fn find(&self, name: &str) -> Result<Corpus, EvaluationFault> {
        if let Some((train, val)) = embedded::corpus(name) {
            return Ok(Corpus::Embedded(train, val));
        }
        self.find_prepared(name)
            .map(|prepared| Corpus::Prepared(Box::new(prepared)))
            .map_err(|error| unusable(name, self.folder.as_deref(), &error))
    }

    fn find_prepared(&self, name: &str) -> Result<Prepared, CorpusError> {
        let id = CorpusId::parse(name)?;
        let parent = self
            .folder
            .as_deref()
            .ok_or_else(|| CorpusError::Request("no folder of corpora is configured".to_owned()))?;
        let folder = id.below(parent);
        let folder = folder.canonicalize().map_err(CorpusError::io("find", id.as_str()))?;
        // The lock on the map is held while files are read: evaluations that begin together wait for
        // one reading, not for one each.
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let (lock, now, _) = verify_again(&folder, verified.get(&id))?;
        verified.insert(id.clone(), now);
        drop(verified);
        if lock.id != id {
            let message = format!("is of the corpus `{}`", lock.id);
            return Err(CorpusError::changed(LOCK_FILE, message));
        }
        let token_bytes = std::fs::read(folder.join(TOKEN_BYTES_FILE))
            .map_err(CorpusError::io("read", TOKEN_BYTES_FILE))?;
        Ok(Prepared { lock, token_bytes, folder })
    }
}

/// The fault is the platform's, whatever the cause. The folder is for the log only.
fn unusable(name: &str, folder: Option<&Path>, error: &CorpusError) -> EvaluationFault {
    let cause = match error {
        CorpusError::Io { source, .. } => format!("{error}: {}", source.kind()),
        _ => error.to_string(),
    };
    let message = format!(
        "corpus `{name}` cannot be used: {cause}; `prism corpus prepare` makes it, `prism corpus verify` looks at it"
    );
    let folder = folder.map_or_else(|| "nowhere".to_owned(), |path| path.display().to_string());
    fault::logged(fault::platform(fault::DATA, message), &format!("{cause} (below {folder})"))
}
