//! The token that Platform authenticates with: from a setting, or from a file that may be rotated.

use std::fmt;
use std::path::PathBuf;

/// Where the token stands.
#[derive(Clone)]
pub(super) enum TokenSource {
    /// In the setting itself.
    Value(String),
    /// In a file.
    File(PathBuf),
}

/// The shared token. Never shown, never logged.
#[derive(Clone)]
pub(crate) struct SharedToken(TokenSource);

impl SharedToken {
    pub(super) const fn new(source: TokenSource) -> Self {
        Self(source)
    }

    /// A token that never changes.
    pub(crate) const fn fixed(token: String) -> Self {
        Self(TokenSource::Value(token))
    }

    /// The token in force now; the file is read each time so that a rotated secret takes effect at
    /// once. None when nothing is configured.
    pub(crate) fn load(&self) -> Option<String> {
        let path = match &self.0 {
            TokenSource::Value(token) => return Some(token.clone()),
            TokenSource::File(path) => path,
        };
        let text = std::fs::read_to_string(path).ok()?;
        let token = text.trim();
        (!token.is_empty()).then(|| token.to_owned())
    }
}

impl fmt::Debug for SharedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedToken(..)")
    }
}
