//! The vocabulary and the rules of PRISM.
//!
//! **This crate does no IO, reads no clock and knows no HTTP, SQL, Docker or WebAssembly.** The
//! adapters (`intake`, `store`, `policy`, `evaluation`) each speak this language and none of them
//! knows another.

pub mod ids;
pub mod time;
pub mod entropy;
pub mod submission;
pub mod finding;
pub mod facts;
pub mod consult;
pub mod review;
pub mod evaluation;
pub mod telemetry;
pub mod estimate;
pub mod scaling;
pub mod improvement;
pub mod attribution;
pub mod ledger;
pub mod lifecycle;
pub mod rewards;
pub mod policy;
