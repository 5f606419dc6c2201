//! The sandbox that runs policy components and the Python reader.
//!
//! Components are pure: the log is all they can import, every call gets a fresh instance, fuel is the
//! limit that decides, and whatever a guest does ends in an answer or in a typed fault.
//!
//! Calls block and use the stack of their thread, which must have 2 MiB, as the standard library's and
//! tokio's blocking threads do.
//!
//! This crate knows the domain's vocabulary and the WIT; it knows nothing of storage, HTTP or Python.

mod catalog;
mod admission;
mod policy_set;
mod manifest;
mod settings;
mod bound;
mod reader;
mod cases;
mod call;
mod limits;
pub mod fault;
mod convert;
mod bindings;
mod sandbox;
mod inspect;
mod encode;
mod shape;
mod versions;
mod code_cache;
mod engine;
mod embedded;

pub use admission::{AdmissionError, Admitted, Change, fitting_slot, wit_text};
pub use bound::{BindError, PolicyInfo};
pub use call::{Call, FailedCall, LOG_LINE_MAX_BYTES, LOG_LINES_MAX, LogLevel, LogLine};
pub use cases::CaseError;
pub use catalog::{Catalog, CatalogError, SettingsBySlot};
pub use embedded::{default_component, python_reader, wit_files};
pub use encode::componentize;
pub use engine::PROFILE;
pub use inspect::{COMPONENT_MAX_BYTES, Refusal, World};
pub use limits::Limits;
pub use manifest::{Revision, SetManifest};
pub use policy_set::{LoadedSet, SetError};
pub use reader::PythonReader;
pub use sandbox::{LoadError, Sandbox, SandboxError};
pub use settings::{SETTINGS_MAX_BYTES, canonical_json};
