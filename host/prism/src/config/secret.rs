//! The token that Platform authenticates with: from a setting, or from a file that may be rotated.

use std::fmt;
use std::path::PathBuf;

/// The shared token. Never shown, never logged.
#[derive(Clone)]
pub(crate) struct SharedToken {
    fixed: Option<String>,
    file: PathBuf,
}

impl SharedToken {
    pub(crate) fn new(fixed: Option<String>, file: PathBuf) -> Self {
        Self { fixed, file }
    }

    /// The token in force now; the file is read each time so that a rotated secret takes effect at
    /// once. None when nothing is configured.
    pub(crate) fn load(&self) -> Option<String> {
        if let Some(token) = &self.fixed {
            return Some(token.clone());
        }
        let text = std::fs::read_to_string(&self.file).ok()?;
        let token = text.trim();
        (!token.is_empty()).then(|| token.to_owned())
    }
}

impl fmt::Debug for SharedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedToken(..)")
    }
}
