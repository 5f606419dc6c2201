//! Bytes in, checked values out: uploads, archives, manifests, hotkeys, signatures.
//!
//! Everything here is pure, total and synchronous. Nothing reads a file, a clock or the
//! environment, nothing is written anywhere, and no Python is parsed: a project is a list of
//! named texts and a manifest. Untrusted bytes never cause a panic.

mod limits;
mod refusal;
mod path;
mod archive;
mod reserved;
mod manifest;
mod project;
mod fields;
mod json_body;
mod upload;
mod hotkey;
mod signature;
mod component_signature;

pub use archive::{ArchiveEntry, read_archive};
pub use component_signature::{
    ComponentSignature, ComponentSignatureError, PolicyKeyError, PolicyKeys, PolicySigner,
    VerifiedSignature, component_statement,
};
pub use fields::{FieldError, Location};
pub use hotkey::{HotkeyError, parse_hotkey, public_key_of};
pub use limits::{ArchiveLimits, PLATFORM_BODY_BYTES, UploadLimits};
pub use manifest::{Component, Manifest, ManifestWarning};
pub use path::ProjectPath;
pub use prism_domain::submission::ProjectKind;
pub use project::{Project, ProjectFile, assemble, unpack, unpack_archive, unpack_module};
pub use refusal::{Refusal, Rejection, Rule};
pub use signature::{
    AuthError, SIGNATURE_WINDOW_S, SignatureScheme, SignedHeaders, UnparsedHeaders,
    canonical_message,
};
pub use upload::{SourceFormat, Upload, UploadError, accept_bridge, accept_json, is_json};
