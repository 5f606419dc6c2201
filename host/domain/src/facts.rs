//! What is known about a project without running it.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;
use crate::submission::ProjectKind;

/// Values of a MinHash signature.
pub const SKETCH_LEN: usize = 128;

/// A file of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Project-relative path with `/` separators.
    pub path: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Lines of text.
    pub line_count: u32,
    /// SHA-256 of the bytes.
    pub sha256: Digest,
}

/// What an observation is about; the names follow `wit/deps/review.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the WIT documents each one; two texts would drift apart")]
pub enum ObservationKind {
    ImportModule,
    ImportName,
    Reference,
    Call,
    Assignment,
    Attribute,
    DynamicAttribute,
    Function,
    Class,
    ModuleStatement,
    Text,
    LargeLiteral,
    Unreadable,
}

/// One thing seen in a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// What it is about.
    pub kind: ObservationKind,
    /// The file.
    pub path: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in Unicode scalar values, from 1.
    pub column: u32,
    /// The name, as the kind says.
    pub name: String,
    /// More about it, as the kind says.
    pub detail: String,
    /// Whether it runs when the module is imported.
    pub at_import: bool,
    /// Whether the name is rooted at a module of the project itself.
    pub local: bool,
}

/// A function that the evaluator calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryFunction {
    /// Its name.
    pub name: String,
    /// The file it stands in.
    pub path: String,
    /// Line of the definition, from 1.
    pub line: u32,
    /// Positional parameters that it takes; 255 for `*args`.
    pub parameters: u32,
}

/// Fingerprints that ignore names of locals, comments, formatting, order and file moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprints {
    /// Of all definitions.
    pub source: Digest,
    /// Of what `build_model` and the inference hooks reach.
    pub architecture: Digest,
    /// Of what `get_recipe` and the training hooks reach.
    pub training: Digest,
}

/// What the Python reader saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// By path, line and column.
    pub observations: Vec<Observation>,
    /// Entry functions that the entry module offers.
    pub entry_functions: Vec<EntryFunction>,
    /// None when a module cannot be read.
    pub fingerprints: Option<Fingerprints>,
    /// MinHash signature of what `build_model` and the inference hooks reach; empty when unreadable.
    pub architecture_sketch: Vec<u32>,
    /// MinHash signature of the whole project; empty when unreadable.
    pub source_sketch: Vec<u32>,
}

/// All that is known about a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectFacts {
    /// What it claims to bring.
    pub kind: ProjectKind,
    /// Path of the module with `build_model`; the training module when the project has no architecture.
    pub entrypoint: String,
    /// Path of the module with `get_recipe` and the training hooks, often the entry module itself;
    /// none when the project claims no training.
    pub training_entrypoint: Option<String>,
    /// The family that it names as its target, as written in the manifest.
    pub target_family: Option<String>,
    /// The files, by path.
    pub files: Vec<FileFacts>,
    /// What the Python reader saw.
    pub source: SourceFacts,
}

/// A module handed to the Python reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSource {
    /// Project-relative path.
    pub path: String,
    /// The bytes.
    pub source: Vec<u8>,
}

/// Estimated Jaccard similarity of two MinHash signatures, parts per million: the share of equal
/// positions (Broder 1997). 0 when either is missing.
pub fn sketch_similarity_ppm(left: &[u32], right: &[u32]) -> u32 {
    if left.is_empty() || left.len() != right.len() {
        return 0;
    }
    let equal = left.iter().zip(right).filter(|(l, r)| l == r).count();
    u32::try_from(equal * 1_000_000 / left.len()).unwrap_or(0)
}
